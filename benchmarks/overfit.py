"""Can the network learn sixteen real images by heart? AP on those very images after three minutes of training.

The first sixteen images of `$SPM_DATA`'s mini train set that have a labelled person, hierarchical, tiny network. The
ceiling of the targets stands beside the result: no training passes it.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import torch
from results import machine, table, write_section

from spmdata.prepare.plan import plan_store
from spmdata.prepare.run import prepare_store
from spmdata.sources.coco import CocoSource
from spmdata.spec import TargetSpec
from spmdata.store.reader import open_store
from spmtrain.config import TrainConfig
from spmtrain.evaluate import evaluate
from spmtrain.loop import fit
from spmtrain.predict import Predictor

IMAGES = 16
TRIAL_STEPS, WARM_STEPS = 16, 6


def sixteen(folder: Path) -> CocoSource:
    """Return a source of the first images with a labelled person."""
    root = Path(os.environ["SPM_DATA"]) / "coco"
    content = json.loads((root / "annotations/person_keypoints_train2017_mini.json").read_text())
    labelled = {a["image_id"] for a in content["annotations"] if a["num_keypoints"] and not a["iscrowd"]}
    ids = sorted(labelled)[:IMAGES]
    content["images"] = [image for image in content["images"] if image["id"] in ids]
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] in ids]
    path = folder / "sixteen.json"
    path.write_text(json.dumps(content))
    return CocoSource.read(path, image_root=root / "images/train2017")


def run(folder: Path, store: Path, config: TrainConfig, minutes: float) -> list[str]:
    """Train for so long and return the cells of one row of the table."""
    trial: list[float] = []
    trial_config = TrainConfig.from_json({**config.to_json(), "steps": TRIAL_STEPS, "out": str(folder / "trial")})
    start = time.perf_counter()
    fit(store, trial_config, lambda log: trial.append(log.step_s))
    left = 60 * minutes - (time.perf_counter() - start)
    steps = int(left / (sum(trial[WARM_STEPS:]) / (TRIAL_STEPS - WARM_STEPS)))
    start = time.perf_counter()
    config = TrainConfig.from_json({**config.to_json(), "steps": steps, "out": str(folder / "run")})
    result = fit(store, config)
    seconds = time.perf_counter() - start
    scored = evaluate(Predictor(result.checkpoint), open_store(store))
    for name in ("trial", "run"):
        for file in (folder / name).iterdir():
            file.unlink()
    return [
        *(str(config.seed), f"{seconds:.0f}", f"{steps:,}", f"{sum(result.losses[-50:]) / 50:.3f}"),
        *(f"{100 * value:.1f}" for value in (scored.scores.AP, scored.scores.AP50, scored.ceiling.AP)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="of training, each seed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--missing-parent", default="stay", help="reparent, stay or drop")
    parser.add_argument("--input", type=int, default=192, help="network input, px")
    parser.add_argument("--sigma", type=float, default=2.5, help="cells")
    parser.add_argument("--tau", type=float, default=2.0, help="cells squared")
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md")
    options = parser.parse_args()
    if "SPM_DATA" not in os.environ:
        raise SystemExit("SPM_DATA is unset: it names the folder with coco/")
    spec = TargetSpec.preset(
        "sharp",
        hierarchical=True,
        input_hw=(options.input, options.input),
        sigma=options.sigma,
        tau=options.tau,
        nms=3,
        missing_parent=options.missing_parent,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = folder / "sixteen.zarr"
        prepare_store(plan_store(sixteen(folder), spec, store))
        rows = []
        for seed in range(options.seeds):
            config = TrainConfig(mirror=0.0, seed=seed)  # by heart: not in the mirror
            rows.append(run(folder, store, config, options.minutes))
    header = ("seed", "seconds", "steps", "loss", "AP", "AP50", "ceiling AP")
    settings = (
        f"input {options.input} px, sigma {options.sigma} cells, tau {options.tau}, nearest, {options.missing_parent}, "
    )
    settings += f"3x3 NMS, tiny without mirror images, {torch.get_num_threads()} threads"
    text = f"{machine('torch')}\n\n{IMAGES} images of COCO train2017; {settings}\n\n{table(header, rows)}"
    print(text)
    if options.write:
        write_section("overfit", text)


if __name__ == "__main__":
    main()
