"""Little prepared stores that the stream's tests share: the same rows with and without maps, in zarr and HDF5."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from small_coco import write_small_coco
from spmdata.prepare.plan import plan_store
from spmdata.prepare.run import prepare_store
from spmdata.sources.coco import CocoSource
from spmdata.spec import TargetSpec
from spmdata.store.reader import Store, open_store

SPEC = TargetSpec(input_hw=(32, 48), sigma=2.0, tau=4.0)
ROWS, SHARD_ROWS, SKIPPED = 23, 2, 6

Stores = Callable[..., Store]


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    """Return a function that prepares 23 rows in shards of 2, once for each setting; row 6 was skipped."""
    folder = tmp_path_factory.mktemp("stream")
    annotations = write_small_coco(folder, ROWS, images=True)
    images: Path = folder / "coco/train2017"
    (images / f"{SKIPPED + 1:06d}.jpg").unlink()
    source = CocoSource.read(annotations, image_root=images)

    @lru_cache
    def store(suffix: str = ".zarr", dtype: Any = "float32", **options: Any) -> Store:
        name = "-".join(["a", dtype, *(f"{key}{value}" for key, value in options.items())])
        plan = plan_store(
            source, replace(SPEC, dtype=dtype), folder / f"{name}{suffix}", shard_rows=SHARD_ROWS, **options
        )
        with pytest.MonkeyPatch.context() as patch:  # fsync only tells after a power cut, and takes most of the time
            patch.setattr(os, "fsync", lambda handle: None)
            prepare_store(plan, scheduler="sync")
        return open_store(plan.path)

    return store


@pytest.fixture(scope="session")
def store(stores: Stores) -> Store:
    """Return the store with images and maps, in zarr."""
    return stores()
