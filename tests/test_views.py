"""Views: a painted pixel and its joint stay together, whatever the view; and what a store of views holds."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from spmdata.camera import Camera
from spmdata.errors import SpecError
from spmdata.geometry import Affine, letterbox
from spmdata.images import fit_image, fit_views, load_input
from spmdata.padded import move_people, pad_people
from spmdata.people import People
from spmdata.pixels import PAD_VALUE, resized, warped
from spmdata.skeleton import Skeleton
from spmdata.skeletons import COCO17
from spmdata.spec import TargetSpec
from spmdata.views import ViewRanges

SPEC = TargetSpec(hierarchical=True, input_hw=(128, 160))
RANGES = ViewRanges()
SIZES = [((120, 160), (128, 160)), ((480, 640), (384, 384)), ((75, 50), (256, 384)), ((1600, 900), (128, 160))]
LEFT, RIGHT = COCO17.joints.index("left_wrist"), COCO17.joints.index("right_wrist")


def seen_through(affine: Affine, people: People, skeleton: Skeleton = COCO17) -> People:
    """Return the people of an image as a view shows them, row by row: what `move_people` does at once."""
    moved = people.transform(affine)
    return moved.swap_sides(skeleton) if affine.mirrors else moved


def spot_xy(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    centre: NDArray[np.float64] = np.array([(pixels * x).sum(), (pixels * y).sum()]) / pixels.sum()
    return centre


def views_inside(size_hw: tuple[int, int], input_hw: tuple[int, int], xy: Any, n: int = 12) -> Iterator[Affine]:
    """Yield affines of views that show a point well inside of the input."""
    found, number = 0, 0
    while found < n:
        affine = RANGES.affine(number, 1, size_hw, input_hw)
        number += 1
        x, y = affine.apply(xy)
        if 8 < x < input_hw[1] - 9 and 8 < y < input_hw[0] - 9:
            found += 1
            yield affine


@pytest.mark.parametrize(("size_hw", "input_hw"), SIZES)
def test_one_white_pixel_and_its_joint_stay_together(size_hw: tuple[int, int], input_hw: tuple[int, int]) -> None:
    x, y = size_hw[1] // 3, size_hw[0] // 2
    pixels = np.full((*size_hw, 3), PAD_VALUE, np.uint8)
    side = max(1, max(size_hw) // 120)  # of a large image a larger square, or nothing is left of it
    pixels[y : y + side, x : x + side] = 255
    middle = np.array([x, y]) + (side - 1) / 2
    people = People.of(np.tile(np.float32(middle), (1, 17, 1)), np.full((1, 17), 2))
    flips = set()
    for affine in views_inside(size_hw, input_hw, middle):
        found = spot_xy(np.abs(warped(pixels, affine, input_hw).astype(float).mean(-1) - PAD_VALUE))
        np.testing.assert_allclose(found, seen_through(affine, people).joints[0, 3], atol=0.12)
        flips.add(affine.mirrors)
    assert flips == {True, False}


def test_left_and_right_are_exchanged_where_the_affine_mirrors() -> None:
    pixels = np.full((120, 160, 3), PAD_VALUE, np.uint8)
    pixels[57:64, 37:44], pixels[57:64, 117:124] = (255, 0, 0), (0, 0, 255)  # red: left; blue: right
    joints = np.zeros((1, 17, 2), np.float32)
    joints[0, LEFT], joints[0, RIGHT] = (40, 60), (120, 60)
    people = People.of(joints, np.where(joints[..., 0] > 0, 2, 0))
    for number in range(30):
        affine = ViewRanges(shift_px=5).affine(number, 1, (120, 160), (128, 160))
        view, seen = warped(pixels, affine, (128, 160)), seen_through(affine, people)
        (lx, ly), (rx, ry) = np.rint(seen.joints[0, [LEFT, RIGHT]]).astype(int).tolist()
        left, right = view[ly, lx].astype(int), view[ry, rx].astype(int)
        assert (left[0] > 180 > 80 > left[2]) != affine.mirrors
        assert (right[2] > 180 > 80 > right[0]) != affine.mirrors


def test_people_move_as_the_image_does() -> None:
    rng = np.random.default_rng(0)
    people = People.of(rng.uniform(10, 110, (3, 17, 2)), np.full((3, 17), 2))
    for number in range(20):
        affine = RANGES.affine(number, 2, (120, 160), (128, 160))
        seen = seen_through(affine, people)
        order = COCO17.flip if affine.mirrors else range(17)
        np.testing.assert_allclose(seen.joints, affine.apply(people.joints[:, list(order)]), atol=1e-4)
        np.testing.assert_allclose(seen.area, people.area * affine.area_scale, rtol=1e-5)
        low, size = seen.bbox_xywh[:, None, :2] - 0.5, seen.bbox_xywh[:, None, 2:]
        assert ((seen.joints >= low) & (seen.joints <= low + size)).all()


@pytest.mark.parametrize("dims", [2, 3])
def test_all_rows_move_at_once_as_each_alone_to_the_bit(dims: int) -> None:
    rng, rows = np.random.default_rng(1), []
    for p in (0, 3, 1, 5, 0, 2):
        joints, box = rng.uniform(-20, 200, (p, 17, dims)), rng.uniform(1, 90, (p, 4))
        visible, number = rng.integers(0, 3, (p, 17)), rng.integers(1, 99, p)
        someone = People.of(joints, visible, area=rng.uniform(1, 9000, p), bbox_xywh=box, id=number)
        rows.append(replace(someone, head_px=rng.uniform(0, 50, p).astype(np.float32), ignore=rng.random(p) < 0.3))
    affines = [RANGES.affine(i, i % 2, (120, 160), (128, 160)) for i in range(6)]
    moved = move_people(pad_people(rows, 5, 17, dims), affines, COCO17)
    wanted = [seen_through(affine, people) for affine, people in zip(affines, rows, strict=True)]
    for name, table in pad_people(wanted, 5, 17, dims)._asdict().items():
        np.testing.assert_array_equal(getattr(moved, name), table, err_msg=name)
        assert getattr(moved, name).dtype == table.dtype


def test_the_camera_goes_along() -> None:
    camera = Camera(np.array([[500, 0, 80], [0, 500, 60], [0, 0, 1]]), np.zeros(5), np.eye(3), np.zeros(3))
    points = np.array([[10.0, -20.0, 300.0], [-40.0, 15.0, 420.0]])
    affine = next(a for a in (RANGES.affine(n, 1, (120, 160), (128, 160)) for n in range(9)) if a.mirrors)
    moved = camera.transform(affine)
    np.testing.assert_allclose(moved.project(points), affine.apply(camera.project(points)), atol=1e-9)


def test_values_are_spread_evenly_over_their_ranges_and_depend_on_row_and_view_alone() -> None:
    size = (100, 100)
    affines = [RANGES.affine(i // 4, 1 + i % 4, size, size) for i in range(4000)]
    assert RANGES.affine(37, 3, size, size) == affines[37 * 4 + 2]
    assert len({a.matrix.tobytes() for a in affines}) == 4000
    assert ViewRanges(seed=1).affine(0, 1, size, size) != affines[0]
    mirrored = np.array([a.mirrors for a in affines])
    assert 0.46 < mirrored.mean() < 0.54
    scale = np.sqrt([a.area_scale for a in affines])
    turn = np.array([math.degrees(math.atan2(a.matrix[1, 0], a.matrix[1, 1])) for a in affines])
    turn[mirrored] = -turn[mirrored]
    shift = np.array([a.apply([49.5, 49.5]) for a in affines]) - 49.5
    for values, low, high in ((scale, 0.7, 1.3), (turn, -40, 40), (shift[:, 0], -40, 40), (shift[:, 1], -40, 40)):
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high >= values.max() > high - 0.01 * (high - low)
        assert abs(values.mean() - (low + high) / 2) < 0.02 * (high - low)
    assert abs(np.corrcoef([scale, turn, *shift.T, mirrored])[np.triu_indices(5, 1)]).max() < 0.06


def test_view_0_is_the_letterbox_and_still_ranges_move_nothing() -> None:
    still = ViewRanges(flip=0, rotation_deg=0, scale=(1, 1), shift_px=0)
    for size_hw, input_hw in SIZES:
        box = letterbox(size_hw, input_hw).affine
        assert RANGES.affine(5, 0, size_hw, input_hw) == box
        np.testing.assert_allclose(still.affine(5, 1, size_hw, input_hw).matrix, box.matrix, atol=1e-9)


@pytest.mark.parametrize("scale", [0.08, 0.3, 0.41, 0.6, 0.99, 1.0, 1.7])
def test_a_warp_that_does_not_turn_is_a_resize(scale: float) -> None:
    """Nothing is passed over: noise shrinks to the grey that an antialiased resize gives, smooth images to the same."""
    y, x = np.mgrid[:480, :640] / 100
    smooth = np.stack([128 + 90 * np.sin(3 * x + 2 * y + phase) for phase in (0, 1, 2)], -1).astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    size_hw = round(480 * scale), round(640 * scale)
    affine = letterbox((480, 640), size_hw).affine
    edge = 1 if scale < 1 else 3
    inside = (slice(edge, -edge), slice(edge, -edge))
    near = np.abs(warped(smooth, affine, size_hw).astype(int) - resized(smooth, size_hw))[inside]
    assert near.mean() < 1.5
    assert near.max() < 14
    if scale < 0.7:
        assert warped(noise, affine, size_hw).std() < 1.1 * resized(noise, size_hw).std()


def test_a_view_is_loaded_as_it_is() -> None:
    stream, waves = io.BytesIO(), 128 + 90 * np.sin(np.add.outer(np.arange(60) / 9, np.arange(160) / 15))
    Image.fromarray(np.repeat(waves.astype(np.uint8)[..., None], 3, 2)).save(stream, "PNG")
    data, affine = stream.getvalue(), RANGES.affine(0, 1, (60, 160), (128, 160))
    plain, view = fit_views(data, (60, 160), (128, 160), [None, affine])
    assert plain == fit_image(data, (60, 160), (128, 160))
    shown = load_input(view, (60, 160), (128, 160))
    wanted = warped(np.asarray(Image.open(stream)), affine, (128, 160))
    assert np.abs(shown.astype(int) - wanted).mean() < 2
    out = np.zeros((128, 160, 3), np.uint8)
    assert load_input(view, (60, 160), (128, 160), out) is out
    np.testing.assert_array_equal(out, shown)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"flip": 1.5}, r"views\.flip must be a number in \[0, 1\], got 1.5"),
        ({"rotation_deg": -1}, r"views\.rotation_deg must be a number in \[0, 180\], got -1"),
        ({"shift_px": "far"}, r"views\.shift_px must be a number in \[0, 8192\], got 'far'"),
        ({"scale": 1.2}, r"views\.scale must be \[smallest, largest\] in \[0.05, 20\], got 1.2"),
        ({"scale": [1.3, 0.7]}, r"views\.scale must be"),
        ({"scale": [True, 2]}, r"views\.scale must be"),
        ({"seed": -3}, r"views\.seed must be a whole number from 0 on, got -3"),
        ({"rotate": 3}, "unknown key 'rotate' in views; there are flip, rotation_deg, scale, shift_px, seed"),
        ({"flip": float("nan")}, r"views\.flip must be"),
    ],
)
def test_wrong_ranges_are_told(table: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        ViewRanges.from_json(table)
