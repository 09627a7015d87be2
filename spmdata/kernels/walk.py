"""Follow the vectors from each root down the tree.

Letters: P people, K joints, D axes, H, W cells; p person, k joint, a parent, v row, u column.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spmdata.kernels.jit import jit_lean
from spmdata.kernels.rules import CM_PER_M


@jit_lean
def clamp_cell(x: float, n: int) -> int:
    """Return the nearest of n cells to a coordinate; 0 for NaN, which a network may produce."""
    if not x > 0:
        return 0
    return n - 1 if x >= n - 1 else math.floor(x + 0.5)


@jit_lean
def walk(
    offsets: NDArray[np.float32],
    count: NDArray[np.uint8],
    cells: NDArray[np.int64],
    z_root: NDArray[np.float64],
    parents: NDArray[np.int64],
    order: NDArray[np.int64],
    anchor_root: bool,
    norm: float,
    stride: float,
    origin_px: float,
    at: NDArray[np.float64],
    joints: NDArray[np.float32],
    visible: NDArray[np.uint8],
) -> None:
    """Fill joints (P, K, D) in input px and cm, and visible (P, K), of the persons whose peaks are ``cells`` (P, 2).

    Each joint's map (D, H, W) of ``offsets`` (K, D, H, W) is read at the cell nearest its parent's estimate, or at
    the peak when anchors are roots. ``count`` (K, H, W) says what is supervised; (0, 0, 0) when it is not known.
    z_root (P,) in cm is where the third axis starts.
    """
    height, width = offsets.shape[2], offsets.shape[3]
    known, deep = len(count) > 0, offsets.shape[1] == 3
    for i in range(len(order)):
        k = order[i]
        a = parents[k]
        for p in range(len(cells)):
            u, v = cells[p, 0], cells[p, 1]
            x, y, z = float(u), float(v), z_root[p]
            if a >= 0:
                x, y, z = at[p, a, 0], at[p, a, 1], at[p, a, 2]
                if not anchor_root:
                    u, v = clamp_cell(x, width), clamp_cell(y, height)
                    x, y = float(u), float(v)
            at[p, k, 0] = x + norm * np.float64(offsets[k, 0, v, u])
            at[p, k, 1] = y + norm * np.float64(offsets[k, 1, v, u])
            joints[p, k, 0] = at[p, k, 0] * stride + origin_px
            joints[p, k, 1] = at[p, k, 1] * stride + origin_px
            if deep:
                at[p, k, 2] = z + CM_PER_M * np.float64(offsets[k, 2, v, u])
                joints[p, k, 2] = at[p, k, 2]
            visible[p, k] = 1 if not known or count[k, v, u] > 0 else 0
