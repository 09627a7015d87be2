"""What the command line writes: tables and JSON on stdout, progress and notes on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import click

from spmcli.options import Settings

if TYPE_CHECKING:
    from spmdata.metrics.pose3d import Pose3dScores


def print_json(value: Any) -> None:
    """Print one JSON object."""
    click.echo(json.dumps(value, indent=2, default=str))


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print columns: the first to the left, the others to the right."""
    texts = [list(map(str, header)), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in texts) for i in range(len(header))]
    for row in texts:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]
        click.echo("  ".join(cells).rstrip())


def print_pairs(pairs: Sequence[tuple[str, object]]) -> None:
    """Print names and values, one pair a line."""
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        click.echo(f"{name.ljust(width)}  {value}")


def pose3d_table(scores: Mapping[str, Pose3dScores]) -> tuple[Sequence[str], list[Sequence[str]]]:
    """Return header and rows of 3D scores by name: lengths in mm, shares in %; "-" where there is nothing to say."""
    header = ("", "people", "matched", "false", "MPJPE mm", "PA-MPJPE mm", "root mm", "PCK150", "AUC",
              "PCK150 matched", "AUC matched")  # fmt: skip
    rows = []
    for name, (people, matched, false, *values) in scores.items():
        lengths = [f"{value:.2f}" if value >= 0 else "-" for value in values[:3]]
        shares = [f"{100 * value:.1f}" if value >= 0 else "-" for value in values[3:]]
        rows.append((name, f"{people:,}", f"{matched:,}", f"{false:,}", *lengths, *shares))
    return header, list(rows)


def note(settings: Settings, text: str) -> None:
    """Write one line to stderr, unless -q."""
    if not settings.quiet:
        click.echo(text, err=True)


def plain_note(settings: Settings, text: str) -> None:
    """Write one line of progress where stderr shows no bar."""
    if not sys.stderr.isatty():
        note(settings, text)


def bytes_text(n: float) -> str:
    """Write a number of bytes for a person: 812 B, 7.0 kB, 1.3 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000 or unit == "GB":
            break
        n /= 1000
    return f"{n:.0f} {unit}" if unit == "B" or n >= 100 else f"{n:.1f} {unit}"


def seconds_text(seconds: float) -> str:
    """Write a time for a person: 0.4 s, 38 s, 4 min 10 s, 2 h 5 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


class Advance(Protocol):
    """Move a progress bar to a position of a total."""

    def __call__(self, done: int, total: int) -> None:
        """Show ``done`` of ``total``."""


@contextmanager
def progress(settings: Settings, what: str, unit: str) -> Iterator[Advance]:
    """Show a bar with rate and time left on stderr, when stderr is a terminal and -q was not given."""
    if settings.quiet or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), TextColumn("{task.completed:,.0f}/{task.total:,.0f} " + unit),
               TextColumn("{task.fields[rate]}"), TimeElapsedColumn(), TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task: TaskID | None = None
        first = 0

        def advance(done: int, total: int) -> None:
            nonlocal task, first
            if task is None:  # the clock starts with the first rows: compiling would spoil the rate
                task, first = bar.add_task(what, total=total, rate=""), done
            elapsed = bar.tasks[0].elapsed or 0.0
            rate = f"{(done - first) / elapsed:,.0f} {unit}/s" if elapsed else ""
            bar.update(task, completed=done, total=total, rate=rate)

        yield advance
