"""Find damage: every byte of a store against the checksums that were recorded when it was written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from spmdata.errors import StoreError
from spmdata.store.arrays import ArraySpec
from spmdata.store.chunks import checked
from spmdata.store.durable import TEMPORARY, files_below, sizes_below, unseal
from spmdata.store.form import Form, form_of
from spmdata.store.ledger import FileRecord, Ledger
from spmdata.store.manifest import MANIFEST, is_of, manifest_files, read_layout, sha256
from spmdata.store.remote import StorePath, each
from spmdata.store.schema import StoreSpec
from spmdata.store.shards import REMEDY

SizeOf = Callable[[StorePath], int | None]


@dataclass(frozen=True)
class Damage:
    """One thing that is wrong.

    Parameters
    ----------
    array : str or None
        Array; None for metadata, ledger and manifest, and for a file of all arrays.
    shard : int or None
        Shard; None for metadata.
    row : int or None
        Row; None when it is the whole file, its index, or a chunk of many rows.
    text : str
        What is wrong, in a sentence.
    """

    array: str | None
    shard: int | None
    row: int | None
    text: str


def check_store(path: str | os.PathLike[str], *, progress: Callable[[int, int], None] | None = None) -> list[Damage]:
    """Check manifest, metadata, ledger, every shard file's sha256 and every chunk's crc32c.

    Parameters
    ----------
    path : path-like
        A finished or unfinished store; of an unfinished one, the shards in its ledger.
    progress : callable, optional
        Called with (shards done, shards in all).

    Returns
    -------
    list of Damage
        Empty when all is well.

    Raises
    ------
    StoreError
        Nothing there, no store of ours, or one of another format version.
    """
    form = form_of(path)
    try:
        attributes, layout = read_layout(form)
    except StoreError as error:
        if not (form.home / MANIFEST).is_file() or not (damage := list(_check_manifest(form, None))):
            raise
        return [*damage, Damage(None, None, None, str(error))]
    complete = attributes["spm"].get("complete") is True
    found = list(_check_manifest(form, layout) if complete else _check_unfinished(form, layout))
    expected = {form.home / MANIFEST, *map(form.file, manifest_files(form, layout))}
    size_of = sizes_below(form.home)
    for shard in range(layout.n_shards):
        found += _check_shard(form, layout, shard, complete, size_of)
        expected.update(form.shard_files(layout, shard).values())
        if progress:
            progress(shard + 1, layout.n_shards)
    return found + list(_unexpected(form, expected, complete))


def _check_manifest(form: Form, layout: StoreSpec | None) -> Iterator[Damage]:
    """Compare every file that the manifest lists, and the list with the layout, when that can be read."""
    try:
        content = unseal(form.home / MANIFEST)
    except StoreError as error:
        yield Damage(None, None, None, str(error))
        return
    files = content["files"]
    if layout and (sorted(files) != manifest_files(form, layout) or content["fingerprint"] != layout.fingerprint()):
        yield Damage(None, None, None, f"{MANIFEST} is of another store")

    def check(name: str) -> str:
        try:
            return "" if sha256(form.file(name)) == files[name] else "is not as it was written: its sha256 differs"
        except (FileNotFoundError, IsADirectoryError):
            return "is missing"

    for name, state in zip(files, each(form.home, check, files), strict=True):
        if state:
            yield Damage(None, None, None, f"{name} {state}")


def _check_unfinished(form: Form, layout: StoreSpec) -> Iterator[Damage]:
    """Tell a store that was finished, and whose attributes deny it, from one that was not."""
    if not is_of(form, layout):
        return
    unfinished = form.metadata(layout, layout.attributes())[form.root]
    if sha256(form.file(form.root)) != hashlib.sha256(unfinished).hexdigest():
        yield Damage(None, None, None, f"{form.root} is not as it was written: it says neither finished nor unfinished")


def _check_shard(form: Form, layout: StoreSpec, shard: int, complete: bool, size_of: SizeOf) -> Iterator[Damage]:
    ledger = Ledger(form.path)
    if not complete and size_of(ledger.file(shard)) is None:
        return
    try:
        record = ledger.read(shard)
    except StoreError as error:
        yield Damage(None, shard, None, str(error))
        return
    rows, files = layout.rows_of(shard), form.shard_files(layout, shard)
    if (record.start, record.stop) != (rows.start, rows.stop) or set(record.files) != set(files):
        yield Damage(None, shard, None, f"the ledger's record of shard {shard} does not fit the store")
        return
    if record.fingerprint != layout.fingerprint():
        yield Damage(None, shard, None, f"the ledger's record of shard {shard} has another fingerprint")
    arrays = {form.file_key(array): array if form.names_rows else None for array in layout.arrays()}

    def check(name: str) -> list[Damage]:
        size = size_of(files[name])
        return list(_check_file(form, layout, arrays[name], files[name], size, record.files[name], shard))

    for damage in each(form.home, check, files):
        yield from damage


def _check_file(
    form: Form,
    layout: StoreSpec,
    array: ArraySpec | None,
    file: StorePath,
    size: int | None,
    wanted: FileRecord | None,
    shard: int,
) -> Iterator[Damage]:
    """Compare one file of a shard with the ledger; name the rows whose chunks are damaged, where it is one array's."""
    name, said = array.name if array else None, file.relative_to(form.home)
    if wanted is None or size is None:
        if size is not None or wanted is not None:
            state = "is missing" if wanted else "should not be there: all its rows are fill value"
            yield Damage(name, shard, None, f"{said} {state}")
        return
    intact = FileRecord(size, sha256(file)) == wanted
    damage = list(_check_chunks(form, layout, array, shard)) if array else []
    if not intact and not damage:
        damage = [Damage(name, shard, None, f"{said} is not as it was written: its size or sha256 differs")]
    yield from damage


def _check_chunks(form: Form, layout: StoreSpec, array: ArraySpec, shard: int) -> Iterator[Damage]:
    try:
        chunks = form.open_shard(layout, array, shard)
    except StoreError as error:
        yield Damage(array.name, shard, None, str(error).removesuffix(REMEDY))
        return
    for number in range(len(chunks)):
        try:
            chunks.decoded(number, lambda chunk: chunk is None or checked(chunk))
        except StoreError as error:
            row = shard * layout.shard_rows + number if array.chunk_rows == 1 else None
            yield Damage(array.name, shard, row, str(error).removesuffix(REMEDY))


def _unexpected(form: Form, expected: set[StorePath], complete: bool) -> Iterator[Damage]:
    """Name files that belong to no store; temp files of an unfinished one are its next run's to remove."""
    for file in files_below(form.home):
        if file not in expected and (complete or not file.name.startswith(TEMPORARY)):
            yield Damage(None, None, None, f"{file.relative_to(form.home)} is not part of the store")
