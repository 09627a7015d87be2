"""Antialiased, shaded, patterned shapes on a picture: signed distances in numpy, one small window at a time.

A picture is planar, (3, H, W) float32, 0 to 255: so the inner loop of every operation runs along a row. Points are in
pixel-index units. Most windows are so small that a call of numpy costs more than its arithmetic: hence the few calls,
``out=`` where it saves one, and no `numpy.clip`, which is several times slower than its two halves.

Letters: h and w, the size of a window in px.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spmdata.sources.synthetic_look import CHECKS, LINES, PLAIN, RINGS, Cloth

Float32 = NDArray[np.float32]
Point = Sequence[float]
Window = tuple[slice, slice]

#: How much darker the contour of a shape is: it separates an arm from a torso of the same cloth.
_CONTOUR = 0.45
#: Thinner shapes are painted with this radius, px.
_LEAST_RADIUS = 0.05


@dataclass(frozen=True, eq=False)
class Canvas:
    """Where shapes are painted.

    Parameters
    ----------
    pixels : (3, H, W) float32
        The picture.
    contour_px : float
        Width of the dark contour of a shape.
    light : (float, float)
        Direction towards the light in the image plane, times its strength.
    """

    pixels: Float32
    contour_px: float
    light: tuple[float, float]

    def limb(
        self, a: Point, b: Point, radii: Point, cloth: Cloth, *, period: float = 1, tag: int = 1, own: NDArray[np.uint8]
    ) -> None:
        """Paint what a disc sweeps that moves from a to b while its radius changes.

        Parameters
        ----------
        a, b : (float, float)
            px.
        radii : (float, float)
            px, at a and b.
        cloth : Cloth
            Its period is not looked at.
        period : float
            Of the pattern, px.
        tag : int
            Written into ``own`` where the shape covers at least half a pixel.
        own : (H, W) uint8
            Which shape each pixel belongs to.
        """
        # Scalars of numpy would turn every window into float64.
        ax, ay, bx, by, ra, rb = map(float, (*a, *b, *radii))
        ra, rb = max(ra, _LEAST_RADIUS), max(rb, _LEAST_RADIUS)
        left, right = min(ax - ra, bx - rb), max(ax + ra, bx + rb)
        window = self._window(left, min(ay - ra, by - rb), right, max(ay + ra, by + rb))
        if window is None:
            return
        x, y = _coordinates(window, ax, ay)
        along: Float32
        dx, dy = bx - ax, by - ay
        length = math.hypot(dx, dy)
        if length < 0.05:
            distance, along, dx, dy = x * x + y * y, y, 0.0, -1.0
            np.sqrt(distance, out=distance)
            distance -= ra
        else:
            dx, dy = dx / length, dy / length
            along = x * dx + y * dy
            np.maximum(along, 0, out=along)
            np.minimum(along, length, out=along)
            x, y = x - along * dx, y - along * dy
            distance = x * x
            distance += y * y
            np.sqrt(distance, out=distance)
            distance -= along * ((rb - ra) / length) + ra if ra != rb else ra
        radius = 0.5 * (ra + rb)
        shade = x * (self.light[0] / radius) + y * (self.light[1] / radius)
        pattern = None
        if cloth.pattern != PLAIN:
            pattern = _pattern(cloth.pattern, along / period, (y * dx - x * dy) / period)
        self._stamp(window, distance, shade, cloth, pattern, tag, own)

    def panel(
        self,
        ring: Sequence[Point],
        radius: float,
        cloth: Cloth,
        *,
        period: float = 1,
        tag: int = 1,
        own: NDArray[np.uint8],
    ) -> None:
        """Paint a quadrilateral whose corners are rounded outwards.

        Parameters
        ----------
        ring : (4, 2) floats
            Corners in px, the first two on the upper side.
        radius : float
            px, of the corners.
        cloth, period, tag, own
            As in `limb`.
        """
        xs, ys = zip(*ring, strict=True)
        left, top, right, bottom = min(xs) - radius, min(ys) - radius, max(xs) + radius, max(ys) + radius
        window = self._window(left, top, right, bottom)
        if window is None:
            return
        distance = _polygon(ring, *_coordinates(window, 0, 0))
        distance -= radius
        x, y = _coordinates(window, sum(xs) / 4, sum(ys) / 4)
        half = 0.5 * max(right - left, bottom - top)
        shade = x * (self.light[0] / half) + y * (self.light[1] / half)
        pattern = None
        if cloth.pattern != PLAIN:
            dx, dy = xs[2] + xs[3] - xs[0] - xs[1], ys[2] + ys[3] - ys[0] - ys[1]
            size = period * (math.hypot(dx, dy) + 1e-3)
            pattern = _pattern(cloth.pattern, (x * dx + y * dy) / size, (y * dx - x * dy) / size)
        self._stamp(window, distance, shade, cloth, pattern, tag, own)

    def _window(self, left: float, top: float, right: float, bottom: float) -> Window | None:
        """Return the rows and columns of the picture that a shape touches; None if it touches none."""
        _, height, width = self.pixels.shape
        columns = slice(max(0, math.ceil(left - 0.5)), min(width, math.floor(right + 0.5) + 1))
        rows = slice(max(0, math.ceil(top - 0.5)), min(height, math.floor(bottom + 0.5) + 1))
        return None if columns.start >= columns.stop or rows.start >= rows.stop else (rows, columns)

    def _stamp(
        self,
        window: Window,
        distance: Float32,
        shade: Float32,
        cloth: Cloth,
        pattern: Float32 | None,
        tag: int,
        own: NDArray[np.uint8],
    ) -> None:
        """Blend a shape over the picture, its coverage taken from the distance of pixel centres to its edge."""
        cover = 0.5 - distance
        inner = cover - self.contour_px
        for share in (cover, inner):
            np.maximum(share, 0, out=share)
            np.minimum(share, 1, out=share)
        inner *= _CONTOUR
        inner += 1 - _CONTOUR
        shade += 1
        shade = shade * inner
        if pattern is None:
            painted = cloth.colour[:, None, None] * shade
        else:
            painted = pattern * (cloth.other - cloth.colour)[:, None, None]
            painted += cloth.colour[:, None, None]
            painted = painted * shade
        pixels = self.pixels[:, window[0], window[1]]
        painted -= pixels
        painted *= cover
        pixels += painted
        own[window][cover >= 0.5] = tag


def _coordinates(window: Window, x0: float, y0: float) -> tuple[Float32, Float32]:
    """Return x (1, w) and y (h, 1) of a window's pixels relative to a point."""
    rows, columns = window
    x = np.arange(columns.start, columns.stop, dtype=np.float32)[None]
    y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
    return x - x0, y - y0


def _pattern(kind: int, along: NDArray[np.floating], across: NDArray[np.floating]) -> Float32:
    """Return how much of the second colour shows, 0 to 1, from coordinates in periods."""
    if kind == RINGS:
        return _stripes(along)
    if kind == LINES:
        return _stripes(across)
    assert kind == CHECKS
    return (_stripes(along) + _stripes(across)) * np.float32(0.5)


def _stripes(phase: NDArray[np.floating]) -> Float32:
    stripes: Float32 = np.sin(phase * np.float32(2 * np.pi)) * 2 + np.float32(0.5)
    return np.minimum(np.maximum(stripes, 0), 1)


def _polygon(ring: Sequence[Point], x: Float32, y: Float32) -> Float32:
    """Signed distance to a polygon, negative inside (Quilez, "2D distance functions"): nearest edge and parity."""
    nearest: Float32 = np.full((y.shape[0], x.shape[1]), 1e9, np.float32)
    inside = np.zeros(nearest.shape, np.bool_)
    for i, (ax, ay) in enumerate(ring):
        bx, by = ring[i - 1]
        ex, ey, px, py = bx - ax, by - ay, x - ax, y - ay
        scale = 1 / (ex * ex + ey * ey + 1e-6)
        along = px * (ex * scale) + py * (ey * scale)
        np.maximum(along, 0, out=along)
        np.minimum(along, 1, out=along)
        qx, qy = px - along * ex, py - along * ey
        qx *= qx
        qy *= qy
        qx += qy
        np.minimum(nearest, qx, out=nearest)
        if ey != 0:  # a ray to the right crosses the edge in rows between its ends, from pixels to its left
            inside ^= ((py >= 0) != (y >= by)) & (px < py * (ex / ey))
    np.sqrt(nearest, out=nearest)
    return np.where(inside, -nearest, nearest)
