"""optim.py: the learning rate over a run, what is decayed, the average of the weights."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from torch import nn

from spmdata.spec import TargetSpec
from spmtrain.config import TrainConfig
from spmtrain.model import build_model
from spmtrain.optim import ADAM_SHARE, Ema, Muon, build_optimisers, lr_at, orthogonalised, set_lr

SMALL = TrainConfig(features=(8, 8), stacks=2)


def test_warm_up_and_cosine() -> None:
    config = TrainConfig(lr=1.0, steps=110, warmup=10)
    assert [lr_at(step, config) for step in (1, 5, 10)] == [0.1, 0.5, 1.0]
    assert lr_at(11, config) == 1.0
    assert lr_at(61, config) == pytest.approx(0.5)
    assert 0 < lr_at(110, config) < 1e-3
    assert lr_at(1, TrainConfig(lr=1.0, steps=5, warmup=0)) == 1.0


def test_the_papers_halvings() -> None:
    config = TrainConfig(optimiser="rmsprop", steps=250)
    assert [lr_at(step, config) / 0.003 for step in (150, 151, 171, 201, 231, 250)] == [
        1,
        0.5,
        0.25,
        0.125,
        0.0625,
        0.0625,
    ]
    (optimiser,) = build_optimisers(build_model(TargetSpec(), SMALL), config)
    assert isinstance(optimiser, torch.optim.RMSprop)


def test_biases_and_norms_are_not_decayed() -> None:
    network = build_model(TargetSpec(), SMALL)
    (optimiser,) = build_optimisers(network, replace(SMALL, optimiser="adamw", weight_decay=0.1))
    matrices, others = optimiser.param_groups
    assert (matrices["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    assert all(weight.ndim == 4 for weight in matrices["params"])
    assert all(weight.ndim == 1 for weight in others["params"])
    assert len(matrices["params"]) + len(others["params"]) == len(list(network.parameters()))


def test_muon_moves_matrices_and_adamw_the_rest() -> None:
    network = build_model(TargetSpec(input_hw=(32, 32)), SMALL)
    muon, adam = optimisers = build_optimisers(network, replace(SMALL, optimiser="muon"))
    assert isinstance(muon, Muon)
    moved, rest = ({id(p) for p in optimiser.param_groups[0]["params"]} for optimiser in optimisers)
    for name, weight in network.named_parameters():
        inner = weight.ndim == 4 and not re.fullmatch(r"stem\.0\.weight|stacks\.\d\.branches\.\d\.3\.weight", name)
        assert (id(weight) in moved, id(weight) in rest) == (inner, not inner)
    set_lr(optimisers, 0.5)
    assert muon.param_groups[0]["lr"] == 0.5
    assert adam.param_groups[0]["lr"] == 0.5 * ADAM_SHARE


@pytest.mark.parametrize("shape", [(3, 5, 40), (2, 64, 9), (1, 1, 7), (2, 16, 16)])
def test_orthogonalised_keeps_the_directions_and_evens_out_their_lengths(shape: tuple[int, int, int]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, lengths, v = torch.linalg.svd(matrices, full_matrices=False)
    matrices = u * lengths.clamp(min=0.05 * lengths.amax(1, keepdim=True))[:, None] @ v
    found = orthogonalised(matrices)
    inner = u.mT @ found @ v.mT
    diagonal = torch.diagonal(inner, dim1=1, dim2=2)
    assert 0.6 < diagonal.min() <= diagonal.max() < 1.3
    torch.testing.assert_close(inner - torch.diag_embed(diagonal), torch.zeros_like(inner), atol=1e-4, rtol=0)
    torch.testing.assert_close(found[:1], orthogonalised(1000 * matrices[:1]), atol=1e-4, rtol=0)


def test_a_step_of_muon() -> None:
    """The first step of a lone gradient is that gradient with its singular values evened out, whatever its size."""
    weights = [nn.Parameter(torch.zeros(4, 2, 3, 3).to(memory_format=torch.channels_last)) for _ in range(3)]
    gradients = torch.randn(2, 4, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    muon = Muon(weights, lr=0.1)
    for weight, gradient in zip(weights, gradients, strict=False):
        weight.grad = gradient
    muon.step()
    wanted = -0.1 * orthogonalised(gradients.flatten(2)).reshape(gradients.shape)
    for weight, change in zip(weights, wanted, strict=False):
        torch.testing.assert_close(weight.detach(), change, atol=1e-5, rtol=1e-4)
    assert not weights[2].any()  # no gradient, no step


def test_the_average_follows_and_counts_copies() -> None:
    network = nn.BatchNorm1d(2)
    ema = Ema(network, 0.5)
    with torch.no_grad():
        network.weight.fill_(3.0)
    assert network.num_batches_tracked is not None
    network.num_batches_tracked.fill_(9)
    ema.update(1)  # decay min(.5, 2 / 11)
    torch.testing.assert_close(ema.weights["weight"], torch.full((2,), 1 * 2 / 11 + 3 * 9 / 11))
    assert ema.weights["num_batches_tracked"] == 9
    ema.update(1000)
    torch.testing.assert_close(ema.weights["weight"], (ema.weights["weight"] * 0 + 3 + 29 / 11) / 2)
    plain = Ema(network, 0.0)
    with torch.no_grad():
        network.weight.fill_(7.0)
    plain.update(5)
    assert torch.equal(plain.weights["weight"], torch.full((2,), 7.0))


def test_each_optimiser_has_a_learning_rate_of_its_own_unless_told() -> None:
    network = build_model(TargetSpec(input_hw=(64, 64)), config := TrainConfig(optimiser="adamw"))
    (adam,) = build_optimisers(network, config)
    assert adam.param_groups[0]["lr"] == config.peak_lr == 0.004
    assert TrainConfig(optimiser="adamw", lr=0.1).peak_lr == 0.1
    assert TrainConfig.preset("small").peak_lr == 1e-3
