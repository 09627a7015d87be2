"""What the name of a joint tells: its mirror image, and how exactly such joints are annotated.

Letters: K joints.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

#: Words of one side and what they become in a mirror.
_SIDES = {"left": "right", "right": "left", "l": "r", "r": "l"}
#: OKS constants by a word of the name: COCO's, and for a joint that COCO lacks its nearest one's.
_SIGMAS = {
    **{"nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062, "hip": 0.107},
    **{"knee": 0.087, "ankle": 0.089, "neck": 0.079, "head": 0.079, "thorax": 0.079, "pelvis": 0.107, "spine": 0.107},
}


def words(name: str) -> tuple[str, ...]:
    """Split ``left_hip``, ``LHip``, ``hip.L`` or ``leftHip`` into words of small letters."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    spaced = re.sub(r"^(left|right)(?=[a-z])", r"\1 ", spaced, flags=re.IGNORECASE)
    return tuple(re.findall(r"[^\W\d_]+|\d+", spaced.lower()))


def mirror_of(joints: Sequence[str]) -> tuple[int, ...]:
    """Return the joint that each becomes in a mirror, (K,): the one whose name says the other side, else itself.

    A side is one of the words left, right, l and r.
    """
    at = {words(name): j for j, name in enumerate(joints)}
    swapped = [at.get(tuple(_SIDES.get(word, word) for word in words(name)), j) for j, name in enumerate(joints)]
    return tuple(other if swapped[other] == j else j for j, other in enumerate(swapped))


def lone_sides(joints: Sequence[str], flip: Sequence[int]) -> list[str]:
    """Return the joints whose names say a side, but that are their own mirror: a partner is misspelt or missing."""
    sided = (set(words(name)) & set(_SIDES) for name in joints)
    return [joints[j] for j, side in enumerate(sided) if side and flip[j] == j]


def sigma_of(name: str) -> float | None:
    """Return the OKS constant of a joint by a word of its name, None when it has none of COCO's."""
    return next((_SIGMAS[word] for word in words(name) if word in _SIGMAS), None)


def nearest(word: str, known: Iterable[str]) -> str:
    """Say the known word that is nearest, for the end of a message; all of them when none is near."""
    known = list(known)
    near = difflib.get_close_matches(word, known, 1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
