"""The commands on a URL: the same words and numbers as on a path."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from cli_run import Result
from remote_cases import FlakyFileSystem, objects
from spmcli.main import main


def test_every_command_takes_a_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prepare, rerun, inspect, verify-targets, train and eval."""
    monkeypatch.chdir(tmp_path)

    def spm(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["spm", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return Result(int(stop.value.code or 0), *capsys.readouterr())

    names, prepare = ("a.zarr", "flaky://bucket/a.zarr"), ("prepare", "synthetic", "--rows", 6, "--input", 64, "--out")
    for name in names:
        prepared = spm(*prepare, name)
        assert prepared.code == 0, prepared.err
        assert f" spm verify-targets {name}\n" in prepared.out
    before = objects()
    assert "nothing: all 6 rows were there" in spm(*prepare, names[1]).out
    assert objects() == before
    found = [json.loads(spm("inspect", name, "--json").out) for name in names]
    assert {**found[0], "store": ""} == {**found[1], "store": ""}
    assert found[1]["store"] == names[1]
    reports = [json.loads(spm("verify-targets", name, "--json").out) for name in names]
    assert reports[0] == reports[1]
    for name in names:
        out = f"run-{len(name)}"
        trained = spm("train", "--store", name, "--steps", 2, "--batch", 2, "--threads", 1, "--out", out, "--json")
        assert trained.code == 0, trained.err
        scored = spm("eval", f"{out}/last.pt", "--store", name)
        assert scored.code == 0, scored.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zarr", "run-21", "run-6"]

    monkeypatch.setattr(FlakyFileSystem, "on_request", staticmethod(_refuse))
    for command in (prepare, ("inspect",), ("verify-targets",), ("train", "--store")):
        refused = spm(*command, names[1])
        assert refused.code == 2
        assert refused.err.startswith("RemoteError: cannot read flaky://bucket/a.zarr")
        assert refused.err.count("\n") == 1
    assert "HDF5 stores lie on a disk" in spm(*prepare, "flaky://bucket/a.h5").err


def _refuse(verb: str, path: str) -> None:
    raise PermissionError("Access Denied")
