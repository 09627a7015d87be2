"""SPM toolkit, the data side: annotations to targets, targets to stores, stores to streams. Names load on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spmdata.codec import Codec
    from spmdata.people import People
    from spmdata.prepare.plan import plan_store
    from spmdata.prepare.run import prepare_store
    from spmdata.skeleton import Skeleton
    from spmdata.skeletons import SKELETONS
    from spmdata.sources.registry import open_source
    from spmdata.spec import TargetSpec
    from spmdata.store.reader import open_store
    from spmdata.verify.run import verify_store

_HOMES = {
    "Skeleton": "skeleton",
    "SKELETONS": "skeletons",
    "People": "people",
    "TargetSpec": "spec",
    "Codec": "codec",
    "open_source": "sources.registry",
    "plan_store": "prepare.plan",
    "prepare_store": "prepare.run",
    "open_store": "store.reader",
    "verify_store": "verify.run",
}

__version__ = "0.1.0"
__all__ = [
    "SKELETONS",
    "Codec",
    "People",
    "Skeleton",
    "TargetSpec",
    "open_source",
    "open_store",
    "plan_store",
    "prepare_store",
    "verify_store",
]


def __getattr__(name: str) -> Any:
    """Import the module that owns a public name when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'spmdata' has no attribute {name!r}")
    return getattr(import_module(f"spmdata.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
