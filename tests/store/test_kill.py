"""A run killed between any two operations on files; run again, it ends byte-equal to one that was not."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from spmdata.errors import StoreError
from spmdata.store import aside, durable
from spmdata.store.form import form_of
from spmdata.store.ledger import Ledger
from spmdata.store.reader import open_store
from spmdata.store.schema import StoreSpec
from spmdata.store.writer import finalise, open_or_create
from store.cases import layout_of, tree, write_one, write_store

LAYOUT = layout_of(3, 2, input_hw=(16, 16))
OPERATIONS = {"open", "writev", "fsync", "replace", "rename", "unlink", "mkdir", "makedirs"}


class Killed(BaseException):
    """What no ``except OSError`` stops."""


class DyingSystem:
    """The module ``os``, of which the n-th operation and all after it never happen; fsync is only counted."""

    def __init__(self, operations: int) -> None:
        self.left = operations

    def __getattr__(self, name: str) -> Any:
        thing = getattr(os, name)
        if name not in OPERATIONS:
            return thing

        def operation(*args: Any, **kwargs: Any) -> Any:
            if self.left <= 0:
                raise Killed
            self.left -= 1
            return None if name == "fsync" else thing(*args, **kwargs)

        return operation


@contextmanager
def dying_after(operations: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    system = DyingSystem(operations)
    with monkeypatch.context() as patch:
        for module in (durable, aside):
            patch.setattr(module, "os", system)
        yield


def every_kill(
    job: Callable[[Path], object],
    path: Path,
    reset: Callable[[], object],
    monkeypatch: pytest.MonkeyPatch,
    step: int = 1,
) -> Iterator[None]:
    """Yield after each way to kill ``job`` on a store; ``reset`` makes it anew before."""
    for operations in range(0, 10_000, step):
        reset()
        try:
            with dying_after(operations, monkeypatch):
                job(path)
        except Killed:
            yield
        else:
            return


def copied(start: Path, path: Path) -> Callable[[], object]:
    """Return what brings the folder of ``path`` back to that of ``start``."""

    def reset() -> None:
        shutil.rmtree(path.parent, ignore_errors=True)
        if start.exists():
            shutil.copytree(start.parent, path.parent)

    return reset


@pytest.fixture(params=["data.zarr", "data.h5"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def whole(tmp_path: Path, name: str) -> dict[str, bytes | None]:
    return tree(write_store(tmp_path / "whole" / name, LAYOUT).parent)


def rerun(path: Path, layout: StoreSpec, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes | None]:
    """Run again with fsync only counted; return the tree of the store and all beside it."""
    with dying_after(10_000, monkeypatch):
        write_store(path, layout)
    return tree(path.parent)


def test_killed_while_it_is_created(
    whole: dict[str, bytes | None], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run" / name
    reset = copied(tmp_path / "none" / name, path)
    step = 17 if name == "data.zarr" else 1
    for _ in every_kill(lambda path: open_or_create(path, LAYOUT), path, reset, monkeypatch, step):
        assert not path.exists() or not open_store(path, allow_incomplete=True).complete
        assert rerun(path, LAYOUT, monkeypatch) == whole


def test_killed_while_a_shard_is_committed(
    whole: dict[str, bytes | None], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run" / name
    open_or_create(path, LAYOUT)
    write_one(path, LAYOUT, 1)
    form = form_of(path)
    files = [*form.shard_files(LAYOUT, 0).values(), Ledger(path).file(0)]
    root = form.file(form.root).relative_to(path.parent).as_posix()

    def shards(found: dict[str, bytes | None]) -> dict[str, bytes | None]:
        return {file: data for file, data in found.items() if ".spm" not in file and file != root}

    def reset() -> None:
        for file in files:
            file.unlink(missing_ok=True)

    trials, step = 0, 3 if name == "data.zarr" else 1
    for _ in every_kill(lambda path: write_one(path, LAYOUT, 0), path, reset, monkeypatch, step):
        trials += 1
        done = open_or_create(path, LAYOUT)
        assert 1 in done
        with pytest.raises(StoreError, match="not finished"):
            open_store(path)
        if 0 not in done:
            write_one(path, LAYOUT, 0)
        assert shards(tree(path.parent)) == shards(whole)
    assert trials > 3 * len(files) / step
    assert rerun(path, LAYOUT, monkeypatch) == whole


def test_killed_while_it_is_finalised(
    whole: dict[str, bytes | None], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, path = tmp_path / "start" / name, tmp_path / "run" / name
    open_or_create(start, LAYOUT)
    for shard in range(LAYOUT.n_shards):
        write_one(start, LAYOUT, shard)
    form = form_of(start)
    start.with_name(f".{name}.tmp-left").write_text("")
    (form.home / ".spm/.tmp-left").write_text("")
    if name == "data.zarr":
        (start / "count/zarr.json").write_text("{}")
    trials = 0
    for _ in every_kill(lambda path: finalise(path, LAYOUT), path, copied(start, path), monkeypatch):
        assert rerun(path, LAYOUT, monkeypatch) == whole
        trials += 1
    assert trials > 12


def test_killed_while_a_shard_is_mended(
    whole: dict[str, bytes | None], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, path = write_store(tmp_path / "start" / name, LAYOUT), tmp_path / "run" / name
    files = form_of(start).shard_files(LAYOUT, 0)
    files["offsets" if "offsets" in files else "shard"].unlink()
    trials, step = 0, 5 if name == "data.zarr" else 2
    for _ in every_kill(lambda path: write_store(path, LAYOUT), path, copied(start, path), monkeypatch, step):
        assert rerun(path, LAYOUT, monkeypatch) == whole
        trials += 1
    assert trials > 10


def test_killed_while_it_is_set_aside(
    whole: dict[str, bytes | None], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, path = tmp_path / "start" / name, tmp_path / "run" / name
    old = tree(write_store(start, layout_of(3, 2, maps=False)).parent)

    def force(path: Path) -> None:
        open_or_create(path, LAYOUT, force=True)

    aside = path.parent / f"{name}.old"
    for _ in every_kill(force, path, copied(start, path), monkeypatch, step=17 if name == "data.zarr" else 2):
        with dying_after(10_000, monkeypatch):
            force(path)
            write_store(path, LAYOUT)
        assert tree(aside) == (old if name == "data.h5" else tree(start))
        shutil.rmtree(aside)
        assert tree(path.parent) == whole
