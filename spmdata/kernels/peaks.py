"""Local maxima of a root heatmap, best first.

Letters: v row, u column of cells.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spmdata.kernels.jit import jit_lean


@jit_lean
def is_peak(heatmap: NDArray[np.float32], v: int, u: int, half: int) -> bool:
    """Return whether no cell of the window is greater, and no equal one comes earlier in scan order."""
    value = heatmap[v, u]
    for y in range(max(0, v - half), min(len(heatmap), v + half + 1)):
        for x in range(max(0, u - half), min(heatmap.shape[1], u + half + 1)):
            earlier = y < v or (y == v and x < u)
            if heatmap[y, x] > value or (earlier and heatmap[y, x] == value):
                return False
    return True


@jit_lean
def mark(heatmap: NDArray[np.float32], v: int, limit: np.float32, half: int, marks: NDArray[np.bool_]) -> bool:
    """Mark (W,) the cells of a row that may be peaks: at least ``limit``, and no slope; return whether there are any.

    On a slope one of four neighbours says no, and the window need not be seen. All cells are asked, not one after the
    other until something is found: so the compiler asks sixteen at a time.
    """
    height, width, found = len(heatmap), heatmap.shape[1], False
    for u in range(np.uint64(width)):
        found |= heatmap[v, u] >= limit
    if not found:
        return False
    if half == 0 or v == 0 or v == height - 1:
        for u in range(np.uint64(width)):
            marks[u] = heatmap[v, u] >= limit
        return True
    marks[0], marks[width - 1] = heatmap[v, 0] >= limit, heatmap[v, width - 1] >= limit
    found = bool(marks[0] or marks[width - 1])
    for u in range(np.uint64(1), np.uint64(width - 1)):
        value = heatmap[v, u]
        slope = (heatmap[v, u + np.uint64(1)] > value) | (heatmap[v, u - np.uint64(1)] >= value)
        slope |= (heatmap[v + 1, u] > value) | (heatmap[v - 1, u] >= value)
        high = (value >= limit) & (not slope)
        marks[u] = high
        found |= high
    return found


@jit_lean
def find_peaks(
    heatmap: NDArray[np.float32],
    threshold: float,
    nms: int,
    cells: NDArray[np.int64],
    scores: NDArray[np.float32],
    marks: NDArray[np.bool_],
) -> int:
    """Fill cells (M, 2) as (u, v) and scores (M,) with the M greatest peaks; return how many there are.

    marks (W,) is scratch. Ties keep scan order, in a window (so a plateau is one peak) and in the list.
    """
    (height, width), half, room, n = heatmap.shape, nms // 2, len(cells), 0
    limit = np.float32(threshold)
    for v in range(height):
        if not mark(heatmap, v, limit, half, marks):
            continue
        for u in range(width):
            value = heatmap[v, u]
            if not marks[u] or (n == room and value <= scores[n - 1]):
                continue
            if not is_peak(heatmap, v, u, half):
                continue
            i = min(n, room - 1)
            n = min(n + 1, room)
            while i > 0 and scores[i - 1] < value:
                scores[i], cells[i, 0], cells[i, 1] = scores[i - 1], cells[i - 1, 0], cells[i - 1, 1]
                i -= 1
            scores[i], cells[i, 0], cells[i, 1] = value, u, v
    return n
