"""Where a pixel is: the one place that says how images, input pixels and cells relate.

The rule: a point (x, y) is in pixel-index units, so (0, 0) is the centre of the top-left pixel. Cell ``u`` of an
output grid of stride ``s`` is centred on input pixel ``u * s + (s - 1) / 2``. With it a horizontal flip of the image
(``x' = W_px - 1 - x``) is exactly a flip of the map. Boxes ``xywh`` are in pixel-edge units as in COCO: a box covers
``x - 0.5 <= px < x + w - 0.5``. The nearest cell of a point is ``floor(x + 0.5)``.

Letters: H, W height and width; s stride in px; A an affine map of 2D points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spmdata.errors import SpecError

Float64 = NDArray[np.float64]


def cell_origin_px(stride: int) -> float:
    """Return the input pixel on which cell 0 is centred, ``(stride - 1) / 2``."""
    return (stride - 1) / 2


def px_to_cell(points_px: ArrayLike, stride: int) -> Float64:
    """Map input pixels to cell units; any shape, float64 out."""
    return (np.asarray(points_px, np.float64) - cell_origin_px(stride)) / stride


def cell_to_px(points_cell: ArrayLike, stride: int) -> Float64:
    """Map cell units to input pixels; any shape, float64 out."""
    return np.asarray(points_cell, np.float64) * stride + cell_origin_px(stride)


def nearest_cell(points_cell: ArrayLike) -> NDArray[np.int64]:
    """Return ``floor(x + 0.5)``: half-even rounding would pick another cell for one anchor in a hundred."""
    return np.floor(np.asarray(points_cell, np.float64) + 0.5).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Affine:
    """A 2D affine map of points in pixel-index units.

    Parameters
    ----------
    matrix : array_like, (2, 3) float64
        ``x' = matrix[:, :2] @ x + matrix[:, 2]``.

    Raises
    ------
    SpecError
        Another shape, a number that is not finite, or a map that cannot be inverted.
    """

    matrix: Float64

    def __post_init__(self) -> None:
        """Check and copy the matrix."""
        matrix = np.array(self.matrix, np.float64)
        if matrix.shape != (2, 3):
            raise SpecError(f"an affine is a (2, 3) matrix, got shape {matrix.shape}")
        if not np.isfinite(matrix).all() or abs(_determinant(matrix)) < 1e-12:
            raise SpecError(f"an affine must be finite and invertible, got {matrix.tolist()}")
        matrix.flags.writeable = False
        object.__setattr__(self, "matrix", matrix)

    def __eq__(self, other: object) -> bool:
        """Equal when the numbers are."""
        return isinstance(other, Affine) and bool(np.array_equal(self.matrix, other.matrix))

    __hash__ = None  # type: ignore[assignment]  # arrays inside

    @property
    def determinant(self) -> float:
        """``det A``; negative when left and right are exchanged."""
        return _determinant(self.matrix)

    @property
    def area_scale(self) -> float:
        """How many times larger an area becomes: ``|det A|``."""
        return abs(self.determinant)

    @property
    def mirrors(self) -> bool:
        """Left and right are exchanged."""
        return self.determinant < 0

    def apply(self, points: ArrayLike) -> Float64:
        """Map points (..., 2); computed and returned in float64."""
        points = np.asarray(points, np.float64)
        x, y = points[..., 0], points[..., 1]
        (a, b, c), (d, e, f) = self.matrix.tolist()
        # Written out: matmul would add b * y = 0 * inf and sum in an order of its own.
        return np.stack((a * x + b * y + c, d * x + e * y + f), axis=-1)

    def apply_boxes(self, boxes_xywh: ArrayLike) -> Float64:
        """Map boxes (..., 4) in pixel-edge units to the smallest upright boxes around their images."""
        boxes = np.asarray(boxes_xywh, np.float64)
        x0, y0 = boxes[..., 0] - 0.5, boxes[..., 1] - 0.5
        x1, y1 = x0 + boxes[..., 2], y0 + boxes[..., 3]
        corners = self.apply(np.stack([np.stack(c, -1) for c in ((x0, y0), (x1, y0), (x0, y1), (x1, y1))], -2))
        low, high = corners.min(-2), corners.max(-2)
        return np.concatenate([low + 0.5, high - low], axis=-1)

    def inverse(self) -> Affine:
        """Return the map back."""
        linear = np.linalg.inv(self.matrix[:, :2])
        return Affine(np.concatenate([linear, -linear @ self.matrix[:, 2:]], axis=1))

    def after(self, first: Affine) -> Affine:
        """Return the map that applies ``first`` and then this one."""
        linear = self.matrix[:, :2]
        shift = linear @ first.matrix[:, 2:] + self.matrix[:, 2:]
        return Affine(np.concatenate([linear @ first.matrix[:, :2], shift], axis=1))

    @staticmethod
    def identity() -> Affine:
        """Return the map that moves nothing."""
        return Affine(np.eye(2, 3))

    @staticmethod
    def flip(width_px: int) -> Affine:
        """Return the horizontal mirror ``x' = width_px - 1 - x``."""
        return Affine(np.array([[-1.0, 0.0, width_px - 1.0], [0.0, 1.0, 0.0]]))


def _determinant(matrix: Float64) -> float:
    (a, b, _), (d, e, _) = matrix.tolist()
    return float(a * e - b * d)


@dataclass(frozen=True)
class Letterbox:
    """How an image of ``size_hw`` lies in an input of ``input_hw``: resized to ``resized_hw``, then padded.

    ``scale = min(H_px / h, W_px / w)``, enlarging allowed; the resized size is rounded to whole pixels, so x and y have
    a scale each; ``pad_yx`` is whole pixels above and to the left.
    """

    resized_hw: tuple[int, int]
    pad_yx: tuple[int, int]
    affine: Affine


@lru_cache(maxsize=4096)  # few sizes come often, and an Affine costs as much as 1 % of a JPEG
def letterbox(size_hw: tuple[int, int], input_hw: tuple[int, int]) -> Letterbox:
    """Fit an image into the network's input, centred, without changing its shape.

    Parameters
    ----------
    size_hw, input_hw : (int, int)
        Image and input (height, width) in px, each at least 1.

    Returns
    -------
    Letterbox
        With ``x' = (x + 0.5) * sx - 0.5 + pad`` as its affine.

    Raises
    ------
    SpecError
        A size below 1.
    """
    if min(*size_hw, *input_hw) < 1:
        raise SpecError(f"image and input sizes must be at least 1 px, got image {size_hw} and input {input_hw}")
    scale = min(input_hw[0] / size_hw[0], input_hw[1] / size_hw[1])
    resized = [min(limit, max(1, math.floor(n * scale + 0.5))) for n, limit in zip(size_hw, input_hw, strict=True)]
    pad = [(limit - n) // 2 for n, limit in zip(resized, input_hw, strict=True)]
    sy, sx = resized[0] / size_hw[0], resized[1] / size_hw[1]
    matrix = [[sx, 0.0, 0.5 * sx - 0.5 + pad[1]], [0.0, sy, 0.5 * sy - 0.5 + pad[0]]]
    return Letterbox((resized[0], resized[1]), (pad[0], pad[1]), Affine(np.array(matrix)))
