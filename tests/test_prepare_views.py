"""Stores of views: what they hold, in either form, and how they are verified and streamed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spmdata.images
from small_coco import write_small_coco
from spmdata.errors import SpecError, StoreError
from spmdata.images import load_input
from spmdata.prepare.plan import Plan, plan_store
from spmdata.prepare.run import prepare_store
from spmdata.sources.coco import CocoSource
from spmdata.spec import TargetSpec
from spmdata.store.reader import open_store
from spmdata.verify.run import verify_store
from spmdata.views import ViewRanges
from test_views import seen_through

SPEC = TargetSpec(hierarchical=True, input_hw=(128, 160))
RANGES = ViewRanges()


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
