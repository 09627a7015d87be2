"""People into pictures: bones, joints and roots over an image, and sheets of many images.

Letters: h, w height and width of a picture in px; K joints.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from spmdata.people import People
from spmdata.skeleton import ROOT, Skeleton

Pixels = NDArray[np.uint8]

#: Drawn this many times larger and shrunk again, so that lines are smooth.
SMOOTH = 2
#: Grey between the pictures of a sheet, and height of a caption's line, px.
PAPER, CAPTION_PX = 245, 12


def person_colour(number: int) -> tuple[int, int, int]:
    """Return a colour for the n-th person, far from its neighbours' (golden angle on the colour circle)."""
    r, g, b = colorsys.hls_to_rgb((0.02 + 0.618034 * number) % 1.0, 0.55, 0.95)
    return round(255 * r), round(255 * g), round(255 * b)


def draw_people(pixels: Pixels, people: People, skeleton: Skeleton, *, zoom: float = 1.0) -> Pixels:
    """Draw people over an image.

    Parameters
    ----------
    pixels : (h, w, 3) uint8
        RGB.
    people : People
        In px of this image; joints of visibility 0 are left out, of visibility 1 drawn hollow.
    skeleton : Skeleton
        Whose tree gives the bones; joints that hang from the root are joined to it by thin lines.
    zoom : float
        The result is that much larger.

    Returns
    -------
    (round(zoom h), round(zoom w), 3) uint8
    """
    h, w = pixels.shape[:2]
    scale = zoom * SMOOTH
    size = (max(1, round(w * scale)), max(1, round(h * scale)))
    canvas = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(canvas)
    for p in range(len(people)):
        _draw_person(pen, people, p, skeleton, scale)
    done = canvas.resize((max(1, round(w * zoom)), max(1, round(h * zoom))), Image.Resampling.BOX)
    return np.asarray(done)


def _draw_person(pen: ImageDraw.ImageDraw, people: People, p: int, skeleton: Skeleton, scale: float) -> None:
    labelled = people.labelled[p]
    if not labelled.any():
        return
    colour = person_colour(p)
    # A pixel's centre is its index: the point (0, 0) lies half a pixel inside the picture.
    points = (people.joints[p, :, :2].astype(np.float64) + 0.5) * scale
    root = points[labelled].mean(0)
    height = float(np.ptp(people.joints[p, labelled, 1])) * scale
    thick = max(SMOOTH, round(min(0.025 * height, 5 * SMOOTH)))
    for k, parent in enumerate(skeleton.parents):
        if labelled[k] and (parent == ROOT or labelled[parent]):
            start = root if parent == ROOT else points[parent]
            pen.line([*start, *points[k]], fill=colour, width=max(1, thick // 3) if parent == ROOT else thick)
    for k in np.nonzero(labelled)[0].tolist():
        hollow = people.visible[p, k] == 1 and people.score[p] == 1
        _dot(pen, points[k], 0.9 * thick, None if hollow else colour, (255, 255, 255) if not hollow else colour)
    _dot(pen, root, 1.3 * thick, (255, 255, 255), colour)


def _dot(
    pen: ImageDraw.ImageDraw,
    at: NDArray[np.float64],
    radius: float,
    fill: tuple[int, int, int] | None,
    outline: tuple[int, int, int],
) -> None:
    x, y = at
    pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=fill, outline=outline, width=max(1, SMOOTH // 2))


def contact_sheet(pictures: Sequence[Pixels], columns: int, captions: Sequence[str] = (), *, gap_px: int = 4) -> Pixels:
    """Lay pictures out in rows, with a line of text below each when there are captions.

    Parameters
    ----------
    pictures : sequence of (h, w, 3) uint8
        At least one; each lies in a place of the greatest size.
    columns : int
        Pictures a row.
    captions : sequence of str
        One a picture, or none at all.
    gap_px : int
        Paper between pictures.

    Returns
    -------
    (h, w, 3) uint8
    """
    tall = max(p.shape[0] for p in pictures) + (CAPTION_PX if captions else 0)
    wide = max(p.shape[1] for p in pictures)
    columns = min(columns, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    size = (columns * (wide + gap_px) + gap_px, rows * (tall + gap_px) + gap_px)
    sheet = Image.new("RGB", size, (PAPER,) * 3)
    pen = ImageDraw.Draw(sheet)
    for i, picture in enumerate(pictures):
        x, y = gap_px + (i % columns) * (wide + gap_px), gap_px + (i // columns) * (tall + gap_px)
        sheet.paste(Image.fromarray(picture), (x, y))
        if captions:
            pen.text((x + 1, y + picture.shape[0]), captions[i], fill=(40, 40, 40))
    return np.asarray(sheet)
