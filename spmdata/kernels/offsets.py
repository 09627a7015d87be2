"""Vectors round each joint's parent: one loop for flat and hierarchical, every overlap rule.

Letters: P people, K joints, H, W cells; p person, k joint, v row, u column. Lengths in cells, float64 until stored.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spmdata.kernels.jit import jit
from spmdata.kernels.rules import CONSTANT, DROP, NEAREST, NOTHING, SMALLEST, STAY, TOWARDS, Rules


@jit
def resolve(
    joints: NDArray[np.float32],
    visible: NDArray[np.uint8],
    roots: NDArray[np.float64],
    drawn: NDArray[np.bool_],
    parents: NDArray[np.int64],
    order: NDArray[np.int64],
    rules: Rules,
    height: int,
    width: int,
    anchors: NDArray[np.float64],
    targets: NDArray[np.float64],
    modes: NDArray[np.uint8],
) -> None:
    """Say for every joint what is drawn and round which point.

    Fills anchors (P, K, 2), clamped to cell centres of the map; targets (P, K, 2): where a TOWARDS vector points, or
    the CONSTANT itself; modes (P, K). A labelled joint whose parent is not hangs from its nearest labelled ancestor.
    """
    for p in range(len(joints)):
        # An unlabelled joint is supervised under `stay` only when something labelled hangs below it.
        below = np.zeros(len(parents), np.bool_)
        for i in range(len(order) - 1, -1, -1):
            k = order[i]
            if parents[k] >= 0 and (visible[p, k] > 0 or below[k]):
                below[parents[k]] = True
        for k in range(len(parents)):
            modes[p, k] = NOTHING
            labelled = visible[p, k] > 0
            stays = rules.missing_parent == STAY and not labelled and below[k]
            if not drawn[p] or not (labelled or stays):
                continue
            a = parents[k]
            if rules.missing_parent == DROP and a >= 0 and visible[p, a] == 0:
                continue
            while a >= 0 and visible[p, a] == 0:
                a = parents[a]
            ax, ay = roots[p, 0], roots[p, 1]
            if a >= 0:
                ax = (np.float64(joints[p, a, 0]) - rules.origin_px) / rules.stride
                ay = (np.float64(joints[p, a, 1]) - rules.origin_px) / rules.stride
            x = (np.float64(joints[p, k, 0]) - rules.origin_px) / rules.stride
            y = (np.float64(joints[p, k, 1]) - rules.origin_px) / rules.stride
            if not labelled:
                modes[p, k] = CONSTANT
                targets[p, k, 0], targets[p, k, 1] = 0.0, 0.0
            elif rules.anchor_root and a >= 0:
                modes[p, k] = CONSTANT
                targets[p, k, 0], targets[p, k, 1] = x - ax, y - ay
            else:
                modes[p, k] = TOWARDS
                targets[p, k, 0], targets[p, k, 1] = x, y
            if rules.anchor_root:
                ax, ay = roots[p, 0], roots[p, 1]
            anchors[p, k, 0] = min(max(ax, 0.0), width - 1.0)
            anchors[p, k, 1] = min(max(ay, 0.0), height - 1.0)


@jit
def covers(anchor_x: float, anchor_y: float, u: int, v: int, rules: Rules) -> bool:
    """Return whether cell (u, v) belongs to the neighbourhood of an anchor; its nearest cell always does."""
    du, dv = u - anchor_x, v - anchor_y
    near = max(abs(du), abs(dv)) <= rules.tau if rules.square else du * du + dv * dv <= rules.tau
    return near or (u == math.floor(anchor_x + 0.5) and v == math.floor(anchor_y + 0.5))


@jit
def draw_joint(
    offsets: NDArray[np.float32],
    count: NDArray[np.uint8],
    k: int,
    anchors: NDArray[np.float64],
    targets: NDArray[np.float64],
    modes: NDArray[np.uint8],
    area: NDArray[np.float32],
    rules: Rules,
    total: NDArray[np.float64],
    key: NDArray[np.float64],
    number: NDArray[np.int64],
) -> None:
    """Overwrite joint k's offsets (2, H, W) and count (H, W).

    On a cell the persons of the smallest key are averaged: the key is 0 for everybody under ``mean``, the distance to
    the anchor under ``nearest``, the area under ``smallest``; so exact ties are averaged whatever the rule, and the
    order of people never matters. total (H, W, 2), key and number (H, W) are scratch; number is 0 before and after.
    """
    height, width = count.shape
    offsets[:] = 0  # zeroed plane by plane, so that the plane is still in cache when it is drawn on
    count[:] = 0
    reach = max(rules.tau if rules.square else math.sqrt(rules.tau), 0.5) + 1e-6
    for p in range(len(modes)):
        if modes[p, k] == NOTHING:
            continue
        ax, ay = anchors[p, k, 0], anchors[p, k, 1]
        tx, ty = targets[p, k, 0], targets[p, k, 1]
        towards = 1.0 if modes[p, k] == TOWARDS else 0.0
        for v in range(max(0, math.ceil(ay - reach)), min(height - 1, math.floor(ay + reach)) + 1):
            for u in range(max(0, math.ceil(ax - reach)), min(width - 1, math.floor(ax + reach)) + 1):
                if not covers(ax, ay, u, v, rules):
                    continue
                rank = 0.0
                if rules.overlap == NEAREST:
                    rank = (u - ax) * (u - ax) + (v - ay) * (v - ay)
                elif rules.overlap == SMALLEST:
                    rank = np.float64(area[p])
                if number[v, u] == 0 or rank < key[v, u]:
                    key[v, u], number[v, u] = rank, 0
                    total[v, u, 0], total[v, u, 1] = 0.0, 0.0
                if rank == key[v, u]:
                    number[v, u] += 1
                    total[v, u, 0] += tx - towards * u
                    total[v, u, 1] += ty - towards * v
    for p in range(len(modes)):
        if modes[p, k] == NOTHING:
            continue
        ax, ay = anchors[p, k, 0], anchors[p, k, 1]
        for v in range(max(0, math.ceil(ay - reach)), min(height - 1, math.floor(ay + reach)) + 1):
            for u in range(max(0, math.ceil(ax - reach)), min(width - 1, math.floor(ax + reach)) + 1):
                n = number[v, u]
                if n > 0:
                    offsets[0, v, u] = total[v, u, 0] / (n * rules.norm)
                    offsets[1, v, u] = total[v, u, 1] / (n * rules.norm)
                    count[v, u] = min(n, 255)
                    number[v, u] = 0
