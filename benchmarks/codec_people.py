"""People to time the codec with: of COCO val2017, made up, crowded.

Letters: P people; K joints.
"""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spmdata.geometry import letterbox
from spmdata.people import People

ANNOTATIONS = "coco/annotations/person_keypoints_val2017.json.gz"
K = 17
Image = tuple[tuple[int, int], People]  # (height, width) in px, and its labelled people


def coco_people(path: Path) -> list[Image]:
    """Return size and labelled people of every image with some."""
    with gzip.open(path) as file:
        coco = json.load(file)
    sizes = {image["id"]: (int(image["height"]), int(image["width"])) for image in coco["images"]}
    found: dict[int, list[list[float]]] = {}
    for annotation in coco["annotations"]:
        if annotation.get("num_keypoints", 0) and not annotation.get("iscrowd"):
            found.setdefault(annotation["image_id"], []).append(annotation["keypoints"])
    points = {image: np.array(keypoints, float).reshape(-1, K, 3) for image, keypoints in found.items()}
    return [(sizes[image], People.of(xyv[..., :2], xyv[..., 2].astype(np.uint8))) for image, xyv in points.items()]


def made_up_people(rng: np.random.Generator, n: int = 500) -> list[Image]:
    """Return images of 1 to 4 people, all joints labelled, about a quarter of the image high."""
    images = []
    for _ in range(n):
        P = int(rng.integers(1, 5))
        joints = rng.uniform(80, 400, (P, 1, 2)) + rng.normal(0, 40, (P, K, 2))
        images.append(((480, 480), People.of(joints, np.full((P, K), 2))))
    return images


def fitted(images: Sequence[Image], side_px: int) -> list[People]:
    """Return the people letterboxed into a square input."""
    return [people.transform(letterbox(size, (side_px, side_px)).affine) for size, people in images]


def crowded(people: Sequence[People], n_people: int, n: int, rng: np.random.Generator) -> list[People]:
    """Return n pictures of that many people each, drawn from all; nobody twice in one, as copies share every cell."""
    joints, visible = (np.concatenate([getattr(p, name) for p in people]) for name in ("joints", "visible"))
    picks = (rng.choice(len(joints), n_people, replace=False) for _ in range(n))
    return [People.of(joints[pick], visible[pick]) for pick in picks]
