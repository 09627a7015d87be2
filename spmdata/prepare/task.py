"""One task: the samples of one shard become that shard of every array, whatever process it runs in.

Row ``i * V + v`` is view v of sample i. All views of a sample that are in the shard are made from one decoded image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from google_crc32c import value as crc32c

from spmdata.camera import Camera
from spmdata.codec import Codec
from spmdata.errors import ImageError, ImageSizeError
from spmdata.geometry import Affine
from spmdata.images import fit_views
from spmdata.padded import PeopleBatch, move_people, pad_people, stacked
from spmdata.people import People, Sample
from spmdata.sources.base import ImageReader, Source
from spmdata.store.ledger import ShardRecord, SkippedRow
from spmdata.store.remote import StoreName, locate
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
        Those that the shard's rows show.
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


def shard_task(path: StoreName, layout: StoreSpec, source: Source, shard: int, strict: bool = False) -> ShardTask:
    """Return the task that writes one shard of the store at ``path`` from the source of its rows."""
    rows, views = layout.rows_of(shard), layout.views
    samples = Rows(source, range(rows.start // views, -(-rows.stop // views)))
    return ShardTask(
        str(locate(path).absolute()), layout, shard, samples, source.image_reader if layout.images else None, strict
    )


class _Row(NamedTuple):
    """A view of a sample on its way into the store: its image, or the reason it has none."""

    sample: Sample
    view: int
    affine: Affine  #: from px of the sample's image to px of the input: all that moves goes by it
    camera: Camera | None  #: of the input
    image: bytes
    status: RowStatus
    reason: str


def write_task(task: ShardTask, encoding: AbstractContextManager[Any] | None = None) -> ShardRecord:
    """Encode, compress and write one shard of every array, its ledger record last.

    Parameters
    ----------
    task : ShardTask
        Which shard of what.
    encoding : context manager, optional
        Entered for all but the writing, which takes no core but a fifth of the time of a shard without images.

    Raises
    ------
    ImageError
        With ``strict``, for the first image that cannot be used.
    StoreError, OSError
        The disk refuses.
    """
    writer = ShardWriter(task.path, task.layout, task.shard)
    with encoding or nullcontext():
        rows, people = put_shard(writer, task)
    start = task.layout.rows_of(task.shard).start
    skipped = [SkippedRow(start + i, r.status, r.reason) for i, r in enumerate(rows) if r.status != RowStatus.OK]
    return writer.commit(_counts(rows, people), skipped)


def put_shard(writer: ShardWriter, task: ShardTask) -> tuple[Sequence[_Row], PeopleBatch]:
    """Encode and compress one shard of every array; return its rows and their people, in input px."""
    layout, spec = task.layout, task.layout.spec
    rows = list(_fit_rows(task))
    nobody = People.empty(len(spec.skeleton), spec.dims)
    there = [row.sample.people if row.status == RowStatus.OK else nobody for row in rows]
    padded = pad_people(there, layout.max_people, len(spec.skeleton), spec.dims)
    people = move_people(padded, [row.affine for row in rows], spec.skeleton)
    if layout.images:
        for i, row in enumerate(rows):
            if row.status == RowStatus.OK:
                writer.put_row("image", i, row.image)
        crc = [crc32c(row.image) if row.status == RowStatus.OK else 0 for row in rows]
        writer.put_table("image_crc32c", np.array(crc, np.uint32))
    if layout.maps:
        _put_maps(writer, _codec(spec), people, rows)
    for name, table in (people.tables() | _provenance(rows)).items():
        writer.put_table(name, table)
    return rows, people


def _fit_rows(task: ShardTask) -> Iterator[_Row]:
    """Yield the rows of a task in order, images read ahead by a few threads."""
    rows, views = task.layout.rows_of(task.shard), task.layout.views
    first = rows.start // views
    shown = [
        (i, range(max(0, rows.start - i * views), min(views, rows.stop - i * views)))
        for i in range(first, first + len(task.samples))
    ]
    if not task.layout.images:
        for i, some in shown:
            yield from _fit(task, i, task.samples[i - first], some)
        return
    with ThreadPoolExecutor(IMAGE_THREADS) as pool:
        for fitted in pool.map(lambda one: _fit(task, one[0], task.samples[one[0] - first], one[1]), shown):
            yield from fitted


def _fit(task: ShardTask, number: int, sample: Sample, views: range) -> list[_Row]:
    """Return some views of a sample; ``number`` is its place in the source."""
    layout, spec, status, reason = task.layout, task.layout.spec, RowStatus.OK, ""
    affines = [layout.view_ranges.affine(number, view, sample.size_hw, spec.input_hw) for view in views]
    images = [b""] * len(affines)
    if layout.images:
        assert task.images is not None  # plan_store refuses a plan with images and nothing to read them
        try:
            data = task.images.read(sample)
            augmented = [affine if view else None for view, affine in zip(views, affines, strict=True)]
            images = fit_views(data, sample.size_hw, spec.input_hw, augmented, layout.image_quality)
        except ImageError as error:
            status, reason = _status(error), f"{sample.path}: {error}"
            if task.strict:
                raise ImageError(f"image {sample.id}, {reason}") from error
    cameras = [None if sample.camera is None else sample.camera.transform(affine) for affine in affines]
    seen = zip(views, affines, cameras, images, strict=True)
    return [_Row(sample, *one, status, reason) for one in seen]


def _status(error: ImageError) -> RowStatus:
    if isinstance(error.__cause__, FileNotFoundError):
        return RowStatus.IMAGE_MISSING
    return RowStatus.IMAGE_SIZE if isinstance(error, ImageSizeError) else RowStatus.IMAGE_UNREADABLE


#: Kept from shard to shard, with the scratch of each thread.
_codec = lru_cache(maxsize=1)(Codec)


def _put_maps(writer: ShardWriter, codec: Codec, people: PeopleBatch, rows: Sequence[_Row]) -> None:
    """Encode the rows that are there, a few at a time into the same buffers, and compress each.

    To undo what was drawn (`Codec.kept`) would save a twentieth of a row's time, and cost two seconds of compiling once
    and 10 MB: it is one more kernel.
    """
    ok = [i for i, row in enumerate(rows) if row.status == RowStatus.OK]
    there, buffers = people.select(ok), codec.empty_targets(BATCH_ROWS)
    seen = any(row.camera is not None for row in rows)
    for at in range(0, len(ok), BATCH_ROWS):
        some = ok[at : at + BATCH_ROWS]
        cameras = [rows[i].camera for i in some] if seen else None
        drawn = there.select(slice(at, at + BATCH_ROWS))
        targets = codec.encode_batch(drawn, buffers.at(slice(len(some))), cameras)
        for name, maps in zip(targets._fields, targets, strict=True):
            if maps is not None:
                writer.put_rows(name, some, maps)


def _provenance(rows: Sequence[_Row]) -> dict[str, Any]:
    """Return where every row comes from, by array."""
    samples, cameras = [row.sample for row in rows], np.zeros((len(rows), 14))
    for i, row in enumerate(rows):
        if row.camera is not None:
            cameras[i] = row.camera.intrinsics
    return {
        "row/affine": stacked([row.affine for row in rows]),
        "row/camera": cameras,
        "row/image_id": [sample.id for sample in samples],
        "row/meta": [sample.meta for sample in samples],
        "row/path": [sample.path for sample in samples],
        "row/size_hw": np.array([sample.size_hw for sample in samples], np.uint32),
        "row/source": np.array([sample.source for sample in samples], np.uint8),
        "row/status": np.array([row.status for row in rows], np.uint8),
        "row/view": np.array([row.view for row in rows], np.uint32),
    }


def _counts(rows: Sequence[_Row], people: PeopleBatch) -> dict[str, int]:
    """Count what the ledger adds up: rows with content, people, and what is labelled in them."""
    labelled = (people.visible > 0) & ~people.ignore[..., None]
    return {
        "rows_ok": sum(row.status == RowStatus.OK for row in rows),
        "people": int(people.number.sum()),
        "people_labelled": int(labelled.any(2).sum()),
        "joints_labelled": int(labelled.sum()),
    }
