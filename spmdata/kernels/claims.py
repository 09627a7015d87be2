"""Cells that belong to one person: whoever has the smallest key there, the distance to the anchor or the area.

Cells go to persons row by row, straight into the maps. Whoever meets an equal key is counted, and rows with such cells
are averaged afterwards, over those whose key is the smallest.

Letters: v row, u column of cells; the key of row v lies in place v % R of (R, W).
"""

from __future__ import annotations

import numpy as np

from spmdata.kernels.jit import jit_part, jit_step
from spmdata.kernels.rules import NOTHING, TOWARDS
from spmdata.kernels.sums import NUMBER_Z, SLOPES, average_deep, sum_flat


@jit_step
def claim_flat(planes, count, key, v, first, last, x, dv2, near, size, tip_x, slope, tip_y, units):  # type: ignore[no-untyped-def]
    """Write one person's (x, y) where nobody has a smaller key or the same; count those who have the same."""
    per_x, value_y, slot, column = 1 / units[0], np.float32(tip_y * (1 / units[1])), v & (len(key) - 1), float(first)
    for u in range(np.uint64(first), np.uint64(last + 1)):
        rank, held = near * ((column - x) * (column - x) + dv2) + size, key[slot, u]
        if rank < held:
            key[slot, u], count[v, u] = rank, 1
            planes[0, v, u], planes[1, v, u] = (tip_x - slope * column) * per_x, value_y
        elif rank == held:
            count[v, u] = min(count[v, u] + 1, 255)
        column += 1.0


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
    planes, axis, count, count_z, key, p, x, y, near, size, tip, slope, has_depth, units, firsts, lasts, edges
):
    """Claim all cells of a person's neighbourhood."""
    top = edges[p, 0]
    for v in range(top, edges[p, 1] + 1):
        first, last, dv2 = firsts[p, v - top], lasts[p, v - top], (v - y) * (v - y)
        if count_z.size > 0:
            tip_z = tip[2] if has_depth[p] else 0.0
            claim_deep(planes, count_z, key, v, first, last, x, dv2, near, size, tip_z, has_depth[p], units)
        if axis == 0:
            at_y = tip[1] - slope * v
            claim_flat(planes, count, key, v, first, last, x, dv2, near, size, tip[0], slope, at_y, units)
        else:
            claim_key(count, key, v, first, last, x, dv2, near, size)


@jit_part
def join_row(key, sums, v, k, people, near, area, anchors, tips, modes, has_depth, firsts, lasts, edges):  # type: ignore[no-untyped-def]
    """Add the vectors of all who have the smallest key on cells of a row."""
    for p in range(people):
        top, slope = edges[p, 0], 1.0 if modes[p, k] == TOWARDS else 0.0
        if modes[p, k] == NOTHING or not top <= v <= edges[p, 1]:
            continue
        x, dv2 = anchors[p, k, 0], (v - anchors[p, k, 1]) * (v - anchors[p, k, 1])
        size = 0.0 if near > 0 else np.float64(area[p])
        deep = has_depth[p] and len(sums) > NUMBER_Z
        join(key, sums, v, firsts[p, v - top], lasts[p, v - top], x, dv2, near, size, tips[p, k], slope, deep)


@jit_part
def draw_claims(  # type: ignore[no-untyped-def]
    planes, axis, count, count_z, k, lowest, highest, people, near, area, anchors, tips, modes, has_depth,
    units, firsts, lasts, edges, starting, following, hull, steps, sums, key,
):  # fmt: skip
    """Draw a joint down the map: the claims of those who start on a row, then the averages of its tied cells."""
    height, width = count.shape
    for v in range(lowest, highest + 2):
        # Whole blocks of 8 columns, as of means: beyond the hull nobody is, count is 0 and the key infinite.
        left, right, p, tied = hull[v, 0] & -8, min(hull[v, 1] | 7, width - 1), starting[v], 0
        starting[v], hull[v, 0], hull[v, 1] = -1, width, -1
        while p >= 0:
            x, y, size = anchors[p, k, 0], anchors[p, k, 1], 0.0 if near > 0 else np.float64(area[p])
            slope, tip = 1.0 if modes[p, k] == TOWARDS else 0.0, tips[p, k]
            claim_disc(
                planes, axis, count, count_z, key, p, x, y, near, size, tip, slope, has_depth, units,
                firsts, lasts, edges,
            )  # fmt: skip
            p = following[p]
        if v < height:
            for u in range(np.uint64(left), np.uint64(right + 1)):
                tied += count[v, u] > 1
        if tied > 0:
            join_row(key, sums, v, k, people, near, area, anchors, tips, modes, has_depth, firsts, lasts, edges)
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
