"""Pixels of one image in memory: to RGB, turned upright, resized, warped. Files and their bytes are images.py's affair.

Letters: h, w height and width of a picture in px.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spmdata.errors import ImageError
from spmdata.geometry import Affine

Pixels = NDArray[np.uint8]
Size = tuple[int, int]

#: Grey of the padding, and of what is transparent: near the mean of photographs, so that it makes no strong edge.
PAD_VALUE = 114
#: Images that a warp shrinks more than so many times are first averaged over squares of whole pixels.
LARGEST_STEP = 4


def to_rgb(image: Image.Image) -> Pixels:
    """Return the pixels (h, w, 3) uint8 of an image of any mode; ImageError for floating-point ones.

    16 bits a channel become the upper 8; what is transparent shows `PAD_VALUE`.
    """
    if image.mode == "F":
        raise ImageError("image has floating-point pixels; 8 or 16 bits a channel expected")
    if image.mode.startswith("I"):  # Pillow's own conversion clips 16 bits at 255
        grey = (np.asarray(image).astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.has_transparency_data:
        top = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", top.size, (PAD_VALUE,) * 3 + (255,)), top)
    return np.asarray(image.convert("RGB"))


def turned(pixels: Pixels, orientation: int) -> Pixels:
    """Undo an EXIF orientation: from 5 on rows are columns; then mirror where the stored image was mirrored."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def resized(pixels: Pixels, size_hw: Size) -> Pixels:
    """Resize pixels (h, w, 3) by antialiased bicubic interpolation."""
    size_wh = size_hw[1], size_hw[0]
    image = Image.fromarray(pixels).resize(size_wh, Image.Resampling.BICUBIC, reducing_gap=3.0)
    return np.asarray(image)


def warped(pixels: Pixels, affine: Affine, size_hw: Size) -> Pixels:
    """Move pixels (h, w, 3) by an affine into a picture of ``size_hw``, `PAD_VALUE` where the image is not.

    Enlarged, the image is interpolated (bicubic); shrunk n times it is sampled ceil(n) times as densely as the result
    in both directions (bilinear) and averaged, so that no pixel is passed over.

    Parameters
    ----------
    pixels : (h, w, 3) uint8
        RGB.
    affine : Affine
        From px of this image to px of the result, pixel-index units.
    size_hw : (int, int)
        Height and width of the result in px.

    Returns
    -------
    (*size_hw, 3) uint8
    """
    image, back = Image.fromarray(pixels), affine.inverse().matrix
    step = float(np.linalg.norm(back[:, :2], axis=0).max())  # px of the image from one px of the result to the next
    whole = int(step // 2) if step >= LARGEST_STEP else 1
    if whole > 1:
        image = image.reduce(whole)
    dense = max(1, math.ceil(step / whole))
    # Pillow counts from the edge of the first pixel, we from its centre.
    edge = back[:, 2] + 0.5 - back[:, :2].sum(1) / 2
    rows = np.concatenate([back[:, :2] / dense, edge[:, None]], 1) / whole
    kind = Image.Resampling.BICUBIC if dense == 1 else Image.Resampling.BILINEAR
    size_wh = size_hw[1] * dense, size_hw[0] * dense
    moved = image.transform(size_wh, Image.Transform.AFFINE, tuple(rows.ravel()), kind, fillcolor=(PAD_VALUE,) * 3)
    return np.asarray(moved.reduce(dense) if dense > 1 else moved)
