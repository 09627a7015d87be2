"""What the preset `tiny` and the demo's targets were settled on: one thing changed at a time, the same steps each.

Drawn people, the same for every recipe; AP on held-out ones, alone and averaged with the mirror image. One seed: a
difference of one AP may be luck.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from results import machine, table, write_section

from spmcli.demo import demo_spec
from spmdata.prepare.plan import plan_store
from spmdata.prepare.run import prepare_store
from spmdata.sources.registry import open_source
from spmdata.spec import TargetSpec
from spmdata.store.reader import open_store
from spmtrain.config import TrainConfig
from spmtrain.evaluate import evaluate
from spmtrain.loop import fit
from spmtrain.predict import Predictor

#: What each recipe changes: of the demo's targets, and of the preset tiny.
RECIPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "settled": ({}, {}),
    "AdamW, lr 0.004": ({}, {"optimiser": "adamw"}),
    "Muon, lr 0.01": ({}, {"lr": 0.01}),
    "Muon, lr 0.04": ({}, {"lr": 0.04}),
    "bottleneck residuals": ({}, {"block": "bottleneck"}),
    "width 32, 64, 96, 128": ({}, {"features": (32, 64, 96, 128)}),
    "batch norm": ({}, {"norm": "batch"}),
    "no mirror images": ({}, {"mirror": 0.0}),
    "beta 1": ({}, {"beta": 1.0}),
    "beta 6": ({}, {"beta": 6.0}),
    "the paper's loss, beta 0.01": ({}, {"loss_norm": "paper"}),
    "tau 7 (21 cells)": ({"tau": 7.0}, {}),
    "tau 1 (5 cells)": ({"tau": 1.0}, {}),
    "overlap mean": ({"overlap": "mean"}, {}),
    "sigma 1.7": ({"sigma": 1.7}, {}),
    "sigma 3.5": ({"sigma": 3.5}, {}),
    "flat": ({"hierarchical": False}, {}),
    "missing_parent stay": ({"missing_parent": "stay"}, {}),
    "stride 8, sigma 1.5": ({"stride": 8, "sigma": 1.5}, {}),
}


def store_of(folder: Path, spec: TargetSpec, rows: int, seed: int) -> Path:
    """Prepare drawn people, unless that has been done for another recipe."""
    path = folder / f"{seed}-{spec.fingerprint()[:12]}.zarr"
    source = open_source("synthetic", rows=rows, seed=seed, size_hw=spec.input_hw)
    prepare_store(plan_store(source, spec, path, shard_rows=64), scheduler="processes")
    return path


def run(folder: Path, name: str, rows: int, steps: int, threads: int, seed: int) -> list[str]:
    """Train one recipe and return its line."""
    of_targets, of_training = RECIPES[name]
    spec = demo_spec().override(**of_targets)
    train, val = (store_of(folder, spec, n, 2 * seed + i) for i, n in enumerate((rows, 240)))
    out = folder / f"run {name.replace('/', ' ')}"
    settled = {"steps": steps, "seed": seed, "threads": threads, "save_every": 10**9, "out": str(out)}
    start = time.process_time()
    result = fit(train, TrainConfig.from_json({**settled, **of_training}))
    seconds = time.process_time() - start
    scores = [
        evaluate(Predictor(result.checkpoint, "cpu", flip=flip), open_store(val)).scores for flip in (False, True)
    ]
    aps = [f"{100 * value:.1f}" for s in scores for value in (s.AP, s.AP50)]
    return [name, f"{sum(result.losses[-100:]) / len(result.losses[-100:]):.3f}", f"{seconds:.0f}", *aps]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1200, help="of each recipe")
    parser.add_argument("--rows", type=int, default=4000, help="images to train on")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="that compute")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=list(RECIPES), choices=list(RECIPES), help="recipes to run")
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md")
    options = parser.parse_args()
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only:
            lines.append(run(Path(folder), name, options.rows, options.steps, options.threads, options.seed))
            print(" | ".join(lines[-1]), flush=True)
    header = ("recipe", "loss", "CPU s", "AP", "AP50", "AP flip", "AP50 flip")
    text = (
        f"{machine('torch')}, {options.threads} threads\n\n{options.steps:,} steps of 16 images, seed {options.seed}; "
    )
    text += f"240 held-out images; area is the silhouette of the whole person\n\n{table(header, lines)}"
    print(text)
    if options.write:
        write_section("recipes", text)


if __name__ == "__main__":
    main()
