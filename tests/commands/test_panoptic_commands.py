"""CMU Panoptic from files with drawn images to people in cm: prepared, verified, trained on, evaluated, found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cli_run import Run
from panoptic_cases import body, calibration, project, write_sequence
from spmdata.store.reader import open_store

SIZE_WH = (192, 108)
K = [[163.0, 0.05, 94.0], [0, 162.5, 55.8], [0, 0, 1]]
CAMERAS = [calibration(f"00_{n:02d}", 0.7 * n, resolution=list(SIZE_WH), K=K) for n in range(4)]
FRAMES = {n: [body(0, (12.0 * n - 90, 40, 20)), body(3, (70, 60, 9.0 * n - 40))] for n in range(1, 5)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a sequence of four frames from four cameras, two bodies in each, a dot for every joint in its images."""
    written = write_sequence(tmp_path / "data", FRAMES, CAMERAS)
    for camera in CAMERAS:
        images = written / "hdImgs" / camera["name"]
        images.mkdir(parents=True)
        for number, bodies in FRAMES.items():
            draw(camera, bodies).save(images / f"{camera['name']}_{number:08d}.jpg", quality=95)
    return written


def draw(camera: dict[str, Any], bodies: list[dict[str, Any]]) -> Image.Image:
    image = Image.new("RGB", SIZE_WH, (40, 60, 50))
    pen = ImageDraw.Draw(image)
    for one in bodies:
        for j, joint in enumerate(np.reshape(one["joints19"], (19, 4))):
            if (seen := project(camera, joint[:3])) is not None:
                x, y, z = seen
                r = 700 / z
                pen.ellipse([x - r, y - r, x + r, y + r], fill=(255 - 12 * j, 60 + 10 * j, 120 * (j % 2)))
    return image


def test_views_with_images_verify_in_cm(spm: Run, folder: Path) -> None:
    done = spm("prepare", "panoptic", "--input", "64x128", "--hier", "--preset", "sharp", "--views", 3,
               "--cameras", "00_0[01]", "--scheduler", "sync")  # fmt: skip
    assert done.code == 0, done.err
    assert "targets      panoptic19, hierarchical" in done.out
    store = open_store("panoptic.zarr")
    assert len(store) == 24
    for row in range(3):  # views of one image: each has the camera that its affine makes of the file's
        K_row = store.read("row/camera", [row])[0][:9].reshape(3, 3)
        moved = np.vstack([store.affine(row).matrix, [0, 0, 1]]) @ K
        np.testing.assert_allclose(K_row, moved, rtol=1e-9, atol=1e-9)
    report = json.loads(spm("verify-targets", "--json").out)
    assert report["ok"]
    assert report["depth"]["people"] == 40
    assert max(line["clear_max_cm"] for line in report["depth"]["by_joint"]) < 0.01
    shown = spm("inspect", "panoptic.zarr", 4)
    assert shown.code == 0, shown.err
    assert "z cm" in shown.out
    (folder / "hdImgs/00_02/00_02_00000003.jpg").write_bytes(b"no image")
    broken = spm("prepare", "panoptic", "--input", "64x128", "--out", "b.zarr", "--scheduler", "sync")
    assert (broken.code, "skipped" in broken.out) == (1, True)


@pytest.mark.slow
def test_train_evaluate_and_predict_in_cm(spm: Run, folder: Path) -> None:
    options = ("--input", "64x128", "--preset", "sharp", "--hier")
    assert spm("prepare", "panoptic", *options, "--cameras", "00_0[0-2]", "--views", 3, "--out", "a.zarr").code == 0
    assert spm("prepare", "panoptic", *options, "--cameras", "00_03", "--out", "b.zarr").code == 0
    Path("net.toml").write_text("features = [16, 24]\nbatch = 8\nthreads = 1\n")
    trained = spm("train", "--store", "a.zarr", "--val", "b.zarr", "--config", "net.toml", "--steps", 60)
    assert trained.code == 0, trained.err
    assert "root depth" in trained.err
    steps = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    losses = [one["total"] for one in steps if "total" in one]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    scored = json.loads(spm("eval", "run/last.pt", "--store", "b.zarr", "--threshold", 0.01, "--json").out)
    assert scored["ceiling_pose3d"]["matched"] == 8
    assert scored["ceiling_pose3d"]["MPJPE"] < 0.1
    assert 0 < scored["pose3d"]["MPJPE"] < 1000
    image = folder / "hdImgs/00_03/00_03_00000001.jpg"
    found = spm("predict", "run/last.pt", image, "--focal", 163, "--min-score", 0.01, "--draw", "drawn")
    assert found.code == 0, found.err
    people = json.loads(Path("predictions.json").read_text())
    assert people
    assert all(len(one["keypoints_cm"]) == 57 for one in people if "keypoints_cm" in one)
    assert any(100 < one["keypoints_cm"][2] < 1000 for one in people if "keypoints_cm" in one)
    assert Path("drawn/00_03_00000001.jpg").is_file()
