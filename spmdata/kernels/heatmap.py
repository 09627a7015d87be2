"""Where persons are: root points, their Gaussians, and the regions that say nothing.

Letters: p person, k joint, v row, u column of cells. Points are (x, y); float64 throughout, float32 in the maps.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spmdata.kernels.jit import jit
from spmdata.kernels.rules import ROOT_BBOX, ROOT_JOINT, ROOT_TORSO, Rules


@jit
def root_points(
    joints: NDArray[np.float32],
    visible: NDArray[np.uint8],
    bbox: NDArray[np.float32],
    ignore: NDArray[np.bool_],
    torso: NDArray[np.bool_],
    rules: Rules,
    height: int,
    width: int,
    roots: NDArray[np.float64],
    drawn: NDArray[np.bool_],
) -> None:
    """Fill ``roots`` (P, 2) in cells and ``drawn`` (P,): labelled, not ignored, root on the map.

    joints (P, K, 2) in input px; visible (P, K); bbox (P, 4) in pixel-edge units; torso (K,).
    """
    for p in range(len(joints)):
        only_torso = False
        if rules.root_rule == ROOT_TORSO:
            for k in range(joints.shape[1]):
                only_torso |= torso[k] and visible[p, k] > 0
        x, y, n = 0.0, 0.0, 0
        labelled = False
        for k in range(joints.shape[1]):
            if visible[p, k] > 0:
                labelled = True
                if (not only_torso or torso[k]) and (rules.root_rule != ROOT_JOINT or k == rules.root_joint):
                    x += np.float64(joints[p, k, 0])
                    y += np.float64(joints[p, k, 1])
                    n += 1
        if rules.root_rule == ROOT_JOINT and n == 0:
            # The chosen joint is not labelled: fall back on the mean, as the torso rule does.
            for k in range(joints.shape[1]):
                if visible[p, k] > 0:
                    x += np.float64(joints[p, k, 0])
                    y += np.float64(joints[p, k, 1])
                    n += 1
        if rules.root_rule == ROOT_BBOX:
            x = np.float64(bbox[p, 0]) + np.float64(bbox[p, 2]) / 2 - 0.5
            y = np.float64(bbox[p, 1]) + np.float64(bbox[p, 3]) / 2 - 0.5
        elif n > 0:
            x /= n
            y /= n
        x = (x - rules.origin_px) / rules.stride
        y = (y - rules.origin_px) / rules.stride
        roots[p, 0], roots[p, 1] = x, y
        on_map = 0 <= math.floor(x + 0.5) < width and 0 <= math.floor(y + 0.5) < height
        drawn[p] = labelled and not ignore[p] and on_map


@jit
def draw_roots(
    heatmap: NDArray[np.float32], roots: NDArray[np.float64], drawn: NDArray[np.bool_], rules: Rules
) -> None:
    """Overwrite ``heatmap`` (H, W) with the maximum of the persons' Gaussians, 0 beyond ``rules.heat_cut``."""
    height, width = heatmap.shape
    heatmap[:] = 0
    reach = math.sqrt(rules.heat_cut) + 1.0 if rules.heat_cut < 1e12 else 1e6
    across = np.empty(width, np.float64)
    for p in range(len(roots)):
        if not drawn[p]:
            continue
        x, y = roots[p, 0], roots[p, 1]
        u0, u1 = max(0, math.ceil(x - reach)), min(width - 1, math.floor(x + reach))
        v0, v1 = max(0, math.ceil(y - reach)), min(height - 1, math.floor(y + reach))
        for u in range(u0, u1 + 1):
            across[u] = math.exp(-(u - x) * (u - x) / rules.heat_denominator)
        for v in range(v0, v1 + 1):
            dv2 = (v - y) * (v - y)
            down = math.exp(-dv2 / rules.heat_denominator)
            for u in range(u0, u1 + 1):
                if (u - x) * (u - x) + dv2 <= rules.heat_cut:
                    heatmap[v, u] = max(heatmap[v, u], np.float32(down * across[u]))


@jit
def draw_ignore(
    ignored: NDArray[np.uint8],
    heatmap: NDArray[np.float32],
    visible: NDArray[np.uint8],
    bbox: NDArray[np.float32],
    ignore: NDArray[np.bool_],
    rules: Rules,
) -> None:
    """Overwrite ``ignored`` (H, W): 1 in the boxes of crowds and unlabelled persons where no root is drawn.

    A cell lies in a box when its centre does: ``x - 0.5 <= px < x + w - 0.5``.
    """
    height, width = heatmap.shape
    ignored[:] = 0
    for p in range(len(bbox)):
        labelled = False
        for k in range(visible.shape[1]):
            labelled |= visible[p, k] > 0
        if labelled and not ignore[p]:
            continue
        x0 = (np.float64(bbox[p, 0]) - 0.5 - rules.origin_px) / rules.stride
        y0 = (np.float64(bbox[p, 1]) - 0.5 - rules.origin_px) / rules.stride
        x1 = (np.float64(bbox[p, 0]) + np.float64(bbox[p, 2]) - 0.5 - rules.origin_px) / rules.stride
        y1 = (np.float64(bbox[p, 1]) + np.float64(bbox[p, 3]) - 0.5 - rules.origin_px) / rules.stride
        for v in range(max(0, math.ceil(y0)), min(height, math.ceil(y1))):
            for u in range(max(0, math.ceil(x0)), min(width, math.ceil(x1))):
                if heatmap[v, u] == 0:
                    ignored[v, u] = 1
