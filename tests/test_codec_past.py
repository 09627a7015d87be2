"""kernels/past.py: maps written past the caches are those that are drawn where they lie, to the bit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from codec_cases import CAMERA, assert_same, crowds, maps, specs
from spmdata.codec import Codec, Targets
from spmdata.kernels import past
from spmdata.people import People
from spmdata.spec import TargetSpec

#: Cells of maps that are whole lines in uint8: rows of several lines, of one and a half, of a fraction of one.
WHOLE = [(8, 128), (2, 96), (8, 40), (16, 12), (64, 1)]


def spoil(targets: Targets) -> None:
    for array in maps(targets):
        array.fill(np.nan if array.dtype.kind == "f" else 255)


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
            assert past.goes_past(codec._maps(out))
            codec.encode_batch(images, out, cameras=[CAMERA] * 2)
        assert_same(maps(out), maps(wanted))


def test_large_maps_go_past_the_caches_from_several_threads() -> None:
    spec, rng = TargetSpec(input_hw=(512, 512), hierarchical=True), np.random.default_rng(0)
    people = [People.of(rng.uniform(0, 512, (3, 17, 2)), np.full((3, 17), 2)) for _ in range(32)]
    codec = Codec(spec)
    out = codec.empty_targets(32)
    spoil(out)
    halves = [slice(0, 16), slice(16, 32)]
    assert all(past.goes_past(codec._maps(out.at(half))) for half in halves)

    def draw(half: slice) -> Targets:
        return codec.encode_batch(people[half], out.at(half))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(draw, halves))
    for i, one in enumerate(people):
        assert_same(maps(out.at(i)), maps(codec.encode(one)))


def test_what_goes_past() -> None:
    whole, torn = (Codec(TargetSpec(input_hw=hw)) for hw in ((512, 512), (500, 508)))

    def goes(codec: Codec, targets: Targets) -> bool:
        return past.goes_past(codec._maps(targets))

    assert not goes(whole, whole.empty_targets(8))
    large = whole.empty_targets(12)
    assert goes(whole, large)
    assert not goes(torn, torn.empty_targets(12)), "a plane of 125 x 127 cells is no number of lines"
    aside = past.on_line((large.offsets.size + 1,), np.float32)[1:].reshape(large.offsets.shape)
    assert not goes(whole, large._replace(offsets=aside))
    assert not goes(whole, large._replace(offsets=large.offsets[..., ::-1]))
