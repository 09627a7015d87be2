"""The people of many rows as padded tables: what kernels take and give, and what ``people/*`` of a store holds.

Letters: n rows; P most people of one row; K joints; D axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spmdata.errors import SpecError
from spmdata.geometry import Affine, Float64
from spmdata.people import DTYPES, People
from spmdata.skeleton import Skeleton


class PeopleBatch(NamedTuple):
    """People of n rows, padded with zeros to P each; the fields bear the names of the arrays ``people/*``.

    Attributes
    ----------
    number : (n,) uint32
        How many people each row has; beyond it all is zero.
    joints : (n, P, K, D) float32
        Input px (and cm for z).
    visible : (n, P, K) uint8
        0 not labelled, 1 occluded, 2 visible.
    area : (n, P) float32
        px squared.
    bbox : (n, P, 4) float32
        xywh in pixel-edge units.
    ignore, has_depth : (n, P) bool
        As in `People`.
    head_px : (n, P) float32
        0 where unknown.
    id : (n, P) int64
        Annotation ids.
    """

    number: NDArray[np.uint32]
    joints: NDArray[np.float32]
    visible: NDArray[np.uint8]
    area: NDArray[np.float32]
    bbox: NDArray[np.float32]
    ignore: NDArray[np.bool_]
    has_depth: NDArray[np.bool_]
    head_px: NDArray[np.float32]
    id: NDArray[np.int64]

    def people(self, index: int) -> People:
        """Return the people of one row without padding, every score 1."""
        p = int(self.number[index])
        columns = {COLUMNS.get(name, name): getattr(self, name)[index, :p] for name in self._fields[1:]}
        return People(**columns, score=np.ones(p, np.float32))

    def select(self, rows: NDArray[np.integer[Any]] | Sequence[int] | slice) -> PeopleBatch:
        """Return some of the rows, by index, in that order; by a slice they are not copied."""
        return PeopleBatch._make([column[rows] for column in self])

    def tables(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by their names in the store, such as ``people/joints``."""
        return {f"people/{name}": getattr(self, name) for name in self._fields}


class Decoded(NamedTuple):
    """People found in n rows, best first, padded with zeros to P each.

    Attributes
    ----------
    number : (n,) int64
        How many people each row has.
    joints : (n, P, K, D) float32
        Input px (and cm for z).
    visible : (n, P, K) uint8
        1, or 0 where the targets are known to say nothing.
    score : (n, P) float32
        The heatmap at the peak.
    has_depth : (n, P) bool
        The targets hold a depth at the peak.
    cells : (n, P, 2) int64
        The peak as (u, v).
    """

    number: NDArray[np.int64]
    joints: NDArray[np.float32]
    visible: NDArray[np.uint8]
    score: NDArray[np.float32]
    has_depth: NDArray[np.bool_]
    cells: NDArray[np.int64]

    @staticmethod
    def nobody(n: int, people: int, joints: int, axes: int) -> Decoded:
        """Return n rows with room for so many people, of whom nobody is found."""
        return Decoded(
            number=np.zeros(n, np.int64),
            joints=np.zeros((n, people, joints, axes), np.float32),
            visible=np.zeros((n, people, joints), np.uint8),
            score=np.zeros((n, people), np.float32),
            has_depth=np.zeros((n, people), np.bool_),
            cells=np.zeros((n, people, 2), np.int64),
        )

    def people(self) -> list[People]:
        """Return the people of each row without padding."""
        there = np.arange(self.score.shape[1]) < self.number[:, None]
        found = People.of(self.joints[there], self.visible[there], score=self.score[there])
        if self.joints.shape[3] == 3:
            found = replace(found, has_depth=self.has_depth[there])
        ends = np.cumsum(self.number).tolist()
        return [found.select(slice(start, end)) for start, end in pairwise([0, *ends])]


#: Column of `People` for each field of `PeopleBatch` whose name differs.
COLUMNS = {"bbox": "bbox_xywh"}


def pad_people(rows: Sequence[People], max_people: int, n_joints: int, dims: int = 2) -> PeopleBatch:
    """Return the people of several rows as padded tables.

    Parameters
    ----------
    rows : sequence of People, n
        In input px.
    max_people, n_joints, dims : int
        P, K and D.

    Raises
    ------
    SpecError
        A row of more people than P, or of other joints.
    """
    for i, people in enumerate(rows):
        if people.joints.shape[2] != dims:
            raise SpecError(
                f"row {i} has joints of {people.joints.shape[2]} axes where {dims} are wanted: "
                f"use a spec of dims {people.joints.shape[2]}, or another source"
            )
        if len(people) > max_people or people.joints.shape[1] != n_joints:
            raise SpecError(
                f"row {i} has people (P, K, D) {people.joints.shape}, at most ({max_people}, {n_joints}, {dims}) fit"
            )
    number = np.array([len(people) for people in rows], np.uint32)
    if len(rows) == 1 and len(rows[0]) == max_people:
        own = [getattr(rows[0], COLUMNS.get(name, name))[None] for name in PeopleBatch._fields[1:]]
        if all(column.flags.writeable for column in own):  # for read-only arrays kernels would be compiled once more
            return PeopleBatch(number, *own)
    shapes: dict[str, tuple[int, ...]] = {
        "joints": (n_joints, dims),
        "visible": (n_joints,),
        "bbox_xywh": (4,),
    }
    columns: dict[str, NDArray[Any]] = {}
    for name in PeopleBatch._fields[1:]:
        column = COLUMNS.get(name, name)
        columns[name] = np.zeros((len(rows), max_people, *shapes.get(column, ())), DTYPES[column])
    there = np.arange(max_people) < number[:, None]
    for name, table in columns.items() if rows else ():
        table[there] = np.concatenate(list(map(attrgetter(COLUMNS.get(name, name)), rows)))
    return PeopleBatch(number, **columns)


def stacked(affines: Sequence[Affine]) -> Float64:
    """Return the matrices of n affines, (n, 2, 3)."""
    return np.concatenate([affine.matrix for affine in affines]).reshape(-1, 2, 3)  # a third of the time of np.stack


def move_people(people: PeopleBatch, affines: Sequence[Affine], skeleton: Skeleton) -> PeopleBatch:
    """Return the people of n rows after each row's image was moved: `People.transform` of all rows at once.

    Where an affine mirrors, left and right joints are exchanged as well (`People.swap_sides`).

    Parameters
    ----------
    people : PeopleBatch
        Of n rows, in image px.
    affines : sequence of Affine, n
        From px of the image to px of the input.
    skeleton : Skeleton
        Of the people.
    """
    # Padding is left out: it is most of the places where one row is a crowd.
    there = np.arange(people.area.shape[1]) < people.number[:, None]
    matrices = stacked(affines)
    # `Affine.area_scale` and `mirrors` of all rows at once.
    determinant = matrices[:, 0, 0] * matrices[:, 1, 1] - matrices[:, 0, 1] * matrices[:, 1, 0]
    scale = np.abs(determinant)[:, None]
    (a, b, c), (d, e, f) = np.moveaxis(matrices[np.nonzero(there)[0]], 0, 2)[..., None]  # (people, 1) each

    def moved(x: Float64, y: Float64) -> tuple[Float64, Float64]:
        return a * x + b * y + c, d * x + e * y + f

    own, labelled = people.joints[there], people.visible[there] > 0
    xy = own[..., :2].astype(np.float64)
    own[..., :2] = np.where(labelled[..., None], np.stack(moved(xy[..., 0], xy[..., 1]), -1), 0)
    x0, y0, width, height = np.moveaxis(people.bbox[there].astype(np.float64), 1, 0)[..., None]
    x0, y0 = x0 - 0.5, y0 - 0.5
    x1, y1 = x0 + width, y0 + height
    corners = np.stack([np.concatenate(moved(x, y), -1) for x, y in ((x0, y0), (x1, y0), (x0, y1), (x1, y1))])
    low, high = corners.min(0), corners.max(0)
    joints, visible, bbox = people.joints.copy(), people.visible.copy(), people.bbox.copy()
    joints[there], bbox[there] = own, np.concatenate([low + 0.5, high - low], -1)
    mirrored = np.flatnonzero(determinant < 0)
    swap = np.asarray(skeleton.flip)
    joints[mirrored], visible[mirrored] = joints[mirrored][:, :, swap], visible[mirrored][:, :, swap]
    area, head_px = people.area * scale.astype(np.float32), people.head_px * (scale**0.5).astype(np.float32)
    return people._replace(joints=joints, visible=visible, area=area, bbox=bbox, head_px=head_px)
