"""An empty file system in memory, and no waiting."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import spmdata.store.connection
from remote_cases import LAYOUT, FlakyFileSystem
from store.cases import write_store


@pytest.fixture(autouse=True)
def _empty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(spmdata.store.connection, "WAITS_S", (0.0, 0.0, 0.0, 0.0))
    monkeypatch.setattr(FlakyFileSystem, "on_request", staticmethod(lambda verb, path: None))
    FlakyFileSystem.requests.clear()
    yield
    FlakyFileSystem.store.clear()
    FlakyFileSystem.pseudo_dirs[:] = [""]


@pytest.fixture
def url() -> str:
    """Return the URL of a finished store, `LAYOUT`; requests are counted from here."""
    write_store("flaky://bucket/a.zarr", LAYOUT)
    FlakyFileSystem.requests.clear()
    return "flaky://bucket/a.zarr"
