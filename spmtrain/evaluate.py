"""Score a trained network on a prepared store, beside the ceiling that its targets allow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from spmdata.camera import Camera
from spmdata.codec import Codec
from spmdata.errors import SpecError, StoreError
from spmdata.metrics.oks import OksScores, oks_scores
from spmdata.metrics.pck import pck
from spmdata.metrics.pose3d import Pose3dScores, pose3d_scores
from spmdata.people import People
from spmdata.spec import TargetSpec
from spmdata.store.reader import Store
from spmdata.store.schema import RowStatus
from spmdata.stream import RowStream
from spmtrain.predict import Predictor


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


def check_evaluates(store: Store, spec: TargetSpec) -> None:
    """Refuse a store on which a network of some spec cannot be scored.

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
    if not (store.status == RowStatus.OK).any():
        raise StoreError(f"{store.path}: each of its rows was skipped when it was prepared; see spm inspect")
    for name in ("skeleton", "input_hw", "dims"):
        ours, theirs = getattr(spec, name), getattr(store.spec, name)
        if ours != theirs:
            said = [getattr(value, "name", value) for value in (ours, theirs)]
            raise SpecError(f"the network is trained with {name} {said[0]}, {store.path} has {said[1]}")


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
    check_evaluates(store, predictor.spec)
    spec, codec = predictor.spec, Codec(predictor.spec)
    cameras: list[Camera | None] = []
    truth: list[People] = []
    found: list[People] = []
    perfect: list[People] = []
    rows = int((store.status == RowStatus.OK).sum())
    with RowStream(store, batch, threads=threads, once=True, targets="none") as stream:
        for part in stream:
            people = [store.people(row) for row in part.rows.tolist()]
            back = [store.affine(row).inverse() for row in part.rows.tolist()]
            seen = [Camera.of_intrinsics(numbers) for numbers in store.read("row/camera", part.rows)]
            drawn = codec.decode_batch(codec.encode_batch(people, cameras=seen), seen)
            at_peaks = predictor.inputs(torch.tensor(part.images), seen)
            for ours, theirs in ((truth, people), (found, at_peaks), (perfect, drawn)):
                ours += [p.transform(affine) for p, affine in zip(theirs, back, strict=True)]
            cameras += [camera and camera.transform(affine) for camera, affine in zip(seen, back, strict=True)]
            if on_rows:
                on_rows(len(truth), rows)
    return Evaluation(
        images=rows,
        people=sum(int((~p.regions).sum()) for p in truth),
        scores=oks_scores(truth, found, store.skeleton),
        ceiling=oks_scores(truth, perfect, store.skeleton),
        pck=pck(truth, found),
        ceiling_pck=pck(truth, perfect),
        pose3d=pose3d_scores(truth, found, cameras, spec.skeleton, spec.root) if spec.dims == 3 else None,
        ceiling_pose3d=pose3d_scores(truth, perfect, cameras, spec.skeleton, spec.root) if spec.dims == 3 else None,
    )
