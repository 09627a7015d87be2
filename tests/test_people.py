"""people.py: columns, their checks and their moves."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spmdata.errors import AnnotationError
from spmdata.geometry import Affine
from spmdata.people import DTYPES, People
from spmdata.skeletons import COCO17


def some_people(seed: int = 0, n: int = 4) -> People:
    rng = np.random.default_rng(seed)
    joints = rng.integers(0, 640 * 16, (n, 17, 2)) / 16
    return People.of(joints, rng.integers(0, 3, (n, 17)), id=np.arange(n))


def test_columns_have_their_dtypes_and_unlabelled_joints_are_zero() -> None:
    people = some_people()
    for name, dtype in DTYPES.items():
        assert getattr(people, name).dtype == dtype
    assert not people.joints[people.visible == 0].any()
    assert people.joints[people.visible > 0].any()


def test_what_is_left_out_is_derived() -> None:
    joints = np.array([[[10.0, 20], [13, 24], [99, 99]]])
    people = People.of(joints, np.array([[2, 1, 0]]))
    assert people.bbox_xywh.tolist() == [[10, 20, 4, 5]]  # the pixels 10..13 and 20..24, edges included
    assert people.area[0] == pytest.approx(0.53 * 20)
    assert people.score.tolist() == [1]
    assert People.empty(17).joints.shape == (0, 17, 2)


def test_flipping_twice_changes_nothing_bit_for_bit() -> None:
    people = some_people()
    twice = people.flip(COCO17, 640).flip(COCO17, 640)
    for name in DTYPES:
        np.testing.assert_array_equal(getattr(twice, name), getattr(people, name))


def test_a_flip_swaps_left_and_right_and_mirrors_the_box() -> None:
    people = some_people()
    flipped = people.flip(COCO17, 640)
    left, right = COCO17.joints.index("left_wrist"), COCO17.joints.index("right_wrist")
    both = people.labelled[:, left]
    np.testing.assert_array_equal(flipped.joints[both, right, 0], 639 - people.joints[both, left, 0])
    np.testing.assert_array_equal(flipped.visible[:, right], people.visible[:, left])
    moved = people.transform(Affine.flip(640))
    np.testing.assert_allclose(flipped.bbox_xywh, moved.bbox_xywh, atol=1e-3)


@given(st.floats(0.2, 5), st.floats(-3, 3), st.floats(-100, 100))
def test_moving_there_and_back(scale: float, angle: float, shift: float) -> None:
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    affine = Affine(np.array([[cos, -sin, shift], [sin, cos, -shift]]))
    people = some_people(1)
    back = people.transform(affine).transform(affine.inverse())
    np.testing.assert_allclose(back.joints, people.joints, atol=2e-3)
    np.testing.assert_allclose(back.area, people.area, rtol=1e-5)
    assert not back.joints[people.visible == 0].any()


def test_selecting_keeps_every_column() -> None:
    people = some_people()
    assert people.select([2, 0]).id.tolist() == [2, 0]
    assert len(people.select(people.id > 5)) == 0
    again = pickle.loads(pickle.dumps(people))
    np.testing.assert_array_equal(again.joints, people.joints)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(AnnotationError, match=r"person 1 .*not a finite number"):
        People.of(np.array([[[1.0, 2]], [[np.nan, 2]]]), np.ones((2, 1)))
    with pytest.raises(AnnotationError, match="must be 0, 1 or 2, got 3"):
        People.of(np.zeros((1, 1, 2)), np.full((1, 1), 3))
    with pytest.raises(AnnotationError, match="do not fit"):
        People.of(np.zeros((1, 2, 2)), np.ones((1, 3)))
    with pytest.raises(AnnotationError, match="joints must be"):
        People.of(np.zeros((1, 2, 4)), np.ones((1, 2)))
    People.of(np.full((1, 1, 2), np.nan), np.zeros((1, 1)))  # nobody reads an unlabelled joint
