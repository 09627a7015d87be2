"""How a synthetic person may hold itself: joint angles with limits, and the poses that people take.

All angles are in degrees and 0 in the rest pose: upright, arms hanging, palms and toes to the front. A pose is a
vector of `ANGLES`: eight of the trunk, then nine of the left and nine of the right side, which mirror each other.

Letters: A angles.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Range = tuple[float, float]

#: Trunk angles with their limits: pitch and roll lean the whole body, the waist bends forward, to the left, turns left.
TRUNK: Mapping[str, Range] = MappingProxyType(
    {
        "pitch": (-20, 50),
        "roll": (-25, 25),
        "waist_bend": (-20, 70),
        "waist_side": (-25, 25),
        "waist_twist": (-35, 35),
        "neck_bend": (-30, 40),
        "neck_side": (-20, 20),
        "neck_turn": (-60, 60),
    }
)
#: Angles of one side. The arm is raised by ``arm_raise`` in a vertical plane: 0 to the side, 90 to the front, -90 back.
SIDE: Mapping[str, Range] = MappingProxyType(
    {
        "arm_plane": (-90, 130),
        "arm_raise": (0, 175),
        "arm_twist": (-90, 80),
        "elbow": (0, 145),
        "hip_raise": (-25, 125),
        "hip_out": (-15, 55),
        "hip_twist": (-30, 40),
        "knee": (0, 145),
        "ankle": (-25, 45),
    }
)
ANGLES = (*TRUNK, *(f"left_{name}" for name in SIDE), *(f"right_{name}" for name in SIDE))
LOW: Float64 = np.array([low for low, _ in (*TRUNK.values(), *SIDE.values(), *SIDE.values())], np.float64)
HIGH: Float64 = np.array([high for _, high in (*TRUNK.values(), *SIDE.values(), *SIDE.values())], np.float64)

_N_TRUNK, _N_SIDE = len(TRUNK), len(SIDE)
_AT = {name: i for i, name in enumerate(ANGLES)}
#: Angles to the left or right, which change their sign in the mirror.
_SIDEWAYS = [_AT[name] for name in ("roll", "waist_side", "waist_twist", "neck_side", "neck_turn")]
_HIP_RAISE = [_AT["left_hip_raise"], _AT["right_hip_raise"]]

#: What every pose has unless it says otherwise; a name without a side is of both, each drawn on its own.
_REST: Mapping[str, Range] = {
    **{"pitch": (-3, 5), "roll": (-3, 3), "waist_bend": (-5, 12), "waist_side": (-6, 6), "waist_twist": (-20, 20)},
    **{"neck_bend": (-10, 15), "neck_side": (-8, 8), "neck_turn": (-30, 30)},
    **{"arm_plane": (-20, 60), "arm_raise": (6, 22), "arm_twist": (-10, 30), "elbow": (5, 40)},
    **{"hip_raise": (-6, 8), "hip_out": (1, 9), "hip_twist": (0, 20), "knee": (0, 12), "ankle": (-5, 5)},
}
#: One arm rests, the other does something: what the examples below change is the left one, and sides are swapped later.
_POSES: Mapping[str, tuple[float, Mapping[str, Range]]] = {
    "stand": (3, {}),
    "stand_on_one_leg": (1.5, {"left_hip_out": (6, 16), "left_knee": (10, 30), "left_hip_raise": (5, 20)}),
    "hands_on_hips": (
        1,
        {"arm_plane": (-35, -10), "arm_raise": (38, 52), "arm_twist": (62, 78), "elbow": (85, 105)},
    ),
    "walk": (
        3,
        {
            **{"left_hip_raise": (15, 35), "left_knee": (2, 15), "right_hip_raise": (-22, -8), "right_knee": (8, 40)},
            **{"left_arm_plane": (-90, -60), "left_arm_raise": (12, 35), "right_arm_plane": (70, 95)},
            **{"right_arm_raise": (12, 40), "elbow": (10, 50), "right_ankle": (0, 30)},
        },
    ),
    "run": (
        2.5,
        {
            **{"left_hip_raise": (40, 85), "left_knee": (50, 110), "right_hip_raise": (-25, 0), "right_knee": (15, 80)},
            **{"left_arm_plane": (-90, -60), "left_arm_raise": (30, 55), "right_arm_plane": (70, 95)},
            **{"right_arm_raise": (25, 60), "elbow": (65, 110), "pitch": (5, 18), "right_ankle": (10, 40)},
        },
    ),
    "arms_up": (
        2,
        {
            "arm_plane": (-10, 60),
            "arm_raise": (125, 175),
            "arm_twist": (-60, 0),
            "elbow": (0, 55),
            "neck_bend": (-25, 5),
        },
    ),
    "wave": (
        2,
        {
            **{"left_arm_plane": (-10, 40), "left_arm_raise": (70, 150), "left_arm_twist": (-90, -50)},
            **{"left_elbow": (30, 120)},
        },
    ),
    "point": (1.5, {"left_arm_plane": (0, 110), "left_arm_raise": (70, 105), "left_elbow": (0, 20)}),
    "star": (
        1,
        {"arm_plane": (-10, 20), "arm_raise": (60, 120), "arm_twist": (-60, 0), "elbow": (0, 30), "hip_out": (14, 38)},
    ),
    "hold": (
        1.5,
        {"arm_plane": (55, 95), "arm_raise": (10, 50), "arm_twist": (0, 30), "elbow": (60, 110)},
    ),
    "cross_arms": (
        0.7,
        {"arm_plane": (50, 70), "arm_raise": (28, 42), "arm_twist": (45, 70), "elbow": (95, 115)},
    ),
    "hand_to_head": (
        1,
        {
            "left_arm_plane": (10, 70),
            "left_arm_raise": (80, 120),
            "left_arm_twist": (-60, -20),
            "left_elbow": (115, 140),
        },
    ),
    "sit": (
        2.5,
        {
            **{"hip_raise": (75, 98), "hip_out": (0, 22), "knee": (65, 105), "waist_bend": (-8, 20)},
            **{"arm_plane": (40, 100), "arm_raise": (15, 50), "elbow": (20, 90), "hip_twist": (-5, 10)},
        },
    ),
    "crouch": (
        1.2,
        {
            **{"hip_raise": (80, 115), "knee": (100, 140), "waist_bend": (10, 40), "pitch": (5, 25)},
            **{
                "arm_plane": (50, 100),
                "arm_raise": (30, 80),
                "elbow": (10, 80),
                "ankle": (-25, -5),
                "hip_out": (5, 30),
            },
        },
    ),
    "half_squat": (
        1,
        {
            **{"hip_raise": (30, 65), "knee": (50, 95), "waist_bend": (5, 30), "pitch": (5, 20)},
            **{"arm_plane": (50, 100), "arm_raise": (30, 95), "elbow": (0, 60), "ankle": (-25, -5), "hip_out": (5, 25)},
        },
    ),
    "jump": (
        1.5,
        {
            **{"hip_raise": (-10, 60), "knee": (15, 100), "ankle": (15, 45), "hip_out": (0, 30)},
            **{"arm_plane": (-10, 70), "arm_raise": (60, 165), "arm_twist": (-60, 0), "elbow": (0, 60)},
        },
    ),
    "lunge": (
        1,
        {
            **{"left_hip_raise": (50, 85), "left_knee": (60, 95), "right_hip_raise": (-25, -8), "right_knee": (5, 45)},
            **{"right_ankle": (-20, 10), "arm_raise": (10, 60)},
        },
    ),
    "kick": (
        1,
        {
            **{"left_hip_raise": (45, 90), "left_knee": (0, 40), "left_ankle": (5, 40), "waist_bend": (-10, 15)},
            **{"arm_plane": (-30, 40), "arm_raise": (30, 90), "elbow": (0, 50)},
        },
    ),
    "kneel": (
        0.8,
        {
            **{"left_hip_raise": (75, 100), "left_knee": (80, 105), "right_hip_raise": (-10, 10)},
            **{"right_knee": (80, 105), "right_ankle": (20, 45), "arm_plane": (40, 95), "arm_raise": (15, 60)},
            "elbow": (10, 80),
        },
    ),
    "bend": (
        1.2,
        {
            **{"pitch": (15, 45), "waist_bend": (20, 60), "arm_plane": (75, 100), "arm_raise": (40, 110)},
            **{"elbow": (0, 40), "neck_bend": (-30, 10), "knee": (0, 30), "hip_out": (3, 20)},
        },
    ),
    "lean": (
        1,
        {
            **{"roll": (8, 20), "waist_side": (-25, -8), "left_arm_raise": (30, 90), "right_hip_out": (10, 30)},
            **{"left_arm_plane": (-10, 40)},
        },
    ),
}
POSES = tuple(_POSES)
_ODDS: Float64 = np.cumsum([odds for odds, _ in _POSES.values()]) / sum(odds for odds, _ in _POSES.values())


def _ranges(wanted: Mapping[str, Range]) -> Float64:
    """Return the ranges of a pose, (A, 2): its own for a side, its own for both, then the rest pose's."""
    both = {**_REST, **wanted}
    return np.array([both.get(name) or both[_bare(name)] for name in ANGLES], np.float64)


def _bare(name: str) -> str:
    return name.removeprefix("left_").removeprefix("right_")


_RANGES: Float64 = np.stack([_ranges(wanted) for _, wanted in _POSES.values()])


def mirrored(angles: Float64) -> Float64:
    """Return the mirror image of a pose, (A,) degrees: sides swapped, left turns right."""
    left, right = angles[_N_TRUNK : _N_TRUNK + _N_SIDE], angles[_N_TRUNK + _N_SIDE :]
    flipped = np.concatenate([angles[:_N_TRUNK], right, left])
    flipped[_SIDEWAYS] *= -1
    return flipped


def draw_pose(rng: np.random.Generator) -> tuple[str, Float64]:
    """Draw a pose.

    Parameters
    ----------
    rng : numpy.random.Generator
        Three calls of it are used.

    Returns
    -------
    name : str
        One of `POSES`.
    angles : (A,) float64
        Degrees in the order of `ANGLES`, each within `LOW` and `HIGH`.
    """
    which = int(np.searchsorted(_ODDS, rng.random(), side="right"))
    low, high = _RANGES[which].T
    angles = low + rng.random(len(ANGLES)) * (high - low)
    # Who leans forward keeps the legs where they are, else everybody would be about to fall.
    angles[_HIP_RAISE] += angles[_AT["pitch"]]
    if rng.random() < 0.5:
        angles = mirrored(angles)
    return POSES[which], np.clip(angles, LOW, HIGH)
