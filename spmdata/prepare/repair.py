"""Mend a damaged store from its source: damaged shards run again, and must come out as they were written.

A shard is first written beside the store, and only when its ledger record comes out as it was, with sizes, sha256 and
skipped rows, is it written in place, file by file over files that differ by the damage alone. So a source that has
changed changes no store, and a repair that is killed at any point can be run again.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spmdata.codec import Codec
from spmdata.errors import StoreError
from spmdata.prepare.plan import Estimate, Plan
from spmdata.prepare.run import _task
from spmdata.prepare.task import write_task
from spmdata.sources.base import Source
from spmdata.sources.registry import open_source
from spmdata.store.check import Damage, check_store
from spmdata.store.durable import unseal
from spmdata.store.form import Form, form_of
from spmdata.store.ledger import Ledger, ShardRecord
from spmdata.store.lock import StoreLock
from spmdata.store.manifest import MANIFEST, is_of, sha256
from spmdata.store.schema import StoreSpec
from spmdata.store.writer import finalise

#: Called with (shards mended, shards to mend).
OnShard = Callable[[int, int], None]


@dataclass(frozen=True)
class Repair:
    """What a repair found and did.

    Parameters
    ----------
    damage : tuple of Damage
        What was wrong before.
    shards : tuple of int
        The shards that were written again.
    notes : tuple of str
        What the user should know, such as a lock that was taken over.
    """

    damage: tuple[Damage, ...]
    shards: tuple[int, ...]
    notes: tuple[str, ...]


def repair_store(
    path: str | Path,
    *,
    annotations: str | Path | None = None,
    images: str | Path | None = None,
    root: str | Path | None = None,
    threads: int | None = None,
    on_shard: OnShard | None = None,
) -> Repair:
    """Bring a finished store back to the bytes that were written; files that are none of its are left alone.

    Metadata and manifest are made anew from the store's own attributes; the source is opened only when a shard or its
    ledger record is damaged.

    Parameters
    ----------
    path : path-like
        The store.
    annotations, images, root : path-like, optional
        Where its source lies, as for `open_source`; name, split and skeleton are the store's.
    threads : int, optional
        Shards written at once; every core by default.
    on_shard : callable, optional
        Progress.

    Returns
    -------
    Repair

    Raises
    ------
    StoreError
        No store, an unfinished one, one whose attributes cannot be read; another source than the store's; shards that
        would come out otherwise than they were written: those stay as they are, and all others are mended.
    AnnotationError
        The source is not there, or cannot be read.
    """
    form = form_of(path)
    path = form.path
    if form.vacant():
        raise StoreError(f"no such store: {path}")
    with StoreLock(path) as lock:
        layout = _layout(form)
        damage = check_store(path)
        shards = sorted({d.shard for d in damage if d.shard is not None})
        if shards:
            where = {"annotations": annotations, "images": images, "root": root}
            plan = Plan(path, layout, source_of(layout, **where), Estimate())
            _mend(plan, shards, threads, on_shard)
        if damage:
            _make_folders(form, map(form.file, form.metadata_names(layout)))
            finalise(path, layout)
    return Repair(tuple(damage), tuple(shards), (lock.message,) if lock.message else ())


def source_of(layout: StoreSpec, **where: Any) -> Source:
    """Open the source that a store was made from.

    Parameters
    ----------
    layout : StoreSpec
        Of the store.
    **where
        ``annotations``, ``images``, ``root``, as for `open_source`.

    Raises
    ------
    StoreError
        What is there is another: both values are said.
    AnnotationError
        Nothing is there.
    """
    info, found = layout.source, 0
    options: dict[str, Any] = {"skeleton": layout.spec.skeleton, "no_images": not layout.images, **where}
    if info.name == "synthetic":  # made, not read: its split says from which seed, and people are as large as the input
        made = {"rows": layout.rows // layout.views, "seed": int(info.split.removeprefix("seed"))}
        options |= {**made, "size_hw": layout.spec.input_hw}
    else:
        options["split"] = info.split or None
    for all_images in (False, True):  # a store does not say which it was: its rows do
        source = open_source(info.name, all_images=all_images, **options)
        for what in ("name", "split", "sha256"):
            there, here = getattr(info, what), getattr(source.info, what)
            if there != here:
                raise StoreError(
                    f"the store was made from another source: its {what} is {there or 'empty'} there and "
                    f"{here or 'empty'} here ({source.info.annotations or info.name}); name the file that it was made "
                    f"from, {info.annotations or info.name}, with --annotations or --root"
                )
        found = len(source) * layout.views
        if found == layout.rows:
            return source
    raise StoreError(f"the store has {layout.rows} rows, its source {found}: another version of spm-toolkit made it")


def _layout(form: Form) -> StoreSpec:
    """Return what the store says it is; StoreError when it does not, or was never finished."""
    try:
        attributes = form.attributes()
        layout = StoreSpec.from_attributes(attributes, str(form.path))
    except StoreError as error:
        raise StoreError(
            f"{error}; if it is one that is damaged, run the spm prepare command that made it again: what it finds "
            "whole, it keeps"
        ) from error
    if attributes["spm"].get("complete") is not True and not is_of(form, layout):
        raise StoreError(f"{form.path} is not finished; run the spm prepare command that made it again to finish it")
    return layout


def _mend(plan: Plan, shards: list[int], threads: int | None, on_shard: OnShard | None) -> None:
    form, refused = form_of(plan.path), list[str]()
    if plan.layout.maps:
        Codec(plan.layout.spec).warm_up(decode=False)
    for shard in shards:
        _make_folders(form, [Ledger(plan.path).file(shard), *form.shard_files(plan.layout, shard).values()])
    with ThreadPoolExecutor(threads or len(os.sched_getaffinity(0))) as pool:
        for done, text in enumerate(pool.map(lambda shard: _mend_shard(plan, shard), shards)):
            refused += [text] if text else []
            if on_shard:
                on_shard(done + 1, len(shards))
    if refused:
        raise StoreError(f"{len(refused)} of {len(shards)} damaged shards could not be mended: {'; '.join(refused)}")


def _mend_shard(plan: Plan, shard: int) -> str:
    """Write a shard as it was; return why it would come out otherwise, else nothing."""
    ledger = Ledger(plan.path)
    with tempfile.TemporaryDirectory(prefix="spm-repair-") as folder:
        beside = Path(folder, f"data{'.zarr' if form_of(plan.path).home == plan.path else '.h5'}")
        form_of(beside).create(plan.layout)
        record = write_task(_task(Plan(beside, plan.layout, plan.source, plan.estimate), shard, False))
        digest = sha256(Ledger(beside).file(shard))
    wanted = _record_sha256(form_of(plan.path), plan.layout, shard)
    if wanted is None or digest == wanted:
        write_task(_task(plan, shard, False))
        return ""
    return (
        f"shard {shard} would not come out as it was written ({_difference(ledger, record)}) and was left alone; "
        f"to have it written as its source is now, remove {ledger.file(shard)} and run the spm prepare command again"
    )


def _record_sha256(form: Form, layout: StoreSpec, shard: int) -> str | None:
    """Return the sha256 that the ledger's record of a shard must have; None when nothing is left that says it."""
    file = Ledger(form.path).file(shard)
    if is_of(form, layout):
        return str(unseal(form.home / MANIFEST)["files"][Ledger("").file(shard).as_posix()])
    try:
        return sha256(file) if Ledger(form.path).read(shard).fingerprint == layout.fingerprint() else None
    except StoreError:
        return None


def _difference(ledger: Ledger, now: ShardRecord) -> str:
    """Say what differs between a record and the one in the ledger, where that can be read."""
    try:
        then = ledger.read(now.shard)
    except StoreError:
        return "its ledger record is damaged, and comes out otherwise than the manifest says"
    for which, some, others in (("now", now.skipped, then.skipped), ("then", then.skipped, now.skipped)):
        if more := [row for row in some if row not in others]:
            return f"row {more[0].row} is skipped {which}: {more[0].reason}"
    names = [name for name, file in now.files.items() if file != then.files.get(name)]
    return f"other bytes of {', '.join(names)}: other images, or other versions of the libraries that pack them"


def _make_folders(form: Form, files: Iterable[Path]) -> None:
    """Make the folders of files anew, should they be lost."""
    for folder in sorted({form.home / ".spm/ledger", *(file.parent for file in files)}):
        folder.mkdir(parents=True, exist_ok=True)
