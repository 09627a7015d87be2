"""Options that several commands share, defined once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Settings:
    """How much to say; filled by the options of the command that runs."""

    verbose: int = 0
    quiet: bool = False
    json: bool = False


def _store_in_settings(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    settings = ctx.ensure_object(Settings)
    assert param.name is not None
    setattr(settings, param.name, value)


def talking(function: F) -> F:
    """Add -q, -v and --json; the command finds them in the `Settings` that `click.pass_obj` hands it."""
    for option in (
        click.option("-v", "--verbose", count=True, expose_value=False, callback=_store_in_settings,
                     help="Say more; -vv also shows where an error came from."),
        click.option("-q", "--quiet", is_flag=True, expose_value=False, callback=_store_in_settings,
                     help="No progress on stderr."),
        click.option("--json", is_flag=True, expose_value=False, callback=_store_in_settings,
                     help="Print one JSON object instead of tables."),
    ):  # fmt: skip
        function = option(function)
    return function


class SizeType(click.ParamType[tuple[int, int]]):
    """``512`` or ``384x512``: height x width in px."""

    name = "HxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return (height, width)."""
        from spmdata.spec_file import size_hw

        size = size_hw(value)
        if not isinstance(size, tuple):
            self.fail(f"{value!r} is no size; write 512 or 384x512 (height x width, px)", param, ctx)
        return size


def one_store_here(path: Path | None) -> Path:
    """Return the path, or the one store in the current folder when none is given."""
    if path is not None:
        return path
    found = sorted(Path().glob("*.zarr"))
    if len(found) != 1:
        names = ", ".join(str(p) for p in found) or "none"
        raise click.UsageError(f"name the store: {len(found)} of them in this folder ({names})")
    return found[0]
