"""Maps to people for a whole batch on the device: the same definition as the numba codec, without a loop over people.

Peaks by max-pooling, ties broken in scan order; then one gather a level of the tree (Nie et al. 2019, section 3).

Letters: B rows; M most people; K joints; H, W cells; Z the norm of the offsets; C candidates for peaks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from spmdata.geometry import cell_origin_px
from spmdata.people import People
from spmdata.spec import TargetSpec
from spmtrain.maps import Maps


class Decoded(NamedTuple):
    """People of a batch, padded with zeros; the first ``number`` of each row are people, best first."""

    joints: Tensor  #: (B, M, K, 2) float32 input px
    scores: Tensor  #: (B, M) float32
    number: Tensor  #: (B,) int64

    def people(self) -> list[People]:
        """Return each row's people; every joint is visible = 1."""
        joints, scores = self.joints.cpu().numpy(), self.scores.cpu().numpy()
        return [
            People.of(joints[i, :n], np.ones(joints[i, :n].shape[:2], np.uint8), score=scores[i, :n])
            for i, n in enumerate(self.number.tolist())
        ]


class BatchDecoder:
    """Decode maps by a spec; equal to `spmdata.codec.Codec.decode_batch` on float32 maps.

    Parameters
    ----------
    spec : TargetSpec
        Of the maps; nms, max_people and threshold are read here.
    """

    def __init__(self, spec: TargetSpec) -> None:
        self.spec = spec
        tree = spec.tree
        levels = tree.levels()
        #: For each level of the tree its joints and their parents.
        self._levels = [
            (
                [k for k in tree.order() if levels[k] == level],
                [tree.parents[k] for k in tree.order() if levels[k] == level],
            )
            for level in sorted(set(levels))
        ]

    def __call__(self, maps: Maps) -> Decoded:
        """Return the people of B rows.

        Parameters
        ----------
        maps : Maps
            ``root_heatmap`` (B, H, W) and ``offsets`` (B, K, 2, H, W), any float dtype, on any device.
        """
        cells, scores, number = self._peaks(maps.root_heatmap.float())
        joints = self._walk(maps.offsets.float(), cells) * self.spec.stride + cell_origin_px(self.spec.stride)
        there = torch.arange(scores.shape[1], device=scores.device) < number[:, None]
        return Decoded((joints * there[..., None, None]).float(), scores * there, number)

    def _peaks(self, heatmap: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return cells (B, M, 2) int64 as (u, v), scores (B, M), number (B,)."""
        spec, B, device = self.spec, len(heatmap), heatmap.device
        half = spec.nms // 2
        # Separable: a row of maxima, then their maxima; -inf pads what lies off the map.
        pooled = F.max_pool2d(heatmap[:, None], (1, spec.nms), 1, (0, half))
        pooled = F.max_pool2d(pooled, (spec.nms, 1), 1, (half, 0))[:, 0]
        b, v, u = torch.nonzero((heatmap == pooled) & (heatmap >= spec.threshold), as_tuple=True)
        first = self._is_first(heatmap, b, v, u)
        b, v, u = b[first], v[first], u[first]
        values = heatmap[b, v, u]
        # By row, then by value; candidates stand in scan order, which stable sorts keep.
        order = torch.argsort(values, descending=True, stable=True)
        order = order[torch.argsort(b[order], stable=True)]
        b, v, u, values = b[order], v[order], u[order], values[order]
        found = torch.bincount(b, minlength=B)
        rank = torch.arange(len(b), device=device) - (torch.cumsum(found, 0) - found)[b]
        kept = rank < spec.max_people
        cells = torch.zeros((B, spec.max_people, 2), dtype=torch.int64, device=device)
        scores = torch.zeros((B, spec.max_people), device=device)
        cells[b[kept], rank[kept]] = torch.stack((u, v), -1)[kept]
        scores[b[kept], rank[kept]] = values[kept]
        return cells, scores, found.clamp(max=spec.max_people)

    def _is_first(self, heatmap: Tensor, b: Tensor, v: Tensor, u: Tensor) -> Tensor:
        """Return which candidates (C,) have no equal cell of their window before them in scan order."""
        half, W = self.spec.nms // 2, heatmap.shape[2]
        first = torch.ones_like(b, dtype=torch.bool)
        for dv in range(-half, 1):
            for du in range(-half, half + 1 if dv < 0 else 0):
                y, x = v + dv, u + du
                inside = (y >= 0) & (x >= 0) & (x < W)
                equal = heatmap[b, y.clamp(0), x.clamp(0, W - 1)] == heatmap[b, v, u]
                first &= ~(inside & equal)
        return first

    def _walk(self, offsets: Tensor, cells: Tensor) -> Tensor:
        """Return joints (B, M, K, 2) float64 in cells, from the peaks' cells (B, M, 2)."""
        spec, (B, K, _, H, W) = self.spec, offsets.shape
        flat = offsets.reshape(B, K, 2, H * W)
        root = cells.double()[:, :, None]  # (B, M, 1, 2)
        limit = torch.tensor([W - 1, H - 1], device=cells.device)
        joints = torch.zeros((B, cells.shape[1], K, 2), dtype=torch.float64, device=cells.device)
        for level, (children, parents) in enumerate(self._levels):
            stand = root.expand(-1, -1, len(children), -1) if level == 0 else joints[:, :, parents]
            read = root.expand_as(stand) if spec.anchor == "root" else stand
            # NaN, which a network may produce, reads cell 0 as in the kernel.
            cell = torch.minimum((read.nan_to_num(0.0) + 0.5).floor().clamp(min=0).clamp(max=2**31).long(), limit)
            index = (cell[..., 1] * W + cell[..., 0]).permute(0, 2, 1)  # (B, children, M)
            vectors = flat[:, children].gather(-1, index[:, :, None].expand(-1, -1, 2, -1))
            base = stand if spec.anchor == "root" else cell.double()
            joints[:, :, children] = base + spec.norm_cell * vectors.permute(0, 3, 1, 2).double()
        return joints
