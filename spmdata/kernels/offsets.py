"""Vectors round each joint's parent: one loop for flat and hierarchical, 2D and 3D, every overlap rule.

A joint of few people who meet nobody is written at once. Otherwise the map is drawn from top to bottom: under ``mean``
by `sums`, under the other rules by `claims`.

Letters: P people, K joints, D axes, H, W cells; p person, k joint, v row, u column. Lengths in cells, float64 until
stored. The loops over u are written for the compiler: unsigned, so that no index can count from the end, and few arrays
in a loop; together with names of their own for arrays they are several times as fast as the plain form.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spmdata.kernels.claims import claim_deep, claim_flat, claim_key, join
from spmdata.kernels.discs import reach_of, spread
from spmdata.kernels.jit import jit_inner
from spmdata.kernels.rules import NEAREST, NOTHING, TOWARDS, Rules
from spmdata.kernels.sums import (
    NUMBER,
    NUMBER_Z,
    SLOPES,
    X,
    Z,
    average_deep,
    average_flat,
    go_down,
    on_grid,
    step,
    step_flat,
    write_deep,
    write_flat,
)
from spmdata.kernels.tables import Links

#: People of a row, at most, whose neighbourhoods are compared in pairs: those who meet nobody need no sums.
FEW = 8


class Desk(NamedTuple):
    """Scratch for one joint after the other.

    firsts and lasts (P, R): each person's neighbourhood, the rows of each column under ``mean``, else the columns of
    each row; it lies in the rows edges[p, 0] to edges[p, 1] and columns edges[p, 2] to edges[p, 3], for the anchor
    placed (P, 2). starting (H + 1,): a person whose neighbourhood starts on a row, or -1; following (P,): the next.
    hull (H + 1, 2): between which columns a row may change. Of the next R rows, v in place v % R: steps (R, C, W), what
    is added there; key (R, W), the smallest key on a cell. sums (C, W): on this row. Between joints all is as it was.
    """

    firsts: NDArray[np.int64]
    lasts: NDArray[np.int64]
    edges: NDArray[np.int64]
    placed: NDArray[np.float64]
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
    starting, hull, key = np.empty(height + 1, np.int64), np.empty((height + 1, 2), np.int64), np.empty((window, width))
    placed = np.empty((people, 3), np.float64)
    for p in range(people):  # loops compile in a third of the time of numpy's own words
        placed[p, 0], placed[p, 1], placed[p, 2] = np.nan, np.nan, np.nan
    for v in range(height + 1):
        starting[v], hull[v, 0], hull[v, 1] = -1, width, -1
    for v in range(window):
        for u in range(width):
            key[v, u] = np.inf
    return Desk(
        np.empty((people, (reach | 7) + 1), np.int64),
        np.empty((people, (reach | 7) + 1), np.int64),
        np.empty((people, 4), np.int64),
        placed,
        starting,
        np.empty(people, np.int64),
        hull,
        np.zeros((window, channels, width), np.float64),
        np.zeros((channels, width), np.float64),
        key,
    )


@jit_inner
def draw_joints(
    offsets: NDArray[np.float32],
    axis: int,
    counts: NDArray[np.uint8],
    counts_z: NDArray[np.uint8],
    first_joint: int,
    people: int,
    links: Links,
    area: NDArray[np.float32] | None,
    has_depth: NDArray[np.bool_] | None,
    units: NDArray[np.float64],
    rules: Rules,
    desk: Desk,
    boxes: NDArray[np.int32],
) -> None:
    """Overwrite offsets (K, D, H, W), counts and counts_z (K, H, W) with a row's people.

    boxes (P, K + 2, 4) take first and last row, first and last column of what is drawn of each joint, on maps that are
    empty already; with boxes of nobody the maps are emptied first.

    The first plane of each joint is axis ``axis`` of the vectors; units (3,) is what each axis is divided by. On a cell
    the persons of the smallest key are averaged: the key is 0 for everybody under ``mean``, the distance to the anchor
    under ``nearest``, the area under ``smallest``; so exact ties are averaged whatever the rule, and the order of
    people never matters. area (P,) is None under ``mean`` and has_depth (P,) in 2D: what a spec does not ask for is
    then not compiled either.
    """
    (height, width), remember = counts.shape[1:], len(boxes) > 0
    # A name for each array: taking one out of its tuple costs an atomic count of references, each time.
    firsts, lasts, edges, placed, starting, following, hull, steps, sums, key = desk
    _, _, anchors, tips, modes = links
    near, deep, alone = 1.0 if rules.overlap == NEAREST else 0.0, False, False
    for i in range(len(offsets)):
        k, planes, count, count_z = first_joint + i, offsets[i], counts[i], counts_z[i]
        if not remember:  # joint by joint, so that the planes are still in cache when they are drawn on
            planes[:] = 0
            count[:] = 0
            count_z[:] = 0
        if area is None:
            alone = are_apart(anchors, modes, k, people, rules)
        lowest, highest, slopes = height, -1, NUMBER  # as many slopes as persons, unless there are constants
        for p in range(people):
            if remember:
                boxes[p, k, 1] = -1
            if modes[p, k] == NOTHING:
                continue
            x, y, by_row = anchors[p, k, 0], anchors[p, k, 1], 1.0
            if area is None:
                by_row = 1.0 if alone else 0.0
            if x != placed[p, 0] or y != placed[p, 1] or by_row != placed[p, 2]:
                placed[p, 0], placed[p, 1], placed[p, 2] = x, y, by_row
                if by_row > 0:
                    top, bottom, left, right = spread(x, y, height, width, rules, firsts[p], lasts[p])
                else:
                    left, right, top, bottom = spread(y, x, width, height, rules, firsts[p], lasts[p])
                edges[p, 0], edges[p, 1], edges[p, 2], edges[p, 3] = top, bottom, left, right
            top, bottom, left, right = edges[p, 0], edges[p, 1], edges[p, 2], edges[p, 3]
            if remember:
                boxes[p, k, 0], boxes[p, k, 1], boxes[p, k, 2], boxes[p, k, 3] = top, bottom, left, right
            if area is None and alone:  # on the grid of the sums, so that a far person changes nobody's vectors
                slope = 1.0 if modes[p, k] == TOWARDS else 0.0
                tip_x, tip_y = on_grid(tips[p, k, 0]), on_grid(tips[p, k, 1])
                for v in range(top, bottom + 1):
                    first, last = firsts[p, v - top], lasts[p, v - top]
                    if axis == 0:
                        write_flat(planes, count, v, first, last, tip_x, slope, tip_y - slope * v, units)
                    if has_depth is not None and has_depth[p]:
                        write_deep(planes, count_z, v, first, last, on_grid(tips[p, k, 2]), units)
                continue
            lowest, highest = min(lowest, top), max(highest, bottom)
            slopes = slopes if modes[p, k] == TOWARDS else SLOPES
            following[p], starting[top] = starting[top], p
            for v in range(np.uint64(top), np.uint64(bottom + 2)):
                hull[v, 0], hull[v, 1] = min(hull[v, 0], left), max(hull[v, 1], right)
        for v in range(lowest, highest + 2):  # one row more, on which the last columns have ended
            slot, left, right, averaged = v & (len(key) - 1), hull[v, 0], hull[v, 1], v < height
            p = starting[v]
            starting[v], hull[v, 0], hull[v, 1] = -1, width, -1
            while p >= 0:
                slope, tip_x, tip_y = 1.0 if modes[p, k] == TOWARDS else 0.0, tips[p, k, 0], tips[p, k, 1]
                if has_depth is not None:
                    deep = has_depth[p]
                if area is None:
                    if axis == 0:
                        step_flat(steps, firsts, lasts, p, edges, on_grid(tip_x), on_grid(tip_y))
                    if slopes == SLOPES and axis == 0:
                        step(steps, SLOPES, firsts, lasts, p, edges, slope)
                    if has_depth is not None and deep:
                        step(steps, Z, firsts, lasts, p, edges, on_grid(tips[p, k, 2]))
                        step(steps, NUMBER_Z, firsts, lasts, p, edges, 1.0)
                else:
                    x, y, size = anchors[p, k, 0], anchors[p, k, 1], 0.0 if near > 0 else np.float64(area[p])
                    for w in range(v, edges[p, 1] + 1):
                        first, last, dv2, at_y = firsts[p, w - v], lasts[p, w - v], (w - y) * (w - y), tip_y - slope * w
                        if has_depth is not None:
                            tip_z = tips[p, k, 2] if deep else 0.0
                            claim_deep(planes, count_z, key, w, first, last, x, dv2, near, size, tip_z, deep, units)
                        if axis == 0:
                            claim_flat(
                                planes, count, key, w, first, last, x, dv2, near, size, tip_x, slope, at_y, units
                            )
                        else:
                            claim_key(count, key, w, first, last, x, dv2, near, size)
                p = following[p]
            if area is None:
                if axis == 0:
                    go_down(sums, steps, slot, X, slopes, left, right)
                if has_depth is not None:
                    go_down(sums, steps, slot, Z, NUMBER_Z, left, right)
            else:
                tied = 0
                if v < height:
                    for u in range(np.uint64(left), np.uint64(right + 1)):
                        tied += count[v, u] > 1
                averaged = tied > 0
                for p in range(people if averaged else 0):
                    top, slope = edges[p, 0], 1.0 if modes[p, k] == TOWARDS else 0.0
                    if has_depth is not None:
                        deep = has_depth[p]
                    if modes[p, k] != NOTHING and top <= v <= edges[p, 1]:
                        x, dv2 = anchors[p, k, 0], (v - anchors[p, k, 1]) * (v - anchors[p, k, 1])
                        first, last, size = (
                            firsts[p, v - top],
                            lasts[p, v - top],
                            0.0 if near > 0 else np.float64(area[p]),
                        )
                        join(key, sums, v, first, last, x, dv2, near, size, tips[p, k], slope, deep)
                for u in range(np.uint64(left), np.uint64(right + 1)):
                    key[slot, u] = np.inf
                slopes = SLOPES
            if averaged:
                if axis == 0:
                    average_flat(planes, count, v, left, right, sums, slopes, units)
                if has_depth is not None:
                    average_deep(planes, count_z, v, left, right, sums, units)
                if area is not None:
                    for c in range(len(sums)):
                        for u in range(np.uint64(left), np.uint64(right + 1)):
                            sums[c, u] = 0.0


@jit_inner
def are_apart(anchors: NDArray[np.float64], modes: NDArray[np.uint8], k: int, people: int, rules: Rules) -> bool:
    """Return whether a joint's few people surely share no cell; of many nobody asks."""
    if people > FEW:
        return False
    wide = 2 * reach_of(rules)
    for p in range(people):
        for q in range(p if modes[p, k] != NOTHING else 0):
            apart = max(abs(anchors[p, k, 0] - anchors[q, k, 0]), abs(anchors[p, k, 1] - anchors[q, k, 1])) > wide
            if modes[q, k] != NOTHING and not apart:
                return False
    return True
