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
MOMENTS = 20


def start(folder: Path, out: Path) -> subprocess.Popen[bytes]:
    """Start a run in a process group of its own, so that its worker processes die with it."""
    out.parent.mkdir(exist_ok=True)
    return subprocess.Popen([*COMMAND, str(out)], cwd=folder, stdout=subprocess.DEVNULL, start_new_session=True)


def first_sign(out: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until a run has put something beside its annotations: most of its time before that is imports."""
    while process.poll() is None and not any(out.parent.iterdir()):
        time.sleep(0.002)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.zarr", "a.h5"])
def test_killed_at_20_random_moments(tmp_path: Path, name: str) -> None:
    write_small_coco(tmp_path / "data", 1300, images=True)  # 2,600 rows: eleven shards
    whole = start(tmp_path, tmp_path / "whole" / name)
    first_sign(tmp_path / "whole" / name, whole)
    begun = time.perf_counter()
    assert whole.wait() == 0
    seconds, rng, states = time.perf_counter() - begun, random.Random(0), set()
    wanted, out = tree(tmp_path / "whole"), tmp_path / "run" / name
    for moment in range(MOMENTS):
        shutil.rmtree(out.parent, ignore_errors=True)
        process = start(tmp_path, out)
        first_sign(out, process)
        # Most of them anywhere in the run, every fourth in its last tenth: finalise.
        share = rng.uniform(0.9, 1) if moment % 4 == 3 else rng.uniform(0, 1)
        time.sleep(share * seconds)
        os.killpg(process.pid, signal.SIGKILL)
        killed = process.wait() == -signal.SIGKILL
        home = out if name == "a.zarr" else out.with_name("a.h5.shards")
        states.add((killed, len(list((home / ".spm/ledger").glob("*.json"))), (home / ".spm/manifest.json").exists()))
        assert start(tmp_path, out).wait() == 0
        assert tree(out.parent) == wanted, f"moment {moment}, {share:.2f} of {seconds:.1f} s"
    print(f"{name}: killed, records, manifest: {sorted(states)}")
    assert len({records for killed, records, _ in states if killed}) > 3
