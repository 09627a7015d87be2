"""Run `spm` in this process, in an empty folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cli_run import Result, Run
from small_coco import write_small_coco
from spmcli.main import main


@pytest.fixture
def spm(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `spm` in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPM_DATA", raising=False)

    def run(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["spm", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        code = stop.value.code
        out, err = capsys.readouterr()
        return Result(code if isinstance(code, int) else 0, out, err)

    return run


@pytest.fixture
def store(spm: Run, tmp_path: Path) -> Path:
    """Prepare a small store, data.zarr."""
    annotations = write_small_coco(tmp_path / "data")
    done = spm("prepare", "coco", "--annotations", annotations, "--no-images", "--input", 128, "--out", "data.zarr")
    assert done.code == 0, done.err
    return Path("data.zarr")
