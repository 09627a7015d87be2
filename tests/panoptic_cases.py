"""CMU Panoptic's files as the tests write them, and a camera written down a second time, point by point."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HD = {"type": "hd", "resolution": [1920, 1080], "panel": 0, "node": 0}


def calibration(name: str, angle: float = 0.3, **changes: Any) -> dict[str, Any]:
    """Return a camera 300 cm away from the world's origin, looking at it, turned round the vertical."""
    c, s = math.cos(angle), math.sin(angle)
    return {
        **HD,
        "name": name,
        "K": [[1630.0, 0.5, 940.0], [0, 1625.0, 558.0], [0, 0, 1]],
        "distCoef": [-0.22, 0.19, 1e-4, 1e-3, 0.02],
        "R": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
        "t": [[0.0], [0.0], [300.0]],
        **changes,
    }


def body(number: int, at: tuple[float, float, float] = (0, 0, 0), joints: int = 19, c: float = 0.9) -> dict[str, Any]:
    """Return a body whose joints climb a helix round a place."""
    numbers = [
        value
        for j in range(joints)
        for value in (at[0] + 20 * math.cos(j), at[1] - 80 + 8.0 * j, at[2] + 20 * math.sin(j), c)
    ]
    return {"id": number, f"joints{joints}": numbers}


def write_sequence(
    root: Path,
    frames: dict[int, Any],
    cameras: list[dict[str, Any]] | None = None,
    name: str = "171204_pose1",
    scenes: str = "hdPose3d_stage1_coco19",
) -> Path:
    """Write a sequence below ``root/panoptic``; a frame is a list of bodies, or text as it is."""
    folder = root / "panoptic" / name
    (folder / scenes).mkdir(parents=True)
    vga = {**calibration("01_01"), "type": "vga", "distCoef": "not looked at"}
    cameras = [calibration("00_00"), calibration("00_16", -0.4)] if cameras is None else cameras
    (folder / f"calibration_{name}.json").write_text(json.dumps({"cameras": [vga, *cameras]}))
    for number, bodies in frames.items():
        text = bodies if isinstance(bodies, str) else json.dumps({"version": 0.7, "univTime": 1.0, "bodies": bodies})
        (folder / scenes / f"body3DScene_{number:08d}.json").write_text(text)
    return folder


def project(camera: dict[str, Any], world: NDArray[np.float64]) -> tuple[float, float, float] | None:
    """Return (x px, y px, z cm) of one point in cm; None behind the camera or where the lens turns back."""
    R, t, K = camera["R"], np.ravel(camera["t"]), camera["K"]
    X, Y, Z = (sum(R[i][j] * world[j] for j in range(3)) + t[i] for i in range(3))
    if Z <= 0:
        return None
    x, y = X / Z, Y / Z
    k1, k2, p1, p2, k3 = camera["distCoef"]
    r = math.hypot(x, y)

    rho = np.linspace(0, r, 400)
    if r and (np.diff(rho * (1 + k1 * rho**2 + k2 * rho**4 + k3 * rho**6)) <= 0).any():
        return None  # a point nearer to the middle lies as far out
    radial = 1 + k1 * r**2 + k2 * r**4 + k3 * r**6
    u = x * radial + 2 * p1 * x * y + p2 * (r * r + 2 * x * x)
    v = y * radial + p1 * (r * r + 2 * y * y) + 2 * p2 * x * y
    return K[0][0] * u + K[0][1] * v + K[0][2], K[1][0] * u + K[1][1] * v + K[1][2], float(Z)
