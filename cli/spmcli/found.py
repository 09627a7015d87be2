"""What `spm prepare --dry-run` found in the annotations, for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from spmcli.output import print_pairs, print_table

if TYPE_CHECKING:
    from spmdata.prepare.findings import Survey


def print_found(found: Survey) -> None:
    """Print what there is, what is odd and what will be done about it, and how often each joint is labelled."""
    people = found.people_labelled
    click.echo()
    print_pairs([("found", f"{people:,} people with {found.joints_labelled:,} joints")])
    for finding in found.findings:
        places = f", such as {'; '.join(finding.where)}" if finding.where else ""
        click.echo(f"  {finding.count:,} {finding.what}: {finding.done}{places}")
    click.echo()
    print_table(
        ("joint", "labelled", "of people", "visible"),
        [(name, f"{n:,}", f"{n / max(1, people):.1%}", f"{seen:,}") for name, n, seen in found.by_joint],
    )
