"""The ledger: one record a shard, written last, says what is done; a file's existence says nothing.

zarr never writes a shard that is all fill value, so a missing file may be right: only the record knows.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spmdata.errors import StoreError
from spmdata.store.durable import seal, sizes_below, unseal, write_file
from spmdata.store.form import form_of
from spmdata.store.remote import AnyPath, StoreName, StorePath, each
from spmdata.store.schema import RowStatus, StoreSpec


@dataclass(frozen=True)
class FileRecord:
    """Size and sha256 (hex) of one file of a shard."""

    bytes: int
    sha256: str


def record_of(pieces: Sequence[bytes]) -> FileRecord:
    """Return the record of a file that holds these pieces one after another."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return FileRecord(sum(map(len, pieces)), digest.hexdigest())


@dataclass(frozen=True)
class SkippedRow:
    """A row that was written empty, and why; ``reason`` names no absolute path, time or host."""

    row: int
    status: RowStatus
    reason: str


@dataclass(frozen=True)
class ShardRecord:
    """What the ledger keeps of one finished shard.

    Parameters
    ----------
    shard : int
        Its number.
    start, stop : int
        Its rows.
    fingerprint : str
        Of the `StoreSpec` it was written for.
    counts : mapping of str to int
        Anything countable; `Totals.of` adds them up by name.
    skipped : tuple of SkippedRow
        In the order of rows.
    files : mapping of str to FileRecord or None
        By the form's name for it; None where all rows are fill value and there is no file.
    """

    shard: int
    start: int
    stop: int
    fingerprint: str
    counts: Mapping[str, int]
    skipped: tuple[SkippedRow, ...]
    files: Mapping[str, FileRecord | None]

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        files = {name: file and {**vars(file)} for name, file in self.files.items()}
        skipped = [{**vars(row)} for row in self.skipped]  # not by asdict, which takes a tenth of writing a shard
        return {**vars(self), "counts": dict(self.counts), "skipped": skipped, "files": files}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ShardRecord:
        """Build a record from `to_json`'s value; KeyError, TypeError or ValueError when it is none."""
        skipped = (SkippedRow(row["row"], RowStatus(row["status"]), row["reason"]) for row in data["skipped"])
        files = {name: None if file is None else FileRecord(**file) for name, file in data["files"].items()}
        return ShardRecord(**{**data, "skipped": tuple(skipped), "files": files})


@dataclass(frozen=True)
class Totals:
    """Sums over records.

    Parameters
    ----------
    rows : int
        Rows of the records, skipped ones included.
    bytes : int
        Bytes of their shard files.
    counts : mapping of str to int
        Sums by name.
    skipped : mapping of RowStatus to int
        Skipped rows by reason.
    """

    rows: int = 0
    bytes: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[RowStatus, int] = field(default_factory=dict)

    @staticmethod
    def of(records: Iterable[ShardRecord]) -> Totals:
        """Sum up."""
        rows, size, counts, skipped = 0, 0, Counter[str](), Counter[RowStatus]()
        for record in records:
            rows += record.stop - record.start
            size += sum(file.bytes for file in record.files.values() if file)
            counts.update(record.counts)
            skipped.update(row.status for row in record.skipped)
        return Totals(rows, size, dict(sorted(counts.items())), dict(sorted(skipped.items())))


class Ledger:
    """The records below ``.spm/ledger`` of one store.

    Parameters
    ----------
    path : path-like
        The store.
    """

    def __init__(self, path: StoreName) -> None:
        self._form = form_of(path)

    def file(self, shard: int) -> AnyPath:
        """Return where a record lies."""
        return self._form.home / ".spm" / "ledger" / f"{shard:05d}.json"

    def write(self, record: ShardRecord) -> None:
        """Write one record whole; StoreError when the disk refuses."""
        write_file(self.file(record.shard), [seal(record.to_json())])

    def read(self, shard: int) -> ShardRecord:
        """Return one record; StoreError when it is missing or any bit of it is damaged."""
        file = self.file(shard)
        try:
            record = ShardRecord.from_json(unseal(file))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(f"{file} is no ledger record: {error!r}") from error
        if record.shard != shard:
            raise StoreError(f"{file} is the record of shard {record.shard}")
        return record

    def done(self, layout: StoreSpec) -> dict[int, ShardRecord]:
        """Return the valid records by shard.

        A record that is unreadable, of another fingerprint, or whose files are missing or of another size
        counts as not done, so that the shard is redone.

        Parameters
        ----------
        layout : StoreSpec
            The plan.
        """
        fingerprint, size_of = layout.fingerprint(), sizes_below(self._form.home)

        def valid(shard: int) -> ShardRecord | None:
            try:
                record = self.read(shard) if size_of(self.file(shard)) else None
            except StoreError:
                return None
            fits = record and record.fingerprint == fingerprint and self._has_files(record, layout, size_of)
            return record if fits else None

        records = each(self._form.home, valid, range(layout.n_shards))
        return {record.shard: record for record in records if record}

    def _has_files(self, record: ShardRecord, layout: StoreSpec, size_of: Callable[[StorePath], int | None]) -> bool:
        """Whether every file of a record is there in its size, and no other; contents are check_store's matter."""
        for name, path in self._form.shard_files(layout, record.shard).items():
            size = size_of(path)
            wanted = record.files.get(name)
            if name not in record.files or size != (wanted.bytes if wanted else None):
                return False
        return True
