"""One writer at a time at a URL: the object ``OUT.zarr.lock`` beside the store, naming host and process.

It is created only if it is not there, where the store can do that (S3, Google), and else put and read again. No kernel
lets go of it when its process dies: its word is all there is.
"""

from __future__ import annotations

import json
import os
import socket
import uuid
from contextlib import suppress
from types import TracebackType
from typing import Any

from spmdata.errors import RemoteError, StoreError
from spmdata.store.lock import StoreLock, alive, held_elsewhere
from spmdata.store.remote import RemotePath, StorePath

#: Runs of this process that hold a lock: another with its process id is dead, as in containers that count from 1.
_held: set[str] = set()


def lock_of(path: StorePath, *, take_over: bool = False) -> StoreLock | RemoteLock:
    """Return the lock of a store, to be held by ``with``; both kinds say in ``message`` what was taken over."""
    if isinstance(path, RemotePath):
        return RemoteLock(path, take_over=take_over)
    return StoreLock(path, take_over=take_over)


class RemoteLock:
    """A context manager that holds the lock of a store at a URL.

    Parameters
    ----------
    path : RemotePath
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
        On entering: a live process holds it, or another host's lock is there.
    RemoteError
        On entering: the URL cannot be reached or written.
    """

    def __init__(self, path: RemotePath, *, take_over: bool = False) -> None:
        self.message = ""
        self._path, self._take_over, self._pid = path.with_name(path.name + ".lock"), take_over, 0
        self._mine: dict[str, Any] = {"host": socket.gethostname(), "pid": os.getpid(), "run": uuid.uuid4().hex}

    def __enter__(self) -> RemoteLock:
        """Take the lock."""
        _held.add(self._mine["run"])
        try:
            self._take()
        except BaseException:
            _held.discard(self._mine["run"])
            raise
        self._pid = os.getpid()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the lock object if it is still ours; nothing in a forked child, nor where the URL has gone."""
        if self._pid != os.getpid():
            return
        self._pid = 0
        _held.discard(self._mine["run"])
        with suppress(RemoteError, FileNotFoundError):
            if self._owner() == self._mine:
                self._path.unlink()

    def _take(self) -> None:
        owner = self._owner()
        self._judge(owner)
        try:
            self._put(new=owner is None)
        except FileExistsError:
            self._judge(self._owner())
            self._put(new=False)
        if (owner := self._owner()) != self._mine:  # put by another at the same moment: the last one has it
            self._judge(owner)

    def _put(self, *, new: bool) -> None:
        data = json.dumps(self._mine).encode()
        try:
            self._path.write_bytes(data, new=new)
        except RemoteError as error:
            if not new or not _cannot_create(error.__cause__):
                raise
            self._path.write_bytes(data)

    def _owner(self) -> dict[str, Any] | None:
        """Return what the object says of its owner, empty when it says nothing; None when there is none."""
        try:
            owner = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            return {}
        return owner if isinstance(owner, dict) else {}

    def _judge(self, owner: dict[str, Any] | None) -> None:
        """Raise unless the lock may be taken; set the message when it is another run's."""
        if owner is None:
            return
        who, here = f"process {owner.get('pid')} on {owner.get('host')}", owner.get("host") == self._mine["host"]
        lives = owner.get("run") in _held if owner.get("pid") == os.getpid() else alive(owner.get("pid"))
        if here and lives:
            raise StoreError(
                f"{self._path}: {who} is writing this store; wait for it, or stop it and run again (if that is no run "
                "of spm prepare, remove this object)"
            )
        if not here and not self._take_over:
            raise held_elsewhere(self._path, who)
        self.message = f"took over the lock of {who}, which did not finish"


def _cannot_create(error: BaseException | None) -> bool:
    """Whether the store does not know how to create only what is not there."""
    return isinstance(error, NotImplementedError) or "NotImplemented" in repr(getattr(error, "__cause__", None))
