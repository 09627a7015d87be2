"""Reading rows: what is given back, what is refused, from threads, forks and pickles."""

import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from spmdata.errors import StoreError
from spmdata.people import DTYPES
from spmdata.store.reader import Store, open_store
from spmdata.store.schema import RowStatus
from spmdata.store.shards import ShardFile
from spmdata.store.window import Window
from spmdata.store.writer import open_or_create
from store.cases import expected, flip_bit, image_of, layout_of, people_of, status_of, write_one

LAYOUT = layout_of(11, 4)
FORK = """
import os, sys, threading
from concurrent.futures import ThreadPoolExecutor
from spmdata.store.reader import open_store
store, rows = open_store(sys.argv[1]), [0, 2, 3, 4, 5, 7, 8, 9, 10] * 20
def digest(name):
    return [store.read(name, [row])[0].tobytes() for row in rows], [store.image_bytes(row) for row in rows]
wanted, stop = digest("offsets"), threading.Event()
def read_on():
    while not stop.is_set():
        digest("offsets"), digest("people/joints")
with ThreadPoolExecutor(3) as pool:
    for _ in range(3):
        pool.submit(read_on)
    children = []
    for _ in range(4):
        if (pid := os.fork()) == 0:
            os._exit(digest("offsets") != wanted)
        children.append(pid)
    states = [os.waitpid(pid, 0)[1] for pid in children]
    stop.set()
assert digest("offsets") == wanted
sys.exit(any(states))
"""


@pytest.fixture(params=["finished", "finished_h5"], ids=["zarr", "h5"])
def either(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def store(either: Path) -> Store:
    return open_store(either)


def test_people_come_back(store: Store) -> None:
    for row in range(len(store)):
        found, wanted = store.people(row), people_of(row)
        for name in DTYPES:
            value = getattr(wanted, name)
            np.testing.assert_array_equal(getattr(found, name), value if status_of(row) == RowStatus.OK else value[:0])
    batch = store.people_batch([10, 3, 3])
    assert batch.joints.shape == (3, 3, 3, 2)
    assert batch.number.tolist() == [2, 3, 3]
    np.testing.assert_array_equal(batch.people(1).joints, people_of(3).joints)


def test_images_come_back(store: Store) -> None:
    images = [image_of(row) if status_of(row) == RowStatus.OK else b"" for row in range(11)]
    assert [store.image_bytes(row) for row in range(11)] == images
    assert store.read("image", slice(0, 11)).tolist() == images


def test_provenance(store: Store) -> None:
    assert len(store) == 11
    assert store.complete
    assert store.skeleton.name == "stick3"
    assert store.status.tolist() == [0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    np.testing.assert_array_equal(store.affine(7).matrix, np.eye(2, 3) + 1)


@pytest.mark.parametrize("rows", [[10, 0, 4, 4], np.array([5, 6], np.uint16), slice(2, 9, 3), slice(None)])
def test_any_rows_in_any_order(rows: Any, store: Store) -> None:
    for name in ("offsets", "people/joints", "row/path", "image"):
        wanted = expected(LAYOUT, LAYOUT.array(name))
        np.testing.assert_array_equal(store.read(name, rows), wanted[rows])
    assert store.read("offsets", []).shape == (0, 3, 2, 8, 8)
    assert store.people_batch([]).id.shape == (0, 3)


def test_out_is_filled_and_returned(store: Store) -> None:
    for name in ("offsets", "people/joints"):
        wanted = expected(LAYOUT, LAYOUT.array(name))[[1, 0]]
        out = np.full_like(wanted, 7)
        assert store.read(name, [1, 0], out) is out
        np.testing.assert_array_equal(out, wanted)


@pytest.mark.parametrize(
    "out", [np.zeros((1, 8, 8), np.uint8), np.zeros((2, 8, 8), np.int8), np.zeros((2, 8, 16), np.uint8)[..., ::2]]
)
def test_out_that_does_not_fit_is_refused(out: np.ndarray[Any, Any], store: Store) -> None:
    with pytest.raises(StoreError, match=r"out must be C-contiguous \(2, 8, 8\) uint8 for ignore, got "):
        store.read("ignore", [0, 1], out)


@pytest.mark.parametrize("row", [-1, 11])
def test_row_out_of_range_is_refused(row: int, store: Store) -> None:
    for read in (store.people, store.image_bytes, store.affine):
        with pytest.raises(StoreError, match=rf"row must be in \[0, 10\], got {row}"):
            read(row)
    with pytest.raises(StoreError, match=r"row must be in \[0, 10\]"):
        store.read("offsets", [0, row])


@pytest.mark.parametrize("rows", [3, [[1]], [0.5], [True, False]])
def test_what_is_no_rows_is_refused(rows: Any, store: Store) -> None:
    with pytest.raises(StoreError, match="rows must be a sequence of row numbers or a slice"):
        store.read("offsets", rows)


def test_tables_are_read_only_and_decoded_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store.table("people/joints") is store.table("people/joints")
    assert not store.table("people/joints").flags.writeable
    store.people(0)
    decoded: list[int] = []
    monkeypatch.setattr(ShardFile, "decoded", lambda *args: decoded.append(1))
    for row in (0, 1, 2, 3):
        store.people(row)
    assert decoded == []


def test_pickled_store_reads_on(store: Store) -> None:
    store.people(0)
    again = pickle.loads(pickle.dumps(store))
    assert len(pickle.dumps(store)) < 5000
    np.testing.assert_array_equal(again.read("offsets", [3]), store.read("offsets", [3]))


def test_store_reads_on_in_another_folder(either: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(either.parent)
    store = open_store(either.name)
    monkeypatch.chdir(tmp_path)
    assert store.path == Path(either.name)
    assert store.image_bytes(3) == pickle.loads(pickle.dumps(store)).image_bytes(3) == image_of(3)


def test_changing_what_was_read_changes_nothing_kept(store: Store) -> None:
    store.people(3).joints[:] = -1
    store.people_batch([3]).people(0).joints[:] = -1
    store.read("people/joints", [3])[:] = -1
    np.testing.assert_array_equal(store.people(3).joints, people_of(3).joints)


def test_threads_read_the_same(store: Store) -> None:
    rows = [0, 5, 3, 8, 2, 9, 4, 10] * 20
    offsets, joints = (expected(LAYOUT, LAYOUT.array(name)) for name in ("offsets", "people/joints"))

    def read(row: int) -> bool:
        return bool(
            np.array_equal(store.read("offsets", [row])[0], offsets[row])
            and np.array_equal(store.read("people/joints", [row])[0], joints[row])
            and store.image_bytes(row) == image_of(row)
        )

    store._files._limit = store._tables._limit = 2  # files are closed while others read from them
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, rows))


def test_fork_amid_reading_threads(either: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORK, str(either)]
    assert subprocess.run(command, timeout=60, check=False).returncode == 0


def test_window_keeps_what_was_used_last() -> None:
    made: list[int] = []

    def make(key: int) -> int:
        made.append(key)
        return key

    window = Window(10, lambda value: value)
    for key in (4, 5, 4, 3, 4, 11, 11, 5, 0, 0):
        assert window.get(key, make) == key
    assert made == [4, 5, 3, 11, 11, 5, 0]


def test_damage_names_array_and_row(finished: Path, tmp_path: Path) -> None:
    path = shutil.copytree(finished, tmp_path / "data.zarr")
    flip_bit(path / "image/c.1", 8 * 200)
    flip_bit(path / "people/joints/c.0.0.0.0", 100)
    flip_bit(path / "count/c.2.0.0.0", 8 * (path / "count/c.2.0.0.0").stat().st_size - 1)
    store = open_store(path)
    with pytest.raises(StoreError, match=r"image, shard 1 \(rows 4 to 7\): the chunk of row 4 is damaged: .* crc32c"):
        store.image_bytes(4)
    with pytest.raises(StoreError, match=r"people/joints, shard 0 .*: its chunk is damaged"):
        store.people(2)
    with pytest.raises(StoreError, match=r"count, shard 2 .*: the crc32c of its index is wrong; spm verify-t"):
        store.read("count", [9])
    assert store.image_bytes(5) == image_of(5)


def test_exchanged_images_are_seen(finished: Path, tmp_path: Path) -> None:
    path = shutil.copytree(finished, tmp_path / "data.zarr")
    (path / "image/c.1").write_bytes((path / "image/c.0").read_bytes())
    with pytest.raises(StoreError, match=r"image row 4: its crc32c is .*, image_crc32c says"):
        open_store(path).image_bytes(4)


def test_lost_file_is_not_fill_value(finished: Path, tmp_path: Path) -> None:
    path = shutil.copytree(finished, tmp_path / "data.zarr")
    (path / "ignore/c.0.0.0").unlink()
    with pytest.raises(StoreError, match="ignore: the file of shard 0 is lost; run the same"):
        open_store(path).read("ignore", [0])


def test_unfinished_store_is_refused_and_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "data.zarr"
    open_or_create(path, LAYOUT)
    write_one(path, LAYOUT, 1)
    with pytest.raises(StoreError, match="is not finished: 1 of 3 shards are written; run the spm prepare command"):
        open_store(path)
    store = open_store(path, allow_incomplete=True)
    assert not store.complete
    np.testing.assert_array_equal(store.read("count", range(4, 8)), expected(LAYOUT, LAYOUT.array("count"))[4:8])
    for name in ("count", "row/view"):
        with pytest.raises(StoreError, match=r"rows 0 to 3 of .* are not written"):
            store.read(name, [2])


def test_skipped_row_without_affine_says_so(tmp_path: Path) -> None:
    path, layout = tmp_path / "data.zarr", layout_of(2, 2, images=False, maps=False)
    open_or_create(path, layout)
    write_one(path, layout, 0)
    (path / "row/affine/c.0.0.0").unlink()
    store = open_store(path, allow_incomplete=True)
    store._tables.get(("row/affine", 0), lambda key: np.zeros((2, 2, 3)))
    with pytest.raises(StoreError, match=r"row 1 \(IMAGE_MISSING\) has no affine"):
        store.affine(1)


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no such store: .*nothing.zarr"):
        open_store(tmp_path / "nothing.zarr")
    (tmp_path / "folder").mkdir()
    zarr.create_group(tmp_path / "foreign.zarr").attrs["title"] = "mine"
    zarr.create_array(tmp_path / "array.zarr", shape=3, dtype="f4")
    zarr.create_group(tmp_path / "v2.zarr", zarr_format=2)
    (tmp_path / "file").write_text("")
    for name in ("folder", "foreign.zarr", "array.zarr", "v2.zarr", "file"):
        with pytest.raises(StoreError, match=f"{name} is no spm store"):
            open_store(tmp_path / name)
