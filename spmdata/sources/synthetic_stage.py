"""Who stands where: the camera, and people put in front of it in space so that they fill the image as wanted.

The camera's axes: x to the right, y down, z away from it, cm.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spmdata.camera import Camera
from spmdata.sources.synthetic_body import Body, Figure, draw_body, pose_body, turns
from spmdata.sources.synthetic_config import Synthetic
from spmdata.sources.synthetic_look import Look, draw_look
from spmdata.sources.synthetic_parts import Part, body_parts
from spmdata.sources.synthetic_poses import draw_pose

Float64 = NDArray[np.float64]

#: Body axes to camera axes for somebody who faces the camera.
_FACING: Float64 = np.diag([1.0, -1.0, -1.0])
#: Free strip between a whole person and the border, over the image's height.
_MARGIN = 0.02


class Actor(NamedTuple):
    """A person on the stage.

    Attributes
    ----------
    body : Body
        Its proportions.
    pose : str
        Name of the pose.
    angles : (A,) float64
        Degrees.
    figure : Figure
        Relative to ``at``, in the camera's axes.
    look : Look
        What it wears.
    parts : list of Part
        Relative to ``at``.
    points, radii : (N, 3) and (N,) float64
        Those of the parts, one after the other.
    at : (3,) float64
        Its pelvis, cm.
    box : (4,) float64
        Left, top, right, bottom of its outline, px from the image's left and upper edges, inside the image or not.
    occluded : bool
        Whether a thing shall be put in front.
    """

    body: Body
    pose: str
    angles: Float64
    figure: Figure
    look: Look
    parts: list[Part]
    points: Float64
    radii: Float64
    at: Float64
    box: Float64
    occluded: bool


class Stage(NamedTuple):
    """Camera, row of the horizon (px) and actors in the order in which they were put there."""

    camera: Camera
    horizon_px: float
    actors: list[Actor]


def set_stage(config: Synthetic, rng: np.random.Generator, n_people: int) -> Stage:
    """Draw the camera and everybody.

    Parameters
    ----------
    config : Synthetic
        What it shall be like.
    rng : numpy.random.Generator
        Of the row.
    n_people : int
        How many.

    Returns
    -------
    Stage
    """
    height, width = config.size_hw
    u = rng.random(4)
    focal = height * (1.1 + u[0])
    intrinsics = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    camera = Camera(intrinsics, np.zeros(5), np.eye(3), np.zeros(3))
    horizon, eye_cm = height * (0.2 + 0.3 * u[1]), 90 + 80 * u[2]
    tilt = _FACING @ turns(0, -5 + 17 * u[3])
    actors: list[Actor] = []
    for _ in range(n_people):
        actors.append(_put(_draw_actor(config, rng, tilt, focal), actors, config, rng, intrinsics, (horizon, eye_cm)))
    return Stage(camera, horizon, actors)


def project(points_cm: Float64, intrinsics: Float64) -> Float64:
    """Project points (..., 3) in the camera's axes to px (..., 2)."""
    xy: Float64 = points_cm[..., :2] * (intrinsics[0, 0] / points_cm[..., 2:]) + intrinsics[:2, 2]
    return xy


def _draw_actor(config: Synthetic, rng: np.random.Generator, tilt: Float64, focal: float) -> Actor:
    """Draw somebody, as far away as the scale says, on the camera's axis."""
    body, (pose, angles), look = draw_body(rng), draw_pose(rng), draw_look(rng)
    u = rng.random(4)
    # Most people look at the camera, more or less; some show their back.
    yaw = float(np.clip(rng.normal(0, 38), -75, 75)) if u[0] < 0.82 else 180 + 120 * (u[1] - 0.5)
    figure = pose_body(body, angles, tilt @ turns(1, yaw))
    scale = config.scale[0] + u[2] * (config.scale[1] - config.scale[0])
    at = np.array([0, 0, focal * body.stature / (scale * config.size_hw[0])])
    occluded = bool(u[3] < config.occlusion)
    parts = body_parts(body, figure, look)
    points = np.array([point for part in parts for point in part.points])
    radii = np.array([radius for part in parts for radius in part.radii])
    return Actor(body, pose, angles, figure, look, parts, points, radii, at, np.zeros(4), occluded)


def _put(
    actor: Actor,
    others: list[Actor],
    config: Synthetic,
    rng: np.random.Generator,
    intrinsics: Float64,
    ground: tuple[float, float],
) -> Actor:
    """Move somebody to a place in the image."""
    height, width = config.size_hw
    points, radii = actor.points, actor.radii
    cut, jump = rng.random() < config.truncation, 0.12 * rng.random() if actor.pose == "jump" else 0.0
    at, margin = actor.at.copy(), _MARGIN * height
    box = _outline(points + at, radii, intrinsics)
    if not cut:
        fit = max((box[2] - box[0]) / (width - 2 * margin), (box[3] - box[1]) / (height - 2 * margin))
        at[2] *= max(1.0, 1.05 * fit)
        box = _outline(points + at, radii, intrinsics)
    size = box[2:] - box[:2]
    foot = ground[0] + intrinsics[0, 0] * ground[1] / at[2] - jump * height
    centre = np.array([_find_room(size[0], others, config, rng), foot - size[1] / 2])
    nearest = margin + size / 2
    centre = np.clip(centre, nearest, np.maximum(np.array([width, height]) - nearest, nearest))
    if cut:
        centre = _cut_by_border(centre, size, config, rng)
    for _ in range(2):  # perspective: who is moved sideways is seen from another side
        at[:2] += (centre - (box[:2] + box[2:]) / 2) * at[2] / intrinsics[0, 0]
        box = _outline(points + at, radii, intrinsics)
    return actor._replace(at=at, box=box)


def _outline(points: Float64, radii: Float64, intrinsics: Float64) -> Float64:
    """Left, top, right, bottom of discs in space, px from the image's left and upper edges."""
    xy = project(points, intrinsics) + 0.5
    reach = (intrinsics[0, 0] * radii / points[:, 2])[:, None]
    return np.concatenate([(xy - reach).min(0), (xy + reach).max(0)])


def _find_room(size_px: float, others: list[Actor], config: Synthetic, rng: np.random.Generator) -> float:
    """Return where to stand, px from the left: against somebody, or the emptiest of a few places."""
    width = config.size_hw[1]
    if others and rng.random() < config.crowding:
        u = rng.random(3)
        box = others[int(u[0] * len(others))].box
        apart = (0.25 + 0.5 * u[1]) * (size_px + box[2] - box[0]) / 2
        # Towards the middle of the image, else the border would push it back onto the other.
        centre = float(box[0] + box[2]) / 2
        return centre + math.copysign(apart, width / 2 - centre if u[2] < 0.8 else centre - width / 2)
    places = (rng.random(6) * max(width - size_px, 0) + size_px / 2).tolist()
    if not others:
        return float(places[0])

    def overlap(place: float) -> float:
        low, high = place - size_px / 2, place + size_px / 2
        return sum(max(0.0, min(high, float(o.box[2])) - max(low, float(o.box[0]))) for o in others)

    return float(min(places, key=overlap))


def _cut_by_border(centre: Float64, size: Float64, config: Synthetic, rng: np.random.Generator) -> Float64:
    """Move a box so that a tenth to half of it lies beyond the left, right or, most often, lower border."""
    u = rng.random(2)
    share = 0.1 + 0.4 * u[1]
    height, width = config.size_hw
    if u[0] < 0.5:
        return np.array([centre[0], height + (share - 0.5) * size[1]])
    return np.array([(0.5 - share) * size[0] if u[0] < 0.75 else width + (share - 0.5) * size[0], centre[1]])
