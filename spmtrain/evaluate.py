"""Score a trained network on a prepared store, beside the ceiling that its targets allow."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spmdata.camera import Camera
from spmdata.codec import Codec
from spmdata.errors import SpecError, StoreError
from spmdata.images import load_input
from spmdata.metrics.oks import OksScores, oks_scores
from spmdata.metrics.pck import pck
from spmdata.metrics.pose3d import Pose3dScores, pose3d_scores
from spmdata.people import People
from spmdata.store.reader import Store
from spmtrain.predict import Predictor

#: Images decoded ahead of the network, in batches.
AHEAD = 2


@dataclass(frozen=True)
class Evaluation:
    """How good a network is on a store.

    Parameters
    ----------
    images, people : int
        Rows scored and labelled persons in them.
    scores, ceiling : OksScores
        Of the network, and of the store's own targets decoded again: what a perfect network would reach.
    pck, ceiling_pck : float
        Share of joints within a tenth of their person's size.
    pose3d, ceiling_pose3d : Pose3dScores or None
        In 3D: the same of depth, in the camera's frame.
    area : str
        What the area in OKS is: AP depends on it.
    """

    images: int
    people: int
    scores: OksScores
    ceiling: OksScores
    pck: float
    ceiling_pck: float
    pose3d: Pose3dScores | None = None
    ceiling_pose3d: Pose3dScores | None = None
    area: str = "as stored, in original px squared"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {name: v._asdict() if hasattr(v, "_asdict") else v for name, v in vars(self).items()}


def evaluate(
    predictor: Predictor,
    store: Store,
    *,
    batch: int = 16,
    threads: int = 2,
    on_rows: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Score a network on every row of a store that was not skipped.

    Parameters
    ----------
    predictor : Predictor
        The network and how its maps are decoded.
    store : Store
        Finished, with images, of the predictor's skeleton and input size; its maps are not needed.
    batch, threads : int
        Images at once, and threads that read them.
    on_rows : callable, optional
        Called with (rows done, rows in all).

    Raises
    ------
    StoreError
        No images in the store, or no rows.
    SpecError
        Another skeleton or input size.
    """
    if not store.layout.images:
        raise StoreError(
            f"{store.path}: prepared with --no-images: evaluation needs images; run spm prepare without it"
        )
    for name in ("skeleton", "input_hw", "dims"):
        ours, theirs = getattr(predictor.spec, name), getattr(store.spec, name)
        if ours != theirs:
            said = [getattr(value, "name", value) for value in (ours, theirs)]
            raise SpecError(f"the network was trained with {name} {said[0]}, {store.path} has {said[1]}")
    rows = np.flatnonzero(store.status == 0)
    if not len(rows):
        raise StoreError(f"{store.path}: every row was skipped when it was prepared; see spm inspect")
    spec, codec = predictor.spec, Codec(predictor.spec)
    cameras: list[Camera | None] = []
    truth: list[People] = []
    found: list[People] = []
    perfect: list[People] = []
    for part, images in _images(store, rows, batch, threads):
        people = [store.people(int(row)) for row in part]
        back = [store.affine(int(row)).inverse() for row in part]
        seen = [Camera.of_intrinsics(numbers) for numbers in store.read("row/camera", part)]
        drawn = codec.decode_batch(codec.encode_batch(people, cameras=seen), seen)
        for ours, theirs in ((truth, people), (found, predictor.inputs(images, seen)), (perfect, drawn)):
            ours += [p.transform(affine) for p, affine in zip(theirs, back, strict=True)]
        cameras += [camera and camera.transform(affine) for camera, affine in zip(seen, back, strict=True)]
        if on_rows:
            on_rows(len(truth), len(rows))
    return Evaluation(
        images=len(rows),
        people=sum(int((~p.regions).sum()) for p in truth),
        scores=oks_scores(truth, found, store.skeleton),
        ceiling=oks_scores(truth, perfect, store.skeleton),
        pck=pck(truth, found),
        ceiling_pck=pck(truth, perfect),
        pose3d=pose3d_scores(truth, found, cameras, spec.skeleton, spec.root) if spec.dims == 3 else None,
        ceiling_pose3d=pose3d_scores(truth, perfect, cameras, spec.skeleton, spec.root) if spec.dims == 3 else None,
    )


def _images(
    store: Store, rows: NDArray[np.intp], batch: int, threads: int
) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
    """Yield rows and their inputs (B, H_px, W_px, 3) uint8 in order, the last batch short, a few read ahead."""
    sizes = store.table("row/size_hw")

    def read(part: NDArray[np.intp]) -> Tensor:
        inputs = np.empty((len(part), *store.spec.input_hw, 3), np.uint8)
        for row, out in zip(part.tolist(), inputs, strict=True):
            height, width = sizes[row].tolist()
            load_input(store.image_bytes(row), (height, width), store.spec.input_hw, out=out)
        return torch.from_numpy(inputs)

    parts = [rows[at : at + batch] for at in range(0, len(rows), batch)]
    with ThreadPoolExecutor(threads) as pool:
        waiting = deque(pool.submit(read, part) for part in parts[:AHEAD])
        for part, later in zip_longest(parts, parts[AHEAD:]):
            if later is not None:
                waiting.append(pool.submit(read, later))
            yield part, waiting.popleft().result()
