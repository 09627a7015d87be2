"""MATLAB files of MPII's structure, written by the tests with every oddity that the real one has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import savemat

EMPTY = np.zeros((0, 0))


def array(structs: list[dict[str, Any]]) -> np.ndarray[Any, np.dtype[np.void]]:
    """Return a 1 x n struct array, which is what MATLAB writes."""
    names = list(dict.fromkeys(name for one in structs for name in one))
    out = np.zeros((1, len(structs)), [(name, object) for name in names])
    for i, one in enumerate(structs):
        for name in names:
            out[0, i][name] = one.get(name, EMPTY)
    return out


def point(id: int, x: float, y: float, **more: Any) -> dict[str, Any]:
    return {"x": x, "y": y, "id": id, **more}


def rect(points: list[dict[str, Any]] | None, **more: Any) -> dict[str, Any]:
    head = {"x1": 11, "y1": 21, "x2": 41, "y2": 61}  # a diagonal of 50
    joints = {} if points is None else {"annopoints": array([{"point": array(points)}])}
    return {**head, **joints, **more}


def standing(x: float = 100, y: float = 50, **more: Any) -> list[dict[str, Any]]:
    return [point(j, x + j, y + 2 * j, is_visible=j % 2, **more) for j in range(16)]


def entry(name: str, rects: list[dict[str, Any]]) -> dict[str, Any]:
    annorect: Any = EMPTY if not rects else rects[0] if len(rects) == 1 else array(rects)
    return {"image": {"name": name}, "annorect": annorect}


def write_release(path: Path, entries: list[dict[str, Any]], train: list[int], **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    release = {"annolist": array(entries), "img_train": np.array([train]), "version": "12", **more}
    savemat(path, {"RELEASE": release})
    return path
