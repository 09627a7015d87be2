"""Cells that belong to one person: whoever has the smallest key there, the distance to the anchor or the area.

Cells go to persons row by row, straight into the maps. Whoever meets an equal key is counted, and rows with such cells
are averaged afterwards, over those whose key is the smallest.

Letters: v row, u column of cells; the key of row v lies in place v % R of (R, W).
"""

from __future__ import annotations

import numpy as np

from spmdata.kernels.jit import jit_inline


@jit_inline
def claim_flat(planes, count, key, v, first, last, x, dv2, near, size, tip_x, slope, tip_y, units):  # type: ignore[no-untyped-def]
    """Write one person's (x, y) where nobody has a smaller key or the same; count those who have the same."""
    per_x, value_y, slot, column = 1 / units[0], np.float32(tip_y * (1 / units[1])), v & (len(key) - 1), float(first)
    for u in range(np.uint64(first), np.uint64(last + 1)):
        rank, held = near * ((column - x) * (column - x) + dv2) + size, key[slot, u]
        value_x, wins = np.float32((tip_x - slope * column) * per_x), rank < held
        key[slot, u] = min(rank, held)
        count[v, u] = 1 if wins else min(count[v, u] + (rank == held), 255)
        planes[0, v, u] = value_x if wins else planes[0, v, u]
        planes[1, v, u] = value_y if wins else planes[1, v, u]
        column += 1.0


@jit_inline
def claim_deep(planes, count_z, key, v, first, last, x, dv2, near, size, tip_z, deep, units):  # type: ignore[no-untyped-def]
    """Write one person's z, the last plane, there, or nothing when it is not known; before the key is."""
    known, value, slot, column = np.uint8(deep), np.float32(tip_z * (1 / units[2])), v & (len(key) - 1), float(first)
    for u in range(np.uint64(first), np.uint64(last + 1)):
        wins = near * ((column - x) * (column - x) + dv2) + size < key[slot, u]
        count_z[v, u] = known if wins else count_z[v, u]
        planes[len(planes) - 1, v, u] = value if wins else planes[len(planes) - 1, v, u]
        column += 1.0


@jit_inline
def claim_key(count, key, v, first, last, x, dv2, near, size):  # type: ignore[no-untyped-def]
    """Keep the key and count alone, where (x, y) are not drawn."""
    slot, column = v & (len(key) - 1), float(first)
    for u in range(np.uint64(first), np.uint64(last + 1)):
        rank, held = near * ((column - x) * (column - x) + dv2) + size, key[slot, u]
        key[slot, u] = min(rank, held)
        count[v, u] = 1 if rank < held else min(count[v, u] + (rank == held), 255)
        column += 1.0


@jit_inline
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
