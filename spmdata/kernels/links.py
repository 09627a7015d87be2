"""What is drawn of each person, and round which points: roots, parents, absent ancestors.

Letters: P people, K joints, D axes; n row, p person, k joint, a ancestor, d axis. Points are (x, y[, z]).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spmdata.kernels.jit import jit_lean
from spmdata.kernels.rules import CONSTANT, DROP, NOTHING, STAY, TOWARDS, Rules
from spmdata.kernels.tables import Links, Rows, Tree


@jit_lean
def to_cell(px: float, rules: Rules) -> float:
    """Return input px in cells, both float64."""
    return (px - rules.origin_px) / rules.stride


@jit_lean
def place_roots(people: Rows, n: int, tree: Tree, rules: Rules, height: int, width: int, links: Links) -> None:
    """Fill links.roots and links.drawn: labelled, not ignored, root on the map.

    The root is the mean of the labelled joints among ``tree.rooted``, or of all labelled ones when none of those is;
    ``rules.boxed`` puts it on the centre of the box, and only its depth is that mean.
    """
    joints, visible, roots = people.joints[n], people.visible[n], links.roots
    for p in range(people.number[n]):
        labelled, chosen, roots[p, 2] = 0, 0, 0.0
        for k in range(len(tree.parents)):
            if visible[p, k] > 0:
                labelled += 1
                chosen += tree.rooted[k]
        for d in range(joints.shape[2]):
            total = 0.0
            for k in range(len(tree.parents)):
                if visible[p, k] > 0 and (tree.rooted[k] or chosen == 0):
                    total += np.float64(joints[p, k, d])
            roots[p, d] = total / max(chosen if chosen > 0 else labelled, 1)
        if rules.boxed:
            for d in range(2):
                roots[p, d] = np.float64(people.bbox[n, p, d]) + np.float64(people.bbox[n, p, 2 + d]) / 2 - 0.5
        x, y = to_cell(roots[p, 0], rules), to_cell(roots[p, 1], rules)
        roots[p, 0], roots[p, 1] = x, y
        on_map = 0 <= math.floor(x + 0.5) < width and 0 <= math.floor(y + 0.5) < height
        links.drawn[p] = labelled > 0 and not people.ignore[n, p] and on_map


@jit_lean
def mark_leading(visible: NDArray[np.uint8], tree: Tree, leading: NDArray[np.bool_]) -> None:
    """Fill leading (K,): some labelled joint hangs below this one."""
    for k in range(len(leading)):
        leading[k] = False
    for i in range(len(tree.order) - 1, -1, -1):
        k = tree.order[i]
        if tree.parents[k] >= 0 and (visible[k] > 0 or leading[k]):
            leading[tree.parents[k]] = True


@jit_lean
def resolve(people: Rows, n: int, tree: Tree, rules: Rules, height: int, width: int, links: Links) -> None:
    """Fill anchors, tips and modes of a row whose roots are placed.

    A labelled joint whose parent is not hangs from its nearest labelled ancestor; one that is not labelled keeps
    zeros there under ``stay`` when it leads to a labelled one.
    """
    joints, visible, k_all = people.joints[n], people.visible[n], len(tree.parents)
    roots, drawn, anchors, tips, modes, leading = links
    deep = joints.shape[2] == 3
    for p in range(people.number[n]):
        for k in range(k_all + 1):
            modes[p, k] = NOTHING
        if not drawn[p]:
            continue
        if rules.missing_parent == STAY:
            mark_leading(visible[p], tree, leading)
        root_x, root_y, root_z = roots[p, 0], roots[p, 1], roots[p, 2]
        for k in range(k_all):
            labelled, parent = visible[p, k] > 0, tree.parents[k]
            a = parent
            while a >= 0 and visible[p, a] == 0:
                a = tree.parents[a]
            if (not labelled and not leading[k]) or (labelled and rules.missing_parent == DROP and a != parent):
                continue
            from_x, from_y, from_z = root_x, root_y, root_z
            if a >= 0:
                from_x = to_cell(np.float64(joints[p, a, 0]), rules)
                from_y = to_cell(np.float64(joints[p, a, 1]), rules)
                from_z = np.float64(joints[p, a, 2]) if deep else 0.0
            x, y, z = from_x, from_y, from_z
            if labelled:
                x = to_cell(np.float64(joints[p, k, 0]), rules)
                y = to_cell(np.float64(joints[p, k, 1]), rules)
                z = np.float64(joints[p, k, 2]) if deep else 0.0
            constant = not labelled or (rules.anchor_root and a >= 0)
            modes[p, k] = CONSTANT if constant else TOWARDS
            tips[p, k, 0] = x - from_x if constant else x
            tips[p, k, 1] = y - from_y if constant else y
            tips[p, k, 2] = z - from_z
            anchors[p, k, 0] = min(max(root_x if rules.anchor_root else from_x, 0.0), width - 1.0)
            anchors[p, k, 1] = min(max(root_y if rules.anchor_root else from_y, 0.0), height - 1.0)
        if deep:
            modes[p, k_all], tips[p, k_all, 2] = CONSTANT, root_z
            anchors[p, k_all, 0] = min(max(root_x, 0.0), width - 1.0)
            anchors[p, k_all, 1] = min(max(root_y, 0.0), height - 1.0)
