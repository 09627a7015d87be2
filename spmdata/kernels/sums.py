"""What one row of a joint's map takes: one person's vectors, or the averages of several.

The average of ``tip - cell`` over the persons on a cell is the average of their tips, less the cell. So a person adds
his tip at the top of each column of his neighbourhood and takes it away below its bottom, and what is summed down the
map holds the tips of all who cover a cell: two steps a column, not a sum a cell. Tips are rounded to a grid on which
sums are exact: what was added goes away without a trace, and the order of people never matters.

Letters: v row, u column of cells; c what is summed; R rows of steps, those of row v in place v % R. Lengths in cells,
float64 until stored.
"""

from __future__ import annotations

import numpy as np

from spmdata.kernels.apart import (
    ACROSS,
    COUNT,
    PLANE_X,
    PLANE_Y,
    STEPS_NUMBER,
    STEPS_X,
    STEPS_Y,
    SUMS_NUMBER,
    SUMS_SLOPES,
    SUMS_X,
    SUMS_Y,
    read,
    whole_blocks,
    write,
)
from spmdata.kernels.jit import jit_lean, jit_part, jit_step
from spmdata.kernels.rules import TOWARDS

#: Tips are rounded to the multiples of 1 / GRID cells: sums up to 2^29 cells are exact in float64.
GRID = 2.0**24

#: What is summed: tips, persons, those whose vectors are tip - cell and not constant; dz, and persons with depth.
X, Y, NUMBER, SLOPES, Z, NUMBER_Z = range(6)


@jit_step
def spread_x(across, left, right, tip_x, slope, per_x):  # type: ignore[no-untyped-def]
    """Fill a row's x, the same on every row."""
    for u in range(np.uint64(left), np.uint64(right)):
        write(across, 0, u, (tip_x - slope * np.float64(np.int64(u))) * per_x, ACROSS)


@jit_step
def write_row(plane_x, plane_y, count, v, left, right, first, last, across, value_y, number):  # type: ignore[no-untyped-def]
    """Write (x, y) and how many persons they are of on columns first to last of row v, within left to right.

    Rows of a neighbourhood are as long as its longest: where each is as long as it is, the processor guesses wrongly
    when it ends. What else is there is written back, or left alone where vectors have masks.
    """
    for u in range(np.uint64(left), np.uint64(right)):
        inside = (np.int32(first) <= np.int32(u)) & (np.int32(u) <= np.int32(last))
        x, y, n = read(plane_x, v, u, PLANE_X), read(plane_y, v, u, PLANE_Y), read(count, v, u, COUNT)
        mine = read(across, 0, u, ACROSS)
        write(plane_x, v, u, mine if inside else x, PLANE_X)
        write(plane_y, v, u, value_y if inside else y, PLANE_Y)
        write(count, v, u, number if inside else n, COUNT)


@jit_step
def write_deep(planes, count_z, v, first, last, value, number):  # type: ignore[no-untyped-def]
    """Write z, the last plane, of as many persons."""
    for u in range(np.uint64(first), np.uint64(last + 1)):
        count_z[v, u] = number
        planes[len(planes) - 1, v, u] = value


@jit_lean
def on_grid(tip: float) -> float:
    """Round a tip so that sums are exact."""
    return float(np.floor(tip * GRID + 0.5) / GRID)


@jit_step
def step_flat(steps, firsts, lasts, p, edges, tip_x, tip_y):  # type: ignore[no-untyped-def]
    """Add a person's (x, y) at the top of each column of his cells, take it away below."""
    left, places = np.uint64(edges[p, 2]), len(steps) - 1
    for i in range(np.uint64(edges[p, 3] + 1 - edges[p, 2])):
        u, start, end = left + i, np.uint64(firsts[p, i] & places), np.uint64((lasts[p, i] + 1) & places)
        steps[start, X, u] += tip_x
        steps[start, Y, u] += tip_y
        steps[start, NUMBER, u] += 1.0
        steps[end, X, u] -= tip_x
        steps[end, Y, u] -= tip_y
        steps[end, NUMBER, u] -= 1.0


@jit_step
def step(steps, c, firsts, lasts, p, edges, value):  # type: ignore[no-untyped-def]
    """Do the same with one number."""
    left, places = np.uint64(edges[p, 2]), len(steps) - 1
    for i in range(np.uint64(edges[p, 3] + 1 - edges[p, 2])):
        steps[np.uint64(firsts[p, i] & places), c, left + i] += value
        steps[np.uint64((lasts[p, i] + 1) & places), c, left + i] -= value


@jit_step
def go_down(sums, steps, slot, first, last, left, right):  # type: ignore[no-untyped-def]
    """Add a row's steps, of the numbers first to last, and empty them."""
    for c in range(first, last + 1):
        for u in range(np.uint64(left), np.uint64(right + 1)):
            sums[c, u] += steps[slot, c, u]
            steps[slot, c, u] = 0.0


@jit_step
def clear(sums):  # type: ignore[no-untyped-def]
    """Empty the sums, which are 0 already, unless a tip beyond 2^29 cells came and went: it took others' with it."""
    for c in range(len(sums)):
        for u in range(np.uint64(sums.shape[1])):
            sums[c, u] = 0.0


@jit_step
def sum_flat(planes, count, v, left, right, sums, steps, slopes, units):  # type: ignore[no-untyped-def]
    """Add a row's steps (C, W) of (x, y) and persons, empty them, and write the averages."""
    per_x, per_y, row, all_slope = 1 / units[0], 1 / units[1], np.float64(v), 1.0 if slopes == NUMBER else 0.0
    plane_x, plane_y = planes[0], planes[1]
    for u in range(np.uint64(left), np.uint64(right + 1)):
        x = read(sums, X, u, SUMS_X) + read(steps, X, u, STEPS_X)
        y = read(sums, Y, u, SUMS_Y) + read(steps, Y, u, STEPS_Y)
        number = read(sums, NUMBER, u, SUMS_NUMBER) + read(steps, NUMBER, u, STEPS_NUMBER)
        write(sums, X, u, x, SUMS_X)
        write(sums, Y, u, y, SUMS_Y)
        write(sums, NUMBER, u, number, SUMS_NUMBER)
        write(steps, X, u, 0.0, STEPS_X)
        write(steps, Y, u, 0.0, STEPS_Y)
        write(steps, NUMBER, u, 0.0, STEPS_NUMBER)
        slope = all_slope * number + read(sums, SLOPES, u, SUMS_SLOPES)
        share = min(number, 1.0) / max(number, 1.0)  # 0 where nobody is, whatever a far tip left
        write(count, v, u, np.int64(min(number, 255.0)), COUNT)
        write(plane_x, v, u, (x - slope * np.float64(np.int64(u))) * share * per_x, PLANE_X)
        write(plane_y, v, u, (y - slope * row) * share * per_y, PLANE_Y)


@jit_step
def average_deep(planes, count_z, v, left, right, sums, units):  # type: ignore[no-untyped-def]
    """Write the averages of z, the last plane."""
    per_z = 1 / units[2]
    for u in range(np.uint64(left), np.uint64(right + 1)):
        share = min(sums[NUMBER_Z, u], 1.0) / max(sums[NUMBER_Z, u], 1.0)
        count_z[v, u] = np.int64(min(sums[NUMBER_Z, u], 255.0))
        planes[len(planes) - 1, v, u] = sums[Z, u] * share * per_z


@jit_part
def write_few(planes, axis, count, count_z, p, q, k, tips, modes, has_depth, units, firsts, lasts, edges, across):  # type: ignore[no-untyped-def]
    """Write the averages of two persons where they meet, or the vectors of one, q = p: halves, so just those of sums.

    Tips are rounded as in sums: a far person changes nobody's vectors.
    """
    top, bottom = max(edges[p, 0], edges[q, 0]), min(edges[p, 1], edges[q, 1])
    left, right = max(edges[p, 2], edges[q, 2]), min(edges[p, 3], edges[q, 3])
    slope = 0.5 * (np.float64(modes[p, k] == TOWARDS) + np.float64(modes[q, k] == TOWARDS))
    tip_x = 0.5 * (on_grid(tips[p, k, 0]) + on_grid(tips[q, k, 0]))
    tip_y = 0.5 * (on_grid(tips[p, k, 1]) + on_grid(tips[q, k, 1]))
    number, width, per_y = np.uint8(1 if p == q else 2), count.shape[1], 1 / units[1]
    deep = has_depth is not None and has_depth[p] and has_depth[q]
    if left <= right:
        left, right = whole_blocks(left, right, 16, width)
        plane_x, plane_y = planes[0], planes[min(1, len(planes) - 1)]  # a root's depth is drawn as a third axis alone
        if axis == 0:
            spread_x(across, left, right, tip_x, slope, 1 / units[0])
        start, end, side_by_side = left, right, count.strides[1] == count.itemsize
        for v in range(np.uint64(top), np.uint64(bottom + 1)):
            i, j = v - np.uint64(edges[p, 0]), v - np.uint64(edges[q, 0])
            first, last = max(firsts[p, i], firsts[q, j]), min(lasts[p, i], lasts[q, j])
            if not side_by_side:  # each cell of a row lies on a line of its own
                start, end = first, max(first, last + 1)
            if axis == 0:
                value_y = np.float32((tip_y - slope * np.float64(np.int64(v))) * per_y)
                write_row(plane_x, plane_y, count, v, start, end, first, last, across, value_y, number)
            if deep:
                tip_z = 0.5 * (on_grid(tips[p, k, 2]) + on_grid(tips[q, k, 2]))
                write_deep(planes, count_z, v, first, last, np.float32(tip_z * (1 / units[2])), number)


@jit_part
def draw_means(  # type: ignore[no-untyped-def]
    planes, axis, count, count_z, k, lowest, highest, slopes, tips, modes, has_depth, units,
    firsts, lasts, edges, starting, following, hull, steps, sums,
):  # fmt: skip
    """Draw a joint down the map: the steps of those who start on a row, then its sums and averages."""
    height, width = count.shape
    for v in range(lowest, highest + 2):  # one row more, on which the last columns have ended
        # Whole blocks of 8 columns leave no rest to vectors; beyond the hull the sums are 0, and so is what is written.
        slot, left, right, p = v & (len(steps) - 1), hull[0, v] & -8, min(hull[1, v] | 7, width - 1), starting[v]
        starting[v], hull[0, v], hull[1, v] = -1, width, -1
        while p >= 0:
            if axis == 0:
                step_flat(steps, firsts, lasts, p, edges, on_grid(tips[p, k, 0]), on_grid(tips[p, k, 1]))
            if slopes == SLOPES and axis == 0:
                step(steps, SLOPES, firsts, lasts, p, edges, 1.0 if modes[p, k] == TOWARDS else 0.0)
            if has_depth is not None and has_depth[p]:
                step(steps, Z, firsts, lasts, p, edges, on_grid(tips[p, k, 2]))
                step(steps, NUMBER_Z, firsts, lasts, p, edges, 1.0)
            p = following[p]
        if axis == 0:
            if slopes == SLOPES:
                go_down(sums, steps, slot, SLOPES, SLOPES, left, right)
            if v < height:
                sum_flat(planes, count, v, left, right, sums, steps[slot], slopes, units)
            else:
                go_down(sums, steps, slot, X, NUMBER, left, right)
        if has_depth is not None:
            go_down(sums, steps, slot, Z, NUMBER_Z, left, right)
            if v < height:
                average_deep(planes, count_z, v, left, right, sums, units)
    if lowest <= highest:
        clear(sums)
