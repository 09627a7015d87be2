"""kernels/jit.py: an edited kernel never runs as it was compiled before."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import spmdata


def test_a_change_in_a_called_kernel_reaches_its_cached_callers(tmp_path: Path) -> None:
    package = Path(spmdata.__file__).parent
    shutil.copytree(package, tmp_path / "spmdata", ignore=shutil.ignore_patterns("__pycache__"))
    code = """
import numpy as np
from spmdata import Codec, People, TargetSpec
people = People.of(np.full((1, 17, 2), 30.0), np.full((1, 17), 2))
print(Codec(TargetSpec(input_hw=(64, 64))).encode(people).root_heatmap.max())
"""

    def run() -> float:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, capture_output=True
        )
        return float(done.stdout)

    assert run() > 0.9
    assert list((tmp_path / "spmdata/kernels/__pycache__").glob("batch.encode_rows*.nbi"))
    source = tmp_path / "spmdata/kernels/heatmap.py"
    source.write_text(
        source.read_text().replace("np.float32(down[v] * across[u])", "np.float32(down[v] * across[u] / 2)")
    )
    assert run() < 0.6
