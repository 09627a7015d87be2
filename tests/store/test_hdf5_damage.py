"""The HDF5 form harmed: halves lost, bits flipped, runs not finished; told, not crashed on."""

import random
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from spmdata.errors import StoreError
from spmdata.store.check import check_store
from spmdata.store.reader import Store, open_store
from spmdata.store.writer import finalise, open_or_create
from store.cases import expected, flip_bit, image_of, layout_of, plain, tree, write_one, write_store

LAYOUT = layout_of(11, 4)


def test_lost_shard_is_refused(finished_h5: Path, tmp_path: Path) -> None:
    path = shutil.copytree(finished_h5.parent, tmp_path / "s") / "data.h5"
    whole = tree(path.parent)
    (path.parent / "data.h5.shards/00001.h5").unlink()
    with h5py.File(path) as file:
        assert not file["offsets"][4:8].any()  # what plain h5py makes of it
    with pytest.raises(StoreError, match=r"1 of its files are lost, the first is .*/00001\.h5; run the same"):
        open_store(path)
    assert [damage.text for damage in check_store(path)] == ["00001.h5 is missing"]
    assert sorted(open_or_create(path, LAYOUT)) == [0, 2]
    assert tree(write_store(path, LAYOUT).parent) == whole


def test_unfinished_store_has_no_arrays_that_read_as_zeros(tmp_path: Path) -> None:
    path = tmp_path / "data.h5"
    open_or_create(path, LAYOUT)
    write_one(path, LAYOUT, 1)
    with h5py.File(path) as file:
        assert "offsets" not in file
    with pytest.raises(StoreError, match="is not finished: 1 of 3 shards are written; run the spm prepare command"):
        open_store(path)
    store = open_store(path, allow_incomplete=True)
    np.testing.assert_array_equal(store.read("count", range(4, 8)), expected(LAYOUT, LAYOUT.array("count"))[4:8])
    with pytest.raises(StoreError, match=r"rows 0 to 3 of .* are not written"):
        store.read("row/view", [2])
    with pytest.raises(StoreError, match=r"2 of 3 shards .* \(the first is 0\)"):
        finalise(path, LAYOUT)
    assert check_store(path) == []


def test_other_settings_are_refused_and_forced_aside(finished_h5: Path, tmp_path: Path) -> None:
    path = shutil.copytree(finished_h5.parent, tmp_path / "s") / "data.h5"
    before, other = tree(path.parent), layout_of(7, 3, sigma=5, maps=False)
    with pytest.raises(StoreError, match=r"sigma 7\.0 there, 5\.0 here, rows 11 there, 7 here.*--force"):
        open_or_create(path, other)
    assert tree(path.parent) == before
    for number in ("", "2"):
        assert open_or_create(path, other if not number else LAYOUT, force=True) == {}
        assert (path.parent / f"data.h5.old{number}/data.h5.shards/.spm").is_dir()
    with h5py.File(path.parent / "data.h5.old/data.h5") as file:  # its virtual datasets moved with it
        assert plain(file["row/path"]) == expected(LAYOUT, LAYOUT.array("row/path")).tolist()
    assert open_store(path.parent / "data.h5.old/data.h5").image_bytes(3) == image_of(3)


def test_either_half_lost(finished_h5: Path, tmp_path: Path) -> None:
    path = shutil.copytree(finished_h5.parent, tmp_path / "s") / "data.h5"
    whole = tree(path.parent)
    path.unlink()
    with pytest.raises(StoreError, match=r"no such store: .*data\.h5, though its shards are there"):
        open_store(path)
    assert sorted(open_or_create(path, LAYOUT)) == [0, 1, 2]  # the manifest says whose they are
    assert tree(write_store(path, LAYOUT).parent) == whole
    path.unlink()
    (path.parent / "data.h5.shards/.spm/manifest.json").unlink()
    with pytest.raises(StoreError, match=r"no such store: .*data\.h5, though its shards are there; choose another"):
        open_or_create(path, LAYOUT)
    path.write_bytes(whole["data.h5"] or b"")
    shutil.rmtree(path.parent / "data.h5.shards")
    with pytest.raises(StoreError, match="3 of its files are lost"):
        open_store(path)
    assert [damage.shard for damage in check_store(path)] == [None, 0, 1, 2]  # the manifest, and every record
    assert tree(write_store(path, LAYOUT).parent) == whole


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n no more", b"a text", None])
def test_what_is_no_store_is_never_touched(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "data.h5"
    if content is None:
        with h5py.File(path, "w") as file:
            file["mine"] = [1, 2]
    else:
        path.write_bytes(content)
    before = tree(tmp_path)
    for force in (False, True):
        with pytest.raises(StoreError, match="is there and is no spm store: choose another output"):
            open_or_create(path, LAYOUT, force=force)
    assert tree(tmp_path) == before
    with pytest.raises(StoreError, match="is no spm store"):
        open_store(path)


def damaged(store: Store) -> list[str]:
    """Read every row of every array; return what is said of those that cannot be, and demand that the rest is right."""
    said = []
    for array in LAYOUT.arrays():
        wanted = expected(LAYOUT, array)
        for row in range(LAYOUT.rows):
            try:
                found = store.read(array.name, [row])
            except StoreError as error:
                said.append(str(error))
            else:
                np.testing.assert_array_equal(found, wanted[[row]], array.name)
    return said


def test_damage_names_array_and_row(finished_h5: Path, tmp_path: Path) -> None:
    path = shutil.copytree(finished_h5.parent, tmp_path / "s") / "data.h5"
    shard = path.with_name("data.h5.shards") / "00001.h5"
    with h5py.File(shard) as file:
        (offsets,) = [c.byte_offset for c in chunks_of(file["offsets"]) if c.chunk_offset[0] == 1]
        (joints,) = [c.byte_offset for c in chunks_of(file["people/joints"])]
    flip_bit(shard, 8 * (offsets + 20))
    flip_bit(shard, 8 * (joints + 20))
    flip_bit(shard, 8 * shard.read_bytes().index(image_of(7)))
    store, say = open_store(path), pytest.raises
    with say(
        StoreError, match=r"offsets, shard 1 \(rows 4 to 7\): the chunk of row 5 is damaged: its fletcher32 is wr"
    ):
        store.read("offsets", [5])
    with say(StoreError, match=r"joints, shard 1 .*: its chunk is damaged: .*; spm verify-targets --repair mends it"):
        store.people(4)
    with say(StoreError, match=r"image row 7: its crc32c is .*, image_crc32c says"):
        store.image_bytes(7)
    said = damaged(store)
    assert len(said) == 1 + 4 + 1
    assert [(d.array, d.shard, d.row) for d in check_store(path)] == [(None, 1, None)]
    (path.with_name("data.h5.shards") / ".spm/ledger/00001.json").unlink()
    assert tree(write_store(path, LAYOUT).parent) == tree(finished_h5.parent)


def chunks_of(dataset: Any) -> list[Any]:
    found: list[Any] = []
    dataset.id.chunk_iter(lambda chunk: found.append(chunk))
    return found


@pytest.mark.parametrize("flips", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_pointers_to_images_that_lead_nowhere(flips: int, finished_h5: Path, tmp_path: Path) -> None:
    """The one structure that HDF5 has no checksum for is parsed by us: pointers, and headers in the heap."""
    path = shutil.copytree(finished_h5.parent, tmp_path / "s") / "data.h5"
    shard = path.with_name("data.h5.shards") / "00001.h5"
    with h5py.File(shard) as file:
        start = file["image"].id.get_offset()
    heap, rng = shard.read_bytes().index(b"GCOL"), random.Random(1)
    wanted, told = [image_of(row) if row % 5 != 1 else b"" for row in range(4, 8)], 0
    for _ in range(flips):
        bit = rng.choice([rng.randrange(8 * start, 8 * (start + 64)), rng.randrange(8 * heap, 8 * (heap + 32))])
        flip_bit(shard, bit)
        store = open_store(path)
        for row in range(4, 8):
            try:
                assert store.image_bytes(row) == wanted[row - 4]
            except StoreError as error:
                assert "image" in str(error)  # noqa: PT017
                told += 1
        flip_bit(shard, bit)
    assert told > flips // 4
