"""COCO files: what is read, in which order, and what is mended."""

import gzip
import json
import pickle
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from coco_cases import NO_JOINTS, read, samples, small
from spmdata.skeletons import COCO17
from spmdata.sources.base import Source
from spmdata.sources.coco import CocoSource


def test_samples_come_by_image_id(tmp_path: Path) -> None:
    source: Source = read(tmp_path, small(), split="any")
    three, five = samples(source)
    assert (len(source), source.n_people.tolist()) == (2, [1, 3])
    assert (three.id, three.path, three.size_hw, three.camera, three.meta) == (3, "sub/three.jpg", (200, 100), None, "")
    assert (source.info.name, source.info.split, source.info.annotations) == (
        "coco",
        "any",
        "person_keypoints_any.json",
    )
    people = five.people
    assert people.id.tolist() == [11, 12, 13]
    assert people.regions.tolist() == [False, True, True]
    assert people.area.tolist() == [700.5, 8, 8]
    assert people.bbox_xywh.tolist() == [[1.5, 2, 30, 40]] * 3
    assert people.joints[0].tolist() == [[10 + j, 20 + 2 * j] for j in range(17)]
    assert people.visible.tolist() == [[2] * 17, [0] * 17, [0] * 17]
    assert three.people.visible.tolist() == [[1] * 17]
    assert (people.score.tolist(), people.head_px.tolist()) == ([1] * 3, [0] * 3)
    assert not people.has_depth.any()
    assert source.findings == ()


def test_index_is_checked_and_samples_own_their_arrays(tmp_path: Path) -> None:
    source = read(tmp_path, small())
    for index in (-1, 2):
        with pytest.raises(IndexError, match=rf"must be in \[0, 1\], got {index}"):
            source[index]
    source[np.int64(0)].people.joints[:] = -1
    assert source[0].people.joints.min() > 0


def test_images_without_a_labelled_person(tmp_path: Path) -> None:
    data = small()
    data["images"].append({"id": 1, "width": 9, "height": 9, "file_name": "nobody.jpg"})
    data["annotations"][1] |= {"iscrowd": True}
    source = read(tmp_path, data)
    assert [sample.id for sample in samples(source)] == [5]
    assert source.findings == (("images without a labelled person: left out", 2),)
    source = read(tmp_path, data, all_images=True)
    assert ([sample.id for sample in samples(source)], source.n_people.tolist()) == ([1, 3, 5], [0, 1, 3])
    assert source[0].people.joints.shape == (0, 17, 2)


def test_what_is_missing_is_mended_and_counted(tmp_path: Path) -> None:
    data = small()
    one, two, crowd, nobody = data["annotations"]
    del one["area"], two["bbox"], nobody["keypoints"], nobody["bbox"], crowd["category_id"], crowd["keypoints"]
    two |= {"area": 0, "keypoints": [4, 5, 2, 10, 25, 1] + [7, 7, 0] * 15}
    one["bbox"] = None
    nobody["area"] = None
    source = read(tmp_path, data)
    three, five = samples(source)
    assert three.people.bbox_xywh.tolist() == [[4, 5, 7, 21]]
    assert three.people.area.tolist() == [pytest.approx(0.53 * 7 * 21)]
    assert three.people.joints[0, 2:].max() == 0
    assert five.people.bbox_xywh.tolist() == [[10, 20, 17, 33], [1.5, 2, 30, 40], [0, 0, 0, 0]]
    assert five.people.area.tolist() == [pytest.approx(0.53 * 17 * 33), 8, 0]
    assert source.findings == (
        ("boxes missing or empty: set round the labelled joints", 2),
        ("areas missing or zero: set to 0.53 * w * h of the box", 3),
    )


def test_other_categories_and_images_are_passed_over(tmp_path: Path) -> None:
    data = small()
    data["categories"].insert(0, {"id": 4, "name": "dog"})
    data["annotations"] += [
        {"id": 20, "image_id": 5, "category_id": 4, "bbox": [1, 2, 3, 4], "keypoints": [1, 2]},
        {"id": 21, "image_id": 5, "category_id": 9},
        {"id": 22, "image_id": 6, "category_id": 1, "keypoints": NO_JOINTS},
    ]
    source = read(tmp_path, data)
    assert source.n_people.sum() == 4
    assert source.findings == (
        ("annotations of other categories: passed over", 2),
        ("annotations of images that the file does not list: passed over", 1),
    )
    data["categories"] = [{"id": 4, "name": "dog"}, {"id": 1, "name": "Person"}]
    assert read(tmp_path, data).n_people.sum() == 4
    del data["categories"], data["annotations"][4]["keypoints"]
    assert read(tmp_path, data).n_people.sum() == 6


def test_another_skeleton_and_crowd_index(tmp_path: Path) -> None:
    data, joints = small(), ("Left Hip", "neck")
    data["images"][0]["crowdIndex"] = 0.76
    data["categories"][0]["keypoints"] = ["left-hip", "neck"]
    for record in data["annotations"]:
        record["keypoints"] = record["keypoints"][:6]
    two = replace(COCO17, joints=joints, parents=(-1, -1), flip=(0, 1), sigmas=(1, 1), torso=(0,))
    source = read(tmp_path, data, skeleton=two)
    assert source[1].people.joints.shape == (3, 2, 2)
    assert json.loads(source[1].meta) == {"crowdIndex": 0.76}


def test_gzip_and_byte_order_mark_by_content(tmp_path: Path) -> None:
    plain = read(tmp_path, small())
    text = json.dumps(small()).encode()
    zipped = read(tmp_path, gzip.compress(b"\xef\xbb\xbf" + text))
    halves = read(tmp_path, gzip.compress(text[:100]) + gzip.compress(text[100:]))
    for source in (zipped, halves, pickle.loads(pickle.dumps(plain))):
        for one, other in zip(samples(plain), samples(source), strict=True):
            assert replace(one, people=other.people) == other
            for column in fields(one.people):
                np.testing.assert_array_equal(getattr(one.people, column.name), getattr(other.people, column.name))
    assert plain.info.sha256 != zipped.info.sha256


@pytest.mark.parametrize(
    ("split", "plain", "images", "persons"),
    [
        ("train2017.json.gz", "train2017_mini.json", 56_599, 149_813),
        ("val2017.json.gz", "val2017.json.gz", 2_346, 6_352),
        ("train2017_mini.json", "train2017_mini.json", 160, 454),
        ("val2017_mini.json", "val2017_mini.json", 104, 322),
        ("val2017_mini_complete.json", "val2017_mini_complete.json", 55, 138),
    ],
)
def test_real_file(spm_data: Path, split: str, plain: str, images: int, persons: int) -> None:
    prefix = str(spm_data / "coco/annotations/person_keypoints_")
    source = CocoSource.read(Path(prefix + split), image_root=spm_data)
    content = Path(prefix + plain).read_bytes()
    data = json.loads(gzip.decompress(content) if plain.endswith(".gz") else content)
    assert len(source) == images
    assert np.count_nonzero(~source.people.regions) == persons
    assert (np.diff(source.images.id) > 0).all()
    by_image: dict[int, list[dict[str, object]]] = {}
    for record in data["annotations"]:
        by_image.setdefault(record["image_id"], []).append(record)
    sizes = {image["id"]: (image["height"], image["width"], image["file_name"]) for image in data["images"]}
    there = np.intersect1d(source.images.id, list(sizes))
    for number in np.random.default_rng(0).choice(there, 50, replace=False):
        sample = source[np.searchsorted(source.images.id, number)]
        records = by_image[sample.id]
        numbers = np.array([record["keypoints"] for record in records]).reshape(-1, 17, 3)
        assert (*sample.size_hw, sample.path) == sizes[sample.id]
        assert sample.people.id.tolist() == [record["id"] for record in records]
        np.testing.assert_array_equal(sample.people.joints, numbers[..., :2])
        np.testing.assert_array_equal(sample.people.visible, numbers[..., 2])
        boxes = np.array([record["bbox"] for record in records], np.float32)
        np.testing.assert_array_equal(sample.people.bbox_xywh, boxes)
        np.testing.assert_array_equal(sample.people.area, np.array([r["area"] for r in records], np.float32))
        ignored = [bool(record["iscrowd"] or not record["num_keypoints"]) for record in records]
        assert sample.people.regions.tolist() == ignored
