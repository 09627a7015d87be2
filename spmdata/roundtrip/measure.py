"""The round trip of samples that are in no store: encoded, decoded and compared in memory, by threads.

Letters: N samples; B rows encoded by one kernel call.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from spmdata.codec import Codec
from spmdata.errors import SpecError
from spmdata.geometry import letterbox
from spmdata.people import Sample
from spmdata.roundtrip.compare import RowComparison, compare_decodings
from spmdata.spec import TargetSpec
from spmdata.store.cost import packed_bytes

#: B: few, because their maps are dense in memory; and the rows that a thread takes at once.
BATCH_ROWS, TASK_ROWS = 4, 32


def compare_samples(
    samples: Sequence[Sample],
    specs: Sequence[TargetSpec],
    *,
    threads: int | None = None,
    on_rows: Callable[[int, int], None] | None = None,
) -> list[list[RowComparison]]:
    """Encode every sample once, decode it by each spec, and compare: the numbers that a verified store would give.

    Parameters
    ----------
    samples : sequence of Sample, N
        In px of their own images; letterboxed here.
    specs : sequence of TargetSpec
        At least one; they differ in decode fields alone.
    threads : int, optional
        Every core by default.
    on_rows : callable, optional
        Called with (rows done, N).

    Returns
    -------
    list of list of RowComparison
        N for every spec, in order.

    Raises
    ------
    SpecError
        Specs that would encode differently, or people of another skeleton.
    """
    if len({spec.fingerprint() for spec in specs}) != 1:
        raise SpecError("what is encoded once and decoded often must differ in decode fields alone")
    codecs = [Codec(spec) for spec in specs]
    codecs[0].warm_up()  # compiled once here; many cold threads would race for the cache
    found: list[list[RowComparison]] = [[] for _ in specs]
    tasks = [samples[at : at + TASK_ROWS] for at in range(0, len(samples), TASK_ROWS)]
    with ThreadPoolExecutor(threads or len(os.sched_getaffinity(0))) as pool:
        for done in pool.map(lambda task: _compare(task, codecs), tasks):
            for all_rows, rows in zip(found, done, strict=True):
                all_rows.extend(rows)
            if on_rows:
                on_rows(len(found[0]), len(samples))
    return found


def _compare(samples: Sequence[Sample], codecs: Sequence[Codec]) -> list[list[RowComparison]]:
    """Compare the samples of one task, a few at a time in kept buffers."""
    found: list[list[RowComparison]] = [[] for _ in codecs]
    kept = codecs[0].empty_targets(BATCH_ROWS)
    for at in range(0, len(samples), BATCH_ROWS):
        batch = samples[at : at + BATCH_ROWS]
        affines = [letterbox(sample.size_hw, codecs[0].spec.input_hw).affine for sample in batch]
        people = [sample.people.transform(affine) for sample, affine in zip(batch, affines, strict=True)]
        cameras = [sample.camera and sample.camera.transform(a) for sample, a in zip(batch, affines, strict=True)]
        maps = codecs[0].encode_batch(people, kept.at(slice(len(batch))), cameras)
        for i in range(len(batch)):
            compared = compare_decodings(codecs, people[i], maps.at(i), affines[i], cameras[i])
            for rows, row in zip(found, compared, strict=True):
                rows.append(row)
    return found


def map_bytes(samples: Sequence[Sample], spec: TargetSpec) -> float:
    """Return the mean bytes of a sample's maps in a store, people and images not counted; 0 without samples."""
    codec, total = Codec(spec), 0
    for sample in samples:
        affine = letterbox(sample.size_hw, spec.input_hw).affine
        camera = sample.camera and sample.camera.transform(affine)
        total += packed_bytes(spec, codec.encode_batch([sample.people.transform(affine)], cameras=[camera])._asdict())
    return total / max(1, len(samples))
