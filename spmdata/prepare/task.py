"""One task: the samples of one shard become that shard of every array, whatever process it runs in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from google_crc32c import value as crc32c

from spmdata.codec import Codec
from spmdata.errors import ImageError, ImageSizeError
from spmdata.geometry import letterbox
from spmdata.images import fit_image
from spmdata.padded import pad_people
from spmdata.people import People, Sample
from spmdata.sources.base import ImageReader, Source
from spmdata.store.ledger import ShardRecord, SkippedRow
from spmdata.store.schema import RowStatus, StoreSpec
from spmdata.store.writer import ShardWriter

#: Rows encoded by one kernel call: few, because their maps are dense in memory until they are compressed.
BATCH_ROWS = 4
#: Threads that read and fit the images of one task.
IMAGE_THREADS = 2


class Rows(Sequence[Sample]):
    """Some samples of a source, built when they are asked for; pickled, they travel as the samples alone.

    So a thread builds the samples of its own task, a worker process gets them and never parses annotations, and the
    memory of a run does not grow with the set. A source that travels goes along instead, and is asked there.
    """

    def __init__(self, source: Source, rows: range) -> None:
        self._source, self._rows = source, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        """Return one sample."""
        return self._source[self._rows[index]]

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        """Become a tuple of samples, or stay what it is."""
        return (Rows, (self._source, self._rows)) if self._source.travels else (tuple, (list(self),))


@dataclass(frozen=True)
class ShardTask:
    """Everything one task needs: a path or URL that all workers see and the samples of its own rows.

    Parameters
    ----------
    path : str
        The store.
    layout : StoreSpec
        What is written.
    shard : int
        Which shard.
    samples : sequence of Sample
        Of the shard's rows.
    images : ImageReader or None
        Needed when the layout has images.
    strict : bool
        Raise at the first row that cannot be read instead of writing it empty.
    """

    path: str
    layout: StoreSpec
    shard: int
    samples: Sequence[Sample]
    images: ImageReader | None
    strict: bool = False


@dataclass(frozen=True)
class _Row:
    """A sample on its way into the store: its image, or the reason it has none."""

    sample: Sample
    people: People
    image: bytes
    status: RowStatus
    reason: str


def write_task(task: ShardTask) -> ShardRecord:
    """Encode, compress and write one shard of every array, its ledger record last.

    Raises
    ------
    ImageError
        With ``strict``, for the first image that cannot be used.
    StoreError, OSError
        The disk refuses.
    """
    layout = task.layout
    rows = list(_fit_rows(task))
    writer = ShardWriter(task.path, layout, task.shard)
    if layout.images:
        for i, row in enumerate(rows):
            if row.status == RowStatus.OK:
                writer.put_row("image", i, row.image)
        crc = [crc32c(row.image) if row.status == RowStatus.OK else 0 for row in rows]
        writer.put_table("image_crc32c", np.array(crc, np.uint32))
    if layout.maps:
        _put_maps(writer, layout, rows)
    _put_tables(writer, layout, rows)
    start = layout.rows_of(task.shard).start
    skipped = [SkippedRow(start + i, r.status, r.reason) for i, r in enumerate(rows) if r.status != RowStatus.OK]
    return writer.commit(_counts(rows), skipped)


def _fit_rows(task: ShardTask) -> Iterator[_Row]:
    """Yield the rows of a task in order, images read ahead by a few threads."""

    def fit(sample: Sample) -> _Row:
        image, status, reason = b"", RowStatus.OK, ""
        if task.layout.images:
            try:
                image = _read_image(task, sample)
            except ImageError as error:
                status, reason = _status(error), f"{sample.path}: {error}"
                if task.strict:
                    raise ImageError(f"image {sample.id}, {reason}") from error
        box = letterbox(sample.size_hw, task.layout.spec.input_hw)
        people = sample.people.transform(box.affine) if status == RowStatus.OK else sample.people.select([])
        return _Row(sample, people, image, status, reason)

    if not task.layout.images:
        yield from map(fit, task.samples)
        return
    with ThreadPoolExecutor(IMAGE_THREADS) as pool:
        yield from pool.map(fit, task.samples)


def _read_image(task: ShardTask, sample: Sample) -> bytes:
    assert task.images is not None  # plan_store refuses a plan with images and nothing to read them
    return fit_image(task.images.read(sample), sample.size_hw, task.layout.spec.input_hw, task.layout.image_quality)


def _status(error: ImageError) -> RowStatus:
    if isinstance(error.__cause__, FileNotFoundError):
        return RowStatus.IMAGE_MISSING
    return RowStatus.IMAGE_SIZE if isinstance(error, ImageSizeError) else RowStatus.IMAGE_UNREADABLE


def _put_maps(writer: ShardWriter, layout: StoreSpec, rows: Sequence[_Row]) -> None:
    """Encode the rows that are there, a few at a time into kept buffers, and compress each."""
    codec = Codec(layout.spec)
    kept = codec.empty_targets(BATCH_ROWS)
    there = [i for i, row in enumerate(rows) if row.status == RowStatus.OK]
    for at in range(0, len(there), BATCH_ROWS):
        batch = there[at : at + BATCH_ROWS]
        targets = codec.encode_batch([rows[i].people for i in batch], kept.at(slice(len(batch))))
        for name, maps in targets._asdict().items():
            if maps is not None:
                for i, value in zip(batch, maps, strict=True):
                    writer.put_row(name, i, value)


def _put_tables(writer: ShardWriter, layout: StoreSpec, rows: Sequence[_Row]) -> None:
    """Put the recipe and the provenance of every row, the skipped ones with nobody in them."""
    spec = layout.spec
    people = pad_people([row.people for row in rows], layout.max_people, len(spec.skeleton), spec.dims)
    for name, table in people.tables().items():
        writer.put_table(name, table)
    samples = [row.sample for row in rows]
    affines = [letterbox(sample.size_hw, spec.input_hw).affine.matrix for sample in samples]
    columns: dict[str, Any] = {
        "affine": np.stack(affines),
        "camera": np.zeros((len(rows), 14)),
        "image_id": [sample.id for sample in samples],
        "meta": [sample.meta for sample in samples],
        "path": [sample.path for sample in samples],
        "size_hw": np.array([sample.size_hw for sample in samples], np.uint32),
        "source": np.array([sample.source for sample in samples], np.uint8),
        "status": np.array([row.status for row in rows], np.uint8),
        "view": np.zeros(len(rows), np.uint32),
    }
    for name, column in columns.items():
        writer.put_table(f"row/{name}", column)


def _counts(rows: Sequence[_Row]) -> dict[str, int]:
    """Count what the ledger adds up: rows with content, people, and what is labelled in them."""
    people = [row.people for row in rows]
    return {
        "rows_ok": sum(row.status == RowStatus.OK for row in rows),
        "people": sum(map(len, people)),
        "people_labelled": sum(int((~p.regions).sum()) for p in people),
        "joints_labelled": sum(int(p.labelled[~p.regions].sum()) for p in people),
    }
