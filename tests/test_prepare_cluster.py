"""A real cluster of two worker processes, one of which is killed in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import spmdata.prepare.run as run_module
from small_coco import write_small_coco
from spmdata.errors import SpecError, SpmError
from spmdata.prepare.plan import Plan, plan_store
from spmdata.prepare.run import prepare_store
from spmdata.prepare.task import ShardTask
from spmdata.sources.coco import CocoSource
from spmdata.spec import TargetSpec
from spmdata.store.ledger import ShardRecord
from store.cases import tree


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # the killed
@pytest.mark.parametrize("replaced", [True, False], ids=["replaced", "lost"])
@pytest.mark.parametrize("name", ["a.zarr", "a.h5"])
def test_a_worker_of_a_cluster_is_killed(tmp_path: Path, name: str, replaced: bool) -> None:
    """Whether the cluster starts another one or goes on with the one that is left, the store is the serial one."""
    distributed = pytest.importorskip("distributed")
    annotations = write_small_coco(tmp_path, 240, images=True)
    source = CocoSource.read(annotations, image_root=tmp_path / "coco/train2017")

    def plan(folder: str) -> Plan:
        (tmp_path / folder).mkdir()
        spec = TargetSpec(input_hw=(128, 128))
        return plan_store(source, spec, tmp_path / folder / name, views=2, shard_rows=8)

    serial, shared = plan("serial"), plan("shared")
    prepare_store(serial, scheduler="sync")
    killed: list[int] = []
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):

        def kill_one(record: ShardRecord, done: int, total: int) -> None:
            if done == 9:
                address, pid = next(iter(client.run(os.getpid).items()))
                if not replaced:
                    nanny = next(n for n in cluster.workers.values() if n.worker_address == address)
                    nanny.auto_restart = False
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

        prepare_store(shared, scheduler=cluster.scheduler_address, on_shard=kill_one)
        pids = set(client.run(os.getpid).values())
    assert killed
    assert not pids & set(killed)
    assert tree(shared.path.parent) == tree(serial.path.parent)


def _die(task: ShardTask) -> ShardRecord:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@pytest.mark.slow
def test_a_shard_that_kills_every_worker_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    source = CocoSource.read(write_small_coco(tmp_path, 4), image_root=None)
    plan = plan_store(source, TargetSpec(input_hw=(64, 64)), tmp_path / "a.zarr", images=False)
    monkeypatch.setattr(run_module, "write_task", _die)
    died = pytest.raises(SpmError, match="spm-shard-00000: every worker that tried it died")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, died:
        prepare_store(plan, scheduler=cluster.scheduler_address)
    monkeypatch.undo()
    assert prepare_store(plan).shards_written == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # the killed
def test_a_scheduler_that_dies_is_named(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    source = CocoSource.read(write_small_coco(tmp_path, 240), image_root=None)
    plan = plan_store(source, TargetSpec(input_hw=(128, 128)), tmp_path / "a.zarr", images=False, shard_rows=8)
    at = tmp_path / "scheduler.json"
    started = [_start("dask_scheduler", at, "--no-dashboard", "--host", "127.0.0.1", "--port", "0")]
    try:
        while not (at.exists() and at.stat().st_size):
            time.sleep(0.1)
        address = json.loads(at.read_text())["address"]
        started.append(_start("dask_worker", at, "--no-nanny", "--no-dashboard"))

        def kill(record: ShardRecord, done: int, total: int) -> None:
            started[0].kill()

        with pytest.raises(
            SpmError, match=rf"the scheduler at {address} has gone; .*, and run the same command again$"
        ):
            prepare_store(plan, scheduler=address, on_shard=kill)
    finally:
        for process in started:
            process.kill()
            process.wait()
    assert prepare_store(plan).totals.rows == 240


def _start(program: str, scheduler_file: Path, *options: str) -> subprocess.Popen[bytes]:
    """Start a part of a cluster in a process of its own, for whose end nobody here waits."""
    command = [sys.executable, "-m", f"distributed.cli.{program}", "--scheduler-file", str(scheduler_file), *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_without_distributed_a_cluster_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = CocoSource.read(write_small_coco(tmp_path, 4), image_root=None)
    plan = plan_store(source, TargetSpec(input_hw=(64, 64)), tmp_path / "a.zarr", images=False)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SpecError, match="needs Dask's distributed: pip install 'spm-toolkit"):
        prepare_store(plan, scheduler="tcp://127.0.0.1:1")


@pytest.mark.slow
def test_a_cluster_without_workers_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    source = CocoSource.read(write_small_coco(tmp_path, 4), image_root=None)
    plan = plan_store(source, TargetSpec(input_hw=(64, 64)), tmp_path / "a.zarr", images=False)
    monkeypatch.setattr(run_module, "PATIENCE_SECONDS", 1.0)
    said = pytest.raises(SpmError, match="has had no worker for 1 s: start some")
    with distributed.LocalCluster(n_workers=0, dashboard_address=None) as cluster, said:
        prepare_store(plan, scheduler=cluster.scheduler_address)
