"""What inspect says is what a slow look at every row says."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from small_coco import small_coco
from spmdata.census import PERCENTILES, take_census
from spmdata.codec import Codec
from spmdata.contents import read_contents, read_row
from spmdata.errors import StoreError
from spmdata.prepare.plan import plan_store
from spmdata.prepare.run import prepare_store
from spmdata.sources.registry import open_source
from spmdata.spec import TargetSpec
from spmdata.store.reader import Store, open_store
from spmdata.store.schema import RowStatus
from spmdata.store.writer import open_or_create
from store.cases import layout_of, write_one, write_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Prepare people of whom some stand, or have their box, outside of the image."""
    content = small_coco(24, seed=3)
    for number, person in enumerate(content["annotations"]):
        if number % 3 == 0:  # 160 x 120 px: the whole person, or a joint, to the right of it or above
            for k in range(17) if number % 2 else (5,):
                if person["keypoints"][3 * k + 2]:
                    person["keypoints"][3 * k] += 170 * (number % 2)
                    person["keypoints"][3 * k + 1] -= 45 * (1 - number % 2)
        if number % 7 == 0:
            person["bbox"][0] = 400
    file = tmp_path / "person_keypoints_train2017.json"
    file.write_text(json.dumps(content))
    return file


def slow_census(store: Store, codec: Codec) -> dict[str, Any]:
    """Count in loops over persons and joints, in the original image's px."""
    found, a_row, sizes, joints = Counter[str](), list[int](), list[float](), Counter[str]()
    height, width = store.spec.input_hw
    for row in range(len(store)):
        if store.status[row] != RowStatus.OK:
            continue
        people, persons = store.people(row), 0
        h, w = store.read("row/size_hw", [row])[0].tolist()
        drawn = codec.reads(people).drawn
        for p in range(len(people)):
            if people.ignore[p]:
                found["crowds"] += 1
            elif not people.visible[p].any():
                found["unlabelled"] += 1
            else:
                persons += 1
                sizes.append(float(people.area[p]) ** 0.5)
                found["roots_off_map"] += not drawn[p]
                for k in np.flatnonzero(people.visible[p]):
                    joints[store.skeleton.joints[k]] += 1
                    x, y = people.joints[p, k]
                    found["joints_outside_input"] += not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5)
                    x, y = np.round(store.affine(row).inverse().apply(people.joints[p, k]), 2)
                    found["joints_outside_image"] += not (-0.5 <= x < w - 0.5 and -0.5 <= y < h - 0.5)
        a_row.append(persons)
    n = len(sizes)
    return {**found, "rows": len(a_row), "people": n, "people_a_row": dict(sorted(Counter(a_row).items())),
            "joints": {name: joints[name] / n for name in store.skeleton.joints},
            "joints_labelled": sum(joints.values()),
            "people_percentiles": dict(zip(PERCENTILES, np.percentile(a_row, PERCENTILES), strict=True)),
            "size_px_percentiles": dict(zip(PERCENTILES, np.percentile(sizes, PERCENTILES), strict=True))}  # fmt: skip


@pytest.mark.parametrize("root", ["torso", "bbox"])
def test_the_census_is_what_loops_count(root: str, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spmdata.census.BATCH_ROWS", 5)
    spec = TargetSpec(root=root, input_hw=(96, 96))
    source = open_source("coco", annotations=path, no_images=True, all_images=True)
    prepare_store(plan_store(source, spec, tmp_path / "a.zarr", images=False, shard_rows=4))
    store = open_store(tmp_path / "a.zarr")
    found, wanted = take_census(store), slow_census(store, Codec(spec))
    assert min(found.roots_off_map, found.crowds, found.unlabelled, found.joints_outside_input) > 0
    assert found.joints_outside_image > found.joints_outside_input
    for name, value in wanted.items():
        assert getattr(found, name) == pytest.approx(value), name


def test_skipped_rows_are_not_counted(tmp_path: Path) -> None:
    store = open_store(write_store(tmp_path / "a.h5", layout_of(11, 4)))
    assert take_census(store).rows == int((store.status == RowStatus.OK).sum()) == 9
    assert take_census(store, [2]).rows == 3


def test_an_unfinished_store_as_far_as_it_goes(tmp_path: Path) -> None:
    path, layout = tmp_path / "a.zarr", layout_of(11, 4)
    open_or_create(path, layout)
    nothing = read_contents(path)
    assert (nothing.shards_done, nothing.rows_done, nothing.people.rows, nothing.people.people_percentiles) == (
        0,
        0,
        0,
        {},
    )
    write_one(path, layout, 1)
    some = read_contents(path)
    assert (some.complete, some.shards_done, some.shards, some.rows_done) == (False, 1, 3, 4)
    assert some.people.rows == 3
    assert [(row.row, row.status) for row in some.skipped] == [(6, RowStatus.IMAGE_MISSING)]
    with pytest.raises(StoreError, match=r"rows 0 to 3 of .* are not written"):
        read_row(path, 0)


@pytest.mark.parametrize("images", [True, False])
@pytest.mark.parametrize("maps", [True, False])
def test_one_row_of_every_kind_of_store(maps: bool, images: bool, tmp_path: Path) -> None:
    layout = layout_of(7, 3, images=images, maps=maps)
    path = write_store(tmp_path / "a.zarr", layout)
    store = open_store(path)
    for row in range(7):
        found = read_row(path, row).to_json()
        assert found["status"] == ("image_missing" if row % 5 == 1 else "ok")
        assert len(found["people"]) == len(store.people(row))
        assert found["image_bytes"] == (len(store.image_bytes(row)) if images else None)
        if maps:
            heatmap = store.read("root_heatmap", [row])[0]
            assert (found["root_heatmap_max"], found["root_heatmap_cells"]) == (heatmap.max(), (heatmap > 0).sum())
        assert ("longest_offset" in found) == maps
        json.dumps(found)
    contents = read_contents(path)
    assert {line.name for line in contents.arrays} == {array.name for array in layout.arrays()}
    with pytest.raises(StoreError, match=r"row must be in \[0, 6\], got 7"):
        read_row(path, 7)
