"""What steps did: fetched one step late, so that a GPU never waits to be asked, and kept in ``metrics.jsonl``."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spmdata.errors import SpmError
from spmtrain.loss import LossTerms


@dataclass(frozen=True)
class StepLog:
    """What one optimiser step did.

    Parameters
    ----------
    step : int
        From 1 to ``config.steps``.
    total : float
        The loss that was descended.
    root, offsets : tuple of float, (S,)
        Its terms by stage, before beta.
    offsets_z, root_depth : tuple of float, (S,)
        Those of depth, before beta_depth; 0 in 2D.
    lr : float
        Learning rate.
    gradient : float
        Length of the gradient before clipping.
    wait_s, step_s : float
        Seconds spent waiting for the batch, and in the whole step.
    """

    step: int
    total: float
    root: tuple[float, ...]
    offsets: tuple[float, ...]
    offsets_z: tuple[float, ...]
    root_depth: tuple[float, ...]
    lr: float
    gradient: float
    wait_s: float
    step_s: float


class Step:
    """A step that was launched: its numbers are on their way from the device while the next one is launched.

    Parameters
    ----------
    step : int
        From 1.
    rows : (B,) int64
        Of the store.
    terms : LossTerms
        On the device.
    gradient : () Tensor
        Its length.
    lr : float
        Learning rate.
    wait_s : float
        Seconds spent waiting for the batch.

    Attributes
    ----------
    step_s : float
        Seconds of the whole step, for who knows to set.
    """

    def __init__(
        self, step: int, rows: NDArray[np.int64], terms: LossTerms, gradient: Tensor, lr: float, wait_s: float
    ) -> None:
        self.step, self.rows, self.lr, self.wait_s, self.step_s = step, rows, lr, wait_s, 0.0
        total = terms.total.detach()
        numbers = torch.cat([total[None], gradient[None], terms.root, terms.offsets, terms.offsets_z, terms.root_depth])
        self._numbers = numbers.to("cpu", non_blocking=True)  # torch takes pinned memory for it
        self._there = torch.cuda.Event() if numbers.is_cuda else None  # type: ignore[no-untyped-call]
        if self._there is not None:
            self._there.record()

    def log(self) -> StepLog:
        """Return what it did, when that is known; SpmError that names the rows when the loss is not finite."""
        if self._there is not None:
            self._there.synchronize()
        total, gradient, *terms = self._numbers.tolist()
        if not math.isfinite(total):
            raise SpmError(
                f"the loss is {total} at step {self.step}, rows {self.rows.tolist()}; "
                "look at them with spm inspect, or lower the learning rate"
            )
        stages = len(terms) // 4
        root, offsets, offsets_z, root_depth = (tuple(terms[i * stages : (i + 1) * stages]) for i in range(4))
        return StepLog(
            self.step, total, root, offsets, offsets_z, root_depth, self.lr, gradient, self.wait_s, self.step_s
        )


class Log:
    """``metrics.jsonl``: a line a step and an evaluation; resumed, it forgets what came after the checkpoint."""

    def __init__(self, path: Path, first: int) -> None:
        kept = [line for line in _lines(path) if json.loads(line)["step"] < first]
        path.write_text("".join(kept))
        self._file = path.open("a")

    def write(self, entry: dict[str, Any]) -> None:
        """Add one line."""
        self._file.write(json.dumps(entry) + "\n")

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Flush and close."""
        self._file.close()


def _lines(path: Path) -> list[str]:
    """Return the whole lines of a log; a kill may have cut the last."""
    text = path.read_text() if path.exists() else ""
    return [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
