"""One row: its people against what its maps decode to.

Letters: P people, K joints. Errors in input px.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spmdata.codec import Codec, Targets
from spmdata.geometry import Affine, nearest_cell, px_to_cell
from spmdata.people import People
from spmdata.spec import TargetSpec

#: A point this near the border of two cells may be read on either side (cells).
HALF_WAY_CELL = 2.5e-5


@dataclass(frozen=True)
class RowComparison:
    """What the round trip did to one row's people.

    Parameters
    ----------
    truth, found : People
        Encoded and decoded, in original image px.
    labelled : int
        Persons that should come back.
    off_map, merged, beyond : int
        Persons lost: root off the map; no peak of its own; more peaks than ``max_people``.
    dropped_joints : int
        Labelled joints that ``missing_parent = drop`` left out.
    roots, roots_collided : int
        Persons drawn, and those with another's root in the peak window round the cell of their own: of such a pair only
        one can be a peak.
    reads, collided : (K,) int64
        Reads of a perfect walk by joint, and those that hit another person's cell.
    joint : (n,) int64
        Joint of every error.
    error_px, image_error_px : (n,) float64
        Distance between encoded and decoded joint, in input px and in px of the original image.
    bound_px : (n,) float64
        What rounding allows where nothing collides.
    clear : (n,) bool
        Nothing collided on the way to this joint.
    """

    truth: People
    found: People
    labelled: int
    off_map: int
    merged: int
    beyond: int
    dropped_joints: int
    roots: int
    roots_collided: int
    reads: NDArray[np.int64]
    collided: NDArray[np.int64]
    joint: NDArray[np.int64]
    error_px: NDArray[np.float64]
    image_error_px: NDArray[np.float64]
    bound_px: NDArray[np.float64]
    clear: NDArray[np.bool_]


def compare_row(codec: Codec, people: People, maps: Targets, affine: Affine) -> RowComparison:
    """Decode one row's maps and compare them with its people.

    Parameters
    ----------
    codec : Codec
        Of the spec that the maps were made by.
    people : People
        In input px.
    maps : Targets
        Theirs, without a batch axis.
    affine : Affine
        From original to input px.
    """
    found, cells = codec.decode_with_cells(maps.at(None))[0]
    slack_cell = _slack_cell(codec, people)
    reads = codec.reads(people, slack_cell)
    wanted = ~people.regions
    decoded_of = _match(reads.roots, reads.drawn, cells, slack_cell)
    lost = reads.drawn & (decoded_of < 0)
    full = len(found) == codec.spec.max_people
    p, k = np.nonzero(people.labelled & (decoded_of >= 0)[:, None] & reads.read)
    back = affine.inverse()
    truth, returned = people.transform(back), found.transform(back)
    return RowComparison(
        truth=truth,
        found=returned,
        labelled=int(wanted.sum()),
        off_map=int((wanted & ~reads.drawn).sum()),
        merged=0 if full else int(lost.sum()),
        beyond=int(lost.sum()) if full else 0,
        dropped_joints=int((people.labelled & reads.drawn[:, None] & ~reads.supervised).sum()),
        roots=int(reads.drawn.sum()),
        roots_collided=_crowded_roots(reads.roots[reads.drawn], codec.spec.nms),
        reads=reads.read.sum(0),
        collided=reads.direct.sum(0),
        joint=k,
        error_px=_distance(found.joints[decoded_of[p], k], people.joints[p, k]),
        image_error_px=_distance(returned.joints[decoded_of[p], k], truth.joints[p, k]),
        bound_px=_bounds_px(codec, people, reads.roots, slack_cell)[p, k],
        clear=~reads.path[p, k],
    )


def _distance(points: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(points.astype(np.float64) - others.astype(np.float64), axis=-1), np.float64)


def _crowded_roots(roots: NDArray[np.float64], nms: int) -> int:
    """Return how many of some roots, (P, 2) in cells, have another one in the peak window round their cell."""
    cells = nearest_cell(roots)
    within = (np.abs(cells[:, None] - cells[None]) <= nms // 2).all(axis=-1)
    return int((within.sum(axis=1) > 1).sum())


def _match(
    roots: NDArray[np.float64], drawn: NDArray[np.bool_], cells: NDArray[np.int64], slack_cell: float
) -> NDArray[np.int64]:
    """Return the decoded person of each stored one, (P,), -1 for none: the peak on the cell nearest its root.

    Half-way between two cells either may be the peak. Where several roots share a cell the nearest has the peak.
    """
    decoded = np.full(len(roots), -1)
    for i, cell in enumerate(cells):
        off = np.where(drawn & (decoded < 0), np.abs(roots - cell).max(axis=-1), np.inf)
        if len(off) and off.min() <= 0.5 + slack_cell:
            decoded[np.argmin(off)] = i
    return decoded


def _slack_cell(codec: Codec, people: People) -> float:
    """Return how far rounding moves a point of the walk, or the peak of a Gaussian, at most, in cells."""
    spec = codec.spec
    points, there = people.joints[..., :2], people.labelled
    if spec.root == "bbox":  # whose centre need not lie among the joints
        centre = people.bbox_xywh[:, :2] + people.bbox_xywh[:, 2:] / 2
        points = np.concatenate([points, centre[:, None]], axis=1)
        there = np.concatenate([there, np.ones((len(there), 1), np.bool_)], axis=1)
    there = there[..., None]
    extent_px = points.max(1, where=there, initial=-np.inf) - points.min(1, where=there, initial=np.inf)
    step = _half_step_cell(spec, np.asarray(extent_px.max(initial=0)) / spec.stride + 1)
    # Cells u and u + 1 share a value when d^2 differs by less than a step times the denominator; it differs by 2 x.
    flat = float(np.spacing(np.ones((), spec.dtype))) / 2 * spec.gaussian_denominator
    return max(float(step), flat) + HALF_WAY_CELL


def _bounds_px(codec: Codec, people: People, roots: NDArray[np.float64], slack_cell: float) -> NDArray[np.float64]:
    """Return the error that rounding allows each joint, (P, K): of its vector, and of the decoded point.

    A point that lies half-way between two cells within the slack may be read on either, so its vector may start at
    either: between ``low`` and ``high``, which are one elsewhere. Vectors anchored at the root add up level by level.
    """
    spec, tree = codec.spec, codec.spec.tree
    levels, parents, last = np.array(tree.levels()), np.array(tree.parents), np.array(spec.map_hw[::-1]) - 1
    here = px_to_cell(people.joints[..., :2], spec.stride)
    low, high, error = here.copy(), here.copy(), np.zeros_like(here)
    for level in range(1, levels.max() + 1):
        k = np.flatnonzero(levels == level)
        a, labelled = parents[k], people.labelled[:, k, None]
        added_up = level > 1 and spec.anchor == "root"
        first, final = (low[:, a], high[:, a]) if level > 1 else (roots[:, None], roots[:, None])
        if not added_up:
            first, final = (nearest_cell(p).clip(0, last) for p in (first - slack_cell, final + slack_cell))
        longest = np.maximum(np.abs(here[:, k] - first), np.abs(here[:, k] - final))
        error[:, k] = np.where(labelled, _half_step_cell(spec, longest), 0) + (error[:, a] if added_up else 0)
        low[:, k], high[:, k] = np.where(labelled, here[:, k], first), np.where(labelled, here[:, k], final)
    decoded = np.spacing(np.abs(people.joints[..., :2]) + np.float32(1)) / 2  # float32 px
    return np.asarray(np.linalg.norm(error * spec.stride + decoded, axis=-1), np.float64)


def _half_step_cell(spec: TargetSpec, length_cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far the stored dtype moves a component of a vector, in cells; float32 comes first, then float16."""
    step = np.spacing((length_cell / spec.norm_cell).astype(spec.dtype)).astype(np.float64)
    return np.asarray(step * (0.5 + 2.0**-14) * spec.norm_cell)
