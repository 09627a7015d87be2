"""What a round trip does to depth: people compared in the camera's frame, in cm.

Letters: P people, K joints, D axes; m errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from spmdata.camera import Camera
from spmdata.codec import Reads
from spmdata.geometry import Affine
from spmdata.people import People

#: An unprojection is nearly linear within the box of rounding, not quite; and Newton's method stops this near (cm).
NEARLY, NEWTON_CM = 1.001, 1e-6


@dataclass(frozen=True)
class DepthComparison:
    """What the round trip did to the depth of one row's people.

    Parameters
    ----------
    camera : Camera or None
        Of the original image.
    people, lost : int
        Persons with depth in the targets; those of them who come back without.
    reads, mixed : (K + 1,) int64
        Depths read by perfect walks of persons with depth, by joint and at last the root's own; those that another
        person's depth may be mixed into.
    joint : (m,) int64
        Joint of every error.
    error_cm : (m,) float64
        Distance between encoded and decoded joint in the camera's frame.
    bound_cm : (m,) float64
        What rounding allows where nothing collides.
    clear : (m,) bool
        Nothing collided on the way to this joint, nor where the root's depth is read.
    """

    camera: Camera | None
    people: int
    lost: int
    reads: NDArray[np.int64]
    mixed: NDArray[np.int64]
    joint: NDArray[np.int64]
    error_cm: NDArray[np.float64]
    bound_cm: NDArray[np.float64]
    clear: NDArray[np.bool_]


def compare_depth(
    people: People,
    found: People,
    decoded_of: NDArray[np.int64],
    reads: Reads,
    bounds: NDArray[np.float64],
    affine: Affine,
    camera: Camera | None,
) -> DepthComparison:
    """Compare the people of one row with what their maps decoded to.

    Parameters
    ----------
    people, found : People
        Encoded and decoded, in input px and cm.
    decoded_of : (P,) int64
        The decoded person of each encoded one; -1 for none.
    reads : Reads
        Of the encoded people.
    bounds : (P, K, 3) float64
        What rounding allows each joint along each axis, input px and cm.
    affine : Affine
        From original to input px.
    camera : Camera or None
        Of the input; None where nobody has depth.
    """
    deep = people.has_depth & reads.drawn
    back = decoded_of >= 0
    returned = deep & back & found.has_depth[decoded_of] if len(found) else np.zeros_like(deep)
    read = np.concatenate([reads.read, reads.drawn[:, None]], axis=1)[deep]
    p, k = np.nonzero(people.labelled & returned[:, None] & reads.read)
    error, bound = np.empty(0), np.empty(0)
    if camera is not None and len(p):
        box = people.joints[p, k] + np.array(list(product((-1, 1), repeat=3)))[:, None] * bounds[p, k]
        points = np.concatenate([people.joints[p, k][None], found.joints[decoded_of[p], k][None], box])
        there, here, *corners = camera.rays(points[..., :2]) * points[..., 2:]
        error = np.linalg.norm(here - there, axis=-1)
        bound = np.linalg.norm(np.array(corners) - there, axis=-1).max(axis=0) * NEARLY + NEWTON_CM
    return DepthComparison(
        camera=None if camera is None else camera.transform(affine.inverse()),
        people=int(deep.sum()),
        lost=int((deep & back & ~returned).sum()),
        reads=read.sum(axis=0),
        mixed=(reads.mixed[deep] & read).sum(axis=0),
        joint=k,
        error_cm=error,
        bound_cm=bound,
        clear=~reads.path[p, k] & ~reads.mixed[p, -1],
    )
