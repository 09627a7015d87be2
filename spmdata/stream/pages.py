"""Memory for buffers that are written to in a few places each time: in huge pages, where the system has them.

A row of targets is drawn on some hundred lines of memory, most of them in a page of 4 KiB of their own, and to find so
many pages takes about as long as to fetch the lines. numpy asks for huge pages from 4 MB on, but begins where it likes.
"""

from __future__ import annotations

import math
import mmap
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

#: Bytes of a huge page, here and almost everywhere.
PAGE = 2 << 20
#: Bytes of an array from which on it begins on a huge page and takes whole ones.
LEAST = PAGE // 2


def zeros(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return zeros, C-contiguous: those of at least `LEAST` bytes in huge pages, as far as the system has some."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size < LEAST or not hasattr(mmap, "MADV_HUGEPAGE"):
        return np.zeros(shape, dtype)
    whole = -(-size // PAGE) * PAGE
    memory = mmap.mmap(-1, whole + PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel that was built without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    raw = np.frombuffer(memory, np.uint8)
    first = -raw.ctypes.data % PAGE
    return raw[first : first + size].view(dtype).reshape(shape)
