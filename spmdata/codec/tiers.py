"""Kernels as plain Python while little is asked of them, compiled from then on.

To compile the encoder takes seconds, once on a machine; a picture in plain Python takes some 10 ms, with the same
targets bit for bit. So who wants a few pictures does not wait, and who wants many waits little longer: it is compiled
when plain Python has taken `PATIENCE_S`, or as soon as more than that is asked for. Where compiled code lies in numba's
cache already, that is after a few pictures.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spmdata.codec.plain import plain
from spmdata.kernels import batch
from spmdata.kernels.jit import PLAIN
from spmdata.kernels.rules import Rules

Kernel = Callable[..., None]
#: Seconds of plain Python that are spent sooner than compiling, and sooner than loading: as long as these take.
PATIENCE_S, CACHED_PATIENCE_S = 4.0, 0.5
#: What plain Python takes at most, half of it on a quiet machine: a row of a joint's neighbourhood; a cell of a
#: Gaussian; a row of a heatmap that is searched; two people of a picture, who may meet.
JOINT_ROW_S, BELL_CELL_S, SEARCH_ROW_S, MEET_S = 50e-6, 1e-6, 200e-6, 50e-6


def seconds_to_draw(people: float, joints: int, rules: Rules, map_hw: tuple[int, int]) -> float:
    """Return how long plain Python takes to draw so many people of so many joints."""
    bell = math.prod(min(2 * math.sqrt(rules.heat_cut) + 1, n) for n in map_hw)
    return people * (joints * (2 * rules.reach + 1) * JOINT_ROW_S + bell * BELL_CELL_S)


class Tier:
    """One kernel and how long it may still run as plain Python in this process.

    Parameters
    ----------
    compiled : callable
        A function of `spmdata.kernels`.

    Attributes
    ----------
    settled : bool
        All further work is compiled.
    """

    def __init__(self, compiled: Any) -> None:
        self.compiled = compiled
        self._plain: Kernel = compiled if PLAIN else plain(compiled)
        self._left_s: float | None = None
        self.settled = False

    def affords(self, seconds: float) -> bool:
        """Return whether so many seconds of plain Python are less than waiting for compiled code."""
        if self._left_s is None:
            self._left_s = CACHED_PATIENCE_S if self._cached() else PATIENCE_S
        return not self.settled and seconds <= self._left_s

    def take(self, seconds: float) -> Kernel:
        """Return what to call for work that takes so many seconds as plain Python."""
        if not self.affords(seconds):
            self.settled = True
            return self.compiled  # type: ignore[no-any-return]
        assert self._left_s is not None
        self._left_s -= seconds
        return self._plain

    def _cached(self) -> bool:
        """Return whether it was compiled before, in this process or on this machine."""
        if PLAIN or self.compiled.signatures:
            return True
        function = self.compiled.py_func
        folder = Path(self.compiled.stats.cache_path)
        return any(folder.glob(f"{function.__module__.rpartition('.')[2]}.{function.__name__}-*.nbi"))


ENCODE, DECODE, COLLIDE = (Tier(kernel) for kernel in (batch.encode_rows, batch.decode_rows, batch.collide_row))


@contextmanager
def compiling() -> Iterator[None]:
    """Put off the search for cycles: what numba makes as it compiles mostly stays, and is looked through each time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
