"""Hand-drawn cases whose numbers can be checked on paper, and what ties decode to.

Every joint lies on a cell's centre or a quarter beside it; offsets are in cells (norm none).
"""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spmdata.codec import Codec, Targets
from spmdata.people import People
from spmdata.skeleton import ROOT, Skeleton
from spmdata.spec import TargetSpec


def chain(*joints: str) -> Skeleton:
    """Return joints that hang one from the other, each its own mirror."""
    k = len(joints)
    return Skeleton(
        name="chain",
        joints=joints,
        parents=tuple(range(-1, k - 1)),
        flip=tuple(range(k)),
        sigmas=(0.05,) * k,
        torso=(0,),
    )


def spec_of(skeleton: Skeleton, hw_cells: tuple[int, int], **changes: Any) -> TargetSpec:
    """Return a spec of stride 4, offsets in cells, sigma 1 and a neighbourhood of one cell each way."""
    size = (hw_cells[0] * 4, hw_cells[1] * 4)
    fields: dict[str, Any] = {"skeleton": skeleton, "input_hw": size, "norm": "none", "sigma": 1, "tau": 1}
    return TargetSpec(**{**fields, **changes})


def at(*cells: tuple[float, float]) -> NDArray[np.float32]:
    """Return the input px of points (u, v) in cells: 4 u + 1.5."""
    return (np.array(cells) * 4 + 1.5).astype(np.float32)


def test_one_person_of_one_joint() -> None:
    """The root is the joint, on cell (3, 2) of a 5 x 7 map."""
    codec = Codec(spec_of(chain("dot"), (5, 7)))
    targets = codec.encode(People.of(at((3, 2))[None], np.array([[2]])))
    a, b, c = np.exp([-1.0, -2.0, -4.0])  # one cell away, one across, two away; exp(-5) is below 0.01
    heatmap = [
        [0, 0, 0, c, 0, 0, 0],
        [0, 0, b, a, b, 0, 0],
        [0, c, a, 1, a, c, 0],
        [0, 0, b, a, b, 0, 0],
        [0, 0, 0, c, 0, 0, 0],
    ]
    np.testing.assert_allclose(targets.root_heatmap, heatmap, rtol=0, atol=1e-7)
    count, dx, dy = np.zeros((3, 5, 7))
    count[2, 2:5] = count[1:4, 3] = 1
    dx[2, 2:5] = 1, 0, -1
    dy[1:4, 3] = 1, 0, -1
    np.testing.assert_array_equal(targets.count, [count])
    np.testing.assert_array_equal(targets.offsets, [[dx, dy]])
    found = codec.decode(targets)
    assert found.joints.tolist() == [[[13.5, 9.5]]]
    assert (found.score.tolist(), found.visible.tolist()) == ([1.0], [[1]])


@pytest.mark.parametrize(
    ("overlap", "root_u", "vector", "number"),
    [
        ("mean", 2.25, (1.5, 0.5), 2),
        ("nearest", 2.25, (2, 0), 1),  # 0.75 from A's root, 1 from B's
        ("nearest", 2, (1.5, 0.5), 2),  # a tie: averaged and counted
        ("smallest", 2.25, (1, 1), 1),
    ],
)
def test_two_persons_share_a_cell(overlap: str, root_u: float, vector: tuple[float, float], number: int) -> None:
    """A's hub is on (2.25, 1), its hand on (5, 1); B, half as large, on (4, 1) and (4, 2); they share (3, 1)."""
    star = chain("hub", "hand").star()
    codec = Codec(spec_of(star, (3, 7), root="hub", overlap=overlap))
    joints = np.stack([at((root_u, 1), (5, 1)), at((4, 1), (4, 2))])
    targets = codec.encode(People.of(joints, np.full((2, 2), 2), area=np.array([200.0, 100.0])))
    assert targets.count is not None
    hand, count = targets.offsets[1], targets.count[1]
    assert hand[:, 1, 3].tolist() == list(vector)
    assert count[1].tolist() == [0, 1 if root_u == 2 else 0, 1, number, 1, 1, 0]
    assert hand[:, 1, 2].tolist() == [3, 0]  # A's alone
    assert hand[:, 1, 5].tolist() == [-1, 1]  # B's alone
    assert hand[:, 0, 4].tolist() == [0, 2]  # B's alone, above its hub
    assert not hand[:, count == 0].any()


@pytest.mark.parametrize(
    ("anchor", "missing_parent", "counts", "vectors", "decoded"),
    [
        # hip round the root on cell 4; the absent knee; the ankle round the hip on cell 2
        ("parent", "reparent", {0: [4], 1: [], 2: [2]}, {(0, 4): -2, (2, 2): 5}, {0: 2, 2: 7}),
        ("parent", "stay", {0: [4], 1: [2], 2: [2]}, {(0, 4): -2, (1, 2): 0, (2, 2): 5}, {0: 2, 1: 2, 2: 7}),
        ("parent", "drop", {0: [4], 1: [], 2: []}, {(0, 4): -2}, {0: 2}),
        ("root", "reparent", {0: [4], 1: [], 2: [4]}, {(0, 4): -2, (2, 4): 5}, {0: 2, 2: 7}),
        ("root", "stay", {0: [4], 1: [4], 2: [4]}, {(0, 4): -2, (1, 4): 0, (2, 4): 5}, {0: 2, 1: 2, 2: 7}),
    ],
)
def test_absent_knee(
    anchor: str,
    missing_parent: str,
    counts: dict[int, list[int]],
    vectors: dict[tuple[int, int], float],
    decoded: dict[int, float],
) -> None:
    """On a map of one row: root on cell 4, hip on 2, no knee, ankle on 7; only the nearest cell has a vector."""
    skeleton = chain("hip", "knee", "ankle")
    fields = {"hierarchical": True, "root": "bbox", "tau": 0, "anchor": anchor}
    codec = Codec(spec_of(skeleton, (1, 10), missing_parent=missing_parent, **fields))
    joints, box = at((2, 0), (0, 0), (7, 0))[None], np.array([[10, 0, 16, 4]])  # its centre is pixel 17.5
    targets = codec.encode(People.of(joints, np.array([[2, 0, 2]]), bbox_xywh=box))
    dx = np.zeros((3, 10))
    for (k, u), value in vectors.items():
        dx[k, u] = value
    assert targets.count is not None
    assert {k: np.flatnonzero(targets.count[k, 0]).tolist() for k in range(3)} == counts
    np.testing.assert_array_equal(targets.offsets[:, 0, 0], dx)
    assert not targets.offsets[:, 1].any()
    found = codec.decode(targets)
    px = {k: float(found.joints[0, k, 0]) for k in range(3) if found.visible[0, k]}
    assert px == {k: u * 4 + 1.5 for k, u in decoded.items()}


def test_joint_off_the_map_keeps_its_vector() -> None:
    """The hand is on cell 12 of 10: the vector reaches it, and the finger's vectors lie on the last cell."""
    codec = Codec(spec_of(chain("hub", "hand", "finger"), (1, 10), hierarchical=True, root="hub", tau=0))
    people = People.of(at((7, 0), (12, 0), (14, 0))[None], np.full((1, 3), 2))
    targets = codec.encode(people)
    assert targets.offsets[:, 0, 0].argmax(axis=1).tolist() == [0, 7, 9]
    assert (targets.offsets[1, 0, 0, 7], targets.offsets[2, 0, 0, 9]) == (5, 5)
    np.testing.assert_array_equal(codec.decode(targets).joints, people.joints)


def test_crowds_and_the_unlabelled_say_nothing() -> None:
    """A crowd over px 4 to 11 and an unlabelled person over px 8 to 19 ignore cells 1 to 4 but the drawn root's."""
    codec = Codec(spec_of(chain("dot"), (1, 8), sigma=0.4))
    joints = np.stack([at((0, 0)), at((0, 0)), at((2, 0)), at((-1, 0))])
    people = People.of(
        joints,
        np.array([[2], [0], [2], [2]]),
        bbox_xywh=np.array([[4, 0, 8, 4], [8, 0, 12, 4], [0, 0, 32, 4], [0, 0, 32, 4]]),
        ignore=np.array([True, False, False, False]),
    )
    targets = codec.encode(people)
    assert targets.ignore is not None
    assert targets.count is not None
    assert targets.ignore.tolist() == [[0, 1, 0, 1, 1, 0, 0, 0]]
    assert targets.root_heatmap[0].tolist() == [0, 0, 1, 0, 0, 0, 0, 0]  # exp(-1 / 0.16) is below 0.01
    assert targets.count.tolist() == [[[0, 1, 1, 1, 0, 0, 0, 0]]]  # the root on cell -1 draws nobody


@pytest.mark.parametrize(
    ("nms", "max_people", "rows", "wanted"),
    [
        (3, 9, ["5.5", "...", "..5"], [(0, 0), (2, 0), (2, 2)]),  # nobody in another's window
        (5, 9, ["5.5", "...", "..5"], [(0, 0)]),  # each of the others has an equal one before it
        (3, 9, ["555", "555", "555"], [(0, 0)]),  # one plateau, one peak: its first cell
        (3, 9, ["5555555"], [(0, 0)]),  # a plateau longer than the window as well
        (3, 9, [".5", "5."], [(1, 0)]),  # first in scan order, not first in x
        (5, 9, ["5..4"], [(0, 0), (3, 0)]),
        (7, 9, ["5..4"], [(0, 0)]),
        (1, 9, ["54"], [(0, 0), (1, 0)]),
        (3, 2, ["5.7.5"], [(2, 0), (0, 0)]),  # best first, then scan order
        (3, 2, ["5..", "...", "5.5"], [(0, 0), (0, 2)]),
        (3, 9, ["1.2.."], [(2, 0)]),  # 1 is below the threshold, 2 is not
    ],
)
def test_ties_decode_in_scan_order(nms: int, max_people: int, rows: list[str], wanted: list[tuple[int, int]]) -> None:
    """Heatmaps in eighths; the decoded joint is the peak's own cell."""
    heatmap = np.array([[int(c) if c != "." else 0 for c in row] for row in rows], np.float32) / 8
    H, W = heatmap.shape
    spec = spec_of(chain("dot"), (H, W), nms=nms, max_people=max_people, threshold=0.25)
    targets = Targets(heatmap, np.zeros((1, 2, H, W), np.float32), None, None)
    found = Codec(spec).decode(targets)
    np.testing.assert_array_equal(found.joints[:, 0], at(*wanted))
    assert found.score.tolist() == [heatmap[v, u] for u, v in wanted]
    assert found.visible.all()
    assert spec.tree.parents == (ROOT,)
