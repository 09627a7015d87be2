"""SPM toolkit, the training side: a store's stream, the network, its loss and the loop. Names load on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spmtrain.config import TrainConfig
    from spmtrain.loop import fit
    from spmtrain.stream import ShardStream

_HOMES = {"TrainConfig": "config", "ShardStream": "stream", "fit": "loop"}

__all__ = ["ShardStream", "TrainConfig", "fit"]


def __getattr__(name: str) -> Any:
    """Import the module that owns a public name when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'spmtrain' has no attribute {name!r}")
    return getattr(import_module(f"spmtrain.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
