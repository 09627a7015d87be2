"""Which cells belong to a point: the neighbourhood of an anchor, row by row.

Letters: v row, u column; R rows of the largest neighbourhood. Lengths in cells.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spmdata.kernels.jit import jit_lean
from spmdata.kernels.rules import Rules


@jit_lean
def covers(anchor_x: float, anchor_y: float, u: int, v: int, rules: Rules) -> bool:
    """Return whether cell (u, v) belongs to the neighbourhood of an anchor; its nearest cell always does."""
    du, dv = u - anchor_x, v - anchor_y
    near = max(abs(du), abs(dv)) <= rules.tau if rules.square else du * du + dv * dv <= rules.tau
    return near or (u == math.floor(anchor_x + 0.5) and v == math.floor(anchor_y + 0.5))


@jit_lean
def spread(
    anchor_x: float,
    anchor_y: float,
    height: int,
    width: int,
    rules: Rules,
    firsts: NDArray[np.int64],
    lasts: NDArray[np.int64],
) -> tuple[int, int, int, int]:
    """Fill firsts and lasts (R,) with the ends of each row; return the first and last row and column of all.

    The cells of `covers`, without a test of each: both ends come from a square root, one cell on either side of them
    is tested, as a root may be rounded across a cell's centre. A row without cells has its last just before its first.
    Whole blocks of 8 rows are filled, so that vectors leave no rest.
    """
    reach, tau, limit = rules.reach, rules.tau, np.float64(width)
    top, bottom = max(0, math.ceil(anchor_y - reach)), min(height - 1, math.floor(anchor_y + reach))
    for i in range(np.uint64((bottom - top) | 7) + np.uint64(1)):
        dv = np.float64(top + np.int64(i)) - anchor_y
        dv2 = dv * dv
        half = math.sqrt(max(tau - dv2, 0.0))
        first, last = np.ceil(anchor_x - half), np.floor(anchor_x + half)
        before, after = first - 1, last + 1
        first = first if (first - anchor_x) * (first - anchor_x) + dv2 <= tau else first + 1
        first = before if (before - anchor_x) * (before - anchor_x) + dv2 <= tau else first
        last = last if (last - anchor_x) * (last - anchor_x) + dv2 <= tau else last - 1
        last = after if (after - anchor_x) * (after - anchor_x) + dv2 <= tau else last
        first = min(max(first, 0.0), limit)
        firsts[i], lasts[i] = np.int64(first), np.int64(max(min(last, limit - 1), first - 1))
    if rules.square:
        first, last = math.ceil(anchor_x - tau), math.floor(anchor_x + tau)
        first += int(anchor_x - first > tau) - int(anchor_x - (first - 1) <= tau)
        last += int(last + 1 - anchor_x <= tau) - int(last - anchor_x > tau)
        first, last = max(first, 0), min(last, width - 1)
        for i in range(bottom - top + 1):
            firsts[i], lasts[i] = first, last if abs(top + i - anchor_y) <= tau else first - 1
    i, u = math.floor(anchor_y + 0.5) - top, math.floor(anchor_x + 0.5)
    empty = firsts[i] > lasts[i]
    firsts[i], lasts[i] = u if empty else min(u, firsts[i]), u if empty else max(u, lasts[i])
    return top, bottom, max(0, math.ceil(anchor_x - reach)), min(width - 1, math.floor(anchor_x + reach))
