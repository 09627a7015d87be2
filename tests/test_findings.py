"""What `spm prepare --dry-run` says of a source, counted here a second time, one person after the other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from coco_cases import read, samples, small
from skeleton_cases import HAND21
from small_coco import STANDING, write_small_coco
from spmdata.people import People
from spmdata.prepare import findings
from spmdata.prepare.findings import DONE, Survey, survey, swapped
from spmdata.skeletons import COCO17, CROWDPOSE14
from spmdata.sources.coco import CocoSource
from spmdata.sources.registry import open_source


def counts(found: Survey) -> dict[str, int]:
    return {finding.what: finding.count for finding in found.findings}


def standing(mirrored: str = "", turn: float = 0.0) -> NDArray[np.float64]:
    """Return joints of somebody who faces us, with some left and right joints exchanged, turned in the image."""
    joints = STANDING * [100, 200]
    for j, name in enumerate(COCO17.joints):
        if mirrored and mirrored in name and name.startswith("left"):
            other = COCO17.flip[j]
            joints[[j, other]] = joints[[other, j]]
    c, s = np.cos(turn), np.sin(turn)
    return np.asarray(joints @ [[c, s], [-s, c]] + 300)


def people(*joints: NDArray[np.float64], visible: int = 2) -> People:
    return People.of(np.stack(joints), np.full((len(joints), 17), visible))


@pytest.mark.parametrize("turn", [0.0, 0.7, 1.6, 3.1, -2.0])
def test_sides_are_suspect_when_shoulders_and_hips_contradict_each_other(turn: float) -> None:
    away = standing(turn=turn) * [-1, 1]  # seen from behind: left and right change sides in the image, and agree
    one = [standing(turn=turn), standing("shoulder", turn), standing("hip", turn), away, standing("wrist", turn)]
    assert swapped(people(*one), COCO17).tolist() == [False, True, True, False, False]


def test_narrow_or_unlabelled_trunks_are_no_suspects() -> None:
    profile = standing("shoulder")
    shoulders = [5, 6]
    profile[shoulders] = np.add(profile[shoulders].mean(0), [[2, 0], [-2, 0]])  # from the side, the shoulders meet
    assert not swapped(people(profile), COCO17).any()
    hidden = people(standing("shoulder"))
    visible = hidden.visible.copy()
    visible[0, 5] = 0
    assert not swapped(People.of(hidden.joints, visible), COCO17).any()
    assert not swapped(People.empty(21), HAND21).any()
    assert swapped(People.empty(14), CROWDPOSE14).shape == (0,)


def test_a_small_file(tmp_path: Path) -> None:
    data = small()
    annotations: list[dict[str, Any]] = data["annotations"]
    annotations[0]["keypoints"][:3] = [640.5, 10, 2]  # half a pixel beyond the last one of 640
    annotations[1]["keypoints"] = [number for j in range(17) for number in (-5, -5, 1)]
    found = survey(read(tmp_path, data), images=True)
    assert (found.rows, found.people, found.people_labelled, found.joints_labelled) == (2, 4, 2, 34)
    assert counts(found) == {
        "crowds": 1,
        "people without joints": 1,
        "joints out of their image": 18,
        "people all of whose joints are out of their image": 1,
        "image files missing": 2,
    }
    by_what = {finding.what: finding for finding in found.findings}
    assert by_what["image files missing"].where == (str(tmp_path / "sub/three.jpg"), str(tmp_path / "five.jpg"))
    assert by_what["people all of whose joints are out of their image"].where == ("image 3 person 7",)
    assert all(finding.done == DONE[finding.what] for finding in found.findings)
    assert found.by_joint[0] == ("nose", 2, 1)
    assert json.loads(json.dumps(found.to_json()))["by_joint"]["nose"] == {"labelled": 2, "visible": 1}
    assert "image files missing" not in counts(survey(read(tmp_path, data), images=False))


@pytest.mark.parametrize("batch", [1, 3, 2048])
def test_batches_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    source = CocoSource.read(write_small_coco(tmp_path, 12), image_root=tmp_path)
    whole = survey(source, images=True)
    monkeypatch.setattr(findings, "BATCH", batch)
    assert survey(source, images=True) == whole
    labelled = np.zeros(17, int)
    for sample in samples(source):
        for p in range(len(sample.people)):
            labelled += (sample.people.visible[p] > 0) & ~sample.people.ignore[p]
    assert [n for _, n, _ in whole.by_joint] == labelled.tolist()


def test_ids_that_stand_twice(tmp_path: Path) -> None:
    write_small_coco(tmp_path, 4)
    mix = tmp_path / "mix.toml"
    mix.write_text('[[sources]]\nsource = "coco"\n[[sources]]\nsource = "coco"\n')
    once = survey(open_source("mix", annotations=mix, root=tmp_path, no_images=True), images=False)
    assert findings.SAME_IMAGE not in counts(once)  # of different sources
    source = CocoSource.read(tmp_path / "coco/annotations/person_keypoints_train2017.json", image_root=None)
    source.people.id[:] = 5
    source.images.id[:] = 9
    found = counts(survey(source, images=False))
    assert found[findings.SAME_IMAGE] == len(source) - 1
    assert found[findings.SAME_ID] == int((source.n_people - 1).sum())


def test_real_files(spm_data: Path) -> None:
    """Every number that is counted here by plain loops over a real file."""
    source = open_source("crowdpose", root=spm_data, split="val", no_images=True)
    found = survey(source, images=False)
    crowds = jointless = outside = 0
    for sample in samples(source):
        h, w = sample.size_hw
        for p in range(len(sample.people)):
            seen = sample.people.visible[p] > 0
            crowds += bool(sample.people.ignore[p])
            jointless += not sample.people.ignore[p] and not seen.any()
            for x, y in sample.people.joints[p][seen & ~sample.people.ignore[p]]:
                outside += not (-0.5 <= x <= w - 0.5 and -0.5 <= y <= h - 0.5)
    assert (counts(found)["crowds"], counts(found)["people without joints"]) == (crowds, jointless)
    assert counts(found)["joints out of their image"] == outside
    assert found.people_labelled == 8527 - crowds - jointless
