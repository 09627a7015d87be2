"""Cells that belong to one person: whoever has the smallest key there, the distance to the anchor or the area.

Cells go to persons row by row, straight into the maps, in whole blocks of columns: beyond a neighbourhood all stays as
it was. Whoever meets an equal key is counted, and rows with such cells are averaged afterwards, over those whose key is
the smallest.

Letters: v row, u column of cells; the key of row v lies in place v % R of (R, W).
"""

from __future__ import annotations

import numpy as np

from spmdata.kernels.apart import ACROSS, COUNT, KEY, PLANE_X, PLANE_Y, read, whole_blocks, write
from spmdata.kernels.jit import jit_part, jit_step
from spmdata.kernels.rules import TOWARDS
from spmdata.kernels.sums import NUMBER_Z, SLOPES, average_deep, spread_x, sum_flat


@jit_step
def claim_row(plane_x, plane_y, count, key, v, left, right, first, last, x, dv2, near, size, across, value_y):  # type: ignore[no-untyped-def]
    """Write one person's (x, y) on columns first to last of row v where nobody has a smaller key or the same.

    Count those who have the same. Within left to right, as in `sums.write_row`.
    """
    slot = v & np.uint64(len(key) - 1)
    for u in range(np.uint64(left), np.uint64(right)):
        inside = (np.int32(first) <= np.int32(u)) & (np.int32(u) <= np.int32(last))
        column = np.float64(np.int64(u))
        rank, held = near * ((column - x) * (column - x) + dv2) + size, read(key, slot, u, KEY)
        x_there, y_there = read(plane_x, v, u, PLANE_X), read(plane_y, v, u, PLANE_Y)
        mine, number = read(across, 0, u, ACROSS), np.int32(read(count, v, u, COUNT))
        wins, ties = inside & (rank < held), inside & (rank == held)
        number = min(number + np.int32(1), np.int32(255)) if ties else number
        write(key, slot, u, rank if wins else held, KEY)
        write(count, v, u, np.int32(1) if wins else number, COUNT)
        write(plane_x, v, u, mine if wins else x_there, PLANE_X)
        write(plane_y, v, u, value_y if wins else y_there, PLANE_Y)


@jit_step
def claim_deep(planes, count_z, key, v, first, last, x, dv2, near, size, tip_z, deep, units):  # type: ignore[no-untyped-def]
    """Write one person's z, the last plane, there, or nothing when it is not known; before the key is."""
    known, value, slot, column = np.uint8(deep), np.float32(tip_z * (1 / units[2])), v & (len(key) - 1), float(first)
    for u in range(np.uint64(first), np.uint64(last + 1)):
        if near * ((column - x) * (column - x) + dv2) + size < key[slot, u]:
            count_z[v, u], planes[len(planes) - 1, v, u] = known, value
        column += 1.0


@jit_step
def claim_key(count, key, v, first, last, x, dv2, near, size):  # type: ignore[no-untyped-def]
    """Keep the key and count alone, where (x, y) are not drawn."""
    slot, column = v & (len(key) - 1), float(first)
    for u in range(np.uint64(first), np.uint64(last + 1)):
        rank, held = near * ((column - x) * (column - x) + dv2) + size, key[slot, u]
        if rank < held:
            key[slot, u], count[v, u] = rank, 1
        elif rank == held:
            count[v, u] = min(count[v, u] + 1, 255)
        column += 1.0


@jit_step
def join(key, sums, v, first, last, x, dv2, near, size, tip, slope, deep):  # type: ignore[no-untyped-def]
    """Add one person's vectors where nobody has a smaller key."""
    slot, column = v & (len(key) - 1), float(first)
    for u in range(np.uint64(first), np.uint64(last + 1)):
        if near * ((column - x) * (column - x) + dv2) + size == key[slot, u]:
            sums[0, u] += tip[0]
            sums[1, u] += tip[1]
            sums[2, u] += 1.0
            sums[3, u] += slope
            if deep:
                sums[4, u] += tip[2]
                sums[5, u] += 1.0
        column += 1.0


@jit_part
def claim_disc(  # type: ignore[no-untyped-def]
    planes, axis, count, count_z, key, p, x, y, near, size, tip, slope, has_depth, units, firsts, lasts, edges, across
):
    """Claim all cells of a person's neighbourhood."""
    top, per_y, width = edges[p, 0], 1 / units[1], count.shape[1]
    left, right = whole_blocks(edges[p, 2], edges[p, 3], 8, width)
    plane_x, plane_y = planes[0], planes[min(1, len(planes) - 1)]
    if axis == 0:
        spread_x(across, left, right, tip[0], slope, 1 / units[0])
    start, end, side_by_side = left, right, count.strides[1] == count.itemsize
    for v in range(np.uint64(top), np.uint64(edges[p, 1] + 1)):
        row = np.float64(np.int64(v))
        first, last, dv2 = firsts[p, v - np.uint64(top)], lasts[p, v - np.uint64(top)], (row - y) * (row - y)
        if count_z.size > 0:
            tip_z = tip[2] if has_depth[p] else 0.0
            claim_deep(planes, count_z, key, v, first, last, x, dv2, near, size, tip_z, has_depth[p], units)
        if axis == 0:
            value_y = np.float32((tip[1] - slope * row) * per_y)
            if not side_by_side:
                start, end = first, last + 1
            claim_row(
                plane_x, plane_y, count, key, v, start, end, first, last, x, dv2, near, size, across, value_y
            )  # fmt: skip
        else:
            claim_key(count, key, v, first, last, x, dv2, near, size)


@jit_part
def join_row(key, sums, v, k, who, near, area, anchors, tips, modes, has_depth, firsts, lasts, edges):  # type: ignore[no-untyped-def]
    """Add the vectors of all who have the smallest key on cells of a row."""
    for p in who:
        top, slope = edges[p, 0], 1.0 if modes[p, k] == TOWARDS else 0.0
        if not top <= v <= edges[p, 1]:
            continue
        x, dv2 = anchors[p, k, 0], (v - anchors[p, k, 1]) * (v - anchors[p, k, 1])
        size = 0.0 if near > 0 else np.float64(area[p])
        deep = has_depth[p] and len(sums) > NUMBER_Z
        join(key, sums, v, firsts[p, v - top], lasts[p, v - top], x, dv2, near, size, tips[p, k], slope, deep)


@jit_part
def draw_claims(  # type: ignore[no-untyped-def]
    planes, axis, count, count_z, k, lowest, highest, who, near, area, anchors, tips, modes, has_depth,
    units, firsts, lasts, edges, starting, following, hull, steps, sums, key, across,
):  # fmt: skip
    """Draw a joint down the map: the claims of those who start on a row, then the averages of its tied cells."""
    height, width = count.shape
    for v in range(lowest, highest + 2):
        # Whole blocks of 8 columns, as of means: beyond the hull nobody is, count is 0 and the key infinite.
        left, right, p, tied = hull[0, v] & -8, min(hull[1, v] | 7, width - 1), starting[v], 0
        starting[v], hull[0, v], hull[1, v] = -1, width, -1
        while p >= 0:
            x, y, size = anchors[p, k, 0], anchors[p, k, 1], 0.0 if near > 0 else np.float64(area[p])
            slope, tip = 1.0 if modes[p, k] == TOWARDS else 0.0, tips[p, k]
            claim_disc(
                planes, axis, count, count_z, key, p, x, y, near, size, tip, slope, has_depth, units,
                firsts, lasts, edges, across,
            )  # fmt: skip
            p = following[p]
        if v < height:
            for u in range(np.uint64(left), np.uint64(right + 1)):
                tied += count[v, u] > 1
        if tied > 0:
            join_row(key, sums, v, k, who, near, area, anchors, tips, modes, has_depth, firsts, lasts, edges)
            if axis == 0:
                sum_flat(planes, count, v, left, right, sums, steps[0], SLOPES, units)  # of no steps
            if count_z.size > 0:
                average_deep(planes, count_z, v, left, right, sums, units)
            for c in range(len(sums)):
                for u in range(np.uint64(left), np.uint64(right + 1)):
                    sums[c, u] = 0.0
        slot = v & (len(key) - 1)
        for u in range(np.uint64(left), np.uint64(right + 1)):
            key[slot, u] = np.inf
