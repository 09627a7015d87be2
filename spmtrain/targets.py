"""People to maps for a whole batch on the device: the same definition as the numba codec, without a loop over people.

Every person's neighbourhoods and Gaussian become static windows of cells, (N, P, K, side, side) entries that are
scattered into the maps, so that only the maps themselves are dense. Points, the tau test and the heatmap's cut are
float64, as in the kernels: ``count`` and ``ignore`` are equal to the cell (Nie et al. 2019, section 3). Sums are exact
in any order while every labelled coordinate is 0 or above 2^-14 px.

What it should cost on a GPU, 32 rows of 128 x 128 cells, 17 joints, P = 10: 71 MB of offsets and 9 MB of count zeroed,
27 us at 3 TB/s; 0.2 M entries of a neighbourhood and 0.3 M of a Gaussian, some 100 bytes each, as much again; and some
hundred launches of 3 to 5 us each, which is the most of it. Nothing waits for the device, shapes depend on the
tables' shapes alone: captured as a CUDA graph the launches shrink too. A compiler that contracts ``a * b + c`` may move
a cell that lies within one rounding of tau. On CPU the result is deterministic; on CUDA where three people or more meet
on a cell, the last bit of their mean is not.

Letters: N rows; P most people of a row; K joints; D axes; H, W cells; Z the norm of the offsets; d a distance.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spmdata.errors import SpecError
from spmdata.geometry import cell_origin_px
from spmdata.padded import PeopleBatch
from spmdata.skeleton import ROOT
from spmdata.spec import TargetSpec
from spmtrain.maps import TargetMaps

#: Entries of windows in memory at once, about 100 bytes each; more are drawn a few rows at a time.
ENTRIES = 2**22


class PeopleTensors(NamedTuple):
    """The columns of `PeopleBatch` that targets depend on, on a device."""

    number: Tensor  #: (N,) int64
    joints: Tensor  #: (N, P, K, D) float32 input px
    visible: Tensor  #: (N, P, K) uint8
    area: Tensor  #: (N, P) float32 px squared
    bbox: Tensor  #: (N, P, 4) float32 xywh in pixel-edge units
    ignore: Tensor  #: (N, P) bool
    has_depth: Tensor  #: (N, P) bool

    @staticmethod
    def of(people: PeopleBatch, device: str | torch.device = "cpu") -> PeopleTensors:
        """Return padded tables on a device; on the CPU they share memory with the arrays."""
        tables = people._replace(number=people.number.astype(np.int64))  # type: ignore[arg-type]  # torch's index dtype
        return PeopleTensors(*(torch.from_numpy(getattr(tables, name)).to(device) for name in PeopleTensors._fields))


class _Points(NamedTuple):
    """What is drawn of n rows' people, in cells, float64."""

    roots: Tensor  #: (n, P, 2); 0 where not drawn
    drawn: Tensor  #: (n, P) bool
    regions: Tensor  #: (n, P) bool, crowds and people without labelled joints
    anchors: Tensor  #: (n, P, A, 2) clamped to the map; A is 1 where all joints have the same, else K
    on: Tensor  #: (n, P, K) bool, the joint has vectors
    towards: Tensor  #: (n, P, K) bool, they are ``tips - cell``, else ``tips``
    tips: Tensor  #: (n, P, K, 2)


class BatchEncoder(nn.Module):
    """Draw targets by a spec; equal to `spmdata.codec.Codec.encode_batch`, floats to 1e-6 (times Z for norm none).

    A module only so that ``.to(device)`` moves its constants; it has no weights and gives no gradients.

    Parameters
    ----------
    spec : TargetSpec
        Every convention.
    """

    limit: Tensor  #: (2,) the last cell as (u, v)
    chosen: Tensor  #: (K,) bool, joints whose mean is the root when one of them is labelled
    parents: Tensor  #: (K,) int64, K for the root
    nearness: Tensor  #: (K, K + 1) int16: the greater, the nearer an ancestor of the row's joint; 0: none; K: the root

    def __init__(self, spec: TargetSpec) -> None:
        super().__init__()
        self.spec = spec
        tree, K, (H, W) = spec.tree, len(spec.skeleton), spec.map_hw
        chosen = {"mean": range(K), "bbox": range(K), "torso": tree.torso}.get(spec.root)
        chosen = [tree.joints.index(spec.root)] if chosen is None else chosen
        nearness, levels = torch.zeros((K, K + 1), dtype=torch.int16), tree.levels()
        nearness[:, K] = 1
        for k in range(K):
            at = tree.parents[k]
            while at != ROOT:
                nearness[k, at], at = levels[at] + 1, tree.parents[at]
        constants = {
            "limit": torch.tensor([W - 1.0, H - 1.0], dtype=torch.float64),
            "chosen": torch.isin(torch.arange(K), torch.tensor(list(chosen))),
            "parents": torch.tensor([K if a == ROOT else a for a in tree.parents]),
            "nearness": nearness,
        }
        for name, constant in constants.items():
            self.register_buffer(name, constant, persistent=False)
        #: How far from its anchor a vector may lie, and from its root a heatmap value above 0, in cells.
        self._reach = max(spec.tau_cell if spec.tau_metric == "square" else math.sqrt(spec.tau_cell), 0.5) + 1e-6
        self._cut = -math.log(spec.heatmap_min) * spec.gaussian_denominator if spec.heatmap_min else math.inf
        self._shared = spec.anchor == "root" or all(a == ROOT for a in tree.parents)

    def empty_maps(self, n: int) -> TargetMaps:
        """Return buffers for n rows, not initialised, to be given as ``out`` again and again."""
        (H, W), K, device = self.spec.map_hw, len(self.spec.skeleton), self.limit.device
        dtype = torch.float16 if self.spec.dtype == "float16" else torch.float32
        return TargetMaps(
            torch.empty((n, H, W), dtype=dtype, device=device),
            torch.empty((n, K, self.spec.dims, H, W), dtype=dtype, device=device),
            torch.empty((n, K, H, W), dtype=torch.uint8, device=device),
            torch.empty((n, H, W), dtype=torch.uint8, device=device),
        )

    @torch.no_grad()
    def forward(self, people: PeopleTensors, out: TargetMaps | None = None) -> TargetMaps:
        """Return the targets of N rows; ``out`` (from `empty_maps`) is overwritten in full and returned.

        Parameters
        ----------
        people : PeopleTensors
            On the device of this module; rows beyond ``number`` may hold anything finite.
        out : TargetMaps, optional
            Contiguous buffers.

        Returns
        -------
        TargetMaps
            Heatmap and offsets in the spec's dtype.

        Raises
        ------
        SpecError
            People of another number of joints or axes than the spec, or ``out`` of other shapes.
        """
        (n, P), wanted = people.joints.shape[:2], (len(self.spec.skeleton), self.spec.dims)
        if people.joints.shape[2:] != wanted:
            raise SpecError(f"people have (joints, axes) {tuple(people.joints.shape[2:])}, the spec says {wanted}")
        maps = self.empty_maps(n) if out is None else out
        if maps.offsets.shape != (n, *wanted, *self.spec.map_hw):
            raise SpecError(f"out.offsets must be {(n, *wanted, *self.spec.map_hw)}, got {tuple(maps.offsets.shape)}")
        step = max(1, ENTRIES // self._entries(max(P, 1)))
        for at in range(0, n, step):
            rows = slice(at, at + step)
            self._draw(PeopleTensors(*(t[rows] for t in people)), TargetMaps(*(t[rows] for t in maps)))
        return maps

    def _entries(self, P: int) -> int:
        """Return the entries of a row's windows."""
        sizes = [math.prod(self._window(reach)) for reach in (self._reach, math.sqrt(self._cut))]
        return P * (sizes[0] * len(self.spec.skeleton) + sizes[1])

    def _window(self, reach: float) -> tuple[int, int]:
        """Return (width, height) of a window that holds every cell of the map within ``reach`` of a point."""
        H, W = self.spec.map_hw
        side = math.floor(2 * reach) + 2 if math.isfinite(reach) else max(H, W)
        return min(side, W), min(side, H)

    def _draw(self, people: PeopleTensors, maps: TargetMaps) -> None:
        """Overwrite the maps of n rows."""
        points = self._points(people)
        heatmap = self._roots(points)
        maps.root_heatmap.copy_(heatmap)
        maps.ignore.copy_(self._covered(people.bbox, points.regions) & (heatmap == 0))
        index, cells, won = self._neighbourhoods(points.anchors, points.on, people.area)
        number = torch.empty(maps.count.numel(), dtype=torch.int32, device=index.device)
        number.index_fill_(0, index.flatten(), 0).index_add_(0, index.flatten(), won.flatten().int())
        met = number[index]
        maps.count.zero_().view(-1).scatter_(0, index.flatten(), met.clamp(max=255).flatten().to(torch.uint8))
        offsets = maps.offsets if maps.offsets.dtype == torch.float32 else maps.offsets.float()
        offsets.zero_()
        share = met * self.spec.norm_cell
        for axis in range(2):
            vector = points.tips[..., axis, None, None] - points.towards[..., None, None] * cells[axis]
            vector = torch.where(won, vector / share, 0).float()
            at = (plane * self.spec.dims + axis) * (H * W) + cell
            offsets.view(-1).index_add_(0, at.flatten(), vector.flatten())
        if offsets is not maps.offsets:
            maps.offsets.copy_(offsets)

    def _points(self, people: PeopleTensors) -> _Points:
        """Say for everybody where the root is, and for every joint what is drawn round which point."""
        spec, K = self.spec, len(self.spec.skeleton)
        there = torch.arange(people.visible.shape[1], device=people.visible.device) < people.number[:, None]
        labelled = (people.visible > 0) & there[..., None]
        someone = labelled.any(-1)
        roots = self._cells(self._root_px(people, labelled))
        near = (roots + 0.5).floor()
        drawn = someone & ~people.ignore & ((near >= 0) & (near <= self.limit)).all(-1)
        roots = torch.where(drawn[..., None], roots, 0)
        # The nearest labelled ancestor of every joint, and where it is.
        ancestor = torch.where(F.pad(labelled, (0, 1), value=True)[:, :, None], self.nearness, 0).argmax(-1)
        xy = torch.cat([self._cells(people.joints[..., :2].double()), roots[:, :, None]], 2)
        hung = xy.gather(2, ancestor[..., None].expand(-1, -1, -1, 2))
        on = labelled
        if spec.missing_parent == "stay":
            on = on | (labelled.float() @ (self.nearness[:, :K] > 0).float() > 0)  # something labelled hangs below
        if spec.missing_parent == "drop":
            on = on & (ancestor == self.parents)
        towards = labelled & (ancestor == K) if spec.anchor == "root" else labelled
        tips = torch.where(towards[..., None], xy[:, :, :K], xy[:, :, :K] - hung)
        anchors = roots[:, :, None] if self._shared else hung
        return _Points(
            roots,
            drawn,
            regions=there & (people.ignore | ~someone),
            anchors=torch.minimum(anchors.clamp(min=0), self.limit),
            on=on & drawn[..., None],
            towards=towards,
            tips=torch.where(labelled[..., None], tips, 0),
        )

    def _cells(self, px: Tensor) -> Tensor:
        return (px - cell_origin_px(self.spec.stride)) / self.spec.stride

    def _root_px(self, people: PeopleTensors, labelled: Tensor) -> Tensor:
        """Return roots (n, P, 2) in input px."""
        if self.spec.root == "bbox":
            bbox = people.bbox.double()
            return bbox[..., :2] + bbox[..., 2:] / 2 - 0.5
        averaged = labelled & self.chosen
        averaged = torch.where(averaged.any(-1, keepdim=True), averaged, labelled)
        total = torch.where(averaged[..., None], people.joints[..., :2].double(), 0).sum(2)
        return total / averaged.sum(-1, keepdim=True).clamp(min=1)

    def _axes(self, points: Tensor, reach: float) -> list[tuple[Tensor, Tensor]]:
        """Return of points (..., 2) the windows' cells, for u and v each (..., side) int64, and ``cell - point``."""
        found = []
        for axis, side in enumerate(self._window(reach)):
            point, last = points[..., axis, None], self.spec.map_hw[1 - axis] - side
            first = (point - reach).ceil().clamp(0, last).long()
            cell = first + torch.arange(side, device=points.device)
            found.append((cell, cell - point))
        return found

    def _roots(self, points: _Points) -> Tensor:
        """Return the maximum of the Gaussians, (n, H, W) float32: each an outer product of two tables."""
        (H, W), (n, P) = self.spec.map_hw, points.drawn.shape
        (u, du), (v, dv) = self._axes(points.roots, math.sqrt(self._cut) + 1e-6)
        du2, dv2 = du * du, dv * dv
        across, down = (torch.exp(-d2 / self.spec.gaussian_denominator) for d2 in (du2, dv2))
        inside = (du2[..., None, :] + dv2[..., None] <= self._cut) & points.drawn[..., None, None]
        value = torch.where(inside, across[..., None, :] * down[..., None], 0).float()
        heatmap = value.new_zeros((n, H, W))
        row = torch.arange(n, device=value.device)[:, None, None, None] * (H * W)
        index = row + v[..., None] * W + u[..., None, :]
        heatmap.view(-1).scatter_reduce_(0, index.flatten(), value.flatten(), "amax")
        return heatmap

    def _covered(self, bbox: Tensor, regions: Tensor) -> Tensor:
        """Return which cells' centres lie in a box (n, P, 4) of ``regions`` (n, P), (n, H, W) bool."""
        bbox, inside = bbox.double(), []
        first, last = self._cells(bbox[..., :2] - 0.5), self._cells(bbox[..., :2] + bbox[..., 2:] - 0.5)
        for axis in range(2):
            cell = torch.arange(self.spec.map_hw[1 - axis], device=bbox.device)
            held = (cell >= first[..., axis, None]) & (cell < last[..., axis, None]) & regions[..., None]
            inside.append(held.float())
        # Boxes that hold a cell, counted: a product of matrices, without (n, P, H, W) in between.
        return inside[1].transpose(1, 2) @ inside[0] > 0

    def _neighbourhoods(self, anchors: Tensor, on: Tensor, area: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor]:
        """Return the windows round anchors (n, P, A, 2) as entries: index, (u, v), and which of them are averaged.

        The index (n, P, K, side, side) is into flat (n, K, H, W); on a cell the people of the smallest key win: nobody's
        is smaller under ``mean``, the distance to the anchor decides under ``nearest``, the area under ``smallest``.
        """
        spec, (n, _, K), (H, W) = self.spec, on.shape, self.spec.map_hw
        (u, du), (v, dv) = ((cell, d) for cell, d in self._axes(anchors, self._reach))
        u, du, v, dv = u[..., None, :], du[..., None, :], v[..., None], dv[..., None]
        d2 = du * du + dv * dv
        near = torch.maximum(du.abs(), dv.abs()) if spec.tau_metric == "square" else d2
        centre = (anchors + 0.5).floor()[..., None, None]
        covers = (near <= spec.tau_cell) | ((u == centre[:, :, :, 0]) & (v == centre[:, :, :, 1]))
        plane = torch.arange(n * K, device=on.device).view(n, 1, K, 1, 1)
        index = plane * (H * W) + v * W + u
        won = covers & on[..., None, None]
        if spec.overlap != "mean":
            rank = d2 if spec.overlap == "nearest" else area.double()[:, :, None, None, None]
            rank = torch.where(won, rank, math.inf)
            key = torch.empty(n * K * H * W, dtype=torch.float64, device=on.device)
            key.index_fill_(0, index.flatten(), math.inf)
            key.scatter_reduce_(0, index.flatten(), rank.flatten(), "amin")
            won = won & (rank == key[index])
        return index, (u, v), won
