"""pose3d: against a slow reference of its own, and on people whose errors are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import slow_pose3d
from codec_cases import SEEDS
from depth_cases import LENS, in_image, standing
from spmdata.geometry import Affine
from spmdata.metrics.pose3d import Pose3dScores, pose3d_scores, procrustes
from spmdata.people import People
from spmdata.skeletons import COCO17

ROOTS = {"mean": range(17), "bbox": range(17), "torso": COCO17.torso, "nose": (0,)}


def scored(truth: People, found: People, root: str = "mean") -> Pose3dScores:
    return pose3d_scores([truth], [found], [LENS], COCO17, root)


def points(seed: int = 0) -> NDArray[np.float64]:
    """Return two persons side by side, cm."""
    rng = np.random.default_rng(seed)
    return np.stack([standing(rng, x, 350) for x in (-75, 75)])


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.sampled_from(sorted(ROOTS)), st.sampled_from([2.0, 15.0, 60.0]))
def test_equal_to_the_slow_reference(seed: int, root: str, noise_cm: float) -> None:
    """People missed, without depth, partly labelled, ignored; others found who are not there."""
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for _ in range(3):
        number = rng.integers(0, 5)
        there = np.reshape([standing(rng, x, rng.uniform(280, 400)) for x in rng.uniform(-90, 90, number)], (-1, 17, 3))
        people = in_image(there, LENS, ignore=rng.random(number) < 0.15)
        visible = people.visible * (rng.random((number, 17)) < rng.choice([0.3, 0.7, 1.0]))
        visible[:, 3:6] = people.visible[:, 3:6]  # with fewer than three points no rotation is best
        truth.append(replace(people, visible=visible, has_depth=rng.random(number) < 0.8))
        here = there[rng.permutation(number)[: rng.integers(0, number + 1)]]
        extra = np.reshape([standing(rng, x, 350) for x in rng.uniform(-90, 90, rng.integers(0, 2))], (-1, 17, 3))
        here = np.concatenate([here, extra]) + rng.normal(0, noise_cm, (len(here) + len(extra), 17, 3))
        found.append(replace(in_image(here, LENS), has_depth=rng.random(len(here)) < 0.9))
    got = pose3d_scores(truth, found, [LENS] * 3, COCO17, root)
    wanted = slow_pose3d.scores(truth, found, [LENS] * 3, ROOTS[root])
    np.testing.assert_allclose(got, [wanted[name] for name in got._fields], rtol=1e-5, atol=1e-4)


def test_perfect_people() -> None:
    people = in_image(points(), LENS)
    assert scored(people, people.select([1, 0])) == pytest.approx((2, 2, 0, 0, 0, 0, 1, 30 / 31, 1, 30 / 31), abs=1e-9)
    nobody = People.empty(17, 3)
    assert scored(nobody, nobody) == (0, 0, 0, -1, -1, -1, -1, -1, -1, -1)
    assert scored(people, nobody) == (2, 0, 0, -1, -1, -1, 0, 0, -1, -1)
    assert scored(nobody, people) == (0, 0, 2, -1, -1, -1, -1, -1, -1, -1)


def test_what_each_number_sees() -> None:
    """10 cm farther away: the root alone. Half as large again: MPJPE. A wrist 16 cm off: one joint of 17."""
    there = points()
    truth = in_image(there, LENS)
    back = scored(truth, in_image(there + np.array([0, 0, 10]), LENS))
    assert (back.MPJPE, back.PA_MPJPE, back.root) == pytest.approx((0, 0, 100), abs=0.01)
    middle = there.mean(1, keepdims=True)
    large = scored(truth, in_image(middle + 1.1 * (there - middle), LENS))
    assert pytest.approx((0, 0), abs=0.01) == (large.PA_MPJPE, large.root)
    tenth_mm = np.linalg.norm(there - middle, axis=-1).mean()
    assert pytest.approx(tenth_mm, rel=1e-3) == large.MPJPE
    wrist = there.copy()
    wrist[:, 9, 2] += 16
    off = scored(truth, in_image(wrist, LENS), root="torso")
    assert (off.PCK150, off.MPJPE, off.root) == pytest.approx((16 / 17, 160 / 17, 0), abs=1e-3)
    assert pytest.approx(16 / 17 * 30 / 31) == off.AUC


def test_modes_and_false_positives() -> None:
    """One of two is missed, and another is found where nobody is, or where a crowd stands."""
    truth = in_image(points(), LENS)
    elsewhere = truth.transform(Affine(np.array([[1.0, 0, 60], [0, 1, 0]])))
    columns = People.__dataclass_fields__
    found = People(**{n: np.concatenate([getattr(truth, n)[:1], getattr(elsewhere, n)[1:]]) for n in columns})
    result = scored(truth, found)
    assert (result.people, result.matched, result.false_positives) == (2, 1, 1)
    assert (result.PCK150, result.PCK150_matched) == (0.5, 1)
    crowd = replace(elsewhere, ignore=np.array([True, True]))
    among = People(**{n: np.concatenate([getattr(truth, n), getattr(crowd, n)[1:]]) for n in columns})
    assert scored(among, found).false_positives == 0
    flat = replace(truth, has_depth=np.array([True, False]))
    assert scored(flat, truth)[:3] == (1, 1, 0)
    assert scored(truth, flat)[:3] == (2, 1, 0)


def test_the_frame_does_not_matter() -> None:
    """Scores of the letterboxed people, by their camera, are those of the original ones."""
    there = points()
    truth, found = in_image(there, LENS), in_image(there + np.random.default_rng(1).normal(0, 5, there.shape), LENS)
    half = Affine(np.array([[0.5, 0, 7], [0, 0.5, 3]]))
    moved = pose3d_scores([truth.transform(half)], [found.transform(half)], [LENS.transform(half)], COCO17)
    np.testing.assert_allclose(moved, scored(truth, found), rtol=1e-4, atol=1e-3)


def test_procrustes_does_not_mirror() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(9, 3))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)
    np.testing.assert_allclose(procrustes(a, 3 * a @ turn + [1, 2, 3]), 3 * a @ turn + [1, 2, 3], atol=1e-12)
    mirrored = a * [-1, 1, 1]
    assert np.abs(procrustes(a, mirrored) - mirrored).max() > 0.1
    np.testing.assert_allclose(procrustes(a, mirrored), slow_pose3d.horn(a, mirrored), atol=1e-12)
    assert np.isfinite(procrustes(np.ones((2, 3)), a[:2])).all()
