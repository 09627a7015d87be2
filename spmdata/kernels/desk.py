"""Scratch for the joints of a row: whose neighbourhood lies where, and what is gathered on the way down a map.

Letters: P people, H, W cells; p person, v row, u column; R rows, C numbers that are summed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spmdata.kernels.past import on_line


class Desk(NamedTuple):
    """Scratch for one joint after the other.

    firsts and lasts (P, R): each person's neighbourhood, the rows of each column or the columns of each row; it lies in
    the rows edges[p, 0] to edges[p, 1] and columns edges[p, 2] to edges[p, 3], for the anchor placed[p, :2], by row
    where placed[p, 2] says so. who (P or more,): all who have the joint; points (2, P or more): their anchors. company
    (P,): how many are near each, himself too. starting (H + 1,): a person whose neighbourhood starts on a row, or -1;
    following (P,): the next, or the other of a pair. hull (2, H + 1): between which columns a row may change. across
    (1, W): x of one person or a pair. Of the next R rows, v in place v % R: steps (R, C, W), what is added there; key
    (R, W), the smallest key on a cell. sums (C, W): on this row. Between joints all is as it was: one desk serves call
    after call, by the same rules and on maps of the same size.
    """

    firsts: NDArray[np.int64]
    lasts: NDArray[np.int64]
    edges: NDArray[np.int64]
    placed: NDArray[np.float64]
    who: NDArray[np.int64]
    points: NDArray[np.float64]
    starting: NDArray[np.int64]
    following: NDArray[np.int64]
    hull: NDArray[np.int64]
    steps: NDArray[np.float64]
    sums: NDArray[np.float64]
    key: NDArray[np.float64]
    company: NDArray[np.int64]
    across: NDArray[np.float32]


def full(shape: tuple[int, ...], value: float) -> NDArray[np.float64]:
    """Return an array of one value that starts on a line: vectors of eight numbers then lie in one line each."""
    array = on_line(shape, np.float64)
    array[...] = value
    return array


def new_desk(people: int, height: int, width: int, axes: int, reach: float) -> Desk:
    """Return scratch for that many people on such a map, for neighbourhoods that reach so far, in cells."""
    rows, channels, window = int(min(2 * reach + 3, max(height, width))), 4 if axes == 2 else 6, 1
    while window < rows + 2:
        window *= 2
    hull = np.full((2, height + 1), -1, np.int64)
    hull[0] = width
    return Desk(
        firsts=np.empty((people, (rows | 7) + 1), np.int64),
        lasts=np.empty((people, (rows | 7) + 1), np.int64),
        edges=np.empty((people, 4), np.int64),
        placed=np.full((people, 3), np.nan),
        who=np.empty((people | 7) + 1, np.int64),
        points=np.empty((2, (people | 7) + 1)),
        starting=np.full(height + 1, -1, np.int64),
        following=np.empty(people, np.int64),
        hull=hull,
        # Eight columns more: rows of 4,096 bytes would all lie in the same few places of the first-level cache.
        steps=full((window, channels, width + 8), 0.0),
        sums=full((channels, width), 0.0),
        key=full((window, width), np.inf),
        company=np.empty(people, np.int64),
        across=on_line((1, width), np.float32),
    )
