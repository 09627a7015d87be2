"""The skeletons that come with the toolkit: data, no logic.

Trees follow one rule: the root carries neck, shoulders, hips, pelvis and spine; head or nose hangs from the neck, eyes
from the nose, ears from the eyes; elbows from shoulders, knees from hips, then wrists and ankles.
"""

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

MPII16 = Skeleton(
    name="mpii16",
    joints=(
        *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
        *("pelvis", "thorax", "neck", "head_top"),
        *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
    ),
    parents=(1, 2, -1, -1, 3, 4, -1, -1, -1, 8, 11, 12, -1, -1, 13, 14),
    flip=(5, 4, 3, 2, 1, 0, 6, 7, 8, 9, 15, 14, 13, 12, 11, 10),
    sigmas=(
        *(0.089, 0.087, 0.107, 0.107, 0.087, 0.089, 0.107, 0.079, 0.079, 0.079),
        *(0.062, 0.072, 0.079, 0.079, 0.072, 0.062),
    ),
    torso=(2, 3, 6, 7, 12, 13),
)

PANOPTIC19 = Skeleton(
    name="panoptic19",
    joints=(
        *("neck", "nose", "body_centre"),  # the body centre is the middle of the hips
        *("left_shoulder", "left_elbow", "left_wrist", "left_hip", "left_knee", "left_ankle"),
        *("right_shoulder", "right_elbow", "right_wrist", "right_hip", "right_knee", "right_ankle"),
        *("left_eye", "left_ear", "right_eye", "right_ear"),
    ),
    parents=(-1, 0, -1, -1, 3, 4, -1, 6, 7, -1, 9, 10, -1, 12, 13, 1, 15, 1, 17),
    flip=(0, 1, 2, 9, 10, 11, 12, 13, 14, 3, 4, 5, 6, 7, 8, 17, 18, 15, 16),
    sigmas=(
        *(0.079, 0.026, 0.107, 0.079, 0.072, 0.062, 0.107, 0.087, 0.089),
        *(0.079, 0.072, 0.062, 0.107, 0.087, 0.089, 0.025, 0.035, 0.025, 0.035),
    ),
    torso=(0, 2, 3, 6, 9, 12),
)

MUPOTS17 = Skeleton(
    name="mupots17",
    joints=(
        *("head_top", "neck", "right_shoulder", "right_elbow", "right_wrist"),
        *("left_shoulder", "left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle"),
        *("left_hip", "left_knee", "left_ankle", "pelvis", "spine", "head"),
    ),
    parents=(16, -1, -1, 2, 3, -1, 5, 6, -1, 8, 9, -1, 11, 12, -1, -1, 1),
    flip=(0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 14, 15, 16),
    sigmas=(
        *(0.079, 0.079, 0.079, 0.072, 0.062, 0.079, 0.072, 0.062),
        *(0.107, 0.087, 0.089, 0.107, 0.087, 0.089, 0.107, 0.107, 0.079),
    ),
    torso=(1, 2, 5, 8, 11, 14, 15),
)

#: Every built-in skeleton by name.
SKELETONS = MappingProxyType(
    {skeleton.name: skeleton for skeleton in (COCO17, CROWDPOSE14, MPII16, PANOPTIC19, MUPOTS17)}
)
