"""The maps as tensors: what the network gives and what it is compared with.

Letters: B rows of a batch; K joints; D axes; H, W cells; Z the norm of the offsets.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

#: Joints are in cm, the third axis of their offsets in m.
CM_PER_M = 100.0


class Maps(NamedTuple):
    """One stage's output."""

    root_heatmap: Tensor  #: (B, H, W) float
    offsets: Tensor  #: (B, K, D, H, W) float, divided by Z as they are stored; the third axis in m
    root_depth: Tensor | None = None  #: (B, H, W) float, 3D: depth of the root in cm over the focal length in px


class TargetMaps(NamedTuple):
    """What a batch of outputs is compared with: the stored targets."""

    root_heatmap: Tensor  #: (B, H, W) float32
    offsets: Tensor  #: (B, K, D, H, W) float32, divided by Z; the third axis in m
    count: Tensor  # type: ignore[assignment]  #: (B, K, H, W) uint8, people averaged in a cell; 0 = unsupervised
    ignore: Tensor  #: (B, H, W) uint8, 1 = the heatmap's loss is off
    root_depth: Tensor | None = None  #: (B, H, W) float32, 3D: as in `Maps`; 0 = none
    count_z: Tensor | None = None  #: (B, K, H, W) uint8, 3D: people with depth averaged in a cell
