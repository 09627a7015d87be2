"""Open a prepared store and read any rows of it fast, from threads and forked or spawned processes.

zarr-python takes about 1 ms a read whatever its size; here a row costs a `pread`, a checksum and zstd straight into the
caller's array. Open files and decoded tables are kept (`Window`), so tables are not decoded again for each row.

Letters: N rows of the store; n rows read; R rows of a shard.
"""

from __future__ import annotations

import resource
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import numpy as np
from google_crc32c import value as crc32c
from numpy.typing import NDArray

from spmdata.errors import SpecError, StoreError
from spmdata.geometry import Affine
from spmdata.padded import PeopleBatch
from spmdata.people import People
from spmdata.skeleton import Skeleton
from spmdata.spec import TargetSpec
from spmdata.store.arrays import ArraySpec
from spmdata.store.form import form_of
from spmdata.store.ledger import Ledger
from spmdata.store.manifest import read_layout
from spmdata.store.remote import AnyPath, RemotePath, StoreName, bring
from spmdata.store.rows import Rows, one_row, row_numbers
from spmdata.store.schema import RowStatus, StoreSpec
from spmdata.store.shards import ShardFile
from spmdata.store.window import Window

#: Decoded tables kept by one `Store`: all of COCO train2017's people are about 150 MB.
WINDOW_BYTES = 256 << 20


def open_store(path: StoreName, *, allow_incomplete: bool = False) -> Store:
    """Open a prepared store.

    Parameters
    ----------
    path : path-like
        A ``.zarr`` folder or a ``.h5`` file that ``spm prepare`` wrote, or text with the URL of a ``.zarr``.
    allow_incomplete : bool
        Also open one whose run has not finished; a row of a shard that is not written is a StoreError.

    Returns
    -------
    Store
        Open for reading; nothing needs closing.

    Raises
    ------
    StoreError
        Nothing there, no store of ours, another format version, unfinished, a lost file; the message says what to
        do.
    RemoteError
        A URL that cannot be reached.
    """
    form = form_of(path)
    attributes, layout = read_layout(form)
    if not attributes["spm"].get("complete") and not allow_incomplete:
        done = len(Ledger(form.path).done(layout))
        state = f"{form.path} is not finished: {done} of {layout.n_shards} shards are written"
        raise StoreError(f"{state}; run the spm prepare command that made it again to finish it")
    if attributes["spm"].get("complete") and (lost := form.lost_files(layout)):
        some = f"{len(lost)} of its files are lost, the first is {lost[0]}"
        raise StoreError(f"{form.path}: {some}; run the same spm prepare command again")
    return Store(form.path, layout, attributes)


class Store:
    """A prepared store, open for reading; `open_store` makes it.

    Threads may share one; a forked child may go on with it; pickled, it opens its files anew.

    Attributes
    ----------
    path : pathlib.Path or RemotePath
        Where it is.
    layout : StoreSpec
        What it holds.
    attributes : dict
        The group's attributes, JSON values.
    """

    def __init__(self, path: AnyPath, layout: StoreSpec, attributes: dict[str, Any]) -> None:
        self.path, self.layout, self.attributes = path, layout, attributes
        self._form = form_of(path.absolute())  # files are opened later, perhaps from another folder
        self._arrays = {array.name: array for array in layout.arrays()}
        people = [(name, self._arrays[f"people/{name}"]) for name in PeopleBatch._fields]
        self._people = np.dtype([(name, array.numpy, array.row_shape) for name, array in people])
        files = min(4096, max(16, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4))
        self._files: Window[ShardFile | None] = Window(files, lambda file: 1)
        self._tables: Window[NDArray[Any]] = Window(WINDOW_BYTES, _weight)
        #: Shards of people, all of a row together: rows from anywhere are then put side by side by one copy each.
        self._crowds: Window[NDArray[np.void]] = Window(WINDOW_BYTES, _weight)
        self._albums: Window[tuple[ShardFile | None, NDArray[Any]]] = Window(files, lambda album: 1)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it is, not what it keeps."""
        return type(self), (self._form.path, self.layout, self.attributes)

    @property
    def spec(self) -> TargetSpec:
        """The conventions of the targets."""
        return self.layout.spec

    @property
    def skeleton(self) -> Skeleton:
        """The joints."""
        return self.layout.spec.skeleton

    @property
    def complete(self) -> bool:
        """The run that wrote it was finalised."""
        return self.attributes["spm"].get("complete") is True

    def __len__(self) -> int:
        """Return N."""
        return self.layout.rows

    def read(self, name: str, rows: Rows, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return some rows of an array.

        Parameters
        ----------
        name : str
            Such as ``offsets``.
        rows : sequence of int or slice, n
            Row numbers from 0, in any order.
        out : array, optional
            (n, ...) of the array's dtype, C-contiguous; filled and returned.

        Returns
        -------
        (n, ...) array
            In the array's dtype; object for ``image`` (bytes) and text (str).

        Raises
        ------
        StoreError
            No such array or row, an ``out`` that does not fit, damage (the message names array and row).
        """
        array = self._array(name)
        numbers = row_numbers(rows, len(self))
        wanted = (len(numbers), *array.row_shape)
        if out is None:
            out = np.empty(wanted, array.numpy)
        elif out.shape != wanted or out.dtype != array.numpy or not out.flags.c_contiguous:
            raise StoreError(f"out must be C-contiguous {wanted} {array.numpy} for {name}, got {out.shape} {out.dtype}")
        if array.chunk_rows == 1 and array.dtype != "str":
            self._read_rows(array, numbers.tolist(), out)
            return out
        shards, index = np.divmod(numbers, self.layout.shard_rows)
        for shard in np.unique(shards).tolist():
            mine = shards == shard
            out[mine] = self._table(array, shard)[index[mine]]
        return out

    def table(self, name: str) -> NDArray[Any]:
        """Return a whole array, (N, ...), read-only; kept while it fits into the window. StoreError as for `read`."""

        def whole(_: object) -> NDArray[Any]:
            self.read_ahead([name], slice(None))
            values = self.read(name, slice(None))
            values.flags.writeable = False
            return values

        return self._tables.get((name, None), whole)

    @property
    def status(self) -> NDArray[np.uint8]:
        """`RowStatus` of every row, (N,)."""
        return self.table("row/status")

    def people(self, row: int) -> People:
        """Return the people of one row in input px, every score 1; StoreError as for `read`."""
        return self.people_batch([one_row(row, len(self))]).people(0)

    def people_batch(self, rows: Rows) -> PeopleBatch:
        """Return the people of several rows as padded tables; StoreError as for `read`."""
        places = [divmod(row, self.layout.shard_rows) for row in row_numbers(rows, len(self)).tolist()]
        own = [self._crowds.get(shard, self._crowd)[number : number + 1] for shard, number in places]
        together = np.concatenate(own or [self._crowd(0)[:0]]).view(self._people)
        return PeopleBatch(*(np.ascontiguousarray(together[name]) for name in PeopleBatch._fields))

    def image_bytes(self, row: int) -> bytes:
        """Return one image as it was encoded, checked against ``image_crc32c``; empty for a skipped row.

        StoreError for a store without images, no such row, or damage.
        """
        shard, number = divmod(one_row(row, self.layout.rows), self.layout.shard_rows)
        file, crcs = self._albums.get(shard, self._album)
        data = file.image(number) if file is not None else b""
        if crc32c(data) != (expected := crcs.item(number)):
            if file is not None:
                file.items(number)  # which says so when it is the chunk that is damaged
            raise StoreError(f"image row {row}: its crc32c is {crc32c(data):08x}, image_crc32c says {expected:08x}")
        return data

    def affine(self, row: int) -> Affine:
        """Return the map from original image px to input px of one row; StoreError for a skipped row."""
        try:
            return Affine(self.read("row/affine", [row])[0])
        except SpecError as error:
            status = RowStatus(int(self.read("row/status", [row])[0]))
            raise StoreError(f"row {row} ({status.name}) has no affine: {error}") from error

    def array_bytes(self, shard: int) -> dict[str, int]:
        """Return the bytes on disk that each array takes in a shard that is written; StoreError on damage."""
        files = Ledger(self._form.path).read(shard).files
        sizes = {name: file.bytes if file else 0 for name, file in files.items()}
        return self._form.array_bytes(self.layout, shard, sizes)

    def read_ahead(self, names: Iterable[str], rows: Rows) -> None:
        """Bring the shards of some rows into memory whole, a request each, all at once; from a disk nothing.

        For who will read many rows of these shards soon. StoreError as for `read`, RemoteError as for `open_store`.
        """
        if not isinstance(self.path, RemotePath):
            return
        keys = {name: self._form.file_key(self._array(name)) for name in names}
        shards = np.unique(row_numbers(rows, len(self)) // self.layout.shard_rows).tolist()
        files = {shard: self._form.shard_files(self.layout, shard) for shard in shards}
        known = {(name, shard): self._files.find((name, shard), "unknown") for shard in shards for name in keys}
        bring([files[shard][keys[name]] for (name, shard), file in known.items() if file is not None])

    def _array(self, name: str) -> ArraySpec:
        return self._arrays.get(name) or self.layout.array(name)

    def _read_rows(self, array: ArraySpec, rows: list[int], out: NDArray[Any]) -> None:
        """Read rows of an array with a chunk a row into ``out`` (n, ...)."""
        places = [(self._file(array, row // self.layout.shard_rows), row % self.layout.shard_rows) for row in rows]
        for file, number in places if len(rows) > 1 else ():
            if file is not None:
                file.expect(number)
        for i, (file, number) in enumerate(places):
            if array.dtype == "bytes":
                out[i] = self.image_bytes(rows[i])
            elif file is None:
                out[i].fill(0)
            else:
                file.read_into(number, out[i : i + 1])

    def _table(self, array: ArraySpec, shard: int) -> NDArray[Any]:
        """One shard of an array with a chunk a shard, (R, ...), decoded once while it is kept."""
        rows = self.layout.shard_rows

        def decode(_: object) -> NDArray[Any]:
            file, table = self._file(array, shard), np.zeros((rows, *array.row_shape), array.numpy)
            if array.varying:
                table[:] = file.items(0) if file else [""] * rows
            elif file is not None:
                file.read_into(0, table)
            table.flags.writeable = False
            return table

        return self._tables.get((array.name, shard), decode)

    def _crowd(self, shard: int) -> NDArray[np.void]:
        """Return the people of one shard, the bytes of `_people` a row, (R,)."""
        crowd = np.zeros(self.layout.shard_rows, self._people)
        for name in PeopleBatch._fields:
            crowd[name] = self._table(self._array(f"people/{name}"), shard)
        return crowd.view(f"V{self._people.itemsize}")

    def _album(self, shard: int) -> tuple[ShardFile | None, NDArray[Any]]:
        """Return the images of one shard and the crc32c of each, (R,)."""
        return self._file(self._array("image"), shard), self._table(self._arrays["image_crc32c"], shard)

    def _file(self, array: ArraySpec, shard: int) -> ShardFile | None:
        return self._files.get((array.name, shard), lambda key: self._open(array, shard))

    def _open(self, array: ArraySpec, shard: int) -> ShardFile | None:
        """Open a shard file; None when the ledger says that all of it is fill value."""
        file = None
        with suppress(FileNotFoundError):
            file = self._form.open_shard(self.layout, array, shard)
        if file is None or not self.complete:
            try:
                record = Ledger(self._form.path).read(shard)
            except StoreError as error:
                first, last = self.layout.rows_of(shard)[0], self.layout.rows_of(shard)[-1]
                raise StoreError(
                    f"rows {first} to {last} of {self.path} are not written ({error}); run the same spm prepare "
                    "command again"
                ) from error
            if file is None and record.files.get(self._form.file_key(array)) is not None:
                raise StoreError(
                    f"{array.name}: the file of shard {shard} is lost; run the same spm prepare command again"
                )
        return file


def _weight(values: NDArray[Any]) -> int:
    return values.nbytes if values.dtype != object else 100 * values.size
