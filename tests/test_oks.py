"""metrics/oks.py against pycocotools' published numbers and cases whose answer is plain."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from spmdata.metrics.oks import oks_scores
from spmdata.people import People
from spmdata.skeletons import COCO17

#: What pycocotools prints for the two files in coco_eval.
PUBLISHED = (0.5049, 0.7228, 0.6337, 0.4663, 0.7505, 0.5182, 0.7273, 0.6364, 0.4667, 0.75)


def test_equals_pycocotools_on_a_real_pair_of_files(spm_data: Path) -> None:
    gt = json.loads((spm_data / "coco_eval/gt_dataset.json").read_text())
    dt = json.loads((spm_data / "coco_eval/dt_dataset.json").read_text())
    dt = dt["annotations"] if isinstance(dt, dict) else dt
    truth, found = [], []
    for image in gt["images"]:
        mine = [a for a in gt["annotations"] if a["image_id"] == image["id"]]
        joints = np.array([a["keypoints"] for a in mine], np.float64).reshape(-1, 17, 3)
        truth.append(
            People.of(
                joints[..., :2],
                joints[..., 2],
                area=np.array([a["area"] for a in mine]),
                bbox_xywh=np.array([a["bbox"] for a in mine], np.float64).reshape(-1, 4),
                ignore=np.array([a["iscrowd"] for a in mine], bool),
            )
        )
        theirs = [a for a in dt if a["image_id"] == image["id"]]
        joints = np.array([a["keypoints"] for a in theirs], np.float64).reshape(-1, 17, 3)
        scores = np.array([a["score"] for a in theirs])
        found.append(People.of(joints[..., :2], np.full((len(theirs), 17), 2), score=scores))
    np.testing.assert_allclose(oks_scores(truth, found, COCO17), PUBLISHED, atol=5e-5)


def _people(shift_px: float, n: int = 1) -> People:
    joints = np.random.default_rng(3).uniform(20, 90, (n, 17, 2)) + 200 * np.arange(n)[:, None, None]
    return People.of(joints + shift_px, np.full((n, 17), 2))


def test_perfect_is_one_and_nobody_is_zero() -> None:
    perfect = oks_scores([_people(0, 3)], [_people(0, 3)], COCO17)
    assert abs(perfect.AP - 1) < 1e-9
    assert oks_scores([_people(0, 3)], [People.empty(17)], COCO17).AP == 0
    assert oks_scores([_people(0)], [_people(60)], COCO17).AP == 0


def test_crowds_and_unlabelled_people_are_neither_missed_nor_false() -> None:
    truth = _people(0, 2)
    crowd = People.of(
        np.zeros((2, 17, 2)),
        np.zeros((2, 17)),
        bbox_xywh=np.array([[600.0, 600, 300, 300], [5, 5, 5, 5]]),
        ignore=np.array([True, False]),
    )
    joined = People(*(np.concatenate([getattr(truth, c), getattr(crowd, c)]) for c in truth.__dataclass_fields__))
    inside_crowd = People.of(_people(0).joints + 700, np.full((1, 17), 2), score=np.array([2.0]))
    found = People(*(np.concatenate([getattr(truth, c), getattr(inside_crowd, c)]) for c in truth.__dataclass_fields__))
    scores = oks_scores([joined], [found], COCO17)
    assert abs(scores.AP - 1) < 1e-9


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="1 images"):
        oks_scores([People.empty(17)], [], COCO17)
