"""metrics/oks.py against pycocotools' published numbers and cases whose answer is plain."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from slow_oks import pycocotools_scores
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


def crowd_of(rng: np.random.Generator, images: int) -> tuple[list[People], list[People]]:
    """Return annotated and found people: many on one another, some crowds, some unlabelled, equal scores, sizes."""
    truth, found = [], []
    for _ in range(images):
        g, d = int(rng.integers(0, 9)), int(rng.integers(0, 27))
        size = rng.choice([20.0, 60.0, 200.0], (g, 1, 1))
        centre = rng.uniform(100, 160, (g, 1, 2))
        joints = centre + rng.normal(0, 1, (g, 17, 2)) * size / 4
        visible = rng.integers(0, 3, (g, 17)) * (rng.random((g, 1)) < 0.85)
        crowd = rng.random(g) < 0.15
        truth.append(People.of(joints, visible, area=(size[:, 0, 0] * rng.uniform(0.5, 2, g)) ** 2, ignore=crowd))
        of = rng.integers(0, max(1, g), d)
        theirs = joints[of] if g else np.zeros((d, 17, 2))
        near = theirs + rng.normal(0, 1, (d, 17, 2)) * rng.choice([0.0, 1.0, 5.0, 60.0], (d, 1, 1))
        found.append(People.of(near, np.full((d, 17), 2), score=rng.choice([0.3, 0.5, 0.9], d)))
    return truth, found


@pytest.mark.parametrize("seed", range(6))
def test_equals_pycocotools_to_the_last_bit(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spmdata.metrics.oks.BLOCK_PAIRS", 100)
    truth, found = crowd_of(np.random.default_rng(seed), 25)
    ours = oks_scores(truth, found, COCO17)
    assert 0.01 < ours.AP < 0.9
    assert ours == pycocotools_scores(truth, found, COCO17)
    for n in (0, 1):
        assert oks_scores(truth[:n], found[:n], COCO17) == pycocotools_scores(truth[:n], found[:n], COCO17)
    nobody = [People.empty(17)] * len(truth)
    assert oks_scores(truth, nobody, COCO17) == pycocotools_scores(truth, nobody, COCO17)
    assert oks_scores(nobody, found, COCO17) == pycocotools_scores(nobody, found, COCO17)
