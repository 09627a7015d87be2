"""The plan of a store: a printable value that says what will be written, and what it will cost.

Only annotations are read, and a few images. Bytes and seconds come from making rows of the very set, in memory.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np

from spmdata.codec import Codec
from spmdata.errors import SpecError
from spmdata.people import Sample
from spmdata.prepare.task import IMAGE_THREADS, ShardTask, put_shard
from spmdata.sources.base import Source
from spmdata.spec import TargetSpec
from spmdata.store.remote import AnyPath, RemotePath, locate
from spmdata.store.schema import StoreSpec
from spmdata.store.writer import ShardWriter
from spmdata.views import ViewRanges

#: Images read, and rows of maps encoded, to learn what one costs.
TRIAL_IMAGES, TRIAL_MAPS = 16, 64


@dataclass(frozen=True)
class FormCosts:
    """What a form of store takes beside the chunks, measured by ``benchmarks/plans.py``.

    Parameters
    ----------
    chunk_bytes, shard_bytes : int
        On disk, for each chunk of a row and for each shard: indices, ledger, and HDF5's own structure.
    shard_seconds, file_core_seconds : float
        The least time of a shard, whose files are synced; and what the system takes of a core for its files.
    copies : float
        A shard's bytes in memory: while one is written the next is made, and a file of HDF5 is made in memory.
    run_bytes : int
        Memory of what a run needs before its first row.
    """

    chunk_bytes: int
    shard_bytes: int
    shard_seconds: float
    file_core_seconds: float
    copies: float
    run_bytes: int


COSTS = {
    ".zarr": FormCosts(16, 5_000, shard_seconds=0.02, file_core_seconds=0.01, copies=2, run_bytes=24_000_000),
    ".h5": FormCosts(30, 15_000, shard_seconds=0.02, file_core_seconds=0.002, copies=4.5, run_bytes=30_000_000),
}
#: How much longer a shard takes beside others: workers share Python's lock and the memory's bandwidth.
SHARING = 1.2
#: Memory of a worker beside its shards: maps that are being drawn, images that are being read.
MAPS_BYTES, IMAGES_BYTES = 20e6, 10e6
#: What a worker process holds before its first shard, and what kernels and Pillow add to that; its start, on a core.
PROCESS_BYTES, KERNELS_BYTES, PILLOW_BYTES, PROCESS_SECONDS = 125e6, 55e6, 15e6, 1.5


@dataclass(frozen=True)
class Estimate:
    """What a plan will cost.

    Parameters
    ----------
    bytes : int
        Of the finished store.
    core_seconds : float
        Of one core, all shards.
    image_core_seconds : float
        What the images take of those: each worker has `IMAGE_THREADS` threads for them.
    shards : int
        How many there are.
    largest : float
        The part of all rows that one of them has; the last may have fewer.
    peak_bytes, base_bytes : int
        Memory of this process at its peak so far, and when a run begins.
    worker_bytes : int
        Memory of each worker.
    process_bytes : int
        What a worker that is a process holds beside that.
    shard_seconds : float
        Least time of a shard.
    """

    bytes: int
    core_seconds: float
    image_core_seconds: float
    shards: int
    largest: float
    peak_bytes: int
    base_bytes: int
    worker_bytes: int
    process_bytes: int
    shard_seconds: float

    def memory_bytes(self, workers: int, *, processes: bool = False) -> int:
        """Return the peak memory of a run with so many workers, threads of this process or processes beside it.

        Of processes it is the sum, as if they shared nothing.
        """
        at_once = min(workers, self.shards)
        if processes:
            return max(self.peak_bytes, self.base_bytes) + at_once * (self.process_bytes + self.worker_bytes)
        return max(self.peak_bytes, self.base_bytes + at_once * self.worker_bytes)

    def seconds(self, workers: int, cores: int, *, processes: bool = False) -> float:
        """Return how long a run takes from the beginning of its first shard on, or of the first worker process."""
        at_once = min(workers, self.shards)
        whole = 1 / self.largest  # shards, the last of which may be small
        rounds = max(whole / at_once, -(-int(whole) // at_once))
        image_threads = min(IMAGE_THREADS, max(1, cores // at_once))
        made = (self.core_seconds - self.image_core_seconds * (1 - 1 / image_threads)) * self.largest
        slower = max(1.0, at_once / cores) * (SHARING if at_once > 1 else 1.0)
        return rounds * max(made * slower, self.shard_seconds) + processes * slower * PROCESS_SECONDS


@dataclass(frozen=True)
class Plan:
    """A store to be written: where, what, from which samples.

    Parameters
    ----------
    path : pathlib.Path or RemotePath
        The store.
    layout : StoreSpec
        Every array of it.
    source : Source
        Its rows.
    estimate : Estimate
        What it costs.
    """

    path: AnyPath
    layout: StoreSpec
    source: Source
    estimate: Estimate


def plan_store(
    source: Source,
    spec: TargetSpec,
    path: str | PathLike[str] | RemotePath,
    *,
    images: bool = True,
    maps: bool = True,
    shard_rows: int = 256,
    image_quality: int = 90,
    views: int = 1,
    view_ranges: ViewRanges | None = None,
) -> Plan:
    """Plan a store; nothing is written.

    Parameters
    ----------
    source : Source
        Parsed annotations.
    spec : TargetSpec
        Conventions of the targets; its skeleton must be the source's.
    path : path-like
        Where the store goes, or text with a URL of fsspec; its ending says in which form, ``.zarr`` or ``.h5``.
    images, maps : bool
        Keep the images, the target maps.
    shard_rows : int
        Rows of a shard: what one task does and a kill loses at most.
    image_quality : int
        JPEG quality of images that are re-encoded.
    views : int
        Views of each image, the first of them unaugmented.
    view_ranges : ViewRanges, optional
        How far the others may be from it.

    Returns
    -------
    Plan

    Raises
    ------
    SpecError
        Another skeleton or number of axes than the source's, a path that ends in something else, no rows, images
        without a folder.
    """
    path = locate(path)
    if path.suffix not in (".zarr", ".h5"):
        raise SpecError(
            f"a store's name ends in .zarr or .h5, got {path.name!r}; try {path.with_suffix('.zarr').name!r}"
        )
    if spec.skeleton != source.skeleton:
        raise SpecError(f"the spec is for {spec.skeleton.name}, the source has {source.skeleton.name}")
    if len(source) and (axes := source[0].people.joints.shape[-1]) != spec.dims:
        raise SpecError(f"dims must be {axes} for {source.info.name}, whose joints have {axes} axes, got {spec.dims}")
    if images and source.image_reader is None:
        raise SpecError("images are wanted, but the source cannot read any; name their folder, or leave images out")
    layout = StoreSpec(
        spec=spec,
        source=source.info,
        rows=len(source) * views,
        people=int(source.n_people.sum()) * views,
        max_people=max(1, int(source.n_people.max(initial=0))),
        shard_rows=min(shard_rows, max(1, len(source) * views)),
        images=images,
        maps=maps,
        views=views,
        view_ranges=view_ranges or ViewRanges(),
        image_quality=image_quality,
    )
    return Plan(path, layout, source, _estimate(source, layout, path))


def _estimate(source: Source, layout: StoreSpec, path: AnyPath) -> Estimate:
    """Make a few rows spread over the set and count what one costs."""
    if layout.maps:
        tried = min(1.0, TRIAL_MAPS / max(1, layout.rows))  # and once more when they are written
        Codec(layout.spec).warm_up(decode=False, people=(1 + tried) * layout.people)
    bare, views = replace(layout, images=False, maps=False), layout.views
    start = time.process_time()
    samples = _spread(source, max(1, layout.shard_rows // views))
    sample_seconds = (time.process_time() - start) / len(samples) / views  # most of it where they are drawn
    _trial(source, bare, path, views, samples[:1])  # what a form needs is imported on first use
    row_bytes, row_seconds = _trial(source, bare, path, views, samples)
    image_seconds = 0.0
    if layout.maps:
        some = _spread(source, max(1, TRIAL_MAPS // views))
        packed, row_seconds = _trial(source, replace(bare, maps=True), path, views, some)
        row_bytes += packed
    if layout.images:
        # The image as it is, and what each view of it costs on top: not all of them are made here.
        seen, some = replace(bare, images=True), _spread(source, TRIAL_IMAGES)
        _trial(source, seen, path, 1, some[:1])  # as above
        first = np.array(_trial(source, seen, path, 1, some))
        two = np.array(_trial(source, seen, path, 2, some)) if views > 1 else first
        packed, image_seconds = ((first + (views - 1) * (2 * two - first)) / views).tolist()
        row_bytes += packed
    costs, (peak, now) = COSTS[path.suffix], process_memory()
    row_bytes += costs.shard_bytes / layout.shard_rows
    shard_bytes = row_bytes * min(layout.rows, layout.shard_rows)
    return Estimate(
        bytes=int(row_bytes * layout.rows),
        core_seconds=(sample_seconds + row_seconds + image_seconds) * layout.rows
        + costs.file_core_seconds * layout.n_shards,
        image_core_seconds=image_seconds * layout.rows,
        shards=layout.n_shards,
        largest=min(layout.rows, layout.shard_rows) / layout.rows,
        peak_bytes=peak,
        base_bytes=now + costs.run_bytes,
        worker_bytes=int(costs.copies * shard_bytes + MAPS_BYTES * layout.maps + IMAGES_BYTES * layout.images),
        process_bytes=int(PROCESS_BYTES + KERNELS_BYTES * layout.maps + PILLOW_BYTES * layout.images),
        shard_seconds=costs.shard_seconds,
    )


def process_memory(process: int | str = "self") -> tuple[int, int]:
    """Return what a process holds in memory, in bytes: at its peak so far, and now; zeros for one that has ended.

    Linux hands ``ru_maxrss`` on from a parent process, so there /proc is asked; elsewhere both are ``ru_maxrss``.
    """
    with suppress(OSError, KeyError):  # what is ending has no memory any more
        status = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
        return int(status["VmHWM"].split()[0]) * 1024, int(status["VmRSS"].split()[0]) * 1024
    if process != "self":
        return 0, 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return peak, peak


def _spread(source: Source, n: int) -> list[Sample]:
    """Return n samples, evenly spread over the set."""
    return [source[i] for i in np.unique(np.linspace(0, len(source) - 1, n).astype(int)).tolist()]


def _trial(
    source: Source, layout: StoreSpec, path: AnyPath, views: int, samples: Sequence[Sample]
) -> tuple[float, float]:
    """Make a shard of these images and its files in memory; return bytes and core seconds a row.

    The bytes are those of images and maps, of tables where there are neither.
    """
    rows = len(samples) * views
    people = sum(len(sample.people) for sample in samples) * views
    small = replace(layout, rows=rows, shard_rows=rows, people=people, views=views)
    writer = ShardWriter(path, small, 0)
    start = time.process_time()
    put_shard(writer, ShardTask(str(path), small, 0, samples, source.image_reader))
    writer.files()
    seconds = time.process_time() - start
    rowwise = layout.images or layout.maps
    names = [array.name for array in layout.arrays() if (array.chunk_rows == 1) == rowwise]
    return sum(
        writer.packed_bytes(n) + COSTS[path.suffix].chunk_bytes * rows * rowwise for n in names
    ) / rows, seconds / rows
