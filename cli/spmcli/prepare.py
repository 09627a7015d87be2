"""`spm prepare`: annotations to a store."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spmcli.options import (
    PATH,
    STORE,
    Place,
    Settings,
    chooses_conventions,
    given,
    mixing,
    open_with_spec,
    reads_annotations,
    take_mix,
    talking,
)
from spmcli.output import bytes_text, note, print_json, print_pairs, progress, seconds_text

if TYPE_CHECKING:
    from spmdata.prepare.plan import Estimate, Plan
    from spmdata.prepare.run import Summary
    from spmdata.store.ledger import ShardRecord
    from spmdata.store.schema import StoreSpec

#: Conventions that the plan's line on the targets says.
SAID = ("hierarchical", "input_hw", "stride")


@click.command("prepare")
@click.argument("source")
@mixing
@reads_annotations
@click.option("--rows", type=click.IntRange(1), help="synthetic: images to draw.  [default: 1000]")
@click.option("--images", type=PATH, help="Folder of the images.  [default: looked for below --root]")
@click.option("--no-images", is_flag=True, help="Targets alone; image files are not needed.")
@click.option("--no-maps", is_flag=True, help="People alone, a fraction of the bytes: maps are drawn on reading.")
@click.option(
    "--views",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Views of each image: the image and V - 1 augmented ones; [views] in --spec has their ranges.",
)
@click.option("--all-images", is_flag=True, help="Also images without a labelled person.")
@chooses_conventions
@click.option("--out", type=STORE, help="Store to write, .zarr or .h5, or the URL of a .zarr.  [default: SOURCE.zarr]")
@click.option(
    "--scheduler", default="threads", show_default=True, help="Dask: threads, processes, sync or tcp://host:port."
)
@click.option("--workers", type=click.IntRange(1), help="Shards written at once.  [default: every core]")
@click.option("--strict", is_flag=True, help="Stop at the first image that cannot be used.")
@click.option("--force", is_flag=True, help="Rename a store made by other settings aside.")
@click.option("--take-over", is_flag=True, help="Take a lock that a run on another host left behind.")
@click.option("--dry-run", is_flag=True, help="Print the plan and what was found, and stop.")
@talking
@click.pass_obj
def command(
    settings: Settings,
    /,
    source: str,
    mix: Path | None,
    out: Place | None,
    file: Path | None,
    no_images: bool,
    no_maps: bool,
    views: int,
    scheduler: str,
    workers: int | None,
    dry_run: bool,
    **rest: Any,
) -> None:
    """Turn the annotations of SOURCE (spm sources lists them) into a store of targets.

    Run it again after an interruption: only what is missing is done.
    """
    from spmcli.found import print_found
    from spmdata.prepare.findings import survey
    from spmdata.prepare.plan import plan_store
    from spmdata.prepare.run import check_scheduler, prepare_store
    from spmdata.spec_file import read_views

    settings.resume = "run the same command again to resume"
    check_scheduler(scheduler, workers)
    changes = given(rest, "preset", "hierarchical", "input_hw", "stride")
    where = given(rest, "annotations", "images", "root", "split", "skeleton", "all_images", "rows", "seed", "cameras")
    take_mix(source, mix, where)
    opened, spec = open_with_spec(source, file, changes, no_images=no_images, **where)
    plan = plan_store(opened, spec, out or Path(f"{source}.zarr"), images=not no_images, maps=not no_maps,
                      views=views, view_ranges=read_views(file) if file else None)  # fmt: skip
    if not settings.json:
        print_pairs(_plan_lines(plan, scheduler, workers))
    if dry_run:
        found = survey(opened, images=not no_images)
        if settings.json:
            print_json({"version": 1, "plan": _plan_json(plan, scheduler, workers), "found": found.to_json()})
        else:
            print_found(found)
        return
    with progress(settings, "prepare", "rows") as advance:

        def on_shard(record: ShardRecord, done: int, total: int) -> None:
            advance(min(done * plan.layout.shard_rows, plan.layout.rows), plan.layout.rows)

        summary = prepare_store(plan, scheduler=scheduler, workers=workers, on_shard=on_shard, **rest)
    for line in summary.notes:
        note(settings, line)
    if settings.json:
        print_json({"version": 1, "plan": _plan_json(plan, scheduler, workers), "summary": _summary_json(summary)})
    else:
        print_pairs(_summary_lines(plan, summary))
    if summary.totals.skipped:
        click.get_current_context().exit(1)


def _plan_lines(plan: Plan, scheduler: str, workers: int | None) -> list[tuple[str, object]]:
    from spmcli.found import counted

    layout = plan.layout
    spec, info = layout.spec, layout.source
    tree = "hierarchical" if spec.hierarchical else "flat"
    unusual = [f"{name} {value}" for name, value in spec.changed().items() if name not in SAID]
    kept = ["images"] * layout.images + ["maps"] * layout.maps + ["people"]
    return [
        ("store", plan.path),
        ("source", _named(info.name, info.split, info.annotations and f"({info.annotations})")),
        ("targets", f"{spec.skeleton.name}, {tree}, input {_size(spec.input_hw)} px, stride {spec.stride}, "
                    f"maps {_size(spec.map_hw)} cells"),
        *([("conventions", ", ".join(unusual))] if unusual else []),
        ("keeps", ", ".join(kept)),
        *([("views", _views_line(layout))] if layout.views > 1 else []),
        ("rows", f"{layout.rows:,} with {layout.people:,} people, {_shards(layout.n_shards)} of {layout.shard_rows}"),
        *(("", f"{part.rows:,} of {_named(part.name, part.split)}, weight {part.weight:g}") for part in info.parts),
        *(("", line) for line in counted(plan.source.findings)),
        ("estimate", _estimate_line(plan.estimate, scheduler, workers)),
    ]  # fmt: skip


def _estimate_line(estimate: Estimate, scheduler: str, workers: int | None) -> str:
    from spmdata.prepare.run import is_cluster

    size = bytes_text(estimate.bytes)
    if is_cluster(scheduler):
        return f"{size}; each thread of the cluster takes {bytes_text(estimate.worker_bytes)} beside its libraries"
    n, seconds, memory = _costs(estimate, scheduler, workers)
    who = "worker process" if scheduler == "processes" else "worker"
    many = "es" if scheduler == "processes" else "s"
    return f"{size}, {seconds_text(seconds)} and {bytes_text(memory)} of memory with {n} {who}{many * (n > 1)}"


def _costs(estimate: Estimate, scheduler: str, workers: int | None) -> tuple[int, float, int]:
    """Return how many work at once on this machine, and the seconds and bytes of memory that they take."""
    from spmdata.prepare.run import cores

    n, processes = 1 if scheduler == "sync" else min(workers or cores(), estimate.shards), scheduler == "processes"
    return n, estimate.seconds(n, cores(), processes=processes), estimate.memory_bytes(n, processes=processes)


def _named(*words: str) -> str:
    return " ".join(filter(None, words))


def _views_line(layout: StoreSpec) -> str:
    ranges = layout.view_ranges
    return (f"{layout.views} an image: the image, and {ranges.flip:.0%} mirrored, turned by up to "
            f"{ranges.rotation_deg:g} degrees, scaled {ranges.scale[0]:g} to {ranges.scale[1]:g}, "
            f"shifted by up to {ranges.shift_px:g} px")  # fmt: skip


def _shards(n: int) -> str:
    return "1 shard" if n == 1 else f"{n:,} shards"


def _size(hw: tuple[int, int]) -> str:
    return f"{hw[0]}x{hw[1]}"


def _plan_json(plan: Plan, scheduler: str, workers: int | None) -> dict[str, Any]:
    from dataclasses import asdict

    from spmdata.prepare.run import is_cluster

    findings, estimate = dict(plan.source.findings), asdict(plan.estimate)
    if not is_cluster(scheduler):
        costs = _costs(plan.estimate, scheduler, workers)
        estimate |= dict(zip(("workers", "seconds", "memory_bytes"), costs, strict=True))
    return {"store": str(plan.path), "findings": findings, "estimate": estimate,
            "shards": plan.layout.n_shards, **plan.layout.attributes()["spm"]}  # fmt: skip


def _summary_json(summary: Summary) -> dict[str, Any]:
    totals = summary.totals
    return {
        "rows": totals.rows,
        "counts": dict(totals.counts),
        "skipped": {status.name.lower(): n for status, n in totals.skipped.items()},
        "shards_done_before": summary.shards_done_before,
        "shards_written": summary.shards_written,
        "seconds": summary.seconds,
    }


def _summary_lines(plan: Plan, summary: Summary) -> list[tuple[str, object]]:
    rows = summary.totals.rows
    written = min(rows, summary.shards_written * plan.layout.shard_rows)
    rate = f"{written:,} rows in {seconds_text(summary.seconds)} ({written / summary.seconds:,.0f} rows/s)"
    before = (
        f", {summary.shards_done_before:,} of {_shards(plan.layout.n_shards)} were there"
        if summary.shards_done_before
        else ""
    )
    if not written:
        rate, before = f"nothing: all {rows:,} rows were there", ""
    skipped = ", ".join(f"{n:,} {status.name.lower()}" for status, n in summary.totals.skipped.items())
    lines: list[tuple[str, object]] = [("written", rate + before)]
    if skipped:
        lines.append(("skipped", f"{skipped}; spm inspect {shlex.quote(str(plan.path))} lists them"))
    return [*lines, ("next", f"spm verify-targets {shlex.quote(str(plan.path))}")]
