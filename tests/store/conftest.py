"""Finished stores that no test changes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.cases import layout_of, write_store


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished store of 11 rows in shards of 4; copy it to change it."""
    return write_store(tmp_path_factory.mktemp("store") / "data.zarr", layout_of(11, 4))


@pytest.fixture(scope="session")
def finished_h5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the same store in HDF5."""
    return write_store(tmp_path_factory.mktemp("store") / "data.h5", layout_of(11, 4))


@pytest.fixture(autouse=True, scope="session")
def _nobody_pulls_the_plug() -> Iterator[None]:
    """Do without fsync: it only tells after a power cut, and takes most of the time of small stores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield
