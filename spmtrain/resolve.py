"""What is drawn of everybody in a batch, and round which point, on the device: points only, no maps.

Float64 from float32 joints, as in the kernels; sums are exact in any order while every labelled coordinate is 0 or
above 2^-14 px.

Letters: N rows; P most people of a row; K joints; D axes; H, W cells.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spmdata.geometry import cell_origin_px
from spmdata.padded import PeopleBatch
from spmdata.skeleton import ROOT
from spmdata.spec import TargetSpec
from spmtrain.maps import CM_PER_M


class PeopleTensors(NamedTuple):
    """The columns of `PeopleBatch` that targets depend on, on a device; beyond ``number`` anything finite."""

    number: Tensor  #: (N,) int64
    joints: Tensor  #: (N, P, K, D) float32 input px, and cm for z
    visible: Tensor  #: (N, P, K) uint8
    area: Tensor  #: (N, P) float32 px squared
    bbox: Tensor  #: (N, P, 4) float32 xywh in pixel-edge units
    ignore: Tensor  #: (N, P) bool
    has_depth: Tensor  #: (N, P) bool

    @staticmethod
    def of(people: PeopleBatch, device: str | torch.device = "cpu") -> PeopleTensors:
        """Return padded tables on a device; on the CPU they share the arrays' memory, but for ``number``."""
        columns = [getattr(people, name) for name in PeopleTensors._fields[1:]]
        number = people.number.astype(np.int64)  # torch compares few unsigned types
        return PeopleTensors(*(torch.from_numpy(column).to(device) for column in (number, *columns)))


class Points(NamedTuple):
    """What is drawn; points in cells, float64."""

    roots: Tensor  #: (N, P, 2); 0 where not drawn
    z_root: Tensor  #: (N, P) cm, 0 in 2D
    drawn: Tensor  #: (N, P) bool: labelled, no crowd, root on the map
    regions: Tensor  #: (N, P) bool: crowds and people without labelled joints
    anchors: Tensor  #: (N, P, A, 2) clamped to the map; A is 1 where all joints have the same, else K
    on: Tensor  #: (N, P, K) bool: the joint has vectors
    towards: Tensor  #: (N, P, K) bool: they are ``tip - cell``, else ``tip``
    tips: Tensor  #: (N, P, K, 2)
    dz: Tensor  #: (N, P, K) m from the ancestor that x and y hang from; 0 in 2D


class Resolver(nn.Module):
    """Say what is drawn by a spec; equal to the kernels' ``root_points`` and ``resolve``.

    Parameters
    ----------
    spec : TargetSpec
        Every convention.
    """

    limit: Tensor  #: (2,) the last cell as (u, v)
    averaged: Tensor  #: (K,) bool: joints whose mean is the root, when one of them is labelled
    parents: Tensor  #: (K,) int64, K for the root
    nearness: Tensor  #: (K, K + 1) int16: the greater, the nearer an ancestor of a joint; 0: none; column K: the root

    def __init__(self, spec: TargetSpec) -> None:
        super().__init__()
        self.spec = spec
        tree, K, (H, W) = spec.tree, len(spec.skeleton), spec.map_hw
        averaged = {"mean": range(K), "bbox": range(K), "torso": tree.torso}
        chosen = averaged[spec.root] if spec.root in averaged else [tree.joints.index(spec.root)]
        levels, nearness = tree.levels(), torch.zeros((K, K + 1), dtype=torch.int16)
        nearness[:, K] = 1
        for k in range(K):
            at = tree.parents[k]
            while at != ROOT:
                nearness[k, at], at = levels[at] + 1, tree.parents[at]
        constants = {
            "limit": torch.tensor([W - 1, H - 1], dtype=torch.float64),
            "averaged": torch.tensor([k in chosen for k in range(K)]),
            "parents": torch.tensor([K if a == ROOT else a for a in tree.parents]),
            "nearness": nearness,
        }
        for name, constant in constants.items():
            self.register_buffer(name, constant, persistent=False)
        self._shared = spec.anchor == "root" or all(a == ROOT for a in tree.parents)

    def forward(self, people: PeopleTensors) -> Points:
        """Return what is drawn of N rows of people."""
        spec, K = self.spec, len(self.spec.skeleton)
        there = torch.arange(people.visible.shape[1], device=people.visible.device) < people.number[:, None]
        labelled = (people.visible > 0) & there[..., None]
        someone = labelled.any(-1)
        roots = self._roots(people, labelled)
        nearest = (roots[..., :2] + 0.5).floor()
        drawn = someone & ~people.ignore & ((nearest >= 0) & (nearest <= self.limit)).all(-1)
        roots = torch.where(drawn[..., None], roots, 0)
        points = torch.cat([self._to_cells(people.joints.double()), roots[:, :, None]], 2)
        # The nearest labelled ancestor of every joint; the root, K, is always there.
        ancestor = torch.where(F.pad(labelled, (0, 1), value=True)[:, :, None], self.nearness, 0).argmax(-1)
        hung = points.gather(2, ancestor[..., None].expand(-1, -1, -1, spec.dims))
        on = labelled
        if spec.missing_parent == "stay":
            on = on | (labelled.float() @ (self.nearness[:, :K] > 0).float() > 0)  # something labelled hangs below
        if spec.missing_parent == "drop":
            on = on & (ancestor == self.parents)
        towards = labelled & (ancestor == K) if spec.anchor == "root" else labelled
        step = points[:, :, :K] - hung
        tips = torch.where(towards[..., None], points[:, :, :K, :2], step[..., :2])
        anchors = roots[:, :, None] if self._shared else hung
        return Points(
            roots[..., :2],
            roots[..., 2:].sum(-1),
            drawn,
            regions=there & (people.ignore | ~someone),
            anchors=self.clamp(anchors[..., :2]),
            on=on & drawn[..., None],
            towards=towards,
            tips=torch.where(labelled[..., None], tips, 0),
            dz=torch.where(labelled, step[..., 2:].sum(-1) / CM_PER_M, 0),
        )

    def clamp(self, points: Tensor) -> Tensor:
        """Return the points of the map nearest to points (..., 2)."""
        return torch.minimum(points.clamp(min=0), self.limit)

    def _to_cells(self, points: Tensor) -> Tensor:
        """Return points (..., D), their x and y turned from input px into cells."""
        xy = (points[..., :2] - cell_origin_px(self.spec.stride)) / self.spec.stride
        return torch.cat([xy, points[..., 2:]], -1)

    def _roots(self, people: PeopleTensors, labelled: Tensor) -> Tensor:
        """Return roots (N, P, D) in cells, and cm for z."""
        chosen = labelled & self.averaged
        chosen = torch.where(chosen.any(-1, keepdim=True), chosen, labelled)
        total = torch.where(chosen[..., None], people.joints.double(), 0).sum(2)
        mean = total / chosen.sum(-1, keepdim=True).clamp(min=1)
        if self.spec.root == "bbox":
            bbox = people.bbox.double()
            mean = torch.cat([bbox[..., :2] + bbox[..., 2:] / 2 - 0.5, mean[..., 2:]], -1)
        return self._to_cells(mean)
