"""What synthetic people wear, and the colours of things. Colours are (3,) float32 RGB, 0 to 255."""

from __future__ import annotations

import colorsys
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Colour = NDArray[np.float32]

#: Patterns of a cloth: one colour, rings round a limb, lines along it, checks.
PLAIN, RINGS, LINES, CHECKS = range(4)

_SKIN = ((244, 208, 180), (232, 186, 150), (205, 150, 112), (160, 108, 76), (112, 74, 52), (84, 56, 42))
_HAIR = ((26, 22, 20), (48, 32, 24), (92, 58, 34), (150, 102, 52), (212, 176, 104), (150, 62, 32), (168, 166, 162))
_SHOES = ((24, 24, 26), (70, 44, 28), (232, 232, 228), (190, 40, 36), (40, 60, 120))


class Cloth(NamedTuple):
    """What a part is covered with.

    Attributes
    ----------
    colour, other : (3,) float32
        RGB; the pattern alternates between them.
    pattern : int
        `PLAIN`, `RINGS`, `LINES` or `CHECKS`.
    period_cm : float
        Of the pattern.
    """

    colour: Colour
    other: Colour
    pattern: int = PLAIN
    period_cm: float = 10.0


class Look(NamedTuple):
    """Everything about a person's appearance but its body.

    Attributes
    ----------
    skin, hair, shirt, trousers, shoes : Cloth
        Of those parts.
    sleeves : int
        0 none, 1 to the middle of the upper arm, 2 long.
    shorts, skirt, long_hair, hat : bool
        Whether it wears such.
    front : int
        What marks the front of the shirt: 0 a zip, 1 buttons, 2 an emblem, 3 a tie.
    backpack : Cloth or None
        What it carries on its back.
    """

    skin: Cloth
    hair: Cloth
    shirt: Cloth
    trousers: Cloth
    shoes: Cloth
    sleeves: int
    shorts: bool
    skirt: bool
    long_hair: bool
    hat: bool
    front: int
    backpack: Cloth | None


def plain(rgb: tuple[float, float, float] | Colour) -> Cloth:
    """Return a cloth of one colour."""
    colour = np.asarray(rgb, np.float32)
    return Cloth(colour, colour)


def draw_colour(rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]) -> Colour:
    """Draw a colour of any hue with saturation and value (0 to 1) within the given ranges."""
    u = rng.random(3)
    s = saturation[0] + u[1] * (saturation[1] - saturation[0])
    v = value[0] + u[2] * (value[1] - value[0])
    return 255 * np.array(colorsys.hsv_to_rgb(float(u[0]), float(s), float(v)), np.float32)


def draw_look(rng: np.random.Generator) -> Look:
    """Draw clothes whose shirt, trousers and skin can be told from each other."""
    u = rng.random(12)
    skin = plain(_pick(_SKIN, u[0]))
    shirt = _garment(rng, [skin.colour], 0.55)
    trousers = _garment(rng, [skin.colour, shirt.colour], 0.25)
    return Look(
        skin=skin,
        hair=plain(_pick(_HAIR, u[1])),
        shirt=shirt,
        trousers=trousers,
        shoes=plain(_pick(_SHOES, u[2])),
        sleeves=int(u[3] * 3),
        shorts=bool(u[4] < 0.35),
        skirt=bool(u[5] < 0.15),
        long_hair=bool(u[6] < 0.35),
        hat=bool(u[7] < 0.15),
        front=int(u[8] * 4),
        backpack=plain(draw_colour(rng, (0.4, 1), (0.25, 0.9))) if u[9] < 0.25 else None,
    )


def _pick(colours: tuple[tuple[int, int, int], ...], u: float) -> tuple[int, int, int]:
    return colours[int(u * len(colours))]


def _garment(rng: np.random.Generator, beside: list[Colour], patterned: float) -> Cloth:
    """Draw the one of three cloths that differs most from the colours beside it."""
    grey = rng.random() < 0.25
    tries = [draw_colour(rng, (0, 0.1) if grey else (0.5, 1), (0.1, 1.0) if grey else (0.35, 1)) for _ in range(3)]
    colour = max(tries, key=lambda c: min(float(np.abs(c - other).sum()) for other in beside))
    u = rng.random(3)
    pattern = int(1 + 3 * u[1]) if u[0] < patterned else PLAIN
    # The second colour is lighter or darker, so that a pattern never cuts a limb to pieces.
    other = colour * 0.6 if colour.mean() > 110 else colour * 0.6 + 85
    return Cloth(colour, other.astype(np.float32), pattern, float(7 + 9 * u[2]))
