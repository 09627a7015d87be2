"""Views: a painted pixel and its joint stay together, whatever the view; and what a store of views holds."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import spmdata.images
from small_coco import write_small_coco
from spmdata.errors import SpecError, StoreError
from spmdata.geometry import Affine, Camera, letterbox
from spmdata.images import fit_image, fit_views, load_input
from spmdata.padded import move_people, pad_people
from spmdata.people import People
from spmdata.pixels import PAD_VALUE, resized, warped
from spmdata.prepare.plan import Plan, plan_store
from spmdata.prepare.run import prepare_store
from spmdata.skeleton import Skeleton
from spmdata.skeletons import COCO17
from spmdata.sources.coco import CocoSource
from spmdata.spec import TargetSpec
from spmdata.store.reader import open_store
from spmdata.verify.run import verify_store
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


def plan_views(folder: Path, name: str = "a.zarr", *, views: int = 3, images: bool = True, **options: Any) -> Plan:
    annotations = folder / "coco/annotations/person_keypoints_train2017.json"
    if not annotations.exists():
        write_small_coco(folder, 7, images=True)
    source = CocoSource.read(annotations, image_root=folder / "coco/train2017" if images else None)
    return plan_store(source, SPEC, folder / name, images=images, views=views, shard_rows=4, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data set of 7 images and a.zarr, its store of 3 views in shards that cut through images."""
    folder = tmp_path_factory.mktemp("views")
    prepare_store(plan_views(folder))
    return folder


def test_a_store_of_views(folder: Path) -> None:
    store, source = open_store(folder / "a.zarr"), plan_views(folder).source
    assert len(store) == 21
    assert store.read("row/view", slice(None)).tolist() == [0, 1, 2] * 7
    assert store.read("row/image_id", slice(None)).tolist() == np.repeat(np.arange(1, 8), 3).tolist()
    noses = 0
    for row in range(21):
        sample, affine = source[row // 3], store.affine(row)
        assert affine == RANGES.affine(row // 3, row % 3, sample.size_hw, SPEC.input_hw)
        people = seen_through(affine, sample.people)
        np.testing.assert_array_equal(store.people(row).joints, people.joints)
        pixels = load_input(store.image_bytes(row), sample.size_hw, SPEC.input_hw).astype(float).mean(-1)
        for x, y in people.joints[~people.regions, 0]:
            if 3 < x < 156 and 3 < y < 124:
                assert pixels[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2].min() > 140
                noses += 1
    assert noses > 20
    report = verify_store(folder / "a.zarr", threads=1)
    assert report.ok
    assert report.rows == 21
    assert report.lost["root off the map"] > 0  # as everywhere: roots off the map are dropped and counted


def test_views_are_the_same_in_every_store(folder: Path) -> None:
    """In HDF5, without images, with more or fewer views: view v of an image is view v of that image."""
    prepare_store(plan_views(folder, "a.h5"), scheduler="sync")
    prepare_store(plan_views(folder, "bare.zarr", images=False, maps=False), scheduler="sync")
    prepare_store(plan_views(folder, "two.zarr", views=2), scheduler="sync")
    prepare_store(plan_views(folder, "one.zarr", views=1), scheduler="sync")
    stores = {name: open_store(folder / name) for name in ("a.zarr", "a.h5", "bare.zarr", "two.zarr", "one.zarr")}
    for array in stores["a.zarr"].layout.arrays():
        three = stores["a.zarr"].read(array.name, slice(None))
        np.testing.assert_array_equal(stores["a.h5"].read(array.name, slice(None)), three)
        two = stores["two.zarr"].read(array.name, slice(None))
        np.testing.assert_array_equal(two[1::2], three[1::3])
        np.testing.assert_array_equal(stores["one.zarr"].read(array.name, slice(None)), three[::3])
        if array.name.startswith(("people", "row")):
            np.testing.assert_array_equal(stores["bare.zarr"].read(array.name, slice(None)), three)
    assert stores["a.zarr"].attributes == stores["a.h5"].attributes
    assert verify_store(folder / "bare.zarr", threads=1).targets == "recipe"


def test_views_are_streamed(folder: Path) -> None:
    torch = pytest.importorskip("torch")
    from spmtrain.stream import ShardStream, normalise

    with ShardStream(folder / "a.zarr", batch=21, threads=1) as stream:
        batch = next(stream)
        store, seen = stream.store, set(batch.rows.tolist())
        assert seen == set(range(21))
        for i, row in enumerate(batch.rows.tolist()):
            shown = load_input(store.image_bytes(row), (120, 160), SPEC.input_hw)
            assert torch.equal(batch.images[i], normalise(torch.from_numpy(shown[None]))[0])
            np.testing.assert_array_equal(batch.targets.offsets[i].numpy(), store.read("offsets", [row])[0])


def test_an_image_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    decode = spmdata.images._decode
    monkeypatch.setattr(spmdata.images, "_decode", lambda *a: decoded.append(1) or decode(*a))  # type: ignore[func-returns-value]
    plan = replace(plan_views(tmp_path), layout=replace(plan_views(tmp_path).layout, shard_rows=256))
    decoded.clear()
    prepare_store(plan, scheduler="sync")
    assert len(decoded) == 7


def test_all_views_of_a_bad_image_are_skipped(tmp_path: Path) -> None:
    plan = plan_views(tmp_path)
    (tmp_path / "coco/train2017/000002.jpg").unlink()
    summary = prepare_store(plan, scheduler="sync")
    assert np.flatnonzero(open_store(plan.path).status).tolist() == [3, 4, 5]
    assert sum(summary.totals.skipped.values()) == 3
    assert verify_store(plan.path, threads=1).rows == 18


def test_other_ranges_make_another_store(folder: Path) -> None:
    with pytest.raises(StoreError, match=r"views\.rotation_deg 40\.0 there, 10\.0 here"):
        prepare_store(plan_views(folder, view_ranges=ViewRanges(rotation_deg=10)))
    with pytest.raises(StoreError, match=r"views 3 there, 2 here"):
        prepare_store(plan_views(folder, views=2))
    one, other = plan_views(folder, views=1), plan_views(folder, views=1, view_ranges=ViewRanges(seed=5))
    assert one.layout.fingerprint() == other.layout.fingerprint()  # ranges of no view
    attributes = json.loads((folder / "a.zarr/zarr.json").read_text())["attributes"]["spm"]
    assert attributes["layout"]["view_ranges"] == RANGES.to_json()
    assert open_store(folder / "a.zarr").layout == plan_views(folder).layout
    with pytest.raises(SpecError, match="rows must be a multiple of 3 views, got 20"):
        replace(plan_views(folder).layout, rows=20)


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
