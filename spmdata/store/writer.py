"""Write a store: create or resume it, write its shards one by one in any order and process, finalise it.

The same for every form of store (`form.py`).

The order that a kill at any point cannot hurt: shard files, the shard's ledger record; when all are there, the
manifest, and last ``complete: true``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spmdata.errors import StoreError
from spmdata.store.arrays import ArraySpec, cast_to
from spmdata.store.aside import remedy, set_aside
from spmdata.store.durable import remove_file, sweep, write_file
from spmdata.store.form import Form, form_of
from spmdata.store.ledger import FileRecord, Ledger, ShardRecord, SkippedRow, Totals, record_of
from spmdata.store.manifest import is_of, write_manifest
from spmdata.store.remote import AT_ONCE, RemotePath, StoreName, StorePath
from spmdata.store.schema import StoreSpec

#: Files of a shard under way at once on a disk: a busy one syncs all that wait together. More only cost threads.
SYNCS_AT_ONCE = 4


def open_or_create(path: StoreName, layout: StoreSpec, *, force: bool = False) -> dict[int, ShardRecord]:
    """Make the store ready for its missing shards; call it while holding the `StoreLock`.

    Parameters
    ----------
    path : path-like
        The store, or text with its URL; created when it is not there.
    layout : StoreSpec
        What is to be written.
    force : bool
        Rename a store of other settings, or a damaged one, aside as ``OUT.zarr.old``, ``OUT.zarr.old2``, ...
        A store of the same fingerprint is resumed all the same, also by its manifest when its attributes are damaged.
        Nothing can be renamed at a URL.

    Returns
    -------
    dict of int to ShardRecord
        The shards that are done; all of them for a finished store.

    Raises
    ------
    StoreError
        A store of another fingerprint or format version; something at ``path`` that is no store (``force`` or
        not); ``force`` at a URL.
    RemoteError
        A URL that cannot be reached or written.
    """
    form = form_of(path)
    if form.vacant():
        _sweep(form)
        form.create(layout)
        return {}
    try:
        attributes = form.attributes()
        _demand_same(StoreSpec.from_attributes(attributes, str(form.path)), layout, form.path)
    except StoreError as error:
        if not form.ours():
            raise StoreError(f"{form.path} is there and is no spm store: choose another output") from error
        if is_of(form, layout):  # only its attributes are damaged
            attributes = layout.attributes(complete=True)
        elif force:
            set_aside(form)
            form.create(layout)
            return {}
        else:
            raise StoreError(f"{error}; {remedy(form)}") from error
    _sweep(form)
    form.restore()
    done = Ledger(form.path).done(layout)
    if attributes["spm"].get("complete") and len(done) < layout.n_shards:
        form.update(form.root, form.metadata(layout, layout.attributes())[form.root])
    return done


def finalise(path: StoreName, layout: StoreSpec) -> Totals:
    """Finish a store: check the ledger against the plan, remove leftovers, write manifest and ``complete: true``.

    Idempotent: again on a finished store it changes nothing, and on a killed or damaged one it mends the metadata.

    Parameters
    ----------
    path : path-like
        The store.
    layout : StoreSpec
        The plan.

    Returns
    -------
    Totals
        Rows, bytes, counts and skipped rows of the whole store.

    Raises
    ------
    StoreError
        Shards are missing; the message says how many and what to run.
    """
    form = form_of(path)
    done = Ledger(path).done(layout)
    if missing := [shard for shard in range(layout.n_shards) if shard not in done]:
        raise StoreError(
            f"{len(missing)} of {layout.n_shards} shards of {path} are not written (the first is {missing[0]}); "
            "run the same spm prepare command again to write them"
        )
    totals = Totals.of(done.values())
    skipped = {status.name.lower(): number for status, number in totals.skipped.items()}
    files = form.metadata(layout, layout.attributes(complete=True, counts=totals.counts, skipped=skipped))
    _sweep(form)
    root = files.pop(form.root)
    for name, text in files.items():
        form.update(name, text)
    write_manifest(form, layout, {form.root: root, **files})
    form.update(form.root, root)
    return totals


class ShardWriter:
    """Collects one shard of every array, compressed, and writes it.

    Rows that are not put are fill value (zeros, False, empty). Tables must all be put.

    Parameters
    ----------
    path : path-like
        A store that `open_or_create` made.
    layout : StoreSpec
        What is written.
    shard : int
        Which one.
    """

    def __init__(self, path: StoreName, layout: StoreSpec, shard: int) -> None:
        self._form, self._layout, self._shard = form_of(path), layout, shard
        self._rows = layout.rows_of(shard)
        self._arrays = {array.name: array for array in layout.arrays()}
        self._chunks: dict[str, dict[int, bytes | None]] = {name: {} for name in self._arrays}

    def put_row(self, name: str, index: int, value: NDArray[Any] | bytes) -> None:
        """Compress one row of an array with a chunk a row; threads may put different rows at once.

        Parameters
        ----------
        name : str
            Such as ``offsets`` or ``image``.
        index : int
            Position in the shard: row minus the shard's first row.
        value : array or bytes
            The row, of the array's shape and exactly its dtype; any memory order.

        Raises
        ------
        StoreError
            Another shape or dtype, an index out of the shard, a row put twice.
        """
        array = self._array(name)
        if not array.varying:
            return self.put_rows(name, [index], np.asarray(value)[None])
        self._demand_rows(array, [index])
        wanted = bytes if array.dtype == "bytes" else str
        if not isinstance(value, wanted):
            raise StoreError(f"{name} row {self._rows[index]} must be {wanted.__name__}, got {type(value).__name__}")
        return self._keep(array, [index], [self._form.encode(array, [value])])

    def put_rows(self, name: str, indices: Sequence[int], values: NDArray[Any]) -> None:
        """Compress some rows of an array of numbers with a chunk a row, (n, ...): `put_row` of each, checked once."""
        array = self._array(name)
        self._demand_rows(array, indices)
        if (shape := values.shape[1:]) != array.row_shape or values.dtype != array.numpy:
            row, wanted = self._rows[indices[0]], f"{array.row_shape} {array.numpy}"
            raise StoreError(f"{name} row {row} must be {wanted}, got {shape} {values.dtype}")
        self._keep(array, indices, [self._form.encode(array, value) for value in np.ascontiguousarray(values)])

    def put_table(self, name: str, values: ArrayLike) -> None:
        """Compress all rows of the shard of an array with a chunk a shard.

        Parameters
        ----------
        name : str
            Such as ``people/joints`` or ``row/path``.
        values : array_like
            First axis: the rows of the shard. Numbers that the array's dtype cannot hold are refused; floats
            are rounded to its precision. Text for ``str`` arrays.

        Raises
        ------
        StoreError
            Another shape or kind, or a table put twice.
        """
        array, n = self._array(name), len(self._rows)
        if array.varying:
            items: list[Any] = list(cast("Iterable[Any]", values))
            if len(items) != n or not all(isinstance(item, str if array.dtype == "str" else bytes) for item in items):
                raise StoreError(f"{name} must be {n} {array.dtype} values, got {len(items)}: {items[:1]}")
            items += ["" if array.dtype == "str" else b""] * (self._layout.shard_rows - n)
            chunks: list[Any] = [items[i : i + array.chunk_rows] for i in range(0, len(items), array.chunk_rows)]
        else:
            padded = np.zeros((self._layout.shard_rows, *array.row_shape), array.numpy)
            padded[:n] = cast_to(array, np.asarray(values), n)
            chunks = list(padded.reshape(-1, array.chunk_rows, *array.row_shape))
        self._keep(array, range(len(chunks)), [self._form.encode(array, chunk) for chunk in chunks])

    def packed_bytes(self, name: str) -> int:
        """Return how many bytes the chunks of an array take that were put."""
        return sum(len(chunk or b"") for chunk in self._chunks[name].values())

    def files(self) -> dict[str, tuple[Sequence[bytes], FileRecord | None]]:
        """Return every file of the shard as `commit` writes it, by the ledger's name for it: its pieces and record.

        Raises
        ------
        StoreError
            A table was not put.
        """
        if missing := [table.name for table in self._layout.tables() if not self._chunks[table.name]]:
            raise StoreError(f"shard {self._shard}: tables not put: {', '.join(missing)}")
        rows, kept = self._layout.shard_rows, self._chunks
        chunks = {name: list(map(kept[name].get, range(rows // a.chunk_rows))) for name, a in self._arrays.items()}
        found = self._form.shard_pieces(self._layout, chunks)
        return {name: (pieces, record_of(pieces) if pieces else None) for name, pieces in found.items()}

    def commit(self, counts: Mapping[str, int], skipped: Iterable[SkippedRow] = ()) -> ShardRecord:
        """Write every shard file, then the ledger's record, and return that.

        Parameters
        ----------
        counts : mapping of str to int
            What to add up over the store.
        skipped : iterable of SkippedRow
            Rows left empty, with their reasons.

        Raises
        ------
        StoreError
            A table was not put, or the disk refuses.
        """
        files, paths = self.files(), self._form.shard_files(self._layout, self._shard)

        def write(some: int) -> None:
            for name in list(files)[some::most]:
                if pieces := files[name][0]:
                    write_file(paths[name], pieces)
                else:
                    remove_file(paths[name])

        most = min(AT_ONCE if isinstance(self._form.path, RemotePath) else SYNCS_AT_ONCE, len(files))
        with ThreadPoolExecutor(most) as pool:  # which starts no thread for what this one writes itself
            others = pool.map(write, range(1, most))
            write(0)
            list(others)
        record = ShardRecord(
            shard=self._shard,
            start=self._rows.start,
            stop=self._rows.stop,
            fingerprint=self._layout.fingerprint(),
            counts={name: int(number) for name, number in counts.items()},
            skipped=tuple(sorted(skipped, key=lambda row: row.row)),
            files={name: record for name, (_, record) in files.items()},
        )
        Ledger(self._form.path).write(record)
        return record

    def _array(self, name: str) -> ArraySpec:
        return self._arrays.get(name) or self._layout.array(name)

    def _demand_rows(self, array: ArraySpec, indices: Sequence[int]) -> None:
        low, high, last = min(indices), max(indices), len(self._rows) - 1
        if array.chunk_rows != 1 or not 0 <= low <= high <= last:
            got = low if low < 0 else high
            raise StoreError(f"{array.name} takes {array.chunk_rows} rows at once, index in [0, {last}]: got {got}")

    def _keep(self, array: ArraySpec, indices: Sequence[int], chunks: Sequence[bytes | None]) -> None:
        mine = self._chunks[array.name]
        for index, chunk in zip(indices, chunks, strict=True):
            if index in mine:
                raise StoreError(f"{array.name}, row {index} of shard {self._shard} was put twice")
            mine[index] = chunk


def _demand_same(there: StoreSpec, here: StoreSpec, path: StorePath) -> None:
    if there.fingerprint() != here.fingerprint():
        differences = there.differences(here)
        raise StoreError(
            f"{path} was made by other settings: {', '.join(differences[:4])}{', ...' if differences[4:] else ''} "
            f"(fingerprint {there.fingerprint()[:16]} there, {here.fingerprint()[:16]} here)"
        )


def _sweep(form: Form) -> None:
    for part in form.parts:
        sweep(part)
