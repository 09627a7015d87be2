"""SIGKILL at seeded random moments of real runs of the real command; each rerun ends equal byte for byte."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from small_coco import write_small_coco
from store.cases import tree

COMMAND = [
    sys.executable,
    "-m",
    "spmcli",
    "prepare",
    "coco",
    "--input",
    "64",
    "--views",
    "2",
    "--workers",
    "2",
    "--out",
]
MOMENTS, SHARDS = 20, 6


def start(folder: Path, out: Path) -> subprocess.Popen[bytes]:
    """Start a run in a process group of its own, so that its worker processes die with it."""
    out.parent.mkdir(exist_ok=True)
    return subprocess.Popen([*COMMAND, str(out)], cwd=folder, stdout=subprocess.DEVNULL, start_new_session=True)


def records(out: Path) -> int:
    """Return how many shards are done."""
    home = out if out.suffix == ".zarr" else out.with_name(f"{out.name}.shards")
    return len(list((home / ".spm/ledger").glob("*.json")))


def wait_for(out: Path, process: subprocess.Popen[bytes], done: int) -> None:
    """Wait until a run has done so many shards; for none, until it has put anything on disk, its lock first."""
    while process.poll() is None and (records(out) < done if done else not any(out.parent.iterdir())):
        time.sleep(0.001)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.zarr", "a.h5"])
def test_killed_at_20_random_moments(tmp_path: Path, name: str) -> None:
    """A moment is a number of shards done and a fraction of a second after that: the same under any load."""
    write_small_coco(tmp_path / "data", 700, images=True)  # 1,400 rows: six shards
    assert start(tmp_path, tmp_path / "whole" / name).wait() == 0
    wanted, out, rng = tree(tmp_path / "whole"), tmp_path / "run" / name, random.Random(0)
    states = []
    for moment in range(MOMENTS):
        shutil.rmtree(out.parent, ignore_errors=True)
        process = start(tmp_path, out)
        wait_for(out, process, moment % (SHARDS + 1))
        pause = rng.uniform(0, 0.1)
        time.sleep(pause)
        os.killpg(process.pid, signal.SIGKILL)
        states.append((process.wait() == -signal.SIGKILL, records(out), len(tree(out.parent))))
        assert start(tmp_path, out).wait() == 0
        assert tree(out.parent) == wanted, f"moment {moment}, {pause:.3f} s after {moment % (SHARDS + 1)} shards"
    print(f"{name}: killed, records, files and folders: {states}")
    killed = {done for died, done, _ in states if died}
    assert min(killed) == 0
    assert len(killed) > SHARDS // 2
