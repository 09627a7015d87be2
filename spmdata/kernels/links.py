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

    A labelled joint hangs from its nearest labelled ancestor, or from the root: parents first, one that is not labelled
    hands on what it hangs from itself. Under ``stay`` it keeps zeros there when it leads to a labelled one. Conditions
    choose between numbers, not between ways: which joints are labelled is nothing that a processor can guess.
    """
    joints, visible, parents, root = people.joints[n], people.visible[n], tree.parents, len(tree.parents)
    roots, drawn, anchors, tips, modes, at, here, led, leading = links
    deep, drop, anchor_root = joints.shape[2] == 3, rules.missing_parent == DROP, rules.anchor_root
    right, bottom = width - 1.0, height - 1.0
    for p in range(people.number[n]):
        modes[p, root] = NOTHING
        if not drawn[p]:
            for k in range(root):
                modes[p, k] = NOTHING
            continue
        if rules.missing_parent == STAY:
            mark_leading(visible[p], tree, leading)
        here[root], led[root] = True, False
        at[root, 0], at[root, 1], at[root, 2] = roots[p, 0], roots[p, 1], roots[p, 2]
        root_x, root_y = min(max(at[root, 0], 0.0), right), min(max(at[root, 1], 0.0), bottom)
        for i in range(root):
            k = tree.order[i]
            a = parents[k] if parents[k] >= 0 else root
            from_x, from_y, from_z = at[a, 0], at[a, 1], at[a, 2]
            labelled = visible[p, k] > 0
            x, y = to_cell(np.float64(joints[p, k, 0]), rules), to_cell(np.float64(joints[p, k, 1]), rules)
            x, y, z = x if labelled else from_x, y if labelled else from_y, from_z
            if deep:
                z = np.float64(joints[p, k, 2]) if labelled else from_z
            at[k, 0], at[k, 1], at[k, 2], here[k], led[k] = x, y, z, labelled, labelled | led[a]
            constant = (not labelled) | (anchor_root & led[a])
            asked = (labelled | leading[k]) & ((not labelled) | (not drop) | here[a])
            modes[p, k] = (CONSTANT if constant else TOWARDS) if asked else NOTHING
            tips[p, k, 0] = x - (from_x if constant else 0.0)
            tips[p, k, 1] = y - (from_y if constant else 0.0)
            tips[p, k, 2] = z - from_z
            anchors[p, k, 0] = root_x if anchor_root else min(max(from_x, 0.0), right)
            anchors[p, k, 1] = root_y if anchor_root else min(max(from_y, 0.0), bottom)
        if deep:
            modes[p, root], tips[p, root, 2] = CONSTANT, at[root, 2]
            anchors[p, root, 0], anchors[p, root, 1] = root_x, root_y
