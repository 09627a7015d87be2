"""`spm tune`: which conventions suit one's own annotations."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spmcli.options import (
    PATH,
    Settings,
    SizeType,
    check_folder,
    chooses_conventions,
    given,
    mixing,
    open_with_spec,
    reads_annotations,
    take_mix,
    talking,
)
from spmcli.output import print_json, print_pairs, print_table, progress, seconds_text

if TYPE_CHECKING:
    from spmdata.sources.base import Source
    from spmdata.tune.axes import Axis
    from spmdata.tune.search import Tuning
    from spmdata.tune.trial import Trial

#: Lines of the table; -v prints every setting.
SHOWN = 12


class SweepType(click.ParamType["Axis"]):
    """``overlap=mean,nearest``: a field and what to try it at; tau with its metric, ``tau=squared:7,radius:4``."""

    name = "FIELD=VALUES"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Axis:
        """Return the axis; whether a field takes a value is for the spec to say."""
        from spmdata.spec import TargetSpec
        from spmdata.tune.axes import Axis

        name, _, listed = str(value).partition("=")
        defaults = {key: getattr(TargetSpec(), key) for key in TargetSpec.__dataclass_fields__ if key != "skeleton"}
        if not listed:
            self.fail(f"{value!r} is no sweep; write overlap=mean,nearest or tau=squared:7,radius:4", param, ctx)
        if name == "tau_metric":
            self.fail("tau_metric is swept with tau: tau=squared:7,radius:4", param, ctx)
        if name not in defaults:
            near = get_close_matches(name, defaults, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(defaults)}"
            self.fail(f"{name!r} is no field of a target spec; {hint}", param, ctx)
        return Axis.of(name, [self._value(name, text.strip(), defaults[name]) for text in listed.split(",")])

    def _value(self, name: str, text: str, default: Any) -> Any:
        """Return one value in the type of the field's default."""
        if name == "input_hw":
            return SizeType().convert(text, None, None)
        try:
            if name == "tau":
                metric, tau = text.split(":")
                return metric, float(tau)
            if isinstance(default, bool):
                return {"true": True, "false": False}[text]
            return type(default)(text)
        except (KeyError, ValueError):
            wanted = "true or false" if isinstance(default, bool) else "a number"
            wanted = "metric:number, such as squared:7" if name == "tau" else wanted
            self.fail(f"{name} takes {wanted}, got {text!r}")


def _next(source: str, mix: Path | None, where: Mapping[str, Any], out: Path) -> str:
    """Return the command that prepares the same annotations by the pick."""
    names = () if mix else ("annotations", "root", "split", "cameras", "skeleton", "seed")
    said = {**where, **click.get_current_context().meta}  # a skeleton as it was written, not as it was read
    options = [word for name in names if name in where for word in (f"--{name}", said[name])]
    return shlex.join(map(str, ("spm", "prepare", source, *([mix] if mix else options), "--spec", out)))


@click.command("tune")
@click.argument("source")
@mixing
@reads_annotations
@chooses_conventions
@click.option(
    "--sweep",
    "sweeps",
    type=SweepType(),
    multiple=True,
    help="What to try of one field, such as stride=2,4,8 or tau=squared:7,radius:4; may be repeated.  "
    "[default: input_hw, stride, tau, overlap, root, missing_parent and nms, each at its usual values]",
)
@click.option("--rows", type=click.IntRange(1), default=300, show_default=True, help="Images of the sample.")
@click.option("--threads", type=click.IntRange(1), help="Images encoded and decoded at once.  [default: every core]")
@click.option("--out", type=PATH, default="spec.toml", show_default=True, help="TOML file for the pick; must be new.")
@talking
@click.pass_obj
def command(
    settings: Settings,
    /,
    source: str,
    mix: Path | None,
    file: Path | None,
    sweeps: tuple[Axis, ...],
    rows: int,
    threads: int | None,
    out: Path,
    **rest: Any,
) -> None:
    """Try conventions on a sample of SOURCE's annotations: what perfect maps lose, and what they cost; write the pick.

    What comes within 0.5 AP of the best is tried again, on four times as many images. The pick is the cheapest of
    these, in bytes a row, within 0.1 AP of their best; of settings as cheap, to 1 %, the one that changes fewest
    conventions. What --input or --stride sets is not swept. A ceiling says what targets lose, not how hard they are to
    learn. Of people in 3D x and y alone are compared.
    """
    from spmdata.spec_file import write_spec
    from spmdata.tune.search import tune_spec

    if out.exists():
        raise click.UsageError(f"{out} exists; name another file with --out, or remove it")
    check_folder(out)
    start = time.perf_counter()
    changes = given(rest, "preset", "hierarchical", "input_hw", "stride")
    where = given(rest, "annotations", "root", "split", "skeleton", "seed", "cameras")
    take_mix(source, mix, where)
    drawn = {"rows": rows} if source == "synthetic" else {}
    opened, spec = open_with_spec(source, file, changes, no_images=True, **where, **drawn)
    axes = _axes(sweeps, kept={"input_hw", "stride"} & set(changes))
    with progress(settings, "tune", "encodings") as advance:
        tuning = tune_spec(opened, spec, axes=axes, rows=rows, threads=threads, on_encoding=advance)
    write_spec(out, tuning.pick.spec)
    if settings.json:
        print_json({**tuning.to_json(), "out": str(out)})
        return
    _print(opened, tuning, seconds_text(time.perf_counter() - start), every=settings.verbose > 0)
    print_pairs([("written", out), ("next", _next(source, mix, where, out))])


def _axes(sweeps: Sequence[Axis], kept: set[str]) -> list[Axis]:
    """Return the usual axes without those that are kept, each replaced by the sweep of its name, and further sweeps."""
    from spmdata.tune.axes import AXES

    wanted = {axis.name: axis for axis in sweeps}
    if len(wanted) < len(sweeps):
        raise click.UsageError("--sweep takes a field once, with all its values: stride=4,8")
    usual = [wanted.pop(axis.name, axis) for axis in AXES if axis.name not in kept or axis.name in wanted]
    return [*usual, *wanted.values()]


def _print(source: Source, tuning: Tuning, seconds: str, *, every: bool) -> None:
    info = source.info
    titles = [axis.name for axis in tuning.axes if len(axis.settings) > 1]
    trials = tuning.trials if every else tuning.trials[:SHOWN]
    named = {"best": tuning.best, "pick": tuning.pick, "start": tuning.start}
    shown = [trial for trial in tuning.trials if trial in trials or trial in named.values()]
    where = " ".join(filter(None, (info.name, info.split, info.annotations and f"({info.annotations})")))
    more = tuning.rows > tuning.sample
    tried = f"{len(tuning.tried):,} settings on {tuning.encodings:,} encodings, of {tuning.sample:,} images"
    finals = f"{len(tuning.trials):,} settings, within 0.5 AP of the best and the start's, of {tuning.rows:,} images"
    whose = f", {tuning.people:,} labelled people; in {seconds}"
    print_pairs(
        [
            ("source", f"{where}, {len(source):,} images"),
            ("tried", tried + ("" if more else whose)),
            *([("finals", f"{finals}{whose} in all")] if more else []),
            ("shown", f"{len(shown):,} of them" + ("" if every else "; -v shows all")),
        ]
    )
    click.echo()
    _print_trials(titles, shown, named)
    if every and more:
        click.echo(f"\nof {tuning.sample:,} images:\n")
        _print_trials(titles, tuning.tried, {})
    click.echo(
        "\nlost: persons; roots, reads: shares that collide; px of the images; bytes: of the maps in a store\n"
        "pick: the fewest bytes within 0.1 AP of the best; of bytes alike to 1 % what changes least\n"
    )


def _print_trials(titles: Sequence[str], trials: Sequence[Trial], named: dict[str, Trial]) -> None:
    print_table(
        ("", *titles, "AP", "lost", "roots", "reads", "mean px", "99 % px", "bytes/row"),
        [(_marks(trial, named), *(_setting(trial, name) for name in titles), *_cells(trial)) for trial in trials],
    )


def _marks(trial: Trial, named: dict[str, Trial]) -> str:
    return " ".join(name for name, one in named.items() if one is trial)


def _setting(trial: Trial, name: str) -> str:
    spec = trial.spec
    if name == "tau":
        return f"{spec.tau_metric} {spec.tau:g}"
    value = getattr(spec, name)
    return "x".join(map(str, value)) if isinstance(value, tuple) else f"{value}"


def _cells(trial: Trial) -> tuple[str, ...]:
    shares = (f"{trial.roots_collided:.2%}", f"{trial.reads_collided:.2%}")
    errors = (f"{trial.mean_px:.3f}", f"{trial.p99_px:.2f}")
    return (f"{100 * trial.ap:.2f}", f"{sum(trial.lost.values()):,}", *shares, *errors, f"{trial.row_bytes:,.0f}")
