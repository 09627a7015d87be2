"""MPII's .mat to columns: the official RELEASE, and the list of multi-person groups that evaluation goes by.

MATLAB counts pixels from 1: every coordinate is made 0-indexed here, once, and nowhere else.

Letters: N images, P persons, K = 16 joints.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from spmdata.errors import AnnotationError
from spmdata.people import People
from spmdata.skeletons import MPII16
from spmdata.sources.matlab import Struct, read_mat, structs
from spmdata.sources.records import decode_file, read_text

#: The file, beside the .mat, that names the image of each group.
GROUPS_NAME = "MPI_MP_VAL_annotations.json"
#: A person's height in px is this many times its scale.
SCALE_PX = 200.0
#: MPII's head size: this share of the head box's diagonal.
HEAD_SHARE = 0.6
#: A coordinate beyond this is none.
FARTHEST_PX = 1e6


class MpiiFile(NamedTuple):
    """What a file says, in its order.

    Digest; id, name, (height, width) px (0 where the file does not say) and extras of each image; each person's row of
    the images (P,); people; what was mended.
    """

    sha256: str
    id: NDArray[np.int64]
    name: list[str]
    size_hw: NDArray[np.int32]
    meta: list[str]
    image_of: NDArray[np.int64]
    people: People
    findings: Counter[str]


class _Group(msgspec.Struct):
    im_name: str
    im_height: float
    im_width: float
    group_center: tuple[float, float]
    group_scale: float


class _Groups(msgspec.Struct):
    root: list[_Group]


class _Rect(NamedTuple):
    """One annotated person: joints (K, 2) and visible (K,), head size, and the box to ignore without joints."""

    joints: NDArray[np.float64]
    visible: NDArray[np.uint8]
    head_px: float
    bbox_xywh: tuple[float, float, float, float]
    id: int


def read_mpii_file(path: Path, *, test: bool, need_names: bool) -> MpiiFile:
    """Read ``RELEASE`` or ``annolist_test_multi``.

    Parameters
    ----------
    path : pathlib.Path
        The .mat.
    test : bool
        Of RELEASE: the images whose joints are not published, instead of the others.
    need_names : bool
        Whether images without a name are a fault.

    Raises
    ------
    AnnotationError
        The file is damaged or of another structure; an entry breaks the format.
    """
    variables, sha256 = read_mat(path)
    findings: Counter[str] = Counter()
    if "RELEASE" in variables:
        names, metas, rects, numbers = _release(Struct(variables["RELEASE"]), test)
        sizes = np.zeros((len(names), 2), np.int32)
        if need_names and "" in names:
            raise AnnotationError(f"{path}: annolist({numbers[names.index('')]}) has no image.name")
    elif "annolist_test_multi" in variables:
        rects = [entry.structs("annorect") for entry in structs(variables["annolist_test_multi"])]
        numbers = list(range(1, len(rects) + 1))
        names, metas, sizes = _groups(path, len(rects), need_names)
    else:
        raise AnnotationError(
            f"{path} is no MPII file: it holds {', '.join(variables) or 'nothing'}, not RELEASE or annolist_test_multi"
        )
    people, image_of = _people(rects, numbers, findings)
    return MpiiFile(sha256, np.array(numbers, np.int64), names, sizes, metas, image_of, people, findings)


def _release(release: Struct, test: bool) -> tuple[list[str], list[str], list[list[Struct]], list[int]]:
    """Return name, extras, rects and number from 1 of each image of a part."""
    annolist = release.structs("annolist")
    in_train = release.array("img_train")
    if in_train is None or in_train.size != len(annolist):
        size = 0 if in_train is None else in_train.size
        raise AnnotationError(f"RELEASE.img_train must say of each of {len(annolist)} images its part, got {size}")
    numbers = (np.flatnonzero(np.atleast_1d(in_train) == (0 if test else 1)) + 1).tolist()
    single, acts = release.raw("single_person"), release.structs("act")
    names, metas, rects = [], [], []
    for number in numbers:
        entry = annolist[number - 1]
        names.append(entry.struct("image").text("name"))
        rects.append(entry.structs("annorect"))
        extras: dict[str, Any] = {}
        if isinstance(single, np.ndarray) and single.size == len(annolist):
            alone = np.atleast_1d(np.asarray(single.ravel()[number - 1], object)).ravel()
            extras["single_person"] = [int(k) for k in alone]
        if len(acts) == len(annolist) and (activity := acts[number - 1].text("act_name")):
            extras["activity"] = activity
        metas.append(json.dumps(extras, separators=(",", ":")) if extras else "")
    return names, metas, rects, numbers


def _groups(path: Path, n_groups: int, need_names: bool) -> tuple[list[str], list[str], NDArray[np.int32]]:
    """Return name, extras and size of each group's image, from the list beside the .mat."""
    beside = path.parent / GROUPS_NAME
    if not beside.is_file():
        if need_names:
            raise AnnotationError(f"{path} does not name its images, and {beside}, which does, is not there")
        return [""] * n_groups, ["" for _ in range(n_groups)], np.zeros((n_groups, 2), np.int32)
    groups = decode_file(msgspec.json.Decoder(_Groups), read_text(beside)[0], beside).root
    if len(groups) != n_groups:
        raise AnnotationError(
            f"{beside} lists {len(groups)} groups, {path} has {n_groups}; are they of one evaluation?"
        )
    metas = [
        json.dumps(
            {"group": i + 1, "centre_px": [c - 1 for c in group.group_center], "scale": group.group_scale},
            separators=(",", ":"),
        )
        for i, group in enumerate(groups)
    ]
    sizes = np.array([(group.im_height, group.im_width) for group in groups]).astype(np.int32).reshape(-1, 2)
    return [group.im_name for group in groups], metas, sizes


def _people(rects: list[list[Struct]], numbers: list[int], findings: Counter[str]) -> tuple[People, NDArray[np.int64]]:
    found: list[_Rect] = []
    image_of: list[int] = []
    for row, (number, image_rects) in enumerate(zip(numbers, rects, strict=True)):
        for k, rect in enumerate(image_rects, 1):
            one = _rect(rect, f"annolist({number}).annorect({k})", number * 1000 + k, findings)
            if one is not None:
                found.append(one)
                image_of.append(row)
    joints = np.array([one.joints for one in found]).reshape(-1, len(MPII16), 2)
    people = People.of(joints, np.array([one.visible for one in found]).reshape(-1, len(MPII16)))
    regions = np.array([one.bbox_xywh for one in found], np.float32).reshape(-1, 4)
    box = np.where(people.regions[:, None], regions, people.bbox_xywh)
    people = replace(
        people,
        bbox_xywh=box,
        area=np.float32(0.53) * box[:, 2] * box[:, 3],
        head_px=np.array([one.head_px for one in found], np.float32),
        id=np.array([one.id for one in found], np.int64),
    )
    return people, np.array(image_of, np.int64)


def _rect(rect: Struct, where: str, number: int, findings: Counter[str]) -> _Rect | None:
    """Return one person; None for an entry that says nothing at all."""
    joints, visible = np.zeros((len(MPII16), 2)), np.zeros(len(MPII16), np.uint8)
    for point in rect.struct("annopoints").structs("point"):
        joint, x, y = point.number("id"), point.number("x"), point.number("y")
        if joint is None or not 0 <= joint < len(MPII16) or joint % 1:
            raise AnnotationError(f"{where}: a point's id must be 0 to {len(MPII16) - 1}, got {joint}")
        if x is None or y is None or not max(abs(x), abs(y)) < FARTHEST_PX:
            findings["points without a position: passed over"] += 1
            continue
        if visible[int(joint)]:
            findings["joints annotated twice: the first kept"] += 1
            continue
        joints[int(joint)] = x - 1, y - 1
        # Missing or empty for head and neck, and text in places.
        visible[int(joint)] = 1 if point.number("is_visible") == 0 else 2
    head = [rect.number(side) for side in ("x1", "y1", "x2", "y2")]
    boxed = all(value is not None and abs(value) < FARTHEST_PX for value in head)
    x1, y1, x2, y2 = (value if boxed and value is not None else 0.0 for value in head)
    head_px = HEAD_SHARE * float(np.hypot(x2 - x1, y2 - y1))
    if visible.any():
        findings["people without a head box: kept without a head size"] += head_px == 0
        return _Rect(joints, visible, head_px, (0, 0, 0, 0), number)
    x, y = (rect.struct("objpos").number(axis) for axis in "xy")
    side = SCALE_PX * (rect.number("scale") or 0.0)
    if x is not None and y is not None and 0 < side < FARTHEST_PX and max(abs(x), abs(y)) < FARTHEST_PX:
        box = (x - 1 - (side - 1) / 2, y - 1 - (side - 1) / 2, side, side)
        findings["people without joints: ignored in a box of 200 * scale px"] += 1
    elif head_px:
        box = (min(x1, x2) - 1, min(y1, y2) - 1, abs(x2 - x1) + 1, abs(y2 - y1) + 1)
        findings["people without joints or scale: ignored in their head box"] += 1
    else:
        findings["people without joints, scale or head box: passed over"] += 1
        return None
    return _Rect(joints, visible, head_px, box, number)
