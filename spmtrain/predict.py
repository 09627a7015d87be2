"""A trained network as a function from images to people.

Letters: B images; H_px, W_px the network's input.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spmdata.errors import SpecError
from spmdata.geometry import letterbox
from spmdata.images import place_pixels
from spmdata.people import People
from spmtrain.augment import mirror_maps
from spmtrain.checkpoint import Checkpoint
from spmtrain.decode import BatchDecoder, Decoded
from spmtrain.maps import Maps
from spmtrain.stream import normalise


class Predictor:
    """Images in, people out.

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
        self.flip = flip
        self._network = checkpoint.network().to(self.device)
        self._decode = BatchDecoder(self.spec).to(self.device)

    def inputs(self, images: Tensor) -> list[People]:
        """Return the people of network inputs (B, H_px, W_px, 3) uint8, in input px, best first."""
        with torch.inference_mode():
            decoded: Decoded = self._decode(self._maps(normalise(images.to(self.device))))
            return decoded.people()

    def _maps(self, images: Tensor) -> Maps:
        maps: Maps = self._network(images)[-1]
        if not self.flip:
            return maps
        mirrored = mirror_maps(self._network(images.flip(-1))[-1], self.spec.skeleton.flip)
        pairs = zip(maps, mirrored, strict=True)
        return Maps(*(None if one is None or other is None else (one + other) / 2 for one, other in pairs))  # type: ignore[arg-type]

    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> list[People]:
        """Return the people of RGB images (h, w, 3) uint8 of any size, in px of each image, best first."""
        if not images:
            return []
        placed = np.stack([place_pixels(pixels, self.spec.input_hw) for pixels in images])
        found = self.inputs(torch.from_numpy(placed))
        boxes = [letterbox((pixels.shape[0], pixels.shape[1]), self.spec.input_hw) for pixels in images]
        return [people.transform(box.affine.inverse()) for people, box in zip(found, boxes, strict=True)]
