"""What a reader keeps: the values used last, up to a weight; for any threads, and empty again in a forked child."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
D = TypeVar("D")
V = TypeVar("V")

#: How many forks led to this process: asking the system for its number would take longer than finding a value.
_forks = 0


def _forked() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class Window(Generic[V]):
    """Values by key, the least recently used out first.

    Parameters
    ----------
    limit : int
        Most weight to keep; a value that is heavier alone is handed out and not kept.
    weigh : callable
        Weight of a value.
    """

    def __init__(self, limit: int, weigh: Callable[[V], int]) -> None:
        self._limit, self._weigh = limit, weigh
        self._clear()

    def find(self, key: Hashable, default: D | None = None) -> V | D | None:
        """Return the value of a key if it is kept."""
        self._own()
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key, default)

    def get(self, key: K, make: Callable[[K], V]) -> V:
        """Return the value of a key, made of it now if it is not kept; two threads may make one twice."""
        if self._forks == _forks:
            # Without the lock, which takes as long as the rest: each line is one step of the interpreter, and a value
            # that another thread drops between the two is made anew.
            try:
                self._values.move_to_end(key)
                return self._values[key]
            except KeyError:
                pass
        value = make(key)
        self.put(key, value)
        return value

    def put(self, key: Hashable, value: V) -> None:
        """Keep a value instead of what was kept under its key."""
        self._own()
        weight = self._weigh(value)
        with self._lock:
            if key in self._values:
                self._weight -= self._weigh(self._values.pop(key))
            if weight <= self._limit:
                self._values[key] = value
                self._weight += weight
            while self._weight > self._limit:
                self._weight -= self._weigh(self._values.popitem(last=False)[1])

    def _own(self) -> None:
        """Begin empty in a forked child: a lock that another thread held at the fork would never open again."""
        if self._forks != _forks:
            self._clear()

    def _clear(self) -> None:
        self._forks, self._lock, self._weight = _forks, threading.Lock(), 0
        self._values: OrderedDict[Hashable, V] = OrderedDict()
