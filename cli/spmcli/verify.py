"""`spm verify-targets`: the round trip of everything that is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from spmcli.options import STORE, Place, Settings, one_store_here, talking
from spmcli.output import print_json, print_pairs, print_table, progress

if TYPE_CHECKING:
    from spmdata.roundtrip.tally import ErrorLine
    from spmdata.verify.report import Report


@click.command("verify-targets")
@click.argument("store", type=STORE, required=False)
@click.option("--nms", type=int, help="Side of the peak window, cells: 1, 3, 5 or 7.  [default: the store's]")
@click.option("--max-people", type=int, help="Most people decoded in a row.  [default: the store's]")
@click.option("--threshold", type=float, help="Smallest heatmap value of a peak.  [default: the store's]")
@click.option("--threads", type=int, help="Rows decoded at once.  [default: every core]")
@talking
@click.pass_obj
def command(settings: Settings, /, store: Place | None, threads: int | None, **decode: float | None) -> None:
    """Decode what STORE holds and compare it with its people: errors, losses, collisions, AP ceiling, checksums.

    Without STORE: the one store in this folder. Exit code 1 when an error outside collisions passes the bound derived
    from the stored dtype, or anything is corrupt.
    """
    from spmdata.verify.run import verify_store

    path = one_store_here(store)
    with progress(settings, "verify", "rows") as advance:
        chosen = {name: value for name, value in decode.items() if value is not None}
        report = verify_store(path, threads=threads, on_rows=advance, **chosen)
    if settings.json:
        print_json(report.to_json())
    else:
        _print(report)
    if not report.ok:
        click.get_current_context().exit(1)


def _print(report: Report) -> None:
    skipped = sum(report.skipped.values())
    print_pairs(
        [
            ("store", f"{report.store}, {report.targets} targets"),
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


def _verdict(report: Report) -> str:
    errors = f"{report.beyond_bound:,} joints outside collisions pass the bound of {report.bound_px:.6f} px"
    return f"{errors}; {len(report.damage):,} damaged files or rows"
