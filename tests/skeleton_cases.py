"""Skeletons that the toolkit does not have: four joints, a hand, a whole body."""

from __future__ import annotations

from pathlib import Path

from spmdata.skeleton import Skeleton
from spmdata.skeletons import COCO17

QUAD4 = Skeleton("quad4", ("top", "left_side", "right_side", "tip"), (-1, 0, 0, 0), (0, 2, 1, 3), (0.08,) * 4, (0,))

FINGERS = ("thumb", "index", "middle", "ring", "little")


def _hand(prefix: str, first: int, above: int) -> tuple[list[str], list[int]]:
    """Return 21 joints of a hand, the wrist first, and their parents."""
    names, parents = [f"{prefix}hand_root"], [above]
    for finger in FINGERS:
        for segment in range(1, 5):
            parents.append(first if segment == 1 else first + len(names) - 1)
            names.append(f"{prefix}{finger}{segment}")
    return names, parents


_names, _parents = _hand("", 0, -1)
HAND21 = Skeleton("hand21", tuple(_names), tuple(_parents), tuple(range(21)), (0.03,) * 21, (0,))

#: The mirror pairs among 68 landmarks of a face.
FACE_PAIRS = (
    *((i, 16 - i) for i in range(8)),
    *((17 + i, 26 - i) for i in range(5)),
    *((31, 35), (32, 34)),
    *((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),
    *((48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)),
)


def _whole_body() -> Skeleton:
    names, parents = list(COCO17.joints), list(COCO17.parents)
    for side, ankle in (("left", 15), ("right", 16)):
        names += [f"{side}_{toe}" for toe in ("big_toe", "small_toe", "heel")]
        parents += [ankle] * 3
    face = len(names)
    names += [f"face{i}" for i in range(68)]
    parents += [0] * 68
    for side, wrist in (("left", 9), ("right", 10)):
        joints, above = _hand(f"{side}_", len(names), wrist)
        names += joints
        parents += above
    flip = list(range(len(names)))
    for j, name in enumerate(names):
        side, _, rest = name.partition("_")
        if side in ("left", "right"):
            flip[j] = names.index(f"{'right' if side == 'left' else 'left'}_{rest}")
    for a, b in FACE_PAIRS:
        flip[face + a], flip[face + b] = face + b, face + a
    sigmas = (*COCO17.sigmas, *(0.07,) * 6, *(0.01,) * 68, *(0.03,) * 42)
    return Skeleton("wholebody133", tuple(names), tuple(parents), tuple(flip), sigmas, COCO17.torso)


WHOLE133 = _whole_body()


def write_toml(path: Path, skeleton: Skeleton) -> Path:
    """Write a skeleton as a user would, every key of it."""
    names = skeleton.joints
    chains = [[names[p] if p >= 0 else "root", names[j]] for j, p in enumerate(skeleton.parents)]
    pairs = [[names[j], names[o]] for j, o in enumerate(skeleton.flip) if j < o]
    torso = [names[j] for j in skeleton.torso]
    said = {"joints": list(names), "chains": chains, "flip": pairs, "sigmas": list(skeleton.sigmas), "torso": torso}
    lines = [f'name = "{skeleton.name}"', *(f"{key} = {value!r}" for key, value in said.items())]
    path.write_text("\n".join(lines))
    return path
