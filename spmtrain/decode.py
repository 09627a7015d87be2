"""Maps to people for a whole batch on the device: the same definition as the numba codec, without a loop over people.

Peaks by running maxima, ties broken in scan order; then one gather a level of the tree (Nie et al. 2019, section 3).
Nothing waits for the device and no shape depends on values, so that decoding can be captured as a CUDA graph
(`spmtrain.replay`). On a GPU it should cost what its 50 (flat) to 85 launches (COCO's tree) do, 0.2 to 0.35 ms; the
heatmaps, read some ten times, take 10 us. Measured on an H200, 32 rows: 2 to 3 ms, and 0.3 to 0.4 as a graph, less than
0.01 of the forward pass.

Letters: B rows; M most people; K joints; D axes; H, W cells; Z the norm of the offsets.
"""

from __future__ import annotations

from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spmdata import padded
from spmdata.errors import SpecError
from spmdata.geometry import cell_origin_px
from spmdata.people import People
from spmdata.skeleton import ROOT
from spmdata.spec import TargetSpec
from spmtrain.maps import CM_PER_M, Maps, TargetMaps


class Decoded(NamedTuple):
    """`spmdata.padded.Decoded` as tensors: people of B rows, best first, padded with zeros."""

    number: Tensor  #: (B,) int64
    joints: Tensor  #: (B, M, K, D) float32 input px, and cm for z
    visible: Tensor  #: (B, M, K) uint8, 1; 0 where the targets' count says that nothing was encoded
    score: Tensor  #: (B, M) float32
    has_depth: Tensor  #: (B, M) bool, the maps hold a depth at the peak
    cells: Tensor  #: (B, M, 2) int64, the peak as (u, v)

    def people(self) -> list[People]:
        """Return each row's people."""
        return padded.Decoded(*(t.cpu().numpy() for t in self)).people()


class BatchDecoder(nn.Module):
    """Decode maps by a spec; equal to `spmdata.codec.Codec.decode_batch` on float32 maps.

    A module only so that ``.to(device)`` moves its constants; it has no weights and gives no gradients.

    Parameters
    ----------
    spec : TargetSpec
        Of the maps; nms, max_people and threshold are read here.
    """

    order: Tensor  #: (K,) joints by level
    place: Tensor  #: (K,) where each of them finds its parent in the level before
    back: Tensor  #: (K,) where in the order each joint stands
    scale: Tensor  #: (D,) what a vector is multiplied by: Z, and cm a metre
    step: Tensor  #: (D,) input px a cell, and 1 for z
    origin: Tensor  #: (D,) input px of the first cell, and 0 for z

    def __init__(self, spec: TargetSpec) -> None:
        super().__init__()
        self.spec = spec
        tree, levels, z = spec.tree, spec.tree.levels(), spec.dims - 2
        order = tree.order()
        peers = {level: [k for k in order if levels[k] == level] for level in sorted(set(levels))}
        place = [0 if tree.parents[k] == ROOT else peers[levels[k] - 1].index(tree.parents[k]) for k in order]
        #: Joints of each level.
        self._sizes = [len(joints) for joints in peers.values()]
        constants = {
            "order": torch.tensor(order),
            "place": torch.tensor(place),
            "back": torch.tensor(order).argsort(),
            "scale": torch.tensor([spec.norm_cell] * 2 + [CM_PER_M] * z, dtype=torch.float64),
            "step": torch.tensor([spec.stride] * 2 + [1] * z, dtype=torch.float64),
            "origin": torch.tensor([cell_origin_px(spec.stride)] * 2 + [0] * z, dtype=torch.float64),
        }
        for name, constant in constants.items():
            self.register_buffer(name, constant, persistent=False)

    @torch.no_grad()
    def forward(self, maps: Maps | TargetMaps, f_px: Tensor | None = None) -> Decoded:
        """Return the people of B rows.

        Parameters
        ----------
        maps : Maps or TargetMaps
            ``root_heatmap`` (B, H, W) and ``offsets`` (B, K, D, H, W), any float dtype and memory format, on the device
            of this module; ``count``, of targets, says which joints are visible; 3D takes ``root_depth`` too.
        f_px : Tensor, (B,) float64
            3D: the focal lengths that root_depth is multiplied by, ``sqrt(|det K[:2, :2]|)`` of the cameras.

        Raises
        ------
        SpecError
            3D without root_depth or f_px.
        """
        number, cells, score = self._peaks(maps.root_heatmap.float())
        has_depth, roots = torch.zeros_like(score, dtype=torch.bool), cells.double()
        there = torch.arange(score.shape[1], device=score.device) < number[:, None]
        if self.spec.dims == 3:
            if maps.root_depth is None or f_px is None:
                raise SpecError("people in 3D take root_depth and f_px, the focal length of each row")
            row = torch.arange(len(cells), device=cells.device)[:, None]
            depth = maps.root_depth[row, cells[..., 1], cells[..., 0]]
            has_depth = (depth > 0) & there
            roots = torch.cat([roots, (depth.double() * f_px[:, None])[..., None]], -1)
        joints, visible = self._walk(maps, cells, roots)
        joints = torch.where(there[..., None, None], joints * self.step + self.origin, 0).float()
        return Decoded(number, joints, visible * there[..., None], score, has_depth, cells)

    def _peaks(self, heatmap: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return number (B,), cells (B, M, 2) int64 as (u, v) and score (B, M)."""
        spec, (B, _, W) = self.spec, heatmap.shape
        value = self._maxima(torch.where(heatmap >= spec.threshold, heatmap, 0))
        # No two peaks share a tile as wide as half a window and its middle: a few candidates stand for all cells.
        side = spec.nms // 2 + 1
        value, index = F.max_pool2d(value[:, None], side, side, ceil_mode=True, return_indices=True)
        # Floats above 0 are ordered as their bits are; below them, the first in scan order is the greatest.
        key = (value.view(torch.int32).long() << 32) + (2**32 - 1 - index)
        key = key.view(B, -1)
        key = key.topk(min(spec.max_people, key.shape[1])).values
        key = F.pad(key, (0, spec.max_people - key.shape[1]))
        score = (key >> 32).int().view(torch.float32)
        found = score > 0
        index = torch.where(found, 2**32 - 1 - (key & (2**32 - 1)), 0)
        return found.sum(1), torch.stack([index % W, index // W], -1), score

    def _maxima(self, value: Tensor) -> Tensor:
        """Return values (B, H, W) of at least 0 where none in the window is greater or equal and before it; else 0."""
        half, (_, H, W) = self.spec.nms // 2, value.shape
        if not half:
            return value
        padded = F.pad(value, (half, half, half, half))
        runs = _running_max(padded, 2, half)
        left, right = runs[..., :W], runs[..., half + 1 :]
        rows = torch.maximum(torch.maximum(left, right), padded[..., half : half + W])
        runs = _running_max(rows, 1, half)
        before = torch.maximum(runs[:, :H], left[:, half : half + H])
        after = torch.maximum(runs[:, half + 1 :], right[:, half : half + H])
        return torch.where((value > before) & (value >= after), value, 0)

    def _walk(self, maps: Maps | TargetMaps, cells: Tensor, roots: Tensor) -> tuple[Tensor, Tensor]:
        """Return joints (B, M, K, D) float64 in cells and cm, and visible (B, M, K) uint8.

        From the peaks' cells (B, M, 2) int64 and the roots (B, M, D) on them.
        """
        (B, K, _, H, W), begin = maps.offsets.shape, 0
        count = maps.count if isinstance(maps, TargetMaps) else None
        row = torch.arange(B, device=cells.device)[:, None, None]
        at, u, v = roots[:, :, None], cells[..., None, 0], cells[..., None, 1]
        joints, counts = [], []
        for size in self._sizes:
            k, parent = self.order[begin : begin + size], self.place[begin : begin + size]
            at = at.index_select(2, parent)
            if begin and self.spec.anchor == "parent":
                # NaN, which a network may produce, reads cell 0 as in the kernel.
                near = at[..., :2].nan_to_num(0.0) + 0.5
                u, v = (near[..., axis].clamp(0, n - 0.5).floor().long() for axis, n in enumerate((W, H)))
                at = torch.cat([torch.stack([u, v], -1).double(), at[..., 2:]], -1)
            at = at + maps.offsets[row, k, :, v, u].double() * self.scale
            joints.append(at)
            counts += [] if count is None else [count[row, k, v, u]]
            begin += size
        visible = cells.new_ones((B, cells.shape[1], K), dtype=torch.uint8)
        if counts:
            visible = (torch.cat(counts, 2).index_select(2, self.back) > 0).to(torch.uint8)
        return torch.cat(joints, 2).index_select(2, self.back), visible


def _running_max(value: Tensor, dim: int, length: int) -> Tensor:
    """Return the maximum of every `length` neighbours along a dimension."""
    n = value.shape[dim] - length + 1
    return reduce(torch.maximum, (value.narrow(dim, i, n) for i in range(length)))
