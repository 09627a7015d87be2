"""Forward, loss and backward of a batch: on a GPU in bf16 autocast, and one CUDA graph from the fourth batch on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from spmdata.errors import SpmError
from spmtrain.loss import Loss, LossTerms
from spmtrain.maps import TargetMaps
from spmtrain.model import Hourglass
from spmtrain.replay import Replayed


class Descent:
    """What a batch costs a network; leaves the gradients in its weights.

    Parameters
    ----------
    network : Hourglass
        On a device, in training.
    criterion : Loss
        Of the same spec.
    """

    def __init__(self, network: Hourglass, criterion: Loss) -> None:
        weights = list(network.parameters())
        device = weights[0].device.type

        def descend(images: Tensor, targets: TargetMaps) -> tuple[LossTerms, list[Tensor | None]]:
            with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
                stages = network(images)
            terms = criterion(stages, targets)
            network.zero_grad()
            terms.total.backward()  # type: ignore[no-untyped-call]
            return terms._replace(total=terms.total.detach()), [weight.grad for weight in weights]

        self._weights, self._descend = weights, Replayed(descend)

    def __call__(self, images: Tensor, targets: TargetMaps) -> LossTerms:
        """Return the terms of the loss, detached.

        Parameters
        ----------
        images : Tensor, (B, 3, H_px, W_px) float32
            As ``spmtrain.stream.normalise`` gives them.
        targets : TargetMaps
            Of the same rows.

        Raises
        ------
        SpmError
            The device's memory does not suffice.
        """
        with memory_for(f"a step of {len(images)} rows: take fewer with --batch, or a smaller network"):
            terms, gradients = self._descend(images, targets)
        for weight, gradient in zip(self._weights, gradients, strict=True):
            weight.grad = gradient
        return terms


@contextmanager
def memory_for(what: str) -> Iterator[None]:
    """Say what the device's memory does not hold, and what to do, when that is so: a SpmError."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise SpmError(f"the device's memory does not hold {what}") from error
