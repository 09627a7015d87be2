"""`spm inspect` in words and JSON, on stores of every kind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from cli_run import Run
from spmdata.contents import read_row
from spmdata.padded import pad_people
from spmdata.people import People, SourceInfo
from spmdata.skeletons import COCO17
from spmdata.spec import TargetSpec
from spmdata.store.schema import StoreSpec
from spmdata.store.writer import ShardWriter, finalise, open_or_create
from store.cases import layout_of, write_store


def store_3d(path: Path) -> Path:
    """Write one row of two people in 3D."""
    spec = TargetSpec(dims=3, input_hw=(32, 32))
    layout = StoreSpec(
        spec=spec, source=SourceInfo("made", "", "", "0" * 64), rows=1, people=2, max_people=2, shard_rows=1
    )
    open_or_create(path, layout)
    writer, people = ShardWriter(path, layout, 0), People.of(np.full((2, 17, 3), 8.5), np.full((2, 17), 2))
    for array in layout.arrays():
        if "/" not in array.name:
            writer.put_row(array.name, 0, np.ones(array.row_shape, array.numpy))
    for name, table in pad_people([people], 2, 17, 3).tables().items():
        writer.put_table(name, table)
    for array in layout.tables():
        if array.name.startswith("row/"):
            empty = [""] if array.varying else np.zeros((1, *array.row_shape), array.numpy)
            writer.put_table(array.name, np.eye(2, 3)[None] if array.name == "row/affine" else empty)
    writer.commit({})
    finalise(path, layout)
    return path


def test_a_row_in_3d(tmp_path: Path, spm: Run) -> None:
    path = store_3d(tmp_path / "a.zarr")
    found = read_row(path, 0).to_json()
    assert found["people"][1]["joints"]["nose"] == [8.5, 8.5, 8.5, 2]
    assert (found["cells_with_z"], found["root_depth_max"]) == (64, 1.0)
    shown = spm("inspect", path, 0)
    assert shown.code == 0
    assert ["joint", "x", "px", "y", "px", "z", "cm", "visible"] in [line.split() for line in shown.out.splitlines()]
    assert spm("inspect", path).code == 0


def test_inspect_says_it_all(spm: Run, tmp_path: Path) -> None:
    path = write_store(tmp_path / "a.zarr", layout_of(47, 8))
    shown = spm("inspect", path)
    assert shown.code == 0, shown.err
    for words in ("sha256", "people a row", "size, square root of area", "joints labelled, of people", "conventions",
                  "skipped rows: 10", "row 1: image_missing: no file 1.jpg", "and 5 more image_missing"):  # fmt: skip
        assert words in shown.out, words
    answer = json.loads(spm("inspect", path, "--json").out)
    assert answer["version"] == 1
    assert len(answer["skipped"]) == 10
    assert sum(answer["people"]["people_a_row"].values()) == answer["people"]["rows"] == 37
    assert set(answer["people"]["joints"]) == {"head", "left_hand", "right_hand"}
    (offsets,) = [array for array in answer["arrays"] if array["name"] == "offsets"]
    assert (offsets["chunk"], offsets["plain_bytes"]) == ([1, 3, 2, 8, 8], 47 * 3 * 2 * 64 * 4)
    assert COCO17.name not in shown.out
