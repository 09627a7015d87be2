"""Cells that belong to one person: whoever has the smallest key there, the distance to the anchor or the area.

Cells go to persons row by row, straight into the maps. Where keys are equal the persons are averaged: such rows are
summed afterwards, from those whose key is the smallest.

Letters: v row, u column of cells. The loops take whole blocks of columns, those beyond the person's own with a key that
is not a number: less than nothing and equal to nothing.
"""

from __future__ import annotations

import numpy as np

from spmdata.kernels.jit import jit_inline

#: Columns a block: what a vector of float64 holds at most.
BLOCK = 8


@jit_inline
def key_of(u, first, last, x, dv2, near, size):  # type: ignore[no-untyped-def]
    """Return one person's key on column u of a row."""
    column = np.float64(np.int64(u))
    rank = near * ((column - x) * (column - x) + dv2) + size
    return rank if first <= column <= last else np.nan


@jit_inline
def claim_flat(planes, count, key, v, first, last, x, dv2, near, size, tip_x, slope, tip_y, units):  # type: ignore[no-untyped-def]
    """Write one person's (x, y) where nobody has a smaller key, or an equal one."""
    per_x, slot = 1 / units[0], v & (len(key) - 1)
    value_y, start, end = np.float32((tip_y - slope * v) * (1 / units[1])), np.float64(first), np.float64(last)
    for u in range(np.uint64(first & -BLOCK), np.uint64(min(last | (BLOCK - 1), count.shape[1] - 1) + 1)):
        wins = key_of(u, start, end, x, dv2, near, size) < key[slot, u]
        value_x = np.float32((tip_x - slope * np.float64(np.int64(u))) * per_x)
        count[v, u] = 1 if wins else count[v, u]
        planes[0, v, u] = value_x if wins else planes[0, v, u]
        planes[1, v, u] = value_y if wins else planes[1, v, u]


@jit_inline
def claim_deep(planes, count_z, key, v, first, last, x, dv2, near, size, tip_z, deep, units):  # type: ignore[no-untyped-def]
    """Do the same with z, 0 of persons without depth."""
    slot, known, value, z = v & (len(key) - 1), np.uint8(deep), np.float32(tip_z * (1 / units[2])), len(planes) - 1
    start, end = np.float64(first), np.float64(last)
    for u in range(np.uint64(first & -BLOCK), np.uint64(min(last | (BLOCK - 1), count_z.shape[1] - 1) + 1)):
        wins = key_of(u, start, end, x, dv2, near, size) < key[slot, u]
        count_z[v, u] = known if wins else count_z[v, u]
        planes[z, v, u] = value if wins else planes[z, v, u]


@jit_inline
def claim(key, ties, v, first, last, x, dv2, near, size):  # type: ignore[no-untyped-def]
    """Keep the smallest keys, and count the equal ones."""
    slot, equal, start, end = v & (len(key) - 1), 0, np.float64(first), np.float64(last)
    for u in range(np.uint64(first & -BLOCK), np.uint64(min(last | (BLOCK - 1), key.shape[1] - 1) + 1)):
        rank, held = key_of(u, start, end, x, dv2, near, size), key[slot, u]
        equal += rank == held
        key[slot, u] = rank if rank < held else held
    ties[slot] += equal


@jit_inline
def join_row(key, sums, slot, first, last, x, dv2, near, size, tip_x, tip_y, slope, tip_z, deep):  # type: ignore[no-untyped-def]
    """Add one person's vectors where nobody's key is smaller."""
    for u in range(np.uint64(first), np.uint64(last + 1)):
        column = np.float64(np.int64(u))
        if near * ((column - x) * (column - x) + dv2) + size == key[slot, u]:
            sums[0, u] += tip_x
            sums[1, u] += tip_y
            sums[2, u] += 1.0
            sums[3, u] += slope
            if deep:
                sums[4, u] += tip_z
                sums[5, u] += 1.0


@jit_inline
def clear_row(key, sums, slot, left, right, ties):  # type: ignore[no-untyped-def]
    """Let the place be that of a later row."""
    for u in range(np.uint64(left), np.uint64(right + 1)):
        key[slot, u] = np.inf
    if ties[slot] > 0:
        ties[slot] = 0
        for c in range(len(sums)):
            for u in range(np.uint64(left), np.uint64(right + 1)):
                sums[c, u] = 0.0
