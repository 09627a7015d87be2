"""Vectors round each joint's parent: one loop for flat and hierarchical, 2D and 3D, every overlap rule.

A row of cells that one person has is written at once. Where persons meet, the whole row is drawn again from sums: so
the common case needs no accumulators, and a crowd needs them for one row at a time.

Letters: P people, K joints, D axes, H, W cells; p person, k joint, d axis, v row, u column. Lengths in cells, float64
until stored.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spmdata.kernels.discs import reach_of, spread
from spmdata.kernels.jit import jit
from spmdata.kernels.rules import NEAREST, NOTHING, SMALLEST, TOWARDS, Rules
from spmdata.kernels.tables import Links


class Desk(NamedTuple):
    """Scratch for one joint after the other; meeting and number are 0 between them.

    spans (P, R, 2) columns of each person's neighbourhood, from row edges[p, 0] to edges[p, 1], for the anchor
    placed (P, 2); persons (H, P): number (H,) persons on a row, between the columns of hull (H, 2); meeting (H,):
    some of them share a cell, or may.
    sums (3, W), covering and deep (W,), key (W,): of one row; columns (W,): u as float64.
    """

    spans: NDArray[np.int64]
    edges: NDArray[np.int64]
    placed: NDArray[np.float64]
    persons: NDArray[np.int64]
    number: NDArray[np.int64]
    hull: NDArray[np.int64]
    meeting: NDArray[np.bool_]
    sums: NDArray[np.float64]
    covering: NDArray[np.float64]
    deep: NDArray[np.float64]
    key: NDArray[np.float64]
    columns: NDArray[np.float64]


@jit
def new_desk(people: int, height: int, width: int, rules: Rules) -> Desk:
    """Return scratch for that many people on such a map."""
    rows = min(height, 2 * int(reach_of(rules)) + 3)
    return Desk(
        np.empty((people, rows, 2), np.int64),
        np.empty((people, 2), np.int64),
        np.full((people, 2), np.nan),
        np.empty((height, people), np.int64),
        np.zeros(height, np.int64),
        np.empty((height, 2), np.int64),
        np.zeros(height, np.bool_),
        np.empty((3, width), np.float64),
        np.empty(width, np.float64),
        np.empty(width, np.float64),
        np.empty(width, np.float64),
        np.arange(width).astype(np.float64),
    )


@jit
def draw_joint(
    planes: NDArray[np.float32],
    axis: int,
    count: NDArray[np.uint8],
    count_z: NDArray[np.uint8],
    k: int,
    people: int,
    links: Links,
    area: NDArray[np.float32],
    has_depth: NDArray[np.bool_],
    units: NDArray[np.float64],
    rules: Rules,
    desk: Desk,
) -> None:
    """Draw joint k of a row's people on planes (D, H, W), count and count_z (H, W), all zero so far.

    The first plane is axis ``axis`` of the vectors; units (3,) is what each axis is divided by. On a cell the persons
    of the smallest key are averaged: the key is 0 for everybody under ``mean``, the distance to the anchor under
    ``nearest``, the area under ``smallest``; so exact ties are averaged whatever the rule, and the order of people
    never matters.
    """
    height, width = count.shape
    lowest, highest = height, -1
    for p in range(people):
        if links.modes[p, k] == NOTHING:
            continue
        x, y = links.anchors[p, k]
        if x != desk.placed[p, 0] or y != desk.placed[p, 1]:
            desk.placed[p, 0], desk.placed[p, 1] = x, y
            desk.edges[p, 0], desk.edges[p, 1] = spread(x, y, height, width, rules, desk.spans[p])
        top, bottom = desk.edges[p]
        lowest, highest = min(lowest, top), max(highest, bottom)
        for v in range(top, bottom + 1):
            first, last = desk.spans[p, v - top]
            if first > last:
                continue
            n = desk.number[v]
            desk.persons[v, n] = p
            desk.number[v] = n + 1
            if n == 0:
                desk.hull[v, 0], desk.hull[v, 1] = first, last
            else:
                desk.meeting[v] |= first <= desk.hull[v, 1] and last >= desk.hull[v, 0]
                desk.hull[v, 0] = min(desk.hull[v, 0], first)
                desk.hull[v, 1] = max(desk.hull[v, 1], last)
            if not desk.meeting[v]:
                write_row(planes, axis, count, count_z, v, first, last, k, p, links, has_depth[p], units, desk)
    for v in range(lowest, highest + 1):
        if desk.meeting[v]:
            sum_row(v, len(planes), axis, k, links, area, has_depth, rules, desk)
            settle_row(planes, axis, count, count_z, v, units, desk)
        desk.number[v], desk.meeting[v] = 0, False


@jit
def write_row(
    planes: NDArray[np.float32],
    axis: int,
    count: NDArray[np.uint8],
    count_z: NDArray[np.uint8],
    v: int,
    first: int,
    last: int,
    k: int,
    p: int,
    links: Links,
    has_depth: bool,
    units: NDArray[np.float64],
    desk: Desk,
) -> None:
    """Write the vectors of one person on the columns first to last of row v."""
    for u in range(first, last + 1):
        count[v, u] = 1
    towards = links.modes[p, k] == TOWARDS
    for i in range(len(planes)):
        d = axis + i
        tip, per_unit = links.tips[p, k, d], 1 / units[d]
        if d == 0 and towards:
            for u in range(first, last + 1):
                planes[i, v, u] = (tip - desk.columns[u]) * per_unit
        elif d < 2 or has_depth:
            value = (tip - v if d == 1 and towards else tip) * per_unit
            for u in range(first, last + 1):
                planes[i, v, u] = value
        if d == 2 and has_depth:
            for u in range(first, last + 1):
                count_z[v, u] = 1


@jit
def sum_row(
    v: int,
    axes: int,
    axis: int,
    k: int,
    links: Links,
    area: NDArray[np.float32],
    has_depth: NDArray[np.bool_],
    rules: Rules,
    desk: Desk,
) -> None:
    """Add up the vectors of everybody on row v: of each cell's smallest key alone."""
    left, right = desk.hull[v]
    desk.sums[:, left : right + 1] = 0
    desk.covering[left : right + 1], desk.deep[left : right + 1] = 0, 0
    desk.key[left : right + 1] = np.inf
    for i in range(desk.number[v]):
        p = desk.persons[v, i]
        first, last = desk.spans[p, v - desk.edges[p, 0]]
        x, y = links.anchors[p, k]
        towards = 1.0 if links.modes[p, k] == TOWARDS else 0.0
        near = 1.0 if rules.overlap == NEAREST else 0.0
        size = np.float64(area[p]) if rules.overlap == SMALLEST else 0.0
        depth = 1.0 if has_depth[p] else 0.0
        tip_x, tip_y, tip_z = links.tips[p, k, 0], links.tips[p, k, 1] - towards * v, links.tips[p, k, 2] * depth
        for u in range(first, last + 1):
            du, dv = desk.columns[u] - x, v - y
            rank = near * (du * du + dv * dv) + size
            keep = 0.0 if rank < desk.key[u] else 1.0
            add = 1.0 if rank <= desk.key[u] else 0.0
            desk.key[u] = min(rank, desk.key[u])
            desk.covering[u] = keep * desk.covering[u] + add
            desk.deep[u] = keep * desk.deep[u] + add * depth
            desk.sums[0, u] = keep * desk.sums[0, u] + add * (tip_x - towards * desk.columns[u])
            desk.sums[1, u] = keep * desk.sums[1, u] + add * tip_y
            desk.sums[2, u] = keep * desk.sums[2, u] + add * tip_z


@jit
def settle_row(
    planes: NDArray[np.float32],
    axis: int,
    count: NDArray[np.uint8],
    count_z: NDArray[np.uint8],
    v: int,
    units: NDArray[np.float64],
    desk: Desk,
) -> None:
    """Write the averages of row v; cells of nobody become 0 again."""
    left, right = desk.hull[v]
    for u in range(left, right + 1):
        count[v, u] = min(desk.covering[u], 255.0)
    for i in range(len(planes)):
        d = axis + i
        if d == 2:
            for u in range(left, right + 1):
                count_z[v, u] = min(desk.deep[u], 255.0)
        number = desk.deep if d == 2 else desk.covering
        for u in range(left, right + 1):
            planes[i, v, u] = desk.sums[d, u] * (1 / (max(number[u], 1.0) * units[d]))
