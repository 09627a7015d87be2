"""Stores to harm and mend, each beside the data set that it was made from."""

from __future__ import annotations

from pathlib import Path

from small_coco import write_small_coco
from spmdata.prepare.plan import plan_store
from spmdata.prepare.run import prepare_store
from spmdata.skeleton import Skeleton
from spmdata.skeletons import COCO17
from spmdata.sources.registry import open_source
from spmdata.spec import TargetSpec
from spmdata.store.form import form_of
from spmdata.store.schema import StoreSpec

SIZE = (64, 64)


def prepared(folder: Path, name: str, *, images: bool = True, skeleton: Skeleton = COCO17, n: int = 10) -> Path:
    """Prepare shards of 4 rows from a data set below ``folder``, one of its images missing."""
    write_small_coco(folder, n, images=images)
    if images:
        (folder / "coco/train2017/000006.jpg").unlink()
    source = open_source("coco", root=folder, no_images=not images, skeleton=skeleton)
    path = folder / "out" / name
    prepare_store(plan_store(source, TargetSpec(skeleton=skeleton, input_hw=SIZE), path, images=images, shard_rows=4))
    return path


def root_of(path: Path) -> Path:
    return path.parents[1]


def shard_file(path: Path, shard: int, array: str = "offsets") -> Path:
    files = form_of(path).shard_files(layout_of(path), shard)
    return Path(str(files.get(array) or files["shard"]))


def layout_of(path: Path) -> StoreSpec:
    return StoreSpec.from_attributes(form_of(path).attributes())
