"""COCO's JSON to columns: what a keypoint file holds and everything that may be wrong with it.

The file is decoded record by record, so that a fault has a place and 238 MB of text are never objects all at
once; segmentations are skipped over. Coordinates are 0-indexed px: the rule of `spmdata.geometry` already.

Letters: P persons, K joints.
"""

from __future__ import annotations

from array import array
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from spmdata.errors import AnnotationError
from spmdata.people import People
from spmdata.skeleton import Skeleton
from spmdata.sources.coco_category import Id, hint, own_skeleton, person_categories, read_categories
from spmdata.sources.records import (
    LEAVES_FOLDER,
    NotJsonError,
    decode_file,
    decode_record,
    quote_non_numbers,
    read_text,
)
from spmdata.sources.table import ImageTable

#: A coordinate beyond this is no position in an image, and float32 would be coarser than 1/16 px.
_FARTHEST_PX = 1e6

_NO_KEYPOINTS = msgspec.Raw()
_Side = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
_Length = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
_Place = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]


class _File(msgspec.Struct):
    images: list[msgspec.Raw] | None = None
    annotations: list[msgspec.Raw] | None = None
    categories: list[msgspec.Raw] | None = None


class _Image(msgspec.Struct):
    id: Id
    width: _Side
    height: _Side
    file_name: str = ""
    crowdIndex: float | None = None  # noqa: N815  # CrowdPose's own spelling


class _Annotation(msgspec.Struct):
    id: Id
    image_id: Id
    category_id: int = 1
    iscrowd: int | bool = 0
    area: Annotated[float, msgspec.Meta(ge=0, le=1e18)] | None = None
    bbox: tuple[_Place, _Place, _Length, _Length] | None = None
    keypoints: msgspec.Raw = _NO_KEYPOINTS


_FILE = msgspec.json.Decoder(_File)
_IMAGE = msgspec.json.Decoder(_Image)
_ANNOTATION = msgspec.json.Decoder(_Annotation)
_NUMBERS = msgspec.json.Decoder(list[float])


class _Columns(NamedTuple):
    """The persons of a file, one a row: place in ``annotations``, row of the image; 0 for what is missing."""

    record: NDArray[np.int64]
    image: NDArray[np.int64]
    id: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    area: NDArray[np.float64]
    bbox_xywh: NDArray[np.float64]  # (P, 4)
    keypoints: NDArray[np.float32]  # (P, K, 3): x, y, v


class CocoFile(NamedTuple):
    """What a file says: digest, joints, images, each person's row of ``images`` (P,), people, what was mended."""

    sha256: str
    skeleton: Skeleton
    images: ImageTable
    image_of: NDArray[np.int64]
    people: People
    findings: Counter[str]


def read_coco_file(path: Path, skeleton: Skeleton | None, *, need_names: bool) -> CocoFile:
    """Read a COCO keypoint file, everything in its own order.

    Parameters
    ----------
    path : pathlib.Path
        JSON, or JSON compressed by gzip whatever its name.
    skeleton : Skeleton or None
        The joints that ``keypoints`` must have; None for those that the file's category names, else COCO's.
    need_names : bool
        Whether an image without ``file_name`` is a fault.

    Returns
    -------
    CocoFile
        All images, and the persons of the skeleton's category on them.

    Raises
    ------
    AnnotationError
        The file is missing, damaged, not COCO, or a record breaks the format.
    """
    text, sha256 = read_text(path)
    findings: Counter[str] = Counter()
    try:
        images, columns, skeleton = _parse(text, path, skeleton, need_names, findings)
    except NotJsonError:
        # json.dump writes NaN and Infinity, which JSON has not: name the record that holds one.
        if (quoted := quote_non_numbers(text)) is not None:
            with suppress(NotJsonError):
                _parse(quoted, path, skeleton, need_names, findings)
        raise
    del text  # the largest thing in memory, before the columns are copied
    return CocoFile(sha256, skeleton, images, columns.image, _people(columns, images, skeleton, findings), findings)


def _parse(
    text: bytes | bytearray, path: Path, skeleton: Skeleton | None, need_names: bool, findings: Counter[str]
) -> tuple[ImageTable, _Columns, Skeleton]:
    file = decode_file(_FILE, text, path)
    if file.images is None or file.annotations is None:
        lacks = " and ".join(name for name in ("images", "annotations") if getattr(file, name) is None)
        raise AnnotationError(f"{path} is not a COCO keypoint file: it has no {lacks}")
    images = _read_images(file.images, need_names)
    categories = read_categories(file.categories or [])
    if skeleton is None:
        skeleton, said = own_skeleton(categories, path)
        findings.update(dict(said))
    chosen = person_categories(categories, skeleton)
    return images, _read_columns(file.annotations, images, chosen, skeleton, findings), skeleton


def _read_images(records: list[msgspec.Raw], need_names: bool) -> ImageTable:
    rows: dict[int, int] = {}
    sizes, paths, metas = array("i"), [], []
    for i, raw in enumerate(records):
        image = decode_record(_IMAGE, raw, f"images[{i}]")
        if (first := rows.setdefault(image.id, i)) != i:
            raise AnnotationError(f"images[{i}]: id {image.id} is that of images[{first}] too")
        if need_names and not image.file_name:
            raise AnnotationError(f"images[{i}]: file_name is missing; --no-images does without")
        if LEAVES_FOLDER.search(image.file_name):
            raise AnnotationError(
                f"images[{i}]: file_name must be a path inside the image folder, got {image.file_name!r}"
            )
        sizes.extend((image.height, image.width))
        paths.append(image.file_name)
        metas.append("" if image.crowdIndex is None else f'{{"crowdIndex": {image.crowdIndex!r}}}')
    return ImageTable(np.array(list(rows), np.int64), np.array(sizes, np.int32).reshape(-1, 2), paths, metas)


def _read_columns(
    records: list[msgspec.Raw],
    images: ImageTable,
    categories: set[int] | None,
    skeleton: Skeleton,
    findings: Counter[str],
) -> _Columns:
    row_of = {number: row for row, number in enumerate(images.id.tolist())}
    width = 3 * len(skeleton)
    seen: dict[int, int] = {}
    record, image, number, crowd = array("q"), array("q"), array("q"), array("b")
    area, box, keypoints = array("d"), array("d"), array("f")
    for i, raw in enumerate(records):
        one = decode_record(_ANNOTATION, raw, f"annotations[{i}]")
        if (first := seen.setdefault(one.id, i)) != i:
            raise AnnotationError(f"annotations[{i}]: id {one.id} is that of annotations[{first}] too")
        if categories is not None and one.category_id not in categories:
            findings["annotations of other categories: passed over"] += 1
            continue
        if one.image_id not in row_of:
            findings["annotations of images that the file does not list: passed over"] += 1
            continue
        where, numbers = f"annotations[{i}] (image {one.image_id})", [0.0] * width
        if one.keypoints is not _NO_KEYPOINTS:
            numbers = decode_record(_NUMBERS, one.keypoints, f"{where} keypoints")
        if len(numbers) != width:
            got = f"{len(numbers)}{hint(len(numbers) / 3)}"
            raise AnnotationError(f"{where}: {width} numbers expected for {skeleton.name}, got {got}")
        record.append(i)
        image.append(row_of[one.image_id])
        number.append(one.id)
        crowd.append(bool(one.iscrowd))
        area.append(one.area or 0.0)
        box.extend(one.bbox or (0.0, 0.0, 0.0, 0.0))
        keypoints.extend(numbers)
    return _Columns(
        record=np.array(record, np.int64),
        image=np.array(image, np.int64),
        id=np.array(number, np.int64),
        crowd=np.array(crowd, np.bool_),
        area=np.array(area, np.float64),
        bbox_xywh=np.array(box, np.float64).reshape(-1, 4),
        keypoints=np.array(keypoints, np.float32).reshape(-1, len(skeleton), 3),
    )


def _people(columns: _Columns, images: ImageTable, skeleton: Skeleton, findings: Counter[str]) -> People:
    """Check the keypoints, mend boxes and areas, mark what is to be ignored."""
    xy, v = columns.keypoints[..., :2], columns.keypoints[..., 2]
    bad_v = (v != 0) & (v != 1) & (v != 2)
    bad = bad_v | ((v > 0) & ~(np.abs(xy) <= _FARTHEST_PX).all(-1))
    if bad.any():
        p, k = np.argwhere(bad)[0].tolist()
        (x, y), record, image = xy[p, k].tolist(), columns.record[p], images.id[columns.image[p]]
        what = f"v = {v[p, k]:g}; 0, 1 or 2 expected" if bad_v[p, k] else f"({x:g}, {y:g}), no position in px"
        raise AnnotationError(f"annotations[{record}] (image {image}): {skeleton.joints[k]} has {what}")
    people = People.of(xy, v.astype(np.uint8))
    labelled = (v > 0).any(1)
    boxless = (columns.bbox_xywh[:, 2] * columns.bbox_xywh[:, 3] == 0) & labelled
    box = np.where(boxless[:, None], people.bbox_xywh, columns.bbox_xywh)
    sizeless = columns.area == 0
    area = np.where(sizeless, 0.53 * box[:, 2] * box[:, 3], columns.area)
    findings["boxes missing or empty: set round the labelled joints"] += int(boxless.sum())
    findings["areas missing or zero: set to 0.53 * w * h of the box"] += int(sizeless.sum())
    return replace(
        people,
        area=area.astype(np.float32),
        bbox_xywh=box.astype(np.float32),
        ignore=columns.crowd,
        id=columns.id,
    )
