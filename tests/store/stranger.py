"""Readers built from docs/format.md alone, on plain zarr and plain h5py: nothing of spmdata is imported here."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import google_crc32c
import h5py
import hdf5plugin  # noqa: F401  # the zstd filter
import numpy as np
import zarr


class Stranger:
    """A finished store, by the page."""

    def __init__(self, path: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of zarr, on types that have no specification yet
            self.group: Any = h5py.File(path) if path.suffix == ".h5" else zarr.open_group(path, mode="r")
        attributes: Any = self.group.attrs["spm"]
        self.spm: Any = json.loads(attributes) if path.suffix == ".h5" else attributes
        if self.spm["format_version"] != 1 or not self.spm["complete"]:
            raise ValueError("not for me")
        if path.suffix == ".h5":  # HDF5 reads what is missing as zeros
            shards = -(-self.spm["layout"]["rows"] // self.spm["layout"]["shard_rows"])
            files = [path.with_name(path.name + ".shards") / f"{shard:05d}.h5" for shard in range(shards)]
            assert all(file.exists() for file in files)

    def value(self, name: str, row: int) -> Any:
        """Return one row of any array."""
        value = self.group[name][row : row + 1][0]
        if name == "image":
            data = value.tobytes() if isinstance(value, np.ndarray) else bytes(value)
            assert google_crc32c.value(data) == self.group["image_crc32c"][row]
            return data
        return value.decode() if isinstance(value, bytes) else value

    def people(self, row: int) -> list[dict[str, Any]]:
        """Return the people of a row, padding left out."""
        if self.value("row/status", row) != 0:
            return []
        table = {name: self.value(f"people/{name}", row) for name in self.group["people"] if name != "number"}
        return [{name: column[i] for name, column in table.items()} for i in range(self.value("people/number", row))]

    def joints(self, row: int) -> dict[str, Any]:
        """Return the joints, px of the input, of the person whose root is the highest peak of a row."""
        spec, maps = self.spm["spec"], self.targets(row)
        heatmap, skeleton, s = maps["root_heatmap"], spec["skeleton"], spec["stride"]
        Z = np.hypot(*heatmap.shape) if spec["norm"] == "diagonal" else 1.0
        v, u = np.unravel_index(heatmap.argmax(), heatmap.shape)
        points: dict[int, Any] = {-1: np.array([u, v])}
        found: dict[str, Any] = {}
        while len(points) <= len(skeleton["joints"]):
            for k, parent in enumerate(skeleton["parents"] if spec["hierarchical"] else [-1] * len(skeleton["joints"])):
                if k not in points and parent in points:
                    u, v = np.clip(np.floor(points[parent] + 0.5).astype(int), 0, np.array(heatmap.shape[::-1]) - 1)
                    points[k] = (u, v) + Z * maps["offsets"][k, :2, v, u].astype(float)
                    if maps["count"][k, v, u]:
                        found[skeleton["joints"][k]] = points[k] * s + (s - 1) / 2
        return found

    def targets(self, row: int) -> dict[str, Any]:
        """Return the maps of a row."""
        return {name: self.value(name, row) for name in ("root_heatmap", "offsets", "count", "ignore")}
