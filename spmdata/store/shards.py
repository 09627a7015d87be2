"""One shard file of one array: chunks one after another, then the index; written whole, read by `pread`.

The index is 16 bytes a chunk (offset, length; u8 little-endian; both 2^64 - 1 when the chunk is absent), then its
crc32c: the ``sharding_indexed`` codec of zarr v3 with the index at the end.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from google_crc32c import value as crc32c
from numpy.typing import NDArray

from spmdata.errors import StoreError
from spmdata.store.arrays import ArraySpec
from spmdata.store.chunks import CRC, LENGTH, decode_into, decode_items, encode_chunk
from spmdata.store.remote import AnyPath, StorePath

ABSENT = 2**64 - 1
#: Offset and length of a chunk in the index.
PLACE = struct.Struct("<QQ")
#: How every message of damage ends.
REMEDY = "; spm verify-targets --repair mends it from the source"
T = TypeVar("T")

__all__ = ["ABSENT", "ShardFile", "encode_chunk", "shard_path", "shard_pieces"]


def shard_pieces(chunks: Sequence[bytes | None]) -> list[bytes]:
    """Return what a shard file holds, piece by piece; nothing when no chunk is there, for then there is no file.

    Parameters
    ----------
    chunks : sequence of bytes or None
        Every chunk of the shard in order, as `encode_chunk` returned it.
    """
    present = [chunk for chunk in chunks if chunk is not None]
    if not present:
        return []
    index = np.full((len(chunks), 2), ABSENT, "<u8")
    lengths = np.array([len(chunk) for chunk in present], "<u8")
    there = np.array([chunk is not None for chunk in chunks])
    index[there] = np.stack([lengths.cumsum() - lengths, lengths], axis=1)
    tail = index.tobytes()
    return [*present, tail, CRC.pack(crc32c(tail))]


def shard_path(store: StorePath, array: ArraySpec, shard: int) -> AnyPath:
    """Return where zarr keeps a shard: ``NAME/c.SHARD.0.0``, a number an axis, all in the array's own folder."""
    return store / f"{array.name}/c.{shard}{'.0' * len(array.row_shape)}"


class ShardFile:
    """One open shard file: index checked once, then chunks by `pread`, so threads and forks may share it.

    Parameters
    ----------
    path : Path or RemotePath
        The file.
    array : ArraySpec
        Whose shard it is.
    shard : int
        Its number.
    shard_rows : int
        R.

    Raises
    ------
    FileNotFoundError
        There is no file: all fill value, or lost; the ledger knows.
    StoreError
        The index is damaged; the message names array and shard.
    """

    #: Bytes before and after an image in its chunk: the vlen framing, and the crc32c.
    _frame = 2 * LENGTH.size, CRC.size

    def __init__(self, path: StorePath, array: ArraySpec, shard: int, shard_rows: int) -> None:
        self._array, self._shard, self._rows = array, shard, shard_rows
        self._path: AnyPath = path
        #: Where chunks may lie: before this byte.
        self._end = self._open()
        self._index = self._find(shard_rows // array.chunk_rows)
        self._places = self._index.tobytes()  # numpy takes three times as long for two numbers

    def _open(self) -> int:
        """Open the file and return its bytes."""
        self._handle = os.open(self._path, os.O_RDONLY)
        return os.fstat(self._handle).st_size

    def _bytes(self, offset: int, length: int) -> bytes:
        """Return some bytes of the file; fewer when it ends before."""
        return os.pread(self._handle, length, offset)

    def _find(self, chunks: int) -> NDArray[np.uint64]:
        """Return offset and length of every chunk, (chunks, 2) little-endian, both `ABSENT` where there is none."""
        size = 16 * chunks + CRC.size
        self._end -= size
        if self._end < 0:
            raise self._damaged(f"{self._end + size} bytes are too few for its index")
        return self._parsed(self._bytes(self._end, size), chunks)

    def _parsed(self, tail: bytes, chunks: int) -> NDArray[np.uint64]:
        """Return the index from its bytes, checked."""
        size = 16 * chunks + CRC.size
        if len(tail) != size or CRC.pack(crc32c(tail[:-4])) != tail[-4:]:
            raise self._damaged("the crc32c of its index is wrong")
        return np.frombuffer(tail, "<u8", 2 * chunks).reshape(chunks, 2)

    def __len__(self) -> int:
        """Return the number of chunks."""
        return len(self._index)

    @property
    def packed_bytes(self) -> int:
        """Bytes of all chunks that are there."""
        return int(self._index[self._index[:, 0] != ABSENT, 1].sum())

    def read_into(self, number: int, out: NDArray[Any]) -> None:
        """Decode a chunk of a fixed dtype into a C-contiguous array; StoreError on damage."""
        self.decoded(number, lambda chunk: decode_into(chunk, out))

    def items(self, number: int) -> list[Any]:
        """Return the items of a chunk of ``bytes`` or ``str``, one a row; StoreError on damage."""
        return self.decoded(number, lambda chunk: decode_items(self._array, chunk, self._array.chunk_rows))

    def expect(self, number: int) -> None:
        """Have the disk fetch a chunk that will be read soon: it fetches many at once as quickly as one."""
        offset, length = PLACE.unpack_from(self._places, PLACE.size * number)
        if offset + length <= self._end and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._handle, offset, length, os.POSIX_FADV_WILLNEED)

    def image(self, number: int) -> bytes:
        """Return the image in a chunk of ``bytes``, unchecked; empty when there is none.

        For who knows its crc32c: that of the chunk says no more, and `items` says what is wrong with it.
        """
        return self.chunk(number, *self._frame) or b""

    def chunk(self, number: int, before: int = 0, after: int = 0) -> bytes | None:
        """Return the stored bytes of a chunk, unchecked, but so many at either end; None when it is absent.

        Raises
        ------
        StoreError
            It lies outside of the file, or the file ends early.
        """
        offset, length = PLACE.unpack_from(self._places, PLACE.size * number)
        if offset + length > self._end:
            if offset == length == ABSENT:
                return None
            raise self.damaged(number, f"the index puts it at {offset} + {length} of {self._end} bytes")
        if (length := length - before - after) < 0:
            length = 0
        data = self._bytes(offset + before, length)
        if len(data) != length:
            raise self.damaged(number, "the file ends before it")
        return data

    def decoded(self, number: int, decode: Callable[[bytes | None], T]) -> T:
        """Return ``decode(chunk)``; a StoreError of it comes back naming array, row and shard."""
        chunk = self.chunk(number)
        try:
            return decode(chunk)
        except StoreError as error:
            raise self.damaged(number, str(error)) from error

    def damaged(self, number: int, text: str) -> StoreError:
        """Return the error that names the row, or the whole shard where its rows share one chunk."""
        if self._array.chunk_rows == 1:
            return self._damaged(f"the chunk of row {self._shard * self._rows + number} is damaged: {text}")
        return self._damaged(f"its chunk is damaged: {text}")

    def _damaged(self, text: str) -> StoreError:
        first = self._shard * self._rows
        return StoreError(
            f"{self._array.name}, shard {self._shard} (rows {first} to {first + self._rows - 1}): {text}{REMEDY}"
        )

    def __del__(self) -> None:
        """Close the file when its last reader lets go, so that dropping it from a cache never cuts a read short."""
        if hasattr(self, "_handle"):
            os.close(self._handle)
