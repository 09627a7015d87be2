"""What rounding allows a round trip, and no more: the bounds of ``spm verify-targets``, derived from the spec.

Letters: P people, K joints, D axes; f focal length.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spmdata.codec import TIP_STEP, Codec, Reads
from spmdata.geometry import nearest_cell, px_to_cell
from spmdata.people import People
from spmdata.spec import TargetSpec

#: A point this near the border of two cells may be read on either side (cells).
HALF_WAY_CELL = 2.5e-5
CM_PER_M = 100.0

Floats = NDArray[np.float64]


def slack_of(codec: Codec, people: People) -> float:
    """Return how far rounding moves a point of the walk, or the peak of a Gaussian, at most, in cells."""
    spec = codec.spec
    points, there = people.joints[..., :2], people.labelled
    if spec.root == "bbox":  # whose centre need not lie among the joints
        centre = people.bbox_xywh[:, :2] + people.bbox_xywh[:, 2:] / 2
        points = np.concatenate([points, centre[:, None]], axis=1)
        there = np.concatenate([there, np.ones((len(there), 1), np.bool_)], axis=1)
    there = there[..., None]
    extent_px = points.max(1, where=there, initial=-np.inf) - points.min(1, where=there, initial=np.inf)
    step = _half_step(spec.dtype, np.asarray(extent_px.max(initial=0)) / spec.stride + 1, spec.norm_cell)
    # A root e beyond half-way is nearer to the next cell by 2 e in d^2, which a step of the heatmap may hide.
    flat = float(np.spacing(np.ones((), spec.dtype))) / 2 * spec.gaussian_denominator
    return max(float(step), flat) + HALF_WAY_CELL


def bounds(spec: TargetSpec, people: People, reads: Reads, slack_cell: float, f_px: float) -> Floats:
    """Return the error that rounding allows each joint along each axis, (P, K, D): input px, and cm for z.

    A point that lies half-way between two cells within the slack may be read on either, so its vector may start at
    either: between ``low`` and ``high``, which are one elsewhere. Vectors anchored at the root add up level by level,
    and so does depth, from the root's own on.
    """
    last, grid = np.array(spec.map_hw[::-1]) - 1, TIP_STEP / 2 if spec.overlap == "mean" else 0.0
    here = px_to_cell(people.joints[..., :2], spec.stride)
    low, high, error = here.copy(), here.copy(), np.zeros(people.joints.shape)
    z, depth = people.joints[..., 2:].astype(np.float64), reads.z_roots[:, None, None]
    deepest = _half_step("float32", depth, f_px)
    for level, k, a in _levels(spec):
        labelled = people.labelled[:, k, None]
        added_up = level > 1 and spec.anchor == "root"
        first, final = (low[:, a], high[:, a]) if level > 1 else (reads.roots[:, None], reads.roots[:, None])
        if not added_up:
            first, final = (nearest_cell(p).clip(0, last) for p in (first - slack_cell, final + slack_cell))
        longest = np.maximum(np.abs(here[:, k] - first), np.abs(here[:, k] - final))
        moved = np.where(labelled, _half_step(spec.dtype, longest, spec.norm_cell) + grid, 0)
        error[:, k, :2] = moved + (error[:, a, :2] if added_up else 0)
        low[:, k], high[:, k] = np.where(labelled, here[:, k], first), np.where(labelled, here[:, k], final)
        if spec.dims == 3:
            before, off = (z[:, a], error[:, a, 2:]) if level > 1 else (depth, deepest)
            error[:, k, 2:] = off + np.where(labelled, _half_step(spec.dtype, z[:, k] - before, CM_PER_M), 0)
            z[:, k] = np.where(labelled, z[:, k], before)
    error[..., :2] *= spec.stride
    decoded = np.spacing(np.abs(people.joints) + np.float32(1)) / 2  # float32 px and cm
    return np.asarray(error + decoded, np.float64)


def _levels(spec: TargetSpec) -> list[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """Return each level with its joints and their parents."""
    levels, parents = np.array(spec.tree.levels()), np.array(spec.tree.parents)
    return [(level, k := np.flatnonzero(levels == level), parents[k]) for level in range(1, levels.max() + 1)]


def _half_step(dtype: str, length: Floats, unit: float) -> Floats:
    """Return how far storing ``length / unit`` in a dtype moves a length; float32 comes first, then float16."""
    step = np.spacing(np.abs(length / unit).astype(dtype)).astype(np.float64)
    return np.asarray(step * (0.5 + 2.0**-14) * unit)
