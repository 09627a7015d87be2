"""The plan of a store: a printable value that says what will be written, and what it will cost.

Only annotations are read. Bytes and seconds come from encoding and compressing a few rows of the very set.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from os import PathLike

import numpy as np

from spmdata.codec import Codec
from spmdata.errors import SpecError
from spmdata.geometry import letterbox
from spmdata.prepare.task import BATCH_ROWS
from spmdata.sources.base import Source
from spmdata.spec import TargetSpec
from spmdata.store.cost import packed_bytes
from spmdata.store.remote import AnyPath, RemotePath, locate
from spmdata.store.schema import StoreSpec

#: Rows encoded to learn what a row costs.
TRIAL_ROWS = 16
#: Bytes of a re-encoded JPEG per pixel at quality 90, and seconds to decode, shrink and encode one such pixel.
JPEG_BYTES_PX, JPEG_SECONDS_PX = 0.30, 2.2e-8
#: What a Python process of ours holds before the first row, and one worker beside the rows of its shard.
BASE_BYTES, WORKER_BYTES = 290e6, 20e6


@dataclass(frozen=True)
class Estimate:
    """What a plan will cost.

    Parameters
    ----------
    bytes : int
        Of the finished store.
    core_seconds : float
        Of one core, all shards.
    shard_bytes : int
        Held by each worker: the compressed rows of one shard; three times that for HDF5, whose file is made in memory.
    """

    bytes: int
    core_seconds: float
    shard_bytes: int

    def memory_bytes(self, workers: int) -> int:
        """Return the peak memory of a run with so many workers in one process."""
        return int(BASE_BYTES + workers * (WORKER_BYTES + self.shard_bytes))


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
        rows=len(source),
        people=int(source.n_people.sum()),
        max_people=max(1, int(source.n_people.max(initial=0))),
        shard_rows=min(shard_rows, max(1, len(source))),
        images=images,
        maps=maps,
        image_quality=image_quality,
    )
    return Plan(path, layout, source, _estimate(source, layout, copies=3 if path.suffix == ".h5" else 1))


def _estimate(source: Source, layout: StoreSpec, copies: int) -> Estimate:
    """Encode and compress a few rows spread over the set, and count what one costs."""
    trial = np.unique(np.linspace(0, len(source) - 1, TRIAL_ROWS).astype(int)).tolist()
    start = time.perf_counter()
    samples = [source[i] for i in trial]
    spec = layout.spec
    row_bytes, row_seconds = 60.0 + 190.0 * layout.people / layout.rows, 1e-4
    row_seconds += (time.perf_counter() - start) / len(samples)
    if layout.maps:
        codec = Codec(spec)
        codec.warm_up(decode=False)
        start, packed = time.perf_counter(), 0
        for at in range(0, len(samples), BATCH_ROWS):
            batch = samples[at : at + BATCH_ROWS]
            moved = [s.people.transform(letterbox(s.size_hw, spec.input_hw).affine) for s in batch]
            packed += packed_bytes(spec, codec.encode_batch(moved)._asdict())
        row_bytes += packed / len(samples)
        row_seconds += (time.perf_counter() - start) / len(samples)
    if layout.images:
        boxes = [letterbox(s.size_hw, spec.input_hw) for s in samples]
        pixels = float(np.mean([b.resized_hw[0] * b.resized_hw[1] for b in boxes]))
        row_bytes += pixels * JPEG_BYTES_PX
        row_seconds += float(np.mean([s.size_hw[0] * s.size_hw[1] for s in samples])) * JPEG_SECONDS_PX
    return Estimate(
        bytes=int(row_bytes * layout.rows),
        core_seconds=row_seconds * layout.rows,
        shard_bytes=int(copies * row_bytes * layout.shard_rows),
    )
