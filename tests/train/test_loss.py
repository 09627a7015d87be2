"""The loss against the formulas of its docstring, written as slow loops over cells."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from spmdata.codec import Codec
from spmdata.people import People
from spmdata.spec import TargetSpec
from spmtrain.config import LossNorm, TrainConfig
from spmtrain.loss import Loss
from spmtrain.maps import Maps, TargetMaps

SPEC = TargetSpec(input_hw=(32, 48), sigma=2.0)
B, K, D, (H, W) = 3, len(SPEC.skeleton), 2, SPEC.map_hw
Arrays = dict[str, NDArray[np.float64]]


def case(seed: int = 0) -> tuple[list[Arrays], Arrays]:
    """Return two stages of outputs and the targets: random, with ignored cells and a row that supervises nothing."""
    rng = np.random.default_rng(seed)
    stages = [
        {"root": rng.normal(size=(B, H, W)), "offsets": rng.normal(scale=0.1, size=(B, K, D, H, W))} for _ in range(2)
    ]
    count = rng.choice([0, 0, 1, 2], (B, K, H, W)).astype(np.float64)
    count[2] = 0
    ignore = (rng.random((B, H, W)) < 0.2).astype(np.float64)
    root = rng.random((B, H, W)) * (ignore == 0)
    return stages, {"root": root, "offsets": rng.normal(size=(B, K, D, H, W)), "count": count, "ignore": ignore}


def naive_terms(stage: Arrays, targets: Arrays, form: LossNorm, spec: TargetSpec) -> tuple[float, float]:
    """Return one stage's two terms, cell by cell in float64."""
    square = energy = distance = 0.0
    cells = 0
    for b in range(B):
        for v in range(H):
            for u in range(W):
                if targets["ignore"][b, v, u] == 0:
                    square += (stage["root"][b, v, u] - targets["root"][b, v, u]) ** 2
                    energy += targets["root"][b, v, u] ** 2
                for k in range(K):
                    if targets["count"][b, k, v, u] > 0:
                        cells += 1
                        for d in range(D):
                            distance += abs(stage["offsets"][b, k, d, v, u] - targets["offsets"][b, k, d, v, u])
    if form == "paper":
        return square / B, distance / B
    width = spec.sigma**2 * (1 if spec.gaussian == "paper" else 2)
    z = math.hypot(H, W) if spec.norm == "diagonal" else 1.0
    return square / max(energy, math.pi * width / 2), z * distance / (D * max(cells, 1))


def tensors(stages: list[Arrays], targets: Arrays) -> tuple[list[Maps], TargetMaps]:
    """Return the arrays as the network and the stream give them."""
    outputs = [Maps(torch.tensor(s["root"]).float(), torch.tensor(s["offsets"]).float()) for s in stages]
    kinds = (torch.float32, torch.float32, torch.uint8, torch.uint8)
    maps = (
        torch.tensor(targets[n], dtype=k) for n, k in zip(("root", "offsets", "count", "ignore"), kinds, strict=True)
    )
    return outputs, TargetMaps(*maps)


@pytest.mark.parametrize("form", ["paper", "mean"])
@pytest.mark.parametrize("spec", [SPEC, replace(SPEC, norm="none", gaussian="standard")], ids=["diagonal", "none"])
def test_terms_equal_slow_formula(form: LossNorm, spec: TargetSpec) -> None:
    stages, targets = case()
    config = TrainConfig(loss_norm=form, beta=0.3)
    terms = Loss(spec, config)(*tensors(stages, targets))
    expected = np.array([naive_terms(stage, targets, form, spec) for stage in stages])
    np.testing.assert_allclose(terms.root, expected[:, 0], rtol=1e-5)
    np.testing.assert_allclose(terms.offsets, expected[:, 1], rtol=1e-5)
    assert terms.total.item() == pytest.approx(expected[:, 0].sum() + 0.3 * expected[:, 1].sum(), rel=1e-5)


@pytest.mark.parametrize("form", ["paper", "mean"])
def test_gradient_reaches_supervised_cells_alone(form: LossNorm) -> None:
    stages, targets = tensors(*case())
    root, offsets = (t.requires_grad_() for t in stages[0][:2])
    Loss(SPEC, TrainConfig(loss_norm=form))([Maps(root, offsets)], targets).total.backward()  # type: ignore[no-untyped-call]
    assert root.grad is not None
    assert offsets.grad is not None
    assert torch.equal(root.grad != 0, targets.ignore == 0)
    assert torch.equal(offsets.grad != 0, (targets.count > 0)[:, :, None].expand(-1, -1, D, -1, -1))


@pytest.mark.parametrize("form", ["paper", "mean"])
def test_batch_without_people_stays_finite(form: LossNorm) -> None:
    stages, targets = tensors(*case())
    nobody = TargetMaps(*(torch.zeros_like(t) for t in targets[:4]))
    terms = Loss(SPEC, TrainConfig(loss_norm=form))(stages, nobody)
    assert terms.total.isfinite()
    assert terms.root.min() > 0
    assert terms.offsets.tolist() == [0, 0]


def test_half_precision_outputs_are_compared_in_float32() -> None:
    stages, targets = tensors(*case())
    half = [Maps(s.root_heatmap.half(), s.offsets.half()) for s in stages]
    terms = Loss(SPEC, TrainConfig(loss_norm="paper"))(half, targets)
    assert terms.total.dtype == torch.float32
    assert terms.root.sum().item() == pytest.approx(
        Loss(SPEC, TrainConfig(loss_norm="paper"))(stages, targets).root.sum().item(), rel=1e-3
    )


@pytest.mark.parametrize("gaussian", ["paper", "standard"])
def test_mean_form_counts_people(gaussian: str) -> None:
    """A blind network costs 1; and the energy of a lone person is what the first denominator takes it for."""
    spec = TargetSpec(input_hw=(128, 128), sigma=3.0).override(gaussian=gaussian)
    joints = np.full((1, len(spec.skeleton), 2), 64.0)
    codec = Codec(spec)
    encoded = codec.encode_batch([People.of(joints, np.full(joints.shape[:2], 2))])
    targets = TargetMaps(*(torch.from_numpy(np.asarray(a)) for a in encoded[:4]))
    blind = Maps(torch.zeros_like(targets.root_heatmap), torch.zeros_like(targets.offsets))
    loss = Loss(spec, TrainConfig())
    assert loss([blind], targets).root.item() == pytest.approx(1, rel=1e-3)
    assert targets.root_heatmap.square().sum().item() == pytest.approx(loss.person_energy, rel=1e-3)
