"""A repair interrupted, killed at any rename, killed for real: run again, it ends in the same bytes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import spmdata.prepare.repair as repair_module
from repair_cases import prepared, root_of, shard_file
from spmdata.prepare.repair import repair_store
from spmdata.prepare.task import ShardTask, write_task
from spmdata.store.check import check_store
from spmdata.store.form import form_of
from spmdata.store.ledger import ShardRecord
from store.cases import flip_bit, tree


def test_interrupted_and_run_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tree(path.parent)
    for shard in range(3):
        flip_bit(shard_file(path, shard), 400)

    def interrupted(task: ShardTask) -> ShardRecord:
        if task.shard == 1:
            raise KeyboardInterrupt
        return write_task(task)

    with monkeypatch.context() as patch:
        patch.setattr(repair_module, "write_task", interrupted)
        with pytest.raises(KeyboardInterrupt):
            repair_store(path, root=root_of(path), threads=1)
    assert not path.with_name(path.name + ".lock").exists()
    assert {d.shard for d in check_store(path)} >= {1}
    assert 1 in repair_store(path, root=root_of(path)).shards
    assert tree(path.parent) == before


class Killed(BaseException):
    """What no ``except`` stops."""


def test_killed_at_any_rename_and_run_again(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tree(path.parent)
    flip_bit(shard_file(path, 0), 400)
    flip_bit(shard_file(path, 2), 400)
    (form_of(path).home / ".spm/manifest.json").unlink()
    harmed = tmp_path / "harmed"
    shutil.copytree(path.parent, harmed)
    step, real = 19 if path.is_dir() else 2, os.replace
    for most in range(0, 1000, step):
        shutil.rmtree(path.parent)
        shutil.copytree(harmed, path.parent)
        left = most

        def replace(source: Path, target: Path) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            real(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", replace)
            try:
                repair_store(path, root=root_of(path), threads=1)
            except Killed:
                pass
            else:
                break
        repair_store(path, root=root_of(path))
        assert tree(path.parent) == before
    assert most > 2 * step


@pytest.mark.slow
def test_a_real_kill_in_the_middle(whole: Path, tmp_path: Path) -> None:
    path = prepared(tmp_path / "data", whole.name, n=60)
    before = tree(path.parent)
    for shard in range(15):
        shard_file(path, shard).unlink()
    code = f"""
from spmdata.prepare.repair import repair_store
repair_store({str(path)!r}, root={str(root_of(path))!r}, threads=1, on_shard=lambda done, of: print(done, flush=True))
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        for _ in range(3):
            child.stdout.readline()
        child.kill()
    assert 0 < sum(shard_file(path, shard).exists() for shard in range(15)) < 15
    found = repair_store(path, root=root_of(path))
    assert "took over the lock" in found.notes[0]
    assert tree(path.parent) == before
