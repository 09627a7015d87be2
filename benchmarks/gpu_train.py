"""How fast the paper's network trains on a GPU, how near its peak that is, and whether it ever waits for data.

On a store of ``spm prepare coco --hier``, what ``spm train --preset paper`` does but its command line. The first steps
are left out: they choose algorithms and fill the stream.

* The work of a step is counted, products of matrices and convolutions alone, forward and backward.
* The peak is a product of 8192 x 8192 matrices in bf16, measured in the same run.
* A stream alone, whose batches nobody computes on, says how many rows a second there could be.

Letters: B rows of a batch.
"""

import argparse
import sys
import tempfile
import textwrap
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import get_args

import torch
from results import machine, table, write_section
from torch.utils.flop_counter import FlopCounterMode

from spmdata.spec import TargetSpec
from spmdata.store.reader import open_store
from spmtrain.config import TrainConfig
from spmtrain.log import StepLog
from spmtrain.loop import fit
from spmtrain.model import build_model
from spmtrain.stream import MapsFrom, ShardStream

WARM_STEPS = 20
PEAK_SIDE = 8192


def peak_flop_s() -> float:
    """Return what a large product of random matrices in bf16 reaches, the median of ten."""
    a, b = (torch.randn(PEAK_SIDE, PEAK_SIDE, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    times: list[float] = []
    for _ in range(13):
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        before.record()
        a @ b
        after.record()
        torch.cuda.synchronize()
        times.append(before.elapsed_time(after) / 1e3)
    return float(2 * PEAK_SIDE**3 / median(times[3:]))


def step_flop(spec: TargetSpec, config: TrainConfig) -> int:
    """Return the operations of a step's forward and backward pass, counted on shapes alone."""
    with torch.device("meta"):
        network = build_model(spec, config)
        images = torch.empty(config.batch, 3, *spec.input_hw)
    with FlopCounterMode(display=False) as counter:
        outputs = [part.sum() for maps in network(images) for part in maps if part is not None]
        torch.stack(outputs).sum().backward()  # type: ignore[no-untyped-call]
    return int(counter.get_total_flops())


def trained(store: Path, config: TrainConfig) -> list[StepLog]:
    """Return what each step behind the first did."""
    logs: list[StepLog] = []
    with tempfile.TemporaryDirectory() as folder:
        fit(store, replace(config, steps=config.steps + WARM_STEPS, out=f"{folder}/run"), logs.append)
    return logs[WARM_STEPS:]


def streamed(store: Path, config: TrainConfig, targets: MapsFrom) -> float:
    """Return rows a second of a stream alone."""
    with ShardStream(store, config.batch, threads=config.threads, device="cuda", targets=targets) as batches:
        for _ in range(WARM_STEPS):
            next(batches)
        start = time.perf_counter()
        for _ in range(config.steps):
            next(batches)
        return config.steps * config.batch / (time.perf_counter() - start)


def run(store: Path, config: TrainConfig, flop: int, peak_flop_s: float) -> list[str]:
    """Train and return the cells of one line."""
    torch.cuda.reset_peak_memory_stats()
    logs = trained(store, config)
    step_s = median(log.step_s for log in logs)
    waited = sum(log.wait_s for log in logs) / sum(log.step_s for log in logs)
    reached, memory = flop / step_s, torch.cuda.max_memory_allocated()
    return [
        f"{1e3 * step_s:.1f}",
        f"{config.batch / step_s:.0f}",
        f"{waited:.3%}",
        f"{reached / 1e12:.0f}",
        f"{reached / peak_flop_s:.3f}",
        f"{memory / 2**30:.1f}",
        f"{len(logs)}",
    ]


def report(store: Path, config: TrainConfig, ways: Sequence[bool]) -> str:
    """Measure and return the machine and the table."""
    spec, n = open_store(store).spec, len(open_store(store))
    flop, peak = step_flop(spec, config), peak_flop_s()
    alone = {targets: streamed(store, config, targets) for targets in get_args(MapsFrom)}
    header = ["network", "step ms", "rows/s", "waiting", "TFLOP/s", "of peak", "GiB", "n"]
    lines = [["compiled" if way else "as it is", *run(store, replace(config, compile=way), flop, peak)] for way in ways]
    (height, width), where = spec.input_hw, f"{machine('numpy', 'numba', 'torch')}; {torch.cuda.get_device_name()}."
    text = (
        f"{config.stacks} hourglasses of {config.features[0]} at {height} x {width} px in bf16, {config.batch} rows a "
        f"step of a store of {n}, {config.threads} threads that read ahead; medians of n steps, the first {WARM_STEPS} "
        f"left out; waiting for data as a share of all of them. A step is {flop / 1e12:.2f} TFLOP; the peak, a product "
        f"of {PEAK_SIDE} x {PEAK_SIDE} in bf16, {peak / 1e12:.0f} TFLOP/s. A stream alone: "
        f"{' and '.join(f'{rows_s:.0f} rows/s with targets {targets}' for targets, rows_s in alone.items())}."
    )
    return f"{where}\n\n{textwrap.fill(text, 140)}\n\n{table(header, lines)}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the paper's network on a GPU; prints a table.")
    parser.add_argument("--store", type=Path, required=True, help="made by spm prepare coco --hier")
    parser.add_argument("--preset", default="paper", help="network and recipe (default paper)")
    parser.add_argument("--steps", type=int, default=60, help="steps timed (default 60)")
    parser.add_argument("--threads", type=int, default=8, help="that read (default 8, as spm train on as many cores)")
    parser.add_argument("--compile", action="store_true", help="a line for the compiled network too: minutes more")
    parser.add_argument("--write", action="store_true", help="write the section of RESULTS.md")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("torch finds no CUDA device: not measured")
    config = TrainConfig.preset(arguments.preset, steps=arguments.steps, threads=arguments.threads)
    print(text := report(arguments.store, config, (False, True) if arguments.compile else (False,)))
    if arguments.write:
        write_section("GPU training", text)


if __name__ == "__main__":
    main()
