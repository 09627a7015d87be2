"""`spm sources`: the data sets that can be read, and where each is looked for."""

from __future__ import annotations

import click

from spmcli.options import Settings, talking
from spmcli.output import print_json, print_pairs


@click.command("sources")
@talking
@click.pass_obj
def command(settings: Settings, /) -> None:
    """List what spm prepare reads, and what each looks for below --root (else ./data, else $SPM_DATA)."""
    from spmdata.sources.registry import BUILT_IN, source_names

    plug_ins = [name for name in source_names() if name not in BUILT_IN]
    if settings.json:
        listed = {name: {"what": one.what, "looks_for": one.looks_for} for name, one in BUILT_IN.items()}
        print_json({"version": 1, "sources": listed, "plug_ins": plug_ins})
        return
    for name, one in BUILT_IN.items():
        print_pairs([(f"{name:<10}", one.what), ("", f"looks for {one.looks_for}")])
    for name in plug_ins:
        print_pairs([(f"{name:<10}", "another package's")])
