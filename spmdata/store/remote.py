"""Where a store lies that a URL names: the little of `pathlib.Path` that stores need, over any file system of fsspec.

An object is put whole or not at all, and never renamed. Every request may raise what `Connection.request` does.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from spmdata.errors import RemoteError, SpecError
from spmdata.store.connection import Connection

S = TypeVar("S")
T = TypeVar("T")

#: Requests under way at once where one is made for each of many objects.
AT_ONCE = 16
_URL = re.compile(r"[A-Za-z][\w+.\-]*(::[A-Za-z][\w+.\-]*)*://")


class RemotePath:
    """An object at a URL, or all whose names begin with it: `pathlib.Path` as far as a store needs it.

    Paths made from one another share a connection and the objects that it keeps; pickled, a path is its URL.

    Parameters
    ----------
    connection : Connection
        To the file system.
    url : str
        For people.
    key : str
        For the file system.
    """

    def __init__(self, connection: Connection, url: str, key: str) -> None:
        self._connection, self._url, self._key = connection, url, key

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(self._connection, f"{self._url}/{name}", f"{self._key}/{name}")

    def __str__(self) -> str:
        return self._url

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and self._url == other._url

    def __hash__(self) -> int:
        return hash(self._url)

    def __reduce__(self) -> tuple[Any, ...]:
        return locate, (self._url,)

    @property
    def name(self) -> str:
        """What follows the last slash."""
        return self._url.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The ending of the name, such as ``.zarr``."""
        return Path(self.name).suffix

    def with_name(self, name: str) -> RemotePath:
        """Return the path beside this one."""
        url, key = (text.rpartition("/")[0] for text in (self._url, self._key))
        return RemotePath(self._connection, f"{url}/{name}", f"{key}/{name}")

    def with_suffix(self, suffix: str) -> RemotePath:
        """Return the path with another ending."""
        return self.with_name(Path(self.name).with_suffix(suffix).name)

    def absolute(self) -> RemotePath:
        """Return itself: a URL depends on no folder."""
        return self

    def relative_to(self, other: Any) -> Path:
        """Return the name below another path."""
        return Path(self._url).relative_to(Path(str(other)))

    def size(self) -> int | None:
        """Return the bytes of the object; None when there is none."""

        def ask(files: Any) -> int | None:
            info = files.info(self._key)
            return int(info["size"]) if info["type"] == "file" else None

        try:
            return self._request("read", ask)
        except FileNotFoundError:
            return None

    def is_file(self) -> bool:
        """Return whether there is such an object."""
        return self.size() is not None

    exists = is_file

    def is_dir(self) -> bool:
        """Return whether it is a folder of a store: each is a zarr group or array."""
        return (self / "zarr.json").is_file()

    def is_empty(self) -> bool:
        """Return whether no object's name begins with it and a slash."""
        try:
            return not self._request("list", lambda files: files.ls(self._key, detail=False))
        except FileNotFoundError:
            return True

    def below(self) -> dict[RemotePath, int] | None:
        """Return the bytes of every object below it; None where the file system has no listing (HTTP)."""
        if self._connection.lists:
            found = self._request("list", lambda files: files.find(self._key, detail=True))
            named = {name[len(self._key) + 1 :]: int(info["size"]) for name, info in found.items()}
            return {self / name: size for name, size in named.items()}
        return None

    def read_bytes(self) -> bytes:
        """Return the object."""
        return self._read(0, None)  # not None, None: s3fs would ask for the size first

    def read_range(self, offset: int, length: int) -> bytes:
        """Return some bytes of the object; fewer when it ends before."""
        data = self._read(offset, offset + length)
        return data if len(data) <= length else data[offset : offset + length]  # an HTTP server without ranges

    def read_tail(self, length: int) -> bytes:
        """Return the last bytes of the object; fewer when it is smaller."""
        return self._read(-length, None)[-length:]

    def kept(self) -> bytes | None:
        """Return the object if it is in memory."""
        return self._connection.objects.find(self._key)

    def whole(self) -> bytes:
        """Return the object, read once while it is kept in memory: threads that ask at once share one request."""
        if (data := self.kept()) is not None:
            return data
        with self._connection.lock(self._key):
            return self._connection.objects.get(self._key, lambda key: self.read_bytes())

    def fetch(self) -> bytes:
        """Return the object as it is now, and keep that in memory."""
        data = self.read_bytes()
        self._connection.objects.put(self._key, data)
        return data

    def write_bytes(self, data: bytes, *, new: bool = False) -> None:
        """Put the object whole; with ``new``, FileExistsError when it is there already."""
        if not self._connection.lists:
            raise RemoteError(f"cannot write {self}: stores at http:// and https:// are read-only")
        mode = "create" if new else "overwrite"
        try:
            self._request("write", lambda files: files.pipe_file(self._key, data, mode=mode))
        except FileNotFoundError as error:
            raise RemoteError(f"cannot write {self}: {error.__cause__}; create the bucket first") from error

    def unlink(self) -> None:
        """Remove the object; FileNotFoundError when there is none and the store can tell."""
        self._request("remove", lambda files: files.rm_file(self._key))

    def _read(self, start: int, end: int | None) -> bytes:
        try:
            return self._request("read", lambda files: bytes(files.cat_file(self._key, start=start, end=end)))
        except RemoteError as error:
            no_range = getattr(error.__cause__, "errno", 0) == errno.EINVAL  # what s3fs makes of "416"
            if no_range and self.size() == 0:  # S3 has no range of nothing
                return b""
            raise

    def _request(self, verb: str, ask: Callable[[Any], T]) -> T:
        return self._connection.request(verb, self._url, ask)


StorePath = Path | RemotePath
#: What `locate` takes.
StoreName = str | os.PathLike[str] | RemotePath
#: A `StorePath` for those who know that theirs is a `Path`, and need not say it.
AnyPath = Any


def locate(path: StoreName) -> StorePath:
    """Return where a store lies: text with ``://`` is a URL, ``file://`` and all else a path of this machine.

    Raises
    ------
    SpecError
        HDF5 at a URL.
    RemoteError
        No such kind of URL, or the package for it is missing.
    """
    if isinstance(path, RemotePath):
        return path
    if not isinstance(path, str) or not _URL.match(path):
        return Path(path)
    if path.startswith(("file://", "local://")):
        return Path(path.partition("://")[2])
    url = path.rstrip("/")
    if url.endswith(".h5"):
        raise SpecError(f"{url}: HDF5 stores lie on a disk of this machine; at a URL a store is .zarr")
    connection = Connection(url)
    return RemotePath(connection, url, connection.key)


def each(where: StorePath, call: Callable[[S], T], items: Iterable[S]) -> list[T]:
    """Return ``call(item)`` of every item in order: `AT_ONCE` under way at a URL, where each is a request."""
    if not isinstance(where, RemotePath):
        return list(map(call, items))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(call, items))


def bring(files: Sequence[StorePath]) -> None:
    """Have objects in memory whole; what is not there, or lies on a disk, is passed over."""

    def whole(file: StorePath) -> None:
        if isinstance(file, RemotePath):
            with suppress(FileNotFoundError):
                file.whole()

    if files:
        each(files[0], whole, files)
