"""Find damage: every byte of a store against the checksums that were recorded when it was written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from spmdata.errors import StoreError
from spmdata.store.arrays import ArraySpec
from spmdata.store.chunks import checked
from spmdata.store.durable import TEMPORARY, unseal
from spmdata.store.ledger import FileRecord, Ledger, ShardRecord
from spmdata.store.manifest import MANIFEST, manifest_files, sha256
from spmdata.store.schema import StoreSpec
from spmdata.store.shards import ShardFile, shard_path
from spmdata.store.zarr_io import read_attributes


@dataclass(frozen=True)
class Damage:
    """One thing that is wrong.

    Parameters
    ----------
    array : str or None
        Array; None for metadata, ledger and manifest.
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
    path = Path(path)
    if not (path / ".spm").is_dir():
        read_attributes(path)
        raise StoreError(f"{path} is no spm store: it has no .spm folder")
    try:
        attributes = read_attributes(path)
        layout = StoreSpec.from_attributes(attributes, str(path))
    except StoreError as error:
        if not (path / MANIFEST).is_file() or not (damage := list(_check_manifest(path, None))):
            raise
        return [*damage, Damage(None, None, None, str(error))]
    complete = attributes["spm"].get("complete") is True
    found = list(_check_manifest(path, layout)) if complete else []
    expected = {MANIFEST, *manifest_files(layout)}
    for shard in range(layout.n_shards):
        found += _check_shard(path, layout, shard, complete)
        expected |= {shard_path(Path(), array, shard).as_posix() for array in layout.arrays()}
        if progress:
            progress(shard + 1, layout.n_shards)
    return found + list(_unexpected(path, expected, complete))


def _check_manifest(path: Path, layout: StoreSpec | None) -> Iterator[Damage]:
    """Compare every file that the manifest lists, and the list with the layout, when that can be read."""
    try:
        content = unseal(path / MANIFEST)
    except StoreError as error:
        yield Damage(None, None, None, str(error))
        return
    files = content["files"]
    if layout and (sorted(files) != manifest_files(layout) or content["fingerprint"] != layout.fingerprint()):
        yield Damage(None, None, None, f"{MANIFEST} is of another store")
    for name, digest in files.items():
        if not (path / name).is_file():
            yield Damage(None, None, None, f"{name} is missing")
        elif sha256(path / name) != digest:
            yield Damage(None, None, None, f"{name} is not as it was written: its sha256 differs")


def _check_shard(path: Path, layout: StoreSpec, shard: int, complete: bool) -> Iterator[Damage]:
    ledger = Ledger(path)
    if not complete and not ledger.file(shard).exists():
        return
    try:
        record = ledger.read(shard)
    except StoreError as error:
        yield Damage(None, shard, None, str(error))
        return
    rows = layout.rows_of(shard)
    names = {array.name for array in layout.arrays()}
    if (record.start, record.stop) != (rows.start, rows.stop) or set(record.files) != names:
        yield Damage(None, shard, None, f"the ledger's record of shard {shard} does not fit the store")
        return
    if record.fingerprint != layout.fingerprint():
        yield Damage(None, shard, None, f"the ledger's record of shard {shard} has another fingerprint")
    for array in layout.arrays():
        yield from _check_file(path, layout, array, record)


def _check_file(path: Path, layout: StoreSpec, array: ArraySpec, record: ShardRecord) -> Iterator[Damage]:
    """Compare one shard file with the ledger; name the rows whose chunks are damaged."""
    file, wanted = shard_path(path, array, record.shard), record.files[array.name]
    if wanted is None or not file.is_file():
        if file.exists() or wanted is not None:
            state = "is missing" if wanted else "should not be there: all its rows are fill value"
            yield Damage(array.name, record.shard, None, f"{file.relative_to(path)} {state}")
        return
    intact = FileRecord(file.stat().st_size, sha256(file)) == wanted
    damage = list(_check_chunks(file, layout, array, record.shard))
    if not intact and not damage:
        text = f"{file.relative_to(path)} is not as it was written: its size or sha256 differs"
        damage = [Damage(array.name, record.shard, None, text)]
    yield from damage


def _check_chunks(file: Path, layout: StoreSpec, array: ArraySpec, shard: int) -> Iterator[Damage]:
    try:
        chunks = ShardFile(file, array, shard, layout.shard_rows)
    except StoreError as error:
        yield Damage(array.name, shard, None, str(error))
        return
    for number in range(len(chunks)):
        try:
            chunks.decoded(number, lambda chunk: chunk is None or checked(chunk))
        except StoreError as error:
            row = shard * layout.shard_rows + number if array.chunk_rows == 1 else None
            yield Damage(array.name, shard, row, str(error))


def _unexpected(path: Path, expected: set[str], complete: bool) -> Iterator[Damage]:
    """Name files that belong to no store; temp files of an unfinished one are its next run's to remove."""
    for parent, _, names in os.walk(path):
        for name in sorted(names):
            file = Path(parent, name).relative_to(path).as_posix()
            if file not in expected and (complete or not name.startswith(TEMPORARY)):
                yield Damage(None, None, None, f"{file} is not part of the store")
