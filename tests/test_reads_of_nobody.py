"""Reads of nobody fill nothing: not one byte behind arrays that have no rows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from skeleton_cases import WHOLE133
from spmdata.codec import Codec
from spmdata.people import People
from spmdata.spec import TargetSpec


def test_nothing_is_written_behind_arrays_without_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    codec, made = Codec(TargetSpec(skeleton=WHOLE133, input_hw=(64, 64))), []
    nobody = People.empty(133)

    def guarded(shape: int | tuple[int, ...], dtype: Any = np.float64) -> np.ndarray[Any, Any]:
        """Return the first rows of an array that is longer and all ones."""
        rows, *rest = (shape,) if isinstance(shape, int) else shape
        longer = np.ones((rows + 2, *rest), dtype)
        made.append((longer, rows))
        return longer[:rows]

    with monkeypatch.context() as watched:
        watched.setattr("spmdata.codec.targets.np", SimpleNamespace(**{**vars(np), "empty": guarded}))
        codec.reads(nobody)
    assert [rows for _, rows in made].count(0) >= 5
    for longer, rows in made:
        assert (longer[rows:] == 1).all()
