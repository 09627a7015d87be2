"""One synthetic image with its labels: staged, drawn back to front, and read off what was drawn.

Letters: P people, A angles, H and W px.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from spmdata.camera import Camera
from spmdata.people import People
from spmdata.sources.synthetic_backdrop import draw_backdrop, draw_clutter, draw_obstacle
from spmdata.sources.synthetic_body import Body
from spmdata.sources.synthetic_config import Synthetic
from spmdata.sources.synthetic_labels import SPAN, Drawn, read_people
from spmdata.sources.synthetic_look import plain
from spmdata.sources.synthetic_paint import Canvas
from spmdata.sources.synthetic_stage import Actor, Stage, project, set_stage

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

#: Ids of a row's people are ``row * ID_STEP`` plus 1, 2, 3...
ID_STEP = 100
#: Edge of the tile of noise that is laid over every image.
_TILE_PX = 256


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything about one row; people are in the order in which they were put there.

    Parameters
    ----------
    pixels : (H, W, 3) uint8
        RGB.
    people : People
        Labels, D = 2, px.
    camera : Camera
        Projects the joints.
    joints_cm : (P, 17, 3) float64
        In the camera's axes, those outside the image too.
    masks : (P, H, W) bool
        Whole silhouettes, as if nothing were in front.
    poses : tuple of str, (P,)
        Names.
    angles : (P, A) float64
        Degrees, see `spmdata.sources.synthetic_poses.ANGLES`.
    bodies : tuple of Body, (P,)
        Proportions.
    """

    pixels: NDArray[np.uint8]
    people: People
    camera: Camera
    joints_cm: Float64
    masks: NDArray[np.bool_]
    poses: tuple[str, ...]
    angles: Float64
    bodies: tuple[Body, ...]


def scene(config: Synthetic, index: int) -> Scene:
    """Draw one row; a pure function of its arguments, whatever was drawn before and wherever.

    Parameters
    ----------
    config : Synthetic
        The data set; ``rows`` does not matter.
    index : int
        Row, at least 0.

    Returns
    -------
    Scene
    """
    rng = config.generator(index)
    n_people = int(config.n_people(index, index + 1)[0])
    stage = set_stage(config, rng, n_people)
    pixels, drawn, top = _draw(config, rng, stage)
    actors = stage.actors
    return Scene(
        pixels=pixels,
        people=read_people(drawn, top, index * ID_STEP + 1),
        camera=stage.camera,
        joints_cm=np.stack([d.joints_cm for d in drawn]) if drawn else np.zeros((0, 17, 3)),
        masks=np.stack([d.own > 0 for d in drawn]) if drawn else np.zeros((0, *config.size_hw), np.bool_),
        poses=tuple(a.pose for a in actors),
        angles=np.stack([a.angles for a in actors]) if actors else np.zeros((0, 26)),
        bodies=tuple(a.body for a in actors),
    )


def _draw(
    config: Synthetic, rng: np.random.Generator, stage: Stage
) -> tuple[NDArray[np.uint8], list[Drawn], NDArray[np.int32]]:
    """Return the image, everybody as drawn, and whose part is on top of each pixel."""
    height, _ = config.size_hw
    angle = 2 * np.pi * rng.random()
    light = float(0.25 * np.cos(angle)), float(0.25 * np.sin(angle))
    canvas = Canvas(draw_backdrop(rng, config.size_hw, stage.horizon_px), 0.3 + 0.0045 * height, light)
    draw_clutter(rng, canvas)
    top = np.zeros(config.size_hw, np.int32)
    drawn: dict[int, Drawn] = {}
    for p in sorted(range(len(stage.actors)), key=lambda p: -float(stage.actors[p].at[2])):
        actor = stage.actors[p]
        if actor.pose == "sit":
            _draw_seat(canvas, actor, stage.camera)
        drawn[p] = _draw_person(canvas, actor, stage.camera)
        mask = drawn[p].own > 0
        top[mask] = drawn[p].own[mask].astype(np.int32) + SPAN * (p + 1)
        if actor.occluded:
            thing = np.zeros(config.size_hw, np.uint8)
            draw_obstacle(rng, canvas, actor.box, thing)
            top[thing > 0] = 0
    return _develop(rng, canvas), [drawn[p] for p in range(len(drawn))], top


def _draw_person(canvas: Canvas, actor: Actor, camera: Camera) -> Drawn:
    """Paint the parts of a person far to near."""
    own = np.zeros(canvas.pixels.shape[1:], np.uint8)
    points, parts = actor.points + actor.at, actor.parts
    xy = project(points, camera.K).tolist()
    per_cm = camera.K[0, 0] / points[:, 2]
    radii = (per_cm * actor.radii).tolist()
    n_points = [len(part.points) for part in parts]
    first = np.cumsum([0, *n_points])[:-1]
    nearer = np.array([part.nearer for part in parts])
    far_to_near = np.argsort(nearer - np.add.reduceat(points[:, 2], first) / n_points, kind="stable").tolist()
    order: dict[int, int] = {}
    for when, i in enumerate(far_to_near):
        part, at = parts[i], int(first[i])
        order[part.tag] = when
        period = part.cloth.period_cm * float(per_cm[at])
        if n_points[i] == 2:
            ends = radii[at], radii[at + 1]
            canvas.limb(xy[at], xy[at + 1], ends, part.cloth, period=period, tag=part.tag, own=own)
        else:
            canvas.panel(xy[at : at + 4], radii[at], part.cloth, period=period, tag=part.tag, own=own)
    joints = actor.figure.joints + actor.at
    return Drawn(joints, project(joints, camera.K), own, order)


def _draw_seat(canvas: Canvas, actor: Actor, camera: Camera) -> None:
    """Paint a block below somebody who sits, behind its legs."""
    scale = float(camera.K[0, 0] / actor.at[2])
    x, y = project(actor.at, camera.K).tolist()
    half, foot = 19 * actor.body.girth * scale, float(project(actor.figure.heels + actor.at, camera.K)[:, 1].max())
    low = max(foot, y + 15 * scale)
    ring = [[x - half, y + 8 * scale], [x + half, y + 8 * scale], [x + half, low], [x - half, low]]
    colour = actor.look.shoes.colour * np.float32(0.5) + np.float32(50)
    canvas.panel(ring, 1.5, plain(colour), own=np.zeros(canvas.pixels.shape[1:], np.uint8))


@lru_cache(maxsize=1)
def _noise() -> Float32:
    """Return a tile of unit noise: drawing it anew for each image would cost more than the people."""
    rng = np.random.Generator(np.random.Philox(0))
    tile = rng.standard_normal((3, _TILE_PX, _TILE_PX), np.float32) * np.float32(0.6)
    tile += rng.standard_normal((_TILE_PX, _TILE_PX), np.float32) * np.float32(0.8)
    tile.flags.writeable = False
    return tile


def _develop(rng: np.random.Generator, canvas: Canvas) -> NDArray[np.uint8]:
    """Turn the picture into a photograph: light from one side, exposure, a cast, noise; (H, W, 3) uint8."""
    pixels = canvas.pixels
    _, height, width = pixels.shape
    u = rng.random(8)
    x = np.linspace(-0.6, 0.6, width, dtype=np.float32) * np.float32(canvas.light[0])
    y = np.linspace(-0.6, 0.6, height, dtype=np.float32) * np.float32(canvas.light[1])
    pixels *= (1 + x)[None, None] + y[None, :, None]
    gain = (0.8 + 0.35 * u[0]) * (0.95 + 0.1 * u[1:4])
    pixels *= gain.astype(np.float32)[:, None, None]
    rows = (np.arange(height) + int(_TILE_PX * u[4])) % _TILE_PX
    columns = (np.arange(width) + int(_TILE_PX * u[5])) % _TILE_PX
    pixels += _noise()[:, rows[:, None], columns] * np.float32(1 + 6 * u[6])
    pixels += np.float32(14 * (u[7] - 0.5) + 0.5)
    return np.ascontiguousarray(np.clip(pixels, 0, 255).astype(np.uint8).transpose(1, 2, 0))
