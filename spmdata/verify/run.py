"""Verify a store: checksums first, then every row decoded and compared with its own people."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import PathLike

import numpy as np

from spmdata.camera import Camera
from spmdata.codec import Codec, Targets
from spmdata.roundtrip.compare import RowComparison, compare_row
from spmdata.roundtrip.depth_tally import DepthTrip, tally_depth
from spmdata.roundtrip.tally import tally
from spmdata.spec import TargetSpec
from spmdata.store.check import Damage, check_store
from spmdata.store.reader import Store, open_store
from spmdata.store.schema import RowStatus
from spmdata.verify.report import DepthReport, Report, WorstRow

#: Rows that one thread reads at once.
BATCH_ROWS = 8
#: Rows listed as worst, at most, and the error that a row must pass to be one, in px of the input.
WORST_ROWS, WORST_PX = 10, 0.001


def verify_store(
    path: str | PathLike[str],
    *,
    threads: int | None = None,
    on_rows: Callable[[int, int], None] | None = None,
    **decode: int | float,
) -> Report:
    """Decode what is stored and compare it with the stored people.

    Parameters
    ----------
    path : path-like
        A finished store, or text with its URL.
    threads : int, optional
        Rows are read and decoded by so many threads; every core by default.
    on_rows : callable, optional
        Called with (rows compared, rows in all).
    **decode
        Decode fields of the spec to override: nms, max_people, threshold.

    Returns
    -------
    Report

    Raises
    ------
    StoreError
        Nothing there, not a store, an unfinished one.
    SpecError
        A decode field out of range.
    """
    store = open_store(path)
    codec = Codec(store.spec.override(**decode))
    codec.warm_up(rows=store.layout.rows, people=store.layout.people)
    damage = check_store(path)
    rows = _readable_rows(store, damage)
    batches = [rows[i : i + BATCH_ROWS] for i in range(0, len(rows), BATCH_ROWS)]
    compared: list[tuple[int, RowComparison]] = []
    with ThreadPoolExecutor(threads or len(os.sched_getaffinity(0))) as pool:
        for done in pool.map(lambda batch: _compare(store, codec, batch), batches):
            compared.extend(done)
            if on_rows:
                on_rows(len(compared), len(rows))
    return _report(store, codec, compared, damage)


def _readable_rows(store: Store, damage: Sequence[Damage]) -> list[int]:
    """Return the rows that were not skipped and that no damage touches: the others cannot be compared."""
    rows: list[int] = []
    for shard in range(store.layout.n_shards):
        damaged = {d.row for d in damage if d.shard == shard}
        if None not in damaged:
            of = store.layout.rows_of(shard)
            status = store.read("row/status", slice(of.start, of.stop))
            rows += [row for row in of if status[row - of.start] == RowStatus.OK and row not in damaged]
    return rows


def _compare(store: Store, codec: Codec, rows: Sequence[int]) -> list[tuple[int, RowComparison]]:
    people = [store.people(row) for row in rows]
    cameras = [Camera.of_intrinsics(numbers) for numbers in store.read("row/camera", rows)]
    if store.layout.maps:
        names = Targets._fields if store.spec.dims == 3 else Targets._fields[:4]
        maps = Targets(*(store.read(name, rows) for name in names))
    else:
        maps = codec.encode_batch(people, cameras=cameras)
    affines = [store.affine(row) for row in rows]
    return [(row, compare_row(codec, people[i], maps.at(i), affines[i], cameras[i])) for i, row in enumerate(rows)]


def _report(
    store: Store, codec: Codec, compared: Sequence[tuple[int, RowComparison]], damage: Sequence[Damage]
) -> Report:
    skeleton, levels = store.skeleton, np.array(codec.spec.tree.levels())
    rows = [row for _, row in compared]
    found, depth, k = tally(rows, skeleton), tally_depth(rows, codec.spec), np.arange(len(skeleton))
    skipped = store.attributes["spm"]["skipped"]
    return Report(
        store=store.path.name,
        complete=store.complete,
        targets="stored" if store.layout.maps else "recipe",
        rows=found.rows,
        skipped={reason.lower(): n for reason, n in skipped.items()},
        people=found.people,
        lost=found.lost,
        dropped_joints=found.dropped_joints,
        collided=found.collided,
        by_joint=tuple(found.line(name, k == i) for i, name in enumerate(skeleton.joints)),
        by_level=tuple(found.line(f"level {level}", levels == level) for level in np.unique(levels)),
        beyond_bound=found.beyond_bound,
        bound_px=float(found.bound_px.max(initial=0)),
        ceiling=found.ceiling,
        depth=None if depth is None else _depth(depth, codec.spec),
        worst=_worst(store, compared),
        damage=tuple(damage),
    )


def _depth(found: DepthTrip, spec: TargetSpec) -> DepthReport:
    levels, k = np.array(spec.tree.levels()), np.arange(len(spec.skeleton))
    return DepthReport(
        people=found.people,
        lost=found.lost,
        mixed=found.mixed,
        roots_mixed=found.roots_mixed,
        by_joint=tuple(found.line(name, k == i) for i, name in enumerate(spec.skeleton.joints)),
        by_level=tuple(found.line(f"level {level}", levels == level) for level in np.unique(levels)),
        beyond_bound=found.beyond_bound,
        bound_cm=float(found.bound_cm.max(initial=0)),
        ceiling=found.ceiling,
    )


def _worst(store: Store, compared: Sequence[tuple[int, RowComparison]]) -> tuple[WorstRow, ...]:
    """Return the rows of the greatest errors, one line each; none of those that come back as they were."""
    some = [(row, r, int(r.error_px.argmax())) for row, r in compared if (r.error_px > WORST_PX).any()]
    some.sort(key=lambda entry: -entry[1].error_px[entry[2]])
    return tuple(
        WorstRow(
            row=row,
            image_id=int(store.read("row/image_id", [row])[0]),
            path=str(store.read("row/path", [row])[0]),
            error_px=float(r.error_px[i]),
            joint=store.skeleton.joints[r.joint[i]],
            collided=not r.clear[i],
        )
        for row, r, i in some[:WORST_ROWS]
    )
