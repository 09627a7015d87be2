"""Streams of stores in three dimensions: maps drawn with the camera of each row, equal to the stored ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codec_cases import CAMERA
from spmdata.camera import Camera
from spmdata.codec import Codec
from spmdata.padded import pad_people
from spmdata.people import People, SourceInfo
from spmdata.spec import TargetSpec
from spmdata.store.reader import Store, open_store
from spmdata.store.schema import StoreSpec
from spmdata.store.writer import ShardWriter, finalise, open_or_create
from spmdata.stream import RowStream
from store.cases import SKELETON

ROWS, SPEC = 9, TargetSpec(skeleton=SKELETON, input_hw=(32, 48), dims=3)


def people_of(row: int) -> People:
    """Return `row % 3` people who stand 2 to 9 m away."""
    rng, p = np.random.default_rng(row), row % 3
    joints = rng.uniform([0, 0, 200], [48, 32, 900], (p, len(SKELETON), 3))
    return People.of(joints, rng.integers(0, 3, (p, len(SKELETON))))


def camera_of(row: int) -> Camera | None:
    """Return a camera of its own focal length; none where there is nobody."""
    zoom = np.diag([1.0 + row, 1.0 + row, 1.0])
    return Camera(zoom @ CAMERA.K, CAMERA.dist, CAMERA.R, CAMERA.t) if row % 3 else None


def columns(rows: range) -> dict[str, Any]:
    cameras = [camera_of(row) for row in rows]
    numbers = [np.zeros(14) if c is None else np.concatenate([c.K.ravel(), c.dist]) for c in cameras]
    zeros = np.zeros(len(rows), np.int64)
    return {
        **pad_people([people_of(row) for row in rows], 2, len(SKELETON), 3).tables(),
        **{f"row/{name}": zeros for name in ("image_id", "view", "source", "status")},
        **{"row/path": [""] * len(rows), "row/meta": [""] * len(rows)},
        "row/size_hw": np.full((len(rows), 2), 32),
        "row/affine": np.tile(np.eye(2, 3), (len(rows), 1, 1)),
        "row/camera": np.stack(numbers),
    }


def written(path: Path, *, maps: bool) -> Store:
    people = sum(len(people_of(row)) for row in range(ROWS))
    source = SourceInfo("test", "train", "a.json", "0" * 64)
    layout = StoreSpec(spec=SPEC, source=source, rows=ROWS, people=people, max_people=2, shard_rows=4, maps=maps)
    open_or_create(path, layout)
    for shard in range(layout.n_shards):
        writer, rows = ShardWriter(path, layout, shard), layout.rows_of(shard)
        for i, row in enumerate(rows) if maps else ():
            targets = Codec(SPEC).encode(people_of(row), camera_of(row))
            for name, value in targets._asdict().items():
                writer.put_row(name, i, value)
        for name, column in columns(rows).items():
            writer.put_table(name, np.asarray(column, layout.array(name).numpy))
        writer.commit({"rows_ok": len(rows)}, [])
    finalise(path, layout)
    return open_store(path)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> list[Store]:
    folder = tmp_path_factory.mktemp("depth")
    return [written(folder / f"{maps}.zarr", maps=maps) for maps in (True, False)]


def maps_of(store: Store) -> list[dict[str, Any]]:
    with RowStream(store, 4, seed=1, threads=3) as stream:
        batches = (batch.targets for _, batch in zip(range(7), stream, strict=False))
        return [{name: np.array(m) for name, m in t._asdict().items()} for t in batches if t is not None]


def test_drawn_is_stored_bit_for_bit(stores: list[Store]) -> None:
    for stored, drawn in zip(*map(maps_of, stores), strict=True):
        assert stored["root_depth"].any()
        assert stored["count_z"].any()
        for name, maps in stored.items():
            np.testing.assert_array_equal(maps, drawn[name])
