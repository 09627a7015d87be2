"""kernels/zeros.py: whatever lies in an array is 0 afterwards, and nothing beside it."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

from spmdata.kernels.zeros import zero, zero_plainly


@numba.njit
def zero_compiled(array: np.ndarray) -> None:
    zero(array)


@pytest.mark.parametrize("empty", [zero_compiled, zero_plainly])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_all_of_an_array_and_nothing_beside_it(empty: object, dtype: type) -> None:
    assert callable(empty)
    everything: NDArray[Any] = np.ones((4, 5, 6), dtype)
    for part in (np.s_[1], np.s_[:, 1:3], np.s_[::2, ::-1, 1:4], np.s_[:, :, :0], np.s_[:]):
        expected = everything.copy()
        expected[part] = 0
        empty(everything[part])
        np.testing.assert_array_equal(everything, expected)
        everything[...] = 1
        empty(everything.transpose(2, 0, 1)[part])
        expected = np.ones_like(everything)
        expected.transpose(2, 0, 1)[part] = 0
        np.testing.assert_array_equal(everything, expected)
        everything[...] = 1
