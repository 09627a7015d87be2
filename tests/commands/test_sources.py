"""spm skeletons, spm sources, and what prepare says of what it found."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli_run import Run
from mpii_cases import entry, rect, standing, write_release
from panoptic_cases import body, write_sequence
from skeleton_cases import HAND21, write_toml
from small_coco import write_small_coco
from spmdata.skeletons import SKELETONS
from spmdata.sources.registry import BUILT_IN
from spmdata.store.reader import open_store


def test_skeletons_are_listed(spm: Run) -> None:
    lines = spm("skeletons").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(SKELETONS)
    assert lines[4].split() == ["panoptic19", "19", "4", "8"]
    listed = json.loads(spm("skeletons", "--json").out)["skeletons"]
    assert [one["name"] for one in listed] == list(SKELETONS)
    assert listed[0]["levels"][:4] == [1, 2, 2, 3]


def test_a_skeleton_is_printed_and_drawn(spm: Run, tmp_path: Path) -> None:
    done = spm("skeletons", "--draw", "crowdpose14")
    assert done.code == 0
    assert done.err == "drawn: crowdpose14.png\n"
    assert "│  └─ left_elbow" in done.out
    pixels = np.asarray(Image.open("crowdpose14.png"))
    assert pixels.shape[0] > 14 * 20
    assert spm("skeletons", "--draw", write_toml(tmp_path / "hand.toml", HAND21), "--out", "h.png").code == 0
    assert Path("h.png").is_file()
    said = json.loads(spm("skeletons", "--draw", "coco17", "--json").out)
    assert (said["picture"], said["skeleton"]["name"]) == ("coco17.png", "coco17")
    wrong = spm("skeletons", "--draw", "coco71")
    assert (wrong.code, "no skeleton 'coco71'; there are coco17" in wrong.err) == (2, True)
    assert "end its name in .png" in spm("skeletons", "--draw", "coco17", "--out", "x.what").err
    assert spm("skeletons", "--out", "x.png").code == 2


def test_a_files_joints_are_drawn(spm: Run, tmp_path: Path) -> None:
    category = {"id": 1, "name": "cat", "keypoints": ["nose", "tail", "paw"], "skeleton": [[1, 2], [2, 3], [3, 1]]}
    (tmp_path / "cat.json").write_text(json.dumps({"images": [], "annotations": [], "categories": [category]}))
    done = spm("skeletons", "--draw", "cat.json")
    assert done.code == 0
    assert "3  joints of a skeleton that has a circle through paw and nose: each hangs from the root" in done.err
    (tmp_path / "bare.json").write_text(json.dumps({"categories": [{"id": 1}]}))
    assert "names no joints: none of its 1 categories has keypoints" in spm("skeletons", "--draw", "bare.json").err


def test_ones_own_skeleton_is_checked(spm: Run, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('chains = [["neck", "left_hip", "left_knee"], ["neck", "right_hip"]]\nsigmas = 0.1')
    done = spm("skeletons", "check", path)
    assert (done.code, done.err) == (2, f"SpecError: {path}: 'left_knee' has no partner on the other side; correct the "
                                        "names, or give every pair in flip\n")  # fmt: skip
    path.write_text('chains = [["neck", "left_hip", "left_knee"], ["neck", "right_hip", "right_knee"]]')
    done = spm("skeletons", "check", path)
    assert done.code == 0
    assert "mirror  left_hip = right_hip, left_knee = right_knee" in done.out
    assert f"ok      5 joints, 3 levels; use it by --skeleton {path}" in done.out
    assert json.loads(spm("skeletons", "check", path, "--json").out)["skeleton"]["parents"] == [-1, 0, 1, 0, 3]
    asked = spm("prepare", "coco", "--skeleton", "none.toml")
    assert (asked.code, asked.err.startswith("SpecError: none.toml: No such file")) == (2, True)


def test_sources_say_what_they_look_for(spm: Run) -> None:
    out = spm("sources").out
    for name, one in BUILT_IN.items():
        assert f"{name:<10}  {one.what}" in out
        assert f"looks for {one.looks_for}" in out
    assert list(json.loads(spm("sources", "--json").out)["sources"]) == list(BUILT_IN)


@pytest.fixture
def mpii(tmp_path: Path) -> None:
    people = [rect(standing()), rect(None, scale=1.0, objpos={"x": 5, "y": 5})]
    write_release(tmp_path / "data/mpii/mpii_human_pose_v1_u12_1.mat", [entry("a.jpg", people)], [1])


@pytest.mark.usefixtures("mpii")
def test_prepare_mpii(spm: Run) -> None:
    done = spm("prepare", "mpii", "--no-images", "--hier", "--input", 128)
    assert done.code == 0, done.err
    store = open_store("mpii.zarr")
    assert store.table("people/head_px")[0, 0] == pytest.approx(30 * 0.1, rel=1e-6)  # letterboxed from 1280 to 128
    assert spm("verify-targets", "mpii.zarr").code == 0


@pytest.mark.usefixtures("mpii")
def test_dry_run_says_what_was_found(spm: Run, tmp_path: Path) -> None:
    done = spm("prepare", "mpii", "--no-images", "--dry-run")
    assert (
        "found  1 people with 16 joints\n  1  people without joints: ignored in their box, never background" in done.out
    )
    assert not Path("mpii.zarr").exists()
    (tmp_path / "data/mpii/images").mkdir()
    found = json.loads(spm("prepare", "mpii", "--dry-run", "--json").out)["found"]
    assert found["by_joint"]["pelvis"] == {"labelled": 1, "visible": 0}
    assert [one["what"] for one in found["findings"]] == ["people without joints", "image files missing"]


@pytest.mark.usefixtures("mpii")
def test_prepare_mix(spm: Run, tmp_path: Path) -> None:
    write_small_coco(tmp_path / "data", 3)
    text = '[[sources]]\nsource = "coco"\nweight = 0.5\n[[sources]]\nsource = "mpii"\nroot = "data"\njoints = {}\n'
    (tmp_path / "two.toml").write_text(text)
    done = spm("prepare", "mix", "two.toml", "--no-images", "--input", 64)
    assert done.code == 0, done.err
    assert "source    mix coco train2017 + mpii train (person_keypoints_train2017.json, mpii_human" in done.out
    assert "\n          3 of coco train2017, weight 0.5\n          1 of mpii train, weight 1\n" in done.out
    assert "\n          5  joints (mpii train): unlabelled, for it has no nose, left_eye, " in done.out
    assert open_store("mix.zarr").table("row/source").tolist() == [0, 0, 0, 1]
    assert spm("prepare", "mix").err == "AnnotationError: a mix is described by a file: spm prepare mix FILE.toml\n"
    (tmp_path / "two.toml").write_text(text.replace("0.5", "2"))
    again = spm("prepare", "mix", "two.toml", "--no-images", "--input", 64)
    assert "written  nothing: all 4 rows were there" in again.out  # weights are for the stream: no row is written again
    assert [part.weight for part in open_store("mix.zarr").layout.source.parts] == [2, 1]
    tuned = spm("tune", "mix", "two.toml", "--input", 64, "--sweep", "nms=3,5")
    assert tuned.out.endswith("next     spm prepare mix two.toml --spec spec.toml\n")
    wrong = spm("prepare", "coco", "two.toml")
    assert (wrong.code, "only mix takes a file after its name; for coco it is --annotations two.toml" in wrong.err) == (
        2,
        True,
    )


def test_cameras_reach_panoptic(spm: Run, tmp_path: Path) -> None:
    write_sequence(tmp_path / "data", {1: [body(0)]})
    tuned = spm("tune", "panoptic", "--cameras", "00_0?", "--input", 64, "--sweep", "nms=3,5")
    assert tuned.out.endswith("next     spm prepare panoptic --cameras '00_0?' --spec spec.toml\n")
    done = spm("prepare", "panoptic", "--no-images", "--cameras", "00_99", "--dry-run")
    assert (done.code, "no HD camera fits '00_99'; there are 00_00, 00_16" in done.err) == (2, True)
    assert "coco is read, not made: it takes no cameras" in spm("prepare", "coco", "--cameras", "00_0?").err
