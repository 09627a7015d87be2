"""Row numbers as callers give them, checked.

Letters: N rows of a store; n rows asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spmdata.errors import StoreError

Rows = Sequence[int] | NDArray[np.integer[Any]] | slice


def row_numbers(rows: Rows, N: int) -> NDArray[np.int64]:
    """Return row numbers (n,), each in [0, N); StoreError when one is not."""
    if isinstance(rows, slice):
        return np.arange(*rows.indices(N))
    numbers = np.asarray(rows)
    if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        raise StoreError(f"rows must be a sequence of row numbers or a slice, got {rows!r}")
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < N:
        raise StoreError(f"row must be in [0, {N - 1}], got {numbers.min()} to {numbers.max()}")
    return numbers.astype(np.int64, copy=False)


def one_row(row: int, N: int) -> int:
    """Return a row number in [0, N); StoreError when it is not."""
    if not 0 <= row < N:
        raise StoreError(f"row must be in [0, {N - 1}], got {row}")
    return int(row)
