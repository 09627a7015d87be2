"""A skeleton from what a COCO-format file says of its joints: names, and lines between them.

The lines are drawn for the eye: no root, often circles, sometimes those of another skeleton. So the tree is only taken
from them when they are one, and what was done instead is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from spmdata.skeleton import ROOT, Skeleton
from spmdata.skeleton_names import mirror_of, sigma_of, words
from spmdata.skeletons import SKELETONS

#: What had to be decided of how many joints, in words that go on after the number.
Decided = tuple[tuple[str, int], ...]
#: OKS constant of a joint whose name tells none: COCO's shoulder.
SIGMA = 0.079


def skeleton_of(name: str, joints: Sequence[str], edges: Sequence[Sequence[int]]) -> tuple[Skeleton, Decided]:
    """Return the skeleton of joints and lines, and what had to be decided.

    A built-in skeleton with the same joints is taken as it is. Else each connected part of the lines must be a tree:
    it hangs from the root by its middle joint, or by the two middle ones. Lines that make a circle, lead out of the
    joints or break left from right make a star instead: every joint hangs from the root.

    Parameters
    ----------
    name : str
        What to call it.
    joints : sequence of str, (K,)
        As the file lists them.
    edges : sequence of (int, int)
        Pairs of joints, from 1 as in COCO.
    """
    plain = [words(joint) for joint in joints]
    for known in SKELETONS.values():
        if plain == [words(joint) for joint in known.joints]:
            return known, ()
    flip = mirror_of(joints)
    decided: list[tuple[str, int]] = []
    parents: tuple[int, ...] = (ROOT,) * len(joints)
    if fault := _fault(edges, joints):
        decided.append((_star(fault), len(joints)))
    else:
        found = _middle_trees(edges, len(joints))
        if all(found[flip[j]] == (p if p == ROOT else flip[p]) for j, p in enumerate(found)):
            parents = found
        else:
            decided.append((_star("is not the same left and right"), len(joints)))
    sigmas = [sigma_of(joint) for joint in joints]
    if unknown := sigmas.count(None):
        decided.append(
            (f"joints whose sigma no name tells: set to {SIGMA}; --skeleton FILE.toml gives better ones", unknown)
        )
    torso = tuple(j for j, parent in enumerate(parents) if parent == ROOT)
    filled = tuple(SIGMA if sigma is None else sigma for sigma in sigmas)
    return Skeleton(name, tuple(joints), parents, flip, filled, torso), tuple(decided)


def _star(fault: str) -> str:
    return f"joints of a skeleton that {fault}: each hangs from the root; --skeleton FILE.toml gives a tree"


def _fault(edges: Sequence[Sequence[int]], joints: Sequence[str]) -> str:
    """Say why lines are no forest; empty when they are one."""
    group = list(range(len(joints)))

    def leader(j: int) -> int:
        while group[j] != j:
            j = group[j]
        return j

    for edge in edges:
        if len(edge) != 2 or not all(1 <= end <= len(joints) for end in edge):
            return f"has the line {list(edge)}, but joints are 1 to {len(joints)}"
        a, b = (leader(end - 1) for end in edge)
        if a == b:
            return f"has a circle through {joints[edge[0] - 1]} and {joints[edge[1] - 1]}"
        group[a] = b
    return ""


def _middle_trees(edges: Iterable[Sequence[int]], n_joints: int) -> tuple[int, ...]:
    """Root each part of a forest at its middle, which mirrors onto itself: peel leaves until one or two are left."""
    near: list[set[int]] = [set() for _ in range(n_joints)]
    for a, b in edges:
        near[a - 1].add(b - 1)
        near[b - 1].add(a - 1)
    left, parents = [set(others) for others in near], [ROOT] * n_joints
    leaves = [j for j, others in enumerate(left) if len(others) == 1]
    while leaves:
        # Two joints that have only each other are the middle, and both hang from the root.
        falling = [j for j in leaves if left[j] and len(left[next(iter(left[j]))]) > 1]
        touched = set()
        for j in falling:
            (parent,) = left[j]
            parents[j] = parent
            touched.add(parent)
        for j in falling:
            left[parents[j]].discard(j)
            left[j] = set()
        leaves = [j for j in touched if len(left[j]) == 1]
    return tuple(parents)
