"""How weights move: optimisers, the learning rate over a run, and the average of the weights.

Muon and AdamW have a linear warm-up and a cosine to zero; ``rmsprop`` is the paper's recipe (Nie et al. 2019,
section 4.1): RMSprop at 0.003, halved at 150, 170, 200 and 230 of 250 epochs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from spmtrain.config import TrainConfig
from spmtrain.model import Hourglass

#: Where the paper halves the learning rate, as shares of a run.
PAPER_HALVINGS = (150 / 250, 170 / 250, 200 / 250, 230 / 250)


#: AdamW's learning rate beside Muon's.
ADAM_SHARE = 0.1


class Muon(torch.optim.Optimizer):
    """Momentum whose steps are orthogonalised, so that a weight moves at one speed in all its directions.

    Jordan et al. 2024; ``torch.optim.Muon`` takes no convolutions, and one matrix at a time, which took three times as
    long on a CPU: here weights of one shape are orthogonalised together. Nothing is decayed.

    Parameters
    ----------
    params : list of Parameter
        Two axes or more; those behind the first are taken as one.
    lr : float
        Learning rate; a step of a square matrix has as many singular values of about this size as rows.
    momentum : float
        Decay of the average of gradients, in Nesterov's form.
    """

    def __init__(self, params: list[nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move every weight that has a gradient."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[nn.Parameter]] = {}
            for weight in group["params"]:
                if weight.grad is not None:
                    alike.setdefault(weight.shape, []).append(weight)
            for shape, weights in alike.items():
                towards = torch.stack([self._towards(weight, group["momentum"]) for weight in weights])
                longer = max(1.0, towards.shape[1] / towards.shape[2]) ** 0.5
                for weight, change in zip(weights, orthogonalised(towards), strict=True):
                    weight.sub_(change.view(shape), alpha=group["lr"] * longer)

    def _towards(self, weight: nn.Parameter, momentum: float) -> Tensor:
        """Return the weight's averaged gradient as a matrix."""
        gradient = weight.grad
        assert gradient is not None
        if "average" not in self.state[weight]:
            self.state[weight]["average"] = torch.zeros_like(weight)
        average: Tensor = self.state[weight]["average"]
        average.lerp_(gradient, 1 - momentum)
        return gradient.lerp(average, momentum).flatten(1)


def orthogonalised(matrices: Tensor) -> Tensor:
    """Bring the singular values of matrices (n, rows, columns) near 1 by five Newton-Schulz steps.

    With Jordan's coefficients, which are steepest at 0 rather than exact at 1: they end between 0.7 and 1.2. Each step
    ``x <- (a + b x x' + c (x x')^2) x`` is a polynomial of the first ``x x'``, so that all of them are done on that
    small square, and x, up to nine times as wide, is multiplied once: 1.5 times as fast.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrices.shape[1] > matrices.shape[2]
    x: Tensor = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    square = x @ x.mT
    one = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    all_steps = one
    for _ in range(5):
        step = a * one + b * square + c * square @ square
        all_steps, square = step @ all_steps, step @ square @ step
    x = all_steps @ x
    return x.mT if tall else x


def build_optimisers(network: Hourglass, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """Return the optimisers of a config, which share the weights among them; norms and biases are not decayed.

    Muon moves the convolutions between hidden channels alone: with the network's ends among them less is learnt in the
    same steps (docs/training.md).
    """
    if config.optimiser == "rmsprop":
        return [torch.optim.RMSprop(network.parameters(), lr=config.peak_lr)]
    matrices = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    if config.optimiser == "muon":
        ends = network.ends()
        inner = [p for p in matrices if not any(p is end for end in ends)]
        adam = torch.optim.AdamW([*ends, *others], lr=config.peak_lr, weight_decay=0.0, fused=True)
        adam.param_groups[0]["share"] = ADAM_SHARE
        return [Muon(inner, config.peak_lr), adam]
    groups: list[dict[str, Any]] = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
    return [torch.optim.AdamW(groups, lr=config.peak_lr, weight_decay=config.weight_decay, fused=True)]


def set_lr(optimisers: list[torch.optim.Optimizer], lr: float) -> None:
    """Give every group of weights its share of a learning rate."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = lr * group.get("share", 1.0)


def lr_at(step: int, config: TrainConfig) -> float:
    """Return the learning rate of a step, from 1 to ``config.steps``."""
    if config.optimiser == "rmsprop":
        return config.peak_lr * 0.5 ** sum((step - 1) / config.steps >= share for share in PAPER_HALVINGS)
    if step <= config.warmup:
        return config.peak_lr * step / config.warmup
    rest = max(1, config.steps - config.warmup)
    return config.peak_lr * 0.5 * (1 + math.cos(math.pi * (step - 1 - config.warmup) / rest))


class Ema:
    """An exponential average of a network's weights, which evaluates better than the last of them.

    The decay grows with the step, ``min(decay, (1 + step) / (10 + step))``, so that first weights are soon forgotten.

    Parameters
    ----------
    network : nn.Module
        Whose weights are averaged; they must keep their memory.
    decay : float
        In [0, 1); 0 keeps the weights themselves.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self._followed = network.state_dict()  # once: it shares memory with the weights, and asking costs 1 ms
        self.weights = {name: value.detach().clone() for name, value in self._followed.items()}

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Take another average's weights."""
        for name, value in self.weights.items():
            value.copy_(weights[name])

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the network's weights after a step, counted from 1."""
        pull = 1 - min(self.decay, (1 + step) / (10 + step))
        state = self._followed
        floats = [name for name, value in self.weights.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.weights[n] for n in floats], [state[n] for n in floats], pull)
        for name in self.weights.keys() - set(floats):
            self.weights[name].copy_(state[name])
