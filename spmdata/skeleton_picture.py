"""A skeleton's tree for the eye: as lines of text, and as a picture with a column for each level.

Letters: K joints; w, h width and height of the picture in px.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from spmdata.skeleton import ROOT, Skeleton
from spmdata.skeleton_names import words

#: Height of a joint's line, distance from dot to text, and margin, px.
LINE_PX, GAP_PX, MARGIN_PX = 22, 8, 14
_PAPER, _INK, _BONE = (245, 245, 245), (40, 40, 40), (150, 150, 150)
_LEFT, _RIGHT, _MIDDLE, _PAIRED = (200, 60, 40), (40, 90, 200), (60, 130, 60), (130, 70, 160)


def tree_lines(skeleton: Skeleton) -> list[tuple[str, int, int]]:
    """Return the tree from top to bottom as (branch and name, joint, level), the root first as joint -1, level 0."""
    lines: list[tuple[str, int, int]] = [("root", ROOT, 0)]

    def hang(parent: int, indent: str, level: int) -> None:
        children = [j for j, p in enumerate(skeleton.parents) if p == parent]
        for child in children:
            last = child == children[-1]
            lines.append((f"{indent}{'└' if last else '├'}─ {skeleton.joints[child]}", child, level))
            hang(child, indent + ("   " if last else "│  "), level + 1)

    hang(ROOT, "", 1)
    return lines


def draw_skeleton(skeleton: Skeleton) -> NDArray[np.uint8]:
    """Draw the tree: a column for each level, a line for each joint.

    Left joints are red, right ones blue, their own mirror green; violet are those of a pair whose names tell no side.

    Returns
    -------
    (h, w, 3) uint8
    """
    lines = [(joint, level) for _, joint, level in tree_lines(skeleton)]
    font = ImageFont.load_default(13)
    names = [*skeleton.joints, "root"]  # the root is joint -1
    wide = max(round(font.getlength(f"{name}  0.000")) for name in names)
    step = max(40, min(wide + 3 * GAP_PX, 160))
    levels = max(level for _, level in lines)
    h = 2 * MARGIN_PX + LINE_PX * (len(lines) + 1)
    picture = Image.new("RGB", (2 * MARGIN_PX + levels * step + wide + 2 * GAP_PX, h), _PAPER)
    pen = ImageDraw.Draw(picture)
    for level in range(levels + 1):
        pen.text((MARGIN_PX + level * step, MARGIN_PX - 6), f"level {level}" if level else skeleton.name, _BONE, font)
    at = {
        joint: (MARGIN_PX + level * step + 5, MARGIN_PX + LINE_PX * (row + 1) + LINE_PX // 2)
        for row, (joint, level) in enumerate(lines)
    }
    for joint, parent in enumerate(skeleton.parents):
        (x, y), (px, py) = at[joint], at[parent]
        pen.line([px, py, px, y, x, y], fill=_BONE, width=1)
    for joint, (x, y) in at.items():
        colour = _INK if joint == ROOT else _colour(skeleton, joint)
        pen.ellipse([x - 4, y - 4, x + 4, y + 4], fill=colour)
        pen.text((x + GAP_PX, y - 8), names[joint], _INK, font)
        if joint != ROOT:
            offset = x + GAP_PX + font.getlength(f"{names[joint]}  ")
            pen.text((offset, y - 8), f"{skeleton.sigmas[joint]:.3g}", _BONE, font)
    return np.asarray(picture)


def _colour(skeleton: Skeleton, joint: int) -> tuple[int, int, int]:
    if skeleton.flip[joint] == joint:
        return _MIDDLE
    said = set(words(skeleton.joints[joint]))
    return _LEFT if said & {"left", "l"} else _RIGHT if said & {"right", "r"} else _PAIRED
