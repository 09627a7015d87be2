"""One shard of every array in one HDF5 file: made in memory, written whole, read by `pread`.

Chunks are compressed and checksummed by us and handed to HDF5 as they are (`write_direct_chunk`); reading asks HDF5
only where the chunks of an array lie, once, and closes the file. So rows are read without HDF5's global lock, and
threads and forks share nothing of its. All that HDF5 parses then has checksums of its own (the format of HDF5 1.10).

Letters: R rows of a shard.
"""

from __future__ import annotations

import os
import struct
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numcodecs.fletcher32 import Fletcher32
from numpy.typing import NDArray

from spmdata.errors import StoreError
from spmdata.store.arrays import ArraySpec
from spmdata.store.chunks import LEVEL, compress, content_size, decode_text, pack, unpack, unpack_into
from spmdata.store.schema import StoreSpec
from spmdata.store.shards import ABSENT, ShardFile

#: HDF5's number of the zstd filter, which hdf5plugin brings.
ZSTD_FILTER = 32015
#: What a dataset of variable-length values keeps of each: length, address of a global heap, number of the object there.
POINTER = np.dtype([("length", "<u4"), ("heap", "<u8"), ("object", "<u4")])
HEAP = struct.Struct("<4s4xQ")
OBJECT = struct.Struct("<H6xQ")
_FLETCHER32 = Fletcher32()

Chunk = bytes | None


def encode_chunk(array: ArraySpec, values: NDArray[Any] | Sequence[bytes | str]) -> Chunk:
    """Return a chunk's bytes; None when all is fill value.

    Parameters
    ----------
    array : ArraySpec
        Whose chunk it is; only its dtype matters.
    values : array or sequence
        For a fixed dtype: C-contiguous, of the array's dtype. For ``bytes``: one row's. Else the chunk's strings.

    Raises
    ------
    StoreError
        Text that ends in a zero, which HDF5's padded text cannot keep.
    """
    if array.dtype == "bytes":
        image = values[0]
        assert isinstance(image, bytes)
        return image or None
    if array.dtype == "str":
        items = [str(item).encode() for item in values]
        if any(item.endswith(b"\0") for item in items):
            raise StoreError(f"{array.name} holds text that ends in a zero: HDF5 cannot keep it")
        if not any(items):
            return None
        payload: Chunk = compress(np.array(items, np.bytes_).tobytes())
    else:
        assert isinstance(values, np.ndarray)
        payload = pack(values)
    return payload and _FLETCHER32.encode(payload)


def checked(chunk: bytes) -> bytes:
    """Return a chunk without its fletcher32; StoreError when that is wrong."""
    try:
        _FLETCHER32.decode(chunk)
    except (RuntimeError, IndexError) as error:
        raise StoreError("its fletcher32 is wrong") from error
    return chunk[:-4]


def new_file() -> Any:
    """Return an empty HDF5 file in memory, an `h5py.h5f.FileID`: no times in it, the format of HDF5 1.10."""
    from h5py import h5f, h5p

    access, creation = h5p.create(h5p.FILE_ACCESS), h5p.create(h5p.FILE_CREATE)
    access.set_fapl_core(1 << 20, False)
    access.set_fclose_degree(h5f.CLOSE_STRONG)
    access.set_libver_bounds(h5f.LIBVER_V110, h5f.LIBVER_V110)
    creation.set_obj_track_times(False)
    name = uuid.uuid4().hex.encode()  # HDF5 knows files in memory by their names: threads may each make one
    file = h5f.create(name, h5f.ACC_TRUNC, fcpl=creation, fapl=access)
    _create_groups(file)
    return file


def close_file(file: Any) -> bytes:
    """Return the bytes of a file of `new_file`, and free it."""
    from h5py import h5f

    h5f.flush(file)
    data: bytes = file.get_file_image()
    file.close()
    return data


def create_dataset(file: Any, array: ArraySpec, shape: tuple[int, ...], creation: Any, text_bytes: int) -> Any:
    """Create a dataset of an array's type, text padded to ``text_bytes``; return its `h5py.h5d.DatasetID`."""
    import h5py

    if array.varying:
        text = h5py.string_dtype("utf-8", text_bytes)
        dtype = text if array.dtype == "str" else h5py.vlen_dtype(np.dtype("u1"))
    else:
        dtype = array.numpy
    creation.set_obj_track_times(False)
    space = h5py.h5s.create_simple(shape)
    kind = h5py.h5t.py_create(dtype, logical=True)
    return h5py.h5d.create(file, array.name.encode(), kind, space, creation)


def shard_file(layout: StoreSpec, chunks: Mapping[str, Sequence[Chunk]]) -> bytes:
    """Return the bytes of a shard file, made in memory.

    Parameters
    ----------
    layout : StoreSpec
        Its arrays.
    chunks : mapping of str to sequence of bytes or None
        Every chunk of the shard in order, by array, as `encode_chunk` returned it.
    """
    import h5py
    import hdf5plugin  # noqa: F401  # HDF5 refuses to name a filter that it does not have

    file, rows = new_file(), layout.shard_rows
    for array in layout.arrays():
        mine = chunks[array.name]
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        if array.dtype == "bytes":
            dataset = create_dataset(file, array, (rows,), creation, 0)
            if any(mine):
                images = np.empty(rows, h5py.vlen_dtype(np.dtype("u1")))
                for number, image in enumerate(mine):
                    images[number] = np.frombuffer(image or b"", np.uint8)
                dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, images)
            continue
        creation.set_chunk((array.chunk_rows, *array.row_shape))
        creation.set_filter(ZSTD_FILTER, h5py.h5z.FLAG_MANDATORY, (LEVEL,))
        creation.set_fletcher32()
        text_bytes = (content_size(mine[0]) or 0) // rows if array.dtype == "str" and mine[0] else 1
        dataset = create_dataset(file, array, (rows, *array.row_shape), creation, text_bytes)
        for number, chunk in enumerate(mine):
            if chunk is not None:
                dataset.write_direct_chunk((number * array.chunk_rows, *[0] * len(array.row_shape)), chunk)
    return close_file(file)


@contextmanager
def reading(path: Path) -> Iterator[Any]:
    """Lend an `h5py.File` open for reading; StoreError when HDF5 cannot read it or what is asked of it.

    HDF5 gets the file from Python: it takes no lock, and does not mind how else this process has it open.
    """
    import h5py

    try:
        with path.open("rb", buffering=0) as plain, h5py.File(plain, "r") as file:
            yield file
    except (OSError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise StoreError(f"HDF5 cannot read {path}: {error}") from error


def text_bytes_of(path: Path, names: Sequence[str]) -> list[int]:
    """Return how wide a shard file keeps each of some arrays of text; StoreError when HDF5 cannot read it."""
    with reading(path) as file:
        return [file[name].dtype.itemsize for name in names]


class Hdf5Shard(ShardFile):
    """One array of one open shard file; `ShardFile` says how it is read."""

    _frame = 0, 0

    def read_into(self, number: int, out: NDArray[Any]) -> None:
        """Decode a chunk of a fixed dtype into a C-contiguous array; StoreError on damage."""
        self.decoded(number, lambda chunk: out.fill(0) if chunk is None else unpack_into(checked(chunk), out))

    def items(self, number: int) -> list[Any]:
        """Return the items of a chunk of ``bytes`` or ``str``, one a row; an image is for its reader to check."""
        rows = self._array.chunk_rows

        def decode(chunk: Chunk) -> list[Any]:
            if self._array.dtype == "bytes":
                return [chunk or b""]
            if chunk is None:
                return [""] * rows
            content = unpack(checked(chunk))
            if not content or len(content) % rows:
                raise StoreError(f"its {len(content)} bytes are not {rows} items")
            return decode_text(np.frombuffer(content, f"S{len(content) // rows}").tolist())

        return self.decoded(number, decode)

    def _find(self, chunks: int) -> NDArray[np.uint64]:
        index = np.full((chunks, 2), ABSENT, "<u8")

        def keep(chunk: Any) -> None:
            index[chunk.chunk_offset[0] // self._array.chunk_rows] = chunk.byte_offset, chunk.size

        try:
            with reading(self._path) as file:
                dataset, offset = file[self._array.name].id, None
                if self._array.dtype == "bytes":
                    offset = dataset.get_offset()
                else:
                    dataset.chunk_iter(keep)
        except StoreError as error:
            raise self._damaged(str(error)) from error
        if offset is not None:
            self._find_images(offset, index)
        return index

    def _find_images(self, offset: int, index: NDArray[np.uint64]) -> None:
        """Follow the pointers of a dataset of variable-length bytes, so that no payload goes through HDF5."""
        pointers = np.frombuffer(os.pread(self._handle, POINTER.itemsize * len(index), offset), POINTER)
        heaps: dict[int, dict[int, tuple[int, int]]] = {}
        for number, (length, heap, key) in enumerate(pointers.tolist()):
            if length:
                if heap not in heaps:
                    heaps[heap] = self._heap(heap)
                start, size = heaps[heap].get(key, (self._end, 0))
                # A pointer that leads nowhere is damage of its row alone: it is told when the row is read.
                index[number] = (start, length) if size == length else (self._end, length)

    def _heap(self, address: int) -> dict[int, tuple[int, int]]:
        """Return where the objects of a global heap lie, offset and length by number; none when it is no heap."""
        found: dict[int, tuple[int, int]] = {}
        if address > self._end - HEAP.size:
            return found
        magic, size = HEAP.unpack(os.pread(self._handle, HEAP.size, address))
        at, end = address + HEAP.size, min(address + size, self._end)
        while magic == b"GCOL" and at + OBJECT.size <= end:
            number, length = OBJECT.unpack(os.pread(self._handle, OBJECT.size, at))
            if number == 0:  # the free space, always last
                break
            at += OBJECT.size
            found[number] = at, length
            at += (length + 7) // 8 * 8
        return found


def _create_groups(file: Any) -> None:
    from h5py import h5g, h5p

    creation = h5p.create(h5p.GROUP_CREATE)
    creation.set_obj_track_times(False)
    for name in (b"people", b"row"):
        h5g.create(file, name, gcpl=creation)
