"""Stores for tests: contents are plain arithmetic, so that they are the same everywhere and for ever."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
from google_crc32c import value as crc32c
from numpy.typing import NDArray

from spmdata.padded import pad_people
from spmdata.people import People, SourceInfo
from spmdata.skeleton import Skeleton
from spmdata.spec import TargetSpec
from spmdata.store.arrays import ArraySpec
from spmdata.store.ledger import SkippedRow
from spmdata.store.remote import StoreName
from spmdata.store.schema import RowStatus, StoreSpec
from spmdata.store.writer import ShardWriter, finalise, open_or_create

N = TypeVar("N", Path, str)

MAX_PEOPLE = 3
SKELETON = Skeleton(
    name="stick3",
    joints=("head", "left_hand", "right_hand"),
    parents=(-1, 0, 0),
    flip=(0, 2, 1),
    sigmas=(0.05, 0.1, 0.1),
    torso=(0,),
)


def layout_of(rows: int = 3, shard_rows: int = 2, **changes: Any) -> StoreSpec:
    """Return a small layout; ``dtype``, ``input_hw`` and ``sigma`` go to the TargetSpec, the rest to the StoreSpec."""
    ours: dict[str, Any] = {"skeleton": SKELETON, "input_hw": (32, 32)}
    spec = TargetSpec(**ours | {key: changes.pop(key) for key in ("dtype", "input_hw", "sigma") if key in changes})
    source = SourceInfo("coco", "val2017", "person_keypoints_val2017.json", "5" * 64)
    people = sum(len(people_of(row)) for row in range(rows) if status_of(row) == RowStatus.OK)
    defaults: dict[str, Any] = {"people": people, "max_people": MAX_PEOPLE, "images": True}
    return StoreSpec(**{"spec": spec, "source": source, "rows": rows, "shard_rows": shard_rows, **defaults, **changes})


def status_of(row: int) -> RowStatus:
    """Every fifth row, the second first, has no image."""
    return RowStatus.IMAGE_MISSING if row % 5 == 1 else RowStatus.OK


def numbers(row: int, shape: tuple[int, ...], salt: int, some: int = 8) -> NDArray[np.int64]:
    """Return whole numbers 0 to 96, about ``some`` of 97 not zero."""
    index = np.arange(int(np.prod(shape)), dtype=np.int64)
    values = ((index + salt) * 7919 + row * 104729) % 97
    return np.where(values >= 97 - some, values, 0).reshape(shape)


def map_of(array: ArraySpec, row: int) -> NDArray[Any]:
    """Return one row of a target map."""
    values = numbers(row, array.row_shape, salt=sum(map(ord, array.name)))
    if array.dtype.startswith("f"):
        return ((values - 94) / 8 * (values > 0)).astype(array.numpy)  # multiples of 1/8: exact in float16
    return values.astype(array.numpy)


def image_of(row: int) -> bytes:
    """Return what stands for an encoded image; row 2's is one byte."""
    return b"\xff" if row == 2 else bytes(range(256))[row % 200 :] + b"image %d" % row


def people_of(row: int) -> People:
    """Return ``row % 4`` people, some joints not labelled."""
    p = row % (MAX_PEOPLE + 1)
    joints = numbers(row, (p, 3, 2), salt=1, some=97) / 4
    visible = numbers(row, (p, 3), salt=2, some=97) % 3
    return People.of(joints, visible, id=np.arange(p) + 100 * row)


def columns_of(rows: Iterable[int]) -> dict[str, Any]:
    """Return every table for these rows, by array name."""
    rows = list(rows)
    ok = [status_of(row) == RowStatus.OK for row in rows]
    people = [people_of(row) if good else People.empty(3) for row, good in zip(rows, ok, strict=True)]
    images = [image_of(row) if good else b"" for row, good in zip(rows, ok, strict=True)]
    return {
        **pad_people(people, MAX_PEOPLE, n_joints=3).tables(),
        "image_crc32c": np.array([crc32c(image) for image in images], np.uint32),
        "row/image_id": [10**12 + row for row in rows],
        "row/path": [f"val2017/{row:012d}-é.jpg" for row in rows],
        "row/size_hw": np.array([(480, 640 + row) for row in rows]),
        "row/affine": np.array([np.eye(2, 3) + row / 7 for row in rows]),
        "row/view": np.zeros(len(rows), np.uint32),
        "row/source": np.zeros(len(rows), np.uint8),
        "row/camera": np.zeros((len(rows), 14)),
        "row/meta": ['{"crowdIndex": 0.5}' if row % 2 else "" for row in rows],
        "row/status": [int(status_of(row)) for row in rows],
    }


def expected(layout: StoreSpec, array: ArraySpec) -> NDArray[Any]:
    """Return a whole array as it should read back."""
    rows = range(layout.rows)
    if array.chunk_rows > 1 or "/" in array.name or array.name == "image_crc32c":
        return np.asarray(columns_of(rows)[array.name], array.numpy)
    values = np.zeros(array.shape, array.numpy)
    for row in rows:
        if status_of(row) == RowStatus.OK:
            values[row] = image_of(row) if array.varying else map_of(array, row)
        elif array.varying:
            values[row] = b""
    return values


def write_one(path: StoreName, layout: StoreSpec, shard: int) -> None:
    """Write one shard."""
    writer, rows = ShardWriter(path, layout, shard), layout.rows_of(shard)
    tables = {table.name for table in layout.tables()}
    for array in layout.arrays():
        for i, row in enumerate(rows):
            if array.name not in tables and status_of(row) == RowStatus.OK:
                writer.put_row(array.name, i, image_of(row) if array.varying else map_of(array, row))
    for name, values in columns_of(rows).items():
        if name in tables:
            writer.put_table(name, values)
    skipped = [SkippedRow(r, status_of(r), f"no file {r}.jpg") for r in rows if status_of(r) != RowStatus.OK]
    writer.commit({"rows_ok": len(rows) - len(skipped), "people": sum(map(len, map(people_of, rows)))}, skipped)


def write_store(path: N, layout: StoreSpec) -> N:
    """Write what is missing of a store and finish it; return its path."""
    done = open_or_create(path, layout)
    for shard in range(layout.n_shards):
        if shard not in done:
            write_one(path, layout, shard)
    finalise(path, layout)
    return path


def plain(dataset: Any) -> list[Any]:
    """Return what plain h5py reads, as Python values."""
    if h5py.check_string_dtype(dataset.dtype):
        return list(dataset.asstr()[:].tolist())
    if h5py.check_vlen_dtype(dataset.dtype):
        return [row.tobytes() for row in dataset[:]]
    return list(dataset[:].tolist())


def tree(path: Path) -> dict[str, bytes | None]:
    """Return every file's bytes below a folder, and None for every folder, by relative path."""
    found: dict[str, bytes | None] = {}
    for parent, folders, names in os.walk(path):
        here = Path(parent).relative_to(path)
        found |= {(here / name).as_posix(): None for name in folders}
        found |= {(here / name).as_posix(): Path(parent, name).read_bytes() for name in names}
    return found


def flip_bit(path: Path, bit: int) -> None:
    """Flip one bit of a file in place; again, and it is as it was."""
    with path.open("r+b", buffering=0) as file:
        file.seek(bit // 8)
        byte = file.read(1)[0]
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))
