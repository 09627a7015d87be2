"""What is swept: fields of a spec and the settings that each of them is tried at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from spmdata.spec import DECODE_FIELDS, TargetSpec

#: The axes whose every combination is tried: together they decide who shares a cell with whom.
GRID = ("input_hw", "stride", "tau", "overlap")


@dataclass(frozen=True)
class Axis:
    """One convention and what it is tried at.

    Parameters
    ----------
    name : str
        Field of the spec; ``tau`` stands for tau and its metric.
    settings : tuple of mapping
        The fields that each setting changes.
    """

    name: str
    settings: tuple[Mapping[str, Any], ...]

    @staticmethod
    def of(name: str, values: Iterable[Any]) -> Axis:
        """Return an axis of some values; those of ``tau`` are (metric, tau)."""
        if name == "tau":
            return Axis(name, tuple({"tau_metric": metric, "tau": float(tau)} for metric, tau in values))
        return Axis(name, tuple({name: value} for value in values))

    @property
    def decodes(self) -> bool:
        """Only decoding reads it: nothing has to be encoded again."""
        return self.name in DECODE_FIELDS

    def beginning_with(self, spec: TargetSpec) -> Axis:
        """Return the axis with the spec's own setting as the first."""
        own = {field: getattr(spec, field) for field in self.settings[0]}
        return Axis(self.name, (own, *(setting for setting in self.settings if setting != own)))


#: What `tune_spec` tries unless it is told otherwise.
AXES = (
    Axis.of("input_hw", [(512, 512), (384, 384), (256, 256)]),
    Axis.of("stride", [4, 8]),
    Axis.of("tau", [("squared", 7), ("radius", 4), ("radius", 7)]),
    Axis.of("overlap", ["mean", "nearest", "smallest"]),
    Axis.of("root", ["mean", "bbox", "torso"]),
    Axis.of("missing_parent", ["reparent", "stay", "drop"]),
    Axis.of("nms", [5, 3]),
)


def grid(spec: TargetSpec, axes: Sequence[Axis]) -> list[TargetSpec]:
    """Return the spec under every combination of the axes' settings, the last axis fastest.

    Raises
    ------
    SpecError
        A value that its field does not take, or two that do not go together.
    """
    settings = (axis.settings for axis in axes)
    return [spec.override(**{k: v for one in chosen for k, v in one.items()}) for chosen in product(*settings)]


def neighbours(spec: TargetSpec, axes: Sequence[Axis]) -> list[TargetSpec]:
    """Return the spec with each axis alone at each of its settings."""
    return [spec.override(**setting) for axis in axes for setting in axis.settings]
