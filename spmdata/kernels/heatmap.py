"""Where persons are: the Gaussians round their roots, and the regions that say nothing.

Letters: H, W cells; p person, k joint, v row, u column. float64 throughout, float32 in the maps.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spmdata.kernels.apart import BELLS, HEATMAP, read, whole_blocks, write
from spmdata.kernels.jit import jit_lean
from spmdata.kernels.links import to_cell
from spmdata.kernels.rules import Rules
from spmdata.kernels.tables import Links, Rows
from spmdata.kernels.zeros import zero


@jit_lean
def bell(x: float, denominator: float, first: int, last: int, values: NDArray[np.float64]) -> None:
    """Fill values[first:last + 1] with ``exp(-(u - x)^2 / denominator)``, from the cell nearest x outwards.

    Each value is the one before times a factor that itself shrinks by a constant factor: three exponentials instead of
    one a cell. All factors are at most 1, the error grows with the square of the distance: 1e-12 at 128 cells.
    """
    centre = math.floor(x + 0.5)
    shrink = math.exp(-2 / denominator)
    for side in (-1, 1):
        value = math.exp(-(centre - x) * (centre - x) / denominator)
        factor = math.exp(-(1 + 2 * side * (centre - x)) / denominator)
        for u in range(centre, last + 1 if side > 0 else first - 1, side):
            values[u] = value
            value *= factor
            factor *= shrink


@jit_lean
def draw_roots(
    heatmap: NDArray[np.float32],
    people: int,
    links: Links,
    rules: Rules,
    boxes: NDArray[np.int32],
    bells: NDArray[np.float64],
) -> None:
    """Overwrite ``heatmap`` (H, W) with the maximum of the persons' Gaussians, 0 beyond ``rules.heat_cut``.

    The last of a person's boxes (P, K + 2, 4) takes what is drawn, on a map that is empty already. bells (3, H or W,
    the larger) is scratch.
    """
    (height, width), remember = heatmap.shape, len(boxes) > 0
    if not remember:
        zero(heatmap)
    reach = math.sqrt(rules.heat_cut) + 1.0 if rules.heat_cut < 1e12 else 1e6
    across, down, away = bells[0], bells[1], bells[2]
    roots, drawn, cut = links.roots, links.drawn, rules.heat_cut
    for p in range(people):
        if remember:
            boxes[p, -1, 1] = -1
        if not drawn[p]:
            continue
        x, y = roots[p, 0], roots[p, 1]
        left, right = max(0, math.ceil(x - reach)), min(width - 1, math.floor(x + reach))
        top, bottom = max(0, math.ceil(y - reach)), min(height - 1, math.floor(y + reach))
        if remember:
            boxes[p, -1, 0], boxes[p, -1, 1], boxes[p, -1, 2], boxes[p, -1, 3] = top, bottom, left, right
        bell(x, rules.heat_denominator, left, right, across)
        bell(y, rules.heat_denominator, top, bottom, down)
        start, end = whole_blocks(left, right, 8, width)  # beyond the reach is 0
        for u in range(np.uint64(start), np.uint64(end)):
            away[u] = (np.float64(np.int64(u)) - x) * (np.float64(np.int64(u)) - x)
        for v in range(top, bottom + 1):
            dv2, height_v = (v - y) * (v - y), down[v]
            for u in range(np.uint64(start), np.uint64(end)):
                value = np.float32(
                    height_v * read(bells, 0, u, BELLS) if read(bells, 2, u, BELLS) + dv2 <= cut else 0.0
                )
                write(heatmap, v, u, max(read(heatmap, v, u, HEATMAP), value), HEATMAP)


@jit_lean
def draw_ignore(
    ignore: NDArray[np.uint8], heatmap: NDArray[np.float32], people: Rows, n: int, rules: Rules, fresh: bool
) -> bool:
    """Overwrite ``ignore`` (H, W): 1 in the boxes of crowds and unlabelled persons where the stored heatmap is 0.

    A cell lies in a box when its centre does: ``x - 0.5 <= px < x + w - 0.5``. Unless ``fresh``, the map is empty
    already. Return whether there are such boxes.
    """
    (height, width), used = heatmap.shape, False
    if fresh:
        zero(ignore)
    for p in range(people.number[n]):
        labelled = False
        for k in range(people.visible.shape[2]):
            labelled |= people.visible[n, p, k] > 0
        if labelled and not people.ignore[n, p]:
            continue
        used, bbox = True, people.bbox
        x, y, w, h = bbox[n, p, 0], bbox[n, p, 1], bbox[n, p, 2], bbox[n, p, 3]
        x0, x1 = to_cell(np.float64(x) - 0.5, rules), to_cell(np.float64(x) + np.float64(w) - 0.5, rules)
        y0, y1 = to_cell(np.float64(y) - 0.5, rules), to_cell(np.float64(y) + np.float64(h) - 0.5, rules)
        for v in range(max(0, math.ceil(y0)), min(height, math.ceil(y1))):
            for u in range(max(0, math.ceil(x0)), min(width, math.ceil(x1))):
                if heatmap[v, u] <= rules.heat_nothing:
                    ignore[v, u] = 1
    return used
