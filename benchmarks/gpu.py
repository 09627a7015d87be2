"""What drawing targets and decoding cost on a GPU, beside the network that they serve.

On CUDA: a batch of 32 at 384 and 512 px, launched op by op and as one CUDA graph (`spmtrain.replay`), against forward
and backward (drawing) or the forward pass (decoding) of the preset ``paper``, eight hourglasses of width 256, in bf16
autocast, as one graph. The goal is a share below 0.02. Without a CUDA device these rows read "not measured".

On CPU: the same work for a batch of 8 on one thread, against the numba codec.

Each round runs every row, both sides in turn; numbers are medians a batch.

Letters: N pictures a batch; P people.
"""

import argparse
import gc
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import torch
from codec_people import ANNOTATIONS, Image, coco_people, fitted, made_up_people
from results import machine, table, write_section
from torch import Tensor

from spmdata.codec import Codec, Targets
from spmdata.padded import PeopleBatch, pad_people
from spmdata.spec import TargetSpec
from spmtrain.config import TrainConfig
from spmtrain.decode import BatchDecoder
from spmtrain.loss import Loss
from spmtrain.maps import Maps, TargetMaps
from spmtrain.model import build_model
from spmtrain.replay import FIRST_CALLS, Replayed
from spmtrain.resolve import PeopleTensors
from spmtrain.targets import BatchEncoder

Action = Callable[[], object]
NOT_MEASURED = "not measured"
#: What is drawn and decoded: the paper's targets, and those that cost most.
SPECS = {
    "flat, squared 7": {},
    "hier, squared 7": {"hierarchical": True},
    "hier, radius 7, nearest": {"hierarchical": True, "tau_metric": "radius", "overlap": "nearest"},
}


@dataclass
class Row:
    """One line of the table: what to run, what to hold it against, and the times of both; nothing without a device."""

    name: str
    people: PeopleBatch
    against: str
    actions: dict[str, Action] = field(default_factory=dict)
    scale: float = 1.0  # of the other side, when it runs on fewer pictures
    times: dict[str, list[float]] = field(default_factory=lambda: {"ours": [], "graph": [], "other": []})


def work(spec: TargetSpec, people: PeopleBatch, device: str) -> dict[str, tuple[Action, Action]]:
    """Return drawing the people's targets on a device, and decoding them: op by op, and replayed."""
    encoder, decoder = BatchEncoder(spec).to(device), BatchDecoder(spec).to(device)
    tables = PeopleTensors.of(people, device)
    drawn: TargetMaps = encoder(tables)
    maps = Maps(drawn.root_heatmap, drawn.offsets)
    return {"draw": both_ways(encoder, tables), "decode": both_ways(decoder, maps)}


def both_ways(module: torch.nn.Module, given: object) -> tuple[Action, Action]:
    replayed = Replayed[object](module)
    return lambda: module(given), lambda: replayed(given)


def network(spec: TargetSpec, people: PeopleBatch, device: str, config: TrainConfig) -> dict[str, Action]:
    """Return a training step without the optimiser, and the forward pass, in bf16 autocast."""
    model, loss = build_model(spec, config).to(device), Loss(spec, config)
    shown = build_model(spec, config).to(device).eval()
    targets: TargetMaps = BatchEncoder(spec).to(device)(PeopleTensors.of(people, device))
    images = torch.randn(len(people.number), 3, *spec.input_hw, device=device).to(memory_format=torch.channels_last)

    def step(images: Tensor, targets: TargetMaps) -> Tensor:
        model.zero_grad()
        with torch.autocast(device, torch.bfloat16):
            stages = model(images)
        total = loss(stages, targets).total
        total.backward()  # type: ignore[no-untyped-call]
        return total.detach()

    def forward(images: Tensor) -> Maps:
        with torch.no_grad(), torch.autocast(device, torch.bfloat16):
            stages: list[Maps] = shown(images)
        return stages[-1]

    stepped, shown_as = Replayed(step), Replayed(forward)
    return {"draw": lambda: stepped(images, targets), "decode": lambda: shown_as(images)}


def fitting_network(images: Sequence[Image], side_px: int, batch: int) -> tuple[int, dict[str, Action]]:
    """Return the network on as many pictures, a batch or a part of it, as its memory takes, and how many those are."""
    spec, n = TargetSpec(input_hw=(side_px, side_px)), batch
    while True:
        actions: dict[str, Action] = {}
        try:
            actions = network(spec, pad(images, side_px, n), "cuda", TrainConfig.preset("paper"))
            for action in actions.values():
                for _ in range(FIRST_CALLS + 1):  # the last is captured
                    action()
            return n, actions
        except torch.cuda.OutOfMemoryError:
            if n == 1:
                raise
        n, actions = n // 2, {}
        clear()


def clear() -> None:
    """Give back the memory of networks and graphs that nobody holds any more."""
    gc.collect()
    torch.cuda.empty_cache()


def gpu_rows(images: Sequence[Image], side_px: int, batch: int) -> list[Row]:
    """Return the rows on CUDA, without actions when there is no such device."""
    rows, found = [], torch.cuda.is_available()
    people = pad(images, side_px, batch)
    n, limits = fitting_network(images, side_px, batch) if found else (batch, {})
    for kind, fields in SPECS.items():
        spec = TargetSpec(input_hw=(side_px, side_px), **fields)  # type: ignore[arg-type]
        actions = work(spec, people, "cuda") if found else {}
        for verb, other in (("draw", "forward and backward"), ("decode", "forward")):
            row = Row(f"{verb} {kind}, {side_px} px, CUDA", people, other if n == batch else f"{other} of {n}, scaled")
            if found:
                launched, replayed = actions[verb]
                row.actions = {"ours": launched, "graph": replayed, "other": limits[verb]}
                row.scale = batch / n
            rows.append(row)
    return rows


def cpu_rows(images: Sequence[Image], side_px: int, batch: int) -> list[Row]:
    """Return the same work on CPU beside the numba codec's."""
    rows, people = [], pad(images, side_px, batch)
    for kind, fields in SPECS.items():
        spec = TargetSpec(input_hw=(side_px, side_px), **fields)  # type: ignore[arg-type]
        codec = Codec(spec)
        kept = codec.encode_batch(people)
        maps = Targets(kept.root_heatmap.copy(), kept.offsets.copy())
        theirs = numba_work(codec, people, kept, maps)
        for verb, (action, _) in work(spec, people, "cpu").items():
            actions = {"ours": action, "other": theirs[verb]}
            rows.append(Row(f"{verb} {kind}, {side_px} px, CPU", people, "numba codec", actions))
    return rows


def numba_work(codec: Codec, people: PeopleBatch, kept: Targets, maps: Targets) -> dict[str, Action]:
    return {"draw": lambda: codec.encode_batch(people, out=kept), "decode": lambda: codec.decode_tables(maps)}


def pad(images: Sequence[Image], side_px: int, batch: int) -> PeopleBatch:
    """Return a batch of people letterboxed into a square input."""
    people = fitted(images[:batch], side_px)
    return pad_people(people, max(map(len, people)), len(TargetSpec().skeleton))


def measure(rows: Sequence[Row], rounds: int) -> None:
    """Time every row's sides in turn, the first rounds for nothing, and let go of what was timed."""
    for r in range(-FIRST_CALLS - 1, rounds):
        for row in rows:
            for side, action in row.actions.items():
                seconds = timing(action, "CUDA" in row.name) * (row.scale if side == "other" else 1)
                if r >= 0:
                    row.times[side].append(seconds)
    for row in rows:
        row.actions.clear()


def timing(action: Action, on_gpu: bool) -> float:
    """Return seconds: on a GPU between two events around the action, its queue empty before; else of this thread."""
    if not on_gpu:
        start = time.thread_time()
        action()
        return time.thread_time() - start
    torch.cuda.synchronize()
    before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    before.record()
    action()
    after.record()
    torch.cuda.synchronize()
    return float(before.elapsed_time(after)) / 1e3


def report(rows: Sequence[Row], source: str) -> str:
    """Return the machine and the table: each ratio beside its two sides."""
    header = ["work", "N", "P", "ours ms", "as a graph ms", "against", "its ms", "ours/its", "graph/its", "n"]
    lines = []
    for row in rows:
        given = [row.name, f"{len(row.people.number)}", f"{row.people.number.mean():.1f}"]
        ours, graph, other = (median(times) * 1e3 if times else None for times in row.times.values())
        if ours is None or other is None:
            lines.append([*given, NOT_MEASURED, "", row.against, NOT_MEASURED, "", "", "0"])
            continue
        replayed = ["", ""] if graph is None else [f"{graph:.3f}", f"{graph / other:.4f}"]
        sides = [f"{ours:.3f}", replayed[0], row.against, f"{other:.3f}", f"{ours / other:.4f}", replayed[1]]
        lines.append([*given, *sides, f"{len(row.times['ours'])}"])
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
    text = f"Medians a batch over n rounds; N pictures a batch, P people a picture ({source}). CPU: time of one thread."
    return f"{machine('numpy', 'numba', 'torch')}; {name}.\n\n{text}\n\n{table(header, lines)}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Time targets and decoding on a GPU; prints a table.")
    parser.add_argument("--rounds", type=int, default=30, help="rounds (default 30)")
    parser.add_argument("--batch", type=int, default=32, help="pictures a batch on CUDA (default 32)")
    parser.add_argument("--write", action="store_true", help="write the section of RESULTS.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    folder = os.environ.get("SPM_DATA")
    path = Path(folder) / ANNOTATIONS if folder else None
    if path is None or not path.exists():
        print(f"SPM_DATA has no {ANNOTATIONS}: people are made up", file=sys.stderr)
        images, source = made_up_people(rng), "made up"
    else:
        images, source = coco_people(path), "COCO val2017"
    images = [images[i] for i in rng.permutation(len(images))[: max(arguments.batch, 8)]]
    rows: list[Row] = []
    for side in (384, 512):
        rows += (new := gpu_rows(images, side, arguments.batch))
        measure(new, arguments.rounds)
        if torch.cuda.is_available():
            clear()
    rows += (new := cpu_rows(images, 512, 8))
    measure(new, arguments.rounds)
    print(text := report(rows, source))
    if arguments.write:
        write_section("GPU", text)


if __name__ == "__main__":
    main()
