"""A finished store in either form, and copies of it to harm."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from repair_cases import prepared


@pytest.fixture(autouse=True)
def _nobody_pulls_the_plug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.fixture(scope="module", params=["data.zarr", "data.h5"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished store beside its data set; copy it to change it."""
    return prepared(tmp_path_factory.mktemp("whole"), request.param)


@pytest.fixture
def path(whole: Path, tmp_path: Path) -> Path:
    """Return a copy of the store, its data set with it."""
    shutil.copytree(whole.parents[1], tmp_path / "data")
    return tmp_path / "data/out" / whole.name
