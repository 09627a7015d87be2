"""What surrounds the first call of the kernels, which compiles or loads them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


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
