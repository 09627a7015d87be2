"""Writing to a URL: the same bytes as on a disk, after anything; locks; what is refused."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from remote_cases import LAYOUT, FlakyFileSystem, in_child, objects, put, remove
from spmdata.errors import RemoteError, SpecError, StoreError
from spmdata.prepare.plan import plan_store
from spmdata.prepare.run import prepare_store
from spmdata.sources.registry import open_source
from spmdata.spec import TargetSpec
from spmdata.store.reader import open_store
from spmdata.store.remote import RemotePath, StorePath, locate
from spmdata.store.remote_lock import RemoteLock, lock_of
from spmdata.store.writer import open_or_create
from store.cases import layout_of, tree, write_store

URL, KEY = "flaky://bucket/a.zarr", "/bucket/a.zarr"


class Killed(BaseException):
    """Nobody catches it."""


def remote_tree() -> dict[str, bytes]:
    return {name.removeprefix(KEY + "/"): data for name, data in objects().items()}


def test_objects_are_the_files_of_a_disk(tmp_path: Path) -> None:
    on_disk = {name: data for name, data in tree(write_store(tmp_path / "a.zarr", LAYOUT)).items() if data is not None}
    write_store(URL, LAYOUT)
    assert remote_tree() == on_disk
    with lock_of(locate(URL)):
        assert len(open_or_create(URL, LAYOUT)) == 3
    before = objects()
    FlakyFileSystem.requests.clear()
    write_store(URL, LAYOUT)
    assert objects() == before
    assert FlakyFileSystem.requests["put"] == 0


def test_a_shard_is_an_object_an_array_and_a_record() -> None:
    """What docs/remote.md says of requests."""
    requests = FlakyFileSystem.requests
    for n_shards in (1, 3):
        requests.clear()
        write_store(f"{URL}{n_shards}", layout_of(4 * n_shards, 4))
        written = requests["put"] + requests["remove"]
        metadata = len(LAYOUT.arrays()) + 4 + 2  # groups, the manifest, the root again
        assert written == metadata + n_shards * (len(LAYOUT.arrays()) + 1)


@pytest.mark.parametrize("after", [0, 1, 9, 25, 30, 48, 60, 75, 77])
def test_a_killed_run_is_resumed(after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the last object that was put is; shards that have their record are not written again."""
    write_store(URL, LAYOUT)
    whole = objects()
    FlakyFileSystem.store.clear()
    puts = 0

    def kill(verb: str, path: str) -> None:
        nonlocal puts
        puts += verb == "put"
        if verb == "put" and puts > after:
            raise Killed

    monkeypatch.setattr(FlakyFileSystem, "on_request", staticmethod(kill))
    with pytest.raises(Killed):
        write_store(URL, LAYOUT)
    written: list[str] = []
    monkeypatch.setattr(
        FlakyFileSystem, "on_request", staticmethod(lambda verb, path: written.append(path) if verb == "put" else None)
    )
    done = sorted(name[-10:-5] for name in objects() if "/ledger/" in name)
    write_store(URL, LAYOUT)
    assert objects() == whole
    assert not [path for path in written if "/c." in path and path.partition("/c.")[2][0] in {d[-1] for d in done}]


def test_a_lost_object_is_written_again() -> None:
    write_store(URL, LAYOUT)
    whole = objects()
    remove(f"{KEY}/offsets/c.1.0.0.0.0")
    put(f"{KEY}/row/view/c.2", b"of no use")
    assert sorted(open_or_create(URL, LAYOUT)) == [0]
    with pytest.raises(StoreError, match="is not finished: 1 of 3 shards"):
        open_store(URL)
    write_store(URL, LAYOUT)
    assert objects() == whole


def test_other_settings_are_refused_and_force_too() -> None:
    write_store(URL, LAYOUT)
    before = objects()
    with pytest.raises(StoreError, match=r"a\.zarr was made by other settings: sigma 7\.0 there, 5\.0 here"):
        open_or_create(URL, layout_of(11, 4, sigma=5))
    with pytest.raises(StoreError, match=r"--force cannot rename flaky://bucket/a\.zarr aside: choose another"):
        open_or_create(URL, layout_of(11, 4, sigma=5), force=True)
    put("/bucket/photos/a.jpg", b"1")
    with pytest.raises(StoreError, match="flaky://bucket/photos is there and is no spm store"):
        open_or_create("flaky://bucket/photos", LAYOUT)
    remove("/bucket/photos/a.jpg")
    assert objects() == before


@pytest.mark.parametrize("scheduler", ["processes", "tcp://127.0.0.1:1"])
def test_memory_of_this_process_is_no_other_process_s(scheduler: str) -> None:
    source = open_source("synthetic", rows=3, size_hw=(64, 64))
    plan = plan_store(source, TargetSpec(input_hw=(64, 64)), "memory://a.zarr", images=False)
    with pytest.raises(SpecError, match=rf"lies in the memory of this process: it takes .* threads, not {scheduler}"):
        prepare_store(plan, scheduler=scheduler)


def test_locks_are_one_object() -> None:
    with lock_of(locate(URL)) as lock:
        assert isinstance(lock, RemoteLock)
        assert list(objects()) == [f"{KEY}.lock"]
        with pytest.raises(StoreError, match=rf"a\.zarr\.lock: process {os.getpid()} on .* is writing this store"):
            lock_of(locate(URL)).__enter__()
        assert in_child(lambda: lock.__exit__(None, None, None)) == 0
        assert list(objects()) == [f"{KEY}.lock"]
    assert not objects()
    assert lock.message == ""


@pytest.mark.parametrize(
    ("host", "pid"), [(socket.gethostname(), 2**22 + 1), (socket.gethostname(), os.getpid()), ("elsewhere", 1)]
)
def test_lock_of_a_dead_run(host: str, pid: int) -> None:
    """Also of one that had our process id."""
    put(f"{KEY}.lock", json.dumps({"host": host, "pid": pid, "run": "before"}).encode())
    if host == "elsewhere":
        with pytest.raises(
            StoreError, match=r"process .* on elsewhere holds this store.* run spm prepare again with --take-over"
        ):
            lock_of(locate(URL)).__enter__()
    with lock_of(locate(URL), take_over=host == "elsewhere") as lock:
        assert lock.message == f"took over the lock of process {pid} on {host}, which did not finish"
        assert json.loads(objects()[f"{KEY}.lock"])["pid"] == os.getpid()
    assert not objects()


def test_two_that_lock_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other's lock appears between our look and our put."""

    def other(verb: str, path: str) -> None:
        if verb == "put" and not objects():
            put(f"{KEY}.lock", json.dumps({"host": "elsewhere", "pid": 1}).encode())

    monkeypatch.setattr(FlakyFileSystem, "on_request", staticmethod(other))
    with pytest.raises(StoreError, match="process 1 on elsewhere holds this store"):
        lock_of(locate(URL)).__enter__()
    assert json.loads(objects()[f"{KEY}.lock"])["host"] == "elsewhere"


def test_a_store_that_cannot_create_exclusively(monkeypatch: pytest.MonkeyPatch) -> None:
    put_any = FlakyFileSystem.pipe_file

    def pipe_file(self: FlakyFileSystem, path: str, value: bytes, mode: str = "overwrite", **kwargs: object) -> None:
        if mode == "create":
            raise NotImplementedError("Exclusive write")
        put_any(self, path, value, mode, **kwargs)

    monkeypatch.setattr(FlakyFileSystem, "pipe_file", pipe_file)
    with lock_of(locate(URL)):
        assert list(objects()) == [f"{KEY}.lock"]
        with pytest.raises(StoreError, match="is writing this store"):
            lock_of(locate(URL)).__enter__()


@pytest.mark.parametrize(
    ("name", "is_url"),
    [
        ("a.zarr", False),
        ("C:/a b#1.zarr", False),
        ("odd:name/x.zarr", False),
        ("file:///tmp/a b#1.zarr", False),
        ("flaky://bucket/a b#1.zarr", True),
        ("flaky://bucket/a.zarr/", True),
    ],
)
def test_what_is_a_url(name: str, is_url: bool) -> None:
    place: StorePath = locate(name)
    assert isinstance(place, RemotePath) == is_url
    assert str(place) == name.removeprefix("file://").rstrip("/")
    assert place.name == name.rstrip("/").rpartition("/")[2]


def test_odd_names_work(tmp_path: Path) -> None:
    local = write_store(tmp_path / "a b#1:2.zarr", LAYOUT)
    assert len(open_store(f"file://{local}")) == len(open_store(str(local))) == 11
    write_store("flaky://bucket/a b#1:2%20?x.zarr", LAYOUT)
    assert "/bucket/a b#1:2%20?x.zarr/zarr.json" in objects()
    assert len(open_store("flaky://bucket/a b#1:2%20?x.zarr")) == 11


def test_urls_that_cannot_be() -> None:
    with pytest.raises(SpecError, match=r"HDF5 stores lie on a disk of this machine; at a URL a store is \.zarr"):
        open_store("flaky://bucket/a.h5")
    with pytest.raises(RemoteError, match=r"^nosuch://b/a\.zarr: Protocol not known: nosuch; fsspec has s3://"):
        open_store("nosuch://b/a.zarr")
