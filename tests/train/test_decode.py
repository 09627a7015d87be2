"""decode.py against the numba codec: equal people, on drawn targets and on any maps, ties included."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spmdata.codec import Codec, Targets
from spmdata.people import People
from spmdata.spec import TargetSpec
from spmtrain.decode import BatchDecoder
from spmtrain.maps import Maps

SPECS = st.builds(
    TargetSpec,
    hierarchical=st.booleans(),
    anchor=st.sampled_from(["parent", "root"]),
    norm=st.sampled_from(["diagonal", "none"]),
    nms=st.sampled_from([1, 3, 5, 7]),
    max_people=st.sampled_from([1, 4, 30]),
    input_hw=st.sampled_from([(32, 48), (64, 32)]),
    threshold=st.sampled_from([0.1, 0.5]),
)


def equal(spec: TargetSpec, targets: Targets, device: str = "cpu") -> None:
    """Demand the same people in the same order from both decoders."""
    maps = Maps(torch.tensor(targets.root_heatmap, device=device), torch.tensor(targets.offsets, device=device))
    ours = BatchDecoder(spec)(maps).people()
    theirs = Codec(spec).decode_batch(Targets(targets.root_heatmap, targets.offsets))
    assert [len(p) for p in ours] == [len(p) for p in theirs]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.score, b.score)
        np.testing.assert_allclose(a.joints, b.joints, atol=1e-4, rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(SPECS, st.integers(0, 2**32 - 1), st.booleans())
def test_any_maps(spec: TargetSpec, seed: int, plateaus: bool) -> None:
    rng = np.random.default_rng(seed)
    heatmap = rng.random((3, *spec.map_hw))
    if plateaus:
        heatmap = np.round(heatmap * 3) / 3
    offsets = rng.normal(0, 0.2, (3, 17, 2, *spec.map_hw)).astype(np.float32)
    equal(spec, Targets(heatmap.astype(np.float32), offsets))


def people(seed: int, spec: TargetSpec) -> People:
    rng = np.random.default_rng(seed)
    h, w = spec.input_hw
    joints = rng.normal(0, 12, (5, 17, 2)) + rng.random((5, 1, 2)) * [w, h]
    return People.of(joints, rng.integers(0, 3, (5, 17)))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("hierarchical", [False, True])
def test_drawn_targets(seed: int, hierarchical: bool) -> None:
    spec = TargetSpec(hierarchical=hierarchical, input_hw=(128, 192))
    equal(spec, Codec(spec).encode_batch([people(seed + i, spec) for i in range(4)]))


def test_nobody_and_nonsense() -> None:
    spec = TargetSpec(hierarchical=True, input_hw=(32, 32))
    empty = BatchDecoder(spec)(Maps(torch.zeros(2, 8, 8), torch.zeros(2, 17, 2, 8, 8)))
    assert [len(p) for p in empty.people()] == [0, 0]
    heatmap = torch.zeros(1, 8, 8)
    heatmap[0, 3, 3] = 1
    for wrong in (float("nan"), float("inf"), -float("inf"), 1e30):
        decoded = BatchDecoder(spec)(Maps(heatmap, torch.full((1, 17, 2, 8, 8), wrong)))
        assert decoded.number.tolist() == [1]  # and no index out of bounds


@pytest.mark.gpu
def test_on_a_gpu() -> None:
    spec = TargetSpec(hierarchical=True, input_hw=(128, 192))
    equal(spec, Codec(spec).encode_batch([people(i, spec) for i in range(4)]), "cuda")
