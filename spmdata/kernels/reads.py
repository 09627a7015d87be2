"""Which reads of a perfect walk meet cells of other persons: what overlap costs, person by person.

Letters: P people, K joints; p, q persons, k joint, v row, u column of cells.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spmdata.kernels.discs import covers
from spmdata.kernels.jit import jit_lean
from spmdata.kernels.rules import MEAN, NOTHING, TOWARDS, Rules
from spmdata.kernels.tables import Links, Tree


@jit_lean
def meet(
    p: int,
    k: int,
    x: float,
    y: float,
    slack: float,
    links: Links,
    has_depth: NDArray[np.bool_],
    rules: Rules,
    height: int,
    width: int,
) -> tuple[bool, bool, bool]:
    """Return whether the cells that p may read of k from (x, y) are others' too, their depths', and not all p's own.

    Half-way between two cells the walk may read either: all that lie within the slack must be this person's.
    """
    shared, mixed, outside = False, False, False
    for i_u in range(2):
        u = min(max(math.floor(x + (2 * i_u - 1) * slack + 0.5), 0), width - 1)
        for i_v in range(2):
            v = min(max(math.floor(y + (2 * i_v - 1) * slack + 0.5), 0), height - 1)
            for q in range(len(has_depth)):
                if links.modes[q, k] != NOTHING:
                    covered = covers(links.anchors[q, k, 0], links.anchors[q, k, 1], u, v, rules)
                    outside |= not covered and q == p
                    if covered and q != p:
                        shared = True
                        mixed |= has_depth[p] and (has_depth[q] or rules.overlap != MEAN)
    return shared, mixed, outside


@jit_lean
def collide(
    visible: NDArray[np.uint8],
    has_depth: NDArray[np.bool_],
    links: Links,
    tree: Tree,
    rules: Rules,
    height: int,
    width: int,
    slack: float,
    stand: NDArray[np.float64],
    cells: NDArray[np.int64],
    read: NDArray[np.bool_],
    direct: NDArray[np.bool_],
    path: NDArray[np.bool_],
    mixed: NDArray[np.bool_],
) -> None:
    """Fill cells (P, K, 2) as (u, v), read, direct and path, (P, K) bool each, and mixed (P, K + 1).

    ``read``: the walk reads this joint's map on its way to a labelled joint; ``cells``: there. ``direct``: another
    person covers a cell for that joint that the walk may read when the point it stands on is off by ``slack`` cells.
    ``path``: this read or one before it collides, or the joint was dropped. ``mixed``, of people with depth:
    another one with depth covers such a cell, or just another one where he alone may own it; the last is root_depth's.
    stand (K, 2) is scratch.
    """
    parents, order, modes = tree.parents, tree.order, links.modes
    for p in range(len(visible)):
        read[p], direct[p], path[p], mixed[p] = False, False, False, False
        if not links.drawn[p]:
            continue
        for i in range(len(order) - 1, -1, -1):
            k = order[i]
            read[p, k] = read[p, k] or visible[p, k] > 0
            if read[p, k] and parents[k] >= 0:
                read[p, parents[k]] = True
        for i in range(len(order)):
            k = order[i]
            if not read[p, k]:
                continue
            a = parents[k]
            x, y = links.roots[p, 0], links.roots[p, 1]
            if a >= 0 and not rules.anchor_root:
                x, y = stand[a, 0], stand[a, 1]
            u = min(max(math.floor(x + 0.5), 0), width - 1)
            v = min(max(math.floor(y + 0.5), 0), height - 1)
            cells[p, k, 0], cells[p, k, 1] = u, v
            stand[k, 0], stand[k, 1] = x, y  # an absent joint's map is zero here: the walk stays on the cell
            if modes[p, k] == TOWARDS:
                stand[k, 0], stand[k, 1] = links.tips[p, k, 0], links.tips[p, k, 1]
            direct[p, k], mixed[p, k], outside = meet(p, k, x, y, slack, links, has_depth, rules, height, width)
            lost = outside or (visible[p, k] > 0 and modes[p, k] == NOTHING)
            path[p, k] = direct[p, k] or lost or (a >= 0 and path[p, a])
        x, y, _ = links.roots[p]
        k = len(parents)
        mixed[p, k] = meet(p, k, x, y, slack, links, has_depth, rules, height, width)[1]
