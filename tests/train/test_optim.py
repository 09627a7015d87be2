"""optim.py: the learning rate over a run, what is decayed, the average of the weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spmtrain.config import TrainConfig
from spmtrain.optim import Ema, build_optimiser, lr_at


def test_warm_up_and_cosine() -> None:
    config = TrainConfig(lr=1.0, steps=110, warmup=10)
    assert [lr_at(step, config) for step in (1, 5, 10)] == [0.1, 0.5, 1.0]
    assert lr_at(11, config) == 1.0
    assert lr_at(61, config) == pytest.approx(0.5)
    assert 0 < lr_at(110, config) < 1e-3
    assert lr_at(1, TrainConfig(lr=1.0, steps=5, warmup=0)) == 1.0


def test_the_papers_halvings() -> None:
    config = TrainConfig(optimiser="rmsprop", lr=0.003, steps=250)
    assert [lr_at(step, config) / 0.003 for step in (150, 151, 171, 201, 231, 250)] == [
        1,
        0.5,
        0.25,
        0.125,
        0.0625,
        0.0625,
    ]
    assert isinstance(build_optimiser(nn.Linear(2, 2), config), torch.optim.RMSprop)


def test_biases_and_norms_are_not_decayed() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.GroupNorm(2, 4))
    matrices, others = build_optimiser(network, TrainConfig(weight_decay=0.1)).param_groups
    assert (matrices["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    assert len(matrices["params"]) == 1
    assert len(others["params"]) == 3


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
