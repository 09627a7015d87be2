"""metrics/pck.py: cases whose answer is plain."""

from __future__ import annotations

import numpy as np

from spmdata.metrics.pck import pck
from spmdata.people import People


def people(*corners: tuple[float, float], off: float = 0.0, wrong: int = 0) -> People:
    """Return people of 5 joints in boxes of 100 px; the first ``wrong`` joints are moved by ``off`` px."""
    square = np.array([[0.0, 0], [100, 0], [0, 100], [100, 100], [50, 50]])
    joints = np.stack([square + corner for corner in corners])
    joints[:, :wrong, 0] += off
    return People.of(joints, np.full(joints.shape[:2], 2))


def test_shares() -> None:
    truth = people((0, 0), (300, 0))
    assert pck([truth], [truth]) == 1
    assert pck([truth], [truth.select([1, 0])]) == 1  # the order of estimates does not matter
    assert pck([truth], [people((0, 0), (300, 0), off=9.9, wrong=2)]) == 1
    assert pck([truth], [people((0, 0), (300, 0), off=10.1, wrong=2)]) == 0.6
    assert pck([truth], [truth.select([0])]) == 0.5  # one is missed
    assert pck([truth], [People.empty(5)]) == 0
    assert pck([People.empty(5)], [truth]) == 0


def test_an_estimate_serves_one_person() -> None:
    assert pck([people((0, 0), (5, 0))], [people((2, 0))]) == 0.5


def test_unlabelled_joints_and_crowds_do_not_count() -> None:
    truth = people((0, 0), (300, 0))
    visible = truth.visible.copy()
    visible[0, 4] = 0
    truth = People.of(truth.joints, visible, ignore=[False, True])
    assert pck([truth], [people((0, 0), off=50, wrong=1)]) == 0.75
