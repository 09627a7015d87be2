"""The codec's work as others do it, for one picture: a vectorised numpy implementation, and packages where installed.

The numpy one is written from the definition (Nie et al. 2019, section 3: mean root, mean overlap, reparented children,
squared or radius tau) and checked against the codec before anything is timed; it imports nothing of the package.
mmpose's SPR codec and CenterNet's drawing, as mmdet has it, do work of their own: root heatmap with sigma 7 and flat
offsets of one person a cell; heatmaps of centres and joints, Gaussians as large as persons. They are background, and no
dependency: ``pip install --no-deps mmpose mmdet mmengine mmcv-lite==2.1.0`` and what they miss when imported.

Letters: P people; K joints; H, W cells; Z the norm of the offsets; N cells round an anchor.
"""

import importlib.util
import math
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

Float64 = NDArray[np.float64]
STRIDE, SIGMA, LEAST = 4, 7.0, 0.01
COLD = "from spmdata import Codec, TargetSpec; import time; t = time.perf_counter(); Codec(TargetSpec()).warm_up()"


class Vectorised:
    """Encode and decode one picture by patches of numpy.

    Parameters
    ----------
    parents : tuple of int
        The tree that offsets follow, -1 for the root.
    map_hw : (int, int)
        Cells.
    tau2 : float
        Largest squared distance of N in cells.
    """

    def __init__(self, parents: tuple[int, ...], map_hw: tuple[int, int], tau2: float) -> None:
        self.parents, self.map_hw, self.tau2 = parents, map_hw, tau2
        self.norm = math.hypot(*map_hw)
        self.levels: list[list[int]] = []
        depth: dict[int, int] = {-1: -1}
        while len(depth) <= len(parents):
            level = [k for k, a in enumerate(parents) if k not in depth and a in depth]
            depth.update(dict.fromkeys(level, len(self.levels)))
            self.levels.append(level)

    def encode(self, joints_px: Float64, visible: NDArray[np.uint8]) -> tuple[Float64, Float64, NDArray[np.uint8]]:
        """Return heatmap (H, W), offsets (K, 2, H, W) and count (K, H, W) of joints (P, K, 2), visible (P, K)."""
        (H, W), K = self.map_hw, len(self.parents)
        heatmap, offsets, count = np.zeros((H, W)), np.zeros((K, 2, H, W)), np.zeros((K, H, W), np.uint8)
        u, v, limit = np.arange(W), np.arange(H), np.array([W - 1, H - 1])
        for points_px, seen in zip(joints_px.astype(np.float64), visible > 0, strict=True):
            if not seen.any():
                continue
            points = (points_px - (STRIDE - 1) / 2) / STRIDE
            root = points[seen].mean(axis=0)
            if (np.floor(root + 0.5) < 0).any() or (np.floor(root + 0.5) > limit).any():
                continue
            bell = np.outer(np.exp(-((v - root[1]) ** 2) / SIGMA**2), np.exp(-((u - root[0]) ** 2) / SIGMA**2))
            np.maximum(heatmap, bell, out=heatmap)
            for k in np.flatnonzero(seen):
                a = self.parents[k]
                while a >= 0 and not seen[a]:
                    a = self.parents[a]
                anchor = np.clip(root if a < 0 else points[a], 0, limit)
                reach = max(math.sqrt(self.tau2), 0.5)
                x0, y0 = np.maximum(np.ceil(anchor - reach), 0).astype(int)
                x1, y1 = np.minimum(np.floor(anchor + reach), limit).astype(int) + 1
                du, dv = u[x0:x1] - anchor[0], v[y0:y1, None] - anchor[1]
                inside = du * du + dv * dv <= self.tau2
                inside[int(anchor[1] + 0.5) - y0, int(anchor[0] + 0.5) - x0] = True
                count[k, y0:y1, x0:x1] += inside
                offsets[k, 0, y0:y1, x0:x1] += inside * (points[k, 0] - u[x0:x1])
                offsets[k, 1, y0:y1, x0:x1] += inside * (points[k, 1] - v[y0:y1, None])
        heatmap[heatmap < LEAST] = 0
        offsets /= np.maximum(count, 1)[:, None] * self.norm
        return heatmap, offsets, count

    def decode(self, heatmap: NDArray[np.float32], offsets: NDArray[np.float32]) -> Float64:
        """Return joints (P, K, 2) in px, best first; peaks by a maximum filter of 5 x 5, at least 0.1."""
        limit = np.array([self.map_hw[1] - 1, self.map_hw[0] - 1])
        peaks = np.argwhere((heatmap == maximum_filter(heatmap, 5)) & (heatmap >= 0.1))
        peaks = peaks[np.argsort(-heatmap[peaks[:, 0], peaks[:, 1]], kind="stable")][:30, ::-1]
        joints = np.empty((len(peaks), len(self.parents), 2))
        for level in self.levels:
            start = [peaks if self.parents[k] < 0 else joints[:, self.parents[k]] for k in level]
            cells = np.clip(np.floor(np.stack(start, axis=1) + 0.5), 0, limit).astype(int)
            vectors = offsets[np.array(level), :, cells[..., 1], cells[..., 0]]
            joints[:, level] = cells + self.norm * vectors
        return joints * STRIDE + (STRIDE - 1) / 2


#: What draws joints (P, K, 2) in px and visible (P, K), and what reads what it drew, if it has that.
Other = tuple[Callable[[Float64, NDArray[np.uint8]], Any], Callable[[Any], object] | None]


def others(map_hw: tuple[int, int]) -> dict[str, Other]:
    """Return what other packages do that are installed, by name."""
    found: dict[str, Other] = {}
    size_wh, maps_wh = (map_hw[1] * STRIDE, map_hw[0] * STRIDE), (map_hw[1], map_hw[0])
    if importlib.util.find_spec("mmpose") is not None:
        import torch

        codecs = importlib.import_module("mmpose.codecs")
        spr = codecs.SPR(input_size=size_wh, heatmap_size=maps_wh, sigma=SIGMA)

        def draw(joints: Float64, visible: NDArray[np.uint8]) -> Any:
            return spr.encode(joints, (visible > 0).astype(np.float32))

        def read(drawn: dict[str, NDArray[np.float32]]) -> object:
            return spr.decode(torch.from_numpy(drawn["heatmaps"]), torch.from_numpy(drawn["displacements"]))

        found[f"mmpose {version('mmpose')}, SPR"] = draw, read
    if (mmdet := importlib.util.find_spec("mmdet")) is not None and mmdet.submodule_search_locations:
        import torch

        # The package asks for compiled operators; the file that draws needs none.
        place = Path(next(iter(mmdet.submodule_search_locations))) / "models/utils/gaussian_target.py"
        mmdet_own = runpy.run_path(str(place))

        def centres(joints: Float64, visible: NDArray[np.uint8]) -> object:
            heatmaps = torch.zeros((1 + joints.shape[1], *map_hw))
            for points, seen in zip(joints / STRIDE, visible > 0, strict=True):
                if seen.any():
                    sides = np.ptp(points[seen], axis=0).clip(1).tolist()
                    radius = max(0, int(mmdet_own["gaussian_radius"](sides[::-1], 0.3)))
                    cells = [points[seen].mean(axis=0), *points[seen]]
                    for k, cell in zip([0, *np.flatnonzero(seen) + 1], cells, strict=True):
                        x, y = np.clip(cell, 0, np.array(maps_wh) - 1).astype(int).tolist()
                        mmdet_own["gen_gaussian_target"](heatmaps[k], [x, y], radius)
            return heatmaps

        found[f"mmdet {version('mmdet')}, CenterNet"] = centres, None
    return found


def cold_start() -> str:
    """Return what the first call costs: compiled, and loaded from numba's cache, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        seconds = []
        for _ in range(2):
            code = f"{COLD}; print(time.perf_counter() - t)"
            done = subprocess.run(
                [sys.executable, "-c", code],
                env={**os.environ, "NUMBA_CACHE_DIR": folder},
                check=True,
                capture_output=True,
            )
            seconds.append(float(done.stdout))
    return f"`Codec.warm_up()` in a new process: {seconds[0]:.1f} s compiled, {seconds[1]:.2f} s from the cache."
