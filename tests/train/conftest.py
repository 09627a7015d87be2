"""Little prepared stores that the trainer's tests share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from small_coco import write_small_coco
from spmdata.prepare.plan import plan_store
from spmdata.prepare.run import prepare_store
from spmdata.sources.coco import CocoSource
from spmdata.spec import TargetSpec
from spmdata.store.reader import Store, open_store
from spmtrain.config import TrainConfig

SPEC = TargetSpec(input_hw=(64, 96), sigma=2.0, tau=4.0)


def prepared(folder: Path, spec: TargetSpec, missing: int, *, maps: bool = True) -> Store:
    """Prepare six small images in shards of four; the image with the number `missing` is not there."""
    annotations = write_small_coco(folder, 6, images=True)
    (folder / f"coco/train2017/{missing:06d}.jpg").unlink()
    source = CocoSource.read(annotations, image_root=folder / "coco/train2017")
    prepare_store(plan_store(source, spec, folder / "a.zarr", shard_rows=4, maps=maps), scheduler="sync")
    return open_store(folder / "a.zarr")


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return a store of six rows of which row 2 was skipped."""
    return prepared(tmp_path_factory.mktemp("float32"), SPEC, 3)


@pytest.fixture(scope="session")
def half_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return the same in float16."""
    return prepared(tmp_path_factory.mktemp("float16"), replace(SPEC, dtype="float16"), 3)


@pytest.fixture(scope="session")
def mapless_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return the same without maps."""
    return prepared(tmp_path_factory.mktemp("mapless"), SPEC, 3, maps=False)


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    """Return three steps of a small network on the CPU, their folder not there yet."""
    out = str(tmp_path / "deep" / "run")
    return TrainConfig(features=(16, 16, 16), steps=3, batch=4, threads=1, device="cpu", out=out)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Compute on one thread: on maps this small more only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    """Return where a test computes: the CPU, and again a GPU where tests marked `gpu` are asked for."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch finds no CUDA device: not repeated on a GPU")
    return str(request.param)
