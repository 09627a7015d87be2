"""The skeletons that come with the toolkit: data, no logic."""

from __future__ import annotations

from types import MappingProxyType

from spmdata.skeleton import Skeleton

COCO17 = Skeleton(
    name="coco17",
    joints=(
        *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
        *("left_elbow", "right_elbow", "left_wrist", "right_wrist"),
        *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
    ),
    # COCO has no neck: the nose hangs from the root, with the shoulders and hips (Nie et al. 2019, section 3.2).
    parents=(-1, 0, 0, 1, 2, -1, -1, 5, 6, 7, 8, -1, -1, 11, 12, 13, 14),
    flip=(0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15),
    sigmas=(
        *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062),
        *(0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
    ),
    torso=(5, 6, 11, 12),
)

CROWDPOSE14 = Skeleton(
    name="crowdpose14",
    joints=(
        *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
        *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "head", "neck"),
    ),
    parents=(-1, -1, 0, 1, 2, 3, -1, -1, 6, 7, 8, 9, 13, -1),
    flip=(1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 12, 13),
    sigmas=(0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089, 0.079, 0.079),
    torso=(0, 1, 6, 7),
)

#: Every built-in skeleton by name.
SKELETONS = MappingProxyType({skeleton.name: skeleton for skeleton in (COCO17, CROWDPOSE14)})
