"""A synthetic body: its proportions, and where its joints are in a pose.

Body axes: x to the person's left, y up, z to the front, in cm, the origin between the hips. Sides are stacked in the
order left, right; whatever is computed for the left is mirrored for the right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

#: Conjugation with the mirror ``diag(-1, 1, 1)``: a rotation of the left side becomes that of the right.
_MIRROR: Float64 = np.array([[1, -1, -1], [-1, 1, 1], [-1, 1, 1]], np.float64)
_SIDES: Float64 = np.array([[1.0], [-1.0]])
#: Nose, eyes, ears in the head's axes, for a head of size 1.
_FACE: Float64 = np.array([[0, -1.5, 9.8], [3.3, 2, 8.2], [-3.3, 2, 8.2], [8.6, 0, -0.5], [-8.6, 0, -0.5]], np.float64)


@dataclass(frozen=True)
class Body:
    """The proportions of one person, in cm.

    Parameters
    ----------
    stature : float
        Height when standing.
    upper_arm, forearm, hand, thigh, shank, foot : float
        Lengths.
    ankle : float
        Height of the ankle above the sole.
    shoulder, hip : float
        Half the distance between the joints of both sides.
    spine, neck : float
        From the pelvis to the line of the shoulders, from there to the centre of the head.
    head : float
        Size of the head, 1 for one that is 15 cm wide.
    girth : float
        How thick everything is, 1 for an average adult.
    """

    stature: float
    upper_arm: float
    forearm: float
    hand: float
    thigh: float
    shank: float
    foot: float
    ankle: float
    shoulder: float
    hip: float
    spine: float
    neck: float
    head: float
    girth: float


def draw_body(rng: np.random.Generator) -> Body:
    """Draw an adult or, one time in five, a child, with a larger head and shorter legs."""
    u = rng.random(14)
    child = u[0] < 0.2
    stature = 95 + 55 * u[1] if child else 155 + 35 * u[1]
    young = float(np.clip((165 - stature) / 70, 0, 1)) if child else 0.0
    vary = 0.95 + 0.1 * u[2:]
    head = 1.15 * (1 - 0.14 * young) * vary[0]
    legs = 1 - 0.08 * young
    thigh, shank, ankle = (stature * legs * part * v for part, v in zip((0.245, 0.246, 0.042), vary[1:4], strict=True))
    # What the legs and the head leave: the spine takes the rest of the stature.
    neck = 0.052 * stature * vary[4] + 8.5 * head
    spine = max(stature - thigh - shank - ankle - neck - 11.5 * head, 0.2 * stature)
    return Body(
        stature=stature,
        upper_arm=0.175 * stature * vary[5],
        forearm=0.15 * stature * vary[6],
        hand=0.075 * stature,
        thigh=thigh,
        shank=shank,
        foot=0.125 * stature,
        ankle=ankle,
        shoulder=0.108 * stature * vary[7],
        hip=0.058 * stature * vary[8],
        spine=spine,
        neck=neck,
        head=head,
        girth=(0.85 + 0.4 * u[13]) * stature / 172,
    )


class Figure(NamedTuple):
    """A body in a pose: points in cm and axes (columns x, y, z) in the frame of the given orientation.

    Attributes
    ----------
    joints : (17, 3) float64
        In the order of COCO.
    hands, toes, heels : (2, 3) float64
        Tips of the hands and feet, and the heels; left, right.
    pelvis, chest, head : (3,) float64
        Origin, middle of the shoulders, centre of the head.
    pelvis_axes, chest_axes, head_axes : (3, 3) float64
        Which way those face.
    """

    joints: Float64
    hands: Float64
    toes: Float64
    heels: Float64
    pelvis: Float64
    chest: Float64
    head: Float64
    pelvis_axes: Float64
    chest_axes: Float64
    head_axes: Float64


def turns(axis: int, degrees: Float64 | float) -> Float64:
    """Return rotations about x, y or z (0, 1, 2), (..., 3, 3), for angles (...)."""
    radians = np.deg2rad(np.asarray(degrees, np.float64))
    c, s = np.cos(radians), np.sin(radians)
    j, k = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.zeros((*radians.shape, 3, 3))
    matrix[..., axis, axis] = 1
    matrix[..., j, j], matrix[..., k, k] = c, c
    matrix[..., j, k], matrix[..., k, j] = -s, s
    return matrix


def pose_body(body: Body, angles: Float64, orientation: Float64) -> Figure:
    """Put a body into a pose.

    Parameters
    ----------
    body : Body
        Its proportions.
    angles : (A,) float64
        Degrees, see `spmdata.sources.synthetic_poses.ANGLES`.
    orientation : (3, 3) float64
        Turns the upright body's axes into those of the result.

    Returns
    -------
    Figure
        With the pelvis at the origin.
    """
    pitch, roll, bend, side, twist, nod, tilt, look = angles[:8].tolist()
    pelvis = orientation @ turns(0, pitch) @ turns(2, -roll)
    half = turns(1, twist / 2) @ turns(2, -side / 2) @ turns(0, bend / 2)
    lower, chest = pelvis @ half, pelvis @ half @ half
    head = chest @ turns(1, look) @ turns(2, -tilt) @ turns(0, nod)
    chest_at = lower[:, 1] * (0.4 * body.spine) + chest[:, 1] * (0.6 * body.spine)
    head_at = chest_at + chest[:, 1] * (0.35 * body.neck) + head[:, 1] * (0.65 * body.neck)
    shoulders, elbows, wrists, hands = _arms(body, angles[8:].reshape(2, 9), chest, chest_at)
    hips, knees, ankles, toes, heels = _legs(body, angles[8:].reshape(2, 9), pelvis)
    face = head_at + body.head * _FACE @ head.T
    joints = np.concatenate([face, shoulders, elbows, wrists, hips, knees, ankles])
    return Figure(joints, hands, toes, heels, np.zeros(3), chest_at, head_at, pelvis, chest, head)


def _both(left: Float64) -> Float64:
    """Turn rotations (2, 3, 3) of two left sides into those of the left and the right one."""
    left[1] *= _MIRROR
    return left


def _arms(body: Body, angles: Float64, chest: Float64, chest_at: Float64) -> tuple[Float64, ...]:
    plane, up, twist, elbow = angles[:, :4].T
    upper = chest @ _both(turns(1, -plane) @ turns(2, up) @ turns(1, plane - twist))
    fore = upper @ turns(0, -elbow)
    shoulders = chest_at + _SIDES * (body.shoulder * chest[:, 0])
    elbows = shoulders - body.upper_arm * upper[:, :, 1]
    wrists = elbows - body.forearm * fore[:, :, 1]
    return shoulders, elbows, wrists, wrists - body.hand * fore[:, :, 1]


def _legs(body: Body, angles: Float64, pelvis: Float64) -> tuple[Float64, ...]:
    up, out, twist, knee, ankle = angles[:, 4:].T
    thigh = pelvis @ _both(turns(0, -up) @ turns(2, out) @ turns(1, twist))
    shank = thigh @ turns(0, knee)
    foot = shank @ turns(0, ankle)
    hips = _SIDES * (body.hip * pelvis[:, 0])
    knees = hips - body.thigh * thigh[:, :, 1]
    ankles = knees - body.shank * shank[:, :, 1]
    soles = ankles - 0.6 * body.ankle * foot[:, :, 1]
    return hips, knees, ankles, soles + 0.72 * body.foot * foot[:, :, 2], soles - 0.2 * body.foot * foot[:, :, 2]
