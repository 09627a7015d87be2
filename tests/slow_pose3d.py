"""Errors in three dimensions from the rules that ``metrics/pose3d.py`` states: loops, Horn's quaternions, no SVD."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from spmdata.camera import Camera
from spmdata.people import People

Points = list[Any]  # of (x, y, z)


def root_of(joints: Points, labelled: Sequence[bool], named: Sequence[int]) -> Any:
    """Return the mean of the labelled joints among those named, else of all labelled ones."""
    everything = [k for k in range(len(joints)) if labelled[k]]
    chosen = [k for k in everything if k in named] or everything
    return sum(np.array(joints[k], float) for k in chosen) / len(chosen)


def horn(points: Any, others: Any) -> Any:
    """Return points after the best similarity (Horn 1987): the rotation is an eigenvector of a 4 x 4 matrix."""
    a, b = points - points.mean(0), others - others.mean(0)
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = a.T @ b
    form = np.array(
        [
            [xx + yy + zz, yz - zy, zx - xz, xy - yx],
            [yz - zy, xx - yy - zz, xy + yx, zx + xz],
            [zx - xz, xy + yx, yy - xx - zz, yz + zy],
            [xy - yx, zx + xz, yz + zy, zz - xx - yy],
        ]
    )
    w, x, y, z = np.linalg.eigh(form)[1][:, -1]
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    turned = a @ turn.T
    return (turned * b).sum() / (a * a).sum() * turned + others.mean(0)


def scores(
    truth: Sequence[People],
    found: Sequence[People],
    cameras: Sequence[Camera],
    named: Sequence[int],
    radius: float = 0.25,
) -> dict[str, float]:
    """Return what `pose3d_scores` should, by its names."""
    people = matched = false = 0
    errors: list[float] = []
    similar: list[float] = []
    roots: list[float] = []
    missed = 0
    for t, f, camera in zip(truth, found, cameras, strict=True):
        near = []
        persons = [p for p in range(len(t)) if not t.ignore[p] and (t.visible[p] > 0).any()]
        for p in persons:
            seen = [k for k in range(t.joints.shape[1]) if t.visible[p, k]]
            x, y = ([float(t.joints[p, k, i]) for k in seen] for i in (0, 1))
            size = max(1.0, max(x) - min(x), max(y) - min(y))
            for e in range(len(f)):
                here, there = (root_of(list(j[..., :2]), t.visible[p] > 0, named) for j in (f.joints[e], t.joints[p]))
                near.append((math.dist(here, there) / size, p, e))
        given: dict[int, int] = {}
        for distance, p, e in sorted(near):
            if distance <= radius and p not in given and e not in given.values():
                given[p] = e
        for e in range(len(f)):
            x, y = f.joints[e, :, 0].mean(), f.joints[e, :, 1].mean()
            boxes = [t.bbox_xywh[p] for p in range(len(t)) if p not in persons]
            inside = [i - 0.5 <= x < i + w - 0.5 and j - 0.5 <= y < j + h - 0.5 for i, j, w, h in boxes]
            false += e not in given.values() and not any(inside)
        for p in [p for p in persons if t.has_depth[p]]:
            seen = [k for k in range(t.joints.shape[1]) if t.visible[p, k]]
            people += 1
            if p not in given or not f.has_depth[given[p]]:
                missed += len(seen)
                continue
            matched += 1
            a, b = (
                [10 * camera.unproject(j[:2], float(j[2])) for j in joints]
                for joints in (f.joints[given[p]], t.joints[p])
            )
            shift = root_of(b, t.visible[p] > 0, named) - root_of(a, t.visible[p] > 0, named)
            roots.append(float(np.linalg.norm(shift)))
            errors += [math.dist(a[k] + shift, b[k]) for k in seen]
            best = horn(np.array([a[k] for k in seen]), np.array([b[k] for k in seen]))
            similar += [math.dist(best[i], b[k]) for i, k in enumerate(seen)]

    def pck(limit: float, of: int) -> float:
        return sum(e < limit for e in errors) / of if of else -1.0

    def mean(values: list[float]) -> float:
        return sum(values) / len(values) if values else -1.0

    every, found_joints = len(errors) + missed, len(errors)
    limits = range(0, 151, 5)
    return {
        **{"people": people, "matched": matched, "false_positives": false},
        **{"MPJPE": mean(errors), "PA_MPJPE": mean(similar), "root": mean(roots)},
        **{"PCK150": pck(150, every), "AUC": mean([pck(limit, every) for limit in limits])},
        **{
            "PCK150_matched": pck(150, found_joints),
            "AUC_matched": mean([pck(limit, found_joints) for limit in limits]),
        },
    }
