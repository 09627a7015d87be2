"""Whole batches in one call: a numba call with many arrays costs microseconds, a row of targets not much more.

Letters: N rows, P people (padded), K joints, H, W cells; n row, p person, k joint.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spmdata.kernels.heatmap import draw_ignore, draw_roots, root_points
from spmdata.kernels.jit import jit
from spmdata.kernels.offsets import draw_joint, resolve
from spmdata.kernels.peaks import find_peaks
from spmdata.kernels.reads import collide
from spmdata.kernels.rules import NOTHING, Rules
from spmdata.kernels.walk import walk


@jit
def encode_rows(
    joints: NDArray[np.float32],
    visible: NDArray[np.uint8],
    area: NDArray[np.float32],
    bbox: NDArray[np.float32],
    ignore: NDArray[np.bool_],
    number: NDArray[np.int64],
    torso: NDArray[np.bool_],
    parents: NDArray[np.int64],
    order: NDArray[np.int64],
    rules: Rules,
    heatmap: NDArray[np.float32],
    offsets: NDArray[np.float32],
    count: NDArray[np.uint8],
    ignored: NDArray[np.uint8],
) -> None:
    """Overwrite heatmap (N, H, W), offsets (N, K, 2, H, W), count (N, K, H, W), ignored (N, H, W).

    joints (N, P, K, 2) in input px, visible (N, P, K), area (N, P), bbox (N, P, 4), ignore (N, P); number (N,) people.
    """
    height, width = heatmap.shape[1], heatmap.shape[2]
    most, k_all = joints.shape[1], joints.shape[2]
    roots, drawn = np.empty((most, 2), np.float64), np.empty(most, np.bool_)
    anchors, targets = np.empty((most, k_all, 2), np.float64), np.empty((most, k_all, 2), np.float64)
    modes = np.empty((most, k_all), np.uint8)
    total, key = np.empty((height, width, 2), np.float64), np.empty((height, width), np.float64)
    covering = np.zeros((height, width), np.int64)
    for n in range(len(joints)):
        p = number[n]
        root_points(
            *(joints[n, :p], visible[n, :p], bbox[n, :p], ignore[n, :p], torso, rules, height, width),
            *(roots[:p], drawn[:p]),
        )
        draw_roots(heatmap[n], roots[:p], drawn[:p], rules)
        draw_ignore(ignored[n], heatmap[n], visible[n, :p], bbox[n, :p], ignore[n, :p], rules)
        resolve(
            *(joints[n, :p], visible[n, :p], roots[:p], drawn[:p], parents, order, rules, height, width),
            *(anchors[:p], targets[:p], modes[:p]),
        )
        for k in range(k_all):
            draw_joint(
                *(offsets[n, k], count[n, k], k, anchors[:p], targets[:p], modes[:p], area[n, :p], rules),
                *(total, key, covering),
            )


@jit
def decode_rows(
    heatmap: NDArray[np.float32],
    offsets: NDArray[np.float32],
    count: NDArray[np.uint8],
    parents: NDArray[np.int64],
    order: NDArray[np.int64],
    rules: Rules,
    threshold: float,
    nms: int,
    cells: NDArray[np.int64],
    scores: NDArray[np.float32],
    joints: NDArray[np.float32],
    visible: NDArray[np.uint8],
    number: NDArray[np.int64],
) -> None:
    """Fill number (N,), cells (N, M, 2), scores (N, M), joints (N, M, K, 2) in input px and visible (N, M, K).

    ``count`` may be (N, 0, 0, 0): then every decoded joint is visible.
    """
    for n in range(len(heatmap)):
        p = find_peaks(heatmap[n], threshold, nms, cells[n], scores[n])
        number[n] = p
        walk(offsets[n], count[n], cells[n, :p], parents, order, rules, joints[n], visible[n])


@jit
def collide_rows(
    joints: NDArray[np.float32],
    visible: NDArray[np.uint8],
    bbox: NDArray[np.float32],
    ignore: NDArray[np.bool_],
    torso: NDArray[np.bool_],
    parents: NDArray[np.int64],
    order: NDArray[np.int64],
    rules: Rules,
    height: int,
    width: int,
    slack: float,
    roots: NDArray[np.float64],
    drawn: NDArray[np.bool_],
    supervised: NDArray[np.bool_],
    cells: NDArray[np.int64],
    read: NDArray[np.bool_],
    direct: NDArray[np.bool_],
    path: NDArray[np.bool_],
) -> None:
    """Fill roots (P, 2) in cells, drawn (P,), supervised (P, K), and what `collide` fills, for one image."""
    p, k_all = joints.shape[0], joints.shape[1]
    anchors, targets = np.zeros((p, k_all, 2), np.float64), np.zeros((p, k_all, 2), np.float64)
    modes = np.zeros((p, k_all), np.uint8)
    root_points(joints, visible, bbox, ignore, torso, rules, height, width, roots, drawn)
    resolve(joints, visible, roots, drawn, parents, order, rules, height, width, anchors, targets, modes)
    for i in range(p):
        for k in range(k_all):
            supervised[i, k] = modes[i, k] != NOTHING
    collide(
        *(visible, roots, drawn, parents, order, anchors, targets, modes, rules, height, width, slack),
        *(cells, read, direct, path),
    )
