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
def find_peaks(
    heatmap: NDArray[np.float32], threshold: float, nms: int, cells: NDArray[np.int64], scores: NDArray[np.float32]
) -> int:
    """Fill cells (M, 2) as (u, v) and scores (M,) with the M greatest peaks; return how many there are.

    Ties keep scan order, in a window (so a plateau is one peak) and in the list.
    """
    (height, width), half, room, n = heatmap.shape, nms // 2, len(cells), 0
    limit = np.float32(threshold)
    for v in range(height):
        high = 0
        for u in range(width):  # a sum, not a search: sixteen cells a step
            high += heatmap[v, u] >= limit
        if high == 0:
            continue
        for u in range(width):
            value = heatmap[v, u]
            if not value >= limit or (n == room and value <= scores[n - 1]):
                continue
            # On a slope one of these four says no, and the window need not be seen.
            if half > 0 and (
                (u + 1 < width and heatmap[v, u + 1] > value)
                or (u > 0 and heatmap[v, u - 1] >= value)
                or (v + 1 < height and heatmap[v + 1, u] > value)
                or (v > 0 and heatmap[v - 1, u] >= value)
            ):
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
