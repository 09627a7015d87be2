"""The arrays that kernels hand to each other, as tuples of arrays.

Letters: N rows, P people (padded), K joints, D axes, H, W cells.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Tree(NamedTuple):
    """parents (K,), -1 for the root; order (K,), parents first; rooted (K,): the joints whose mean is the root."""

    parents: NDArray[np.int64]
    order: NDArray[np.int64]
    rooted: NDArray[np.bool_]


class Rows(NamedTuple):
    """People of N rows; the first number (N,) of each are there.

    joints (N, P, K, D) in input px (z in cm), visible (N, P, K), bbox (N, P, 4), ignore (N, P); f_px (N,) focal
    lengths, read where somebody has depth.
    """

    number: NDArray[np.int64]
    joints: NDArray[np.float32]
    visible: NDArray[np.uint8]
    bbox: NDArray[np.float32]
    ignore: NDArray[np.bool_]
    f_px: NDArray[np.float64]


class Maps(NamedTuple):
    """Maps of N rows: heatmap and ignore (N, H, W), offsets (N, K, D, H, W), count (N, K, H, W).

    root_depth (N, 1, 1, H, W), like the offsets of one joint, and count_z (N, K, H, W) have H = W = 0 in 2D.
    """

    heatmap: NDArray[np.float32]
    offsets: NDArray[np.float32]
    count: NDArray[np.uint8]  # type: ignore[assignment]  # hides tuple.count
    ignore: NDArray[np.uint8]
    root_depth: NDArray[np.float32]
    count_z: NDArray[np.uint8]


class Links(NamedTuple):
    """What is drawn of one row's people, and round which points; joint K is the root's own depth.

    roots (P, 3): (x, y) in cells and z in cm; drawn (P,): in the targets at all; anchors (P, K + 1, 2) in cells,
    clamped to cell centres of the map; tips (P, K + 1, 3): (x, y) in cells where a TOWARDS vector points or the
    CONSTANT itself, and dz in cm; modes (P, K + 1).

    Of the person looked at, with the root in place K: at (K + 1, 3), where what hangs from a joint starts, in cells and
    cm; here (K + 1,), the joint is labelled; led (K + 1,), it or one above is; leading (K,), under STAY, one below is.
    """

    roots: NDArray[np.float64]
    drawn: NDArray[np.bool_]
    anchors: NDArray[np.float64]
    tips: NDArray[np.float64]
    modes: NDArray[np.uint8]
    at: NDArray[np.float64]
    here: NDArray[np.bool_]
    led: NDArray[np.bool_]
    leading: NDArray[np.bool_]


def new_links(people: int, joints: int) -> Links:
    """Return room for the links of that many people: `links.place_roots` and `links.resolve` fill it."""
    return Links(
        np.empty((people, 3), np.float64),
        np.empty(people, np.bool_),
        np.empty((people, joints + 1, 2), np.float64),
        np.empty((people, joints + 1, 3), np.float64),
        np.empty((people, joints + 1), np.uint8),
        np.empty((joints + 1, 3), np.float64),
        np.empty(joints + 1, np.bool_),
        np.empty(joints + 1, np.bool_),
        np.zeros(joints, np.bool_),
    )
