"""`spm inspect`: what is inside a store."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spmcli.options import PATH, STORE, Place, Settings, one_store_here, talking
from spmcli.output import bytes_text, print_json, print_pairs, print_table

if TYPE_CHECKING:
    from spmdata.census import Census
    from spmdata.contents import Contents, RowContents
    from spmdata.store.ledger import SkippedRow

#: Skipped rows that are listed of each reason; --json lists all.
SKIPPED_SHOWN = 5


@click.command("inspect")
@click.argument("store", type=STORE, required=False)
@click.argument("row", type=int, required=False)
@click.option("--write-spec", type=PATH, help="Write its conventions, for spm prepare --spec.")
@talking
@click.pass_obj
def command(settings: Settings, /, store: Place | None, row: int | None, write_spec: Path | None) -> None:
    """Show what STORE holds: arrays and their bytes, people, conventions, ledger, source; or one ROW in numbers.

    Without STORE: the one store in this folder. An unfinished store is shown as far as it goes.
    """
    from spmdata import spec_file
    from spmdata.contents import read_contents, read_row
    from spmdata.store.reader import open_store

    path = one_store_here(store)
    if write_spec is not None:
        opened = open_store(path, allow_incomplete=True)
        views = opened.layout.view_ranges if opened.layout.views > 1 else None
        spec_file.write_spec(write_spec, opened.spec, views)
    answer = read_contents(path) if row is None else read_row(path, row)
    if settings.json:
        print_json(answer.to_json())
    elif row is None:
        _print_whole(answer)  # type: ignore[arg-type]
    else:
        _print_row(answer)  # type: ignore[arg-type]


def _print_whole(found: Contents) -> None:
    attributes, rows = found.attributes, max(1, found.rows_done)
    source, layout = attributes["source"], attributes["layout"]
    print_pairs(
        [
            ("store", found.store),
            ("complete", "yes" if found.complete else "no: run the same spm prepare command again"),
            ("format version", attributes["format_version"]),
            ("fingerprint", attributes["fingerprint"]),
            ("source", f"{source['name']} {source['split']}, {source['annotations'] or 'made, not read'}"),
            ("  sha256", source["sha256"]),
            ("rows", f"{layout['rows']:,}"),
            *([("views", f"{layout['views']} an image")] if layout["views"] > 1 else []),
            ("shards", f"{found.shards_done:,} of {found.shards:,}, {found.shard_rows:,} rows each"),
            ("bytes", f"{bytes_text(found.bytes)}, {found.bytes / rows:,.0f} a row"),
        ]
    )
    click.echo()
    print_table(
        ("array", "shape", "chunk", "dtype", "bytes", "bytes a row", "packed to"),
        [
            (
                *(a.name, "x".join(map(str, a.shape)), "x".join(map(str, a.chunk)), a.dtype, bytes_text(a.bytes)),
                f"{a.bytes / rows:,.1f}",
                f"{a.bytes / a.plain_bytes:.2%}" if a.plain_bytes else "-",
            )
            for a in found.arrays
        ],
    )
    _print_census(found.people)
    click.echo("\nconventions")
    spec = {**attributes["spec"], "skeleton": attributes["spec"]["skeleton"]["name"]}
    print_pairs([(name, value) for name, value in spec.items()])
    _print_skipped(found.skipped)


def _print_census(census: Census) -> None:
    click.echo("\npeople")
    print_pairs(
        [
            ("rows", f"{census.rows:,}"),
            ("people", f"{census.people:,}, {census.people / max(1, census.rows):.2f} a row"),
            ("ignore regions", f"{census.crowds:,} crowds, {census.unlabelled:,} people without labelled joints"),
            ("joints", f"{census.joints_labelled:,} labelled, {census.joints_outside_image:,} off their image, "
                       f"{census.joints_outside_input:,} off the network's input"),
            ("roots off the map", f"{census.roots_off_map:,} people in no target"),
        ]
    )  # fmt: skip
    most = max(census.people_a_row.values(), default=0)
    if not most:
        return
    click.echo("\npeople a row")
    print_table(
        ("people", "rows", "share", ""),
        [
            (n, f"{rows:,}", f"{rows / census.rows:.1%}", ("#" * round(30 * rows / most)).ljust(30))
            for n, rows in census.people_a_row.items()
        ],
    )
    if not census.size_px_percentiles:
        return
    click.echo()
    print_table(
        ("percentile", *(f"{p} %" for p in census.size_px_percentiles)),
        [
            ("people a row", *(f"{value:g}" for value in census.people_percentiles.values())),
            ("size, square root of area, input px", *(f"{value:.1f}" for value in census.size_px_percentiles.values())),
        ],
    )
    click.echo("\njoints labelled, of people")
    print_table(("joint", "share"), [(name, f"{share:.1%}") for name, share in census.joints.items()])


def _print_skipped(skipped: tuple[SkippedRow, ...]) -> None:
    if not skipped:
        return
    click.echo(f"\nskipped rows: {len(skipped):,}")
    by_status = sorted(skipped, key=lambda row: row.status)
    for status, rows in groupby(by_status, key=lambda row: row.status):
        name, those = status.name.lower(), list(rows)
        for row in those[:SKIPPED_SHOWN]:
            click.echo(f"row {row.row}: {name}: {row.reason}")
        if len(those) > SKIPPED_SHOWN:
            click.echo(f"and {len(those) - SKIPPED_SHOWN:,} more {name}; --json lists them")


def _print_row(found: RowContents) -> None:
    print_pairs([(name, value) for name, value in found.to_json().items() if name not in ("people", "version")])
    for person in found.people:
        state = ", ignore region" if person["ignore"] else ""
        box = ", ".join(f"{value:.1f}" for value in person["bbox_xywh"])
        click.echo(f"\nperson {person['id']}{state}: area {person['area_px2']:.0f} px2, box xywh {box}")
        if person["joints"]:
            values = list(person["joints"].items())
            axes = ("x px", "y px", "z cm")[: len(values[0][1]) - 1]
            print_table(
                ("joint", *axes, "visible"),
                [(name, *(f"{value:.2f}" for value in where), v) for name, (*where, v) in values],
            )
