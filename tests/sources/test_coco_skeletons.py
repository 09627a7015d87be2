"""CrowdPose, and COCO-format files with joints of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from coco_cases import samples
from spmdata.errors import AnnotationError
from spmdata.skeletons import COCO17, CROWDPOSE14
from spmdata.sources.registry import open_source


def write(path: Path, joints: list[str], skeleton: Any = (), **changes: Any) -> Path:
    keypoints = [number for j in range(len(joints)) for number in (10 + j, 20 + 3 * j, 1 + j % 2)]
    person = {"id": 7, "image_id": 3, "category_id": 1, "keypoints": keypoints, "bbox": [5, 10, 40, 80], **changes}
    content = {
        "images": [{"id": 3, "file_name": "3.jpg", "height": 100, "width": 60, "crowdIndex": 0.31}],
        "annotations": [person],
        "categories": [{"id": 1, "name": "person", "keypoints": joints, "skeleton": skeleton}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("folder", ["crowdpose", "crowdpose/annotations", "crowdpose/json"])
def test_crowdpose_is_found_and_read(tmp_path: Path, folder: str) -> None:
    wrong = [[16, 14], [14, 12]]  # COCO's lines, as the real file has them
    write(tmp_path / folder / "crowdpose_train.json", list(CROWDPOSE14.joints), wrong)
    (tmp_path / "crowdpose/images").mkdir()
    source = open_source("crowdpose", root=tmp_path)
    (sample,) = samples(source)
    assert (source.skeleton, source.info.name, source.info.split) == (CROWDPOSE14, "crowdpose", "train")
    assert json.loads(sample.meta) == {"crowdIndex": 0.31}
    assert_allclose(sample.people.area, 0.53 * 40 * 80, rtol=1e-6)
    assert sample.people.visible[0].tolist() == [1, 2] * 7  # neck and head count, whatever num_keypoints says
    assert dict(source.findings)["areas missing or zero: set to 0.53 * w * h of the box"] == 1


def test_crowdpose_keeps_coordinates_out_of_the_image(tmp_path: Path) -> None:
    keypoints = [-4, 130, 2, *[5, 5, 1] * 13]
    path = write(tmp_path / "c.json", list(CROWDPOSE14.joints), keypoints=keypoints)
    sample = open_source("crowdpose", annotations=path, no_images=True)[0]
    assert sample.people.joints[0, 0].tolist() == [-4, 130]


def test_crowdpose_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        AnnotationError, match=r"no CrowdPose annotations of split val: looked for \S+crowdpose_val.json, "
    ):
        open_source("crowdpose", root=tmp_path, split="val", no_images=True)
    with pytest.raises(AnnotationError, match="14 joints expected for crowdpose14, got 17; is this COCO"):
        open_source("crowdpose", annotations=write(tmp_path / "c.json", list(COCO17.joints)), no_images=True)
    with pytest.raises(AnnotationError, match="crowdpose is read, not made: it takes no seed"):
        open_source("crowdpose", root=tmp_path, seed=1)


def test_a_files_own_joints_are_taken(tmp_path: Path) -> None:
    joints = ["left_hip", "right_hip", "left_knee", "right_knee"]
    path = write(tmp_path / "legs.v2.json", joints, [[1, 2], [1, 3], [2, 4]])
    source = open_source("coco", annotations=path, no_images=True)
    assert (source.skeleton.name, source.skeleton.joints, source.skeleton.parents) == (
        "legs",
        tuple(joints),
        (-1, -1, 0, 1),
    )
    assert source[0].people.joints[0, 3].tolist() == [13, 29]
    assert open_source("coco", annotations=path, no_images=True, skeleton=source.skeleton).skeleton == source.skeleton
    with pytest.raises(AnnotationError, match="17 joints expected for coco17, got 4"):
        open_source("coco", annotations=path, no_images=True, skeleton=COCO17)


def test_crowdpose_read_as_coco_is_known_by_its_joints(tmp_path: Path) -> None:
    path = write(tmp_path / "c.json", list(CROWDPOSE14.joints), [[16, 14]])
    assert open_source("coco", annotations=path, no_images=True).skeleton == CROWDPOSE14


def test_what_was_decided_is_a_finding(tmp_path: Path) -> None:
    path = write(tmp_path / "c.json", ["nose", "tail", "paw"], [[1, 2], [2, 3], [3, 1]])
    source = open_source("coco", annotations=path, no_images=True)
    circle, sigmas = ((what, n) for what, n in source.findings if "skeleton" in what)
    assert circle[0].startswith("joints of a skeleton that has a circle through paw and nose: each hangs from the root")
    assert sigmas[0].startswith("joints whose sigma no name tells")
    assert (circle[1], sigmas[1]) == (3, 2)


def test_lines_of_another_form_are_a_fault_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "c.json", ["nose", "tail"], "none")
    with pytest.raises(AnnotationError, match=r"categories\[0\].skeleton: expected array, got \"none\""):
        open_source("coco", annotations=path, no_images=True)


def test_real_crowdpose(spm_data: Path) -> None:
    """Against the file read by json alone."""
    source = open_source("crowdpose", root=spm_data, split="val", no_images=True)
    content = json.loads((spm_data / "crowdpose/crowdpose_val.json").read_text())
    sizes = {image["id"]: (image["width"], image["height"]) for image in content["images"]}
    keypoints = np.array([a["keypoints"] for a in content["annotations"]], float).reshape(-1, 14, 3)
    limit = np.array([sizes[a["image_id"]] for a in content["annotations"]])[:, None]
    outside = ((keypoints[..., :2] < 0) | (keypoints[..., :2] >= limit)).any(-1) & (keypoints[..., 2] > 0)
    people = [sample.people for sample in samples(source)]
    assert (len(source), int(source.n_people.sum())) == (2000, 8527)
    assert sum(int(p.labelled.sum()) for p in people) == int((keypoints[..., 2] > 0).sum())
    assert outside.sum() > 0
    assert all(json.loads(source[i].meta)["crowdIndex"] >= 0 for i in range(0, 2000, 50))
