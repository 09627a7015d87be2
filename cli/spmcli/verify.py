"""`spm verify-targets`: the round trip of everything that is stored."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spmcli.options import PATH, STORE, Place, Settings, given, one_store_here, talking
from spmcli.output import note, pose3d_table, print_json, print_pairs, print_table, progress

if TYPE_CHECKING:
    from spmdata.prepare.repair import Repair
    from spmdata.roundtrip.tally import ErrorLine
    from spmdata.verify.report import DepthReport, Report


@click.command("verify-targets")
@click.argument("store", type=STORE, required=False)
@click.option("--nms", type=int, help="Side of the peak window, cells: 1, 3, 5 or 7.  [default: the store's]")
@click.option("--max-people", type=int, help="Most people decoded in a row.  [default: the store's]")
@click.option("--threshold", type=float, help="Smallest heatmap value of a peak.  [default: the store's]")
@click.option("--threads", type=click.IntRange(1), help="Rows decoded at once.  [default: every core]")
@click.option("--repair", is_flag=True, help="First mend what is damaged, from the source that STORE was made from.")
@click.option("--annotations", type=PATH,
              help="--repair: annotation file, or the file of a mix.  [default: looked for below --root]")  # fmt: skip
@click.option("--images", type=PATH, help="--repair: folder of the images.  [default: looked for below --root]")
@click.option("--root", type=PATH, help="--repair: where data sets lie.  [default: ./data, else $SPM_DATA]")
@click.option("--cameras", help="--repair: panoptic cameras, as given to spm prepare.  [default: every HD one]")
@talking
@click.pass_obj
def command(
    settings: Settings, /, store: Place | None, threads: int | None, repair: bool, **rest: float | str | Path | None
) -> None:
    """Decode what STORE holds and compare it with its people: errors, losses, collisions, AP ceiling, checksums.

    Without STORE: the one store in this folder. Exit code 1 when an error outside collisions passes the bound derived
    from the stored dtype, or anything is corrupt. --repair brings back the bytes that were written, or leaves them.
    """
    from spmdata.verify.run import verify_store

    path, where = one_store_here(store), given(rest, "annotations", "images", "root", "cameras")
    if where and not repair:
        raise click.UsageError(f"--{next(iter(where))} says where to repair from: give --repair too")
    mended = _repair(settings, path, threads, where) if repair else None
    with progress(settings, "verify", "rows") as advance:
        decode = given(rest, *rest)
        report = verify_store(path, threads=threads, on_rows=advance, **decode)
    gone = [damage for damage in mended.damage if damage not in report.damage] if mended else []
    if settings.json:
        repaired = {"repair": {"shards": mended.shards, "mended": [d.text for d in gone]}} if mended else {}
        print_json(report.to_json() | repaired)
    else:
        for damage in gone[:20]:
            click.echo(f"MENDED: {damage.text}")
        if mended:
            click.echo(f"{_count(len(gone), 'damaged file or row', 'damaged files or rows')} mended, "
                       f"{_count(len(mended.shards), 'shard', 'shards')} written again from the source\n")  # fmt: skip
        _print(report)
        if report.damage and not mended:
            click.echo(f"to mend what is damaged from its source: spm verify-targets {shlex.quote(str(path))} --repair")
    if not report.ok:
        click.get_current_context().exit(1)


def _repair(settings: Settings, path: Place, threads: int | None, where: dict[str, Any]) -> Repair:
    from spmdata.prepare.repair import repair_store

    with progress(settings, "repair", "shards") as advance:
        done = repair_store(path, threads=threads, on_shard=advance, **where)
    for line in done.notes:
        note(settings, line)
    return done


def _count(n: int, one: str, many: str) -> str:
    return f"{n:,} {one if n == 1 else many}"


def _print(report: Report) -> None:
    skipped = sum(report.skipped.values())
    print_pairs(
        [
            ("store", report.store),
            (
                "maps",
                "as stored" if report.targets == "stored" else "none stored: drawn from its people for this check",
            ),
            ("rows", f"{report.rows:,} compared" + (f", {skipped:,} were skipped when written" if skipped else "")),
            ("people", f"{report.people:,} labelled, {sum(report.lost.values()):,} lost"),
            *((f"  {why}", f"{n:,}") for why, n in report.lost.items() if n),
            ("collisions", f"{report.collided:.2%} of all reads hit a cell of another person"),
            *([("dropped", f"{report.dropped_joints:,} labelled joints")] if report.dropped_joints else []),
        ]
    )
    click.echo("\nround trip by level, input px")
    _print_errors(report.by_level)
    click.echo("\nround trip by joint, input px")
    _print_errors(report.by_joint)
    click.echo("\nworst rows")
    print_table(
        ("row", "image", "joint", "error px", "collided"),
        [
            (w.row, w.path or w.image_id, w.joint, f"{w.error_px:.4f}", "yes" if w.collided else "no")
            for w in report.worst
        ],
    )
    click.echo("\nAP ceiling (OKS, original px)")
    names = report.ceiling._fields
    print_table(names, [[f"{100 * value:.2f}" if value >= 0 else "-" for value in report.ceiling]])
    if report.depth is not None:
        _print_depth(report.depth)
    for damage in report.damage[:20]:
        click.echo(f"DAMAGED: {damage.text}")
    click.echo(f"\n{'ok' if report.ok else 'FAILED'}: {_verdict(report)}")


def _print_errors(lines: Sequence[ErrorLine]) -> None:
    print_table(
        ("", "joints", "collided", "mean", "99 %", "max outside collisions"),
        [
            (
                e.name,
                f"{e.joints:,}",
                f"{e.collided:.2%}",
                f"{e.mean_px:.4f}",
                f"{e.p99_px:.4f}",
                f"{e.clear_max_px:.6f}",
            )
            for e in lines
        ],
    )


def _print_depth(depth: DepthReport) -> None:
    """Print what is known of depth: the same errors in the camera's frame."""
    click.echo("\ndepth")
    print_pairs(
        [
            ("people", f"{depth.people:,} with depth, {depth.lost:,} come back without"),
            ("mixed", f"{depth.mixed:.2%} of their joints' depths and {depth.roots_mixed:.2%} of their roots' are read "
                      "where another person's may be mixed in"),
        ]
    )  # fmt: skip
    for title, lines in (("level", depth.by_level), ("joint", depth.by_joint)):
        click.echo(f"\nround trip by {title}, cm in the camera's frame")
        print_table(
            ("", "joints", "mixed", "mean", "99 %", "max outside collisions"),
            [
                (e.name, f"{e.joints:,}", f"{e.mixed:.2%}", f"{e.mean_cm:.4f}", f"{e.p99_cm:.4f}",
                 f"{e.clear_max_cm:.6f}")
                for e in lines
            ],
        )  # fmt: skip
    click.echo("\n3D ceiling (camera's frame; lengths in mm, shares in %)")
    print_table(*pose3d_table({"perfect maps": depth.ceiling}))


def _verdict(report: Report) -> str:
    errors = f"{report.beyond_bound:,} joints outside collisions pass the bound of {report.bound_px:.6f} px"
    if report.depth is not None:
        errors += f", {report.depth.beyond_bound:,} that of {report.depth.bound_cm:.6f} cm"
    return f"{errors}; {_count(len(report.damage), 'damaged file or row', 'damaged files or rows')}"
