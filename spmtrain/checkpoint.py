"""One file that holds a network and all that is needed to use it, or to go on training it."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spmdata.errors import SpmError
from spmdata.spec import TargetSpec
from spmdata.store.durable import write_file
from spmtrain.config import TrainConfig
from spmtrain.model import Hourglass, build_model

FORMAT_VERSION = 3


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A network at one step.

    Parameters
    ----------
    weights : dict of str to Tensor
        The network's ``state_dict`` as it is trained.
    average : dict of str to Tensor
        The average of the weights, which evaluates better; what `network` returns.
    optimisers : list of dict
        The ``state_dict`` of each optimiser.
    config : TrainConfig
        How it was trained.
    spec : TargetSpec
        What its maps mean.
    store_fingerprint : str
        Of the store it was trained on.
    step : int
        Optimiser steps done; the stream goes on at ``step * config.batch``.
    best_ap : float
        Greatest AP on the validation store so far; -1 before any.
    """

    weights: dict[str, Tensor]
    average: dict[str, Tensor]
    optimisers: list[dict[str, Any]] = field(default_factory=list)
    config: TrainConfig
    spec: TargetSpec
    store_fingerprint: str
    step: int
    best_ap: float = -1.0

    def save(self, path: str | PathLike[str]) -> None:
        """Write the file whole or not at all; StoreError when the disk refuses."""
        content = {
            "spm_checkpoint": FORMAT_VERSION,
            "weights": self.weights,
            "average": self.average,
            "optimisers": self.optimisers,
            "config": self.config.to_json(),
            "spec": self.spec.to_json(),
            "store_fingerprint": self.store_fingerprint,
            "step": self.step,
            "best_ap": self.best_ap,
        }
        file = io.BytesIO()
        torch.save(content, file)
        write_file(Path(path), [file.getvalue()])

    @staticmethod
    def load(path: str | PathLike[str]) -> Checkpoint:
        """Read a file that `save` wrote, onto the CPU.

        Raises
        ------
        SpmError
            The file is missing, damaged, not ours, or of another format version.
        """
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise SpmError(f"{path}: {error.strerror}") from error
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                if archive.testzip() is not None:  # torch does not look at the checksums that it writes
                    raise ValueError("a checksum does not match")
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        except Exception as error:  # on garbage the two raise nearly anything
            raise SpmError(f"{path}: not a checkpoint, or damaged") from error
        version = content.get("spm_checkpoint") if isinstance(content, dict) else None
        if version != FORMAT_VERSION:
            raise SpmError(f"{path}: checkpoint format {FORMAT_VERSION} expected, found {version}")
        del content["spm_checkpoint"]
        config, spec = TrainConfig.from_json(content.pop("config")), TargetSpec.from_json(content.pop("spec"))
        return Checkpoint(config=config, spec=spec, **content)

    def network(self) -> Hourglass:
        """Return the network with the averaged weights, in evaluation mode, on the CPU."""
        network = build_model(self.spec, self.config)
        network.load_state_dict(self.average)
        return network.eval()
