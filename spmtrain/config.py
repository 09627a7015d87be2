"""Every knob of a training run as a named field of one frozen value, kept in the checkpoint."""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from spmdata.errors import SpecError

Norm = Literal["batch", "group"]
Block = Literal["plain", "bottleneck"]
LossNorm = Literal["mean", "paper"]
Device = Literal["auto", "cpu", "cuda"]
Optimiser = Literal["muon", "adamw", "rmsprop"]

#: Greatest learning rate by optimiser: of the tiny network by measurement (docs/training.md), the paper's for RMSprop.
DEFAULT_LR: Mapping[Optimiser, float] = MappingProxyType({"muon": 0.02, "adamw": 0.004, "rmsprop": 0.003})


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a network is built and trained; the defaults are the preset ``tiny``.

    Parameters
    ----------
    stacks : int
        Hourglasses behind each other, each supervised.
    features : tuple of int
        Channels at each resolution of an hourglass, finest first: one entry more than it halves the map. Multiples
        of 4. Small maps use only the first entries.
    norm : {"batch", "group"}
        Normalisation; ``group`` does not depend on the batch.
    block : {"plain", "bottleneck"}
        What a residual is made of: one 3 x 3 convolution; or the paper's bottleneck of three, deeper for its price.
    steps : int
        Optimiser steps.
    batch : int
        Rows a step.
    lr : float or None
        Greatest learning rate; None takes what the optimiser wants on the tiny network: 0.02 for Muon, 0.004 for AdamW,
        and the paper's 0.003 for RMSprop.
    optimiser : {"muon", "adamw", "rmsprop"}
        Muon or AdamW with warm-up and cosine; or the paper's RMSprop, halved at fixed shares of the run.
    warmup : int
        Steps over which the learning rate rises; none for RMSprop.
    weight_decay : float
        Of the optimiser ``adamw``, on matrices alone; the others decay nothing.
    clip : float
        Longest gradient.
    mirror : float
        Share of rows that are trained on as their mirror image.
    ema : float
        Decay of the average of the weights, which is what a checkpoint evaluates with; 0 for none.
    eval_every : int
        Steps between evaluations on the validation store, when there is one; 0 for one at the end.
    save_every : int
        Steps between checkpoints.
    seed : int
        Of the first weights and of the order of rows.
    loss_norm : {"mean", "paper"}
        Means over what is supervised, offsets in cells; or the paper's sums over cells (see ``spmtrain.loss``).
    beta : float or None
        Weight of the offsets' loss against the heatmap's; None takes 3 for ``mean`` and the paper's 0.01 for ``paper``.
    beta_depth : float or None
        In 3D, weight of the losses of depth, of the offsets' third axis and of the root's; None takes 3 for ``mean``
        and 0.01 for ``paper``.
    threads : int
        Threads that compute and threads that read ahead; 0 takes as many as torch finds cores, at most 8 that read.
    device : {"auto", "cpu", "cuda"}
        ``auto`` takes a CUDA device when there is one.
    compile : bool
        On a GPU, have torch compile the network: a minute or two before the first step, then 99 ms a step of the
        preset ``paper`` instead of 136 (docs/training.md). It takes a C compiler.
    out : str
        Folder for the checkpoint ``last.pt``.

    Raises
    ------
    SpecError
        A value out of range; the message names the field and what it takes.
    """

    stacks: int = 1
    features: tuple[int, ...] = (32, 48, 64, 96)
    norm: Norm = "group"
    block: Block = "plain"
    steps: int = 600
    batch: int = 16
    lr: float | None = None
    optimiser: Optimiser = "muon"
    warmup: int = 50
    weight_decay: float = 1e-4
    clip: float = 5.0
    mirror: float = 0.5
    ema: float = 0.995
    eval_every: int = 0
    save_every: int = 1000
    seed: int = 0
    loss_norm: LossNorm = "mean"
    beta: float | None = None
    beta_depth: float | None = None
    threads: int = 0
    device: Device = "auto"
    compile: bool = False
    out: str = "run"

    def __post_init__(self) -> None:
        """Check every field once."""
        for name, hint in get_type_hints(type(self)).items():
            if get_origin(hint) is Literal:
                choices = get_args(hint)
                _demand(getattr(self, name) in choices, name, f"one of {', '.join(choices)}", getattr(self, name))
        for name, low, high in (
            *(("stacks", 1, 16), ("steps", 1, 10**9), ("batch", 1, 65_536)),
            *(("seed", 0, 2**32 - 1), ("threads", 0, 1024), ("warmup", 0, 10**9)),
            *(("eval_every", 0, 10**9), ("save_every", 1, 10**9)),
        ):
            value = getattr(self, name)
            _demand(_is_int(value) and low <= value <= high, name, f"a whole number in [{low}, {high}]", value)
        for name in ("lr", "beta", "beta_depth"):
            value = getattr(self, name)
            if value is None:
                continue
            _demand(_is_number(value) and 0 < value <= 1000, name, "a number above 0, at most 1000", value)
            object.__setattr__(self, name, float(value))
        for name, most in (("ema", 0.999999), ("mirror", 1), ("weight_decay", 10), ("clip", 1e9)):
            value = getattr(self, name)
            _demand(_is_number(value) and 0 <= value <= most, name, f"a number in [0, {most}]", value)
            object.__setattr__(self, name, float(value))
        _demand(isinstance(self.compile, bool), "compile", "true or false", self.compile)
        _demand(isinstance(self.out, (str, PathLike)) and str(self.out) != "", "out", "a folder", self.out)
        object.__setattr__(self, "out", str(self.out))
        self._check_features()

    def _check_features(self) -> None:
        wanted = "1 to 8 multiples of 4, from 8 to 2048, such as (32, 48, 64, 96)"
        listed = isinstance(self.features, (list, tuple)) and 1 <= len(self.features) <= 8
        _demand(listed, "features", wanted, self.features)
        good = all(_is_int(n) and 8 <= n <= 2048 and n % 4 == 0 for n in self.features)
        _demand(good, "features", wanted, self.features)
        object.__setattr__(self, "features", tuple(self.features))

    @property
    def peak_lr(self) -> float:
        """The greatest learning rate, or the optimiser's default."""
        return DEFAULT_LR[self.optimiser] if self.lr is None else self.lr

    @property
    def offset_weight(self) -> float:
        """Beta, or the default of the loss form."""
        if self.beta is not None:
            return self.beta
        return 3.0 if self.loss_norm == "mean" else 0.01

    @property
    def depth_weight(self) -> float:
        """Beta_depth, or the default of the loss form."""
        if self.beta_depth is not None:
            return self.beta_depth
        return 3.0 if self.loss_norm == "mean" else 0.01

    def to_json(self) -> dict[str, Any]:
        """Return every field as plain JSON values."""
        return {**asdict(self), "features": list(self.features)}

    def differences(self, other: TrainConfig) -> list[str]:
        """Say in which fields that change the run another config differs: not where it runs or what it writes when."""
        free = {"threads", "device", "compile", "out", "eval_every", "save_every"}
        ours, theirs = (
            {**c.to_json(), "lr": c.peak_lr, "beta": c.offset_weight, "beta_depth": c.depth_weight}
            for c in (self, other)
        )
        return [
            f"{key} {theirs[key]} there, {ours[key]} here" for key in ours.keys() - free if ours[key] != theirs[key]
        ]

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> TrainConfig:
        """Build a config from `to_json`'s value, or a part of it; ``preset`` may name one of PRESETS to start from.

        Raises
        ------
        SpecError
            An unknown key (the message names the nearest one) or a value out of range.
        """
        values = dict(data)
        known = [f.name for f in fields(TrainConfig)]
        for key in values.keys() - {"preset"} - set(known):
            near = difflib.get_close_matches(key, [*known, "preset"], 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise SpecError(f"unknown key {key!r} in a training config; {hint}")
        return TrainConfig.preset(values.pop("preset", "tiny"), **values)

    @staticmethod
    def from_toml(path: str | PathLike[str], **changes: Any) -> TrainConfig:
        """Read a config from a TOML file of fields; `changes` win over the file, the file over its ``preset``.

        Parameters
        ----------
        path : str or path
            The file.
        **changes
            Fields, or ``preset``, to set whatever the file says.

        Returns
        -------
        TrainConfig
            The checked value.

        Raises
        ------
        SpecError
            The file cannot be read or is no TOML, or a key or value is wrong; the message names the file.
        """
        try:
            data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
            TrainConfig.from_json(data)  # what is wrong in the file is said with its name
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, SpecError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise SpecError(f"{path}: {reason}") from error
        return TrainConfig.from_json({**data, **changes})

    @staticmethod
    def preset(name: str, **changes: Any) -> TrainConfig:
        """Return one of PRESETS with some fields changed; SpecError on another name."""
        if not isinstance(name, str) or name not in PRESETS:
            raise SpecError(f"preset must be one of {', '.join(PRESETS)}, got {name!r}")
        return TrainConfig(**{**PRESETS[name], **changes})


#: What each preset changes of the defaults.
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "tiny": {},
        "small": {
            **{"stacks": 2, "features": (128,) * 5, "norm": "batch", "block": "bottleneck"},
            **{"batch": 16, "optimiser": "adamw", "lr": 1e-3, "steps": 20_000},
        },
        "paper": {
            **{"stacks": 8, "features": (256,) * 5, "norm": "batch", "block": "bottleneck"},
            **{"batch": 32, "optimiser": "adamw", "lr": 2.5e-4, "steps": 250_000},
        },
    }
)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _demand(ok: bool, name: str, wanted: str, got: object) -> None:
    if not ok:
        raise SpecError(f"{name} must be {wanted}, got {got!r}")
