"""What `spm prepare` plans and what then happens, and how much of its time is compression that nobody can do without.

Each line is a plan and its run in a process of its own: bytes of the store, peak memory and seconds, as planned, as
they were, and their ratio. Memory is what the operating system counted, worker processes added as if they shared
nothing; seconds go from the first shard on, or from the start of the first worker process. With images: the 160 of
train2017_mini, five times each; without: an eighth of train2017's annotations. Before that, in one process and by
turns of half a second, as the machine's speed changes, rows a second and core of `prepare_store` without images on
1,280 of those rows, and of encoding, zstd and crc32c alone on the same: the same kernels and chunks, no annotations, no
checksums of files, no disk. Needs `$SPM_DATA`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from dask.callbacks import Callback
from results import machine, table, write_section

from spmdata.codec import Codec
from spmdata.geometry import letterbox
from spmdata.prepare.plan import Estimate, Plan, plan_store, process_memory
from spmdata.prepare.run import cores, prepare_store
from spmdata.prepare.task import BATCH_ROWS
from spmdata.sources.coco import CocoSource
from spmdata.spec import TargetSpec
from spmdata.store.chunks import encode_chunk
from spmdata.store.ledger import ShardRecord

SPEC = TargetSpec(hierarchical=True)
#: Rows of a turn: five shards, the first of which is not counted.
ROWS = 1280
#: Name, annotations, options of the plan, and the scheduler.
CASES: tuple[tuple[str, str, dict[str, Any], str], ...] = (
    ("no images", "part", {"images": False}, "threads"),
    ("no images, --no-maps", "part", {"images": False, "maps": False}, "threads"),
    ("images", "mini", {}, "threads"),
    ("images, --no-maps", "mini", {"maps": False}, "threads"),
    ("images, --views 3", "mini", {"views": 3}, "threads"),
    ("no images, processes", "part", {"images": False}, "processes"),
    ("images, processes", "mini", {}, "processes"),
)


def annotation_files(folder: Path) -> dict[str, Path]:
    """Write an eighth of train2017, some images of that, and train2017_mini five times over."""
    data = Path(os.environ["SPM_DATA"]) / "coco/annotations"
    whole = json.loads(gzip.decompress((data / "person_keypoints_train2017.json.gz").read_bytes()))
    mini = json.loads((data / "person_keypoints_train2017_mini.json").read_text())
    far = 10**8
    often = {
        "categories": mini["categories"],
        "images": [{**i, "id": i["id"] + n * far} for n in range(5) for i in mini["images"]],
        "annotations": [
            {**a, "image_id": a["image_id"] + n * far, "id": a["id"] * 5 + n}
            for n in range(5)
            for a in mini["annotations"]
        ],
    }
    part = whole["images"][::8]
    contents = {"part": shown_in(whole, part), "few": shown_in(whole, part[:ROWS]), "mini": often}
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return {name: folder / f"{name}.json" for name in contents}


def shown_in(whole: dict[str, Any], images: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the part of COCO annotations that some images show."""
    ids = {image["id"] for image in images}
    return {**whole, "images": images, "annotations": [a for a in whole["annotations"] if a["image_id"] in ids]}


def plan_of(annotations: Path, out: Path, options: dict[str, Any]) -> Plan:
    """Plan a store of COCO annotations."""
    root = Path(os.environ["SPM_DATA"]) / "coco/images/train2017" if options.get("images", True) else None
    return plan_store(CocoSource.read(annotations, image_root=root), SPEC, out, **options)


def run_one(annotations: Path, out: Path, options: dict[str, Any], scheduler: str) -> dict[str, Any]:
    """Plan and run; return the estimate, the times of the shards and the peak memory."""
    plan = plan_of(annotations, out, options)
    times: list[float] = []
    workers: dict[int | None, int] = {}

    def note(*_: object) -> None:
        times.append(time.perf_counter())
        for child in multiprocessing.active_children():  # one that ends meanwhile has none any more, but had its peak
            workers[child.pid] = max(workers.get(child.pid, 0), process_memory(child.pid or 0)[0])

    with Callback(start=note):  # when Dask has the shards, and nothing is done yet
        prepare_store(plan, scheduler=scheduler, on_shard=note)
    peak = process_memory()[0] + sum(workers.values())
    return {"estimate": asdict(plan.estimate), "seconds": times[-1] - times[0], "peak": peak}


def line(case: str, annotations: Path, out: Path, options: dict[str, Any], scheduler: str) -> list[str]:
    """Run one case in a process of its own and return its row of the table."""
    command = [sys.executable, __file__, "--one", json.dumps([str(annotations), str(out), options, scheduler])]
    done = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    estimate, processes = Estimate(**done["estimate"]), scheduler == "processes"
    packed = sum(f.stat().st_size for f in out.parent.rglob("*") if f.is_file())
    pairs = [
        (estimate.bytes / 1e6, packed / 1e6, "MB"),
        (estimate.memory_bytes(cores(), processes=processes) / 1e6, done["peak"] / 1e6, "MB"),
        (estimate.seconds(cores(), cores(), processes=processes), done["seconds"], "s"),
    ]
    texts = [f"{a:.1f}, {b:.1f} {unit} ({a / b:.2f})" for a, b, unit in pairs]
    return [out.suffix, case, f"{estimate.shards}", *texts]


def alone(plan: Plan, rows: int) -> float:
    """Return rows a second of encoding and compressing maps, and nothing else."""
    codec, arrays = Codec(SPEC), {array.name: array for array in plan.layout.arrays()}
    samples = [plan.source[i] for i in range(rows)]
    people = [s.people.transform(letterbox(s.size_hw, SPEC.input_hw).affine) for s in samples]
    kept = codec.empty_targets(BATCH_ROWS)
    start = time.thread_time()
    for at in range(0, rows, BATCH_ROWS):
        for name, maps in codec.encode_batch(people[at : at + BATCH_ROWS], kept)._asdict().items():
            for row in () if maps is None else maps:
                encode_chunk(arrays[name], row)
    return rows / (time.thread_time() - start)


def prepared(plan: Plan) -> tuple[float, float]:
    """Return rows a second of wall time and of a core from the first shard on, one worker, of a new store."""
    wall: list[float] = []
    core: list[float] = []
    sizes: list[int] = []

    def note(record: ShardRecord, done: int, total: int) -> None:
        wall.append(time.perf_counter())
        core.append(time.process_time())
        sizes.append(record.stop - record.start)

    prepare_store(plan, workers=1, on_shard=note)
    rows = sum(sizes[1:])  # Dask may begin with the last shard, which has fewer rows
    return rows / (wall[-1] - wall[0]), rows / (core[-1] - core[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--write", action="store_true", help="put the tables into RESULTS.md")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of prepare against compression alone")
    options = parser.parse_args()
    if "SPM_DATA" not in os.environ:
        raise SystemExit("SPM_DATA is unset: it names the folder with coco/annotations")
    if options.one:
        annotations, out, *case = json.loads(options.one)
        print(json.dumps(run_one(Path(annotations), Path(out), *case)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as name:
        files = annotation_files(Path(name))
        # First, as some file systems take long to make files soon after others were removed.
        plan = plan_of(files["few"], Path(name) / "b.zarr", {"images": False})
        rates = [
            (alone(plan, len(plan.source)), *prepared(replace(plan, path=Path(name) / f"b{number}.zarr")))
            for number in range(options.rounds)
        ]
        for form in ("zarr", "h5"):
            for case, which, keywords, scheduler in CASES:
                out = Path(name) / "store" / f"a.{form}"
                out.parent.mkdir()
                rows.append(line(case, files[which], out, keywords, scheduler))
                shutil.rmtree(out.parent)
    header = (
        "form",
        "what",
        "shards",
        "bytes: plan, run",
        "peak memory: plan, run",
        "from the first shard on: plan, run",
    )
    least, wall, core = np.median(rates, axis=0)
    text = (
        f"{machine('numpy', 'numba', 'zarr', 'h5py', 'dask')}\n\n{table(header, rows)}\n\n"
        f"Without images, one worker, rows a second: encoding, zstd and crc32c alone {least:,.0f}; `prepare_store` "
        f"{wall:,.0f} ({np.median([w / a for a, w, _ in rates]):.2f} of that), {core:,.0f} a core's second "
        f"({np.median([c / a for a, _, c in rates]):.2f}); medians of {options.rounds} rounds"
    )
    print(text)
    if options.write:
        write_section("plans", text)


if __name__ == "__main__":
    main()
