"""People in front of cameras: a small source that is drawn."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spmdata.camera import Camera
from spmdata.people import People, Sample, SourceInfo
from spmdata.skeleton import Skeleton
from spmdata.skeletons import COCO17
from spmdata.sources.base import ImageReader

#: A person of COCO's joints who faces the camera, cm: x to the image's right, y down, from the middle of the hips.
STANDING = np.array(
    [
        *([0, -62, -8], [3, -66, -6], [-3, -66, -6], [7, -65, 2], [-7, -65, 2], [18, -50, 0], [-18, -50, 0]),
        *([26, -24, 4], [-26, -24, 4], [28, 0, -4], [-28, 0, -4], [11, 0, 0], [-11, 0, 0]),
        *([12, 42, -3], [-12, 42, -3], [12, 84, 3], [-12, 84, 3]),
    ],
    float,
)
#: A camera of 192 x 108 px with the distortion of a real one, and a skew.
LENS = Camera(
    np.array([[160.0, 0.5, 95], [0, 155, 54], [0, 0, 1]]),
    np.array([-0.22, 0.2, 1e-4, 1e-3, 0.02]),
    np.eye(3),
    np.zeros(3),
)
SIZE_HW = (108, 192)


def standing(rng: np.random.Generator, x_cm: float, z_cm: float) -> NDArray[np.float64]:
    """Return joints (17, 3) in the camera's frame, cm, of somebody who turned and bends a little."""
    angle = rng.uniform(-np.pi, np.pi)
    c, s = np.cos(angle), np.sin(angle)
    turned = STANDING @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]]) * rng.uniform(0.85, 1.1)
    return np.asarray(turned + rng.normal(0, 3, (17, 3)) + np.array([x_cm, rng.uniform(-25, 15), z_cm]))


def in_image(points_cm: NDArray[np.float64], camera: Camera, **columns: Any) -> People:
    """Return people of points (P, K, 3) in the camera's frame; who cannot be seen from there is not labelled."""
    px = camera.project(points_cm)
    seen = np.asarray(np.isfinite(px).all(-1))
    joints = np.where(seen[..., None], np.concatenate([px, points_cm[..., 2:]], -1), 0)
    return People.of(joints, 2 * seen, **columns)


@dataclass(frozen=True)
class Drawings:
    """Draws each sample: a dot a joint, the nearer the larger, its colour says which."""

    def read(self, sample: Sample) -> bytes:
        """Return a PNG."""
        height, width = sample.size_hw
        pixels = np.full((height, width, 3), 30, np.uint8)
        y, x = np.mgrid[:height, :width]
        for person in sample.people.joints:
            for k, (u, v, z) in enumerate(person):
                colour = [80 + 10 * k, 240 - 10 * k, 90 + 160 * (k % 2)]
                pixels[(x - u) ** 2 + (y - v) ** 2 <= (900 / max(z, 100)) ** 2] = colour
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        return file.getvalue()


INFO = SourceInfo("scenes", "", "scenes", "0" * 64)


@dataclass(frozen=True)
class Scenes:
    """A source of 3D people: two in every image, apart; in row 1 one has no depth, row 2 has no camera."""

    rows: int = 12
    info: SourceInfo = INFO
    skeleton: Skeleton = COCO17
    image_reader: ImageReader | None = Drawings()
    travels: bool = True
    findings: tuple[tuple[str, int], ...] = ()

    @property
    def n_people(self) -> NDArray[np.int64]:
        """Two in each."""
        return np.full(self.rows, 2)

    def __len__(self) -> int:
        return self.rows

    def points_cm(self, index: int) -> NDArray[np.float64]:
        """Return where everybody stands in the camera's frame, (2, 17, 3)."""
        rng = np.random.default_rng(index)
        return np.stack([standing(rng, x, rng.uniform(260, 420)) for x in (-75, 75)])

    def __getitem__(self, index: int) -> Sample:
        """Return one image's people."""
        people = in_image(self.points_cm(index), LENS, id=2 * index + np.arange(2))
        if index == 1:
            people = replace(people, has_depth=np.array([True, False]))
        if index == 2:
            return Sample(index, f"{index}.png", SIZE_HW, replace(people, has_depth=np.zeros(2, bool)))
        return Sample(index, f"{index}.png", SIZE_HW, people, LENS)
