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

#: Steps of Newton's method that undistort a point: about six do, more only close to where the distortion turns back.
UNDISTORT_STEPS = 30
#: Off by less, in normalised coordinates, a point is undistorted.
UNDISTORTED = 1e-14


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


@dataclass(frozen=True, eq=False)
class Camera:
    """A calibrated camera: ``X_cam = R X + t`` in cm, divided by z, distorted, then mapped to px by K.

    Parameters
    ----------
    K : (3, 3) float64
        Intrinsics in px, skew allowed.
    dist : (5,) float64
        ``k1 k2 p1 p2 k3`` on normalised coordinates.
    R, t : (3, 3) and (3,) float64
        World to camera; t in cm.

    Raises
    ------
    SpecError
        Another shape or a number that is not finite.
    """

    K: Float64
    dist: Float64
    R: Float64
    t: Float64

    def __post_init__(self) -> None:
        """Check and copy the arrays."""
        for name, shape in (("K", (3, 3)), ("dist", (5,)), ("R", (3, 3)), ("t", (3,))):
            array = np.array(getattr(self, name), np.float64)
            if array.shape != shape or not np.isfinite(array).all():
                raise SpecError(f"camera {name} must be {shape} finite numbers, got {array.tolist()}")
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @property
    def intrinsics(self) -> Float64:
        """K row by row, then dist, (14,): what a store keeps of a camera, as people are in its own frame there."""
        return np.concatenate([self.K.ravel(), self.dist])

    @staticmethod
    def of_intrinsics(numbers: ArrayLike) -> Camera | None:
        """Return the camera of `intrinsics` (14,), its frame the world's; None for zeros, which stand for no camera."""
        values = np.asarray(numbers, np.float64)
        return Camera(values[:9].reshape(3, 3), values[9:], np.eye(3), np.zeros(3)) if values.any() else None

    @staticmethod
    def simple(f_px: float, size_hw: tuple[int, int]) -> Camera:
        """Return a camera of which the focal length alone is known: it looks through the middle, without distortion."""
        (height, width), R = size_hw, np.eye(3)
        K = [[f_px, 0, (width - 1) / 2], [0, f_px, (height - 1) / 2], [0, 0, 1]]
        return Camera(np.array(K, np.float64), np.zeros(5), R, np.zeros(3))

    def transform(self, affine: Affine) -> Camera:
        """Return the camera of the image after an affine: ``K <- A3 @ K``, skew kept, distortion untouched."""
        affine3 = np.concatenate([affine.matrix, [[0.0, 0.0, 1.0]]])
        return Camera(affine3 @ self.K, self.dist, self.R, self.t)

    @property
    def f_px(self) -> float:
        """Focal length of the image at hand, ``sqrt(|det K[:2, :2]|)``: it grows with the image as people in it do."""
        return float(abs(np.linalg.det(self.K[:2, :2])) ** 0.5)

    def project(self, points_cm: ArrayLike) -> Float64:
        """Map points (..., 3) in the camera's frame to pixels (..., 2).

        nan where the camera sees nothing: behind it, and so far aside that the radial distortion turns back (such
        points would fold into the image).
        """
        points = np.asarray(points_cm, np.float64)
        z = np.where(points[..., 2] > 0, points[..., 2], np.nan)
        x, y = points[..., 0] / z, points[..., 1] / z
        seen = x * x + y * y < self._turning_point()
        xy, _ = self._distort(np.where(seen, x, np.nan), np.where(seen, y, np.nan))
        return xy @ self.K[:2, :2].T + self.K[:2, 2]

    def unproject(self, points_px: ArrayLike, z_cm: ArrayLike) -> Float64:
        """Map pixels (..., 2) at depths (...) to points (..., 3) in the camera's frame, in cm: `project`'s inverse.

        nan where no point in front of the distortion's turn has this pixel.
        """
        _, x, y, found = self._undistort(points_px)
        ray = np.where(found[..., None], np.stack([x, y, np.ones_like(x)], -1), np.nan)
        return np.asarray(ray * np.asarray(z_cm, np.float64)[..., None])

    def rays(self, points_px: ArrayLike) -> Float64:
        """Map pixels (..., 2), also such as no point has, to the points (..., 3) at depth 1 that they show.

        A pixel that `unproject` has no point for, where an estimate may land, is taken as if the lens did not distort.
        """
        ahead, x, y, found = self._undistort(points_px)
        plain = np.where(found[..., None], np.stack([x, y], -1), ahead)
        return np.concatenate([plain, np.ones_like(plain[..., :1])], -1)

    def _undistort(self, points_px: ArrayLike) -> tuple[Float64, Float64, Float64, NDArray[np.bool_]]:
        """Return normalised coordinates as they are seen (..., 2), and undistorted by Newton's method where found."""
        ahead = (np.asarray(points_px, np.float64) - self.K[:2, 2]) @ np.linalg.inv(self.K[:2, :2]).T
        x, y = ahead[..., 0], ahead[..., 1]
        with np.errstate(all="ignore"):  # a pixel that no ray reaches wanders off
            for _ in range(UNDISTORT_STEPS):
                distorted, (xx, xy, yy) = self._distort(x, y)
                dx, dy = np.moveaxis(distorted - ahead, -1, 0)
                if not (np.maximum(np.abs(dx), np.abs(dy)) > UNDISTORTED).any():
                    break
                det = xx * yy - xy * xy
                x, y = x - (yy * dx - xy * dy) / det, y - (xx * dy - xy * dx) / det
            off = np.abs(self._distort(x, y)[0] - ahead).max(-1)
            found = (off < 1e-9) & (x * x + y * y < self._turning_point())
        return ahead, x, y, found

    def _distort(self, x: Float64, y: Float64) -> tuple[Float64, tuple[Float64, Float64, Float64]]:
        """Distort normalised coordinates; also the symmetric Jacobian as (dx'/dx, dx'/dy = dy'/dx, dy'/dy).

        The tangential terms take the undistorted x and y in both axes, as in OpenCV's documentation.
        """
        k1, k2, p1, p2, k3 = self.dist.tolist()
        q = x * x + y * y
        radial, slope = 1 + q * (k1 + q * (k2 + q * k3)), k1 + q * (2 * k2 + q * 3 * k3)
        distorted = np.stack(
            [x * radial + 2 * p1 * x * y + p2 * (q + 2 * x * x), y * radial + p1 * (q + 2 * y * y) + 2 * p2 * x * y], -1
        )
        across = 2 * x * y * slope + 2 * p1 * x + 2 * p2 * y
        xx = radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x
        return distorted, (xx, across, radial + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x)

    def _turning_point(self) -> float:
        """Return the squared radius from which on the radial polynomial falls; inf when it never does."""
        k1, k2, _, _, k3 = self.dist.tolist()
        roots = np.roots([7 * k3, 5 * k2, 3 * k1, 1])
        turns = roots.real[(abs(roots.imag) < 1e-9) & (roots.real > 0)]
        return float(turns.min(initial=np.inf))
