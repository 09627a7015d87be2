"""What is behind and in front of synthetic people: walls, floors, textures, things, sticks that resemble limbs.

Colours are duller than clothes and contrasts lower, so that a small network can tell people from things. All sizes are
fractions of the image's height: the same row at another resolution shows the same scene.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spmdata.sources.synthetic_look import Cloth, draw_colour, plain
from spmdata.sources.synthetic_paint import Canvas

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


def draw_backdrop(rng: np.random.Generator, size_hw: tuple[int, int], horizon_px: float) -> Float32:
    """Return a wall above a floor, each with its own gradient, under a texture.

    Parameters
    ----------
    rng : numpy.random.Generator
        Of the row.
    size_hw : (int, int)
        px.
    horizon_px : float
        Row where the floor begins.

    Returns
    -------
    (3, H, W) float32
        0 to 255, planar.
    """
    height, width = size_hw
    pixels = np.empty((3, height, width), np.float32)
    edge = int(np.clip(horizon_px, 1, height - 1))
    one = rng.random() < 0.3
    for rows in (slice(0, height),) if one else (slice(0, edge), slice(edge, height)):
        base = draw_colour(rng, (0.05, 0.35), (0.35, 0.9))
        grid = base + 60 * (rng.random((3, 4, 1)) - 0.5) + 16 * (rng.random((3, 4, 3)) - 0.5)
        pixels[:, rows] = _stretch(grid, (rows.stop - rows.start, width))
    _add_texture(rng, pixels)
    return pixels


def draw_clutter(rng: np.random.Generator, canvas: Canvas) -> None:
    """Put three to nine things on a picture."""
    _, height, width = canvas.pixels.shape
    own = np.zeros((height, width), np.uint8)
    for _ in range(int(rng.integers(3, 10))):
        u = rng.random(12)
        at = np.array([u[0] * width, u[1] * height])
        cloth = _cover(rng, (0.05, 0.5), (0.2, 0.9))
        _draw_thing(canvas, int(u[2] * 5), at, u[3:], cloth, own)


def draw_obstacle(rng: np.random.Generator, canvas: Canvas, box: Float64, own: NDArray[np.uint8]) -> None:
    """Put a thing in front of a person.

    Parameters
    ----------
    rng : numpy.random.Generator
        Of the row.
    canvas : Canvas
        The picture.
    box : (4,) float64
        Left, top, right, bottom of the person, px from the image's edges.
    own : (H, W) uint8
        Set to 1 where the thing is.
    """
    u = rng.random(8)
    w, h = (box[2:] - box[:2]).tolist()
    x, y = (box[0] + (0.2 + 0.6 * u[0]) * w), (box[1] + (0.25 + 0.6 * u[1]) * h)
    cloth = _cover(rng, (0.05, 0.6), (0.2, 0.9))
    if u[2] < 0.3:  # a post
        lean, r = 0.1 * h * (u[3] - 0.5), h * (0.025 + 0.04 * u[4])
        canvas.limb((x, box[1] - 0.1 * h), (x + lean, box[3] + 0.1 * h), (r, r), cloth, period=4 * r, own=own)
    elif u[2] < 0.75:  # a board, a table, a hedge before the legs
        y = box[1] + (0.6 + 0.25 * u[3]) * h
        half = np.array([(0.4 + 0.5 * u[4]) * max(w, 0.4 * h), (0.06 + 0.12 * u[5]) * h])
        _panel(canvas, np.array([x, y]), half, 0.2 * (u[6] - 0.5), cloth, own)
    else:  # a ball, a bush
        r = h * (0.07 + 0.1 * u[3])
        canvas.limb((x, y), (x + r * (u[4] - 0.5), y), (r, r), cloth, period=r, own=own)


def _draw_thing(canvas: Canvas, kind: int, at: Float64, u: Float64, cloth: Cloth, own: NDArray[np.uint8]) -> None:
    height = canvas.pixels.shape[1]
    if kind == 0:  # a ball
        r = height * (0.02 + 0.08 * u[0])
        canvas.limb(at.tolist(), at.tolist(), (r, r), cloth, period=r, own=own)
    elif kind in (1, 2):  # a box, a picture, a window
        _panel(canvas, at, height * (0.03 + 0.14 * u[:2]), 0.6 * (u[2] - 0.5), cloth, own)
    elif kind == 3:  # a pole
        r, lean = height * (0.008 + 0.02 * u[0]), height * 0.3 * (u[1] - 0.5)
        reach = height * (0.2 + 0.5 * u[2])
        canvas.limb(at.tolist(), (at[0] + lean, at[1] + reach), (r, r), cloth, period=6 * r, own=own)
    else:  # two sticks with an elbow between them
        for i in (0, 1):
            angle, reach, r = 2 * np.pi * u[i], height * (0.08 + 0.12 * u[2 + i]), height * (0.012 + 0.02 * u[4])
            to = at + reach * np.array([np.cos(angle), np.sin(angle)])
            canvas.limb(at.tolist(), to.tolist(), (r, r * (0.5 + 0.5 * u[5])), cloth, period=6 * r, own=own)
            at = to


def _panel(canvas: Canvas, centre: Float64, half: Float64, angle: float, cloth: Cloth, own: NDArray[np.uint8]) -> None:
    """Paint a turned rectangle with slightly rounded corners."""
    c, s = np.cos(angle), np.sin(angle)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half @ np.array([[c, s], [-s, c]]) + centre
    canvas.panel(corners.tolist(), 1.0, cloth, period=float(half.min()), own=own)


def _cover(rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]) -> Cloth:
    cloth = plain(draw_colour(rng, saturation, value))
    u = rng.random(2)
    if u[0] < 0.3:
        return Cloth(cloth.colour, cloth.colour * np.float32(0.75), 1 + int(3 * u[1]))
    return cloth


def _stretch(grid: Float64, size_hw: tuple[int, int]) -> Float32:
    """Stretch a small grid of colours (h, w, 3) over a picture, (3, H, W)."""
    small = Image.fromarray(np.clip(grid, 0, 255).astype(np.uint8))
    large = np.asarray(small.resize((size_hw[1], size_hw[0]), Image.Resampling.BICUBIC))
    return large.transpose(2, 0, 1).astype(np.float32)


def _add_texture(rng: np.random.Generator, pixels: Float32) -> None:
    """Add blotches, and in some images stripes."""
    _, height, width = pixels.shape
    u = rng.random(6)
    cells = 6 + int(26 * u[0])
    blotches = np.clip(128 + 38 * rng.standard_normal((cells, cells * width // height + 1)), 0, 255).astype(np.uint8)
    large = Image.fromarray(blotches).resize((width, height), Image.Resampling.BILINEAR)
    pixels += (np.asarray(large, np.float32) - 128) * np.float32(0.7 * u[1])
    if u[2] < 0.35:
        angle, waves = np.pi * u[3], 2 * np.pi * (4 + 16 * u[4]) / height
        x = np.arange(width, dtype=np.float32)[None] * np.float32(waves * np.cos(angle))
        y = np.arange(height, dtype=np.float32)[:, None] * np.float32(waves * np.sin(angle))
        # sin(x + y) from two short vectors: an image-sized sine would cost as much as a person.
        stripes = np.sin(x) * np.cos(y) + np.cos(x) * np.sin(y)
        pixels += np.clip(stripes * 3, -1, 1) * np.float32(4 + 16 * u[5])
