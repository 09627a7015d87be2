"""Augmented views of an image: within which ranges, and which affine each has.

View 0 is the letterbox, unaugmented. Every other view may be mirrored, is then letterboxed, turned and scaled about the
centre of the input and shifted. All of it is one affine from px of the image to px of the input, and a pure function of
ranges, row and view: ``row`` counts the images of the set, so view v of an image is the same however many there are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from spmdata.errors import SpecError
from spmdata.geometry import Affine, letterbox

#: Largest value of each range.
LIMITS = {"flip": 1.0, "rotation_deg": 180.0, "shift_px": 8192.0}


@dataclass(frozen=True, kw_only=True)
class ViewRanges:
    """How far an augmented view may be from the image; each value is drawn evenly from its range.

    Parameters
    ----------
    flip : float
        Share of mirrored views, 0 to 1.
    rotation_deg : float
        Turned by up to so much in either direction, 0 to 180.
    scale : (float, float)
        Smallest and largest size, relative to the letterbox, 0.05 to 20.
    shift_px : float
        Shifted by up to so much along each axis, in px of the input.
    seed : int
        Another seed draws other views.

    Raises
    ------
    SpecError
        A value out of range; the message names the field and what it takes.
    """

    flip: float = 0.5
    rotation_deg: float = 40.0
    scale: tuple[float, float] = (0.7, 1.3)
    shift_px: float = 40.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every field once."""
        for name, high in LIMITS.items():
            value = getattr(self, name)
            if not (_is_number(value) and 0 <= value <= high):
                raise SpecError(f"views.{name} must be a number in [0, {high:g}], got {value!r}")
            object.__setattr__(self, name, float(value))
        scale = tuple(self.scale) if isinstance(self.scale, (list, tuple)) else ()
        if len(scale) != 2 or not all(map(_is_number, scale)) or not 0.05 <= scale[0] <= scale[1] <= 20:
            raise SpecError(f"views.scale must be [smallest, largest] in [0.05, 20], got {self.scale!r}")
        object.__setattr__(self, "scale", (float(scale[0]), float(scale[1])))
        if not isinstance(self.seed, int) or isinstance(self.seed, bool) or not 0 <= self.seed < 2**63:
            raise SpecError(f"views.seed must be a whole number from 0 on, got {self.seed!r}")

    def affine(self, row: int, view: int, size_hw: tuple[int, int], input_hw: tuple[int, int]) -> Affine:
        """Return where a view shows an image: px of the image to px of the input; mirrored when ``mirrors``.

        Parameters
        ----------
        row, view : int
            Number of the image in its set and of the view, from 0.
        size_hw, input_hw : (int, int)
            Height and width of the upright image and of the network's input in px.
        """
        box = letterbox(size_hw, input_hw).affine
        if view == 0:
            return box
        mirror, angle, size, right, down = np.random.default_rng((self.seed, row, view)).random(5).tolist()
        turn = math.radians(self.rotation_deg) * (2 * angle - 1)
        scale = self.scale[0] + (self.scale[1] - self.scale[0]) * size
        cos, sin = scale * math.cos(turn), scale * math.sin(turn)
        (y, x), (dx, dy) = ((n - 1) / 2 for n in input_hw), (self.shift_px * (2 * s - 1) for s in (right, down))
        moved = Affine(np.array([[cos, -sin, x - cos * x + sin * y + dx], [sin, cos, y - sin * x - cos * y + dy]]))
        fitted = moved.after(box)
        return fitted.after(Affine.flip(size_hw[1])) if mirror < self.flip else fitted

    def to_json(self) -> dict[str, Any]:
        """Return every field as a plain JSON value."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ViewRanges:
        """Build ranges from `to_json`'s value, or a TOML table; SpecError on an unknown key."""
        known = [f.name for f in fields(ViewRanges)]
        if unknown := [key for key in data if key not in known]:
            raise SpecError(f"unknown key {unknown[0]!r} in views; there are {', '.join(known)}")
        return ViewRanges(**data)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
