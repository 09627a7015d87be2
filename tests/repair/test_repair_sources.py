"""Repair finds the source again, whatever a store does not say of it, wherever the store lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from panoptic_cases import body, calibration, write_sequence
from repair_cases import SIZE
from small_coco import write_small_coco
from spmdata.errors import StoreError
from spmdata.prepare.plan import plan_store
from spmdata.prepare.repair import repair_store
from spmdata.prepare.run import prepare_store
from spmdata.sources.registry import open_source
from spmdata.spec import TargetSpec
from spmdata.store.check import check_store
from spmdata.store.remote import AnyPath, RemotePath, locate
from store.cases import flip_bit, tree


def prepared(path: Path, name: str, *, images: bool = False, **where: Any) -> Path:
    """Prepare a store of a source, flip a bit of its joints and return its path."""
    source = open_source(name, no_images=not images, **where)
    dims = source[0].people.joints.shape[-1]
    spec = TargetSpec(skeleton=source.skeleton, input_hw=SIZE, dims=dims)
    prepare_store(plan_store(source, spec, path, images=images, shard_rows=4))
    return path


def test_a_mix_needs_its_file(tmp_path: Path) -> None:
    write_small_coco(tmp_path, 5, images=False)
    file = tmp_path / "mix.toml"
    file.write_text('[[sources]]\nsource = "coco"\nroot = "."\n[[sources]]\nsource = "synthetic"\nrows = 3\nseed = 2\n')
    path = prepared(tmp_path / "out/m.zarr", "mix", annotations=file)
    before = tree(path)
    flip_bit(path / "people/joints/c.1.0.0.0", 99)
    with pytest.raises(StoreError, match=r"made from a mix: name the file .*, --annotations FILE\.toml"):
        repair_store(path)
    assert repair_store(path, annotations=file).shards == (1,)
    assert tree(path) == before


def test_cameras_are_said_again(tmp_path: Path) -> None:
    write_sequence(tmp_path, {7: [body(1)]}, [calibration("00_00"), calibration("00_01")])
    path = prepared(tmp_path / "out/p.zarr", "panoptic", root=tmp_path, cameras="00_01")
    before = tree(path)
    flip_bit(path / "people/joints/c.0.0.0.0", 99)
    with pytest.raises(StoreError, match=r"another source: .* with --annotations or --root, and its --cameras if"):
        repair_store(path, root=tmp_path)
    assert repair_store(path, root=tmp_path, cameras="00_01").shards == (0,)
    assert tree(path) == before


@pytest.mark.parametrize("some", [("image/c.0", ".spm/zarr.json"), pytest.param((), marks=pytest.mark.slow)])
def test_objects_of_a_url_are_mended(some: tuple[str, ...]) -> None:
    """Those named, or every one."""
    path: AnyPath = locate("memory://repair/a.zarr")
    source = open_source("synthetic", rows=6, size_hw=SIZE)
    prepare_store(plan_store(source, TargetSpec(input_hw=SIZE), path, shard_rows=4))
    before = _objects(path)
    # The root's attributes say which source: without them prepare alone knows it.
    for file in [path / name for name in some] or before.keys() - {path / "zarr.json"}:
        data = before[file]
        for harmed in (None, data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]):
            if harmed is None:
                file.unlink()
            else:
                file.write_bytes(harmed)
            assert repair_store(path).damage, file
            assert _objects(path) == before
    assert check_store(path) == []
    (path / "zarr.json").unlink()
    with pytest.raises(StoreError, match=r"no such store: .* run the spm prepare command that made it again"):
        repair_store(path)


def _objects(path: RemotePath) -> dict[RemotePath, bytes]:
    return {file: file.read_bytes() for file in path.below() or ()}
