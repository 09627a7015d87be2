"""Scratch for the joints of a row: whose neighbourhood lies where, and what is gathered on the way down a map.

Letters: P people, H, W cells; p person, v row, u column; R rows, C numbers that are summed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spmdata.kernels.discs import reach_of
from spmdata.kernels.jit import jit_inner
from spmdata.kernels.rules import Rules


class Desk(NamedTuple):
    """Scratch for one joint after the other.

    firsts and lasts (P, R): each person's neighbourhood, the rows of each column or the columns of each row; it lies in
    the rows edges[p, 0] to edges[p, 1] and columns edges[p, 2] to edges[p, 3], for the anchor placed[p, :2], by row
    where placed[p, 2] says so. points (2, P or more): the anchors of all who have the joint. starting (H + 1,): a
    person whose neighbourhood starts on a row, or -1; following (P,): the next. hull (H + 1, 2): between which columns
    a row may change. Of the next R rows, v in place v % R: steps (R, C, W), what is added there; key (R, W), the
    smallest key on a cell. sums (C, W): on this row. Between joints all is as it was.
    """

    firsts: NDArray[np.int64]
    lasts: NDArray[np.int64]
    edges: NDArray[np.int64]
    placed: NDArray[np.float64]
    points: NDArray[np.float64]
    starting: NDArray[np.int64]
    following: NDArray[np.int64]
    hull: NDArray[np.int64]
    steps: NDArray[np.float64]
    sums: NDArray[np.float64]
    key: NDArray[np.float64]


@jit_inner
def new_desk(people: int, height: int, width: int, axes: int, rules: Rules) -> Desk:
    """Return scratch for that many people on such a map."""
    reach, channels, window = int(min(2 * reach_of(rules) + 3, max(height, width))), 4 if axes == 2 else 6, 1
    while window < reach + 2:
        window *= 2
    starting, hull, key = (
        np.empty(height + 1, np.int64),
        np.empty((height + 1, 2), np.int64),
        np.empty((window, width), np.float64),
    )
    placed = np.empty((people, 3), np.float64)
    # Eight columns more: rows of 4,096 bytes would all lie in the same few places of the first-level cache.
    steps, sums = np.empty((window, channels, width + 8), np.float64), np.empty((channels, width), np.float64)
    for p in range(people):  # loops compile in a third of the time of numpy's own words
        placed[p, 0], placed[p, 1], placed[p, 2] = np.nan, np.nan, np.nan
    for v in range(height + 1):
        starting[v], hull[v, 0], hull[v, 1] = -1, width, -1
    for v in range(window):  # a loop for each array: together, neither becomes one of vectors
        for u in range(np.uint64(width)):
            key[v, u] = np.inf
        for c in range(channels):
            for u in range(np.uint64(width + 8)):
                steps[v, c, u] = 0.0
    for c in range(channels):
        for u in range(width):
            sums[c, u] = 0.0
    return Desk(
        np.empty((people, (reach | 7) + 1), np.int64),
        np.empty((people, (reach | 7) + 1), np.int64),
        np.empty((people, 4), np.int64),
        placed,
        np.empty((2, (people | 7) + 1), np.float64),
        starting,
        np.empty(people, np.int64),
        hull,
        steps,
        sums,
        key,
    )
