"""Depth: what is stored can be checked on paper, and people come back to where they stood in the camera's frame."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec_cases import CAMERA, SEEDS
from spmdata.camera import Camera
from spmdata.codec import Codec, Targets
from spmdata.errors import SpecError
from spmdata.geometry import Affine
from spmdata.people import People
from spmdata.skeleton import Skeleton
from spmdata.skeletons import COCO17
from spmdata.spec import TargetSpec

LIMBS = Skeleton(
    name="limbs", joints=("hub", "hand", "finger"), parents=(-1, 0, 1), flip=(0, 1, 2), sigmas=(0.05,) * 3, torso=(0,)
)
#: Focal length 100 px: the root of two axes of 50 and 200 px.
F100 = Camera(np.diag([50.0, 200.0, 1.0]), np.zeros(5), np.eye(3), np.zeros(3))


def row_of(*persons: list[tuple[float, float]], missing_parent: str = "reparent") -> tuple[Codec, People]:
    """Return people of (cell, z in cm) a joint on a map of one row of 12 cells; a negative z is not labelled."""
    spec = TargetSpec(
        skeleton=LIMBS,
        hierarchical=True,
        root="hub",
        tau=1,
        input_hw=(4, 48),
        norm="none",
        dims=3,
        missing_parent=missing_parent,  # type: ignore[arg-type]
    )
    joints = [[(u * 4 + 1.5, 1.5, max(z, 0)) for u, z in person] for person in persons]
    return Codec(spec), People.of(joints, [[2 * (z >= 0) for _, z in person] for person in persons])


def test_one_person() -> None:
    """Hub on cell 2 at 3 m, hand on 5 at 2.5 m, finger on 8 at 2.25 m; the focal length is 100 px."""
    codec, people = row_of([(2, 300), (5, 250), (8, 225)])
    targets = codec.encode(people, F100)
    assert targets.root_depth is not None
    assert targets.count_z is not None
    assert targets.root_depth[0, :5].tolist() == [0, 3, 3, 3, 0]
    assert targets.offsets[:, 2, 0, :7].tolist() == [
        [0] * 7,
        [0, -0.5, -0.5, -0.5, 0, 0, 0],
        [0, 0, 0, 0] + [-0.25] * 3,
    ]
    np.testing.assert_array_equal(targets.count_z, np.asarray(targets.count))
    found = codec.decode(targets, F100)
    np.testing.assert_array_equal(found.joints, people.joints)
    assert found.has_depth.tolist() == [True]


def test_who_has_no_depth_counts_in_count_alone() -> None:
    """Hubs on cells 4 and 5; of the second person nothing is known of depth."""
    codec, people = row_of([(4, 300), (6, 250), (8, 250)], [(5, 500), (7, 700), (9, 900)])
    targets = codec.encode(replace(people, has_depth=np.array([True, False])), F100)
    assert np.asarray(targets.count)[1, 0, 3:7].tolist() == [1, 2, 2, 1]
    assert np.asarray(targets.count_z)[1, 0, 3:7].tolist() == [1, 1, 1, 0]
    assert targets.offsets[1, 2, 0, 3:7].tolist() == [-0.5, -0.5, -0.5, 0]
    assert np.asarray(targets.root_depth)[0, 3:7].tolist() == [3, 3, 3, 0]


def test_winners_of_a_cell_are_averaged() -> None:
    codec, people = row_of([(4, 300), (6, 250), (8, 250)], [(5, 500), (7, 700), (9, 900)])
    targets = codec.encode(people, F100)
    assert np.asarray(targets.root_depth)[0, 3:7].tolist() == [3, 4, 4, 5]
    assert targets.offsets[1, 2, 0, 3:7].tolist() == [-0.5, 0.75, 0.75, 2]


@pytest.mark.parametrize(("missing_parent", "hand"), [("reparent", 0), ("stay", 1), ("drop", 0)])
def test_an_absent_hand(missing_parent: str, hand: int) -> None:
    """The finger hangs from the hub, in z as in x and y; under `stay` the hand keeps a zero that counts."""
    codec, people = row_of([(2, 300), (0, -1), (8, 225)], missing_parent=missing_parent)
    targets = codec.encode(people, F100)
    assert np.asarray(targets.count_z)[:, 0, 2].tolist() == [1, hand, missing_parent != "drop"]
    assert targets.offsets[:, 2, 0, 2].tolist() == [0, 0, 0 if missing_parent == "drop" else -0.75]


def test_depth_needs_a_camera() -> None:
    codec, people = row_of([(2, 300), (5, 250), (8, 225)])
    with pytest.raises(SpecError, match="row 0 has people with depth, but no camera: pass"):
        codec.encode(people)
    with pytest.raises(SpecError, match="2 images need 2 cameras, got 1"):
        codec.encode_batch([people, people], cameras=[F100])
    flat = replace(people, has_depth=np.array([False]))
    targets = codec.encode_batch([people, flat], cameras=[F100, None])
    assert not np.asarray(targets.root_depth)[1].any()
    with pytest.raises(SpecError, match="by root_depth and a camera"):
        codec.decode_batch(targets)
    with pytest.raises(SpecError, match="by root_depth and a camera"):
        codec.decode(Targets(targets.root_heatmap[0], targets.offsets[0]), F100)
    with pytest.raises(SpecError, match="joints of 2 axes where 3 are wanted"):
        codec.encode(People.empty(3))
    with pytest.raises(SpecError, match="joints of 3 axes where 2 are wanted"):
        Codec(TargetSpec()).encode(People.empty(17, dims=3))


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.booleans(), st.sampled_from(["parent", "root"]), st.booleans())
def test_people_come_back_to_where_they_stood(seed: int, hierarchical: bool, anchor: str, mirror: bool) -> None:
    """Projected, turned, scaled, shifted, mirrored, encoded, decoded and unprojected: to 0.01 cm."""
    rng = np.random.default_rng(seed)
    spec = TargetSpec(hierarchical=hierarchical, anchor=anchor, dims=3, input_hw=(256, 256))  # type: ignore[arg-type]
    camera = Camera(np.array([[300.0, 1, 130], [0, 290, 120], [0, 0, 1]]), CAMERA.dist, np.eye(3), np.zeros(3))
    z = rng.uniform(250, 500)
    points = rng.normal([0, 0, z], [12, 30, 20], (17, 3))
    people = People.of(np.concatenate([camera.project(points), points[:, 2:]], 1)[None], np.full((1, 17), 2))
    angle, scale = rng.uniform(-0.7, 0.7), rng.uniform(0.7, 1.3)
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([[c, -s, 0], [s, c, 0]])
    turn[:, 2] = 128 - turn[:, :2] @ [130, 120] + rng.uniform(-30, 30, 2)
    moved, seen = people.transform(Affine(turn)), camera.transform(Affine(turn))
    if mirror:
        moved, seen = moved.flip(COCO17, 256), seen.transform(Affine.flip(256))
    codec = Codec(spec)
    found = codec.decode(codec.encode(moved, seen), seen)
    assert found.has_depth.tolist() == [True]
    back = seen.unproject(found.joints[0, :, :2], found.joints[0, :, 2])
    np.testing.assert_allclose(back, points[list(COCO17.flip)] if mirror else points, rtol=0, atol=0.01)
