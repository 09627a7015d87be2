"""One writer at a time, over processes that live, die, fork and spawn."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spmdata.errors import StoreError
from spmdata.store.lock import StoreLock

HOLD = """
import sys, time
from spmdata.store.lock import StoreLock
with StoreLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""
FORK = """
import os, sys, time
from spmdata.store.lock import StoreLock
with StoreLock(sys.argv[1]):
    if os.fork() == 0:
        if sys.argv[2] == "stay":
            print("held", os.getpid(), flush=True)
            time.sleep(60)
        sys.exit()  # through __exit__
    if sys.argv[2] == "go":
        os.wait()
        print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def running(code: str, *args: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yield a process that holds the lock and what it said; kill it at the end."""
    command = [sys.executable, "-W", "ignore", "-c", code, *map(str, args)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        line = process.stdout.readline()
        try:
            assert line.startswith("held")
            yield process, line
        finally:
            process.kill()


def test_two_writers_at_once_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "new" / "data.zarr"
    with StoreLock(path) as held:
        assert held.message == ""
        with pytest.raises(StoreError, match=rf"data\.zarr\.lock: process {os.getpid()} on .* is writing this store"):
            StoreLock(path, take_over=True).__enter__()
        assert path.with_name("data.zarr.lock").exists()
    assert list(path.parent.iterdir()) == []
    with StoreLock(path) as again:
        assert again.message == ""


def test_lock_of_a_live_process_is_refused_and_of_a_killed_one_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "data.zarr"
    with running(HOLD, path) as (process, _):
        with pytest.raises(StoreError, match=f"process {process.pid} on"):
            StoreLock(path).__enter__()
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert path.with_name("data.zarr.lock").exists()
        with StoreLock(path) as taken:
            assert f"took over the lock of process {process.pid} on {socket.gethostname()}" in taken.message
    assert list(tmp_path.iterdir()) == []


def test_orphan_does_not_keep_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "data.zarr"
    with running(FORK, path, "stay") as (process, line):
        orphan = int(line.split()[1])
        try:
            process.kill()
            process.wait()
            with StoreLock(path) as taken:
                assert str(process.pid) in taken.message
        finally:
            os.kill(orphan, signal.SIGKILL)


def test_forked_child_does_not_release_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "data.zarr"
    with running(FORK, path, "go") as (process, _), pytest.raises(StoreError, match=f"process {process.pid}"):
        StoreLock(path).__enter__()


def test_spawned_child_does_not_inherit_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "data.zarr"
    code = "import os; print([os.path.realpath(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')])"
    with StoreLock(path):
        child = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, close_fds=False, check=True
        )
        assert "fd" in child.stdout
        assert "data.zarr.lock" not in child.stdout
        with pytest.raises(StoreError, match="is writing"):
            StoreLock(path).__enter__()


def test_lock_of_another_host_needs_take_over(tmp_path: Path) -> None:
    path, file = tmp_path / "data.zarr", tmp_path / "data.zarr.lock"
    file.write_text(json.dumps({"host": "elsewhere", "pid": 7}))
    with pytest.raises(StoreError, match=r"process 7 on elsewhere holds this store, .* --take-over"):
        StoreLock(path).__enter__()
    assert "elsewhere" in file.read_text()
    with StoreLock(path, take_over=True) as taken:
        assert taken.message == "took over the lock of process 7 on elsewhere, which did not finish"
    assert not file.exists()


@pytest.mark.parametrize("text", ["", "[1]", "{"])
def test_lock_that_says_nothing_is_taken(text: str, tmp_path: Path) -> None:
    (tmp_path / "data.zarr.lock").write_text(text)
    with StoreLock(tmp_path / "data.zarr") as taken:
        assert taken.message == ""


@pytest.mark.parametrize(("pid", "alive"), [(os.getpid(), True), (1, True), (2**22 + 1, False), (None, False)])
def test_without_flock_the_file_decides(
    pid: int | None, alive: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_flock(handle: int, how: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", no_flock)
    (tmp_path / "data.zarr.lock").write_text(json.dumps({"host": socket.gethostname(), "pid": pid}))
    if alive:
        with pytest.raises(StoreError, match=f"process {pid} on .* is writing this store"):
            StoreLock(tmp_path / "data.zarr").__enter__()
    else:
        with StoreLock(tmp_path / "data.zarr") as taken:
            assert "took over" in taken.message


def test_lock_that_cannot_be_created_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot create the lock .*: "):
        StoreLock(tmp_path / "file" / "data.zarr").__enter__()
