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
def spread(
    anchor_x: float, anchor_y: float, height: int, width: int, rules: Rules, spans: NDArray[np.int64]
) -> tuple[int, int]:
    """Fill spans (R, 2) with the first and last column of each row; return the first and last row.

    A row without cells has its last column before its first. The root of a sum may round across a cell's centre, so
    the ends of a row are found by `covers`.
    """
    reach = reach_of(rules)
    top, bottom = max(0, math.ceil(anchor_y - reach)), min(height - 1, math.floor(anchor_y + reach))
    for v in range(top, bottom + 1):
        dv = v - anchor_y
        half = math.sqrt(max(rules.tau - dv * dv, 0.0))
        if rules.square:
            half = rules.tau if abs(dv) <= rules.tau else 0.0
        first, last = math.ceil(anchor_x - half), math.floor(anchor_x + half)
        if covers(anchor_x, anchor_y, first - 1, v, rules):
            first -= 1
        elif not covers(anchor_x, anchor_y, first, v, rules):
            first += 1
        if covers(anchor_x, anchor_y, last + 1, v, rules):
            last += 1
        elif not covers(anchor_x, anchor_y, last, v, rules):
            last -= 1
        spans[v - top, 0], spans[v - top, 1] = max(first, 0), min(last, width - 1)
    return top, bottom
