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
from spmdata.prepare.task import shard_task, write_task
from spmdata.sources.base import Source
from spmdata.sources.registry import open_source
from spmdata.store.check import Damage, check_store
from spmdata.store.durable import unseal
from spmdata.store.form import Form, form_of
from spmdata.store.ledger import Ledger, ShardRecord
from spmdata.store.manifest import MANIFEST, is_of, read_layout, sha256
from spmdata.store.remote import StoreName, StorePath
from spmdata.store.remote_lock import lock_of
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
    path: StoreName,
    *,
    annotations: str | Path | None = None,
    images: str | Path | None = None,
    root: str | Path | None = None,
    cameras: str | None = None,
    threads: int | None = None,
    on_shard: OnShard | None = None,
) -> Repair:
    """Bring a finished store back to the bytes that were written; files that are none of its are left alone.

    Metadata and manifest are made anew from the store's own attributes; the source is opened only when a shard or its
    ledger record is damaged.

    Parameters
    ----------
    path : path-like
        The store, or text with its URL.
    annotations, images, root : path-like, optional
        Where its source lies, as for `open_source`; name, split and skeleton are the store's. A mix has its file here.
    cameras : str, optional
        As the store was made with, which does not say it.
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
    if form.vacant():
        raise StoreError(f"no such store: {form.path}")
    with lock_of(form.path) as lock:
        layout = _layout(form)
        damage = check_store(form.path)
        shards = sorted({d.shard for d in damage if d.shard is not None})
        if shards:
            where = {"annotations": annotations, "images": images, "root": root, "cameras": cameras}
            _mend(form, layout, source_of(layout, **where), shards, threads, on_shard)
        if damage:
            _make_folders(form, map(form.file, form.metadata_names(layout)))
            finalise(form.path, layout)
    return Repair(tuple(damage), tuple(shards), (lock.message,) if lock.message else ())


def source_of(layout: StoreSpec, **where: Any) -> Source:
    """Open the source that a store was made from.

    Parameters
    ----------
    layout : StoreSpec
        Of the store.
    **where
        ``annotations``, ``images``, ``root``, ``cameras``, as for `open_source`.

    Raises
    ------
    StoreError
        What is there is another: both values are said. A mix without its file.
    AnnotationError
        Nothing is there.
    """
    info, found = layout.source, 0
    options: dict[str, Any] = {"skeleton": layout.spec.skeleton, "no_images": not layout.images, **where}
    if info.name == "synthetic":  # made, not read: its split says from which seed, and people are as large as the input
        made = {"rows": layout.rows // layout.views, "seed": int(info.split.removeprefix("seed"))}
        options |= {**made, "size_hw": layout.spec.input_hw}
    elif info.name == "mix":  # its file has the splits
        if where.get("annotations") is None:
            raise StoreError("the store was made from a mix: name the file that describes it, --annotations FILE.toml")
    else:
        options["split"] = info.split or None
    for all_images in (False, True):  # a store does not say which it was: its rows do
        source = open_source(info.name, all_images=all_images, **options)
        for what in ("name", "split", "sha256"):
            there, here = getattr(info, what), getattr(source.info, what)
            if there != here:
                chosen = ", and its --cameras if it had any" if info.name == "panoptic" else ""
                raise StoreError(
                    f"the store was made from another source: its {what} is {there or 'empty'} there and "
                    f"{here or 'empty'} here ({source.info.annotations or info.name}); name the file that it was made "
                    f"from, {info.annotations or info.name}, with --annotations or --root{chosen}"
                )
        found = len(source) * layout.views
        if found == layout.rows:
            return source
    raise StoreError(f"the store has {layout.rows} rows, its source {found}: another version of spm-toolkit made it")


def _layout(form: Form) -> StoreSpec:
    """Return what the store says it is; StoreError when it does not, or was never finished."""
    attributes, layout = read_layout(form)
    if attributes["spm"].get("complete") is not True and not is_of(form, layout):
        raise StoreError(f"{form.path} is not finished; run the spm prepare command that made it again to finish it")
    return layout


def _mend(
    form: Form, layout: StoreSpec, source: Source, shards: list[int], threads: int | None, on_shard: OnShard | None
) -> None:
    refused = list[str]()
    if layout.maps:
        Codec(layout.spec).warm_up(decode=False)
    for shard in shards:
        _make_folders(form, [Ledger(form.path).file(shard), *form.shard_files(layout, shard).values()])
    with ThreadPoolExecutor(threads or len(os.sched_getaffinity(0))) as pool:
        for done, text in enumerate(pool.map(lambda shard: _mend_shard(form, layout, source, shard), shards)):
            refused += [text] if text else []
            if on_shard:
                on_shard(done + 1, len(shards))
    if refused:
        raise StoreError(f"{len(refused)} of {len(shards)} damaged shards could not be mended: {'; '.join(refused)}")


def _mend_shard(form: Form, layout: StoreSpec, source: Source, shard: int) -> str:
    """Write a shard as it was; return why it would come out otherwise, else nothing."""
    ledger = Ledger(form.path)
    with tempfile.TemporaryDirectory(prefix="spm-repair-") as folder:
        beside = Path(folder, f"data{'.zarr' if form.home == form.path else '.h5'}")
        form_of(beside).create(layout)
        record = write_task(shard_task(beside, layout, source, shard))
        digest = sha256(Ledger(beside).file(shard))
    wanted = _record_sha256(form, layout, shard)
    if wanted is None or digest == wanted:
        write_task(shard_task(form.path, layout, source, shard))
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


def _make_folders(form: Form, files: Iterable[StorePath]) -> None:
    """Make the folders of files anew, should they be lost; at a URL there are none."""
    if isinstance(form.home, Path):
        for folder in sorted({form.home / ".spm/ledger", *(file.parent for file in files if isinstance(file, Path))}):
            folder.mkdir(parents=True, exist_ok=True)
