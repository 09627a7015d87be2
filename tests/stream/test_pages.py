"""Zeros in huge pages: they are what numpy's are, wherever they lie."""

from __future__ import annotations

import mmap

import numpy as np
import pytest

from spmdata.stream.pages import LEAST, PAGE, zeros


@pytest.mark.parametrize("shape", [(), (0, 4), (3, 5), (LEAST // 4 - 1,), (LEAST // 4,), (3, 1 + PAGE // 4, 2)])
@pytest.mark.parametrize("dtype", [np.uint8, "float16", np.float32])
def test_zeros_are_zeros(shape: tuple[int, ...], dtype: str) -> None:
    found = zeros(shape, dtype)
    assert found.shape == shape
    assert found.dtype == np.dtype(dtype)
    assert found.flags.c_contiguous
    assert found.flags.writeable
    assert not found.any()
    found[...] = 1
    assert found.all()


@pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="this system has no huge pages to ask for")
def test_large_ones_begin_on_a_page() -> None:
    assert zeros((LEAST,), np.uint8).ctypes.data % PAGE == 0


def test_they_can_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(mmap, "MADV_HUGEPAGE", raising=False)
    assert not zeros((LEAST,), np.uint8).any()
