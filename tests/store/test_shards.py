"""Shard files at the level of bytes: round trips, and every bit flip and truncation is seen."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numcodecs.zstd
import numpy as np
import pytest
import zstandard
from google_crc32c import value as crc32c
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numcodecs.zstd import compress, decompress

from spmdata.errors import StoreError
from spmdata.store.arrays import NUMPY, ArraySpec
from spmdata.store.chunks import content_size, decode_into, decode_items, encode_chunk, is_zero
from spmdata.store.shards import ShardFile, shard_path, shard_pieces
from spmdata.store.writer import open_or_create
from store.cases import flip_bit, layout_of, write_one

R = 4
KINDS = {
    "map": ArraySpec("offsets", (R, 2, 3), "f4", 1, ("row", "v", "u")),
    "table": ArraySpec("people/area", (R, 2, 3), "f4", R, ("row", "v", "u")),
    "image": ArraySpec("image", (R,), "bytes", 1, ("row",)),
    "text": ArraySpec("row/path", (R,), "str", R, ("row",)),
}
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def contents(array: ArraySpec) -> list[Any]:
    """Return a value a chunk, one of them all fill value where there is more than one."""
    if array.dtype == "str":
        return [["a/b.jpg", "", "é.png", "x" * 50]]
    if array.dtype == "bytes":
        return [[b"jpeg"], [b""], [bytes(range(40))], [b"\0"]]
    values = np.arange(24, dtype=np.float32).reshape(R, 2, 3) * (np.arange(R) != 2)[:, None, None]
    return list(values[:, None]) if array.chunk_rows == 1 else [values]


def read_all(path: Path, array: ArraySpec) -> Iterator[Any]:
    file = ShardFile(path, array, 0, R)
    for number in range(len(file)):
        if array.varying:
            yield file.decoded(number, lambda chunk: decode_items(array, chunk, array.chunk_rows))
        else:
            out = np.full((array.chunk_rows, *array.row_shape), 7, array.numpy)
            file.decoded(number, lambda chunk, out=out: decode_into(chunk, out))  # type: ignore[misc]
            yield out


def write(path: Path, array: ArraySpec) -> bytes:
    data = b"".join(shard_pieces([encode_chunk(array, value) for value in contents(array)]))
    path.write_bytes(data)
    return data


@pytest.mark.parametrize("array", KINDS.values(), ids=KINDS)
def test_round_trip(array: ArraySpec, tmp_path: Path) -> None:
    write(tmp_path / "c.0", array)
    for found, put in zip(read_all(tmp_path / "c.0", array), contents(array), strict=True):
        np.testing.assert_array_equal(found, put)


@pytest.mark.parametrize("array", KINDS.values(), ids=KINDS)
def test_every_bit_flip_is_seen(array: ArraySpec, tmp_path: Path) -> None:
    path = tmp_path / "c.0"
    data = write(path, array)
    silent = []
    for bit in range(8 * len(data)):
        flip_bit(path, bit)
        try:
            list(read_all(path, array))
            silent.append(bit)
        except StoreError as error:
            assert array.name in str(error)  # noqa: PT017
            assert "shard 0" in str(error)  # noqa: PT017
        flip_bit(path, bit)
    assert silent == []
    assert path.read_bytes() == data


@pytest.mark.parametrize("array", KINDS.values(), ids=KINDS)
def test_every_truncation_is_seen(array: ArraySpec, tmp_path: Path) -> None:
    path = tmp_path / "c.0"
    data = write(path, array)
    for end in reversed(range(len(data))):
        os.truncate(path, end)
        with pytest.raises(StoreError, match=array.name):
            list(read_all(path, array))


def test_damage_names_the_row(tmp_path: Path) -> None:
    path = shard_path(tmp_path, KINDS["map"], 5)
    path.parent.mkdir()
    data = bytearray(write(path, KINDS["map"]))
    data[6] ^= 1
    path.write_bytes(data)
    file = ShardFile(path, KINDS["map"], 5, R)
    with pytest.raises(StoreError, match=r"offsets, shard 5 \(rows 20 to 23\): the chunk of row 20 .* crc32c"):
        file.decoded(0, lambda chunk: decode_into(chunk, np.empty((2, 3), np.float32)))


def test_all_fill_shard_leaves_no_file(tmp_path: Path) -> None:
    assert shard_pieces([None, None]) == []
    store, layout = tmp_path / "data.zarr", layout_of(3, 2)
    open_or_create(store, layout)
    path = shard_path(store, layout.array("people/has_depth"), 0)  # nobody has any
    assert isinstance(path, Path)
    path.write_bytes(b"of an earlier run")
    write_one(store, layout, 0)
    assert not path.exists()


@quick
@given(data=st.data(), dtype=st.sampled_from(sorted(NUMPY)), absent=st.booleans())
def test_any_array_round_trips(data: st.DataObject, dtype: str, absent: bool, tmp_path: Path) -> None:
    shape = data.draw(hnp.array_shapes(max_dims=4, max_side=5))
    values = data.draw(hnp.arrays(NUMPY[dtype], shape))
    array = ArraySpec("any", values.shape, dtype, 1, ())
    chunk = None if absent else encode_chunk(array, values)
    out = np.empty_like(values)
    decode_into(chunk, out)
    assert out.tobytes() == (bytes(values.nbytes) if absent else values.tobytes())
    assert (chunk is None) == (absent or not any(values.tobytes()))


@quick
@given(items=st.lists(st.text(max_size=20), min_size=1, max_size=9), dtype=st.sampled_from(["bytes", "str"]))
def test_any_items_round_trip(items: list[str], dtype: str) -> None:
    array = ArraySpec("any", (len(items),), dtype, len(items), ("row",))
    values: list[Any] = [item.encode() for item in items] if dtype == "bytes" else items
    chunk = encode_chunk(array, values)
    assert decode_items(array, chunk, len(items)) == values
    assert (chunk is None) == (not any(items))


@quick
@given(chunks=st.lists(st.none() | st.binary(min_size=4, max_size=30), min_size=1, max_size=9))
def test_any_chunks_come_back(chunks: list[bytes | None], tmp_path: Path) -> None:
    path = tmp_path / "c.0"
    array = ArraySpec("image", (len(chunks),), "bytes", 1, ("row",))
    if pieces := shard_pieces(chunks):
        path.write_bytes(b"".join(pieces))
        file = ShardFile(path, array, 0, len(chunks))
        assert [file.chunk(i) for i in range(len(file))] == chunks
    else:
        assert not any(chunks)


def test_minus_zero_is_not_fill_value() -> None:
    assert is_zero(np.zeros(5, np.float32))
    assert not is_zero(np.array([0, 0, 0, 0, -0.0], np.float32))


@pytest.mark.parametrize("size", [1, 7, 64, 1000, 131_072, 1_253_376, 9_000_001])
def test_zeros_of_any_size_are_absent(size: int) -> None:
    assert encode_chunk(ArraySpec("any", (size,), "u1", 1, ()), np.zeros(size, np.uint8)) is None
    assert encode_chunk(ArraySpec("any", (size,), "u1", 1, ()), np.ones(size, np.uint8)) is not None


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 65791, 65792, 100_000])
def test_content_size_is_what_zstd_states(size: int) -> None:
    assert content_size(compress(bytes(size), 3)) == size


@pytest.mark.parametrize(
    ("decode", "text"),
    [
        (lambda: decode_into(encode_chunk(KINDS["map"], np.ones(7, np.float32)), np.empty(6, np.float32)), "28 bytes"),
        (lambda: decode_into(encode_chunk(KINDS["map"], np.ones(5, np.float32)), np.empty(6, np.float32)), "20 bytes"),
        (lambda: decode_into(encode_chunk(KINDS["image"], [b"jpeg"]), np.empty(6, np.float32)), "unknown"),
        (lambda: decode_items(KINDS["image"], encode_chunk(KINDS["image"], [b"a", b"b"]), 1), "1 items"),
        (lambda: decode_items(KINDS["image"], encode_chunk(KINDS["image"], [b"a"]), 2), "2 items"),
        (lambda: decode_items(KINDS["text"], encode_chunk(KINDS["image"], [b"a"]), 1), "zstd"),
    ],
)
def test_chunk_of_other_content_is_refused(decode: Callable[[], object], text: str) -> None:
    with pytest.raises(StoreError, match=text):
        decode()


FRAME = compress(np.arange(6, dtype=np.float32), 3)


@pytest.mark.parametrize(
    "payload",
    [FRAME[:-1], FRAME[:9], FRAME + b"x", FRAME + b"more than a header", FRAME * 2]
    + [FRAME[:5] + bytes([size]) + FRAME[6:] for size in (20, 28)],
    ids=["cut", "cut early", "a byte more", "more", "two frames", "header says less", "header says more"],
)
def test_frame_of_another_length_is_refused_whole(payload: bytes) -> None:
    """What its checksum does not tell, for that was made of just these bytes."""
    assert FRAME[5] == 24
    size = payload[5] // 4
    with pytest.raises(StoreError, match="decompress"):
        decode_into(payload + crc32c(payload).to_bytes(4, "little"), np.empty(size, np.float32))


def test_zarrs_own_codec_reads_our_frames_and_makes_the_same() -> None:
    """The same as long as both come with the same zstd: another version may pack otherwise."""
    major, minor, micro = zstandard.ZSTD_VERSION
    same = 10_000 * major + 100 * minor + micro == numcodecs.zstd.VERSION_NUMBER
    for size in (3, 1000, 300_000):
        values = np.repeat(np.arange(size, dtype=np.float32), 3)
        chunk = encode_chunk(ArraySpec("any", values.shape, "f4", 1, ()), values)
        assert chunk is not None
        assert decompress(chunk[:-4]) == values.tobytes()
        assert chunk[:-4] == compress(values, 3) or not same
