"""Small COCO keypoint files, written by the tests themselves: plausible people, boxes, crowds, and their images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from spmdata.skeletons import COCO17

#: A standing person in a box of 1 x 1: x to the right, y down, in COCO's order.
STANDING = np.array(
    [
        *([0.5, 0.08], [0.53, 0.06], [0.47, 0.06], [0.56, 0.08], [0.44, 0.08]),
        *([0.65, 0.22], [0.35, 0.22], [0.75, 0.38], [0.25, 0.38], [0.8, 0.52], [0.2, 0.52]),
        *([0.6, 0.55], [0.4, 0.55], [0.62, 0.76], [0.38, 0.76], [0.63, 0.96], [0.37, 0.96]),
    ]
)


def person(image_id: int, number: int, rng: np.random.Generator, size_hw: tuple[int, int]) -> dict[str, Any]:
    """Return one annotation: a person somewhere in the image, a few joints missing."""
    h = rng.uniform(0.3, 0.8) * size_hw[0]
    w = 0.6 * h
    x, y = rng.uniform(0, max(1, size_hw[1] - w)), rng.uniform(0, size_hw[0] - h)
    joints = np.rint((STANDING + rng.normal(0, 0.02, (17, 2))) * [w, h] + [x, y])
    v = rng.choice([0, 1, 2], 17, p=[0.15, 0.15, 0.7])
    v[0] = 2
    joints[v == 0] = 0
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [x, y, w, h],
        "area": 0.4 * w * h,
        "num_keypoints": int((v > 0).sum()),
        "keypoints": np.concatenate([joints, v[:, None]], 1).astype(int).ravel().tolist(),
    }


def small_coco(n_images: int = 10, seed: int = 0, size_hw: tuple[int, int] = (120, 160)) -> dict[str, Any]:
    """Return a file's content: one to three people an image, now and then a crowd or a person without joints."""
    rng = np.random.default_rng(seed)
    annotations: list[dict[str, Any]] = []
    for image_id in range(1, n_images + 1):
        for _ in range(rng.integers(1, 4)):
            annotations.append(person(image_id, len(annotations) + 1, rng, size_hw))
        if rng.random() < 0.3:
            region = person(image_id, len(annotations) + 1, rng, size_hw)
            crowd = int(rng.integers(2))
            annotations.append(region | {"iscrowd": crowd, "keypoints": [0] * 51, "num_keypoints": 0})
    images = [
        {"id": i, "file_name": f"{i:06d}.jpg", "height": size_hw[0], "width": size_hw[1]}
        for i in range(1, n_images + 1)
    ]
    category = {"id": 1, "name": "person", "keypoints": list(COCO17.joints), "skeleton": []}
    return {"images": images, "annotations": annotations, "categories": [category]}


def write_small_coco(folder: Path, n_images: int = 10, seed: int = 0, *, images: bool = False) -> Path:
    """Write a data set in COCO's layout below ``folder`` and return its annotation file.

    The images, when asked for, are noise with a bright square at each nose.
    """
    content = small_coco(n_images, seed)
    path = folder / "coco/annotations/person_keypoints_train2017.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    if images:
        (folder / "coco/train2017").mkdir()
        rng = np.random.default_rng(seed)
        for image in content["images"]:
            pixels = rng.integers(0, 120, (image["height"], image["width"], 3), np.uint8)
            for a in content["annotations"]:
                if a["image_id"] == image["id"] and a["num_keypoints"]:
                    x, y = a["keypoints"][:2]
                    pixels[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4] = 255
            Image.fromarray(pixels).save(folder / "coco/train2017" / image["file_name"], quality=95)
    return path
