"""Which reads of a perfect walk meet cells of other persons: what overlap costs, person by person.

Letters: P people, K joints; p, q persons, k joint, v row, u column of cells.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spmdata.kernels.discs import covers
from spmdata.kernels.jit import jit_inner
from spmdata.kernels.rules import NOTHING, TOWARDS, Rules
from spmdata.kernels.tables import Links, Tree


@jit_inner
def collide(
    visible: NDArray[np.uint8],
    links: Links,
    tree: Tree,
    rules: Rules,
    height: int,
    width: int,
    slack: float,
    cells: NDArray[np.int64],
    read: NDArray[np.bool_],
    direct: NDArray[np.bool_],
    path: NDArray[np.bool_],
) -> None:
    """Fill cells (P, K, 2) as (u, v), and read, direct and path, (P, K) bool each.

    ``read``: the walk reads this joint's map on its way to a labelled joint; ``cells``: there. ``direct``: another
    person covers a cell for that joint that the walk may read when the point it stands on is off by ``slack`` cells.
    ``path``: this read or one before it collides, or the joint was dropped.
    """
    parents, order, modes, anchors = tree.parents, tree.order, links.modes, links.anchors
    stand = np.empty((len(parents), 2), np.float64)
    for p in range(len(visible)):
        read[p], direct[p], path[p] = False, False, False
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
            lost = visible[p, k] > 0 and modes[p, k] == NOTHING
            # Half-way between two cells the walk may read either: all that lie within the slack must be this person's.
            for i_u in range(2):
                u = min(max(math.floor(x + (2 * i_u - 1) * slack + 0.5), 0), width - 1)
                for i_v in range(2):
                    v = min(max(math.floor(y + (2 * i_v - 1) * slack + 0.5), 0), height - 1)
                    for q in range(len(visible)):
                        if modes[q, k] != NOTHING:
                            covered = covers(anchors[q, k, 0], anchors[q, k, 1], u, v, rules)
                            direct[p, k] |= covered and q != p
                            lost |= not covered and q == p
            path[p, k] = direct[p, k] or lost or (a >= 0 and path[p, a])
