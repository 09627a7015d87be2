"""prepare in 3D: cameras move with their images; people without depth and images without a camera are kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

import naive
from codec_cases import conventions
from depth_cases import LENS, SIZE_HW, Drawings, Scenes, in_image
from spmdata.camera import Camera
from spmdata.codec import Codec
from spmdata.errors import AnnotationError, ImageError, SpecError
from spmdata.geometry import letterbox
from spmdata.people import Sample
from spmdata.prepare.plan import plan_store
from spmdata.prepare.run import prepare_store
from spmdata.spec import TargetSpec
from spmdata.store.reader import open_store

SPEC = TargetSpec(hierarchical=True, input_hw=(64, 96), dims=3, sigma=3.0)


@pytest.mark.parametrize("suffix", [".zarr", ".h5"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_store_in_3d_holds_what_the_source_says(tmp_path: Path, suffix: str, dtype: str) -> None:
    spec = SPEC.override(dtype=dtype)
    source, codec, affine = Scenes(6), Codec(spec), letterbox(SIZE_HW, SPEC.input_hw).affine
    plan = plan_store(source, spec, tmp_path / f"a{suffix}", images=False, shard_rows=4)
    prepare_store(plan, scheduler="sync")
    store = open_store(plan.path)
    names = ("root_heatmap", "offsets", "count", "ignore", "root_depth", "count_z")
    assert store.read("root_depth", [0]).dtype == np.float32
    for row in range(6):
        sample = source[row]
        people = sample.people.transform(affine)
        camera = sample.camera and sample.camera.transform(affine)
        np.testing.assert_array_equal(store.people(row).joints, people.joints)
        np.testing.assert_array_equal(store.people(row).has_depth, people.has_depth)
        targets = codec.encode(people, camera)
        for name in names:
            np.testing.assert_array_equal(store.read(name, [row])[0], getattr(targets, name))
        numbers = store.read("row/camera", [row])[0]
        if camera is None:
            assert row == 2
            assert not numbers.any()
            assert not store.read("root_depth", [row]).any()
        else:
            np.testing.assert_array_equal(numbers, [*camera.K.ravel(), *camera.dist])
            assert store.read("root_depth", [row]).any()
    estimate = plan.estimate.bytes
    size = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
    assert 0.3 < estimate / size < 3


def test_a_stranger_reads_depth_by_the_format_alone(tmp_path: Path) -> None:
    """Plain zarr, docs/format.md and the slow reference: people are where the source's stand, by OpenCV's formulas."""
    spec = SPEC.override(nms=3)
    prepare_store(plan_store(Scenes(1), spec, tmp_path / "a.zarr", images=False), scheduler="sync")
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    names = ("root_heatmap", "offsets", "count", "root_depth")
    heatmap, offsets, count, root_depth = (np.asarray(group[name][0]) for name in names)  # type: ignore[index]
    numbers = np.asarray(group["row/camera"][0])  # type: ignore[index]
    assert group["root_depth"].metadata.dimension_names == ("row", "v", "u")  # type: ignore[union-attr]
    assert group["count_z"].metadata.dimension_names == ("row", "joint", "v", "u")  # type: ignore[union-attr]
    (fx, skew, cx, turned, fy, cy), (k1, k2, p1, p2, k3) = numbers[:6], numbers[9:]
    f_px = abs(fx * fy - skew * turned) ** 0.5
    _, joints, _ = naive.decode(conventions(spec), heatmap, offsets, count, root_depth, f_px)
    assert len(joints) == 2
    points = Scenes().points_cm(0)
    for person in joints[np.argsort(joints[:, 0, 0])]:
        stood, points = points[0], points[1:]
        np.testing.assert_allclose(person[:, 2], stood[:, 2], atol=0.01)
        x, y = stood[:, 0] / stood[:, 2], stood[:, 1] / stood[:, 2]
        q = x * x + y * y
        radial = 1 + k1 * q + k2 * q**2 + k3 * q**3
        u = x * radial + 2 * p1 * x * y + p2 * (q + 2 * x * x)
        v = y * radial + p1 * (q + 2 * y * y) + 2 * p2 * x * y
        np.testing.assert_allclose(person[:, 0], fx * u + skew * v + cx, atol=1e-3)
        np.testing.assert_allclose(person[:, 1], turned * u + fy * v + cy, atol=1e-3)


def test_a_camera_as_numbers_and_back() -> None:
    back = Camera.of_intrinsics(LENS.intrinsics)
    assert back is not None
    np.testing.assert_array_equal(back.K, LENS.K)
    np.testing.assert_array_equal(back.dist, LENS.dist)
    assert Camera.of_intrinsics(np.zeros(14)) is None


def test_a_skipped_row_keeps_its_camera(tmp_path: Path) -> None:
    class Broken:
        def read(self, sample: Sample) -> bytes:
            if sample.id % 2:
                raise ImageError("image cannot be decoded")
            return Drawings().read(sample)

    source = replace(Scenes(4), image_reader=Broken())
    plan = plan_store(source, SPEC, tmp_path / "a.zarr")
    prepare_store(plan, scheduler="sync")
    store = open_store(plan.path)
    assert store.status.tolist() == [0, 2, 0, 2]
    assert not store.read("root_depth", [1, 3]).any()
    np.testing.assert_array_equal(store.read("row/camera", [3]), store.read("row/camera", [0]))


def test_depth_needs_a_camera() -> None:
    people = in_image(Scenes().points_cm(0), LENS, id=[7, 8])
    with pytest.raises(
        AnnotationError, match=r"image 5: person 0 \(id 7\) has depth, but the image has no camera; give"
    ):
        Sample(5, "", SIZE_HW, people)
    assert Sample(5, "", SIZE_HW, replace(people, has_depth=np.zeros(2, bool))).camera is None


def test_dims_are_the_sources(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="dims must be 3 for scenes, whose joints have 3 axes, got 2"):
        plan_store(Scenes(), SPEC.override(dims=2), tmp_path / "a.zarr", images=False)
