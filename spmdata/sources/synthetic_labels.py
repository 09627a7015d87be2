"""The labels of a synthetic image, read off the drawing: which pixels are whose, and which part lies on top.

Letters: P people, H and W px.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spmdata.people import People
from spmdata.sources.synthetic_parts import Tag

Float64 = NDArray[np.float64]

#: Of a person of whose silhouette less than this is visible no joint is labelled: it becomes an ignore region.
LEAST_VISIBLE = 0.15
#: Person p's tag t is ``SPAN * (p + 1) + t`` in the map of what is on top; below SPAN there is nobody.
SPAN = 32
#: Two shoulders or hips further apart in depth than this share of their distance: the torso hides the far one.
_TURNED_AWAY = 0.85
_HEAD = {Tag.FACE, Tag.NOSE, Tag.MOUTH, Tag.EYE, Tag.EYE + 1, Tag.EAR, Tag.EAR + 1}
#: The face mark of each of the first five joints.
_MARKS = (Tag.NOSE, Tag.EYE, Tag.EYE + 1, Tag.EAR, Tag.EAR + 1)
#: Parts that a joint lies in, by the joint of the left side: shoulder, elbow, wrist, hip, knee, ankle.
_LIMBS = {
    5: (Tag.UPPER_ARM,),
    7: (Tag.UPPER_ARM, Tag.FOREARM),
    9: (Tag.FOREARM, Tag.HAND),
    11: (Tag.THIGH,),
    13: (Tag.THIGH, Tag.SHANK),
    15: (Tag.SHANK, Tag.FOOT),
}
#: What shoulders and hips lie in besides, unless the person is turned away from that side.
_CORE = {5: {Tag.TORSO}, 11: {Tag.TORSO, Tag.PELVIS, Tag.SKIRT}}


class Drawn(NamedTuple):
    """One person as it was drawn.

    Attributes
    ----------
    joints_cm : (17, 3) float64
        In the camera's axes.
    joints_px : (17, 2) float64
        Projected.
    own : (H, W) uint8
        Its tags as if nothing were in front of it; 0 where it is not.
    order : mapping of int to int
        When each tag was last drawn; what came later lies on top.
    """

    joints_cm: Float64
    joints_px: Float64
    own: NDArray[np.uint8]
    order: Mapping[int, int]


def read_people(drawn: Sequence[Drawn], top: NDArray[np.int32], first_id: int) -> People:
    """Label everybody.

    A joint outside the image is not labelled; one on whose pixel something else lies, be it another person, a thing or
    another part of the same body, is labelled and occluded. Area and box are those of the whole silhouette in the
    image, as if nothing were in front. Who is hidden but for `LEAST_VISIBLE` of it loses all labels.

    Parameters
    ----------
    drawn : sequence of Drawn, (P,)
        Everybody.
    top : (H, W) int32
        Whose part is on top, see `SPAN`.
    first_id : int
        Annotation id of the first person; the others follow.

    Returns
    -------
    People
        D = 2.
    """
    if not drawn:
        return People.empty(17)
    area = np.array([np.count_nonzero(d.own) for d in drawn])
    visible = np.zeros((len(drawn), 17), np.uint8)
    for p, d in enumerate(drawn):
        seen = np.count_nonzero(top // SPAN == p + 1)
        if seen >= max(1, LEAST_VISIBLE * area[p]):
            visible[p] = _visibility(d, top, p)
    return People.of(
        np.stack([d.joints_px for d in drawn]),
        visible,
        area=area,
        bbox_xywh=np.stack([_box(d.own) for d in drawn]),
        id=first_id + np.arange(len(drawn)),
    )


def _visibility(drawn: Drawn, top: NDArray[np.int32], person: int) -> NDArray[np.uint8]:
    """Return 0, 1 or 2 for each joint, (17,)."""
    height, width = top.shape
    cell = np.floor(drawn.joints_px + 0.5).astype(np.int64)
    inside = (cell >= 0).all(1) & (cell[:, 0] < width) & (cell[:, 1] < height)
    column, row = np.where(inside[:, None], cell, 0).T
    tags = (top[row, column] - SPAN * (person + 1)).tolist()  # those of others fall outside 1..SPAN - 1
    shown = [tag in accepted for tag, accepted in zip(tags, _accepted(drawn), strict=True)]
    return np.where(inside, np.where(shown, 2, 1), 0).astype(np.uint8)


def _accepted(drawn: Drawn) -> list[set[int]]:
    """Return the tags that show each joint when they are on top of it."""
    covered = max(drawn.order[Tag.FACE], drawn.order[Tag.HAIR])
    accepted: list[set[int]] = [({*_HEAD} if drawn.order[mark] > covered else {mark}) for mark in _MARKS]
    for left in _LIMBS:
        pair = drawn.joints_cm[left : left + 2]
        span = float(np.linalg.norm(pair[0] - pair[1]))
        for side in (0, 1):
            own = {tag + side for tag in _LIMBS[left]}
            if left in _CORE and pair[side, 2] - pair[1 - side, 2] < _TURNED_AWAY * span:
                own |= _CORE[left]
            accepted.append(own)
    return accepted


def _box(own: NDArray[np.uint8]) -> Float64:
    """Return the tight box of a silhouette in pixel-edge units; zeros when it is empty."""
    columns, rows = np.flatnonzero(own.any(0)), np.flatnonzero(own.any(1))
    if not len(rows):
        return np.zeros(4)
    # A box covers x - 0.5 <= px < x + w - 0.5: it begins at the index of its first pixel.
    size = columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1
    return np.array([columns[0], rows[0], *size], np.float64)
