"""geometry.py: the pixel-centre rule, letterboxes and affines."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spmdata.camera import Camera
from spmdata.errors import SpecError
from spmdata.geometry import Affine, cell_to_px, letterbox, nearest_cell, px_to_cell

SIZES = st.tuples(st.integers(1, 2000), st.integers(1, 2000))
SIXTEENTHS = st.integers(-8000, 8000).map(lambda n: n / 16)


@pytest.mark.parametrize(("stride", "px"), [(2, 0.5), (4, 1.5), (8, 3.5)])
def test_cell_zero_is_centred_on_its_pixels(stride: int, px: float) -> None:
    assert cell_to_px(0, stride) == px
    assert px_to_cell(px + 3 * stride, stride) == 3


@given(SIXTEENTHS, st.sampled_from([2, 4, 8]))
def test_px_and_cells_are_inverse_bit_for_bit(x: float, stride: int) -> None:
    assert cell_to_px(px_to_cell(x, stride), stride) == x


@given(st.integers(0, 63), st.sampled_from([2, 4, 8]))
def test_a_flip_of_the_image_is_a_flip_of_the_map(u: int, stride: int) -> None:
    width_px = 64 * stride
    mirrored = Affine.flip(width_px).apply([float(cell_to_px(u, stride)), 0.0])[0]
    assert px_to_cell(mirrored, stride) == 63 - u


def test_nearest_cell_rounds_halves_up() -> None:
    assert nearest_cell([-0.5, 0.5, 1.5, 2.5, -0.51]).tolist() == [0, 1, 2, 3, -1]


@given(SIZES, SIZES)
def test_a_letterbox_maps_the_image_onto_whole_pixels_inside_the_input(
    size_hw: tuple[int, int], input_hw: tuple[int, int]
) -> None:
    box = letterbox(size_hw, input_hw)
    (h, w), (top, left) = box.resized_hw, box.pad_yx
    assert 1 <= h <= input_hw[0]
    assert 1 <= w <= input_hw[1]
    assert h == input_hw[0] or w == input_hw[1]
    assert 0 <= input_hw[0] - h - 2 * top <= 1
    assert 0 <= input_hw[1] - w - 2 * left <= 1
    # The image's edges (half a pixel outside the outer centres) become the edges of its place.
    edges = box.affine.apply([[-0.5, -0.5], [size_hw[1] - 0.5, size_hw[0] - 0.5]])
    np.testing.assert_allclose(edges, [[left - 0.5, top - 0.5], [left + w - 0.5, top + h - 0.5]], atol=1e-9)


@given(SIZES)
def test_a_letterbox_of_the_own_size_moves_nothing(size_hw: tuple[int, int]) -> None:
    assert letterbox(size_hw, size_hw).affine == Affine.identity()


def test_letterbox_says_what_is_wrong() -> None:
    with pytest.raises(SpecError, match="at least 1 px, got image"):
        letterbox((0, 10), (64, 64))


def test_a_pixel_edge_box_covers_the_pixels_it_did_before() -> None:
    # Pixels 2..4 and 1..1, enlarged twice, are pixels 4..9 and 2..3.
    box = letterbox((8, 8), (16, 16)).affine.apply_boxes([2.0, 1.0, 3.0, 1.0])
    np.testing.assert_allclose(box, [4, 2, 6, 2], atol=1e-12)


def test_boxes_keep_their_moved_centre_under_rotation() -> None:
    turn = Affine(np.array([[0.6, -0.8, 5.0], [0.8, 0.6, -3.0]]))
    x, y, w, h = turn.apply_boxes([2.0, 1.0, 3.0, 5.0])
    np.testing.assert_allclose([x + w / 2 - 0.5, y + h / 2 - 0.5], turn.apply([2 + 1.5 - 0.5, 1 + 2.5 - 0.5]))


@given(st.lists(st.floats(-3, 3), min_size=6, max_size=6), st.tuples(SIXTEENTHS, SIXTEENTHS))
def test_inverse_and_composition(numbers: list[float], point: tuple[float, float]) -> None:
    matrix = np.array(numbers).reshape(2, 3)
    if abs(np.linalg.det(matrix[:, :2])) < 0.05:
        return
    affine = Affine(matrix)
    np.testing.assert_allclose(affine.inverse().apply(affine.apply(point)), point, atol=1e-6)
    twice = affine.after(Affine.flip(100)).apply(point)
    np.testing.assert_allclose(twice, affine.apply(Affine.flip(100).apply(point)), atol=1e-9)


@pytest.mark.parametrize("matrix", [np.zeros((2, 3)), np.full((2, 3), np.nan), np.eye(3)])
def test_an_affine_that_cannot_be_one_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(SpecError, match="affine"):
        Affine(matrix)


def test_a_camera_moves_with_the_image() -> None:
    K = np.array([[1000.0, 2.0, 320.0], [0, 990.0, 240.0], [0, 0, 1]])
    camera = Camera(K, np.zeros(5), np.eye(3), np.zeros(3))
    affine = letterbox((480, 640), (256, 256)).affine
    point = np.array([0.3, -0.2, 2.0])
    before = (K @ point)[:2] / point[2]
    moved = camera.transform(affine).K @ point
    np.testing.assert_allclose(moved[:2] / moved[2], affine.apply(before))
    with pytest.raises(SpecError, match="camera dist"):
        Camera(K, np.zeros(4), np.eye(3), np.zeros(3))


K_SKEWED = np.array([[1400.0, 3.0, 950.0], [0, 1390.0, 560.0], [0, 0, 1]])
#: HD cameras of a dome, one with a pincushion, one without distortion.
DISTORTIONS = [
    (-0.286227, 0.183082, -4.29815e-05, 0.000644874, -0.0479635),
    (-0.222445, 0.199192, 0.002, -0.003, 0.0238445),
    (0.1, 0.02, -0.001, 0.0005, 0.0),
    (0.0, 0.0, 0.0, 0.0, 0.0),
]


def pinhole(camera: Camera, point: list[float]) -> list[float]:
    """Project one point by the textbook, in scalars, from polar coordinates."""
    k1, k2, p1, p2, k3 = camera.dist
    x, y = point[0] / point[2], point[1] / point[2]
    r, angle = math.hypot(x, y), math.atan2(y, x)
    long = r + k1 * r**3 + k2 * r**5 + k3 * r**7
    xd = long * math.cos(angle) + r * r * (p1 * math.sin(2 * angle) + p2 * (2 + math.cos(2 * angle)))
    yd = long * math.sin(angle) + r * r * (p1 * (2 - math.cos(2 * angle)) + p2 * math.sin(2 * angle))
    (fx, skew, cx), (_, fy, cy), _ = camera.K
    return [fx * xd + skew * yd + cx, fy * yd + cy]


def camera_of(dist: tuple[float, ...]) -> Camera:
    return Camera(K_SKEWED, np.array(dist), np.eye(3), np.zeros(3))


@pytest.mark.parametrize("dist", DISTORTIONS)
def test_project_is_the_textbook_and_unproject_its_inverse(dist: tuple[float, ...]) -> None:
    camera = camera_of(dist)
    z = np.random.default_rng(0).uniform(50, 500, 300)
    points = np.random.default_rng(1).uniform(-0.6, 0.6, (300, 3)) * z[:, None]
    points[:, 2] = z
    px = camera.project(points)
    np.testing.assert_allclose(px, [pinhole(camera, point) for point in points.tolist()], atol=1e-9)
    np.testing.assert_allclose(camera.unproject(px, z), points, atol=1e-7)
    assert camera.project(points.reshape(30, 10, 3)).shape == (30, 10, 2)


@pytest.mark.parametrize("dist", DISTORTIONS)
def test_a_moved_camera_sees_the_moved_image(dist: tuple[float, ...]) -> None:
    camera = camera_of(dist)
    affine = Affine(np.array([[0.3, -0.2, 40.0], [0.1, 0.5, -7.0]]))
    points = np.array([[10.0, -50.0, 200.0], [-90.0, 60.0, 300.0]])
    moved = camera.transform(affine)
    np.testing.assert_allclose(moved.project(points), affine.apply(camera.project(points)))
    np.testing.assert_allclose(moved.unproject(affine.apply(camera.project(points)), points[:, 2]), points)
    assert moved.f_px == pytest.approx(camera.f_px * affine.area_scale**0.5)
    assert camera.f_px == pytest.approx((1400 * 1390) ** 0.5)


def test_what_a_camera_cannot_see_is_nan() -> None:
    camera = camera_of((-0.3, 0.0, 0.0, 0.0, 0.0))  # r - 0.3 r^3 turns at r = 1.054, where it is 0.703
    points = np.array([[1.05, 0, 1], [1.06, 0, 1], [0, 0, -1], [0, 0, 0]])
    assert np.isnan(camera.project(points)).any(-1).tolist() == [False, True, True, True]
    px = [[950 + 1400 * r, 560.0] for r in (0.70, 0.71, 100.0)]
    found = camera.unproject(px, 1.0)
    assert np.isnan(found).any(-1).tolist() == [False, True, True]
    np.testing.assert_allclose(found[0, 0] - 0.3 * found[0, 0] ** 3, 0.70)
