"""MPII: the structure of the official .mat with all its oddities, and the one-person forms."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from scipy.io import loadmat, savemat

from coco_cases import places, samples, spoilt
from mpii_cases import EMPTY, array, entry, point, rect, standing, write_release
from spmdata.errors import AnnotationError
from spmdata.skeletons import MPII16
from spmdata.sources.mpii_file import MpiiFile, read_mpii_file
from spmdata.sources.mpii_single import MISSING_PEOPLE
from spmdata.sources.registry import open_source


def read(tmp_path: Path, rects: list[dict[str, Any]]) -> MpiiFile:
    path = write_release(tmp_path / "a.mat", [entry("a.jpg", rects), entry("b.jpg", [rect(standing())])], [1, 1])
    return read_mpii_file(path, test=False, need_names=True)


def test_coordinates_are_0_indexed_and_joints_stand_in_mpii_order(tmp_path: Path) -> None:
    people = read(tmp_path, [rect(standing()[::-1])]).people
    assert_array_equal(people.joints[0], [[99 + j, 49 + 2 * j] for j in range(16)])
    assert_array_equal(people.visible[0], [1, 2] * 8)
    assert_allclose(people.head_px, 0.6 * 50)
    assert people.id.tolist() == [1001, 2001]
    assert_array_equal(people.bbox_xywh[0], [99, 49, 16, 31])
    assert MPII16.joints[0] == "right_ankle"
    assert MPII16.joints[9] == "head_top"


@pytest.mark.parametrize(
    ("said", "visible"), [(1, 2), (0, 1), ("1", 2), ("0", 1), (EMPTY, 2), ("", 2), (np.bool_(False), 1)]
)
def test_is_visible_in_every_form(tmp_path: Path, said: Any, visible: int) -> None:
    people = read(tmp_path, [rect([point(3, 5, 6, is_visible=said), point(8, 7, 8, is_visible=1)])]).people
    assert people.visible[0, [3, 8]].tolist() == [visible, 2]


def test_missing_is_visible_means_visible(tmp_path: Path) -> None:
    assert read(tmp_path, [rect([point(9, 5, 6)])]).people.visible[0, 9] == 2


def test_one_struct_an_array_and_nothing(tmp_path: Path) -> None:
    entries = [
        entry("one.jpg", [rect([point(0, 2, 3)])]),  # one struct, one point
        entry("none.jpg", []),
        entry("two.jpg", [rect(standing()), rect(standing(300))]),
        {"image": {"name": "bare.jpg"}, "annorect": EMPTY},
    ]
    file = read_mpii_file(write_release(tmp_path / "a.mat", entries, [1] * 4), test=False, need_names=True)
    assert np.bincount(file.image_of, minlength=4).tolist() == [1, 0, 2, 0]
    assert file.id.tolist() == [1, 2, 3, 4]


def test_people_without_joints_become_regions(tmp_path: Path) -> None:
    where = {"scale": 1.5, "objpos": {"x": 401, "y": 301}}
    rects = [
        rect(None, **where),
        rect(None, annopoints=EMPTY, **where),
        rect(None, annopoints={"point": EMPTY}, scale=EMPTY),  # no scale: the head box
        {"scale": 2.0},  # nothing to ignore anywhere
        rect(standing(), scale="2.5"),
    ]
    file = read(tmp_path, rects)
    people = file.people
    assert people.regions.tolist() == [True, True, True, False, False]
    # 300 px round the 0-indexed (400, 300): pixels 250.5 to 549.5 of x, edges half a pixel beyond.
    assert_allclose(people.bbox_xywh[0], [250.5, 150.5, 300, 300])
    assert_allclose(people.bbox_xywh[2], [10, 20, 31, 41])
    assert file.findings["people without joints: ignored in a box of 200 * scale px"] == 2
    assert file.findings["people without joints or scale: ignored in their head box"] == 1
    assert file.findings["people without joints, scale or head box: passed over"] == 1


def test_odd_points(tmp_path: Path) -> None:
    points = [point(0, -40, 9000), point(1, np.nan, 2), point(2, 5, 5), point(2, 6, 6), {"id": 4, "x": 3}]
    file = read(tmp_path, [rect(points)])
    assert file.people.joints[0, 0].tolist() == [-41, 8999]  # off the image, and kept
    assert file.people.joints[0, 2].tolist() == [4, 4]
    assert file.people.visible[0, :5].tolist() == [2, 0, 2, 0, 0]
    assert file.findings["points without a position: passed over"] == 2
    assert file.findings["joints annotated twice: the first kept"] == 1
    with pytest.raises(AnnotationError, match=r"annolist\(1\)\.annorect\(1\): a point's id must be 0 to 15, got 16"):
        read(tmp_path, [rect([point(16, 1, 1)])])


def test_parts_and_extras(tmp_path: Path) -> None:
    entries = [entry("a.jpg", [rect(standing())]), entry("b.jpg", [rect(None)]), entry("c.jpg", [rect(standing())] * 2)]
    single = np.array([[np.array([[1]])], [EMPTY], [np.array([[2]])]], object)
    acts = array([{"act_name": name, "act_id": 1} for name in ("curling", "", "yoga")])
    path = write_release(
        tmp_path / "mpii/mpii_human_pose_v1_u12_1.mat", entries, [1, 0, 1], single_person=single, act=acts
    )
    source = open_source("mpii", root=tmp_path, no_images=True)
    assert [(s.id, s.path, json.loads(s.meta)) for s in samples(source)] == [
        (1, "a.jpg", {"single_person": [1], "activity": "curling"}),
        (3, "c.jpg", {"single_person": [2], "activity": "yoga"}),
    ]
    with pytest.raises(
        AnnotationError, match=r"no labelled person in .*; the test part has no joints: take --split train"
    ):
        open_source("mpii", root=tmp_path, split="test", no_images=True)
    with pytest.raises(AnnotationError, match="img_train must say of each of 3 images its part, got 2"):
        read_mpii_file(write_release(path, entries, [1, 0]), test=False, need_names=True)


def test_sizes_come_from_the_images(tmp_path: Path) -> None:
    entries = [entry(f"{name}.jpg", [rect(standing(x))]) for name, x in (("a", 100), ("b", 1500), ("c", 5000))]
    write_release(tmp_path / "mpii/mpii_human_pose_v1_u12_1.mat", entries, [1] * 3)
    with pytest.raises(
        AnnotationError, match=r"looked for \S+/mpii/images, \S+/images; give --images DIR or --no-images"
    ):
        open_source("mpii", root=tmp_path)
    (tmp_path / "mpii/images").mkdir()
    Image.new("RGB", (640, 480)).save(tmp_path / "mpii/images/a.jpg")
    source = open_source("mpii", root=tmp_path)
    assert [sample.size_hw for sample in samples(source)] == [(480, 640), (1080, 1920), (720, 5015)]
    assert dict(source.findings) == {
        "image sizes that no file tells: set to the smallest usual one that holds the joints": 2
    }


def test_groups_name_images_and_sizes(tmp_path: Path) -> None:
    savemat(tmp_path / "g.mat", {"annolist_test_multi": array([{"annorect": rect(standing())}] * 2)})
    groups = [
        {"im_name": f"{name}.jpg", "im_height": 100.0, "im_width": 200.0, "group_center": [11, 21], "group_scale": 3.5}
        for name in "ab"
    ]
    with pytest.raises(AnnotationError, match=r"does not name its images, and .*MPI_MP_VAL_annotations.json"):
        read_mpii_file(tmp_path / "g.mat", test=False, need_names=True)
    assert read_mpii_file(tmp_path / "g.mat", test=False, need_names=False).name == ["", ""]
    beside = tmp_path / "MPI_MP_VAL_annotations.json"
    beside.write_text(json.dumps({"root": groups}))
    file = read_mpii_file(tmp_path / "g.mat", test=False, need_names=True)
    assert (file.name, file.size_hw.tolist()) == (["a.jpg", "b.jpg"], [[100, 200]] * 2)
    assert json.loads(file.meta[1]) == {"group": 2, "centre_px": [10, 20], "scale": 3.5}
    beside.write_text(json.dumps({"root": groups[:1]}))
    with pytest.raises(AnnotationError, match=r"lists 1 groups, .* has 2"):
        read_mpii_file(tmp_path / "g.mat", test=False, need_names=True)


def test_what_is_no_mpii_file(tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    with pytest.raises(AnnotationError, match="does not exist"):
        read_mpii_file(path, test=False, need_names=True)
    for text in (b"", b"MATLAB 5.0 MAT-file", b"\x00" * 500):
        path.write_bytes(text)
        with pytest.raises(AnnotationError, match="cannot be read as a MATLAB file"):
            read_mpii_file(path, test=False, need_names=True)
    savemat(path, {"other": 1})
    with pytest.raises(AnnotationError, match="it holds other, not RELEASE or annolist_test_multi"):
        read_mpii_file(path, test=False, need_names=True)
    write_release(path, [entry("../out.jpg", [rect(standing())])], [1])
    with pytest.raises(AnnotationError, match=r"the name of image 1 must be inside the image folder, got '../out.jpg'"):
        open_source("mpii", annotations=path, no_images=True)
    write_release(path, [entry("", [rect(standing())])], [1])
    with pytest.raises(AnnotationError, match=r"annolist\(1\) has no image.name"):
        read_mpii_file(path, test=False, need_names=True)
    with pytest.raises(AnnotationError, match="no split 'val'; there are train, test, multi_val, valid"):
        open_source("mpii", split="val")
    with pytest.raises(AnnotationError, match="mpii people have the joints of mpii16, not of"):
        open_source("mpii", skeleton=MPII16.star(), annotations=path, no_images=True)


def test_one_person_records(tmp_path: Path) -> None:
    joints = [[11.0 + j, 21.0] for j in range(16)]
    marks = [1] * 15 + [0]
    records = [
        {"image": "b.jpg", "joints": joints, "joints_vis": marks, "center": [1, 2], "scale": 1.0},
        {"image": "a.jpg", "joints": [*joints[:-1], [-1, -1]], "joints_vis": [1] * 16, "center": [1, 2], "scale": 1.0},
        {"image": "b.jpg", "center": [5, 5], "scale": 1.0},
    ]
    path = tmp_path / "valid.json"
    path.write_text(json.dumps(records))
    source = open_source("mpii", annotations=path, no_images=True)
    first, second = samples(source)
    assert (first.path, second.path, first.people.regions.tolist()) == ("b.jpg", "a.jpg", [False, True])
    assert first.people.joints[0, 0].tolist() == [10, 20]
    assert first.people.visible[0].tolist() == second.people.visible[0].tolist() == [2] * 15 + [0]
    assert dict(source.findings)[MISSING_PEOPLE] == 3
    path.write_text(json.dumps([{"image": "a.jpg", "joints": joints[:3]}]))
    with pytest.raises(AnnotationError, match=r"valid.json\[0\]: 16 joints expected, got 3"):
        open_source("mpii", annotations=path, no_images=True)
    with h5py.File(tmp_path / "valid.h5", "w") as file:
        file["imgname"] = np.array([b"a.jpg", b"a.jpg"])
        file["part"] = np.array([joints, [[0.0, 0.0]] * 15 + [[5.0, 6.0]]])
        file["visible"] = np.array([marks, marks], float)
        file["normalize"] = np.array([30.0, 40.0])
    (sample,) = samples(open_source("mpii", annotations=tmp_path / "valid.h5", no_images=True))
    assert sample.people.visible.tolist() == [[2] * 15 + [1], [0] * 15 + [1]]
    assert sample.people.head_px.tolist() == [30, 40]
    assert sample.people.joints[1, 15].tolist() == [4, 5]
    (tmp_path / "valid.h5").write_bytes(b"no")
    with pytest.raises(AnnotationError, match="cannot be read as MPII's HDF5 file"):
        open_source("mpii", annotations=tmp_path / "valid.h5", no_images=True)


ODD = ("x", "", -1.0, 1e308, np.nan, EMPTY, np.zeros((2, 2)), {"a": 1}, np.array([[1, 2]]))


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_anything_is_a_source_or_an_annotation_error(tmp_path: Path, odd: Any) -> None:
    right = rect(standing(), objpos={"x": 5, "y": 6}, scale=2.0)
    spoilt_rects = [right | {key: odd} for key in ("x1", "scale", "objpos", "annopoints")]
    spoilt_rects += [rect(None, objpos={"x": 5, "y": 6}, scale=2.0) | {key: odd} for key in ("x1", "scale", "objpos")]
    spoilt_rects += [rect([point(0, 1, 1) | {key: odd}]) for key in ("id", "x", "is_visible")]
    entries = [[entry("a.jpg", [one])] for one in spoilt_rects]
    entries += [[entry("a.jpg", [right]) | {key: odd}] for key in ("image", "annorect")]
    for one in entries:
        path = write_release(tmp_path / "a.mat", [*one, entry("b.jpg", [right])], [1, 1])
        with suppress(AnnotationError):
            samples(open_source("mpii", annotations=path, no_images=True))
    records = [{"image": "a.jpg", "joints": [[11.0, 21.0]] * 16, "joints_vis": [1] * 16}]
    if isinstance(odd, str | float | dict):
        for place in places(records)[:20]:
            (tmp_path / "v.json").write_text(json.dumps(spoilt(records, place, odd)))
            with suppress(AnnotationError):
                samples(open_source("mpii", annotations=tmp_path / "v.json", no_images=True))


def test_real_groups(spm_data: Path) -> None:
    """Against the file read in another way: 350 groups, 902 people, the sum of all coordinates."""
    source = open_source("mpii", root=spm_data, split="multi_val", no_images=True)
    raw = loadmat(spm_data / "mpii/mpi_val_groundtruth.mat")["annolist_test_multi"][0]
    x_sum, n_points, diagonals = 0.0, 0, 0.0
    for one in raw:
        for person in one["annorect"][0]:
            sides = [int(person[f"{a}2"][0, 0]) - int(person[f"{a}1"][0, 0]) for a in "xy"]
            diagonals += float(np.hypot(sides[0], sides[1]))
            for joint in person["annopoints"][0, 0]["point"][0]:
                x_sum += float(joint["x"][0, 0]) - 1
                n_points += 1
    people = [sample.people for sample in samples(source)]
    assert (len(source), sum(map(len, people)), n_points) == (350, 902, 13638)
    assert sum(int(p.labelled.sum()) for p in people) == n_points
    assert_allclose(sum(float(p.joints[..., 0].sum(dtype=np.float64)) for p in people), x_sum)
    assert_allclose(sum(float(p.head_px.sum(dtype=np.float64)) for p in people), 0.6 * diagonals, rtol=1e-6)
    assert json.loads(source[349].meta)["group"] == 350


@pytest.mark.parametrize("name", ["valid.h5", "test_mpii.json"])
def test_real_single_persons_agree_on_the_same_image(spm_data: Path, name: str) -> None:
    source = open_source("mpii", annotations=spm_data / "mpii" / name, no_images=name == "valid.h5")
    sample = next(s for s in samples(source) if s.path == "005808361.jpg")
    assert_array_equal(sample.people.joints[0, 0], [803, 710])
    assert sample.size_hw == (720, 1280)
