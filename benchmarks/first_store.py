"""A first store: write a small data set, prepare its targets, verify them.

Writes a COCO-format file of made-up people (no images) into a temporary folder and runs `spm` on it as a
user would, showing each command. Exits with the status of the first command that fails.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

# A person standing, seen from the front: (x, y) from the top of the head, height 1.
STANDING = {
    "nose": (0.00, 0.08),
    "left_eye": (0.02, 0.06),
    "right_eye": (-0.02, 0.06),
    "left_ear": (0.04, 0.07),
    "right_ear": (-0.04, 0.07),
    "left_shoulder": (0.11, 0.19),
    "right_shoulder": (-0.11, 0.19),
    "left_elbow": (0.15, 0.34),
    "right_elbow": (-0.15, 0.34),
    "left_wrist": (0.16, 0.48),
    "right_wrist": (-0.16, 0.48),
    "left_hip": (0.08, 0.50),
    "right_hip": (-0.08, 0.50),
    "left_knee": (0.09, 0.72),
    "right_knee": (-0.09, 0.72),
    "left_ankle": (0.09, 0.94),
    "right_ankle": (-0.09, 0.94),
}
IMAGES = 36
HEIGHT_PX, WIDTH_PX = 480, 640


def person(rng: np.random.Generator, left_px: float, width_px: float) -> dict[str, object]:
    """Return the COCO annotation of one person standing in a strip of the image.

    Parameters
    ----------
    rng
        Decides size, place, pose and which joints are labelled.
    left_px, width_px
        The strip.
    """
    tall_px = rng.uniform(150, 400)
    top_xy = left_px + width_px * rng.uniform(0.4, 0.6), rng.uniform(10, HEIGHT_PX - tall_px - 10)
    pose = np.array(list(STANDING.values())) + rng.normal(0, 0.012, (len(STANDING), 2))
    xy = np.round(top_xy + tall_px * pose)
    visible = rng.choice([0, 1, 2], size=len(xy), p=[0.1, 0.15, 0.75])
    joints = np.where(visible[:, None] > 0, np.column_stack([xy, visible]), 0)
    size_xy = np.ptp(xy, axis=0) + 1
    return {
        "category_id": 1,
        "iscrowd": 0,
        "keypoints": joints.astype(int).ravel().tolist(),
        "num_keypoints": int((visible > 0).sum()),
        "bbox": [*xy.min(axis=0).tolist(), *size_xy.tolist()],
        "area": float(0.53 * size_xy.prod()),
    }


def made_up_people(seed: int) -> dict[str, object]:
    """Return a COCO keypoint file of `IMAGES` images with one to three people each."""
    rng = np.random.default_rng(seed)
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for image_id in range(1, IMAGES + 1):
        name = f"{image_id:012d}.jpg"
        images.append({"id": image_id, "file_name": name, "height": HEIGHT_PX, "width": WIDTH_PX})
        people = int(rng.integers(1, 4))
        strip_px = WIDTH_PX / people
        for strip in range(people):
            place = {"id": len(annotations) + 1, "image_id": image_id}
            annotations.append(place | person(rng, strip * strip_px, strip_px))
    category = {"id": 1, "name": "person", "keypoints": list(STANDING), "skeleton": []}
    return {"images": images, "annotations": annotations, "categories": [category]}


def main() -> None:
    """Write the annotations, then run and show the two commands."""
    spm = Path(sys.executable).with_name("spm")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "people.json").write_text(json.dumps(made_up_people(seed=0)), encoding="utf-8")
        for command in (
            "prepare coco --hier --annotations people.json --no-images --out demo.zarr",
            "verify-targets demo.zarr",
        ):
            print(f"$ spm {command}", flush=True)
            status = subprocess.run([spm, *command.split()], cwd=folder).returncode
            if status:
                sys.exit(status)


if __name__ == "__main__":
    main()
