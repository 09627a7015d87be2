"""kernels/past.py: maps written past the caches are those that are drawn where they lie, to the bit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codec_cases import CAMERA, crowds, specs
from spmdata.codec import Codec, Targets
from spmdata.kernels import past
from spmdata.people import People
from spmdata.spec import TargetSpec

#: Cells of maps that are whole lines in uint8: rows of several lines, of one and a half, of a fraction of one.
WHOLE = [(8, 128), (2, 96), (8, 40), (16, 12), (64, 1)]


def maps(targets: Targets) -> list[NDArray[np.generic]]:
    return [array for array in targets if array is not None]


def spoil(targets: Targets) -> None:
    for array in maps(targets):
        array.fill(np.nan if array.dtype.kind == "f" else 255)


def assert_same(found: Targets, wanted: Targets) -> None:
    for ours, theirs in zip(maps(found), maps(wanted), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from(["float32", "float16"]))
def test_past_the_caches_equals_drawn_in_them(data: st.DataObject, dtype: str) -> None:
    height, width = data.draw(st.sampled_from(WHOLE))
    spec = data.draw(specs(dtype=dtype, stride=4, input_hw=(4 * height, 4 * width)))
    codec = Codec(spec)
    out = codec.empty_targets(2)
    for _ in range(2):  # the page forgets what it held
        images = [data.draw(crowds(spec)) for _ in range(2)]
        wanted = codec.encode_batch(images, cameras=[CAMERA] * 2)
        spoil(out)
        with mock.patch.object(past, "LEAST", 0):
            assert past.goes_past(maps(out)[1:3])
            codec.encode_batch(images, out, cameras=[CAMERA] * 2)
        assert_same(out, wanted)


def test_large_maps_go_past_the_caches_from_several_threads() -> None:
    spec, rng = TargetSpec(input_hw=(512, 512), hierarchical=True), np.random.default_rng(0)
    images = [People.of(rng.uniform(0, 512, (3, 17, 2)), np.full((3, 17), 2)) for _ in range(32)]
    codec = Codec(spec)
    out = codec.empty_targets(32)
    spoil(out)
    halves = [slice(0, 16), slice(16, 32)]
    assert all(past.goes_past([maps(out)[i][half] for i in (1, 2)]) for half in halves)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda half: codec.encode_batch(images[half], out.at(half)), halves))
    for i, people in enumerate(images):
        assert_same(out.at(i), codec.encode(people))


@pytest.mark.parametrize("shape", [(3, 17, 2, 128, 128), (1, 17, 2, 8, 8)])
def test_what_goes_past(shape: tuple[int, ...]) -> None:
    room = past.on_line(shape, np.float32)
    assert not past.goes_past([room])
    with mock.patch.object(past, "LEAST", room.nbytes):
        assert past.goes_past([room])
        assert not past.goes_past([room[:-1]])
        assert not past.goes_past([room[..., ::-1]])
        assert not past.goes_past([np.empty((*shape[:-2], 7, 9), np.uint8), room])
        aside = past.on_line((room.size + 1,), np.float32)[1:].reshape(shape)
        assert not past.goes_past([aside])
