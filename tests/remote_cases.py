"""What the tests of stores at URLs share: a file system in memory that counts requests and fails on demand."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

import fsspec
from fsspec.implementations.memory import MemoryFileSystem

from store.cases import layout_of

LAYOUT = layout_of(11, 4)


class FlakyFileSystem(MemoryFileSystem):  # type: ignore[misc]
    """``flaky://``: memory, whose every request is told to `on_request` first, which may raise."""

    protocol = "flaky"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    on_request: ClassVar[Callable[[str, str], None]] = staticmethod(lambda verb, path: None)
    requests: ClassVar[Counter[str]] = Counter()

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.replace("flaky://", "memory://", 1)))

    def _count(self, verb: str, path: str) -> None:
        self.requests[verb] += 1
        type(self).on_request(verb, path)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        self._count("whole" if start == 0 and end is None else "range", path)
        return bytes(super().cat_file(path, start, end, **kwargs))

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        self._count("put", path)
        super().pipe_file(path, value, mode, **kwargs)

    def info(self, path: str, **kwargs: Any) -> Any:
        self._count("info", path)
        return super().info(path, **kwargs)

    def rm_file(self, path: str) -> None:
        self._count("remove", path)
        super().rm_file(path)

    def ls(self, path: str, **kwargs: Any) -> Any:
        self._count("list", path)
        return super().ls(path, **kwargs)

    def find(self, path: str, **kwargs: Any) -> Any:
        self._count("list", path)
        return super().find(path, **kwargs)


def objects() -> dict[str, bytes]:
    """Return everything in the flaky file system."""
    return {name: bytes(file.getbuffer()) for name, file in FlakyFileSystem.store.items()}


def put(name: str, data: bytes) -> None:
    """Put an object, uncounted."""
    MemoryFileSystem.pipe_file(fsspec.filesystem("flaky"), name, data)


def remove(name: str) -> None:
    """Remove an object."""
    del FlakyFileSystem.store[name]


def flip_bit(name: str, bit: int) -> None:
    """Flip one bit of an object."""
    data = bytearray(objects()[name])
    data[bit // 8] ^= 1 << bit % 8
    put(name, bytes(data))


def in_child(work: Callable[[], None]) -> int:
    """Run in a forked child; return its exit code, 0 when nothing was raised."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        work()
        os._exit(0)
    except BaseException:
        os._exit(1)


fsspec.register_implementation("flaky", FlakyFileSystem, clobber=True)
