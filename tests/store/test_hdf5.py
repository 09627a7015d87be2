"""The HDF5 form: what zarr holds it holds too, plain h5py opens it, and damage is told, not crashed on."""

import json
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spmdata.errors import StoreError
from spmdata.store import hdf5_shards
from spmdata.store.arrays import ArraySpec
from spmdata.store.check import check_store
from spmdata.store.hdf5_shards import Hdf5Shard
from spmdata.store.reader import open_store
from spmdata.store.schema import StoreSpec
from spmdata.store.writer import finalise, open_or_create
from store.cases import expected, image_of, layout_of, plain, tree, write_one, write_store
from store.stranger import Stranger

LAYOUT = layout_of(11, 4)
LAYOUTS = {
    "rows no multiple of the shard": LAYOUT,
    "whole shards, no images": layout_of(8, 4, images=False),
    "one short shard, no maps": layout_of(3, 256, maps=False),
    "a row a shard": layout_of(3, 1),
    "float16, wide": layout_of(7, 3, dtype="float16", input_hw=(16, 64)),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_it_holds_what_zarr_holds(layout: StoreSpec, tmp_path: Path) -> None:
    path, twin = write_store(tmp_path / "data.h5", layout), write_store(tmp_path / "data.zarr", layout)
    store, other, group = open_store(path), open_store(twin), zarr.open_group(twin, mode="r")
    rows = random.Random(0).choices(range(layout.rows), k=9)
    assert store.attributes == other.attributes == dict(group.attrs)
    with h5py.File(path) as file:
        assert json.loads(file.attrs["spm"]) == group.attrs["spm"]
        for array in layout.arrays():
            dataset, wanted, theirs = file[array.name], expected(layout, array), group[array.name]
            assert tuple(dimension.label for dimension in dataset.dims) == array.dims
            assert dataset.shape == array.shape
            assert array.varying or dataset.dtype == array.numpy
            assert plain(dataset) == wanted.tolist()
            np.testing.assert_array_equal(np.asarray(theirs[:], array.numpy), wanted)  # type: ignore[index]
            for reader in (store, other):
                np.testing.assert_array_equal(reader.table(array.name), wanted)
                np.testing.assert_array_equal(reader.read(array.name, rows), wanted[rows])
    assert check_store(path) == check_store(twin) == []


@pytest.mark.parametrize("form", ["h5", "zarr"])
def test_a_stranger_reads_both_by_the_page(form: str, tmp_path: Path) -> None:
    stranger = Stranger(write_store(tmp_path / f"data.{form}", LAYOUT))
    ours = open_store(tmp_path / f"data.{form}")
    for row in range(11):
        assert stranger.value("image", row) == ours.image_bytes(row)
        assert stranger.value("row/path", row) == ours.read("row/path", [row])[0]
        for name, value in stranger.targets(row).items():
            np.testing.assert_array_equal(value, expected(LAYOUT, LAYOUT.array(name))[row])
        people = ours.people(row)
        assert len(stranger.people(row)) == len(people)
        for i, person in enumerate(stranger.people(row)):
            np.testing.assert_array_equal(person["joints"], people.joints[i])
            assert person["id"] == people.id[i]
    open_or_create(tmp_path / f"b.{form}", LAYOUT)
    with pytest.raises(ValueError, match="not for me"):
        Stranger(tmp_path / f"b.{form}")


def test_filters_are_as_the_page_says(finished_h5: Path) -> None:
    with h5py.File(finished_h5.with_name("data.h5.shards") / "00000.h5") as file:
        for array in LAYOUT.arrays():
            dataset = file[array.name]
            creation = dataset.id.get_create_plist()
            filters = [creation.get_filter(i)[::2] for i in range(creation.get_nfilters())]
            assert filters == ([] if array.name == "image" else [(32015, (3,)), (3, ())]), array.name
            assert dataset.chunks == (None if array.name == "image" else (array.chunk_rows, *array.row_shape))
            assert dataset.shape == (4, *array.row_shape)


def test_threads_make_files_at_once(tmp_path: Path, finished_h5: Path) -> None:
    path = tmp_path / "data.h5"
    open_or_create(path, LAYOUT)
    files = [hdf5_shards.new_file() for _ in range(2)]  # what two threads may hold at one time
    write_one(path, LAYOUT, 0)
    assert hdf5_shards.close_file(files[0]) == hdf5_shards.close_file(files[1])
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda shard: write_one(path, LAYOUT, shard), [1, 2]))
    finalise(path, LAYOUT)
    assert tree(tmp_path) == tree(finished_h5.parent)


def test_rows_of_fill_value_take_no_room(finished_h5: Path) -> None:
    with h5py.File(finished_h5.with_name("data.h5.shards") / "00000.h5") as file:
        assert file["row/view"].id.get_storage_size() == 0
        assert file["offsets"].id.get_num_chunks() == 3  # row 1 has no image


def test_nothing_in_it_names_a_time(finished_h5: Path) -> None:
    for path in (finished_h5, finished_h5.with_name("data.h5.shards") / "00000.h5"):
        with h5py.File(path) as file:
            names = ["/", *file, *(f"{group}/{name}" for group in ("people", "row") for name in file[group])]
            assert len(names) == 1 + 2 + len(LAYOUT.arrays())
            infos = [h5py.h5o.get_info(file.id, name.encode()) for name in names]
            assert {(info.atime, info.mtime, info.ctime, info.btime) for info in infos} == {(0, 0, 0, 0)}


@pytest.mark.parametrize("name", ["x%b.h5", "a b-é.h5"])
def test_names_that_mean_something_to_others(name: str, tmp_path: Path) -> None:
    layout = layout_of(5, 2)
    with h5py.File(write_store(tmp_path / name, layout)) as file:
        assert plain(file["row/path"]) == expected(layout, layout.array("row/path")).tolist()


def test_it_is_read_from_any_folder_and_moves_as_one(
    finished_h5: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished_h5.parent, tmp_path / "moved")
    monkeypatch.chdir("/")
    with h5py.File(tmp_path / "moved/data.h5") as file:
        assert plain(file["image"])[3] == image_of(3)
    assert open_store(tmp_path / "moved/data.h5").image_bytes(3) == image_of(3)


def test_text_that_hdf5_cannot_keep_is_refused() -> None:
    array = ArraySpec("row/path", (2,), "str", 2, ("row",))
    with pytest.raises(StoreError, match="row/path holds text that ends in a zero"):
        hdf5_shards.encode_chunk(array, ["a", "b\0"])
    assert hdf5_shards.encode_chunk(array, ["a", "b\0c"]) is not None


def test_plain_h5py_written_shards_read_the_same(finished_h5: Path, tmp_path: Path) -> None:
    """Nothing in the reader leans on our writer: chunks through HDF5's own filters, images in a heap it filled."""
    path = shutil.copytree(finished_h5.parent, tmp_path / "s") / "data.h5"
    shard = path.with_name("data.h5.shards") / "00001.h5"
    with h5py.File(shard) as old:
        values = {array.name: (old[array.name][:], old[array.name].dtype) for array in LAYOUT.arrays()}
    with h5py.File(shard, "w") as file:
        for array in LAYOUT.arrays():
            data, dtype = values[array.name]
            filters: dict[str, Any] = {}
            if array.dtype != "bytes":
                filters = {"chunks": (array.chunk_rows, *array.row_shape), "fletcher32": True, **hdf5plugin.Zstd(1)}
            file.create_dataset(array.name, data=data, dtype=dtype, **filters)
    store = open_store(path)
    for array in LAYOUT.arrays():
        np.testing.assert_array_equal(store.table(array.name), expected(LAYOUT, array), array.name)


@pytest.mark.parametrize("content", [b"\0", b"\xff", b"\0\xff", b"\xff\xff\0\0", b"spm"])
def test_the_checksum_is_the_one_of_hdf5(content: bytes, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "sums.h5", "w") as file:
        for size in (1, 2, 3, 7, 8, 719, 720, 721, 70_001):
            data = (content * size)[:size]
            dataset = file.create_dataset(
                f"{size}", data=np.frombuffer(data, np.uint8), chunks=(size,), fletcher32=True
            )
            chunk = dataset.id.read_direct_chunk((0,))[1]
            assert hdf5_shards.checked(chunk) == data
            with pytest.raises(StoreError, match="its fletcher32 is wrong"):
                hdf5_shards.checked(chunk[:-1] + bytes([chunk[-1] ^ 1]))


quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(
    images=st.lists(st.binary(max_size=30) | st.integers(1, 70_000).map(bytes), min_size=1, max_size=12),
    texts=st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9), min_size=12),
)
def test_any_images_and_texts_come_back(images: list[bytes], texts: list[str], tmp_path: Path) -> None:
    layout = layout_of(len(images), len(images), maps=False)
    image, text = layout.array("image"), layout.array("row/path")
    chunks: dict[str, list[bytes | None]] = {array.name: [None] for array in layout.arrays()}
    chunks["image"] = [hdf5_shards.encode_chunk(image, [value]) for value in images]
    chunks["row/path"] = [hdf5_shards.encode_chunk(text, texts[: len(images)])]
    path = tmp_path / "00000.h5"
    path.write_bytes(hdf5_shards.shard_file(layout, chunks))
    ours = [Hdf5Shard(path, array, 0, len(images)) for array in (image, text)]
    assert [ours[0].items(row)[0] for row in range(len(images))] == images
    assert (ours[1].items(0) if any(texts[: len(images)]) else texts[: len(images)]) == texts[: len(images)]
    assert ours[0].packed_bytes == sum(map(len, images))
    with h5py.File(path) as file:
        assert plain(file["image"]) == images
        assert plain(file["row/path"]) == texts[: len(images)]
