"""CMU Panoptic: cameras, bodies, and what each camera sees of them."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from coco_cases import places, samples, spoilt
from panoptic_cases import body, calibration, project, write_sequence
from spmdata.errors import AnnotationError
from spmdata.people import Sample
from spmdata.sources.base import FolderImages
from spmdata.sources.panoptic import PanopticSource
from spmdata.sources.panoptic_file import read_cameras
from spmdata.sources.registry import open_source


def read(root: Path, **options: Any) -> PanopticSource:
    source = open_source("panoptic", root=root, **{"no_images": True, **options})
    assert isinstance(source, PanopticSource)
    return source


def expect(camera: dict[str, Any], bodies: list[dict[str, Any]], sample: Sample) -> None:
    """Compare a sample with the second camera, joint by joint."""
    width, height = camera["resolution"]
    numbers = sample.people.id.tolist()
    for one in bodies:
        points = np.reshape(one["joints19"], (-1, 4))
        seen = [project(camera, point[:3]) if point[3] > 0.1 else None for point in points]
        inside = [p is not None and -0.5 <= p[0] < width - 0.5 and -0.5 <= p[1] < height - 0.5 for p in seen]
        assert (one["id"] in numbers) == any(inside)
        if not any(inside):
            continue
        i = numbers.index(one["id"])
        wanted = [2 if within else 1 if p is not None else 0 for p, within in zip(seen, inside, strict=True)]
        assert sample.people.visible[i].tolist() == wanted
        for k, p in enumerate(seen):
            if p is not None:
                assert_allclose(sample.people.joints[i, k], p, rtol=2e-7, atol=1e-4)


def test_bodies_in_the_cameras_frame(tmp_path: Path) -> None:
    cameras = [calibration("00_00"), calibration("00_16", -0.4)]
    frames = {7: [body(0), body(3, (60, 0, 40))], 9: [body(3, (10, 5, 0))]}
    write_sequence(tmp_path, frames, cameras)
    source = read(tmp_path)
    assert [(json.loads(s.meta)["frame"], json.loads(s.meta)["camera"]) for s in samples(source)] == [
        *((7, "00_00"), (7, "00_16"), (9, "00_00"), (9, "00_16"))
    ]
    assert source.n_people.tolist() == [2, 2, 1, 1]
    for sample, camera in zip(samples(source), cameras * 2, strict=True):
        expect(camera, frames[json.loads(sample.meta)["frame"]], sample)
        assert sample.people.has_depth.all()
        assert sample.size_hw == (1080, 1920)
        assert sample.camera is not None
        assert_array_equal(sample.camera.K, camera["K"])
        points = sample.camera.unproject(sample.people.joints[..., :2], sample.people.joints[..., 2])
        world = (points - sample.camera.t) @ sample.camera.R
        assert_allclose(
            world[0, 0], np.reshape(frames[json.loads(sample.meta)["frame"]][0]["joints19"], (-1, 4))[0, :3], atol=1e-3
        )
    assert len({sample.id for sample in samples(source)}) == 4


def test_confidence_behind_out_of_view_and_outliers(tmp_path: Path) -> None:
    doubtful = body(1)
    doubtful["joints19"][3::4] = [0.1, 0.11, -1.0, *[0.5] * 16]
    half = body(2, (-130, 0, -100))
    bodies = [doubtful, half, body(4, (0, 0, -5000)), body(5, (0, 900, 0)), body(-1)]
    write_sequence(tmp_path, {1: bodies}, [calibration("00_00", 0.0)])
    source = read(tmp_path)
    (sample,) = samples(source)
    expect(calibration("00_00", 0.0), bodies[:4], sample)
    assert sample.people.id.tolist() == [1, 2]
    assert sample.people.visible[0, :4].tolist() == [0, 2, 0, 2]
    assert set(sample.people.visible[1].tolist()) == {1, 2}
    assert dict(source.findings) == {
        "bodies of negative id, outliers: passed over": 1,
        "bodies out of a camera's view: left out there": 2,
    }


def test_joints_that_the_lens_folds_back_are_dropped(tmp_path: Path) -> None:
    """k1 < 0 alone turns back at r = 1 / sqrt(-3 k1): a point beyond it comes back into the image."""
    camera = calibration("00_00", 0.0, distCoef=[-0.3, 0, 0, 0, 0])
    one = body(1)
    one["joints19"][:8] = [300 * 1.04, 0, 0, 0.9, 300 * 1.8, 0, 0, 0.9]
    write_sequence(tmp_path, {1: [one]}, [camera])
    (sample,) = samples(read(tmp_path))
    assert 940 + 1630 * 1.8 * (1 - 0.3 * 1.8**2) < 1920  # it would lie in the image
    assert sample.people.visible[0, :3].tolist() == [1, 0, 2]


def test_broken_empty_and_older_frames(tmp_path: Path) -> None:
    frames = {
        1: [],
        2: '{"bodies": [',
        3: [body(0, joints=15)],
        4: '{"bodies": [{"id": 0, "joints19": [1, 2]}]}',
        5: "",
    }
    folder = write_sequence(tmp_path, frames, scenes="hdPose3d_stage1")
    source = read(tmp_path)
    assert [json.loads(sample.meta)["frame"] for sample in samples(source)] == [3, 3]
    assert source[0].people.visible[0].tolist() == [2, 0, *[2] * 13, 0, 0, 0, 0]  # no nose: it is the head's top there
    found = dict(source.findings)
    assert found["broken frames of 171204_pose1: passed over, the first is body3DScene_00000002.json"] == 3
    assert found["views without anybody: left out"] == 2
    assert read(tmp_path, all_images=True).n_people.tolist() == [0, 0, 1, 1]
    for path in folder.glob("*/body3DScene_0000000[135].json"):
        path.unlink()
    with pytest.raises(AnnotationError, match=r"all 2 frames in .* are broken, the first: body3DScene_00000002.json"):
        read(tmp_path)


@pytest.mark.parametrize("scenes", ["hd/hdPose3d_stage1_coco19", "hdPose3d_stage1_coco19/hd", "hdPose3d_stage1/hd"])
def test_where_frames_lie(tmp_path: Path, scenes: str) -> None:
    write_sequence(tmp_path, {1: [body(0)]}, scenes=scenes)
    assert len(read(tmp_path)) == 2


def test_cameras_by_pattern(tmp_path: Path) -> None:
    cameras = [calibration(f"00_{n:02d}") for n in (12, 3, 4)]
    folder = write_sequence(tmp_path, {1: [body(0)]}, cameras)
    path = folder / "calibration_171204_pose1.json"
    names = {
        pattern: [one.name for one in read_cameras(path, pattern)[0]] for pattern in ("*", "00_0?", "00_12, 00_03")
    }
    assert names == {"*": ["00_03", "00_04", "00_12"], "00_0?": ["00_03", "00_04"], "00_12, 00_03": ["00_03", "00_12"]}
    with pytest.raises(AnnotationError, match="no HD camera fits '01_01'; there are 00_03, 00_04, 00_12"):
        read(tmp_path, cameras="00_0?, 01_01")
    assert read(tmp_path, cameras="00_03").info.sha256 != read(tmp_path, cameras="00_04").info.sha256
    assert read(tmp_path, cameras="00_03").info.sha256 == read(tmp_path, cameras="00_03*").info.sha256


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"K": [[1, 2]]}, r"cameras\[1\] \(00_00\): camera K must be \(3, 3\) finite numbers"),
        ({"distCoef": [0, 0]}, r"\(00_00\): camera dist must be \(5,\)"),
        ({"t": "x"}, r"cameras\[1\]\.t: expected array, got \"x\""),
        ({"R": [[1, 0, 0], [0, 1]]}, r"\(00_00\): "),
        ({"resolution": [5]}, r"cameras\[1\].resolution: array of length 2 expected|cameras\[1\].resolution: "),
    ],
)
def test_a_broken_camera_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write_sequence(tmp_path, {1: [body(0)]}, [calibration("00_00", **changes)])
    with pytest.raises(AnnotationError, match=message):
        read(tmp_path)


@pytest.mark.parametrize("odd", [None, "x", 1e308, -1, [], {}], ids=repr)
def test_anything_is_a_source_or_an_annotation_error(tmp_path: Path, odd: object) -> None:
    folder = write_sequence(tmp_path, {1: [body(0)]}, [calibration("00_00")])
    for path in (folder / "calibration_171204_pose1.json", next(folder.glob("*/body3DScene_*.json"))):
        right = json.loads(path.read_text())
        for place in places(right)[:45]:
            path.write_text(json.dumps(spoilt(right, place, odd)))
            with suppress(AnnotationError):
                samples(read(tmp_path))
        path.write_text(json.dumps(right))


def test_images_choose_the_views(tmp_path: Path) -> None:
    folder = write_sequence(tmp_path, {1: [body(0)], 2: [body(0)]})
    with pytest.raises(
        AnnotationError, match=r"no image of 171204_pose1: looked for \S+_00000001.jpg and the like; give"
    ):
        read(tmp_path, no_images=False)
    image = folder / "hdImgs/00_16/00_16_00000002.jpg"
    image.parent.mkdir(parents=True)
    Image.new("RGB", (1920, 1080)).save(image)
    source = read(tmp_path, no_images=False)
    (sample,) = samples(source)
    assert sample.path == "171204_pose1/hdImgs/00_16/00_16_00000002.jpg"
    assert source.image_reader == FolderImages(tmp_path / "panoptic")
    assert source.image_reader.read(sample) == image.read_bytes()
    assert dict(source.findings)["views without an image file: left out"] == 3


def test_what_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AnnotationError, match=r"no CMU Panoptic sequences: looked for \S+/panoptic; give"):
        read(tmp_path)
    folder = write_sequence(tmp_path, {1: [body(0)]})
    with pytest.raises(AnnotationError, match=r"no sequence of CMU Panoptic by the name other \(there are 171204"):
        read(tmp_path, split="other")
    monkeypatch.chdir(folder)
    for path in (folder, folder / "calibration_171204_pose1.json", folder.parent, "calibration_171204_pose1.json", "."):
        assert len(open_source("panoptic", annotations=path, no_images=True)) == 2
    (folder / "hdPose3d_stage1_coco19/body3DScene_00000001.json").unlink()
    with pytest.raises(
        AnnotationError, match=r"no frames of 171204_pose1: looked for body3DScene_\*.json in hdPose3d_st"
    ):
        read(tmp_path)
    with pytest.raises(AnnotationError, match=r"no sequence of CMU Panoptic \(there are none\): looked for "):
        open_source("panoptic", annotations=tmp_path, no_images=True)
    with pytest.raises(AnnotationError, match="panoptic is read, not made: it takes no rows"):
        read(tmp_path, rows=3)


def test_real_frames_from_every_hd_camera(spm_data: Path) -> None:
    source = read(spm_data)
    assert (len(source), int(source.n_people.sum())) == (124, 370)  # 2 sequences, 2 frames, 31 cameras; 2 out of view
    for sample in samples(source)[::3]:  # 31 cameras: every one comes
        meta = json.loads(sample.meta)
        folder = spm_data / "panoptic" / meta["sequence"]
        cameras = json.loads((folder / f"calibration_{meta['sequence']}.json").read_text())["cameras"]
        camera = next(one for one in cameras if one["name"] == meta["camera"])
        scene = folder / f"hdPose3d_stage1_coco19/body3DScene_{meta['frame']:08d}.json"
        expect(camera, json.loads(scene.read_text())["bodies"], sample)


def test_real_frames_agree_with_opencv(spm_data: Path) -> None:
    cv2 = pytest.importorskip("cv2", reason="opencv-python-headless is not installed: our own second camera stands in")
    compared = 0
    for sequence in read(spm_data).sequences:
        for one in sequence.cameras:
            ahead = sequence.bodies.joints_cm @ one.camera.R.T + one.camera.t
            points = ahead[(sequence.bodies.confidence > 0.1) & np.isfinite(one.camera.project(ahead)).all(-1)]
            theirs, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), one.camera.K, one.camera.dist)
            assert_allclose(one.camera.project(points), theirs[:, 0], atol=1e-6)
            compared += len(points)
    assert compared > 6000
