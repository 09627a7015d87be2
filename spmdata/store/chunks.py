"""The bytes of one chunk: C-order little-endian values, zstd, crc32c, exactly as zarr's codecs write them.

Chunks of ``bytes`` are not compressed (they are JPEG or PNG); chunks of ``str`` are. A chunk that is all fill value
(zeros, False, empty) is absent: its bytes are None. zstd and crc32c release the GIL. HDF5's chunks hold the same zstd
frames of numbers (`pack`, `unpack_into`) under another checksum: hdf5_shards.py.

A thread keeps its zstd contexts: made anew for each chunk, as numcodecs does, they take as long as a small chunk.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from google_crc32c import value as crc32c
from numpy.typing import NDArray
from zstandard import ZstdCompressor, ZstdDecompressor, ZstdError, frame_content_size

from spmdata.errors import StoreError
from spmdata.store.arrays import ArraySpec

LEVEL = 3
#: Bytes of which every value is looked at before they are packed.
SMALL = 2**14
CRC = struct.Struct("<I")
#: The crc32c of anything with its own crc32c after it.
RESIDUE = 0x48674BC7
LENGTH = struct.Struct("<I")


class _Contexts(threading.local):
    """What zstd needs in memory, a pair for each thread: threads cannot share one."""

    def __init__(self) -> None:
        self.compressor = ZstdCompressor(LEVEL)
        self.decompressor = ZstdDecompressor()


_OWN = _Contexts()


def encode_chunk(array: ArraySpec, values: NDArray[Any] | Sequence[bytes | str]) -> bytes | None:
    """Return a chunk's bytes; None when all is fill value.

    Parameters
    ----------
    array : ArraySpec
        Whose chunk it is; only its dtype matters.
    values : array or sequence
        For a fixed dtype: C-contiguous, of the array's dtype. Else the chunk's strings or bytes, one a row.
    """
    if array.varying:
        items = [item.encode() if isinstance(item, str) else item for item in values]
        if not any(items):
            return None
        payload = LENGTH.pack(len(items)) + b"".join(part for item in items for part in (LENGTH.pack(len(item)), item))
        if array.dtype == "str":
            payload = compress(payload)
    else:
        assert isinstance(values, np.ndarray)
        if (packed := pack(values)) is None:
            return None
        payload = packed
    return payload + CRC.pack(crc32c(payload))


def compress(content: bytes | memoryview) -> bytes:
    """Return the zstd frame of some bytes; it states their number."""
    return _OWN.compressor.compress(content)


def pack(values: NDArray[Any]) -> bytes | None:
    """Return the zstd frame of a C-contiguous array's bytes; None when all are zero."""
    if values.nbytes <= SMALL and is_zero(values):  # most ignore maps: a tenth of the time of packing them
        return None
    payload = compress(_raw(values).data)
    # Zeros pack into next to nothing, so looking at every value (7 % of zstd's time) is for those alone.
    return None if len(payload) <= 64 + values.nbytes // 4096 and is_zero(values) else payload


def decode_into(chunk: bytes | None, out: NDArray[Any]) -> None:
    """Check a chunk of a fixed dtype and decompress it straight into a C-contiguous array.

    Raises
    ------
    StoreError
        The checksum is wrong, or the content is of another size.
    """
    if chunk is None:
        out.fill(0)
    else:
        unpack_into(checked(chunk), out)


def unpack_into(payload: bytes, out: NDArray[Any]) -> None:
    """Decompress what `pack` returned straight into a C-contiguous array; StoreError when it is of another size."""
    if (size := content_size(payload)) != out.nbytes:
        raise StoreError(f"its content is {size if size is not None else 'of unknown'} bytes, not {out.nbytes}")
    try:
        # A whole frame that fits into the array is decompressed right there; of one cut short, what there is of it.
        reader = _OWN.decompressor.stream_reader(payload, read_across_frames=True)
        size, more = reader.readinto(_raw(out)), reader.read(1)
    except ZstdError as error:
        raise StoreError(f"it cannot be decompressed: {error}") from error
    if size != out.nbytes or more:
        raise StoreError(f"it decompresses to {'more than ' if more else ''}{size} bytes, not {out.nbytes}")


def decode_items(array: ArraySpec, chunk: bytes | None, rows: int) -> list[Any]:
    """Check a chunk of ``bytes`` or ``str`` and return its items, one a row.

    Raises
    ------
    StoreError
        The checksum is wrong, or the content is not what the format says.
    """
    if chunk is None:
        return [b"" if array.dtype == "bytes" else ""] * rows
    if array.dtype == "bytes":
        framed = chunk[:4] == LENGTH.pack(rows) and int.from_bytes(chunk[4:8], "little") == len(chunk) - 12
        whole = rows == 1 and framed and crc32c(chunk) == RESIDUE
        return [chunk[8:-4]] if whole else split_items(checked(chunk), rows)  # an image is copied once
    return decode_text(split_items(unpack(checked(chunk)), rows))


def unpack(payload: bytes) -> bytes:
    """Return the content of a zstd frame; StoreError when it is none that states its size."""
    if content_size(payload) is None:
        raise StoreError("it is no zstd frame that states its size")
    try:
        return _OWN.decompressor.decompress(payload, allow_extra_data=False)
    except ZstdError as error:
        raise StoreError(f"it cannot be decompressed: {error}") from error


def decode_text(items: Sequence[bytes]) -> list[str]:
    """Return text that was written as UTF-8; StoreError when it is not."""
    try:
        return [item.decode() for item in items]
    except UnicodeDecodeError as error:
        raise StoreError(f"its text is not UTF-8: {error}") from error


def checked(chunk: bytes) -> bytes:
    """Return a chunk without its crc32c; StoreError when that is wrong."""
    payload, stored = chunk[:-4], chunk[-4:]
    if (found := CRC.pack(crc32c(payload))) != stored:
        raise StoreError(f"its crc32c is {found[::-1].hex()}, {stored[::-1].hex()} was written")
    return payload


def split_items(payload: bytes, rows: int) -> list[bytes]:
    """Return the items of zarr's vlen framing: u4 count, then u4 length and bytes each; StoreError when it is not."""
    items, at = [], LENGTH.size
    try:
        (count,) = LENGTH.unpack_from(payload)
        for _ in range(min(count, rows)):
            (length,) = LENGTH.unpack_from(payload, at)
            items.append(payload[at + 4 : at + 4 + length])
            at += 4 + length
    except struct.error:
        count = -1
    if count != rows or at != len(payload):
        raise StoreError(f"its {len(payload)} bytes are not {rows} items with their lengths")
    return items


def content_size(payload: bytes) -> int | None:
    """Return the decompressed size that a zstd frame's header states; None when it states none or is none."""
    try:
        size = frame_content_size(payload)
    except ZstdError:
        return None
    return None if size < 0 else size


def is_zero(values: NDArray[Any]) -> bool:
    """Return whether all bytes are zero; -0.0 is not."""
    return not _raw(values).view(np.bool_).any()


def _raw(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the bytes of a C-contiguous array, no copy."""
    return values.reshape(-1).view(np.uint8)
