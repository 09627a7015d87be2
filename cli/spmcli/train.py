"""`spm train`: a network from a store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from spmcli.options import PATH, STORE, Place, Settings, talking
from spmcli.output import plain_note, print_json, print_pairs, progress, seconds_text

if TYPE_CHECKING:
    from spmtrain.log import StepLog


@click.command("train")
@click.option("--store", type=STORE, required=True, help="Finished store with images.")
@click.option("--val", type=STORE, help="Store to evaluate on; best.pt is kept by its AP.")
@click.option("--resume", is_flag=True, help="Go on from OUT/last.pt, exactly as if the run had not stopped.")
@click.option("--config", type=PATH, help="TOML file of training settings; the options here win over it.")
@click.option("--preset", help="Network: tiny, small or paper (8 stacks of 256).  [default: tiny]")
@click.option("--steps", type=int, help="Optimiser steps.  [default: the preset's; 600 for tiny]")
@click.option("--batch", type=int, help="Rows a step.  [default: the preset's; 16 for tiny]")
@click.option("--lr", type=float, help="Learning rate.  [default: the preset's, else the optimiser's; 0.02 for tiny]")
@click.option("--seed", type=int, help="Of the first weights and the order of rows.  [default: 0]")
@click.option(
    "--threads", type=int, help="Threads that compute, and that read ahead.  [default: every core, and at most 8 read]"
)
@click.option("--device", help="auto, cpu or cuda.  [default: auto]")
@click.option(
    "--compile/--no-compile",
    default=None,
    help="On a GPU: have torch compile the network first, a minute or two.  [default: no]",
)
@click.option("--out", type=PATH, help="Folder for the checkpoint.  [default: run]")
@talking
@click.pass_obj
def command(
    settings: Settings,
    /,
    store: Place,
    val: Place | None,
    resume: bool,
    config: Path | None,
    out: Path | None,
    **chosen: object,
) -> None:
    """Train on a prepared store; leaves last.pt, best.pt and metrics.jsonl in OUT."""
    from spmtrain.config import TrainConfig
    from spmtrain.loop import fit

    changes = {name: value for name, value in chosen.items() if value is not None}
    if out is not None:
        changes["out"] = str(out)
    resolved = TrainConfig.from_toml(config, **changes) if config else TrainConfig.from_json(changes)
    seconds, waited = 0.0, 0.0
    with progress(settings, "train", "steps") as advance:

        def on_step(log: StepLog) -> None:
            nonlocal seconds, waited
            seconds, waited = seconds + log.step_s, waited + log.wait_s
            advance(log.step, resolved.steps)
            if log.step == 1 or log.step % max(1, resolved.steps // 20) == 0:
                terms = f"root {sum(log.root):9.4f}  offsets {sum(log.offsets):9.4f}"
                if any(log.root_depth):
                    terms += f"  z {sum(log.offsets_z):7.4f}  root depth {sum(log.root_depth):7.4f}"
                rate = f"{resolved.batch / log.step_s:6.1f} rows/s"
                plain_note(settings, f"step {log.step:5d}  loss {log.total:9.4f}  {terms}  {rate}")

        try:
            result = fit(store, resolved, on_step, val=val, resume=resume)
        except KeyboardInterrupt:
            if Path(resolved.out, "last.pt").exists():
                settings.resume = "run the same command again with --resume to go on"
            raise
    if settings.json:
        print_json({"version": 1, "checkpoint": str(result.checkpoint), "config": resolved.to_json(),
                    "losses": result.losses, "seconds": seconds, "seconds_waiting": waited})  # fmt: skip
        return
    tenth = max(1, len(result.losses) // 10)
    first, last = (sum(part) / tenth for part in (result.losses[:tenth], result.losses[-tenth:]))
    lines: list[tuple[str, object]] = [("checkpoint", result.checkpoint)]
    if result.losses:
        lines += [
            ("loss", f"{first:.4f} over the first {tenth} steps, {last:.4f} over the last ({last / first:.0%})"),
            ("time", f"{seconds_text(seconds)}, {waited / max(seconds, 1e-9):.1%} of it waiting for data"),
        ]
    if result.evaluation:
        scores, ceiling = result.evaluation.scores, result.evaluation.ceiling
        lines.append(("AP", f"{100 * scores.AP:.1f} (AP50 {100 * scores.AP50:.1f}), ceiling {100 * ceiling.AP:.1f}"))
        if deep := result.evaluation.pose3d:
            lines.append(("3D", f"MPJPE {deep.MPJPE:.0f} mm and root {deep.root:.0f} mm of {deep.matched:,} matched of "
                                f"{deep.people:,} people, PCK150 {100 * deep.PCK150:.1f} of all"))  # fmt: skip
    print_pairs(lines)
