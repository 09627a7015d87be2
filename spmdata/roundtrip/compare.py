"""One row: its people against what its maps decode to.

Letters: P people, K joints. Errors in input px, in 3D in cm besides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spmdata.camera import Camera
from spmdata.codec import Codec, Targets
from spmdata.geometry import Affine, nearest_cell
from spmdata.people import People
from spmdata.roundtrip.bounds import bounds, slack_of
from spmdata.roundtrip.depth import DepthComparison, compare_depth


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
    depth : DepthComparison or None
        In 3D: what happened to depth.
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
    depth: DepthComparison | None


def compare_row(
    codec: Codec, people: People, maps: Targets, affine: Affine, camera: Camera | None = None
) -> RowComparison:
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
    camera : Camera, optional
        Of the input; in 3D needed where somebody has depth.
    """
    return compare_decodings([codec], people, maps, affine, camera)[0]


def compare_decodings(
    codecs: Sequence[Codec], people: People, maps: Targets, affine: Affine, camera: Camera | None = None
) -> list[RowComparison]:
    """Do so by several codecs that differ in decode fields alone: where reads collide is the same for all."""
    slack_cell, back = slack_of(codecs[0], people), affine.inverse()
    reads, truth = codecs[0].reads(people, slack_cell), people.transform(back)
    allowed = bounds(codecs[0].spec, people, reads, slack_cell, 1.0 if camera is None else camera.f_px)
    wanted, found = ~people.regions, []
    for codec in codecs:
        decoded, cells = codec.decode_with_cells(maps.at(None), [camera])[0]
        decoded_of = _match(reads.roots, reads.drawn, cells, slack_cell)
        lost = reads.drawn & (decoded_of < 0)
        full = len(decoded) == codec.spec.max_people
        p, k = np.nonzero(people.labelled & (decoded_of >= 0)[:, None] & reads.read)
        returned = decoded.transform(back)
        found.append(
            RowComparison(
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
                error_px=_distance_px(decoded.joints[decoded_of[p], k], people.joints[p, k]),
                image_error_px=_distance_px(returned.joints[decoded_of[p], k], truth.joints[p, k]),
                bound_px=np.linalg.norm(allowed[p, k, :2], axis=-1),
                clear=~reads.path[p, k],
                depth=None
                if codec.spec.dims == 2
                else compare_depth(people, decoded, decoded_of, reads, allowed, affine, camera),
            )
        )
    return found


def _distance_px(points: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    off = points[:, :2].astype(np.float64) - others[:, :2].astype(np.float64)
    return np.asarray(np.linalg.norm(off, axis=-1), np.float64)


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
