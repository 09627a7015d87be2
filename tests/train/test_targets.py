"""targets.py against the numba codec: counts and ignored cells equal, floats within the numeric contract."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codec_cases import CAMERA, crowds, nearly_tied, on_the_edge, specs
from spmdata.codec import Codec
from spmdata.errors import SpecError
from spmdata.geometry import letterbox
from spmdata.padded import PeopleBatch, pad_people
from spmdata.people import People
from spmdata.skeletons import COCO17
from spmdata.sources.coco import CocoSource
from spmdata.spec import Overlap, TargetSpec, TauMetric
from spmtrain import targets as targets_module
from spmtrain.maps import TargetMaps
from spmtrain.resolve import PeopleTensors
from spmtrain.targets import BatchEncoder

TWO = [People.of([[[20.0, 9.0]] * 17, [[21.0, 9.5]] * 17], np.full((2, 17), 2))]


def draw(spec: TargetSpec, people: PeopleBatch, device: str) -> TargetMaps:
    f_px = torch.full(people.number.shape, CAMERA.f_px, dtype=torch.float64, device=device)
    maps: TargetMaps = BatchEncoder(spec).to(device)(PeopleTensors.of(people, device), f_px if spec.dims == 3 else None)
    return maps


def equal(spec: TargetSpec, people: PeopleBatch, device: str) -> None:
    """Demand the same targets from both encoders."""
    ours = draw(spec, people, device)
    theirs = Codec(spec).encode_batch(people, cameras=[CAMERA] * len(people.number))
    for name, b in theirs._asdict().items():
        a = getattr(ours, name)
        if b is None:
            assert a is None
            continue
        a = a.cpu().numpy()
        assert a.dtype == b.dtype, name
        if b.dtype == np.uint8:
            np.testing.assert_array_equal(a, b, err_msg=name)
            continue
        length = math.hypot(*spec.map_hw) if name == "offsets" and spec.norm == "none" else 1.0
        step = 2**-10 if b.dtype == np.float16 else 0  # rounded to a neighbour
        np.testing.assert_allclose(a, b, atol=1e-6 * length, rtol=step, err_msg=name)


@st.composite
def batches(draw: st.DrawFn) -> tuple[TargetSpec, PeopleBatch]:
    """Draw any spec and rows of people in tables that are too wide, with rubbish beyond the people."""
    spec = draw(specs(dtype=draw(st.sampled_from(["float32", "float32", "float16"]))))
    rows = [draw(crowds(spec)) for _ in range(draw(st.sampled_from([2, 3, 1])))]
    people = pad_people(rows, max(map(len, rows)) + draw(st.integers(0, 2)), len(spec.skeleton), spec.dims)
    beyond = np.arange(people.visible.shape[1]) >= people.number[:, None]
    for name in ("joints", "visible", "area", "bbox", "has_depth"):
        getattr(people, name)[beyond] = 3
    people.ignore[beyond] = np.arange(beyond.sum()) % 2
    return spec, people


@settings(max_examples=150, deadline=None)
@given(batches())
def test_any_spec_and_people(device: str, case: tuple[TargetSpec, PeopleBatch]) -> None:
    equal(*case, device)


@pytest.mark.parametrize("overlap", ["mean", "nearest"])
@pytest.mark.parametrize(("metric", "tau"), [("squared", 7.0), ("radius", 2.5)])
def test_a_cell_on_the_edge_is_judged_in_float64(device: str, metric: TauMetric, tau: float, overlap: Overlap) -> None:
    spec = TargetSpec(input_hw=(48, 48), tau_metric=metric, tau=tau, overlap=overlap)
    equal(spec, pad_people([on_the_edge(spec), nearly_tied()], 60, 17), device)


@pytest.mark.parametrize("preset", ["paper", "ppn", "dekr", "sharp"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_presets_in_a_crowd_at_full_size(device: str, preset: str, dtype: str) -> None:
    spec = TargetSpec.preset(preset, input_hw=(256, 384), dtype=dtype)
    rng = np.random.default_rng(7)
    rows = []
    for n in (100, 0, 3):
        centre = rng.uniform(-20, 1, (n, 1, 2)) + rng.uniform(0, 1, (n, 1, 2)) * [384, 256]
        rows.append(People.of(centre + rng.normal(0, 25, (n, 17, 2)), rng.integers(0, 3, (n, 17))))
    equal(spec, pad_people(rows, 100, 17), device)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hierarchical", "metric", "overlap"), [(False, "squared", "mean"), (True, "radius", "nearest")]
)
def test_real_people(device: str, spm_data: Path, hierarchical: bool, metric: TauMetric, overlap: Overlap) -> None:
    """Persons and crowds of val2017, rows of few first: distances within a rounding of tau do occur there."""
    source = CocoSource.read(spm_data / "coco/annotations/person_keypoints_val2017.json.gz", image_root=spm_data)
    spec = TargetSpec(input_hw=(512, 512), hierarchical=hierarchical, tau_metric=metric, overlap=overlap)
    rows = [
        sample.people.transform(letterbox(sample.size_hw, spec.input_hw).affine)
        for sample in (source[i] for i in range(len(source)))
    ]
    rows.sort(key=len)
    for at in range(0, len(rows), 16):
        equal(spec, pad_people(rows[at : at + 16], max(map(len, rows[at : at + 16])), 17), device)


@pytest.mark.parametrize("overlap", ["mean", "nearest", "smallest"])
def test_more_people_on_a_cell_than_a_byte_counts(device: str, overlap: Overlap) -> None:
    spec = TargetSpec(skeleton=COCO17, input_hw=(32, 32), overlap=overlap)
    crowd = People.of(np.full((300, 17, 2), 15.5), np.full((300, 17), 2))
    people = pad_people([crowd], 300, 17)
    equal(spec, people, device)
    assert draw(spec, people, device).count.max() == 255


@pytest.mark.parametrize(("n", "most"), [(0, 3), (2, 0), (2, 1)])
def test_nobody(device: str, n: int, most: int) -> None:
    spec = TargetSpec(input_hw=(32, 48), overlap="nearest", hierarchical=True)
    maps = draw(spec, pad_people([People.empty(17)] * n, most, 17), device)
    assert maps.offsets.shape == (n, 17, 2, 8, 12)
    assert not any(t.any() for t in maps if t is not None)


def test_few_rows_at_a_time_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = TargetSpec(input_hw=(32, 48), hierarchical=True, dtype="float16")
    people = pad_people(TWO * 5, 3, 17)
    whole = draw(spec, people, "cpu")
    encoder, drawn = BatchEncoder(spec), []
    encoder._resolve.register_forward_hook(lambda _module, given, _points: drawn.append(len(given[0].number)))
    monkeypatch.setattr(targets_module, "ENTRIES", 2 * 3 * encoder._entries())
    parts: TargetMaps = encoder(PeopleTensors.of(people))
    assert drawn == [2, 2, 1]
    torch.testing.assert_close(parts, whole, rtol=0, atol=0)


@pytest.mark.parametrize("overlap", ["mean", "nearest"])
def test_nothing_depends_on_values(overlap: Overlap) -> None:
    """Tensors without values suffice for every shape, so nothing waits for a device."""
    spec = TargetSpec(hierarchical=True, missing_parent="stay", overlap=overlap)
    maps = draw(spec, pad_people(TWO, 2, 17), "meta")
    assert maps.offsets.shape == (1, 17, 2, 96, 96)
    assert maps.offsets.is_meta


def test_other_people_are_refused() -> None:
    with pytest.raises(SpecError, match=r"\(17, 3\), the spec says \(17, 2\)"):
        draw(TargetSpec(), pad_people([People.empty(17, 3)], 1, 17, 3), "cpu")


@pytest.mark.gpu
@pytest.mark.parametrize("device", ["cuda"], indirect=True)
def test_captured_as_a_graph(device: str) -> None:
    """A graph that was captured on some people draws others: nothing went through the host."""
    spec = TargetSpec(input_hw=(64, 96), hierarchical=True, overlap="nearest")
    encoder, kept = BatchEncoder(spec).to(device), PeopleTensors.of(pad_people(TWO, 2, 17), device)
    encoder(kept)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured: TargetMaps = encoder(kept)
    others = pad_people([replace(TWO[0], joints=TWO[0].joints + 30)], 2, 17)
    for buffer, column in zip(kept, PeopleTensors.of(others, device), strict=True):
        buffer.copy_(column)
    graph.replay()
    torch.testing.assert_close(captured, draw(spec, others, device), rtol=0, atol=1e-6)
