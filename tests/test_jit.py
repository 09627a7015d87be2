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
from spmdata import Codec, TargetSpec
from spmdata.codec import Targets
from spmdata.codec.tiers import DECODE
codec = Codec(TargetSpec(input_hw=(64, 64), norm="none"))
DECODE.settled = True
heatmap, offsets = np.zeros((16, 16), np.float32), np.full((17, 2, 16, 16), 2, np.float32)
heatmap[3, 5] = 1
print(codec.decode(Targets(heatmap, offsets)).joints[0, 0, 0])
"""

    def run() -> float:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, capture_output=True
        )
        return float(done.stdout)

    assert run() == (5 + 2) * 4 + 1.5
    assert list((tmp_path / "spmdata/kernels/__pycache__").glob("batch.decode_rows*.nbi"))
    source = tmp_path / "spmdata/kernels/walk.py"
    text = source.read_text()
    assert text.count("x + norm *") == 1
    source.write_text(text.replace("x + norm *", "x + 3 * norm *"))
    assert run() == (5 + 3 * 2) * 4 + 1.5
