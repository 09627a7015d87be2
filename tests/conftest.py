"""Fixtures of the whole suite."""

import os
from pathlib import Path

import pytest

from spmdata.codec.tiers import COLLIDE, DECODE, ENCODE


@pytest.fixture(scope="session", autouse=True)
def _compiled() -> None:
    """Compile at once: which test comes first should not decide what it tests."""
    for tier in (ENCODE, DECODE, COLLIDE):
        tier.settled = True


@pytest.fixture(scope="session")
def spm_data() -> Path:
    """Return the folder of real annotations, ``$SPM_DATA``."""
    folder = os.environ.get("SPM_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SPM_DATA is unset: real-data tests skipped")
    return Path(folder)
