"""Small synthetic data sets for the tests, and a digest of rows that a spawned process can compute too."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import fields
from functools import lru_cache

import numpy as np

from spmdata.people import People, Sample
from spmdata.sources.synthetic import SyntheticSource
from spmdata.sources.synthetic_config import Synthetic
from spmdata.sources.synthetic_scene import Scene, scene

#: Everything happens: crowds, things in front, people cut by the border.
BUSY = Synthetic(seed=7, rows=24, size_hw=(96, 96), people=(2, 4), crowding=0.7, occlusion=0.4, truncation=0.4)


@lru_cache(maxsize=256)
def kept_scene(config: Synthetic, index: int) -> Scene:
    """Draw a row once for all tests that only look at it."""
    return scene(config, index)


def scenes(config: Synthetic = BUSY, rows: int = 24) -> list[Scene]:
    """Return the first rows of a data set."""
    return [kept_scene(config, i) for i in range(rows)]


def digest(config: Synthetic, rows: Sequence[int]) -> dict[int, str]:
    """Return the hash of everything that a source says about each row, its image included."""
    source = SyntheticSource(config)
    return {row: _digest(source[row], source) for row in rows}


def _digest(sample: Sample, source: SyntheticSource) -> str:
    assert source.image_reader is not None
    whole = hashlib.sha256(source.image_reader.read(sample))
    whole.update(repr((sample.id, sample.path, sample.size_hw, sample.meta)).encode())
    for field in fields(People):
        whole.update(np.ascontiguousarray(getattr(sample.people, field.name)).tobytes())
    return whole.hexdigest()
