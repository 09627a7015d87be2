"""The parts that a synthetic person is drawn of, as shapes in space: limbs, torso, head, face, clothes.

A part is a *limb* (two points, a radius at each) or a *panel* (four points in a ring, rounded by one radius). Parts are
drawn far to near by the mean depth of their points less `Part.nearer`, so that the drawing itself decides what hides
what: eyes end up on the face or behind the head. Body axes as in `spmdata.sources.synthetic_body`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spmdata.sources.synthetic_body import Body, Figure
from spmdata.sources.synthetic_look import Cloth, Look, plain

Float64 = NDArray[np.float64]

_DARK, _WHITE, _LIPS = plain((20, 18, 24)), plain((245, 245, 240)), plain((150, 40, 50))


class Tag(IntEnum):
    """What a drawn pixel of a person belongs to; of pairs the left one is named, the right one is the next number."""

    FACE = 1
    HAIR = 2
    NOSE = 3
    EYE = 4
    EAR = 6
    MOUTH = 8
    NECK = 9
    TORSO = 10
    PELVIS = 11
    SKIRT = 12
    PACK = 13
    UPPER_ARM = 14
    FOREARM = 16
    HAND = 18
    THIGH = 20
    SHANK = 22
    FOOT = 24
    COVER = 26


class Part(NamedTuple):
    """One shape.

    Attributes
    ----------
    tag : int
        A `Tag`, or the one after it for the right side.
    points : tuple of (3,) float64
        Two or four, cm.
    radii : tuple of float
        cm, one a point; those of a panel are equal.
    cloth : Cloth
        How it is painted.
    nearer : float
        cm by which it is drawn nearer than it is.
    """

    tag: int
    points: tuple[Float64, ...]
    radii: tuple[float, ...]
    cloth: Cloth
    nearer: float = 0.0


def body_parts(body: Body, figure: Figure, look: Look) -> list[Part]:
    """Return everything that a person is drawn of, in no order, about 30 parts."""
    parts = [*_trunk(body, figure, look), *_head(body, figure, look), *_front(body, figure, look)]
    for side in (0, 1):
        parts += _arm(body, figure, look, side)
        parts += _leg(body, figure, look, side)
    return parts


def _limb(tag: int, a: Float64, b: Float64, radii: tuple[float, float], cloth: Cloth, nearer: float = 0) -> Part:
    return Part(tag, (a, b), radii, cloth, nearer)


def _pulled_over(part: Part, share: float, radii: tuple[float, float], cloth: Cloth) -> Part:
    """Return a sleeve over the first share of a limb, drawn right after it whichever way the limb points."""
    a, b = part.points
    deeper = float((share - 1) * (b - a)[2] / 2)
    return Part(part.tag, (a, a + share * (b - a)), radii, cloth, part.nearer + deeper + 0.1)


def _panel(tag: int, ring: tuple[Float64, ...], radius: float, cloth: Cloth, nearer: float = 0) -> Part:
    return Part(tag, ring, (radius,) * 4, cloth, nearer)


def _trunk(body: Body, figure: Figure, look: Look) -> list[Part]:
    g, joints = body.girth, figure.joints
    chest, down = figure.chest, -figure.chest_axes[:, 1]
    left, up = figure.pelvis_axes[:, 0], figure.pelvis_axes[:, 1]
    top = chest + down * 5 * g
    shoulder = figure.chest_axes[:, 0] * (0.62 * body.shoulder)
    hip = left * (0.72 * body.hip)
    waist = figure.pelvis + up * 7 * g
    ring = top + shoulder, top - shoulder, waist - hip, waist + hip
    parts = [
        _panel(Tag.TORSO, ring, 9.8 * g, look.shirt, 2),
        _limb(Tag.PELVIS, figure.pelvis + 0.6 * hip, figure.pelvis - 0.6 * hip, (11 * g, 11 * g), look.trousers, 1),
        _limb(Tag.NECK, chest + down * 2, figure.head, (5.2 * g, 5 * g), look.skin),
    ]
    if look.skirt:
        ends = joints[11:13] + 0.6 * (joints[13:15] - joints[11:13])
        hem = figure.pelvis + hip, figure.pelvis - hip, ends[1] - left * 4 * g, ends[0] + left * 4 * g
        # Cloth lies over the thighs, also over the one that is raised.
        parts.append(_panel(Tag.SKIRT, hem, 9 * g, look.trousers, 9))
    if look.backpack is not None:
        back = -figure.chest_axes[:, 2] * 15 * g
        middle, wide, tall = chest + down * 20 * g + back, figure.chest_axes[:, 0] * 10 * g, down * 11 * g
        corners = middle + wide - tall, middle - wide - tall, middle - wide + tall, middle + wide + tall
        parts.append(_panel(Tag.PACK, corners, 6 * g, look.backpack))
    return parts


def _head(body: Body, figure: Figure, look: Look) -> list[Part]:
    h, axes = body.head, figure.head_axes

    def at(x: float, y: float, z: float) -> Float64:
        offset: Float64 = figure.head + h * (axes @ np.array([x, y, z]))
        return offset

    shade = Cloth(look.skin.colour * np.float32(0.72), look.skin.other)
    nose, eyes, ears = figure.joints[0], figure.joints[1:3], figure.joints[3:5]
    parts = [
        _limb(Tag.FACE, at(0, -4, 2.2), at(0, 2.5, 1.5), (6.6 * h, 7.7 * h), look.skin, 5),
        _limb(Tag.HAIR, at(0, 3.5, -2), at(0, 1, -2.5), (9.3 * h, 8.6 * h), look.hair, 3),
        _limb(Tag.NOSE, at(0, 1, 8.4), nose, (1.1 * h, 1.8 * h), shade, 5.7),
        _limb(Tag.MOUTH, at(2.4, -5.2, 7.6), at(-2.4, -5.2, 7.6), (0.8 * h, 0.8 * h), _LIPS, 5.5),
    ]
    for side in (0, 1):
        parts.append(_limb(Tag.EAR + side, ears[side], ears[side], (2.4 * h, 2.4 * h), shade, 7))
        parts.append(_limb(Tag.EYE + side, eyes[side], eyes[side], (2.4 * h, 2.4 * h), _WHITE, 5.5))
        parts.append(_limb(Tag.EYE + side, eyes[side], eyes[side], (1.5 * h, 1.5 * h), _DARK, 5.6))
    if look.long_hair:
        parts.append(_limb(Tag.COVER, at(0, 0, -5), at(0, -20, -7.5), (8.6 * h, 5.5 * h), look.hair, 1))
    if look.hat:
        parts.append(_limb(Tag.COVER, at(-3, 8, 0), at(3, 8, 0), (7.2 * h, 7.2 * h), look.shirt, 9))
        parts.append(_limb(Tag.COVER, at(0, 6, 7), at(0, 5.5, 12), (4 * h, 3 * h), look.shirt, 4))
    return parts


def _front(body: Body, figure: Figure, look: Look) -> list[Part]:
    """Return what tells a chest from a back: a collar, and a zip, buttons, an emblem or a tie."""
    g, axes = body.girth, figure.chest_axes
    reach = 0.55 * body.spine

    def at(x: float, down: float) -> Float64:
        point: Float64 = figure.chest + axes[:, 0] * x * g - axes[:, 1] * down + axes[:, 2] * 9.5 * g
        return point

    light = plain(_WHITE.colour if look.shirt.colour.mean() < 130 else _DARK.colour)
    collar = _limb(Tag.TORSO, at(0, 0), at(0, 6 * g), (5 * g, 1.5 * g), look.skin)
    if look.front == 0:
        return [collar, _limb(Tag.TORSO, at(0, 7 * g), at(0, reach + 8 * g), (1 * g, 1 * g), light)]
    if look.front == 1:
        spots = [at(0, 9 * g + reach * i / 3) for i in range(4)]
        return [collar, *(_limb(Tag.TORSO, spot, spot, (1.8 * g, 1.8 * g), light) for spot in spots)]
    if look.front == 2:
        return [collar, _limb(Tag.TORSO, at(3, 17 * g), at(-3, 17 * g), (5 * g, 5 * g), light)]
    return [collar, _limb(Tag.TORSO, at(0, 5 * g), at(0, 0.8 * reach), (1.5 * g, 3 * g), light)]


def _arm(body: Body, figure: Figure, look: Look, side: int) -> list[Part]:
    g, joints = body.girth, figure.joints
    shoulder, elbow, wrist = joints[5 + side], joints[7 + side], joints[9 + side]
    sleeve, skin = look.shirt, look.skin
    long = look.sleeves == 2
    parts = [
        _limb(Tag.UPPER_ARM + side, shoulder, elbow, (5.8 * g, 4.7 * g), sleeve if long else skin, 3),
        _limb(Tag.FOREARM + side, elbow, wrist, (4.7 * g, 3.6 * g), sleeve if long else skin, 4),
        _limb(Tag.HAND + side, wrist, figure.hands[side], (3.6 * g, 3.4 * g), skin, 4.5),
    ]
    if not long:
        parts.append(_pulled_over(parts[0], 0.6 if look.sleeves else 0.15, (6.4 * g, 5.8 * g), sleeve))
    return parts


def _leg(body: Body, figure: Figure, look: Look, side: int) -> list[Part]:
    g, joints = body.girth, figure.joints
    hip, knee, ankle = joints[11 + side], joints[13 + side], joints[15 + side]
    bare = look.shorts or look.skirt
    parts = [
        _limb(Tag.THIGH + side, hip, knee, (8.8 * g, 6.4 * g), look.skin if look.skirt else look.trousers),
        _limb(Tag.SHANK + side, knee, ankle, (6.2 * g, 4.4 * g), look.skin if bare else look.trousers),
        _limb(Tag.FOOT + side, figure.heels[side], figure.toes[side], (4.2 * g, 3.7 * g), look.shoes, 1),
    ]
    if look.shorts and not look.skirt:
        parts[0] = parts[0]._replace(cloth=look.skin)
        parts.append(_pulled_over(parts[0], 0.72, (9.2 * g, 8 * g), look.trousers))
    return parts
