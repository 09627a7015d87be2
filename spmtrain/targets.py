"""People to maps for a whole batch on the device: the same definition as the numba codec, without a loop over people.

Every person's neighbourhoods and Gaussian become static windows of cells, (N, P, K, side, side) entries that are
scattered into the maps, so that only the maps themselves are dense. The tau test and the heatmap's cut are float64, as
in the kernels: ``count`` and ``ignore`` are equal to the cell (Nie et al. 2019, section 3).

What it should cost on a GPU of 3 TB/s, 32 rows of 128 x 128 cells, 17 joints, P = 10: 71 MB of offsets and 9 MB of
count zeroed, 27 us; 0.2 M entries of neighbourhoods and 0.3 M of Gaussians, some 100 bytes each, 20 to 40 us; and about
170 launches, which at 4 us each are the most of it: 0.7 ms, or 0.2 to 0.3 ms replayed as a CUDA graph. Measured on an
H200: 3 to 5 ms, as its processor takes 17 to 26 us a launch, and 0.6 to 0.75 ms as a graph (`spmtrain.replay`), 0.005
of a training step of eight hourglasses.

Nothing waits for the device, and shapes depend on the tables' shapes alone, so that a graph may be captured. A compiler
that contracts ``a * b + c`` may move a cell that lies within one rounding of tau. On CPU the result is deterministic;
on CUDA, where three people or more meet on a cell, the last bit of their mean is not.

Letters: N rows; P most people of a row; K joints; D axes; H, W cells; Z the norm of the offsets; d a distance.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from spmdata.errors import SpecError
from spmdata.geometry import cell_origin_px
from spmdata.spec import TargetSpec
from spmtrain.maps import TargetMaps
from spmtrain.resolve import PeopleTensors, Points, Resolver

#: Entries of windows in memory at once, about 100 bytes each; more are drawn a few rows at a time.
ENTRIES = 2**22


class _Cells(NamedTuple):
    """Windows of cells round points, (n, P, K or 1, side, side) entries or what broadcasts to it."""

    flat: Tensor  #: int64, where the entry lies in flat maps (n, K, H, W)
    plane: Tensor  #: int64, n * K + k
    u: Tensor  #: int64
    v: Tensor
    won: Tensor  #: bool, the entry is one of those that are averaged on its cell


class BatchEncoder(nn.Module):
    """Draw targets by a spec; equal to `spmdata.codec.Codec.encode_batch`, floats to 1e-6 (times Z for norm none).

    A module only so that ``.to(device)`` moves its constants; it has no weights and gives no gradients.

    Parameters
    ----------
    spec : TargetSpec
        Every convention.
    """

    def __init__(self, spec: TargetSpec) -> None:
        super().__init__()
        self.spec = spec
        self._resolve = Resolver(spec)
        #: How far from its anchor a vector may lie, in cells; and the greatest d squared that a Gaussian reaches.
        self._reach = max(spec.tau_cell if spec.tau_metric == "square" else math.sqrt(spec.tau_cell), 0.5) + 1e-6
        self._cut = -math.log(spec.heatmap_min) * spec.gaussian_denominator if spec.heatmap_min else math.inf

    @torch.no_grad()
    def forward(self, people: PeopleTensors, f_px: Tensor | None = None) -> TargetMaps:
        """Return the targets of N rows.

        Parameters
        ----------
        people : PeopleTensors
            On the device of this module.
        f_px : Tensor, (N,) float64
            3D: the focal lengths that root_depth is divided by, ``sqrt(|det K[:2, :2]|)`` of the cameras.

        Returns
        -------
        TargetMaps
            Heatmap and offsets in the spec's dtype, root_depth in float32; it and count_z in 3D alone.

        Raises
        ------
        SpecError
            People of another number of joints or axes than the spec, or 3D without f_px.
        """
        (n, P), wanted = people.joints.shape[:2], (len(self.spec.skeleton), self.spec.dims)
        if people.joints.shape[2:] != wanted:
            raise SpecError(f"people have (joints, axes) {tuple(people.joints.shape[2:])}, the spec says {wanted}")
        if self.spec.dims == 3 and f_px is None:
            raise SpecError("targets in 3D take f_px, the focal length of each row")
        maps = self._zeros(n)
        step = max(1, ENTRIES // max(1, P * self._entries()))
        for at in range(0, n, step):
            rows = slice(at, at + step)
            part = TargetMaps(*(None if t is None else t[rows] for t in maps))  # type: ignore[arg-type]
            self._draw(PeopleTensors(*(t[rows] for t in people)), None if f_px is None else f_px[rows], part)
        return maps

    def _entries(self) -> int:
        """Return how many entries a person's windows have."""
        near, far = (math.prod(self._window(reach)) for reach in (self._reach, math.sqrt(self._cut)))
        return near * len(self.spec.skeleton) + far

    def _zeros(self, n: int) -> TargetMaps:
        (H, W), K, D = self.spec.map_hw, len(self.spec.skeleton), self.spec.dims
        zeros = partial(torch.zeros, device=self._resolve.limit.device)
        dtype = torch.float16 if self.spec.dtype == "float16" else torch.float32
        return TargetMaps(
            zeros((n, H, W), dtype=dtype),
            zeros((n, K, D, H, W), dtype=dtype),
            zeros((n, K, H, W), dtype=torch.uint8),
            zeros((n, H, W), dtype=torch.uint8),
            zeros((n, H, W), dtype=torch.float32) if D == 3 else None,
            zeros((n, K, H, W), dtype=torch.uint8) if D == 3 else None,
        )

    def _draw(self, people: PeopleTensors, f_px: Tensor | None, maps: TargetMaps) -> None:
        """Draw n rows on maps of zeros."""
        points: Points = self._resolve(people)
        maps.root_heatmap.copy_(self._heatmap(points))
        maps.ignore.copy_(self._covered(people.bbox, points.regions) & (maps.root_heatmap == 0))  # as it is stored
        cells = self._neighbourhoods(points.anchors, points.on, people.area)
        share = _share(maps.count, cells, cells.won) / self.spec.norm_cell
        vectors = [
            (points.tips[..., axis, None, None] - points.towards[..., None, None] * cell) * share
            for axis, cell in enumerate((cells.u, cells.v))
        ]
        if maps.count_z is not None and maps.root_depth is not None and f_px is not None:
            deep = people.has_depth[..., None, None, None]
            vectors.append(points.dz[..., None, None] * _share(maps.count_z, cells, cells.won & deep))
            roots = self._resolve.clamp(points.roots)[:, :, None]
            depths = self._neighbourhoods(roots, points.drawn[..., None], people.area)
            share = _share(torch.zeros_like(maps.ignore), depths, depths.won & deep)
            _add(maps.root_depth, [depths.flat], [(points.z_root / f_px[:, None])[..., None, None, None] * share])
        size = math.prod(self.spec.map_hw)
        further = cells.plane * ((len(vectors) - 1) * size)
        _add(maps.offsets, [cells.flat + (further + axis * size) for axis in range(len(vectors))], vectors)

    def _window(self, reach: float) -> tuple[int, int]:
        """Return (width, height) of a window that holds every cell of the map within ``reach`` of a point."""
        H, W = self.spec.map_hw
        side = math.floor(2 * reach) + 1 if math.isfinite(reach) else max(H, W)
        return min(side, W), min(side, H)

    def _axes(self, points: Tensor, reach: float) -> list[tuple[Tensor, Tensor]]:
        """Return of the windows round points (..., 2), for u and v each, cells (..., side) int64 and cell - point."""
        found = []
        for axis, side in enumerate(self._window(reach)):
            point, last = points[..., axis, None], self.spec.map_hw[1 - axis] - side
            first = (point - reach).ceil().clamp(0, last).long()
            cell = first + torch.arange(side, device=points.device)
            found.append((cell, cell - point))
        return found

    def _heatmap(self, points: Points) -> Tensor:
        """Return the maximum of the Gaussians, (n, H, W) float32: each an outer product of two tables."""
        (H, W), n = self.spec.map_hw, len(points.drawn)
        (u, du), (v, dv) = self._axes(points.roots, math.sqrt(self._cut) + 1e-6)
        across, down = (torch.exp(-d * d / self.spec.gaussian_denominator) for d in (du, dv))
        inside = ((du * du)[..., None, :] + (dv * dv)[..., None] <= self._cut) & points.drawn[..., None, None]
        value = (across[..., None, :] * down[..., None] * inside).float()
        row = torch.arange(n, device=value.device)[:, None, None, None] * (H * W)
        index = row + v[..., None] * W + u[..., None, :]
        heatmap = value.new_zeros((n, H, W))
        heatmap.view(-1).scatter_reduce_(0, index.flatten(), value.flatten(), "amax")
        return heatmap

    def _covered(self, bbox: Tensor, regions: Tensor) -> Tensor:
        """Return which cells' centres lie in a box (n, P, 4) of ``regions`` (n, P), (n, H, W) bool."""
        bbox, inside = bbox.double(), []
        edges = torch.stack([bbox[..., :2], bbox[..., :2] + bbox[..., 2:]])
        first, end = (edges - 0.5 - cell_origin_px(self.spec.stride)) / self.spec.stride
        for axis in range(2):
            cell = torch.arange(self.spec.map_hw[1 - axis], device=bbox.device)
            held = (cell >= first[..., axis, None]) & (cell < end[..., axis, None]) & regions[..., None]
            inside.append(held.float())
        # A product of matrices counts the boxes that hold a cell, without (n, P, H, W) in between.
        return torch.bmm(inside[1].transpose(1, 2), inside[0]) > 0

    def _neighbourhoods(self, anchors: Tensor, on: Tensor, area: Tensor) -> _Cells:
        """Return the windows round anchors (n, P, A, 2) of people of some area (n, P), and who won where ``on``.

        The people of the smallest key win a cell: all under ``mean``, by the distance to the anchor under ``nearest``,
        by area under ``smallest``.
        """
        spec, (n, _, K), (H, W) = self.spec, on.shape, self.spec.map_hw
        (u, du), (v, dv) = self._axes(anchors, self._reach)
        u, du, v, dv = u[..., None, :], du[..., None, :], v[..., None], dv[..., None]
        d2 = du * du + dv * dv
        near = torch.maximum(du.abs(), dv.abs()) if spec.tau_metric == "square" else d2
        centre = (anchors + 0.5).floor()[..., None, None]
        covers = (near <= spec.tau_cell) | ((u == centre[:, :, :, 0]) & (v == centre[:, :, :, 1]))
        plane = torch.arange(n * K, device=on.device).view(n, 1, K, 1, 1)
        index = plane * (H * W) + (v * W + u)
        won = covers & on[..., None, None]
        if spec.overlap != "mean":
            rank = d2 if spec.overlap == "nearest" else area.double()[:, :, None, None, None]
            rank = torch.where(won, rank, math.inf)
            # Only the windows' cells of this buffer are ever touched.
            key = rank.new_empty(n * K * H * W).index_fill_(0, index.flatten(), math.inf)
            key.scatter_reduce_(0, index.flatten(), rank.flatten(), "amin")
            won = won & (rank == key.index_select(0, index.flatten()).view(rank.shape))
        return _Cells(index, plane, u, v, won)


def _share(count: Tensor, cells: _Cells, won: Tensor) -> Tensor:
    """Count who won each cell into maps of zeros; return what one person weighs there, float64, 0 for who did not."""
    # Bytes suffice for as many people as a byte counts.
    number = count if won.shape[1] < 256 else count.new_zeros(count.shape, dtype=torch.int32)
    flat = cells.flat.flatten()
    number.view(-1).scatter_add_(0, flat, won.flatten().to(number.dtype))
    if number is not count:
        count.copy_(number.clamp(max=255))
    return won / number.view(-1).index_select(0, flat).view(won.shape).double().clamp(min=1)


def _add(maps: Tensor, index: list[Tensor], values: list[Tensor]) -> None:
    """Add float64 values to flat maps of zeros at their indices, in float32."""
    total = maps if maps.dtype == torch.float32 else torch.zeros_like(maps, dtype=torch.float32)
    for at, value in zip(index, values, strict=True):
        total.view(-1).scatter_add_(0, at.flatten(), value.float().flatten())
    if total is not maps:
        maps.copy_(total)
