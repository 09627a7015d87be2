"""Skeletons that users write, or that files of COCO's form bring along."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skeleton_cases import FACE_PAIRS, HAND21, WHOLE133, write_toml
from spmdata.errors import SpecError
from spmdata.skeleton import Skeleton
from spmdata.skeleton_edges import SIGMA, skeleton_of
from spmdata.skeleton_file import read_skeleton
from spmdata.skeleton_names import lone_sides, mirror_of, sigma_of, words
from spmdata.skeleton_picture import draw_skeleton, tree_lines
from spmdata.skeletons import COCO17, SKELETONS


def read(tmp_path: Path, text: str) -> Skeleton:
    path = tmp_path / "own.toml"
    path.write_text(text)
    return read_skeleton(path)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=list(SKELETONS))
def test_names_tell_mirror_and_sigmas_of_every_builtin(skeleton: Skeleton) -> None:
    assert mirror_of(skeleton.joints) == skeleton.flip
    told = {joint: sigma_of(joint) for joint in skeleton.joints if joint != "body_centre"}
    assert told == {joint: skeleton.sigmas[skeleton.joints.index(joint)] for joint in told}
    assert lone_sides(skeleton.joints, skeleton.flip) == []


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=list(SKELETONS))
def test_builtins_follow_the_rule_of_trees(skeleton: Skeleton) -> None:
    above = {"elbow": "shoulder", "knee": "hip", "wrist": "elbow", "ankle": "knee", "eye": "nose", "ear": "eye"}
    for joint, parent in zip(skeleton.joints, skeleton.parents, strict=True):
        *_, part = words(joint)
        hangs_from = "root" if parent < 0 else words(skeleton.joints[parent])[-1]
        if part in above:
            assert hangs_from == above[part]
        elif part in ("nose", "head", "top"):
            wanted = {"nose": "neck", "head": "neck", "top": "head" if "head" in skeleton.joints else "neck"}[part]
            assert hangs_from == (wanted if "neck" in skeleton.joints else "root")
        else:
            assert hangs_from == "root"


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=list(SKELETONS))
def test_a_builtin_written_as_toml_is_the_same(tmp_path: Path, skeleton: Skeleton) -> None:
    assert read_skeleton(write_toml(tmp_path / "one.toml", skeleton)) == skeleton


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("left_hip", ("left", "hip")),
        ("LHip", ("l", "hip")),
        ("leftHip", ("left", "hip")),
        ("hip.L", ("hip", "l")),
        ("R-knee", ("r", "knee")),
        ("lefthand1", ("left", "hand", "1")),
        ("larynx", ("larynx",)),
        ("face-12", ("face", "12")),
    ],
)
def test_words_of_a_name(name: str, parts: tuple[str, ...]) -> None:
    assert words(name) == parts


def test_chains(tmp_path: Path) -> None:
    text = 'chains = [["left_hip", "left_knee"], ["neck", "left_hip"], ["neck", "right_hip", "right_knee"]]'
    own = read(tmp_path, text)
    assert own.name == "own"
    assert own.joints == ("left_hip", "left_knee", "neck", "right_hip", "right_knee")
    assert own.parents == (2, 0, -1, 2, 3)
    assert own.flip == (3, 4, 2, 0, 1)
    assert own.sigmas == (0.107, 0.087, 0.079, 0.107, 0.087)
    assert own.torso == (2,)


def test_explicit_forms_win(tmp_path: Path) -> None:
    text = """
name = "four"
joints = ["d", "c", "b", "a"]
chains = [["root", "a", "b"]]
parents = {c = "a", d = "root"}
flip = [["b", "c"]]
sigmas = {default = 0.05, d = 0.1}
torso = ["a", "d"]
"""
    own = read(tmp_path, text)
    assert own == Skeleton("four", ("d", "c", "b", "a"), (-1, 3, 3, -1), (0, 2, 1, 3), (0.1, 0.05, 0.05, 0.05), (3, 0))
    assert read(tmp_path, 'chains = [["a", "b"]]\nsigmas = [1, 0.5]').sigmas == (1.0, 0.5)
    assert read(tmp_path, 'chains = [["nose", "b"]]\nsigmas = 0.5').sigmas == (0.5, 0.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chain = []", "unknown key 'chain' in a skeleton; did you mean 'chains'?"),
        ("", "no joints; write chains"),
        ("chains = 3", "chains must be a list of lists"),
        ("chains = [3]", r"chains\[0\] must be a list of joint names, got 3"),
        ('chains = [["nose", ""]]', r"chains\[0\] must be a list of joint names"),
        ('chains = [["a", "b"], ["c", "b"]]', "'b' hangs from 'c' here, from 'a' elsewhere"),
        ('chains = [["a", "root"]]', "the root is no joint"),
        ('chains = [["nose", "neck"], ["neck", "nose"]]', "form a circle"),
        ('chains = [["nose"]]\nparents = {neck = "nos"}', "'neck' hangs from 'nos', which has no parent; did you mean"),
        (
            'joints = ["nose", "neck"]\nchains = [["nose"]]',
            "'neck' has no parent: put it into a chain, or write parents",
        ),
        ('joints = ["nose"]\nchains = [["nose", "nek"]]', "'nek' of chains or parents is not among joints"),
        ('chains = [["left_eye"], ["right_ey"]]', "'left_eye' has no partner on the other side"),
        ('chains = [["nose"]]\nflip = [["nose"]]', r"flip\[0\] must be a pair of joints"),
        ('chains = [["nose", "neck"]]\nflip = [["nose", "nek"]]', r"flip\[0\]: no joint 'nek'; did you mean 'neck'?"),
        ('chains = [["nose"], ["neck"], ["head"]]\nflip = [["nose", "neck"], ["neck", "head"]]', "in another pair"),
        ('chains = [["left_eye"], ["neck", "right_eye"]]', "mirror pair, but their parents are not"),
        ('chains = [["tail"]]', "nothing tells the sigma of 'tail'; write sigmas.tail = 0.05, or sigmas.default"),
        ('chains = [["nose"]]\nsigmas = [0.1, 0.2]', "sigmas has 2 numbers for 1 joints"),
        ('chains = [["nose"]]\nsigmas = {nos = 1}', "sigmas: no joint 'nos'"),
        ('chains = [["nose"]]\nsigmas = "big"', "must be a number, got 'big'"),
        ('chains = [["nose"]]\nsigmas = 0', "sigma of nose must be above 0"),
        ('chains = [["nose"]]\ntorso = ["hip"]', "torso: no joint 'hip'"),
        ('chains = [["nose"]]\nname = 3', "name must be text"),
        ("chains = [", "own.toml: "),
    ],
)
def test_what_is_no_skeleton_is_said_with_file_and_remedy(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message) as error:
        read(tmp_path, text)
    assert str(error.value).startswith(str(tmp_path / "own.toml"))
    assert "\n" not in str(error.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"none\.toml: No such file"):
        read_skeleton(tmp_path / "none.toml")


def test_hand_and_whole_body(tmp_path: Path) -> None:
    hand, whole = (read_skeleton(write_toml(tmp_path / "x.toml", one)) for one in (HAND21, WHOLE133))
    assert (hand, whole) == (HAND21, WHOLE133)
    assert max(hand.levels()) == 5
    assert len(whole) == 133
    assert len(FACE_PAIRS) == 29
    assert sum(j != o for j, o in enumerate(whole.flip)) == 2 * (8 + 3 + 29 + 21)


def test_a_category_with_the_joints_of_a_builtin_is_it_whatever_its_lines() -> None:
    assert skeleton_of("any", list(COCO17.joints), [[1, 99]]) == (COCO17, ())
    assert skeleton_of("any", [joint.replace("_", " ").title() for joint in COCO17.joints], [])[0] is COCO17


@pytest.mark.parametrize(
    ("joints", "edges", "parents"),
    [
        # A tree with one middle, with two middles, in parts, and without lines.
        ("neck left_hip right_hip left_knee right_knee", [[1, 2], [1, 3], [2, 4], [3, 5]], (-1, 0, 0, 1, 2)),
        ("left_hip right_hip left_knee right_knee", [[1, 2], [1, 3], [2, 4]], (-1, -1, 0, 1)),
        ("left_hip left_knee right_hip right_knee left_ankle right_ankle", [[1, 2], [3, 4], [2, 5], [4, 6]],
         (1, -1, 3, -1, 1, 3)),
        ("nose neck", [], (-1, -1)),
    ],
)  # fmt: skip
def test_lines_that_are_a_tree_give_the_tree(joints: str, edges: list[list[int]], parents: tuple[int, ...]) -> None:
    skeleton, said = skeleton_of("own", joints.split(), edges)
    assert (skeleton.parents, said) == (parents, ())
    assert skeleton.torso == tuple(j for j, parent in enumerate(parents) if parent == -1)


@pytest.mark.parametrize(
    ("edges", "fault"),
    [
        ([[1, 2], [2, 3], [3, 1]], "has a circle through neck and nose"),
        ([[1, 4]], r"has the line \[1, 4\], but joints are 1 to 3"),
        ([[0, 1]], r"has the line \[0, 1\]"),
        ([[1, 2, 3]], r"has the line \[1, 2, 3\]"),
    ],
)
def test_lines_that_are_no_tree_make_a_star_and_it_is_said(edges: list[list[int]], fault: str) -> None:
    skeleton, ((said, n),) = skeleton_of("own", ["nose", "head", "neck"], edges)
    assert (skeleton.parents, n) == ((-1, -1, -1), 3)
    assert said.endswith("each hangs from the root; --skeleton FILE.toml gives a tree")
    with pytest.raises(AssertionError, match=fault):
        raise AssertionError(said)


def test_lines_that_differ_left_and_right_make_a_star() -> None:
    skeleton, ((said, _),) = skeleton_of(
        "own", ["neck", "left_hip", "right_hip", "left_knee", "right_knee"], [[1, 2], [2, 4]]
    )
    assert (set(skeleton.parents), "not the same left and right" in said) == ({-1}, True)


def test_sigmas_that_no_name_tells_are_said() -> None:
    skeleton, ((said, n),) = skeleton_of("cat", ["nose", "tail", "paw"], [[1, 2], [2, 3]])
    assert skeleton.sigmas == (0.026, SIGMA, SIGMA)
    assert (said.startswith("joints whose sigma no name tells: set to 0.079"), n) == (True, 2)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12).flatmap(lambda n: st.tuples(*[st.integers(-1, max(-1, j - 1)) for j in range(n)])))
def test_any_forest_gives_its_trees_rooted_in_the_middle(up: tuple[int, ...]) -> None:
    """No joint is deeper than half of the longest path of its part, counted in joints."""
    edges = [[j + 1, parent + 1] for j, parent in enumerate(up) if parent >= 0]
    skeleton, _ = skeleton_of("own", [f"joint{chr(97 + j)}" for j in range(len(up))], edges)
    kept = {frozenset((j, p)) for j, p in enumerate(skeleton.parents) if p >= 0}
    assert kept <= {frozenset((a - 1, b - 1)) for a, b in edges}
    far = np.full((len(up), len(up)), 99)
    np.fill_diagonal(far, 0)
    for a, b in edges:
        far[a - 1, b - 1] = far[b - 1, a - 1] = 1
    for k in range(len(up)):
        far = np.minimum(far, far[:, [k]] + far[[k]])
    for j, level in enumerate(skeleton.levels()):
        part = far[j] < 99
        longest = far[np.ix_(part, part)].max() + 1
        assert level <= (longest + 1) // 2


def test_picture_and_lines_hold_every_joint() -> None:
    for skeleton in (SKELETONS["mupots17"], WHOLE133):
        lines = tree_lines(skeleton)
        assert [joint for _, joint, _ in lines[1:]] != list(range(len(skeleton)))  # it is a tree, not a list
        assert sorted(joint for _, joint, _ in lines) == list(range(-1, len(skeleton)))
        assert all(level == skeleton.levels()[joint] for _, joint, level in lines[1:])
        picture = draw_skeleton(skeleton)
        packed = set(np.unique(picture.astype(np.int64) @ [1, 256, 65536]).tolist())
        for r, g, b in ((200, 60, 40), (40, 90, 200), (60, 130, 60), (40, 40, 40)):
            assert r + 256 * g + 65536 * b in packed
        # The halves of a face are pairs, but no name says which is left.
        assert (130 + 256 * 70 + 65536 * 160 in packed) == (skeleton == WHOLE133)
        assert picture.shape[0] > 22 * len(skeleton)
