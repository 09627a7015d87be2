"""What perfect maps decode to in three dimensions: people of CMU Panoptic, back in the camera's frame, in cm.

The frames below ``$SPM_DATA/panoptic``, from every HD camera of each, encoded and decoded in memory at a 512 letterbox.
Depths mix where another person's is read too; errors outside collisions are held against the bound of verify-targets.
"""

import argparse
import json
import os
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
from results import machine, table, write_section

from spmdata.camera import Camera
from spmdata.people import People, Sample
from spmdata.roundtrip.depth_tally import tally_depth
from spmdata.roundtrip.measure import compare_samples
from spmdata.roundtrip.tally import tally
from spmdata.skeleton import Skeleton
from spmdata.spec import TargetSpec

#: The coco19 of CMU Panoptic.
SKELETON = Skeleton(
    name="panoptic19",
    joints=(
        *("neck", "nose", "body_centre", "left_shoulder", "left_elbow", "left_wrist", "left_hip", "left_knee"),
        *("left_ankle", "right_shoulder", "right_elbow", "right_wrist", "right_hip", "right_knee", "right_ankle"),
        *("left_eye", "left_ear", "right_eye", "right_ear"),
    ),
    parents=(-1, 0, -1, 0, 3, 4, 2, 6, 7, 0, 9, 10, 2, 12, 13, 1, 15, 1, 17),
    flip=(0, 1, 2, 9, 10, 11, 12, 13, 14, 3, 4, 5, 6, 7, 8, 17, 18, 15, 16),
    sigmas=(0.079,) * 19,
    torso=(0, 2),
)
HEADER = (
    *("tree", "overlap", "dtype", "people", "lost", "joints", "mixed", "roots mixed", "mean cm", "99 % cm"),
    *("max clear cm", "bound cm", "MPJPE mm", "PCK150"),
)


def views(root: Path) -> Iterator[Sample]:
    """Yield each frame as each HD camera sees it."""
    for folder in sorted(root.iterdir()):
        calibration = json.loads((folder / f"calibration_{folder.name}.json").read_text())
        for file in sorted(folder.glob("hdPose3d_stage1_coco19/*.json")):
            bodies = json.loads(file.read_text())["bodies"]
            world = np.array([body["joints19"] for body in bodies], np.float64).reshape(-1, 19, 4)
            for i, view in enumerate(c for c in calibration["cameras"] if c["type"] == "hd"):
                R, t = np.array(view["R"]), np.array(view["t"]).reshape(3)
                camera = Camera(np.array(view["K"]), np.array(view["distCoef"]), R, t)
                points = world[..., :3] @ R.T + t
                px = camera.project(points)
                seen = np.isfinite(px).all(-1) & (world[..., 3] > 0.1)
                joints = np.where(seen[..., None], np.concatenate([px, points[..., 2:]], -1), 0)
                width, height = view["resolution"]
                yield Sample(i, f"{view['name']}/{file.stem}", (height, width), People.of(joints, 2 * seen), camera)


def row(samples: list[Sample], tree: str, overlap: str, dtype: str) -> tuple[str, ...]:
    """Return the cells of one setting."""
    spec = TargetSpec(skeleton=SKELETON, dims=3, input_hw=(512, 512)).override(
        hierarchical=tree == "hier", overlap=overlap, dtype=dtype
    )
    rows = compare_samples(samples, [spec])[0]
    found, lost = tally_depth(rows, spec), sum(tally(rows, SKELETON).lost.values())
    assert found is not None
    assert found.beyond_bound == 0
    errors = found.line("all", np.ones(len(SKELETON), bool))
    return (
        *(tree, overlap, dtype, f"{found.people:,}", f"{lost:,}", f"{errors.joints:,}"),
        *(f"{found.mixed:.2%}", f"{found.roots_mixed:.2%}", f"{errors.mean_cm:.4f}", f"{errors.p99_cm:.4f}"),
        *(f"{errors.clear_max_cm:.6f}", f"{found.bound_cm.max():.6f}"),
        *(f"{found.ceiling.MPJPE:.3f}", f"{100 * found.ceiling.PCK150:.2f}"),
    )


def main() -> None:
    """Print the table, and write it with ``--write``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the section of RESULTS.md")
    options = parser.parse_args()
    if "SPM_DATA" not in os.environ:
        raise SystemExit("SPM_DATA is unset: it names the folder with panoptic/")
    samples = list(views(Path(os.environ["SPM_DATA"]) / "panoptic"))
    settings = product(("flat", "hier"), ("mean", "nearest"), ("float32", "float16"))
    frames = len({sample.path.split("/")[1] for sample in samples})
    text = "\n\n".join(
        [
            f"{machine('numpy', 'numba')}.",
            f"CMU Panoptic, coco19: {frames} frames from all their HD cameras, {len(samples)} images; input 512, the "
            "paper's conventions but for what the columns say. Errors are distances in the camera's frame, of all the "
            "joints of people who come back; clear: of those where nothing collides.",
            table(HEADER, [row(samples, *setting) for setting in settings]),
        ]
    )
    print(text)
    if options.write:
        write_section("depth", text)


if __name__ == "__main__":
    main()
