"""Which cells belong to a point: the neighbourhood of an anchor, row by row.

Letters: v row, u column; R rows of the largest neighbourhood. Lengths in cells.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spmdata.kernels.jit import jit
from spmdata.kernels.rules import Rules


@jit
def covers(anchor_x: float, anchor_y: float, u: int, v: int, rules: Rules) -> bool:
    """Return whether cell (u, v) belongs to the neighbourhood of an anchor; its nearest cell always does."""
    du, dv = u - anchor_x, v - anchor_y
    near = max(abs(du), abs(dv)) <= rules.tau if rules.square else du * du + dv * dv <= rules.tau
    return near or (u == math.floor(anchor_x + 0.5) and v == math.floor(anchor_y + 0.5))


@jit
def reach_of(rules: Rules) -> float:
    """Return how far a neighbourhood reaches at most; half a cell at least, to the nearest cell."""
    return max(rules.tau if rules.square else math.sqrt(rules.tau), 0.5) + 1e-6


@jit
def within(du: float, dv2: float, rules: Rules) -> bool:
    """Return whether a cell of a row is near enough; of a square's row only du decides."""
    return abs(du) <= rules.tau if rules.square else du * du + dv2 <= rules.tau


@jit
def spread(
    anchor_x: float, anchor_y: float, height: int, width: int, rules: Rules, spans: NDArray[np.int64]
) -> tuple[int, int, int, int]:
    """Fill spans (R, 2) with the first and last column of each row; return the first and last row and column of all.

    The cells of `covers`, without a test of each: both ends come from a square root, one cell on either side of them
    is tested, as a root may be rounded across a cell's centre. A row without cells has its last before its first.
    """
    reach, tau = reach_of(rules), rules.tau
    nearest_u, nearest_v = math.floor(anchor_x + 0.5), math.floor(anchor_y + 0.5)
    left, right = width, -1
    top, bottom = max(0, math.ceil(anchor_y - reach)), min(height - 1, math.floor(anchor_y + reach))
    for v in range(top, bottom + 1):
        first, last = nearest_u + 1, nearest_u
        dv, dv2 = v - anchor_y, (v - anchor_y) * (v - anchor_y)
        if not rules.square or abs(dv) <= tau:
            half = tau if rules.square else math.sqrt(max(tau - dv2, 0.0))
            first, last = math.ceil(anchor_x - half), math.floor(anchor_x + half)
            first += 0 if within(first - anchor_x, dv2, rules) else 1
            first -= 1 if within(first - 1 - anchor_x, dv2, rules) else 0
            last -= 0 if within(last - anchor_x, dv2, rules) else 1
            last += 1 if within(last + 1 - anchor_x, dv2, rules) else 0
        if v == nearest_v:
            empty = first > last
            first = nearest_u if empty else min(first, nearest_u)
            last = nearest_u if empty else max(last, nearest_u)
        first, last = max(first, 0), min(last, width - 1)
        spans[v - top, 0], spans[v - top, 1] = first, last
        left, right = min(left, first), max(right, last)
    return top, bottom, left, right
