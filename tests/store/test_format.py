"""What we write, plain zarr-python and xarray read, and our reader reads the same."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
import zarr

from spmdata.store.check import check_store
from spmdata.store.reader import open_store
from spmdata.store.schema import StoreSpec
from store.cases import columns_of, expected, layout_of, write_store

LAYOUTS = {
    "rows no multiple of the shard": layout_of(11, 4),
    "whole shards, no images": layout_of(8, 4, images=False),
    "one short shard, no maps": layout_of(3, 256, maps=False),
    "a row a shard": layout_of(3, 1),
    "float16, wide": layout_of(7, 3, dtype="float16", input_hw=(16, 64)),
    "tables alone": layout_of(7, 2, images=False, maps=False),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_zarr_python_and_reader_read_what_was_put(layout: StoreSpec, tmp_path: Path) -> None:
    path = write_store(tmp_path / "data.zarr", layout)
    group, store = zarr.open_group(path, mode="r"), open_store(path)
    rows = random.Random(0).choices(range(layout.rows), k=9)
    for array in layout.arrays():
        wanted = expected(layout, array)
        theirs: Any = group[array.name]
        assert theirs.metadata.dimension_names == array.dims
        np.testing.assert_array_equal(np.asarray(theirs[:], array.numpy), wanted, array.name)
        ours = store.read(array.name, rows)
        assert ours.dtype == array.numpy
        np.testing.assert_array_equal(ours, wanted[rows], array.name)
        np.testing.assert_array_equal(store.table(array.name), wanted, array.name)
    assert check_store(path) == []


def test_zarr_lists_the_groups_without_a_warning(finished: Path) -> None:
    names = {name for name, _ in zarr.open_group(finished, mode="r").members()}
    assert names >= {"image", "offsets", "people", "row", ".spm"}


@pytest.mark.parametrize("group", [None, "people", "row"])
def test_xarray_opens_each_group(group: str | None, finished: Path) -> None:
    layout = layout_of(11, 4)
    prefix = f"{group}/" if group else ""
    with xarray.open_zarr(finished, group=group, consolidated=False) as dataset:
        mine = {a.name.removeprefix(prefix): a for a in layout.arrays() if a.name.rpartition("/")[0] == (group or "")}
        assert set(dataset.variables) == set(mine)
        for name, array in mine.items():
            assert dataset[name].dims == array.dims
            assert dataset[name].shape == array.shape
            np.testing.assert_array_equal(np.asarray(dataset[name].values, array.numpy), expected(layout, array))


def test_absent_chunks_and_files_are_fill_value(finished: Path) -> None:
    store, group = open_store(finished), zarr.open_group(finished, mode="r")
    assert not (finished / "row/view/c.0").exists()
    np.testing.assert_array_equal(store.table("row/view"), np.zeros(11, np.uint32))
    assert store.read("offsets", [1]).any() == np.asarray(group["offsets"])[1].any() == np.False_
    assert store.image_bytes(1) == b""


def test_zarr_python_written_shards_read_the_same(tmp_path: Path) -> None:
    """A shard that zarr-python wrote is as good as ours: nothing in the reader leans on our writer."""
    layout = layout_of(5, 4, images=False)
    path = write_store(tmp_path / "data.zarr", layout)
    group = zarr.open_group(path, mode="r+")
    for name in ("offsets", "count", "people/joints", "row/path"):
        theirs: Any = group[name]
        theirs[:] = theirs[:]
    store = open_store(path)
    for name in ("offsets", "count", "people/joints", "row/path"):
        np.testing.assert_array_equal(store.read(name, range(5)), expected(layout, layout.array(name)))
    assert list(store.table("row/path")) == columns_of(range(5))["row/path"]
