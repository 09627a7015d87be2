"""Cameras: from points in cm to pixels and back, with distortion, in the pixel-index units of `spmdata.geometry`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spmdata.errors import SpecError
from spmdata.geometry import Affine, Float64

#: Steps of Newton's method that undistort a point: about six do, more only close to where the distortion turns back.
UNDISTORT_STEPS = 30
#: Off by less, in normalised coordinates, a point is undistorted.
UNDISTORTED = 1e-14


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
