"""Faults in the middle of a run: one clear line, nothing lost, and a rerun ends equal byte for byte to a quiet one."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from small_coco import write_small_coco
from spmdata.errors import SpecError, StoreError
from spmdata.prepare.plan import Plan, plan_store
from spmdata.prepare.run import prepare_store
from spmdata.sources.coco import CocoSource
from spmdata.spec import TargetSpec
from spmdata.store.ledger import ShardRecord
from spmdata.store.reader import open_store

SPEC = TargetSpec(hierarchical=True, input_hw=(64, 64))
SLOW = pytest.mark.slow
ANNOTATIONS = "coco/annotations/person_keypoints_train2017.json"


def plan_in(folder: Path, name: str, *, data: Path | None = None, images: bool = False) -> Plan:
    """Plan a store of 14 images, four rows a shard, below a folder."""
    data = data or folder
    if not (data / ANNOTATIONS).exists():
        write_small_coco(data, 14, images=True)
    source = CocoSource.read(data / ANNOTATIONS, image_root=data / "coco/train2017" if images else None)
    (folder / name).parent.mkdir(exist_ok=True)
    return plan_store(source, SPEC, folder / name, images=images, shard_rows=4)


def tree(path: Path) -> dict[str, bytes]:
    """Return a store and all beside it."""
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def quiet(folder: Path, name: str, *, images: bool = False) -> dict[str, bytes]:
    """Return what an undisturbed run leaves."""
    plan = plan_in(folder, f"quiet/{name}", images=images)
    prepare_store(plan, scheduler="sync")
    return tree(plan.path.parent)


class FullDisk:
    """The n-th fsync and all after it find no room, until there is some."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left, self._fsync = 0, os.fsync
        monkeypatch.setattr("os.fsync", self)

    def __call__(self, handle: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("name", ["a.zarr", "a.h5"])
def test_a_full_disk_anywhere(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FullDisk(monkeypatch)
    disk.left = 10**9
    whole, plan = quiet(tmp_path, name), plan_in(tmp_path, f"run/{name}")
    needed = 10**9 - disk.left
    for room in sorted({0, 1, *range(7, needed, needed // 4), needed - 3, needed - 2, needed - 1}):
        shutil.rmtree(plan.path.parent)
        plan.path.parent.mkdir()
        disk.left = room
        with pytest.raises(StoreError, match=r"cannot (write|create) .*: No space left on device") as told:
            prepare_store(plan, scheduler="sync")
        assert "\n" not in str(told.value)
        disk.left = 10**9
        prepare_store(plan, scheduler="sync")
        assert tree(plan.path.parent) == whole


def spm(folder: Path, *arguments: object, before: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the real command in a process of its own."""
    command = [sys.executable, "-m", "spmcli", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, preexec_fn=before, check=False)


@SLOW
def test_files_that_may_not_grow(tmp_path: Path) -> None:
    """A real failing write, half-way through a shard file, in a real process."""
    write_small_coco(tmp_path / "data", 40)
    for out in ("whole/a.zarr", "run/a.zarr"):
        (tmp_path / out).parent.mkdir()
    words = ("prepare", "coco", "--no-images", "--input", 128, "--out")
    assert spm(tmp_path, *words, "whole/a.zarr").returncode == 0
    failed = spm(
        tmp_path, *words, "run/a.zarr", before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    )
    assert failed.returncode == 2
    assert failed.stderr.count("\n") == 1
    assert failed.stderr.startswith("StoreError: cannot write ")
    assert "File too large; mend that and run the same command again" in failed.stderr
    assert spm(tmp_path, *words, "run/a.zarr").returncode == 0
    assert tree(tmp_path / "run") == tree(tmp_path / "whole")


@pytest.fixture
def public() -> Iterator[Path]:
    """Lend a folder that every user may enter: pytest's own is for its user alone."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


AS_NOBODY = """
import os, sys
import zarr  # before it may no longer be read
from pathlib import Path
from test_prepare_faults import plan_in
from spmdata.errors import StoreError
from spmdata.codec import Codec
from spmdata.prepare.run import prepare_store
plan = plan_in(Path({folder!r}), {name!r})
Codec(plan.layout.spec).warm_up(decode=False)
if os.geteuid() == 0:
    os.seteuid(65534)
try:
    prepare_store(plan, scheduler="sync")
except StoreError as error:
    print(error)
"""


@pytest.mark.parametrize(
    "closed",
    [
        "run/a.zarr/offsets",
        *(pytest.param(f"run{part}", marks=SLOW) for part in ("", "/a.zarr/.spm/ledger", "/a.zarr")),
    ],
)
def test_permission_denied(public: Path, closed: str) -> None:
    whole, plan = quiet(public, "a.zarr"), plan_in(public, "run/a.zarr")
    plan.path.parent.chmod(0o777)
    if closed != "run":  # a run that was stopped after its first shard
        with pytest.raises(KeyboardInterrupt):
            prepare_store(plan, scheduler="sync", on_shard=_interrupt)
        for folder in (plan.path, *filter(Path.is_dir, plan.path.rglob("*"))):
            folder.chmod(0o777)
    (public / closed).chmod(0o555)
    before = tree(plan.path) if plan.path.exists() else {}
    code = AS_NOBODY.format(folder=str(public), name="run/a.zarr")
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Permission denied" in done.stdout
    assert done.stdout.count("\n") == 1
    assert before.items() <= (tree(plan.path) if plan.path.exists() else {}).items()  # nothing is lost
    (public / closed).chmod(0o777)
    prepare_store(plan, scheduler="sync")
    assert tree(plan.path.parent) == whole


def _interrupt(record: ShardRecord, done: int, total: int) -> None:
    raise KeyboardInterrupt


def test_images_that_vanish_after_the_plan(tmp_path: Path) -> None:
    whole, plan = quiet(tmp_path, "a.zarr", images=True), plan_in(tmp_path, "run/a.zarr", images=True)
    images = tmp_path / "coco/train2017"
    (images / "000006.jpg").rename(tmp_path / "6.jpg")
    summary = prepare_store(plan)
    assert [int(n) for n in summary.totals.skipped.values()] == [1]
    assert open_store(plan.path).status.tolist() == [0] * 5 + [1] + [0] * 8
    (tmp_path / "6.jpg").rename(images / "000006.jpg")
    (plan.path / ".spm/ledger/00001.json").unlink()  # as format.md says
    assert prepare_store(plan).shards_written == 1
    assert tree(plan.path.parent) == whole


@pytest.mark.parametrize("scheduler", ["threads", pytest.param("processes", marks=SLOW)])
def test_a_folder_of_images_that_vanishes_stops_the_run(tmp_path: Path, scheduler: str) -> None:
    """A share that is unmounted for a minute must not make a store of skipped rows."""
    whole, plan = quiet(tmp_path, "a.zarr", images=True), plan_in(tmp_path, "run/a.zarr", images=True)
    images = tmp_path / "coco/train2017"
    images.rename(tmp_path / "elsewhere")
    with pytest.raises(SpecError, match=r"the folder of the images, .*train2017, is not there .*run the same command"):
        prepare_store(plan, scheduler=scheduler, workers=1)
    (tmp_path / "elsewhere").rename(images)
    prepare_store(plan)
    assert tree(plan.path.parent) == whole


def test_a_clock_that_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, plan = quiet(tmp_path, "a.zarr"), plan_in(tmp_path, "run/a.zarr")
    with pytest.raises(KeyboardInterrupt):
        prepare_store(plan, scheduler="sync", on_shard=_interrupt)
    for file in plan.path.rglob("*"):
        os.utime(file, (4e9, 4e9))  # all of it was written in the year 2096
    start, calls = time.time(), iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: start - 3600 * next(calls))
    summary = prepare_store(plan, scheduler="sync")
    assert summary.shards_done_before == 1
    assert summary.seconds > 0
    assert tree(plan.path.parent) == whole


@SLOW
def test_two_prepares_at_once(tmp_path: Path) -> None:
    """Two real commands on one path, neither of which waits for the other: one does it all, the other says who."""
    write_small_coco(tmp_path / "data", 300)
    command = [sys.executable, "-m", "spmcli", "prepare", "coco", "--no-images", "--input", "128", "--out"]
    assert spm(tmp_path, *command[3:], "whole.zarr").returncode == 0
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": tmp_path}
    running = [subprocess.Popen([*command, "a.zarr"], **pipes) for _ in range(2)]
    said = [process.communicate() for process in running]
    codes = [process.returncode for process in running]
    assert 0 in codes
    if codes != [0, 0]:  # they met
        loser = codes.index(2)
        assert f"process {running[1 - loser].pid} on " in said[loser][1]
        assert said[loser][1].count("\n") == 1
    assert tree(tmp_path / "a.zarr") == tree(tmp_path / "whole.zarr")
    assert not list(tmp_path.glob("*.lock"))
