"""The tree of joints that offsets follow: names, parents, mirror pairs, sigmas.

Letters: K joints, indexed k; a parent of -1 is the root of the person, which is no joint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from spmdata.errors import SpecError

ROOT = -1


@dataclass(frozen=True)
class Skeleton:
    """Joints of one kind of body and how they hang from each other.

    Parameters
    ----------
    name : str
        A short name, such as ``coco17``.
    joints : tuple of str, (K,)
        Unique joint names.
    parents : tuple of int, (K,)
        Index of each joint's parent; -1 for a joint that hangs from the root. A tree.
    flip : tuple of int, (K,)
        The joint that each one becomes in a mirror; an involution that preserves parents.
    sigmas : tuple of float, (K,)
        OKS constants, above 0.
    torso : tuple of int
        Joints whose mean is the root under ``root = "torso"``; not empty.

    Raises
    ------
    SpecError
        Any of the above does not hold; the message names the joint.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    flip: tuple[int, ...]
    sigmas: tuple[float, ...]
    torso: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check the whole value once."""
        k = len(self.joints)
        if not 1 <= k <= 1000:
            raise SpecError(f"skeleton {self.name}: 1 to 1000 joints expected, got {k}")
        for field in ("parents", "flip", "sigmas"):
            if len(getattr(self, field)) != k:
                raise SpecError(f"skeleton {self.name}: {field} has {len(getattr(self, field))} entries for {k} joints")
        if len(set(self.joints)) != k:
            twice = next(j for j in self.joints if self.joints.count(j) > 1)
            raise SpecError(f"skeleton {self.name}: joint name {twice!r} stands twice")
        self._check_tree()
        self._check_flip()
        for joint, sigma in zip(self.joints, self.sigmas, strict=True):
            if not 0 < sigma < 10:
                raise SpecError(f"skeleton {self.name}: sigma of {joint} must be above 0 and below 10, got {sigma}")
        if not self.torso or any(not 0 <= j < k for j in self.torso):
            raise SpecError(f"skeleton {self.name}: torso must name at least one joint of 0..{k - 1}, got {self.torso}")

    def _check_tree(self) -> None:
        k = len(self.joints)
        for joint, parent in zip(self.joints, self.parents, strict=True):
            if not ROOT <= parent < k:
                raise SpecError(f"skeleton {self.name}: parent of {joint} must be -1..{k - 1}, got {parent}")
        for j, joint in enumerate(self.joints):
            steps, at = 0, j
            while at != ROOT:
                at, steps = self.parents[at], steps + 1
                if steps > k:
                    raise SpecError(f"skeleton {self.name}: {joint} never reaches the root: its parents form a circle")

    def _check_flip(self) -> None:
        k = len(self.joints)
        for j, other in enumerate(self.flip):
            if not 0 <= other < k or self.flip[other] != j:
                raise SpecError(f"skeleton {self.name}: flip of {self.joints[j]} is not a mirror pair (got {other})")
            parent = self.parents[j]
            mirrored = ROOT if parent == ROOT else self.flip[parent]
            if self.parents[other] != mirrored:
                one, two = self.joints[j], self.joints[other]
                said = f"{one} and {two} are a mirror pair, but their parents are not"
                if one == two:
                    said = f"{one} is its own mirror, but its parent {self.joints[parent]} is not"
                raise SpecError(f"skeleton {self.name}: {said}; correct parents or flip")

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Skeleton:
        """Build a skeleton from its fields as JSON values; SpecError when they are not its fields."""
        try:
            fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
            return Skeleton(**fields)
        except TypeError as error:
            raise SpecError(f"this describes no skeleton: {error}") from error

    def __len__(self) -> int:
        """Return K."""
        return len(self.joints)

    def star(self) -> Skeleton:
        """Return the same joints all hanging from the root: flat SPR is hierarchical SPR on this tree."""
        return replace(self, parents=(ROOT,) * len(self.joints))

    def levels(self) -> tuple[int, ...]:
        """Return each joint's number of steps from the root, from 1, (K,)."""
        levels: list[int] = []
        for j in range(len(self.joints)):
            steps, at = 0, j
            while at != ROOT:
                at, steps = self.parents[at], steps + 1
            levels.append(steps)
        return tuple(levels)

    def order(self) -> tuple[int, ...]:
        """Return the joints so that every parent comes before its children, by level and then index, (K,)."""
        levels = self.levels()
        return tuple(sorted(range(len(self.joints)), key=lambda j: (levels[j], j)))
