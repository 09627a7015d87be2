"""COCO files: every fault has a sentence of its own, and nothing else ever comes out."""

import copy
import gzip
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coco_cases import places, read, samples, small
from spmdata.errors import AnnotationError
from spmdata.sources.coco import CocoSource

Change = Callable[[dict[str, Any]], object]
FAULTS: list[tuple[Change, str]] = [
    (
        lambda d: d["annotations"][1].update(keypoints=[1] * 42),
        r"^annotations\[1\] \(image 3\): 51 numbers expected for coco17, got 42; "
        r"is this CrowdPose\? try --skeleton crowdpose14$",
    ),
    (lambda d: d["annotations"][1].update(keypoints=[1] * 48), r"got 48; is this MPII\? try --skeleton mpii16$"),
    (lambda d: d["annotations"][1].update(keypoints=[1] * 50), r"51 numbers expected for coco17, got 50$"),
    (lambda d: d["annotations"][1].update(keypoints=[]), r"annotations\[1\] \(image 3\): 51 .* got 0$"),
    (lambda d: d["annotations"][1].update(keypoints=None), r"\[1\] \(image 3\) keypoints: expected array, got null"),
    (lambda d: put(d, 4, None), r"annotations\[1\] \(image 3\) keypoints\[4\]: expected float, got null"),
    (lambda d: put(d, 4, "7"), r"keypoints\[4\]: expected float, got \"7\""),
    (lambda d: put(d, 4, float("nan")), r"annotations\[1\] \(image 3\) keypoints\[4\]: expected float, got \"NaN\""),
    (lambda d: put(d, 3, -float("inf")), r"\(image 3\) keypoints\[3\]: expected float, got \"-Infinity\""),
    (lambda d: put(d, 3, 1e30), r"annotations\[1\] \(image 3\): left_eye has \(1e\+30, 22\), no position in px"),
    (lambda d: put(d, 5, 3), r"annotations\[1\] \(image 3\): left_eye has v = 3; 0, 1 or 2 expected"),
    (lambda d: put(d, 5, -1), r"left_eye has v = -1"),
    (lambda d: put(d, 5, 0.5), r"left_eye has v = 0.5"),
    (
        lambda d: d["info"].update(x=float("nan")),
        r"is not JSON at byte \d+ of \d+: .*; JSON has no NaN and Infinity, write null$",
    ),
    (lambda d: d["annotations"][1].update(area=float("nan")), r"annotations\[1\].area: expected .* got \"NaN\""),
    (lambda d: d["annotations"][1].update(area=-1), r"annotations\[1\].area: expected float >= 0.0, got -1"),
    (lambda d: d["annotations"][1].update(bbox=[1, 2, -3, 4]), r"annotations\[1\].bbox\[2\]: .* >= 0.0, got -3"),
    (lambda d: d["annotations"][1].update(bbox=[1, 2, 3]), r"annotations\[1\].bbox: .* length 4, got \[1,2,3\]"),
    (lambda d: d["annotations"][1].update(id="7"), r"annotations\[1\].id: expected int, got \"7\""),
    (lambda d: d["annotations"][1].update(id=2**70), r"annotations\[1\].id: expected int <= \d+, got 1180591620717"),
    (lambda d: d["annotations"][1].update(id=11), r"annotations\[1\]: id 11 is that of annotations\[0\] too"),
    (lambda d: d["annotations"][1].pop("image_id"), r"annotations\[1\]: image_id is missing"),
    (lambda d: d["annotations"].insert(1, 5), r"annotations\[1\]: expected object, got 5"),
    (lambda d: d["images"][1].update(id=5), r"images\[1\]: id 5 is that of images\[0\] too"),
    (lambda d: d["images"][1].pop("width"), r"images\[1\]: width is missing"),
    (lambda d: d["images"][1].update(height=0), r"images\[1\].height: expected int >= 1, got 0"),
    (lambda d: d["images"][1].pop("file_name"), r"images\[1\]: file_name is missing; --no-images does without"),
    *(
        (lambda d, name=name: d["images"][1].update(file_name=name), r"images\[1\]: file_name must be a path inside")
        for name in ("/etc/a.jpg", "../a.jpg", "a/../../b.jpg", "..", "a\\..\\b.jpg", "C:\\a.jpg", "\\\\host\\a", "a\0")
    ),
    (lambda d: d.pop("images"), "is not a COCO keypoint file: it has no images$"),
    (lambda d: [d.pop("images"), d.pop("annotations")], "it has no images and annotations$"),
    (lambda d: d.update(images={}), "is not an annotation file of this format.images: expected array"),
    (
        lambda d: d.update(images=[]),
        r"no labelled person in .*\(0 images; 0 persons; 4 annotations of images that .*; is this an inst",
    ),
    (lambda d: [a.update(iscrowd=1) for a in d["annotations"]], r"no labelled person in .*\(2 images; 4 persons"),
    (lambda d: d["categories"][0]["keypoints"].pop(), r"categories\[0\].keypoints: 17 joints expected .* got 16; is"),
    (
        lambda d: d["categories"][0]["keypoints"].reverse(),
        r"categories\[0\].keypoints\[0\]: 'nose' expected for coco17, got 'right_ankle'; .*--skeleton FILE.toml",
    ),
]


def put(data: dict[str, Any], place: int, value: object) -> None:
    data["annotations"][1]["keypoints"][place] = value


@pytest.mark.parametrize(("change", "message"), FAULTS)
def test_fault_is_named(tmp_path: Path, change: Change, message: str) -> None:
    data = small()
    change(data)
    with pytest.raises(AnnotationError, match=message):
        read(tmp_path, data)


TEXT = json.dumps(small()).encode()
ZIPPED = gzip.compress(TEXT)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty$"),
        (b" \n", "is empty$"),
        (gzip.compress(b""), "is empty$"),
        (TEXT[:-9], rf"is not JSON at byte {len(TEXT) - 9} of {len(TEXT) - 9}: .*; the file may be truncated$"),
        (TEXT.replace(b"[", b"(", 1), rf"is not JSON at byte {TEXT.index(b'[')} of {len(TEXT)}: invalid character$"),
        (b"\x89PNG\r\n", "is not JSON at byte 0"),
        (b"[]", "is not an annotation file of this format: expected object, got array"),
        (b'{"info": ' + b"[" * 100_000, "is not JSON"),
        (ZIPPED[:-20], "gzip file .* is truncated"),
        (ZIPPED[:40] + b"\xff\xff\xff" + ZIPPED[43:], "gzip file .* is damaged"),
        (ZIPPED[:-8] + bytes(8), "gzip file .* is damaged"),
        (TEXT.replace(b"five.jpg", b"\xff\xfe.jpg"), r"images\[0\]: 'utf-8' codec"),
    ],
)
def test_damaged_file_is_told(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(AnnotationError, match=message):
        read(tmp_path, data)


def test_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"annotation file .*nowhere\.json does not exist"):
        CocoSource.read(tmp_path / "nowhere.json", image_root=None)
    with pytest.raises(AnnotationError, match="cannot be read"):
        CocoSource.read(tmp_path, image_root=None)


def test_names_may_be_missing_without_images(tmp_path: Path) -> None:
    data = small()
    del data["images"][1]["file_name"]
    assert read(tmp_path, data, image_root=None)[0].path == ""


VALUES: st.SearchStrategy[object] = st.sampled_from(
    [
        *(None, True, 0, -1, 3, 1.5, 1e39, 1e308, 2**31, 2**64, -(2**70), float("nan"), float("inf")),
        *("", "x", "..", "\0", "\U0001f600", [], {}, [[]], [1.0] * 4, [None], [float("nan")] * 51, {"id": 1}),
    ]
)
BYTES = st.sampled_from([b"", b"NaN", b"\\ud800", b"[", b'"', b"{", b"\xff", b"1e999", b"-", b"\0", b",", b"0"])


OPTIONS = {"all_images": st.booleans(), "image_root": st.sampled_from([None, Path()])}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.sampled_from(places(small())[1:]), VALUES), max_size=3),
    splices=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), BYTES), max_size=2),
    options=st.fixed_dictionaries(OPTIONS),
)
def test_anything_is_a_source_or_an_annotation_error(
    tmp_path: Path, changes: list[Any], splices: list[Any], options: Any
) -> None:
    data: Any = copy.deepcopy(small())
    for path, value in changes:
        with suppress(LookupError, TypeError):  # an earlier change took the place away
            inner = data
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = value
    text = json.dumps(data).encode()
    for where, length, new in splices:
        at = int(where * len(text))
        text = text[:at] + new + text[at + length :]
    with suppress(AnnotationError):
        source = read(tmp_path, text, **options)
        assert sum(len(sample.people) for sample in samples(source)) == source.n_people.sum()
        assert source.n_people.sum() > 0
