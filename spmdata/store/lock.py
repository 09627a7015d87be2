"""One writer at a time: ``OUT.zarr.lock`` beside the store, held by flock and naming host and process.

The kernel lets go of a flock when its process dies, so a lock of this host that can be had is a dead run's. Other hosts
may share the folder without sharing flock: the file's word counts for those. A forked child gives its copy of the
handle back at once, so it neither keeps the lock alive nor releases it.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from spmdata.errors import StoreError

_held: set[int] = set()


def _close_in_child() -> None:
    for handle in _held:
        os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=_close_in_child)


class StoreLock:
    """A context manager that holds the lock of a store.

    Parameters
    ----------
    path : path-like
        The store; it need not exist yet.
    take_over : bool
        Also take a lock that another host left behind.

    Attributes
    ----------
    message : str
        A line for the user when another run's lock was taken over, else empty; set on entering.

    Raises
    ------
    StoreError
        On entering: a live process holds it (the message names its pid), or another host's lock is there.
    """

    def __init__(self, path: str | os.PathLike[str], *, take_over: bool = False) -> None:
        path = Path(path)
        self.message = ""
        self._path = path.with_name(path.name + ".lock")
        self._take_over = take_over
        self._handle = -1
        self._pid = 0

    def __enter__(self) -> StoreLock:
        """Take the lock."""
        handle = self._open()
        while not self._is_named(handle):  # its last owner removed the file between our open and our flock
            os.close(handle)
            handle = self._open()
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps({"host": socket.gethostname(), "pid": os.getpid()}).encode(), 0)
        self._handle, self._pid = handle, os.getpid()
        _held.add(handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the lock file and let go; nothing in a forked child."""
        if self._pid != os.getpid():
            return
        with suppress(FileNotFoundError):
            os.unlink(self._path)
        _held.discard(self._handle)
        os.close(self._handle)
        self._handle, self._pid = -1, 0

    def _open(self) -> int:
        """Open the lock file and claim it; StoreError when it cannot be had."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            where = f"{self._path.parent} is no folder" if isinstance(error, FileExistsError) else error.strerror
            raise StoreError(
                f"cannot create the lock {self._path}: {where}; name a store in a folder that may be written"
            ) from error
        try:
            self._claim(handle)
        except BaseException:
            os.close(handle)
            raise
        return handle

    def _claim(self, handle: int) -> None:
        """Take the flock or raise; set the message when the file names another run."""
        free = _flock(handle)
        owner = _owner(handle)
        here = owner.get("host") == socket.gethostname()
        who = f"process {owner.get('pid')} on {owner.get('host')}" if owner else "another process"
        if free is None:  # a file system without flock: the file's word is all there is
            free = not (here and alive(owner.get("pid")))
        if not free:
            raise StoreError(f"{self._path}: {who} is writing this store; wait for it, or stop it and run again")
        if owner and not here and not self._take_over:
            raise held_elsewhere(self._path, who)
        self.message = f"took over the lock of {who}, which did not finish" if owner else ""

    def _is_named(self, handle: int) -> bool:
        """Whether the file that is open is still the one that bears the name."""
        try:
            return os.path.samestat(os.fstat(handle), os.stat(self._path))
        except FileNotFoundError:
            return False


def _flock(handle: int) -> bool | None:
    """Whether the flock could be had; None where the file system has none."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _owner(handle: int) -> dict[str, Any]:
    """Return what the file says of its owner; empty when it says nothing, as in the moment after its creation."""
    try:
        owner = json.loads(os.pread(handle, 4096, 0))
    except ValueError:
        return {}
    return owner if isinstance(owner, dict) else {}


def held_elsewhere(lock: object, who: str) -> StoreError:
    """Return the error of a lock that another host's run left or holds."""
    return StoreError(
        f"{lock}: {who} holds this store, and from {socket.gethostname()} it cannot be seen whether it lives; if it "
        "does not, run spm prepare again with --take-over, or remove that lock"
    )


def alive(pid: object) -> bool:
    """Return whether a process of this host lives; False for what is no process id."""
    if not isinstance(pid, int) or pid < 1:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
