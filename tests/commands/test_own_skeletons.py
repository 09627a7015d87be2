"""Joints that nobody wired in: four, a hand's 21 and a whole body's 133, from annotations to a trained network."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli_run import Run
from skeleton_cases import HAND21, QUAD4, WHOLE133, write_toml
from spmdata.skeleton import Skeleton
from spmdata.store.reader import open_store


def write_annotations(folder: Path, skeleton: Skeleton, n_images: int = 4) -> Path:
    """Write a file of COCO's form with two people an image, apart from each other, some joints missing."""
    rng = np.random.default_rng(len(skeleton))
    k = len(skeleton)
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for i in range(1, n_images + 1):
        images.append({"id": i, "file_name": f"{i}.png", "height": 96, "width": 192})
        for left in (0, 96):
            joints = rng.uniform([left + 8, 8], [left + 88, 88], (k, 2))
            keypoints = np.concatenate([joints, rng.choice([0, 1, 2], (k, 1), p=[0.1, 0.2, 0.7])], 1)
            keypoints[0, 2] = 2
            person = {"id": len(annotations) + 1, "image_id": i, "category_id": 1, "bbox": [left, 0, 96, 96]}
            annotations.append(person | {"area": 5000, "keypoints": keypoints.ravel().tolist()})
        Image.fromarray(rng.integers(0, 255, (96, 192, 3), np.uint8)).save(folder / f"{i}.png")
    category = {"id": 1, "name": "person", "keypoints": list(skeleton.joints), "skeleton": []}
    path = folder / "own.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": [category]}))
    return path


@pytest.mark.parametrize("skeleton", [QUAD4, HAND21, WHOLE133], ids=lambda one: one.name)
def test_prepare_and_verify(spm: Run, tmp_path: Path, skeleton: Skeleton) -> None:
    annotations, toml = write_annotations(tmp_path, skeleton), write_toml(tmp_path / "own.toml", skeleton)
    arguments = ("--annotations", annotations, "--no-images", "--skeleton", toml, "--input", "64x128", "--hier")
    done = spm("prepare", "coco", *arguments, "--out", "own.zarr", "--scheduler", "sync")
    assert done.code == 0, done.err
    assert open_store("own.zarr").spec.skeleton == skeleton
    verified = spm("verify-targets", "own.zarr", "--json", "--threads", 1)
    report = json.loads(verified.out)
    assert verified.code == 0
    assert (report["people"], report["rows"]) == (8, 4)
    assert [line["name"] for line in report["by_joint"]] == list(skeleton.joints)
    assert len(report["by_level"]) == max(skeleton.levels())


@pytest.mark.slow
@pytest.mark.parametrize("skeleton", [QUAD4, HAND21, WHOLE133], ids=lambda one: one.name)
def test_train_evaluate_and_predict(spm: Run, tmp_path: Path, skeleton: Skeleton) -> None:
    annotations, toml = write_annotations(tmp_path, skeleton), write_toml(tmp_path / "own.toml", skeleton)
    arguments = ("--annotations", annotations, "--images", tmp_path, "--skeleton", toml, "--input", "64x128", "--hier")
    assert spm("prepare", "coco", *arguments, "--out", "own.zarr").code == 0
    trained = spm("train", "--store", "own.zarr", "--steps", 3, "--batch", 2, "--preset", "tiny")
    assert trained.code == 0, trained.err
    scored = spm("eval", "run/last.pt", "--store", "own.zarr", "--json")
    assert scored.code == 0, scored.err
    predicted = spm("predict", "run/last.pt", tmp_path / "1.png", "--out", "found.json")
    assert predicted.code == 0, predicted.err
    assert all(len(one["keypoints"]) == 3 * len(skeleton) for one in json.loads(Path("found.json").read_text()))


def test_the_command_after_tuning_names_the_skeleton(spm: Run, tmp_path: Path) -> None:
    """It prepares the very annotations that were tuned: with their skeleton as it was written."""
    annotations, toml = write_annotations(tmp_path, QUAD4), write_toml(tmp_path / "own.toml", QUAD4)
    arguments = ("--annotations", annotations, "--skeleton", toml, "--input", "64x128", "--stride", 4)
    tuned = spm("tune", "coco", *arguments, "--sweep", "tau=squared:7", "--sweep", "root=mean", "--threads", 1)
    assert tuned.code == 0, tuned.err
    told = shlex.split(tuned.out.splitlines()[-1])
    assert told[:4] == ["next", "spm", "prepare", "coco"]
    done = spm(*told[2:], "--no-images", "--scheduler", "sync")
    assert done.code == 0, done.err
    assert open_store("coco.zarr").spec.skeleton == QUAD4


def test_a_files_own_joints_need_no_option(spm: Run, tmp_path: Path) -> None:
    annotations = write_annotations(tmp_path, QUAD4)
    done = spm("prepare", "coco", "--annotations", annotations, "--no-images", "--dry-run", "--json")
    plan = json.loads(done.out)["plan"]
    assert plan["spec"]["skeleton"]["joints"] == list(QUAD4.joints)
    assert plan["spec"]["skeleton"]["flip"] == list(QUAD4.flip)
