"""prepare: plans, every scheduler, resume after anything, refusals, skipped rows."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dask.callbacks import Callback

import spmdata.prepare.run as run_module
from small_coco import write_small_coco
from spmdata.codec import Codec
from spmdata.errors import ImageError, SpecError, SpmError, StoreError
from spmdata.geometry import letterbox
from spmdata.prepare.plan import Plan, plan_store
from spmdata.prepare.run import prepare_store
from spmdata.prepare.task import ShardTask, write_task
from spmdata.sources.coco import CocoSource
from spmdata.spec import TargetSpec
from spmdata.store.form import form_of
from spmdata.store.ledger import ShardRecord
from spmdata.store.reader import open_store
from spmdata.store.schema import RowStatus

SPEC = TargetSpec(hierarchical=True, input_hw=(128, 128))


def plan_small(
    folder: Path, name: str = "a.zarr", *, images: bool = False, n: int = 14, spec: TargetSpec = SPEC
) -> Plan:
    """Plan 4-row shards of a small data set that is written on first use."""
    annotations = folder / "coco/annotations/person_keypoints_train2017.json"
    if not annotations.exists():
        write_small_coco(folder, n, images=images)
    source = CocoSource.read(annotations, image_root=folder / "coco/train2017" if images else None)
    return plan_store(source, spec, folder / name, images=images, shard_rows=4)


def tree(path: Path) -> dict[str, bytes]:
    """Return every file of a store by its path within."""
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def counting(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record the shards that tasks write from now on."""
    ran: list[int] = []

    def count(task: ShardTask, **options: Any) -> ShardRecord:
        ran.append(task.shard)
        return write_task(task, **options)

    monkeypatch.setattr(run_module, "write_task", count)
    return ran


@pytest.mark.parametrize("images", [False, True])
def test_a_store_holds_what_the_source_says(tmp_path: Path, images: bool) -> None:
    plan = plan_small(tmp_path, images=images)
    seen: list[tuple[int, int]] = []
    summary = prepare_store(plan, on_shard=lambda record, done, total: seen.append((done, total)))
    assert seen == [(i, 4) for i in range(1, 5)]
    assert summary.totals.rows == 14
    store = open_store(plan.path)
    codec = Codec(SPEC)
    for row in range(14):
        sample = plan.source[row]
        people = sample.people.transform(letterbox(sample.size_hw, SPEC.input_hw).affine)
        np.testing.assert_array_equal(store.people(row).joints, people.joints)
        np.testing.assert_array_equal(store.people(row).id, people.id)
        targets = codec.encode(people)
        for name in ("root_heatmap", "offsets", "count", "ignore"):
            np.testing.assert_array_equal(store.read(name, [row])[0], getattr(targets, name))
        assert store.read("row/image_id", [row])[0] == sample.id
        assert store.read("row/path", [row])[0] == sample.path
        assert store.affine(row) == letterbox(sample.size_hw, SPEC.input_hw).affine
    labelled = sum(int((~plan.source[i].people.regions).sum()) for i in range(14))
    assert summary.totals.counts["people_labelled"] == labelled


def test_images_and_labels_stay_together(tmp_path: Path) -> None:
    """The bright square of a nose is where the stored nose is."""
    from spmdata.images import load_input

    plan = plan_small(tmp_path, images=True)
    prepare_store(plan)
    store, checked = open_store(plan.path), 0
    for row in range(14):
        size_hw = tuple(store.read("row/size_hw", [row])[0].tolist())
        pixels = load_input(store.image_bytes(row), size_hw, SPEC.input_hw).astype(float).mean(-1)
        people = store.people(row)
        for x, y in people.joints[~people.regions, 0]:
            if 6 < x < 121 and 6 < y < 121:
                around = pixels[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3]
                assert around.min() > 140
                checked += 1
    assert checked > 10


def test_a_second_run_does_nothing_and_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_small(tmp_path)
    prepare_store(plan)
    before, ran = tree(plan.path), counting(monkeypatch)
    summary = prepare_store(plan)
    assert ran == []
    assert (summary.shards_done_before, summary.shards_written) == (4, 0)
    assert tree(plan.path) == before


@pytest.mark.parametrize("scheduler", ["sync", "processes"])
def test_every_scheduler_writes_the_same_bytes(tmp_path: Path, scheduler: str) -> None:
    prepare_store(plan_small(tmp_path))
    other, at_once = plan_small(tmp_path, "b.zarr"), [0]

    def begun(*_: object) -> None:
        at_once.append(at_once[-1] + 1)

    def ended(*_: object) -> None:
        at_once.append(at_once[-1] - 1)

    with Callback(pretask=begun, posttask=ended):
        prepare_store(other, scheduler=scheduler, workers=2)
    assert tree(other.path) == tree(tmp_path / "a.zarr")
    assert max(at_once) == {"sync": 1, "processes": 2}[scheduler]  # no shard waits behind others for one worker


def test_a_cluster_writes_the_same_bytes(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    prepare_store(plan_small(tmp_path, n=40))
    other = plan_small(tmp_path, "b.zarr")  # ten shards, more than are under way at once
    # Workers are threads here, reached by TCP all the same; tests of test_prepare_cluster.py start and kill processes.
    few = {"n_workers": 2, "threads_per_worker": 1, "processes": False, "protocol": "tcp"}
    with distributed.LocalCluster(**few, dashboard_address=None) as cluster:
        prepare_store(other, scheduler=cluster.scheduler_address)
    assert tree(other.path) == tree(tmp_path / "a.zarr")


def _prepare_slowly(folder: str, name: str) -> None:
    """Write shards with a pause after each, so that a kill falls between them or into one."""

    def slowly(task: ShardTask, **options: Any) -> ShardRecord:
        time.sleep(0.1)
        return write_task(task, **options)

    run_module.write_task = slowly  # type: ignore[assignment, attr-defined]
    prepare_store(plan_small(Path(folder), name, n=40), scheduler="sync")


@pytest.mark.parametrize("name", ["a.zarr", pytest.param("a.h5", marks=pytest.mark.slow)])
def test_after_a_kill_only_missing_shards_are_redone_and_the_bytes_are_equal(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "whole").mkdir()
    prepare_store(plan_small(tmp_path, f"whole/{name}", n=40))
    path = tmp_path / "killed" / name
    path.parent.mkdir()
    child = multiprocessing.get_context("spawn").Process(target=_prepare_slowly, args=(str(tmp_path), f"killed/{name}"))
    child.start()
    ledger = form_of(path).home / ".spm/ledger"
    while not (ledger.is_dir() and len(list(ledger.glob("*.json"))) >= 3):
        assert child.is_alive()
        time.sleep(0.02)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    done = {int(p.stem) for p in ledger.glob("*.json")}
    assert 3 <= len(done) < 10
    with pytest.raises(StoreError, match="spm prepare"):
        open_store(path)
    ran = counting(monkeypatch)
    summary = prepare_store(plan_small(tmp_path, f"killed/{name}"))
    assert sorted(ran) == sorted(set(range(10)) - done)
    assert any("lock" in note for note in summary.notes)
    assert tree(path.parent) == tree(tmp_path / "whole")


def test_other_settings_are_refused_with_both_values(tmp_path: Path) -> None:
    prepare_store(plan_small(tmp_path))
    before = tree(tmp_path / "a.zarr")
    other = plan_small(tmp_path, spec=SPEC.override(sigma=5.0))
    with pytest.raises(StoreError, match=r"sigma 7\.0 there, 5\.0 here"):
        prepare_store(other)
    assert tree(tmp_path / "a.zarr") == before
    prepare_store(other, force=True)
    assert tree(tmp_path / "a.zarr.old") == before
    assert open_store(tmp_path / "a.zarr").spec.sigma == 5


def test_decode_settings_may_differ(tmp_path: Path) -> None:
    prepare_store(plan_small(tmp_path))
    assert prepare_store(plan_small(tmp_path, spec=SPEC.override(nms=3))).shards_written == 0


def test_bad_images_are_skipped_with_their_reason(tmp_path: Path) -> None:
    plan = plan_small(tmp_path, images=True)
    folder = tmp_path / "coco/train2017"
    (folder / "000002.jpg").unlink()
    (folder / "000003.jpg").write_bytes(b"")
    (folder / "000005.jpg").write_bytes((folder / "000005.jpg").read_bytes()[:800])
    (folder / "000006.jpg").write_bytes(b"not an image at all")
    os.replace(write_other_size(tmp_path), folder / "000007.jpg")
    summary = prepare_store(plan)
    assert summary.totals.skipped == {
        RowStatus.IMAGE_MISSING: 1,
        RowStatus.IMAGE_UNREADABLE: 3,
        RowStatus.IMAGE_SIZE: 1,
    }
    store = open_store(plan.path)
    assert np.nonzero(store.status)[0].tolist() == [1, 2, 4, 5, 6]
    assert len(store.people(1)) == 0
    assert not store.read("root_heatmap", [1]).any()
    text = "".join(p.read_text() for p in (plan.path / ".spm/ledger").glob("*.json"))
    assert "000002.jpg: image does not exist" in text
    assert str(tmp_path) not in text
    with pytest.raises(ImageError, match=r"image \d, 00000\d.jpg: image "):
        prepare_store(plan_small(tmp_path, "strict.zarr", images=True), strict=True, scheduler="sync")


def write_other_size(folder: Path) -> Path:
    from PIL import Image

    path = folder / "other.jpg"
    Image.new("RGB", (50, 40)).save(path)
    return path


def test_plans_are_honest_about_what_cannot_be(tmp_path: Path) -> None:
    source = CocoSource.read(write_small_coco(tmp_path), image_root=None)
    with pytest.raises(SpecError, match=r"ends in \.zarr or \.h5, got 'a'; try 'a\.zarr'"):
        plan_store(source, SPEC, tmp_path / "a", images=False)
    with pytest.raises(SpecError, match="cannot read any; name their folder"):
        plan_store(source, SPEC, tmp_path / "a.zarr")
    plan = plan_store(source, SPEC, tmp_path / "a.zarr", images=False)
    for scheduler in ("fast", "bogus://there"):
        with pytest.raises(SpecError, match="scheduler must be threads"):
            prepare_store(plan, scheduler=scheduler)
    with pytest.raises(SpecError, match="workers must be at least 1"):
        prepare_store(plan, workers=0)
    assert not plan.path.exists()


def test_nothing_of_this_machine_or_time_stays_in_a_store(tmp_path: Path) -> None:
    plan = plan_small(tmp_path)
    prepare_store(plan)
    text = b"".join(data for name, data in tree(plan.path).items() if name.endswith(".json"))
    for word in (str(tmp_path), os.uname().nodename, str(os.getpid())):
        if len(word) > 3:
            assert not re.search(rb"\b%s\b" % re.escape(word).encode(), text)  # a sha256 may hold any number
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zarr", "coco"]


def test_two_writers_at_once_are_refused(tmp_path: Path) -> None:
    plan = plan_small(tmp_path)
    code = f"""from spmdata.store.lock import StoreLock
with StoreLock({str(plan.path)!r}):
    print("held", flush=True)
    input()"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(StoreError, match=str(other.pid)):
            prepare_store(plan)
        other.stdin.close()
        other.wait()
    prepare_store(plan)


def test_a_worker_that_dies_loses_nothing(tmp_path: Path) -> None:
    plan = plan_small(tmp_path, n=240)  # sixty shards: many are still to come when the first is done

    def kill_one(record: ShardRecord, done: int, total: int) -> None:
        if done == 1:
            multiprocessing.active_children()[0].kill()

    with pytest.raises(SpmError, match=r"a worker process died; .* with fewer workers"):
        prepare_store(plan, scheduler="processes", workers=2, on_shard=kill_one)
    assert not multiprocessing.active_children()
    prepare_store(plan)
    whole = plan_small(tmp_path, "whole.zarr")
    prepare_store(whole)
    assert tree(plan.path) == tree(whole.path)
