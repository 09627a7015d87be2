"""skeleton.py and skeletons.py: trees, mirrors, levels."""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict, replace

import pytest

from spmdata.errors import SpecError
from spmdata.skeleton import Skeleton
from spmdata.skeletons import SKELETONS

COCO17 = SKELETONS["coco17"]


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=list(SKELETONS))
def test_every_builtin_skeleton_is_a_tree_that_its_mirror_preserves(skeleton: Skeleton) -> None:
    k = len(skeleton)
    assert sorted(skeleton.flip) == list(range(k))
    for j, other in enumerate(skeleton.flip):
        assert skeleton.sigmas[j] == skeleton.sigmas[other]
        assert skeleton.levels()[j] == skeleton.levels()[other]
        if other != j:
            assert {skeleton.joints[j].partition("_")[0], skeleton.joints[other].partition("_")[0]} == {"left", "right"}
            assert skeleton.joints[j].partition("_")[2] == skeleton.joints[other].partition("_")[2]
    seen = {-1}
    for j in skeleton.order():
        assert skeleton.parents[j] in seen
        seen.add(j)


def test_coco_levels_are_the_papers() -> None:
    level = dict(zip(COCO17.joints, COCO17.levels(), strict=True))
    assert level["left_shoulder"] == level["right_hip"] == level["nose"] == 1
    assert level["left_elbow"] == level["left_knee"] == 2
    assert level["left_wrist"] == level["right_ankle"] == 3


def test_a_star_hangs_every_joint_from_the_root() -> None:
    star = COCO17.star()
    assert set(star.parents) == {-1}
    assert set(star.levels()) == {1}
    assert star.order() == tuple(range(17))
    assert star.star() == star


def test_skeletons_survive_json_and_pickle() -> None:
    assert Skeleton.from_json(json.loads(json.dumps(asdict(COCO17)))) == COCO17
    assert pickle.loads(pickle.dumps(COCO17)) == COCO17
    with pytest.raises(SpecError, match="describes no skeleton"):
        Skeleton.from_json({"bones": []})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parents": (1, 0, 0)}, "form a circle"),
        ({"parents": (0, -1, -1)}, "form a circle"),
        ({"parents": (-1, 0, 3)}, "parent of right_a must be -1..2, got 3"),
        ({"parents": (-1, 0)}, "parents has 2 entries for 3 joints"),
        ({"flip": (0, 2, 2)}, "flip of left_a is not a mirror pair"),
        ({"parents": (-1, 0, 1)}, "mirror pair, but their parents are not"),
        ({"parents": (1, -1, -1)}, "is its own mirror, but its parent left_a is not"),
        ({"joints": ("top", "left_a", "top")}, "'top' stands twice"),
        ({"sigmas": (0.1, 0.0, 0.1)}, "sigma of left_a must be above 0"),
        ({"torso": ()}, "torso must name at least one joint"),
        ({"torso": (5,)}, "torso must name at least one joint"),
        ({"joints": (), "parents": (), "flip": (), "sigmas": ()}, "1 to 1000 joints"),
    ],
)
def test_what_is_no_skeleton_is_refused_by_name(changes: dict[str, tuple[int, ...]], message: str) -> None:
    small = Skeleton("small", ("top", "left_a", "right_a"), (-1, 0, 0), (0, 2, 1), (0.1, 0.1, 0.1), (0,))
    with pytest.raises(SpecError, match=message):
        replace(small, **changes)  # type: ignore[arg-type]
