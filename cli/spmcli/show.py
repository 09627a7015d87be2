"""`spm inspect`: what is inside a store."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spmcli.options import PATH, STORE, Place, Settings, one_store_here, talking
from spmcli.output import bytes_text, print_json, print_pairs, print_table

if TYPE_CHECKING:
    from spmdata.store.reader import Store

VERSION = 1


@click.command("inspect")
@click.argument("store", type=STORE, required=False)
@click.argument("row", type=int, required=False)
@click.option("--write-spec", type=PATH, help="Write its conventions, for spm prepare --spec.")
@talking
@click.pass_obj
def command(settings: Settings, /, store: Place | None, row: int | None, write_spec: Path | None) -> None:
    """Show what STORE holds: arrays and their bytes, conventions, people, ledger; or one ROW in numbers.

    Without STORE: the one store in this folder. An unfinished store is shown as far as it goes.
    """
    from spmdata import spec_file
    from spmdata.store.reader import open_store

    opened = open_store(one_store_here(store), allow_incomplete=True)
    if write_spec is not None:
        spec_file.write_spec(write_spec, opened.spec)
    answer = _whole(opened) if row is None else _one_row(opened, row)
    if settings.json:
        print_json({"version": VERSION, **answer})
    elif row is None:
        _print_whole(answer)
    else:
        _print_row(answer)


def _whole(store: Store) -> dict[str, Any]:
    """Return everything about a store as JSON values."""
    from spmdata.store.ledger import Ledger, Totals

    records = Ledger(store.path).done(store.layout)
    totals = Totals.of(records.values())
    packed = Counter[str]()
    for shard in records:
        packed.update(store.array_bytes(shard))
    return {
        "store": str(store.path),
        "complete": store.complete,
        "attributes": store.attributes["spm"],
        "shards": {"done": len(records), "of": store.layout.n_shards, "rows": store.layout.shard_rows},
        "counts": dict(totals.counts),
        "skipped": [
            {"row": s.row, "status": s.status.name.lower(), "reason": s.reason}
            for _, record in sorted(records.items())
            for s in record.skipped
        ],
        "rows_done": totals.rows,
        "bytes": totals.bytes,
        "arrays": [
            {"name": a.name, "shape": a.shape, "dtype": a.dtype, "dims": a.dims, "bytes": packed[a.name]}
            for a in store.layout.arrays()
        ],
    }


def _print_whole(answer: dict[str, Any]) -> None:
    attributes, shards, rows = answer["attributes"], answer["shards"], max(1, answer["rows_done"])
    source, counts = attributes["source"], answer["counts"]
    print_pairs(
        [
            ("store", answer["store"]),
            ("complete", "yes" if answer["complete"] else "no: run the same spm prepare command again"),
            ("format version", attributes["format_version"]),
            ("fingerprint", attributes["fingerprint"]),
            ("source", f"{source['name']} {source['split']} ({source['annotations']}, sha256 {source['sha256'][:12]})"),
            ("shards", f"{shards['done']} of {shards['of']}, {shards['rows']} rows each"),
            ("bytes", f"{bytes_text(answer['bytes'])}, {answer['bytes'] / rows:,.0f} a row"),
            *((name.replace("_", " "), f"{n:,}") for name, n in counts.items()),
            *([("rows skipped", f"{len(answer['skipped']):,}")] if answer["skipped"] else []),
        ]
    )
    click.echo()
    print_table(
        ("array", "shape", "dtype", "bytes", "bytes a row"),
        [
            (a["name"], "x".join(map(str, a["shape"])), a["dtype"], bytes_text(a["bytes"]), f"{a['bytes'] / rows:,.1f}")
            for a in answer["arrays"]
        ],
    )
    click.echo("\nconventions")
    spec = {**attributes["spec"], "skeleton": attributes["spec"]["skeleton"]["name"]}
    print_pairs([(name, value) for name, value in spec.items()])
    if answer["skipped"]:
        click.echo("\nskipped rows")
        for skipped in answer["skipped"]:
            click.echo(f"row {skipped['row']}: {skipped['status']}: {skipped['reason']}")


def _one_row(store: Store, row: int) -> dict[str, Any]:
    """Return one row as JSON values."""
    if not 0 <= row < len(store):
        raise click.UsageError(f"row must be in [0, {len(store) - 1}], got {row}")
    from spmdata.store.schema import RowStatus

    provenance = {
        array.name.removeprefix("row/"): store.read(array.name, [row])[0]
        for array in store.layout.arrays()
        if array.name.startswith("row/")
    }
    people = store.people(row)
    maps = {}
    if store.layout.maps:
        heatmap, count = store.read("root_heatmap", [row])[0], store.read("count", [row])[0]
        maps = {
            "root_heatmap_max": float(heatmap.max()),
            "cells_supervised": int((count > 0).any(0).sum()),
            "cells_averaged": int((count > 1).any(0).sum()),
            "cells_ignored": int(store.read("ignore", [row])[0].sum()),
        }
    return {
        "row": row,
        "status": RowStatus(int(provenance.pop("status"))).name.lower(),
        **{name: value.tolist() if hasattr(value, "tolist") else value for name, value in provenance.items()},
        "image_bytes": len(store.image_bytes(row)) if store.layout.images else None,
        **maps,
        "people": [
            {
                "id": int(people.id[p]),
                "ignore": bool(people.ignore[p]),
                "area_px2": float(people.area[p]),
                "bbox_xywh": people.bbox_xywh[p].tolist(),
                "joints": {
                    name: [*people.joints[p, k].tolist(), int(people.visible[p, k])]
                    for k, name in enumerate(store.skeleton.joints)
                    if people.visible[p, k]
                },
            }
            for p in range(len(people))
        ],
    }


def _print_row(answer: dict[str, Any]) -> None:
    print_pairs([(name, value) for name, value in answer.items() if name != "people"])
    for person in answer["people"]:
        state = ", ignore region" if person["ignore"] else ""
        box = ", ".join(f"{value:.1f}" for value in person["bbox_xywh"])
        click.echo(f"\nperson {person['id']}{state}: area {person['area_px2']:.0f} px2, box xywh {box}")
        if person["joints"]:
            print_table(
                ("joint", "x px", "y px", "visible"),
                [(name, f"{x:.2f}", f"{y:.2f}", v) for name, (x, y, v) in person["joints"].items()],
            )
