"""How weights move: optimisers, the learning rate over a run, and the average of the weights.

The default recipe is AdamW with a linear warm-up and a cosine to zero; ``rmsprop`` is the paper's (Nie et al. 2019,
section 4.1): RMSprop at 0.003, halved at 150, 170, 200 and 230 of 250 epochs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from spmtrain.config import TrainConfig

#: Where the paper halves the learning rate, as shares of a run.
PAPER_HALVINGS = (150 / 250, 170 / 250, 200 / 250, 230 / 250)


def build_optimiser(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Return the optimiser of a config; norms and biases are not decayed; one fused kernel steps them all."""
    if config.optimiser == "rmsprop":
        return torch.optim.RMSprop(network.parameters(), lr=config.lr)
    matrices = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay, fused=True)


def lr_at(step: int, config: TrainConfig) -> float:
    """Return the learning rate of a step, from 1 to ``config.steps``."""
    if config.optimiser == "rmsprop":
        return config.lr * 0.5 ** sum((step - 1) / config.steps >= share for share in PAPER_HALVINGS)
    if step <= config.warmup:
        return config.lr * step / config.warmup
    rest = max(1, config.steps - config.warmup)
    return config.lr * 0.5 * (1 + math.cos(math.pi * (step - 1 - config.warmup) / rest))


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
