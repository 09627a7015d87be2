"""The arrays of a store: names, shapes, dtypes, chunks and the names of their axes.

Letters: N rows; K joints; D axes; H, W cells; R rows of a shard; P most people of a row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spmdata.errors import StoreError
from spmdata.spec import TargetSpec

#: numpy dtype of every fixed-size dtype an array may have; ``bytes`` and ``str`` are of variable length.
NUMPY = MappingProxyType(
    {name: np.dtype(f"<{name}") for name in ("f4", "f2", "u1", "u4", "i8", "f8")} | {"bool": np.dtype(bool)}
)


@dataclass(frozen=True)
class ArraySpec:
    """One array of a store.

    Parameters
    ----------
    name : str
        Path below the group, such as ``people/joints``.
    shape : tuple of int
        Whole shape; the first axis is N.
    dtype : str
        One of `NUMPY`, or ``bytes`` or ``str``.
    chunk_rows : int
        Rows of an inner chunk: 1 or R.
    dims : tuple of str
        Name of each axis.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    chunk_rows: int
    dims: tuple[str, ...]

    @property
    def varying(self) -> bool:
        """Values are bytes or text of any length."""
        return self.dtype in ("bytes", "str")

    @property
    def numpy(self) -> np.dtype[Any]:
        """What arrays have in memory; object when `varying`."""
        return np.dtype(object) if self.varying else NUMPY[self.dtype]

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row's value."""
        return self.shape[1:]

    @property
    def row_bytes(self) -> int:
        """Uncompressed bytes of one row; 0 when `varying`."""
        return 0 if self.varying else math.prod(self.row_shape) * self.numpy.itemsize


def row_arrays(spec: TargetSpec, rows: int, *, images: bool, maps: bool) -> tuple[ArraySpec, ...]:
    """Return the arrays with a chunk a row: images and target maps."""
    joints, hw, real = len(spec.skeleton), spec.map_hw, "f2" if spec.dtype == "float16" else "f4"
    found: list[tuple[str, tuple[int, ...], str, tuple[str, ...]]] = []
    if images:
        found.append(("image", (), "bytes", ()))
    if maps:
        found += [
            ("root_heatmap", hw, real, ("v", "u")),
            ("offsets", (joints, spec.dims, *hw), real, ("joint", "axis", "v", "u")),
            ("count", (joints, *hw), "u1", ("joint", "v", "u")),
            ("ignore", hw, "u1", ("v", "u")),
        ]
    if maps and spec.dims == 3:
        # Always float32: float16 would move people who stand 4 m away by up to 2 mm.
        found += [("root_depth", hw, "f4", ("v", "u")), ("count_z", (joints, *hw), "u1", ("joint", "v", "u"))]
    return tuple(ArraySpec(name, (rows, *shape), dtype, 1, ("row", *dims)) for name, shape, dtype, dims in found)


def table_arrays(
    spec: TargetSpec, rows: int, *, max_people: int, shard_rows: int, images: bool
) -> tuple[ArraySpec, ...]:
    """Return the arrays with a chunk a shard: the recipe and the provenance."""
    joints, people = len(spec.skeleton), max_people
    found: list[tuple[str, tuple[int, ...], str, tuple[str, ...]]] = [
        ("people/number", (), "u4", ()),
        ("people/joints", (people, joints, spec.dims), "f4", ("person", "joint", "axis")),
        ("people/visible", (people, joints), "u1", ("person", "joint")),
        ("people/area", (people,), "f4", ("person",)),
        ("people/bbox", (people, 4), "f4", ("person", "xywh")),
        ("people/ignore", (people,), "bool", ("person",)),
        ("people/has_depth", (people,), "bool", ("person",)),
        ("people/head_px", (people,), "f4", ("person",)),
        ("people/id", (people,), "i8", ("person",)),
        ("row/image_id", (), "i8", ()),
        ("row/path", (), "str", ()),
        ("row/size_hw", (2,), "u4", ("hw",)),
        ("row/affine", (2, 3), "f8", ("affine_row", "affine_column")),
        ("row/view", (), "u4", ()),
        ("row/source", (), "u1", ()),
        ("row/camera", (14,), "f8", ("camera_number",)),
        ("row/meta", (), "str", ()),
        ("row/status", (), "u1", ()),
    ]
    if images:
        found.append(("image_crc32c", (), "u4", ()))
    return tuple(
        ArraySpec(name, (rows, *shape), dtype, shard_rows, ("row", *dims)) for name, shape, dtype, dims in found
    )


def cast_to(array: ArraySpec, values: NDArray[Any], n: int) -> NDArray[Any]:
    """Return values in the array's dtype; StoreError on another shape, kind, or a number that does not fit."""
    if values.shape != (n, *array.row_shape):
        raise StoreError(f"{array.name} must be {(n, *array.row_shape)} in this shard, got {values.shape}")
    if values.dtype == array.numpy:
        return values
    kinds = {"f": "fiu", "i": "iu", "u": "iu", "b": "b"}[array.numpy.kind]
    fits = values.dtype.kind in kinds
    with np.errstate(over="ignore"):
        cast = values.astype(array.numpy) if fits else values
    if not fits or (array.numpy.kind in "iu" and not np.array_equal(cast, values)):
        raise StoreError(f"{array.name} holds {array.numpy}, got {values.dtype} values that do not fit")
    return cast
