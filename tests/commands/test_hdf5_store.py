"""The commands on an HDF5 store: the same words, the same numbers."""

from __future__ import annotations

import json
from pathlib import Path

from cli_run import Run
from spmdata.store.reader import open_store
from spmdata.store.writer import open_or_create


def test_every_command_takes_either(spm: Run, tmp_path: Path) -> None:
    """Prepare, inspect, verify-targets, train and eval; one that is not finished says what to do."""
    arguments = ("prepare", "synthetic", "--rows", 6, "--input", 64, "--out")
    for name in ("a.zarr", "a.h5"):
        prepared = spm(*arguments, name)
        assert prepared.code == 0, prepared.err
        assert f"spm verify-targets {name}" in prepared.out
    found = [json.loads(spm("inspect", name, "--json").out) for name in ("a.zarr", "a.h5")]
    assert found[0]["attributes"] == found[1]["attributes"]
    sizes = [{array["name"]: array["bytes"] for array in answer["arrays"]} for answer in found]
    assert all(0.8 < sizes[1][name] / sizes[0][name] <= 1 for name in ("image", "offsets", "people/joints"))
    assert sum(sizes[1].values()) < found[1]["bytes"] == (tmp_path / "a.h5.shards/00000.h5").stat().st_size
    reports = [json.loads(spm("verify-targets", name, "--json").out) for name in ("a.zarr", "a.h5")]
    assert {**reports[0], "store": ""} == {**reports[1], "store": ""}
    trained = spm("train", "--store", "a.h5", "--steps", 1, "--batch", 2, "--threads", 1, "--out", "run", "--json")
    assert trained.code == 0, trained.err
    scored = spm("eval", "run/last.pt", "--store", "a.h5")
    assert scored.code == 0, scored.err

    layout = open_store("a.h5").layout
    Path("a.h5.shards/.spm/ledger/00000.json").unlink()
    open_or_create("a.h5", layout)
    for command in (["train", "--store"], ["verify-targets"]):
        failed = spm(*command, "a.h5")
        assert failed.code == 2
        assert "a.h5 is not finished: 0 of 1 shards are written; run the spm prepare command" in failed.err
    assert "no: run the same spm prepare command again" in spm("inspect", "a.h5").out
    assert spm(*arguments, "a.h5").code == 0
    assert spm("verify-targets", "a.h5").code == 0
    assert "ends in .zarr or .h5, got 'a.hdf5'" in spm("prepare", "synthetic", "--out", "a.hdf5").err
