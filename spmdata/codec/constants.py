"""The constants of a spec and of cameras, in the form in which kernels take them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spmdata.camera import Camera
from spmdata.errors import SpecError
from spmdata.geometry import cell_origin_px
from spmdata.kernels.rules import Rules
from spmdata.kernels.sums import GRID
from spmdata.kernels.tables import Tree
from spmdata.spec import TargetSpec

#: Tips are rounded to multiples of it under ``mean``, in cells.
TIP_STEP = 1 / GRID


def rules_of(spec: TargetSpec) -> Rules:
    """Return the numbers of a spec."""
    cut = -math.log(spec.heatmap_min) * spec.gaussian_denominator if spec.heatmap_min else math.inf
    square, tau = spec.tau_metric == "square", float(spec.tau_cell)
    return Rules(
        stride=float(spec.stride),
        origin_px=cell_origin_px(spec.stride),
        boxed=spec.root == "bbox",
        anchor_root=spec.anchor == "root",
        missing_parent=("reparent", "stay", "drop").index(spec.missing_parent),
        overlap=("mean", "nearest", "smallest").index(spec.overlap),
        square=square,
        tau=tau,
        reach=max(tau if square else math.sqrt(tau), 0.5) + 1e-6,
        norm=float(spec.norm_cell),
        heat_denominator=float(spec.gaussian_denominator),
        heat_cut=float(cut),
        heat_nothing=float(np.finfo(spec.dtype).smallest_subnormal) / 2 if spec.dtype == "float16" else 0.0,
    )


def tree_of(spec: TargetSpec) -> Tree:
    """Return a spec's tree, and which joints' mean is its root."""
    tree, root = spec.tree, spec.root
    everything = range(len(tree))
    rooted = {"mean": everything, "bbox": everything, "torso": tree.torso}
    chosen = rooted[root] if root in rooted else (tree.joints.index(root),)
    order = np.array(tree.order(), np.int64)
    return Tree(np.array(tree.parents, np.int64), order, np.isin(np.arange(len(tree)), chosen))


def focal_px(cameras: Sequence[Camera | None] | None, n: int) -> NDArray[np.float64]:
    """Return the focal length of each of n cameras, 1 where there is none."""
    if cameras is None:
        return np.ones(n)
    if len(cameras) != n:
        raise SpecError(f"{n} images need {n} cameras, got {len(cameras)}")
    return np.array([1.0 if camera is None else camera.f_px for camera in cameras], np.float64)
