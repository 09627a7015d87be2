"""What `spm prepare --dry-run` found in the annotations, for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from spmcli.output import print_pairs, print_table

if TYPE_CHECKING:
    from spmdata.prepare.findings import Survey


def counted(found: Sequence[tuple[str, int]]) -> list[str]:
    """Return a line for each thing found: how often, in a column, and what."""
    width = max((len(f"{n:,}") for _, n in found), default=0)
    return [f"{n:>{width},}  {what}" for what, n in found]


def print_found(found: Survey) -> None:
    """Print what there is, what is odd and what will be done about it, and how often each joint is labelled."""
    people = found.people_labelled
    click.echo()
    print_pairs([("found", f"{people:,} people with {found.joints_labelled:,} joints")])
    said = []
    for finding in found.findings:
        places = f", such as {'; '.join(finding.where)}" if finding.where else ""
        said.append((f"{finding.what}: {finding.done}{places}", finding.count))
    for line in counted(said):
        click.echo(f"  {line}")
    click.echo()
    print_table(
        ("joint", "labelled", "of people", "visible"),
        [(name, f"{n:,}", f"{n / max(1, people):.1%}", f"{seen:,}") for name, n, seen in found.by_joint],
    )
