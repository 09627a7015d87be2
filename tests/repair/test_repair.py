"""verify-targets --repair, its library side: what was damaged is as it was, byte for byte, or nothing is touched."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import spmdata.prepare.repair as repair_module
from repair_cases import SIZE, layout_of, root_of, shard_file
from small_coco import write_small_coco
from spmdata.errors import StoreError
from spmdata.prepare.plan import plan_store
from spmdata.prepare.repair import repair_store
from spmdata.prepare.run import prepare_store
from spmdata.prepare.task import ShardTask, write_task
from spmdata.skeleton import Skeleton
from spmdata.skeletons import COCO17
from spmdata.sources.registry import open_source
from spmdata.spec import TargetSpec
from spmdata.store.check import check_store
from spmdata.store.form import form_of
from spmdata.store.ledger import Ledger, ShardRecord
from spmdata.store.writer import open_or_create
from store.cases import flip_bit, tree


def counting(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    ran: list[int] = []

    def count(task: ShardTask) -> ShardRecord:
        ran.append(task.shard)
        return write_task(task)

    monkeypatch.setattr(repair_module, "write_task", count)
    return ran


HARM: dict[str, Callable[[Path], object]] = {
    "a bit of a chunk": lambda path: flip_bit(shard_file(path, 1), 400),
    "a shard cut short": lambda path: shard_file(path, 1).write_bytes(shard_file(path, 1).read_bytes()[:-9]),
    "a shard lost": lambda path: shard_file(path, 1).unlink(),
    "a record": lambda path: flip_bit(Ledger(path).file(1), 99),
    "a record lost": lambda path: Ledger(path).file(1).unlink(),
}


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
def test_only_the_damaged_shard_is_written_and_all_is_as_before(
    harm: Callable[[Path], object], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, ran = tree(path.parent), counting(monkeypatch)
    harm(path)
    assert tree(path.parent) != before
    seen: list[tuple[int, int]] = []
    found = repair_store(path, root=root_of(path), on_shard=lambda done, of: seen.append((done, of)))
    assert tree(path.parent) == before
    assert ran == [1, 1]  # beside the store, then in place
    assert found.shards == (1,)
    assert found.damage
    assert seen == [(1, 1)]


def test_metadata_and_manifest_need_no_source(path: Path) -> None:
    before, form = tree(path.parent), form_of(path)
    shutil.rmtree(root_of(path) / "coco")
    (form.home / ".spm/manifest.json").unlink()
    if path.is_dir():
        (path / "offsets/zarr.json").write_text("{}")
        (path / "row/zarr.json").unlink()
    else:
        (form.home / ".tmp-left").write_text("x")
    assert repair_store(path).shards == ()
    assert tree(path.parent) == before
    assert repair_store(path).damage == ()


def test_a_whole_folder_lost(path: Path) -> None:
    before = tree(path.parent)
    shutil.rmtree(form_of(path).home / ".spm/ledger")
    if path.is_dir():
        shutil.rmtree(path / "count")
    assert repair_store(path, root=root_of(path), threads=2).shards == (0, 1, 2)
    assert tree(path.parent) == before


def test_what_is_none_of_ours_is_left_alone(path: Path) -> None:
    home = form_of(path).home
    (home / "notes.txt").write_text("mine")
    before = tree(path.parent)
    assert [d.text for d in repair_store(path, root=root_of(path)).damage] == ["notes.txt is not part of the store"]
    assert tree(path.parent) == before


def test_another_source_is_refused_with_both_values(path: Path) -> None:
    shard_file(path, 1).unlink()
    harmed = tree(path.parent)
    annotations = root_of(path) / "coco/annotations/person_keypoints_train2017.json"
    there = layout_of(path).source.sha256
    annotations.write_text(annotations.read_text() + "\n")
    with pytest.raises(StoreError, match=rf"another source: its sha256 is {there} there and [0-9a-f]{{64}} here"):
        repair_store(path, root=root_of(path))
    assert tree(path.parent) == harmed


def test_images_that_changed_change_nothing(path: Path) -> None:
    images = root_of(path) / "coco/train2017"
    flip_bit(shard_file(path, 0), 400)
    flip_bit(shard_file(path, 1), 400)
    (images / "000002.jpg").rename(images / "elsewhere.jpg")
    before = tree(path.parent)
    with pytest.raises(StoreError, match=r"1 of 2 damaged shards could not .* \(row 1 is skipped now: 000002\.jpg: "):
        repair_store(path, root=root_of(path))
    changed = {name for name, data in tree(path.parent).items() if before[name] != data}
    assert changed == {shard_file(path, 1).relative_to(path.parent).as_posix()}
    shutil.copy(images / "000003.jpg", images / "000002.jpg")
    with pytest.raises(StoreError, match=r"shard 0 would not come out .* \(other bytes of .*: other images, or other"):
        repair_store(path, root=root_of(path))
    (images / "elsewhere.jpg").rename(images / "000002.jpg")
    assert repair_store(path, root=root_of(path)).shards == (0,)
    assert check_store(path) == []


def test_unfinished_and_unreadable_stores_say_what_to_run(path: Path) -> None:
    form = form_of(path)
    root = form.file(form.root)
    whole = root.read_bytes()
    root.write_bytes(whole[:-40] if path.is_dir() else whole[:100])
    with pytest.raises(
        StoreError, match="run the spm prepare command that made it again, which keeps what is as it was"
    ):
        repair_store(path, root=root_of(path))
    root.write_bytes(whole)
    Ledger(path).file(1).unlink()
    open_or_create(path, layout_of(path))
    (form.home / ".spm/manifest.json").unlink()
    with pytest.raises(StoreError, match="is not finished; run the spm prepare command"):
        repair_store(path, root=root_of(path))
    with pytest.raises(StoreError, match="no such store"):
        repair_store(path.with_name("none.zarr"))


def test_synthetic_rows_and_people_without_images(tmp_path: Path) -> None:
    source = open_source("synthetic", rows=6, seed=3, size_hw=(64, 64))
    path = tmp_path / "s.zarr"
    prepare_store(plan_store(source, TargetSpec(input_hw=SIZE), path, shard_rows=4))
    before = tree(path)
    flip_bit(path / "image/c.1", 99)
    assert repair_store(path).shards == (1,)
    assert tree(path) == before


def test_a_skeleton_of_ones_own_is_in_the_store(tmp_path: Path) -> None:
    mine = Skeleton(
        name="mine17",
        joints=tuple(f"j{name}" for name in COCO17.joints),
        parents=COCO17.parents,
        flip=COCO17.flip,
        sigmas=COCO17.sigmas,
        torso=COCO17.torso,
    )
    write_small_coco(tmp_path, 6)
    file = tmp_path / "coco/annotations/person_keypoints_train2017.json"
    text = file.read_text()
    for name in COCO17.joints:
        text = text.replace(f'"{name}"', f'"j{name}"')
    file.write_text(text)
    source = open_source("coco", root=tmp_path, no_images=True, all_images=True, skeleton=mine)
    path = tmp_path / "a.h5"
    prepare_store(
        plan_store(source, TargetSpec(skeleton=mine, input_hw=SIZE), path, images=False, maps=False, shard_rows=4)
    )
    before = tree(tmp_path)
    flip_bit(tmp_path / "a.h5.shards/00000.h5", 8000)
    assert repair_store(path, root=tmp_path).shards == (0,)
    assert tree(tmp_path) == before
