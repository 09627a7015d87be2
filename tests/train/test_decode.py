"""decode.py against the numba codec: equal people, on drawn targets and on any maps, ties included."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codec_cases import CAMERA, crowds, specs
from spmdata.codec import Codec, Targets
from spmdata.people import People
from spmdata.spec import TargetSpec
from spmtrain.decode import BatchDecoder, Decoded
from spmtrain.maps import Maps, TargetMaps

SPECS = st.builds(
    TargetSpec,
    hierarchical=st.booleans(),
    anchor=st.sampled_from(["parent", "root"]),
    norm=st.sampled_from(["diagonal", "none"]),
    nms=st.sampled_from([1, 3, 5, 7]),
    max_people=st.sampled_from([1, 4, 30, 1000]),
    input_hw=st.sampled_from([(32, 48), (64, 32), (4, 4), (4, 36)]),
    threshold=st.sampled_from([0.1, 0.5]),
)


def equal(spec: TargetSpec, targets: Targets, device: str) -> None:
    """Demand the same people in the same order from both decoders."""
    arrays = [torch.tensor(maps, device=device) for maps in targets if maps is not None]
    maps = TargetMaps(*arrays) if targets.count is not None else Maps(*arrays)
    f_px = torch.full((len(arrays[0]),), CAMERA.f_px, dtype=torch.float64, device=device) if spec.dims == 3 else None
    ours: Decoded = BatchDecoder(spec).to(device)(maps, f_px)
    theirs = Codec(spec).decode_tables(targets, [CAMERA] * len(arrays[0]) if spec.dims == 3 else None)
    for name in ("number", "score", "visible", "has_depth", "cells"):
        np.testing.assert_array_equal(getattr(ours, name).cpu(), getattr(theirs, name), err_msg=name)
    np.testing.assert_allclose(ours.joints.cpu(), theirs.joints, atol=1e-4, rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(SPECS, st.integers(0, 2**32 - 1), st.sampled_from([0, 3, 1]))
def test_any_maps(device: str, spec: TargetSpec, seed: int, steps: int) -> None:
    rng = np.random.default_rng(seed)
    heatmap = rng.random((3, *spec.map_hw)) * 1.1 - 0.05
    if steps:  # plateaus, and ties far apart
        heatmap = np.round(heatmap * steps) / steps
    offsets = rng.normal(0, 0.2, (3, 17, 2, *spec.map_hw)).astype(np.float32)
    equal(spec, Targets(heatmap.astype(np.float32), offsets), device)


@st.composite
def drawn(draw: st.DrawFn) -> tuple[TargetSpec, Targets]:
    """Draw any spec and the targets of some rows of people, in float16 now and then."""
    spec = draw(specs(dtype=draw(st.sampled_from(["float32", "float16"]))))
    rows = [draw(crowds(spec)) for _ in range(draw(st.sampled_from([2, 1])))]
    targets = Codec(spec).encode_batch(rows, cameras=[CAMERA] * len(rows))
    return spec, targets if draw(st.booleans()) else targets._replace(count=None, ignore=None, count_z=None)


@settings(max_examples=80, deadline=None)
@given(drawn())
def test_drawn_targets(device: str, case: tuple[TargetSpec, Targets]) -> None:
    equal(*case, device)


def people(seed: int, spec: TargetSpec) -> People:
    rng = np.random.default_rng(seed)
    h, w = spec.input_hw
    joints = rng.normal(0, 12, (5, 17, 2)) + rng.random((5, 1, 2)) * [w, h]
    return People.of(joints, rng.integers(0, 3, (5, 17)))


@pytest.mark.parametrize("hierarchical", [False, True])
def test_people_on_a_large_map(device: str, hierarchical: bool) -> None:
    spec = TargetSpec(hierarchical=hierarchical, input_hw=(128, 192))
    equal(spec, Codec(spec).encode_batch([people(i, spec) for i in range(4)]), device)


def test_memory_format_does_not_matter() -> None:
    spec = TargetSpec(hierarchical=True, input_hw=(128, 192))
    targets = Codec(spec).encode_batch([people(i, spec) for i in range(2)])
    heatmap, offsets = torch.from_numpy(targets.root_heatmap), torch.from_numpy(targets.offsets)
    last = offsets.permute(0, 3, 4, 1, 2).contiguous().permute(0, 3, 4, 1, 2)
    assert not last.is_contiguous()
    for a, b in zip(BatchDecoder(spec)(Maps(heatmap, last)), BatchDecoder(spec)(Maps(heatmap, offsets)), strict=True):
        assert torch.equal(a, b)


def test_nobody_and_nonsense(device: str) -> None:
    spec = TargetSpec(hierarchical=True, input_hw=(32, 32))
    decoder = BatchDecoder(spec).to(device)
    empty = decoder(Maps(torch.zeros(2, 8, 8, device=device), torch.zeros(2, 17, 2, 8, 8, device=device)))
    assert [len(p) for p in empty.people()] == [0, 0]
    heatmap = torch.zeros(1, 8, 8, device=device)
    heatmap[0, 3, 3] = 1
    for wrong in (float("nan"), float("inf"), -float("inf"), 1e30):
        decoded = decoder(Maps(heatmap, torch.full((1, 17, 2, 8, 8), wrong, device=device)))
        assert decoded.number.tolist() == [1]  # and no index out of bounds
    heatmap[0, 3, 4], heatmap[0, 6, 1] = float("nan"), float("inf")
    equal(spec, Targets(heatmap.cpu().numpy(), np.zeros((1, 17, 2, 8, 8), np.float32)), device)


def test_nothing_depends_on_values() -> None:
    """Tensors without values suffice for every shape, so nothing waits for a device."""
    spec = TargetSpec(hierarchical=True)
    with torch.device("meta"):
        maps = Maps(torch.empty(2, 96, 96), torch.empty(2, 17, 2, 96, 96))
    decoded = BatchDecoder(spec).to("meta")(maps)
    assert decoded.joints.shape == (2, 30, 17, 2)
    assert decoded.joints.is_meta


@pytest.mark.gpu
@pytest.mark.parametrize("device", ["cuda"], indirect=True)
def test_nothing_waits_for_a_gpu(device: str) -> None:
    spec = TargetSpec(hierarchical=True, input_hw=(128, 192))
    targets = Codec(spec).encode_batch([people(i, spec) for i in range(2)])
    maps = Maps(*(torch.tensor(t, device=device) for t in targets[:2]))
    decoder = BatchDecoder(spec).to(device)
    decoder(maps)
    torch.cuda.set_sync_debug_mode("error")
    try:
        decoder(maps)
    finally:
        torch.cuda.set_sync_debug_mode("default")
