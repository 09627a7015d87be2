"""The loss: squared error of the root heatmap, L1 of the offsets, summed over stages (Nie et al. 2019, section 3.3).

In 3D also L1 of depth: of the offsets' third axis, and of the root's own.

Letters: B rows of a batch; S stages; K joints; H, W cells; Z the norm of the offsets; beta, beta_depth weights.

``paper``: sums over cells, means over rows::

    root       = 1/B * sum over cells without ignore of (C - C*)^2
    offsets    = 1/B * sum over cells with count > 0 of |D - D*|                            x and y
    offsets_z  = 1/B * sum over cells with count_z > 0 of |D - D*|                          z
    root_depth = 1/B * sum over cells with R* > 0 of |R - R*|

``mean``: the same errors over what is supervised in the batch, so that no term depends on sigma, tau or how many
people there are::

    root       = sum of (C - C*)^2 / max(sum of C*^2, pi sigma^2 / 2)      1 for a network that sees nothing
    offsets    = sum of Z * |D - D*| / (2 * number of cells with count > 0)   cells an axis
    offsets_z  = sum of |D - D*| / number of cells with count_z > 0           m
    root_depth = sum of |R - R*| / sum of R*                                  share of the distance

``pi sigma^2 / 2`` is the energy ``sum of C*^2`` of one lone person, so the first denominator counts people, less
where they overlap or are cut by the border, and at least one. How depth is normalised and weighted is ours: the
paper's own way is not known to us.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from spmdata.spec import TargetSpec
from spmtrain.config import TrainConfig
from spmtrain.maps import Maps, TargetMaps


class LossTerms(NamedTuple):
    """What one batch costs; terms are detached and before their weights."""

    total: Tensor  #: () to descend: sum over stages of root + beta * offsets + beta_depth * (offsets_z + root_depth)
    root: Tensor  #: (S,)
    offsets: Tensor  #: (S,)
    offsets_z: Tensor  #: (S,), 0 in 2D
    root_depth: Tensor  #: (S,), 0 in 2D


class Loss:
    """The loss of one spec and config.

    Parameters
    ----------
    spec : TargetSpec
        Gives Z and the Gaussian's width.
    config : TrainConfig
        Gives ``loss_norm`` and the weights.
    """

    def __init__(self, spec: TargetSpec, config: TrainConfig) -> None:
        self.form = config.loss_norm
        self.beta, self.beta_depth = config.offset_weight, config.depth_weight
        self.norm_cell = spec.norm_cell
        self.person_energy = math.pi * spec.gaussian_denominator / 2

    def __call__(self, stages: Sequence[Maps], targets: TargetMaps) -> LossTerms:
        """Compare every stage with the targets.

        Parameters
        ----------
        stages : sequence of Maps, S
            The network's outputs.
        targets : TargetMaps
            Of the same rows and map size.

        Returns
        -------
        LossTerms
            Float32 tensors on the maps' device.
        """
        background, supervised = targets.ignore == 0, targets.count[:, :, None] > 0
        root_unit, offset_unit = self._units(targets, background, supervised)
        zero = targets.root_heatmap.new_zeros(())
        roots, offsets = [], []
        for stage in stages:
            square = (stage.root_heatmap.float() - targets.root_heatmap).square()
            roots.append(torch.where(background, square, zero).sum() / root_unit)
            distance = (stage.offsets[:, :, :2].float() - targets.offsets[:, :, :2]).abs()
            offsets.append(torch.where(supervised, distance, zero).sum() / offset_unit)
        root, offset = torch.stack(roots), torch.stack(offsets)
        step, depth = self._depth(stages, targets)
        total = (root + self.beta * offset + self.beta_depth * (step + depth)).sum()
        return LossTerms(total, root.detach(), offset.detach(), step.detach(), depth.detach())

    def _units(
        self, targets: TargetMaps, background: Tensor, supervised: Tensor
    ) -> tuple[Tensor | float, Tensor | float]:
        """Return what the sums of root and offset errors are divided by."""
        rows = len(targets.offsets)
        if self.form == "paper":
            return rows, rows
        energy = (targets.root_heatmap.square() * background).sum()
        cells = supervised.sum().clamp(min=1)
        return energy.clamp(min=self.person_energy), cells * (2 / self.norm_cell)

    def _depth(self, stages: Sequence[Maps], targets: TargetMaps) -> tuple[Tensor, Tensor]:
        """Return the errors of every stage's depth, (S,) each: of the offsets' third axis, and of the root."""
        steps, depths = [], []
        if targets.root_depth is None or targets.count_z is None:
            nothing = targets.root_heatmap.new_zeros(len(stages))
            return nothing, nothing
        supervised, known = targets.count_z > 0, targets.root_depth > 0
        step_unit: Tensor | float = len(targets.offsets)
        depth_unit = step_unit
        if self.form == "mean":
            step_unit = supervised.sum().clamp(min=1)
            depth_unit = targets.root_depth.sum().clamp(min=torch.finfo(torch.float32).tiny)
        zero = targets.root_heatmap.new_zeros(())
        for stage in stages:
            assert stage.root_depth is not None  # a network of the same spec has the branch
            off = (stage.offsets[:, :, 2].float() - targets.offsets[:, :, 2]).abs()
            steps.append(torch.where(supervised, off, zero).sum() / step_unit)
            off = (stage.root_depth.float() - targets.root_depth).abs()
            depths.append(torch.where(known, off, zero).sum() / depth_unit)
        return torch.stack(steps), torch.stack(depths)
