"""Vectors round each joint's parent: one loop for flat and hierarchical, 2D and 3D, every overlap rule.

The cells of one person on a row, the common case, are written at once. A row on which persons meet is written again
from sums, which stay in the nearest cache.

Letters: P people, K joints, D axes, H, W cells; p person, k joint, d axis, v row, u column. Lengths in cells, float64
until stored. The loops over u are written for the compiler: unsigned, so that no index can count from the end, and all
arrays in one loop; together with names of their own for arrays they are 3 times as fast as the plain form.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spmdata.kernels.discs import reach_of, spread
from spmdata.kernels.jit import jit, jit_inline
from spmdata.kernels.rules import MEAN, NEAREST, NOTHING, TOWARDS, Rules
from spmdata.kernels.tables import Links


class Desk(NamedTuple):
    """Scratch for one joint after the other.

    spans (P, R, 2): the columns of each person's neighbourhood, from row edges[p, 0] to edges[p, 1] and between the
    columns edges[p, 2] and edges[p, 3], for the anchor placed (P, 2). persons (H, P), the first number (H,) of them:
    who is on a row, between the columns of hull (H, 2); meeting (H,): some share a cell, or may. Between joints the
    rows are empty. sums (3, W), covering, deep and key (W,): of one row.
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


@jit
def new_desk(people: int, height: int, width: int, rules: Rules) -> Desk:
    """Return scratch for that many people on such a map."""
    rows = min(height, 2 * int(reach_of(rules)) + 3)
    placed, hull = np.empty((people, 2), np.float64), np.empty((height, 2), np.int64)
    for p in range(people):  # loops compile in a third of the time of numpy's own words
        placed[p, 0], placed[p, 1] = np.nan, np.nan
    for v in range(height):
        hull[v, 0], hull[v, 1] = width, -1
    return Desk(
        np.empty((people, rows, 2), np.int64),
        np.empty((people, 4), np.int64),
        placed,
        np.empty((height, people), np.int64),
        np.zeros(height, np.int64),
        hull,
        np.zeros(height, np.bool_),
        np.empty((3, width), np.float64),
        np.empty(width, np.float64),
        np.empty(width, np.float64),
        np.empty(width, np.float64),
    )


@jit
def draw_joints(
    offsets: NDArray[np.float32],
    axis: int,
    counts: NDArray[np.uint8],
    counts_z: NDArray[np.uint8],
    first_joint: int,
    people: int,
    links: Links,
    area: NDArray[np.float32],
    has_depth: NDArray[np.bool_],
    units: NDArray[np.float64],
    rules: Rules,
    desk: Desk,
    boxes: NDArray[np.int32],
) -> None:
    """Overwrite offsets (K, D, H, W), counts and counts_z (K, H, W) with a row's people.

    boxes (P, K + 2, 4) take first and last row, first and last column of what is drawn of each joint, on maps that are
    empty already; with boxes of nobody the maps are emptied first.

    The first plane of each joint is axis ``axis`` of the vectors; units (3,) is what each axis is divided by. On a cell
    the persons of the smallest key are averaged: the key is 0 for everybody under ``mean``, the distance to the anchor
    under ``nearest``, the area under ``smallest``; so exact ties are averaged whatever the rule, and the order of
    people never matters.
    """
    (height, width), remember = counts.shape[1:], len(boxes) > 0
    # A name for each array: taking one out of its tuple costs an atomic count of references, each time.
    spans, edges, placed, persons, numbers, hull, meeting, sums, covering, deep, key = desk
    _, _, anchors, tips, modes = links
    axes, ranked, near = axis + offsets.shape[1], rules.overlap != MEAN, 1.0 if rules.overlap == NEAREST else 0.0
    for i in range(len(offsets)):
        k, planes, count, count_z = first_joint + i, offsets[i], counts[i], counts_z[i]
        if not remember:  # joint by joint, so that the planes are still in cache when they are drawn on
            planes[:] = 0
            count[:] = 0
            count_z[:] = 0
        lowest, highest = height, -1
        for p in range(people):
            if remember:
                boxes[p, k, 1] = -1
            if modes[p, k] == NOTHING:
                continue
            x, y = anchors[p, k, 0], anchors[p, k, 1]
            if x != placed[p, 0] or y != placed[p, 1]:
                placed[p, 0], placed[p, 1] = x, y
                box = spread(x, y, height, width, rules, spans[p])
                edges[p, 0], edges[p, 1], edges[p, 2], edges[p, 3] = box
            top, bottom = edges[p, 0], edges[p, 1]
            if remember:
                boxes[p, k, 0], boxes[p, k, 1], boxes[p, k, 2], boxes[p, k, 3] = top, bottom, edges[p, 2], edges[p, 3]
            lowest, highest = min(lowest, top), max(highest, bottom)
            for v in range(top, bottom + 1):
                first, last, left, right = spans[p, v - top, 0], spans[p, v - top, 1], hull[v, 0], hull[v, 1]
                if first <= last:
                    persons[v, numbers[v]] = p
                    numbers[v] += 1
                    meeting[v] |= first <= right and left <= last
                    hull[v, 0], hull[v, 1] = min(left, first), max(right, last)
        for v in range(lowest, highest + 1):
            number, left, right, meet = numbers[v], hull[v, 0], hull[v, 1], meeting[v]
            numbers[v], hull[v, 0], hull[v, 1], meeting[v] = 0, width, -1, False
            if meet:
                clear_row(left, right, axes, ranked, sums, covering, deep, key)
            for j in range(number):
                p = persons[v, j]
                first, last = spans[p, v - edges[p, 0], 0], spans[p, v - edges[p, 0], 1]
                slope, depth = 1.0 if modes[p, k] == TOWARDS else 0.0, 1.0 if has_depth[p] else 0.0
                tip_x, tip_y, tip_z = tips[p, k, 0], tips[p, k, 1] - slope * v, depth * tips[p, k, 2]
                if not meet:
                    if axis == 0:
                        write_flat(planes, count, v, first, last, tip_x, slope, tip_y, units)
                    if axes == 3 and has_depth[p]:
                        write_deep(planes, count_z, v, first, last, tip_z, units)
                elif ranked:
                    x, dv2 = anchors[p, k, 0], (v - anchors[p, k, 1]) * (v - anchors[p, k, 1])
                    size = 0.0 if near > 0 else np.float64(area[p])
                    claim(first, last, x, dv2, near, size, tip_x, slope, tip_y, tip_z, depth, sums, covering, deep, key)
                else:
                    add_flat(first, last, tip_x, slope, tip_y, sums, covering)
                    if axes == 3 and has_depth[p]:
                        add_deep(first, last, tip_z, sums, deep)
            if meet and axis == 0:
                settle_flat(planes, count, v, left, right, sums, covering, units)
            if meet and axes == 3:
                settle_deep(planes, count_z, v, left, right, sums, deep, units)


@jit_inline
def clear_row(left, right, axes, ranked, sums, covering, deep, key):  # type: ignore[no-untyped-def]
    """Empty what is summed."""
    for u in range(np.uint64(left), np.uint64(right + 1)):
        sums[0, u], sums[1, u], covering[u] = 0.0, 0.0, 0.0
    if axes == 3 or ranked:
        for u in range(np.uint64(left), np.uint64(right + 1)):
            sums[2, u], deep[u], key[u] = 0.0, 0.0, np.inf


@jit_inline
def write_flat(planes, count, v, first, last, tip_x, slope, tip_y, units):  # type: ignore[no-untyped-def]
    """Write (x, y) of the only person on the columns first to last of row v."""
    per_x, value_y, column = 1 / units[0], np.float32(tip_y * (1 / units[1])), np.float64(first)
    for u in range(np.uint64(first), np.uint64(last + 1)):
        count[v, u] = 1
        planes[0, v, u] = (tip_x - slope * column) * per_x
        planes[1, v, u] = value_y
        column += 1.0


@jit_inline
def write_deep(planes, count_z, v, first, last, tip_z, units):  # type: ignore[no-untyped-def]
    """Write z, the last plane, of the only person on a row."""
    value = np.float32(tip_z * (1 / units[2]))
    for u in range(np.uint64(first), np.uint64(last + 1)):
        count_z[v, u] = 1
        planes[len(planes) - 1, v, u] = value


@jit_inline
def add_flat(first, last, tip_x, slope, tip_y, sums, covering):  # type: ignore[no-untyped-def]
    """Add one person's (x, y)."""
    column = np.float64(first)
    for u in range(np.uint64(first), np.uint64(last + 1)):
        covering[u] += 1.0
        sums[0, u] += tip_x - slope * column
        sums[1, u] += tip_y
        column += 1.0


@jit_inline
def add_deep(first, last, tip_z, sums, deep):  # type: ignore[no-untyped-def]
    """Add one person's z."""
    for u in range(np.uint64(first), np.uint64(last + 1)):
        deep[u] += 1.0
        sums[2, u] += tip_z


@jit_inline
def claim(first, last, x, dv2, near, size, tip_x, slope, tip_y, tip_z, depth, sums, covering, deep, key):  # type: ignore[no-untyped-def]
    """Add one person's vectors where nobody has a smaller key, in place of those of a greater one."""
    column = np.float64(first)
    for u in range(np.uint64(first), np.uint64(last + 1)):
        rank = near * ((column - x) * (column - x) + dv2) + size
        keep = 0.0 if rank < key[u] else 1.0
        join = 1.0 if rank <= key[u] else 0.0
        key[u] = min(rank, key[u])
        covering[u] = keep * covering[u] + join
        deep[u] = keep * deep[u] + join * depth
        sums[0, u] = keep * sums[0, u] + join * (tip_x - slope * column)
        sums[1, u] = keep * sums[1, u] + join * tip_y
        sums[2, u] = keep * sums[2, u] + join * tip_z
        column += 1.0


@jit_inline
def settle_flat(planes, count, v, left, right, sums, covering, units):  # type: ignore[no-untyped-def]
    """Write the averages of (x, y) of a row; cells of nobody become 0 again."""
    per_x, per_y = 1 / units[0], 1 / units[1]
    for u in range(np.uint64(left), np.uint64(right + 1)):
        share = 1 / max(covering[u], 1.0)
        count[v, u] = np.int64(min(covering[u], 255.0))
        planes[0, v, u] = sums[0, u] * share * per_x
        planes[1, v, u] = sums[1, u] * share * per_y


@jit_inline
def settle_deep(planes, count_z, v, left, right, sums, deep, units):  # type: ignore[no-untyped-def]
    """Write the averages of z of a row."""
    per_z = 1 / units[2]
    for u in range(np.uint64(left), np.uint64(right + 1)):
        count_z[v, u] = np.int64(min(deep[u], 255.0))
        planes[len(planes) - 1, v, u] = sums[2, u] * (1 / max(deep[u], 1.0)) * per_z
