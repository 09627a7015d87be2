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

#: Arithmetic alone moves no joint further than this, whatever the dtype (px).
ARITHMETIC_PX = 1e-3
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
        What dtype and arithmetic allow where nothing collides.
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
        bound_px=_bounds_px(codec, people, reads.cells)[p, k],
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
    extent = np.ptp(people.joints[people.labelled], axis=0).max() / spec.stride + 1 if people.labelled.any() else 1.0
    step = float(np.spacing(np.asarray(extent / spec.norm_cell, spec.dtype))) / 2 * spec.norm_cell
    flat = float(np.spacing(np.ones((), spec.dtype))) * spec.gaussian_denominator
    return max(step, flat) + HALF_WAY_CELL


def _bounds_px(codec: Codec, people: People, cells: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the error that the stored dtype allows each joint, (P, K): half a step of each component, and arithmetic.

    A decoded parent may itself be off by half a step and make the walk read the next cell, so a component may be a
    cell longer than the perfect walk's. Vectors anchored at the root add up level by level.
    """
    spec = codec.spec
    longest = np.abs(px_to_cell(people.joints, spec.stride) - cells) + 1
    if spec.anchor == "root":
        longest[:] = longest.max(axis=1, keepdims=True, initial=0)
    step = np.spacing((longest / spec.norm_cell).astype(spec.dtype)).astype(np.float64)
    half = np.linalg.norm(step, axis=-1) / 2 * spec.norm_cell * spec.stride
    levels = np.array(spec.tree.levels()) if spec.anchor == "root" else 1
    return np.asarray(half * levels + ARITHMETIC_PX, np.float64)
