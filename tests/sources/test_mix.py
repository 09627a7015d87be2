"""Several sources in one: rows, joints, axes, weights, and the file that says so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from coco_cases import samples
from mpii_cases import entry, rect, standing, write_release
from panoptic_cases import body, calibration, write_sequence
from small_coco import write_small_coco
from spmdata.errors import AnnotationError
from spmdata.people import SourceInfo, SourcePart
from spmdata.prepare.plan import plan_store
from spmdata.prepare.run import prepare_store
from spmdata.skeletons import COCO17, CROWDPOSE14, MPII16, PANOPTIC19
from spmdata.sources.mix import ABSENT, MixSource, Part, joint_map
from spmdata.sources.registry import open_source
from spmdata.spec import TargetSpec
from spmdata.store.reader import open_store
from spmdata.stream import RowStream


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mix.toml"
    path.write_text(text)
    return path


def read(tmp_path: Path, text: str, **options: Any) -> MixSource:
    source = open_source("mix", annotations=write(tmp_path, text), **{"no_images": True, "root": tmp_path, **options})
    assert isinstance(source, MixSource)
    return source


def lay(tmp_path: Path) -> None:
    write_small_coco(tmp_path, 3)
    write_release(tmp_path / "mpii/mpii_human_pose_v1_u12_1.mat", [entry("a.jpg", [rect(standing())])], [1])


MIXED = """
[[sources]]
source = "coco"
weight = 0.5
[[sources]]
source = "mpii"
weight = 3
joints = {nose = ""}
"""


def test_rows_joints_and_weights(tmp_path: Path) -> None:
    lay(tmp_path)
    source, coco, mpii = (
        read(tmp_path, MIXED),
        *(open_source(n, root=tmp_path, no_images=True) for n in ("coco", "mpii")),
    )
    assert source.skeleton == COCO17
    assert [sample.source for sample in samples(source)] == [0, 0, 0, 1]
    assert source.n_people.tolist() == [*coco.n_people, *mpii.n_people]
    assert [sample.id for sample in samples(source)] == [1, 2, 3, 1]
    for mixed, same in zip(samples(source)[:3], samples(coco), strict=True):
        assert_array_equal(mixed.people.joints, same.people.joints)
        assert_array_equal(mixed.people.visible, same.people.visible)
    people, own = source[3].people, mpii[0].people
    for j, name in enumerate(COCO17.joints):
        if name in MPII16.joints:
            assert_array_equal(people.joints[:, j], own.joints[:, MPII16.joints.index(name)])
            assert people.visible[0, j] > 0
        else:
            assert people.visible[0, j] == 0
    assert_array_equal(people.head_px, own.head_px)
    assert [(part.name, part.rows, part.weight) for part in source.info.parts] == [("coco", 3, 0.5), ("mpii", 1, 3.0)]
    assert source.info.row_weights(np.array([0, 1, 0])).tolist() == [0.5, 3.0, 0.5]
    what = "joints (mpii train): unlabelled, for it has no nose, left_eye, right_eye, left_ear, right_ear"
    assert dict(source.findings)[what] == 5


def test_a_store_keeps_parts_and_whose_each_row_is(tmp_path: Path) -> None:
    lay(tmp_path)
    source = read(tmp_path, MIXED)
    prepare_store(
        plan_store(source, TargetSpec(input_hw=(64, 64)), tmp_path / "mix.zarr", images=False), scheduler="sync"
    )
    store = open_store(tmp_path / "mix.zarr")
    assert store.table("row/source").tolist() == [0, 0, 0, 1]
    assert store.layout.source == source.info
    assert store.layout.source.row_weights(store.table("row/source")).tolist() == [0.5, 0.5, 0.5, 3.0]
    with RowStream(store, batch=9) as stream:  # two epochs of 4.5 rows, on average
        assert sorted(next(stream).rows) == [0, 1, 2, 3, 3, 3, 3, 3, 3]


def test_info_goes_through_json() -> None:
    plain = SourceInfo("coco", "val", "a.json", "0" * 64)
    mixed = replace(plain, parts=(SourcePart("coco", "val", "a.json", "1" * 64, 7, 0.25),))
    for info in (plain, mixed):
        assert SourceInfo(**json.loads(json.dumps(info.to_json()))) == info
    assert "parts" not in plain.to_json()
    assert plain.row_weights(np.zeros(3, np.uint8)).tolist() == [1, 1, 1]


def test_2d_people_in_a_3d_set_have_no_depth(tmp_path: Path) -> None:
    lay(tmp_path)
    write_sequence(tmp_path, {1: [body(0)]}, [calibration("00_00")])
    text = '[[sources]]\nsource = "panoptic"\n[[sources]]\nsource = "coco"\njoints = {neck = "", body_centre = ""}'
    source = read(tmp_path, text)
    first, *others = samples(source)
    assert first.people.has_depth.all()
    assert first.camera is not None
    for sample in others:
        assert sample.people.joints.shape[1:] == (19, 3)
        assert not sample.people.has_depth.any()
        assert not sample.people.joints[..., 2].any()
        assert sample.camera is None


def test_images_are_read_from_the_right_folder(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for seed, folder in enumerate((one, two)):
        write_small_coco(folder, 2, seed, images=True)
    text = "".join(f'[[sources]]\nsource = "coco"\nroot = "{folder.name}"\n' for folder in (one, two))
    source = read(tmp_path, text, no_images=False)
    reader = source.image_reader
    assert reader is not None
    for sample, folder in zip(samples(source), (one, one, two, two), strict=True):
        assert reader.read(sample) == (folder / "coco/train2017" / sample.path).read_bytes()
    assert read(tmp_path, text).image_reader is None


def test_sources_that_are_made_are_mixed_too(tmp_path: Path) -> None:
    text = '[[sources]]\nsource = "synthetic"\nrows = 2\n[[sources]]\nsource = "synthetic"\nrows = 3\nseed = 5'
    source = read(tmp_path, text)
    assert [sample.source for sample in samples(source)] == [0, 0, 1, 1, 1]
    assert source.info.parts[0].sha256 != source.info.parts[1].sha256


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, {"nose": None, "left_hip": "left_hip", "left_eye": None}),
        ({"nose": "head"}, {"nose": "head", "right_knee": "right_knee"}),
        ({"left_hip": "", "right_hip": ""}, {"left_hip": None, "right_hip": None, "left_knee": "left_knee"}),
        ({"left_hip": "right_hip", "right_hip": "left_hip"}, {"left_hip": "right_hip"}),
    ],
)
def test_joint_maps(said: Mapping[str, str], expected: Mapping[str, str | None]) -> None:
    found = joint_map(COCO17, CROWDPOSE14, said, "here")
    for name, own in expected.items():
        wanted = ABSENT if own is None else CROWDPOSE14.joints.index(own)
        assert found[COCO17.joints.index(name)] == wanted


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (None, "here has the joints of crowdpose14, the mix those of coco17; say how they go together, joints = {neck"),
        ({"nos": "head"}, "coco17 has no joint 'nos'; did you mean 'nose'?"),
        ({"nose": "hed"}, "crowdpose14 has no joint 'hed'; did you mean 'head'?"),
        ({"left_hip": "left_knee"}, "left and right must be mapped alike"),
        ({"left_hip": ""}, "left_hip takes none, but right_hip takes right_hip: left and right must"),
        ({joint: "" for joint in COCO17.joints}, "no joint of crowdpose14 is one of coco17"),
    ],
)
def test_joint_maps_that_are_refused(said: Mapping[str, str] | None, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        joint_map(COCO17, CROWDPOSE14, said, "here")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("source = 3", "unknown key 'source' in a mix; did you mean 'sources'?"),
        ("", r"a mix has sources: write \[\[sources\]\]"),
        ("[[sources]]\nsplit = 'a'", r'sources\[0\] needs source = "coco"'),
        ("[[sources]]\nsource = 'mix'", r"sources\[0\]: a mix in a mix is not read"),
        ("[[sources]]\nsource = 'cocoa'", r"sources\[0\] \(cocoa\): no source 'cocoa'; there are coco"),
        ("[[sources]]\nsource = 'coco'\nwait = 2", r"unknown key 'wait' in sources\[0\]; did you mean 'weight'?"),
        (
            "[[sources]]\nsource = 'coco'\nweight = 0",
            r"sources\[0\] \(coco\): weight must be above 0 and at most 1000, got 0",
        ),
        ("[[sources]]\nsource = 'coco'\nweight = 'x'", r"sources\[0\].weight must be a number"),
        ("[[sources]]\nsource = 'coco'\njoints = 3", r"sources\[0\].joints must be a table"),
        ("[[sources]]\nsource = 'coco'\nseed = 'x'", r"sources\[0\].seed must be a whole number, got 'x'"),
        ("[[sources]]\nsource = 'coco'\nsplit = 3", r"sources\[0\].split must be text, got 3"),
        ("[[sources]]\nsource = 'coco'\nskeleton = 'x'", "no skeleton 'x'; there are coco17"),
        (
            "skeleton = 'mpii16'\n[[sources]]\nsource = 'coco'",
            r"sources\[0\] \(coco\) has the joints of coco17, the mix",
        ),
        ("skeleton = 'none.toml'\n[[sources]]\nsource = 'coco'", "none.toml: No such file"),
        ("[[", "mix.toml: "),
    ],
)
def test_files_that_are_refused(tmp_path: Path, text: str, message: str) -> None:
    lay(tmp_path)
    with pytest.raises(AnnotationError, match=message) as error:
        read(tmp_path, text)
    assert str(error.value).startswith(str(tmp_path / "mix.toml"))


def test_a_mix_needs_its_file(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"spm prepare mix FILE\.toml"):
        open_source("mix")
    with pytest.raises(AnnotationError, match=r"none\.toml: No such file"):
        open_source("mix", annotations=tmp_path / "none.toml")
    with pytest.raises(AnnotationError, match="from its file: it takes no split"):
        open_source("mix", annotations=write(tmp_path, ""), split="x")
    with pytest.raises(AnnotationError, match="1 to 255 sources, got 0"):
        MixSource(COCO17, [])
    lay(tmp_path)
    part = Part(open_source("coco", root=tmp_path, no_images=True), 1.0, tuple(range(17)))
    with pytest.raises(AnnotationError, match="1 to 255 sources, got 256"):
        MixSource(COCO17, [part] * 256)
    with pytest.raises(IndexError, match=r"in \[0, 2\], got 3"):
        MixSource(COCO17, [part])[3]
    assert len(PANOPTIC19) == 19


def test_a_part_without_images_is_no_error(tmp_path: Path) -> None:
    lay(tmp_path)
    source, nobody = (open_source("coco", root=tmp_path, no_images=True) for _ in range(2))
    nobody = replace(nobody, n_people=nobody.n_people[:0])  # type: ignore[type-var]
    assert len(MixSource(COCO17, [Part(source, 1.0, tuple(range(17))), Part(nobody, 1.0, tuple(range(17)))])) == 3
