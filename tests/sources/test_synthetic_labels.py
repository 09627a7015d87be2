"""The labels of synthetic people against their own drawing, and the body that they come from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from spmdata.skeletons import COCO17
from spmdata.sources.synthetic_body import Body, draw_body, pose_body
from spmdata.sources.synthetic_labels import LEAST_VISIBLE
from spmdata.sources.synthetic_parts import body_parts
from spmdata.sources.synthetic_poses import ANGLES, HIGH, LOW, POSES, draw_pose, mirrored
from spmdata.sources.synthetic_scene import ID_STEP, Scene
from synthetic_cases import scenes

Float64 = NDArray[np.float64]

NOSE, LEFT_EYE, RIGHT_EYE, LEFT_EAR, RIGHT_EAR = range(5)
#: Joints that bones of constant length join.
BONES = (
    *((0, 1), (0, 2), (1, 3), (2, 4), (1, 2), (5, 6), (11, 12)),
    *((5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16)),
)


def everybody() -> Iterator[tuple[Scene, int]]:
    """Yield every person of the busy rows."""
    for drawn in scenes():
        for p in range(len(drawn.people)):
            yield drawn, p


def cells(drawn: Scene, p: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the nearest pixel (17, 2) of every projected joint, and whether it is in the image."""
    normalised = drawn.joints_cm[p] / drawn.joints_cm[p, :, 2:]
    cell = np.floor((normalised @ drawn.camera.K.T)[:, :2] + 0.5).astype(np.int64)
    return cell, ((cell >= 0) & (cell < drawn.pixels.shape[1::-1])).all(1)


def test_joints_are_the_projected_ones() -> None:
    for drawn, p in everybody():
        projected = (drawn.joints_cm[p] / drawn.joints_cm[p, :, 2:]) @ drawn.camera.K.T
        labelled = drawn.people.labelled[p]
        np.testing.assert_allclose(drawn.people.joints[p, labelled], projected[labelled, :2], atol=1e-3)
        assert (drawn.joints_cm[p, :, 2] > 30).all()


def test_ids_are_unique() -> None:
    ids = [drawn.people.id.tolist() for drawn in scenes()]
    assert ids[3] == [3 * ID_STEP + 1 + p for p in range(len(ids[3]))]


def test_area_and_box_are_those_of_the_mask() -> None:
    for drawn, p in everybody():
        mask, (x, y, w, h) = drawn.masks[p], drawn.people.bbox_xywh[p].astype(int).tolist()
        assert drawn.people.area[p] == mask.sum() > 0
        assert mask[y : y + h, x : x + w].sum() == mask.sum()
        inside = mask[y : y + h, x : x + w]
        assert inside[[0, -1]].any(1).all()
        assert inside[:, [0, -1]].any(0).all()


def test_visible_joints_lie_on_the_persons_own_drawing() -> None:
    checked = 0
    for drawn, p in everybody():
        v, u = np.nonzero(drawn.masks[p])
        for x, y in drawn.people.joints[p, drawn.people.visible[p] == 2]:
            assert np.hypot(u - x, v - y).min() <= 1.5
            checked += 1
    assert checked > 500


def test_joints_are_unlabelled_exactly_outside_the_image() -> None:
    outside = 0
    for drawn, p in everybody():
        if not drawn.people.regions[p]:
            _, inside = cells(drawn, p)
            np.testing.assert_array_equal(drawn.people.labelled[p], inside)
            outside += int((~inside).sum())
    assert outside > 50


def test_who_stands_in_front_hides_joints() -> None:
    hidden = 0
    for drawn, p in everybody():
        depth = drawn.joints_cm[:, 11:13, 2].mean(1)
        in_front = drawn.masks[depth < depth[p] - 1e-6].any(0)
        cell, inside = cells(drawn, p)
        covered = np.array([bool(ok and in_front[y, x]) for (x, y), ok in zip(cell.tolist(), inside, strict=True)])
        assert (drawn.people.visible[p, covered] <= 1).all()
        hidden += int((drawn.people.visible[p, covered] == 1).sum())
    assert hidden > 30


def test_who_is_hidden_almost_whole_is_an_ignore_region() -> None:
    regions = 0
    for drawn, p in everybody():
        depth = drawn.joints_cm[:, 11:13, 2].mean(1)
        free = drawn.masks[p] & ~drawn.masks[depth < depth[p] - 1e-6].any(0)
        if free.sum() < LEAST_VISIBLE * drawn.masks[p].sum():
            assert not drawn.people.labelled[p].any()
            assert drawn.people.regions[p]
            assert drawn.people.bbox_xywh[p, 2:].min() > 0
            regions += 1
    assert regions > 0


def test_faces_show_to_the_front_and_ears_to_their_side() -> None:
    counts = {"front": 0, "back": 0, "side": 0}
    for drawn, p in everybody():
        face, visible = drawn.joints_cm[p, :5], drawn.people.visible[p]
        ahead = face[[LEFT_EAR, RIGHT_EAR], 2].mean() - face[NOSE, 2]  # cm towards the camera, of about 12
        aside = float(np.linalg.norm((face[NOSE] - face[[LEFT_EAR, RIGHT_EAR]].mean(0))[:2]))
        if ahead < -6 and aside < 5:  # who looks down shows a nose below the head
            assert (visible[[NOSE, LEFT_EYE, RIGHT_EYE]] < 2).all()
            counts["back"] += 1
        if ahead > 8:
            counts["front"] += 1
            assert face[LEFT_EYE, 0] > face[RIGHT_EYE, 0]  # who faces us has the left side on our right
        if face[LEFT_EAR, 2] - face[RIGHT_EAR, 2] > 14:
            assert visible[LEFT_EAR] < 2
            counts["side"] += 1
    assert min(counts.values()) >= 2


def test_angles_stay_within_their_limits() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_pose(rng) for _ in range(2000)]
    assert {name for name, _ in drawn} == set(POSES)
    angles = np.stack([a for _, a in drawn])
    assert (angles >= LOW).all()
    assert (angles <= HIGH).all()
    assert ((angles.max(0) - angles.min(0)) > 0.3 * (HIGH - LOW)).all()
    for one, p in everybody():
        joints = one.joints_cm[p]
        for a, b, c in ((5, 7, 9), (6, 8, 10), (11, 13, 15), (12, 14, 16)):
            u, v = joints[b] - joints[a], joints[c] - joints[b]
            bent = np.rad2deg(np.arccos(np.clip(u @ v / np.linalg.norm(u) / np.linalg.norm(v), -1, 1)))
            assert bent <= 145 + 1e-6


def some_body() -> tuple[Body, np.random.Generator]:
    rng = np.random.default_rng(1)
    return draw_body(rng), rng


def test_bones_keep_their_lengths() -> None:
    body, rng = some_body()
    posed = [pose_body(body, draw_pose(rng)[1], np.eye(3)).joints for _ in range(100)]
    lengths = np.array([[np.linalg.norm(j[a] - j[b]) for a, b in BONES] for j in posed])
    assert (np.ptp(lengths, axis=0) < 1e-6 * lengths.mean(0)).all()
    assert lengths[0, BONES.index((5, 7))] == pytest.approx(body.upper_arm)
    assert lengths[0, BONES.index((13, 15))] == pytest.approx(body.shank)


def test_a_mirrored_pose_is_the_mirrored_body() -> None:
    body, rng = some_body()
    for _ in range(50):
        _, angles = draw_pose(rng)
        joints = pose_body(body, angles, np.eye(3)).joints
        mirror = pose_body(body, mirrored(angles), np.eye(3)).joints
        np.testing.assert_allclose(mirror, joints[list(COCO17.flip)] * [-1, 1, 1], atol=1e-9)
        np.testing.assert_array_equal(mirrored(mirrored(angles)), angles)


@pytest.mark.parametrize(
    ("angle", "joint", "seen_from", "axis", "sign"),
    [
        ("left_knee", "left_ankle", "left_knee", 2, -1),
        ("right_knee", "right_ankle", "right_knee", 2, -1),
        ("left_elbow", "left_wrist", "left_elbow", 2, 1),
        ("right_elbow", "right_wrist", "right_elbow", 2, 1),
        ("left_hip_raise", "left_knee", "left_hip", 2, 1),
        ("right_hip_out", "right_knee", "right_hip", 0, -1),
        ("left_arm_raise", "left_elbow", "left_shoulder", 0, 1),
        ("right_arm_raise", "right_elbow", "right_shoulder", 0, -1),
        ("waist_bend", "nose", "left_hip", 2, 1),
        ("waist_side", "nose", "left_hip", 0, 1),
        ("neck_turn", "nose", "left_hip", 0, 1),
    ],
)
def test_joints_bend_the_right_way(angle: str, joint: str, seen_from: str, axis: int, sign: int) -> None:
    """One angle changed from rest moves the joint along x (left) or z (front) in the sense of its sign."""
    body, _ = some_body()
    angles = np.zeros(len(ANGLES))
    at, origin = COCO17.joints.index(joint), COCO17.joints.index(seen_from)
    rest = pose_body(body, angles, np.eye(3)).joints
    angles[ANGLES.index(angle)] = min(60, HIGH[ANGLES.index(angle)])
    bent = pose_body(body, angles, np.eye(3)).joints
    moved = (bent[at] - bent[origin]) - (rest[at] - rest[origin])
    assert sign * moved[axis] > 4


def test_bodies_are_as_tall_as_they_say() -> None:
    rng = np.random.default_rng(2)
    bodies = [draw_body(rng) for _ in range(200)]
    from spmdata.sources.synthetic_look import draw_look

    for body in bodies:
        figure = pose_body(body, np.zeros(len(ANGLES)), np.eye(3))
        look = draw_look(rng)._replace(hat=False, backpack=None)
        ends = [
            (p[1] - r, p[1] + r)
            for part in body_parts(body, figure, look)
            for p, r in zip(part.points, part.radii, strict=True)
        ]
        assert max(high for _, high in ends) - min(low for low, _ in ends) == pytest.approx(body.stature, rel=0.06)
    assert min(b.stature for b in bodies) < 120
    assert max(b.stature for b in bodies) > 180
