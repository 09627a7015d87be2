"""The values that describe a store."""

import json
import pickle
from dataclasses import replace
from typing import Any

import pytest

from spmdata.errors import SpecError, StoreError
from spmdata.people import SourceInfo
from spmdata.spec import TargetSpec
from spmdata.store.schema import FORMAT_VERSION, StoreSpec
from store.cases import layout_of

COCO = StoreSpec(
    spec=TargetSpec(),
    source=SourceInfo("coco", "", "a.json", "0" * 64),
    rows=600,
    people=900,
    max_people=9,
    images=True,
)


def test_arrays_are_those_of_the_design() -> None:
    arrays = {a.name: (a.row_shape, a.dtype, a.chunk_rows, a.dims[1:]) for a in COCO.arrays()}
    assert arrays == {
        "count": ((17, 96, 96), "u1", 1, ("joint", "v", "u")),
        "ignore": ((96, 96), "u1", 1, ("v", "u")),
        "image": ((), "bytes", 1, ()),
        "image_crc32c": ((), "u4", 256, ()),
        "offsets": ((17, 2, 96, 96), "f4", 1, ("joint", "axis", "v", "u")),
        "people/area": ((9,), "f4", 256, ("person",)),
        "people/bbox": ((9, 4), "f4", 256, ("person", "xywh")),
        "people/has_depth": ((9,), "bool", 256, ("person",)),
        "people/head_px": ((9,), "f4", 256, ("person",)),
        "people/id": ((9,), "i8", 256, ("person",)),
        "people/ignore": ((9,), "bool", 256, ("person",)),
        "people/joints": ((9, 17, 2), "f4", 256, ("person", "joint", "axis")),
        "people/number": ((), "u4", 256, ()),
        "people/visible": ((9, 17), "u1", 256, ("person", "joint")),
        "root_heatmap": ((96, 96), "f4", 1, ("v", "u")),
        "row/affine": ((2, 3), "f8", 256, ("affine_row", "affine_column")),
        "row/camera": ((14,), "f8", 256, ("camera_number",)),
        "row/image_id": ((), "i8", 256, ()),
        "row/meta": ((), "str", 256, ()),
        "row/path": ((), "str", 256, ()),
        "row/size_hw": ((2,), "u4", 256, ("hw",)),
        "row/source": ((), "u1", 256, ()),
        "row/status": ((), "u1", 256, ()),
        "row/view": ((), "u4", 256, ()),
    }
    assert {a.shape[0] for a in COCO.arrays()} == {600}


def test_half_precision_and_left_out_arrays() -> None:
    half = replace(COCO, spec=TargetSpec(dtype="float16"))
    assert [half.array(name).dtype for name in ("offsets", "root_heatmap", "people/joints")] == ["f2", "f2", "f4"]
    names = {array.name for array in replace(COCO, images=False, maps=False).arrays()}
    assert {name.partition("/")[0] for name in names} == {"people", "row"}
    with pytest.raises(StoreError, match="no array 'offset'"):
        COCO.array("offset")


def test_shards_cover_the_rows_once() -> None:
    assert COCO.n_shards == 3
    assert [row for shard in range(3) for row in COCO.rows_of(shard)] == list(range(600))
    with pytest.raises(SpecError, match=r"shard must be in \[0, 2\], got 3"):
        COCO.rows_of(3)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"rows": 0}, "at least one row"),
        ({"max_people": 0}, "max_people must be 1 to"),
        ({"shard_rows": 0}, "shard_rows"),
        ({"image_quality": 101}, "image_quality must be 1 to 100, got 101"),
        ({"views": 0}, "views"),
        ({"people": 5401}, "people must be 0 to"),
    ],
)
def test_sizes_out_of_range_are_refused(change: dict[str, int], text: str) -> None:
    with pytest.raises(SpecError, match=text):
        replace(COCO, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"spec": TargetSpec(sigma=5)}, ["sigma 7.0 there, 5.0 here"]),
        (
            {"source": SourceInfo("coco", "", "a.json", "1" * 64)},
            [f"annotation_sha256 {'0' * 64} there, {'1' * 64} here"],
        ),
        ({"rows": 601}, ["rows 600 there, 601 here"]),
        ({"shard_rows": 128}, ["shard_rows 256 there, 128 here"]),
        ({"views": 2}, ["views 1 there, 2 here"]),
        ({"images": False}, ["images True there, False here", "image_quality 90 there, none here"]),
        ({"maps": False}, ["maps True there, False here"]),
        ({"image_quality": 80}, ["image_quality 90 there, 80 here"]),
        ({"spec": layout_of().spec}, ["input_hw [384, 384] there, [32, 32] here", "skeleton.name coco17 there"]),
    ],
)
def test_fingerprint_follows_what_the_contents_depend_on(change: dict[str, Any], text: list[str]) -> None:
    other = replace(COCO, **change)
    assert other.fingerprint() != COCO.fingerprint()
    differences = COCO.differences(other)
    for words, found in zip(text, differences, strict=False):
        assert found.startswith(words)


def test_fingerprint_ignores_decode_fields_and_file_names() -> None:
    renamed = SourceInfo("coco", "", "renamed.json", "0" * 64)
    assert replace(COCO, spec=TargetSpec(nms=3), source=renamed).fingerprint() == COCO.fingerprint()
    without = replace(COCO, images=False)
    assert replace(without, image_quality=50).fingerprint() == without.fingerprint()


def test_attributes_round_trip_through_json() -> None:
    attributes = json.loads(json.dumps(COCO.attributes(complete=True, counts={"people": 3})))
    assert StoreSpec.from_attributes(attributes) == COCO
    assert attributes["spm"]["counts"] == {"people": 3}
    assert pickle.loads(pickle.dumps(COCO)) == COCO


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        (["format_version"], 99, f"version 99, this spm-toolkit reads version {FORMAT_VERSION}; upgrade"),
        (
            ["fingerprint"],
            "0" * 64,
            f"say fingerprint {'0' * 64}, but what they describe has {COCO.fingerprint()} here",
        ),
        (["spec", "sigma"], 6.5, "or they were changed: prepare"),
        (["spec", "sigma"], -1, "sigma must be"),
        (["spec", "sigmo"], 1, "did you mean 'sigma'"),
        (["layout", "rows"], 0, "at least one row"),
        (["layout", "more"], 0, "unexpected keyword"),
        (["source"], None, "cannot be read"),
    ],
)
def test_other_attributes_are_refused(path: list[str], value: object, text: str) -> None:
    attributes = json.loads(json.dumps(COCO.attributes()))
    place = attributes["spm"]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(StoreError, match=text):
        StoreSpec.from_attributes(attributes, "x.zarr")


@pytest.mark.parametrize("attributes", [{}, {"spm": 1}, {"spm": {}}])
def test_foreign_attributes_are_refused(attributes: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match=r"x\.zarr is no spm store"):
        StoreSpec.from_attributes(attributes, "x.zarr")
