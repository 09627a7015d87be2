"""The golden stores were written once; they guard format version 1 against us, zarr-python and HDF5."""

import json
import struct
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  # the zstd filter
import numpy as np
import pytest
import zarr
from google_crc32c import value as crc32c
from numcodecs.zstd import decompress

from spmdata.store.check import check_store
from spmdata.store.reader import open_store
from store.cases import expected, layout_of, write_store
from store.make_golden import GOLDEN, GOLDEN_H5
from store.stranger import Stranger

LAYOUT = layout_of(rows=3, shard_rows=2)
ABSENT = 2**64 - 1


@pytest.mark.parametrize("path", [GOLDEN, GOLDEN_H5], ids=["zarr", "h5"])
def test_numbers_on_paper(path: Path) -> None:
    store = open_store(path)
    assert store.layout.fingerprint() == LAYOUT.fingerprint()
    assert store.status.tolist() == [0, 1, 0]
    assert store.image_bytes(2) == b"\xff"
    assert store.table("row/path").tolist() == [f"val2017/{row:012d}-é.jpg" for row in range(3)]
    assert store.table("row/image_id").tolist() == [10**12, 10**12 + 1, 10**12 + 2]
    assert store.table("people/number").tolist() == [0, 0, 2]
    assert store.people(2).joints[0].tolist() == [[0.0, 15.5], [0.0, 0.0], [13.5, 4.75]]
    offsets = store.read("offsets", [0, 1, 2])
    assert [float(np.abs(offsets[i]).sum()) for i in range(3)] == [9.0, 0.0, 9.0]
    assert np.argwhere(offsets[0, 0, 0]).tolist() == [[2, 1], [3, 4], [4, 7], [6, 5]]


def test_both_readers_read_what_was_put() -> None:
    store, group = open_store(GOLDEN), zarr.open_group(GOLDEN, mode="r")
    for array in LAYOUT.arrays():
        theirs: Any = group[array.name]
        wanted = expected(LAYOUT, array)
        np.testing.assert_array_equal(store.table(array.name), wanted)
        np.testing.assert_array_equal(np.asarray(theirs[:], array.numpy), wanted)
    assert check_store(GOLDEN) == []


def test_so_do_both_of_hdf5() -> None:
    store = open_store(GOLDEN_H5)
    assert store.attributes == open_store(GOLDEN).attributes
    with h5py.File(GOLDEN_H5) as file:
        assert json.loads(file.attrs["spm"]) == store.attributes["spm"]
        for array in LAYOUT.arrays():
            wanted, dataset = expected(LAYOUT, array), file[array.name]
            np.testing.assert_array_equal(store.table(array.name), wanted)
            theirs = dataset.asstr()[:] if array.dtype == "str" else dataset[:]
            assert [bytes(t) if array.dtype == "bytes" else t for t in theirs.tolist()] == wanted.tolist()
    assert check_store(GOLDEN_H5) == []


@pytest.mark.parametrize("path", [GOLDEN, GOLDEN_H5], ids=["zarr", "h5"])
def test_a_stranger_knows_rows_and_people(path: Path) -> None:
    """The reader of stranger.py sees what stands on paper."""
    stranger = Stranger(path)
    assert [stranger.value("image", row)[-1:] for row in range(3)] == [b"0", b"", b"\xff"]
    assert stranger.value("row/path", 2) == "val2017/000000000002-é.jpg"
    assert [len(stranger.people(row)) for row in range(3)] == [0, 0, 2]
    assert stranger.people(2)[0]["joints"].tolist() == [[0.0, 15.5], [0.0, 0.0], [13.5, 4.75]]
    assert float(np.abs(stranger.targets(0)["offsets"]).sum()) == 9.0


def test_written_today_it_is_the_same(tmp_path: Path) -> None:
    """The metadata alike, and shards that decode alike; zstd itself may pack otherwise in another version."""
    today = write_store(tmp_path / "data.zarr", LAYOUT)
    files = {file.relative_to(today) for file in today.rglob("*") if file.is_file()}
    assert files == {file.relative_to(GOLDEN) for file in GOLDEN.rglob("*") if file.is_file()}
    for file in today.rglob("zarr.json"):
        golden = json.loads((GOLDEN / file.relative_to(today)).read_bytes())
        assert json.loads(file.read_bytes()) == golden


def stranger_reads(name: str, dtype: str, row_shape: tuple[int, ...], chunk_rows: int) -> list[Any]:
    """Read an array of the golden store by docs/format.md alone: rows of 2 shards of 2, each bytes, text or array."""
    rows: list[Any] = []
    for shard in (0, 1):
        file = GOLDEN / name / ".".join(["c", str(shard), *["0"] * len(row_shape)])
        record = json.loads((GOLDEN / f".spm/ledger/{shard:05d}.json").read_text())["files"][name]
        data, chunks = (file.read_bytes() if record else b""), 2 // chunk_rows
        assert file.exists() == (record is not None)
        for i in range(chunks):
            offset, length = (
                struct.unpack_from("<QQ", data, len(data) - 4 - 16 * (chunks - i)) if data else (ABSENT,) * 2
            )
            chunk = None if offset == ABSENT else data[offset : offset + length - 4]
            assert chunk is None or crc32c(chunk) == int.from_bytes(
                data[offset + length - 4 : offset + length], "little"
            )
            if dtype in ("bytes", "str"):
                rows += items(chunk and (decompress(chunk) if dtype == "str" else chunk), chunk_rows)
            else:
                raw = decompress(chunk) if chunk else bytes(chunk_rows * int(np.prod(row_shape)) * int(dtype[1]))
                rows += list(np.frombuffer(raw, f"<{dtype}").reshape(chunk_rows, *row_shape))
        assert not data or crc32c(data[-4 - 16 * chunks : -4]) == int.from_bytes(data[-4:], "little")
    return rows[:3]


def items(data: bytes | None, count: int) -> list[bytes]:
    if data is None:
        return [b""] * count
    assert int.from_bytes(data[:4], "little") == count
    found, at = [], 4
    for _ in range(count):
        length = int.from_bytes(data[at : at + 4], "little")
        found.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return found


def test_a_stranger_reads_the_same() -> None:
    for array in LAYOUT.arrays():
        dtype = "b1" if array.dtype == "bool" else array.dtype
        found = stranger_reads(array.name, dtype, array.row_shape, array.chunk_rows)
        wanted = expected(LAYOUT, array)
        if array.dtype == "str":
            found = [item.decode() for item in found]
        assert [np.asarray(item).tolist() for item in found] == [np.asarray(item).tolist() for item in wanted], array
