"""Plans: the bytes, seconds and memory that they promise."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from small_coco import write_small_coco
from spmdata.people import Sample
from spmdata.prepare.plan import PROCESS_SECONDS, SHARING, Estimate, plan_store
from spmdata.prepare.run import prepare_store
from spmdata.sources.coco import CocoSource
from spmdata.spec import TargetSpec


@pytest.fixture(scope="module")
def sixty_images(tmp_path_factory: pytest.TempPathFactory) -> CocoSource:
    folder = tmp_path_factory.mktemp("sixty")
    return CocoSource.read(write_small_coco(folder, 60, images=True), image_root=folder / "coco/train2017")


@pytest.mark.parametrize("name", ["a.zarr", "a.h5"])
@pytest.mark.parametrize(
    "options",
    [{"images": False}, {"images": False, "maps": False}, {}, {"maps": False}, {"views": 3}],
    ids=["no images", "people", "all", "no maps", "views"],
)
def test_a_plan_estimates_bytes(
    tmp_path: Path, sixty_images: CocoSource, name: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.fsync", lambda handle: None)
    plan = plan_store(sixty_images, TargetSpec(input_hw=(96, 96)), tmp_path / name, shard_rows=30, **options)
    prepare_store(plan, scheduler="sync")
    files = [p for p in tmp_path.rglob("*") if p.is_file() and p.name not in ("zarr.json", "a.h5")]
    packed = sum(file.stat().st_size for file in files)  # without what does not grow with the set
    assert plan.estimate.bytes == pytest.approx(packed, rel=0.25)


IN_A_PROCESS = """
import multiprocessing, sys
from pathlib import Path
from spmdata.people import Sample
from spmdata.prepare.plan import plan_store, process_memory
from spmdata.prepare.run import prepare_store
from spmdata.sources.coco import CocoSource
from spmdata.spec import TargetSpec
annotations, images, out, scheduler = sys.argv[1:]
source = CocoSource.read(Path(annotations), image_root=Path(images) if images else None)
plan = plan_store(source, TargetSpec(hierarchical=True), out, images=bool(images), shard_rows=128)
workers = {}
def look(*_):
    for child in multiprocessing.active_children():
        workers[child.pid] = max(workers.get(child.pid, 0), process_memory(child.pid)[0])
prepare_store(plan, workers=2, scheduler=scheduler, on_shard=look)
planned = plan.estimate.memory_bytes(2, processes=scheduler == "processes")
print(planned, process_memory()[0] + sum(workers.values()))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.zarr", "a.h5"])
@pytest.mark.parametrize("images", [True, False])
@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_a_plan_estimates_memory_which_workers_bound(tmp_path: Path, name: str, images: bool, scheduler: str) -> None:
    """Peaks of processes of their own: near what was planned, and hardly more for six times as many rows."""
    peaks = []
    for rows in (400, 2400):
        annotations = write_small_coco(tmp_path / f"{rows}", rows, images=images)
        folder = str(annotations.parents[1] / "train2017") if images else ""
        command = [sys.executable, "-c", IN_A_PROCESS, str(annotations), folder]
        command += [str(tmp_path / f"{rows}-{name}"), scheduler]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        planned, peak = map(int, done.stdout.split())
        print(f"{rows} rows: planned {planned / 1e6:.0f} MB, took {peak / 1e6:.0f} MB")
        assert planned == pytest.approx(peak, rel=0.25)
        peaks.append(peak)
    assert peaks[1] < 1.2 * peaks[0]


def test_a_plan_counts_what_making_samples_takes(
    tmp_path: Path, sixty_images: CocoSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of drawn people they are most of the work, and are made where they are written."""
    take = CocoSource.__getitem__

    def slowly(source: CocoSource, index: int) -> Sample:
        end = time.process_time() + 0.005
        while time.process_time() < end:
            pass
        return take(source, index)

    monkeypatch.setattr(CocoSource, "__getitem__", slowly)
    plan = plan_store(sixty_images, TargetSpec(input_hw=(32, 32)), tmp_path / "a.zarr", images=False, maps=False)
    assert plan.estimate.core_seconds > 60 * 0.005


def test_a_plan_counts_rounds_of_workers_and_cores() -> None:
    estimate = Estimate(
        bytes=0, core_seconds=70.0, image_core_seconds=60.0, shards=5, largest=0.2, peak_bytes=900,
        base_bytes=100, worker_bytes=50, process_bytes=300, shard_seconds=0.5,
    )  # fmt: skip
    assert estimate.seconds(1, 1) == 70
    assert estimate.seconds(1, 4) == 5 * (2 + 12 / 2)  # two threads for the images of a shard
    assert estimate.seconds(4, 4) == pytest.approx(2 * 14 * SHARING)  # five shards in two rounds
    assert estimate.seconds(8, 4) == pytest.approx(14 * 5 / 4 * SHARING)  # more workers than shards, and than cores
    small_last = replace(estimate, image_core_seconds=0.0, shards=4, largest=0.32)  # three whole shards and an eighth
    assert small_last.seconds(2, 2) == pytest.approx(2 * 0.32 * 70 * SHARING)
    assert replace(estimate, core_seconds=0.1, image_core_seconds=0.0).seconds(2, 2) == 3 * 0.5
    assert estimate.memory_bytes(2) == 900
    assert replace(estimate, peak_bytes=0).memory_bytes(8) == 100 + 5 * 50
    assert estimate.memory_bytes(2, processes=True) == 900 + 2 * (300 + 50)
    assert estimate.seconds(4, 4, processes=True) - estimate.seconds(4, 4) == pytest.approx(PROCESS_SECONDS * SHARING)
