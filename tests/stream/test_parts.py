"""Targets drawn on parts of the caller's buffers, as each thread of a stream does."""

from __future__ import annotations

import numpy as np
import pytest

from spmdata.codec import Codec, Targets
from spmdata.codec.kept import Kept
from spmdata.errors import SpecError
from spmdata.people import People
from spmdata.spec import TargetSpec
from store.cases import SKELETON

CODEC = Codec(TargetSpec(skeleton=SKELETON, input_hw=(32, 48)))


def crowd(rng: np.random.Generator) -> People:
    """Return up to three people."""
    p = int(rng.integers(0, 4))
    return People.of(rng.uniform(0, 48, (p, len(SKELETON), 2)), rng.integers(0, 3, (p, len(SKELETON))))


def zeros(channels_last: bool) -> Targets:
    like = CODEC.kept(4, channels_last=channels_last).encode([crowd(np.random.default_rng(0))] * 4)
    maps = {name: np.zeros_like(m) for name, m in like._asdict().items() if m is not None}  # keeps the order of axes
    return Targets(**maps)


@pytest.mark.parametrize("channels_last", [False, True])
def test_parts_of_a_batch_are_drawn_apart(channels_last: bool) -> None:
    rng, whole = np.random.default_rng(1), zeros(channels_last)
    parts = [slice(0, 3), slice(3, 4)]
    kept = [Kept(CODEC, p.stop - p.start, channels_last=channels_last, out=whole.at(p)) for p in parts]
    for _ in range(4):
        people = [crowd(rng) for _ in range(4)]
        for part, own in zip(parts, kept, strict=True):
            own.encode(people[part])
        for drawn, expected in zip(whole, CODEC.encode_batch(people), strict=True):
            np.testing.assert_array_equal(drawn, expected)


def test_buffers_that_do_not_fit() -> None:
    with pytest.raises(SpecError, match="out must be contiguous, its channels last"):
        Kept(CODEC, 4, channels_last=True, out=zeros(False))
    with pytest.raises(SpecError, match=r"targets.root_heatmap must be \(3, 8, 12\), got \(4, 8, 12\)"):
        Kept(CODEC, 3, out=zeros(False))
