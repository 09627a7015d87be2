"""The loss: squared error of the root heatmap, L1 of the offsets, summed over stages (Nie et al. 2019, section 3.3).

Letters: B rows of a batch; S stages; K joints; D axes; H, W cells; Z the norm of the offsets; beta their weight.

``paper``: sums over cells, means over rows::

    root    = 1/B * sum over cells without ignore of (C - C*)^2
    offsets = 1/B * sum over cells with count > 0 of |D - D*|

``mean``: the same errors over what is supervised in the batch, so that neither term depends on sigma, tau or how many
people there are::

    root    = sum of (C - C*)^2 / max(sum of C*^2, pi sigma^2 / 2)      1 for a network that sees nothing
    offsets = sum of Z * |D - D*| / (D * number of cells with count > 0)    cells an axis

``pi sigma^2 / 2`` is the energy ``sum of C*^2`` of one lone person, so the first denominator counts people, less
where they overlap or are cut by the border, and at least one.
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
    """What one batch costs."""

    total: Tensor  #: () to descend: sum over stages of root + beta * offsets
    root: Tensor  #: (S,) detached
    offsets: Tensor  #: (S,) detached, before beta


class Loss:
    """The loss of one spec and config.

    Parameters
    ----------
    spec : TargetSpec
        Gives Z and the Gaussian's width.
    config : TrainConfig
        Gives ``loss_norm`` and beta.
    """

    def __init__(self, spec: TargetSpec, config: TrainConfig) -> None:
        self.form = config.loss_norm
        self.beta = config.offset_weight
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
            distance = (stage.offsets.float() - targets.offsets).abs()
            offsets.append(torch.where(supervised, distance, zero).sum() / offset_unit)
        root, offset = torch.stack(roots), torch.stack(offsets)
        return LossTerms((root + self.beta * offset).sum(), root.detach(), offset.detach())

    def _units(
        self, targets: TargetMaps, background: Tensor, supervised: Tensor
    ) -> tuple[Tensor | float, Tensor | float]:
        """Return what the sums of root and offset errors are divided by."""
        rows, dims = targets.offsets.shape[0], targets.offsets.shape[2]
        if self.form == "paper":
            return rows, rows
        energy = (targets.root_heatmap.square() * background).sum()
        cells = supervised.sum().clamp(min=1)
        return energy.clamp(min=self.person_energy), cells * (dims / self.norm_cell)
