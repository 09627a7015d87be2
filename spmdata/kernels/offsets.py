"""Vectors round each joint's parent: one loop for flat and hierarchical, 2D and 3D, every overlap rule.

The map is drawn from top to bottom: under ``mean`` by `sums`, under the other rules by `claims`. Under ``mean`` those
who meet nobody, or one other, need no sums: they are written at once, after the others.

Letters: P people, K joints, D axes, H, W cells; p person, k joint, v row, u column. Lengths in cells, float64 until
stored. The loops over u are written for the compiler: unsigned, so that no index can count from the end, and few arrays
in a loop; together with names of their own for arrays they are several times as fast as the plain form.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spmdata.kernels.claims import draw_claims
from spmdata.kernels.desk import Desk
from spmdata.kernels.discs import spread
from spmdata.kernels.jit import jit_lean, jit_part, jit_step
from spmdata.kernels.past import write_joint
from spmdata.kernels.rules import NEAREST, NOTHING, TOWARDS, Rules
from spmdata.kernels.sums import NUMBER, SLOPES, draw_means, write_few
from spmdata.kernels.tables import Links
from spmdata.kernels.zeros import zero

#: With so many others near on average, one person in twenty is alone, and to look for them takes more than it saves.
CROWD = 3
#: Two who meet nobody else are written one after the other and then, where they meet, both: that takes no sums either.
PAIR = 2


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
    page: tuple[Any, ...],
    past: bool,
    boxes: NDArray[np.int32],
) -> None:
    """Overwrite offsets (K, D, H, W), counts and counts_z (K, H, W) with a row's people.

    boxes (P, K + 2, 4) take first and last row, first and last column of what is drawn of each joint, on maps that are
    empty already; with boxes of nobody the maps are emptied first, or written ``past`` the caches from a `Page`.

    The first plane of each joint is axis ``axis`` of the vectors; units (3,) is what each axis is divided by. On a cell
    the persons of the smallest key are averaged: the key is 0 for everybody under ``mean``, the distance to the anchor
    under ``nearest``, the area under ``smallest``; so exact ties are averaged whatever the rule, and the order of
    people never matters. area (P,) is None under ``mean``, and there has_depth (P,) in 2D: what a spec does not ask for
    is then not compiled either.
    """
    (height, width), remember = counts.shape[1:], len(boxes) > 0
    # A name for each array: taking one out of its tuple costs an atomic count of references, each time.
    firsts, lasts, edges, placed, who, points, starting, following, hull, steps, sums, key, company, across = desk
    page_planes, page_count, page_count_z, busy = page
    _, _, anchors, tips, modes, _, _, _, _ = links
    near, wide = 1.0 if rules.overlap == NEAREST else 0.0, 2 * rules.reach
    for i in range(len(offsets)):
        k, planes, count, count_z = first_joint + i, offsets[i], counts[i], counts_z[i]
        if past:
            planes, count, count_z = page_planes, page_count, page_count_z
        elif not remember:  # joint by joint, so that the planes are still in cache when they are drawn on
            zero(planes)
            zero(count)
            if has_depth is not None:
                zero(count_z)
        number = gather(who, points, anchors, modes, k, people)
        full = number * 4 * wide * wide > CROWD * height * width
        if area is None and not full:
            meet(who, points, number, wide, company, following, people)
        if remember:
            for p in range(people):
                boxes[p, k, 1] = -1
        # As many slopes as persons, unless there are constants; a literal would be a type of its own, compiled too.
        lowest, highest, slopes, top, bottom = height, -1, np.int64(NUMBER), height, np.int64(-1)
        for i_who in range(number):
            p, few = who[i_who], area is not None
            if area is None and not full:
                few = company[p] == 1 or (company[p] == PAIR and company[following[p]] == PAIR)
            by_row = 1.0 if few else 0.0
            place(firsts, lasts, edges, placed, p, points[0, i_who], points[1, i_who], by_row, height, width, rules)
            if past:
                top, bottom = min(top, edges[p, 0]), max(bottom, edges[p, 1])
                for v in range(np.uint64(edges[p, 0]), np.uint64(edges[p, 1] + 1)):
                    busy[v] = True
            if remember:
                for side in range(4):
                    boxes[p, k, side] = edges[p, side]
            if area is None and by_row > 0:
                continue
            slopes = slopes if modes[p, k] == TOWARDS else np.int64(SLOPES)
            lowest, highest = min(lowest, edges[p, 0]), max(highest, edges[p, 1])
            enlist(starting, following, hull, edges, p)
        if area is None:
            draw_means(
                planes, axis, count, count_z, k, lowest, highest, slopes, tips, modes, has_depth, units,
                firsts, lasts, edges, starting, following, hull, steps, sums,
            )  # fmt: skip
            for p in who[:number]:  # after the sums, which leave zeros between persons
                if placed[p, 2] > 0:
                    for other in (p, following[p]):
                        if other <= p:
                            write_few(
                                planes, axis, count, count_z, p, other, k, tips, modes, has_depth, units,
                                firsts, lasts, edges, across,
                            )  # fmt: skip
        else:
            draw_claims(
                planes, axis, count, count_z, k, lowest, highest, who[:number], near, area, anchors, tips, modes,
                has_depth, units, firsts, lasts, edges, starting, following, hull, steps, sums, key, across,
            )  # fmt: skip
        if past:
            write_joint(offsets[i], counts[i], counts_z[i], (planes, count, count_z), busy, top, bottom)


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
        hull[0, v], hull[1, v] = min(hull[0, v], left), max(hull[1, v], right)


@jit_lean
def gather(
    who: NDArray[np.int64],
    points: NDArray[np.float64],
    anchors: NDArray[np.float64],
    modes: NDArray[np.uint8],
    k: int,
    people: int,
) -> int:
    """Fill who and points with all who have joint k and their anchors, up to a whole block of 8 nowhere.

    Return how many they are. All are written, and the next one in the same place where one has it not: no processor
    guesses who.
    """
    number = 0
    for p in range(people):
        who[number], points[0, number], points[1, number] = p, anchors[p, k, 0], anchors[p, k, 1]
        number += modes[p, k] != NOTHING
    for i in range(number, ((number - 1) | 7) + 1):
        who[i], points[0, i], points[1, i] = 0, np.nan, np.nan
    return number


@jit_step
def meet(who, points, number, wide, company, following, people):  # type: ignore[no-untyped-def]
    """Fill company (P,) with how many points are near each person's and, of two, following (P,) with the other person.

    Near are those at most ``wide`` from it on either axis, its own too. Who is alone is followed by nobody below him.
    """
    for j in range(number):
        near, persons, p, x, y = 0, np.int64(0), who[j], points[0, j], points[1, j]
        for i in range(np.uint64((number - 1) | 7) + np.uint64(1)):
            here = (abs(points[0, i] - x) <= wide) & (abs(points[1, i] - y) <= wide)
            near += here
            persons += who[i] if here else np.int64(0)
        company[p], following[p] = near, persons - p if near == PAIR else people
