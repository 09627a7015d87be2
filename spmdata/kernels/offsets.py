"""Vectors round each joint's parent: one loop for flat and hierarchical, 2D and 3D, every overlap rule.

A joint of few people who meet nobody is written at once. Otherwise the map is drawn from top to bottom: under ``mean``
by `sums`, under the other rules by `claims`.

Letters: P people, K joints, D axes, H, W cells; p person, k joint, v row, u column. Lengths in cells, float64 until
stored. The loops over u are written for the compiler: unsigned, so that no index can count from the end, and few arrays
in a loop; together with names of their own for arrays they are several times as fast as the plain form.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spmdata.kernels.claims import draw_claims
from spmdata.kernels.desk import Desk
from spmdata.kernels.discs import spread
from spmdata.kernels.jit import jit_lean, jit_part
from spmdata.kernels.rules import NEAREST, NOTHING, TOWARDS, Rules
from spmdata.kernels.sums import NUMBER, SLOPES, draw_means, write_alone
from spmdata.kernels.tables import Links

#: People of a row, at most, whose neighbourhoods are compared in pairs: those who meet nobody need no sums.
FEW = 8


@jit_lean
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
    units: tuple[float, float, float],
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
    people never matters. area (P,) is None under ``mean``, and there has_depth (P,) in 2D: what a spec does not ask for
    is then not compiled either.
    """
    (height, width), remember = counts.shape[1:], len(boxes) > 0
    # A name for each array: taking one out of its tuple costs an atomic count of references, each time.
    firsts, lasts, edges, placed, starting, following, hull, steps, sums, key = desk
    _, _, anchors, tips, modes, _ = links
    near, alone = 1.0 if rules.overlap == NEAREST else 0.0, False
    for i in range(len(offsets)):
        k, planes, count, count_z = first_joint + i, offsets[i], counts[i], counts_z[i]
        if not remember:  # joint by joint, so that the planes are still in cache when they are drawn on
            planes[:] = 0
            count[:] = 0
            if has_depth is not None:
                count_z[:] = 0
        if area is None:
            alone = are_apart(anchors, modes, k, people, rules)
        # As many slopes as persons, unless there are constants; a literal would be a type of its own, compiled too.
        lowest, highest, slopes = height, -1, np.int64(NUMBER)
        for p in range(people):
            if remember:
                boxes[p, k, 1] = -1
            if modes[p, k] == NOTHING:
                continue
            by_row = 1.0 if area is not None or alone else 0.0
            place(firsts, lasts, edges, placed, p, anchors[p, k, 0], anchors[p, k, 1], by_row, height, width, rules)
            if remember:
                for side in range(4):
                    boxes[p, k, side] = edges[p, side]
            if area is None and alone:
                write_alone(planes, axis, count, count_z, p, k, tips, modes, has_depth, units, firsts, lasts, edges)
                continue
            slopes = slopes if modes[p, k] == TOWARDS else np.int64(SLOPES)
            lowest, highest = min(lowest, edges[p, 0]), max(highest, edges[p, 1])
            enlist(starting, following, hull, edges, p)
        if area is None:
            draw_means(
                planes, axis, count, count_z, k, lowest, highest, slopes, tips, modes, has_depth, units,
                firsts, lasts, edges, starting, following, hull, steps, sums,
            )  # fmt: skip
        else:
            draw_claims(
                planes, axis, count, count_z, k, lowest, highest, people, near, area, anchors, tips, modes, has_depth,
                units, firsts, lasts, edges, starting, following, hull, sums, key,
            )  # fmt: skip


@jit_part
def place(firsts, lasts, edges, placed, p, x, y, by_row, height, width, rules):  # type: ignore[no-untyped-def]
    """Fill a person's ends and edges for the anchor (x, y), unless they are those of the joint before."""
    if x != placed[p, 0] or y != placed[p, 1] or by_row != placed[p, 2]:
        placed[p, 0], placed[p, 1], placed[p, 2] = x, y, by_row
        if by_row == 0:
            x, y, height, width = y, x, width, height
        top, bottom, left, right = spread(x, y, height, width, rules, firsts[p], lasts[p])
        if by_row == 0:
            top, bottom, left, right = left, right, top, bottom
        edges[p, 0], edges[p, 1], edges[p, 2], edges[p, 3] = top, bottom, left, right


@jit_part
def enlist(starting, following, hull, edges, p):  # type: ignore[no-untyped-def]
    """Note on which row a person starts, and widen the hull of all his rows and of the one below."""
    top, bottom, left, right = edges[p, 0], edges[p, 1], edges[p, 2], edges[p, 3]
    following[p], starting[top] = starting[top], p
    for v in range(np.uint64(top), np.uint64(bottom + 2)):
        hull[v, 0], hull[v, 1] = min(hull[v, 0], left), max(hull[v, 1], right)


@jit_lean
def are_apart(anchors: NDArray[np.float64], modes: NDArray[np.uint8], k: int, people: int, rules: Rules) -> bool:
    """Return whether a joint's few people surely share no cell; of many nobody asks."""
    if people > FEW:
        return False
    wide = 2 * rules.reach
    for p in range(people):
        for q in range(p if modes[p, k] != NOTHING else 0):
            apart = max(abs(anchors[p, k, 0] - anchors[q, k, 0]), abs(anchors[p, k, 1] - anchors[q, k, 1])) > wide
            if modes[q, k] != NOTHING and not apart:
                return False
    return True
