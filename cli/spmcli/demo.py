"""`spm demo`: the whole idea on built-in data: draw, prepare, verify, train, evaluate, show."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from spmcli.options import Settings, talking
from spmcli.output import plain_note, print_json, print_pairs, print_table, progress, seconds_text

if TYPE_CHECKING:
    from spmdata.spec import TargetSpec
    from spmtrain.config import TrainConfig
    from spmtrain.evaluate import Evaluation

INPUT_PX = 128
VAL_ROWS = 240
#: Steps of the trial that tells how fast this machine is; the first ones warm up.
TRIAL_STEPS, WARM_STEPS = 40, 10
#: Steps of the training itself, however slow the machine.
LEAST_STEPS = 30
#: Seconds kept back for evaluation, pictures and what the trial misjudges.
RESERVE_SECONDS = 20.0
#: Images drawn for each minute: on two cores each is then seen about eleven times, half of them mirrored.
ROWS_A_MINUTE = 1500


@click.command("demo")
@click.option("--minutes", type=float, default=5.0, show_default=True, help="Time for all of it; more trains longer.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="demo",
    show_default=True,
    help="Folder for everything; must be new.",
)
@click.option(
    "--rows", type=click.IntRange(1), help=f"Images to train on.  [default: {ROWS_A_MINUTE:,} for each minute]"
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the people, the first weights and the order.")
@click.option("--threads", type=int, help="Threads that compute.  [default: every core]")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@talking
@click.pass_obj
def command(
    settings: Settings, /, minutes: float, out: Path, rows: int | None, seed: int, threads: int | None, device: str
) -> None:
    """Show the whole job without any download: people are drawn, trained on, found and scored."""
    from spmtrain.config import TrainConfig

    start = time.perf_counter()
    if (out / "run").exists():
        raise click.UsageError(f"{out} holds a demo already; name another folder with --out, or remove it")
    out.mkdir(parents=True, exist_ok=True)
    spec = demo_spec()
    stages: list[tuple[str, int, float]] = []
    train_rows = rows or max(100, round(ROWS_A_MINUTE * minutes))
    for name, count, which in (("train", train_rows, 2 * seed), ("val", VAL_ROWS, 2 * seed + 1)):
        stages += _prepare_and_verify(settings, spec, out / f"{name}.zarr", count, which)
    settled = {"seed": seed, "threads": threads or 0, "device": device, "save_every": 10**9, "out": str(out / "run")}
    config = TrainConfig.from_json(settled)
    left = 60 * minutes - (time.perf_counter() - start) - RESERVE_SECONDS
    steps, seconds = _train(settings, out, config, left)
    stages.append(("train", steps * config.batch, seconds))
    plain, flipped = (_evaluate(settings, out, config, flip) for flip in (False, True))
    sheet = _contact_sheet(out, device)
    total = time.perf_counter() - start
    if settings.json:
        scores = {"evaluation": plain.to_json(), "with_flip": flipped.to_json()}
        run = {"steps": steps, "seed": seed, "seconds": total, "stages": stages, "sheet": str(sheet)}
        print_json({"version": 1, **scores, **run})
        return
    _report(out, stages, plain, flipped, total, sheet)


def demo_spec() -> TargetSpec:
    """Return the targets of the demo: small maps want a narrow Gaussian, and unmixed vectors on few cells."""
    from spmdata.spec import TargetSpec

    size = (INPUT_PX, INPUT_PX)
    return TargetSpec.preset("sharp", hierarchical=True, input_hw=size, sigma=2.5, tau=2.0, nms=3, threshold=0.1)


def _prepare_and_verify(
    settings: Settings, spec: TargetSpec, path: Path, rows: int, seed: int
) -> list[tuple[str, int, float]]:
    """Write one store and check it; return what took how long."""
    from spmdata.prepare.plan import plan_store
    from spmdata.prepare.run import prepare_store
    from spmdata.sources.registry import open_source
    from spmdata.verify.run import verify_store

    source = open_source("synthetic", rows=rows, seed=seed, size_hw=spec.input_hw)
    plan = plan_store(source, spec, path, shard_rows=64)
    with progress(settings, f"draw {path.name}", "shards") as advance:
        summary = prepare_store(plan, scheduler="processes", on_shard=lambda record, done, total: advance(done, total))
    plain_note(settings, f"prepared {path}: {rows:,} rows in {seconds_text(summary.seconds)}")
    start = time.perf_counter()
    with progress(settings, f"verify {path.name}", "rows") as advance:
        report = verify_store(path, on_rows=advance)
    if not report.ok:
        raise click.ClickException(f"{path} does not verify: run spm verify-targets {path}")
    return [(f"prepare {path.name}", rows, summary.seconds), (f"verify {path.name}", rows, time.perf_counter() - start)]


def _train(settings: Settings, out: Path, config: TrainConfig, left: float) -> tuple[int, float]:
    """Train for so many seconds: a trial says how many steps that is. Return steps and seconds."""
    import shutil
    from dataclasses import replace

    from spmtrain.loop import fit

    trial: list[float] = []
    start = time.perf_counter()
    shutil.rmtree(out / "trial", ignore_errors=True)  # of a demo that was interrupted in it
    fit(
        out / "train.zarr",
        replace(config, steps=TRIAL_STEPS, out=str(out / "trial")),
        lambda log: trial.append(log.step_s),
    )
    shutil.rmtree(out / "trial")
    each = median(trial[WARM_STEPS:])
    steps = max(LEAST_STEPS, int((left - (time.perf_counter() - start)) / each))
    config = replace(config, steps=steps)
    start = time.perf_counter()
    with progress(settings, "train", "steps") as advance:

        def on_step(log: Any) -> None:
            advance(log.step, steps)
            if log.step % max(1, steps // 10) == 0:
                plain_note(settings, f"step {log.step} of {steps}, loss {log.total:.3f}")

        fit(out / "train.zarr", config, on_step)
    return steps, time.perf_counter() - start


def _evaluate(settings: Settings, out: Path, config: TrainConfig, flip: bool) -> Evaluation:
    """Score the network on the held-out images, alone or averaged with its view of their mirror images."""
    from spmdata.store.reader import open_store
    from spmtrain.evaluate import evaluate
    from spmtrain.predict import Predictor

    with progress(settings, "evaluate", "images") as advance:
        predictor = Predictor(out / "run/last.pt", config.device, flip=flip)
        return evaluate(predictor, open_store(out / "val.zarr"), on_rows=advance)


def _contact_sheet(out: Path, device: str) -> Path:
    """Draw the people found in the first held-out images."""
    import torch

    from spmdata.draw import contact_sheet, draw_people
    from spmdata.images import load_input, write_image
    from spmdata.store.reader import open_store
    from spmtrain.predict import Predictor

    store, predictor = open_store(out / "val.zarr"), Predictor(out / "run/last.pt", device, flip=True, threshold=0.2)
    size_hw = store.spec.input_hw
    inputs = [load_input(store.image_bytes(row), size_hw, size_hw) for row in range(24)]
    found = predictor.inputs(torch.stack([torch.from_numpy(pixels) for pixels in inputs]))
    pictures = [
        draw_people(pixels, people, store.skeleton, zoom=1.5) for pixels, people in zip(inputs, found, strict=True)
    ]
    write_image(out / "found.png", contact_sheet(pictures, 6))
    return out / "found.png"


def _report(
    out: Path, stages: list[tuple[str, int, float]], plain: Evaluation, flipped: Evaluation, total: float, sheet: Path
) -> None:
    print_table(
        ("stage", "rows", "seconds", "rows/s"),
        [(name, f"{rows:,}", f"{seconds:.1f}", f"{rows / seconds:,.0f}") for name, rows, seconds in stages],
    )
    click.echo()
    print_table(
        (f"on {plain.images} held-out images", "AP", "AP50", "AP75", "PCK@.1"),
        [
            (name, *(f"{100 * value:.1f}" for value in (s.AP, s.AP50, s.AP75, share)))
            for name, s, share in (
                ("ceiling of the targets", plain.ceiling, plain.ceiling_pck),
                ("trained network", plain.scores, plain.pck),
                ("averaged with its mirror image (--flip)", flipped.scores, flipped.pck),
            )
        ],
    )
    click.echo()
    print_pairs(
        [
            ("took", seconds_text(total)),
            ("area in OKS", "silhouette of the whole person, hidden parts included"),
            ("pictures", sheet),
            ("network", out / "run/last.pt"),
            ("stores", f"{out / 'train.zarr'}, {out / 'val.zarr'}"),
            ("try next", f"spm predict {out / 'run/last.pt'} YOUR_IMAGES --flip --draw drawn"),
            ("", f"spm demo --minutes 20 --out {out}20"),
            ("", "spm prepare coco --hier"),
        ]
    )
