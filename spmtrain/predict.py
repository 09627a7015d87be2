"""A trained network as a function from images to people.

Letters: B images; H_px, W_px the network's input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from os import PathLike

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spmdata.camera import Camera
from spmdata.errors import SpecError
from spmdata.geometry import letterbox
from spmdata.images import place_pixels
from spmdata.people import People
from spmtrain.augment import mirror_maps
from spmtrain.checkpoint import Checkpoint
from spmtrain.decode import BatchDecoder, Decoded
from spmtrain.descent import memory_for
from spmtrain.maps import Maps
from spmtrain.replay import Replayed
from spmtrain.stream import normalise


@dataclass
class _Finder:
    """What is replayed; apart from the predictor, so that a GPU's memory goes when that does."""

    network: Callable[[Tensor], list[Maps]]
    decode: BatchDecoder
    flip: bool

    def __call__(self, images: Tensor, f_px: Tensor) -> Decoded:
        return self.decode(self._maps(images), f_px)  # type: ignore[no-any-return]

    def _maps(self, images: Tensor) -> Maps:
        maps = self.network(images)[-1]
        if not self.flip:
            return maps
        mirrored = mirror_maps(self.network(images.flip(-1))[-1], self.decode.spec.skeleton.flip)
        pairs = zip(maps, mirrored, strict=True)
        return Maps(*(None if one is None or other is None else (one + other) / 2 for one, other in pairs))  # type: ignore[arg-type]


class Predictor:
    """Images in, people out. For one thread at a time: on a GPU what is found lies where the next call writes.

    Parameters
    ----------
    checkpoint : Checkpoint or path
        What `spmtrain.fit` left.
    device : str
        ``auto`` takes a CUDA device when there is one.
    flip : bool
        Average the maps of each image with those of its mirror image: twice the work, and finds more.
    **decode
        Decode fields of the spec to override: nms, max_people, threshold.

    Raises
    ------
    SpmError
        The checkpoint cannot be read.
    SpecError
        No such device, or a decode field out of range.
    """

    def __init__(
        self,
        checkpoint: Checkpoint | str | PathLike[str],
        device: str = "auto",
        *,
        flip: bool = False,
        **decode: int | float,
    ) -> None:
        checkpoint = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint.load(checkpoint)
        found = torch.cuda.is_available()
        if device == "cuda" and not found:
            raise SpecError("device cuda: torch finds no CUDA device here; use --device cpu")
        self.device = torch.device("cuda" if found and device != "cpu" else "cpu")
        self.spec = checkpoint.spec.override(**decode)
        with memory_for("the network: use --device cpu"):
            network = checkpoint.network().to(self.device)
        self._finder = _Finder(network, BatchDecoder(self.spec).to(self.device), flip)
        self._found = Replayed(self._finder)

    def inputs(self, images: Tensor, cameras: Sequence[Camera | None] | None = None) -> list[People]:
        """Return the people of network inputs, in input px, best first.

        In 3D how far away somebody is follows from the camera's focal length alone. Without the camera of an input z is
        in cm from the person's root, and nobody ``has_depth``.

        Parameters
        ----------
        images : Tensor, (B, H_px, W_px, 3) uint8
            RGB, on any device.
        cameras : sequence of Camera or None, optional
            In 3D: of each input.

        Raises
        ------
        SpmError
            The device's memory does not suffice.
        """
        known = np.array([camera is not None for camera in cameras or [None] * len(images)], np.bool_)
        focal_px = [0.0 if camera is None else camera.f_px for camera in cameras or [None] * len(images)]
        with torch.inference_mode():
            f_px = torch.tensor(focal_px, dtype=torch.float64, device=self.device)
            with memory_for(f"{len(images)} images at once: take fewer with --batch"):
                found = self._found(normalise(images.to(self.device)), f_px).people()
        return [replace(people, has_depth=people.has_depth & here) for people, here in zip(found, known, strict=True)]

    def __call__(
        self, images: Sequence[NDArray[np.uint8]], cameras: Sequence[Camera | None] | None = None
    ) -> list[People]:
        """Return the people of RGB images (h, w, 3) uint8 of any size, in px of each image, best first.

        Parameters
        ----------
        images : sequence of (h, w, 3) uint8
            RGB.
        cameras : sequence of Camera or None, optional
            In 3D: of each image; see `inputs`. `People.in_camera` then gives joints in cm.

        Raises
        ------
        SpmError
            The device's memory does not suffice.
        """
        if not images:
            return []
        placed = np.stack([place_pixels(pixels, self.spec.input_hw) for pixels in images])
        affines = [letterbox((pixels.shape[0], pixels.shape[1]), self.spec.input_hw).affine for pixels in images]
        seen = cameras or [None] * len(images)
        moved = [camera and camera.transform(affine) for camera, affine in zip(seen, affines, strict=True)]
        found = self.inputs(torch.from_numpy(placed), moved)
        return [people.transform(affine.inverse()) for people, affine in zip(found, affines, strict=True)]
