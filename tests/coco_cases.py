"""A small COCO file that is right, and places in it to spoil."""

import copy
import json
from pathlib import Path
from typing import Any

from spmdata.people import Sample
from spmdata.skeletons import COCO17
from spmdata.sources.base import Source
from spmdata.sources.coco import CocoSource

NO_JOINTS = [0] * 51


def keypoints(v: int = 2, shift: float = 0) -> list[float]:
    return [number for j in range(17) for number in (10 + j + shift, 20 + 2 * j, v)]


def small() -> dict[str, Any]:
    """Two images in descending id, three persons: a labelled one, a crowd, one without joints."""
    box = [1.5, 2, 30, 40]
    return {
        "info": {"description": "any"},
        "images": [
            {"id": 5, "width": 640, "height": 480, "file_name": "five.jpg", "license": 1},
            {"id": 3, "width": 100, "height": 200, "file_name": "sub/three.jpg"},
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.joints), "skeleton": [[1, 2]]}],
        "annotations": [
            {"id": 11, "image_id": 5, "category_id": 1, "keypoints": keypoints(), "bbox": box, "area": 700.5},
            {"id": 7, "image_id": 3, "category_id": 1, "keypoints": keypoints(1, 0.5), "bbox": box, "area": 9}
            | {"segmentation": [[1, 2, 3]], "num_keypoints": 17, "iscrowd": 0},
            {"id": 12, "image_id": 5, "category_id": 1, "keypoints": NO_JOINTS, "bbox": box, "area": 8}
            | {"iscrowd": 1, "segmentation": {"counts": [1], "size": [1, 2]}},
            {"id": 13, "image_id": 5, "category_id": 1, "keypoints": NO_JOINTS, "bbox": box, "area": 8},
        ],
    }


def read(tmp_path: Path, data: object, **options: Any) -> CocoSource:
    path = tmp_path / "person_keypoints_any.json"
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    return CocoSource.read(path, **{"image_root": tmp_path, **options})


def samples(source: Source) -> list[Sample]:
    return [source[index] for index in range(len(source))]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value inside a JSON value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in pairs for place in places(inner, (*path, key)))]


def spoilt(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    """Return a copy of a JSON value with something else at a place."""
    if not path:
        return odd
    value = copy.deepcopy(value)
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = odd
    return value
