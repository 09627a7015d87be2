"""Every command on a source in 3D: prepared, verified in cm, tuned, trained on, evaluated, people found in cm."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cli_run import Run
from depth_cases import SIZE_HW, Drawings, Scenes
from spmdata.sources import registry
from spmdata.store.reader import open_store


@pytest.fixture(autouse=True)
def _scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the test's own source known by name."""
    scenes = registry.BuiltIn(lambda asked: Scenes(6), "drawn people in 3D", "nothing")
    monkeypatch.setattr(registry, "BUILT_IN", {**registry.BUILT_IN, "scenes": scenes})


def prepared(spm: Run, *options: object) -> Path:
    """Prepare a store."""
    done = spm("prepare", "scenes", "--input", "64x96", *options, "--scheduler", "sync")
    assert done.code == 0, done.err
    assert "dims 3" in done.out
    return Path("scenes.zarr")


def small_network() -> str:
    """Write settings of training that take no time."""
    Path("net.toml").write_text("features = [8, 8]\nema = 0\nbatch = 4\nthreads = 1\n")
    return "net.toml"


def test_from_a_source_to_people_in_cm(spm: Run) -> None:
    """Nobody has to say that a source in 3D makes targets in 3D."""
    store = prepared(spm)
    assert open_store(store).spec.dims == 3
    shown = spm("verify-targets")
    assert shown.code == 0
    for words in ("9 with depth, 0 come back without", "cm in the camera's frame", "MPJPE mm", "0 that of 0.00"):
        assert words in shown.out
    assert json.loads(spm("verify-targets", "--json").out)["depth"]["people"] == 9
    assert "root_depth" in spm("inspect").out
    assert spm("inspect", store, 0).code == 0
    options = ("--config", small_network(), "--steps", 2, "--device", "cpu")
    trained = spm("train", "--store", store, "--val", store, *options)
    assert trained.code == 0, trained.err
    assert "root depth" in trained.err
    assert "MPJPE" in trained.out
    scored = spm("eval", "run/last.pt", "--store", store)
    assert [line.split()[0] for line in scored.out.splitlines()[-3:]] == ["people", "network", "ceiling"]
    assert json.loads(spm("eval", "run/last.pt", "--store", store, "--json").out)["ceiling_pose3d"]["matched"] == 9


def test_people_in_images_need_a_focal_length(spm: Run) -> None:
    store = prepared(spm, "--preset", "sharp")
    options = ("--config", small_network(), "--steps", 12, "--device", "cpu")
    assert spm("train", "--store", store, *options).code == 0
    Path("0.png").write_bytes(Drawings().read(Scenes()[0]))
    said = spm("predict", "run/last.pt", "0.png", "--min-score", 0.001)
    assert said.code == 0, said.err
    without = json.loads(Path("predictions.json").read_text())
    assert without
    assert all(len(person["z_cm"]) == 17 and "keypoints_cm" not in person for person in without)
    assert spm("predict", "run/last.pt", "0.png", "--min-score", 0.001, "--focal", 157).code == 0
    found = json.loads(Path("predictions.json").read_text())
    deep = [person for person in found if "keypoints_cm" in person]
    assert deep
    for person in deep:
        cm, px = np.reshape(person["keypoints_cm"], (17, 3)), np.reshape(person["keypoints"], (17, 3))
        middle = (np.array(SIZE_HW[::-1]) - 1) / 2
        np.testing.assert_allclose(cm[:, :2], (px[:, :2] - middle) * cm[:, 2:] / 157, atol=0.02)  # rounded to 0.01


def test_focal_is_for_networks_in_3d(spm: Run) -> None:
    assert spm("prepare", "synthetic", "--rows", 4, "--input", 64, "--out", "flat.zarr").code == 0
    options = ("--config", small_network(), "--steps", 1, "--device", "cpu")
    assert spm("train", "--store", "flat.zarr", *options).code == 0
    Path("0.png").write_bytes(Drawings().read(Scenes()[0]))
    said = spm("predict", "run/last.pt", "0.png", "--focal", 157)
    assert said.code == 2
    assert "run/last.pt was trained in 2D and knows no depth: leave --focal out" in said.err


def test_tune_measures_x_and_y(spm: Run) -> None:
    done = spm("tune", "scenes", "--input", 64, "--sweep", "overlap=mean,nearest", "--rows", 4, "--stride", 4,
               "--sweep", "tau=squared:7", "--sweep", "root=mean", "--sweep", "nms=5")  # fmt: skip
    assert done.code == 0, done.err
    assert "dims = 3" in Path("spec.toml").read_text()
    assert "px" in done.out


def test_a_file_says_dims_or_leaves_it_to_the_source(spm: Run) -> None:
    Path("my.toml").write_text("tau = 2\n")
    assert open_store(prepared(spm, "--spec", "my.toml")).spec.dims == 3
    Path("my.toml").write_text("dims = 2\n")
    done = spm("prepare", "scenes", "--spec", "my.toml", "--out", "b.zarr")
    assert done.code == 2
    assert "dims must be 3 for scenes, whose joints have 3 axes, got 2" in done.err
