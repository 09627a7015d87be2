"""The checkpoint: there and back, whole or not at all, safe to load."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spmdata.errors import SpmError, StoreError
from spmdata.spec import TargetSpec
from spmtrain.checkpoint import Checkpoint
from spmtrain.config import TrainConfig
from spmtrain.model import build_model

SPEC = TargetSpec(input_hw=(64, 64), hierarchical=True)
CONFIG = TrainConfig(features=(8, 8), norm="batch", seed=3)


@pytest.fixture
def checkpoint() -> Checkpoint:
    weights = build_model(SPEC, CONFIG).state_dict()
    return Checkpoint(weights=weights, average=weights, config=CONFIG, spec=SPEC, store_fingerprint="ab" * 32, step=7)


def test_there_and_back(tmp_path: Path, checkpoint: Checkpoint) -> None:
    checkpoint.save(tmp_path / "last.pt")
    loaded = Checkpoint.load(tmp_path / "last.pt")
    assert asdict(replace(loaded, weights={}, average={})) == asdict(replace(checkpoint, weights={}, average={}))
    assert all(torch.equal(loaded.weights[name], tensor) for name, tensor in checkpoint.weights.items())
    images = torch.randn(1, 3, 64, 64)
    expected = build_model(SPEC, CONFIG).eval()(images)[-1]
    assert torch.equal(loaded.network()(images)[-1].offsets, expected.offsets)


def test_file_holds_nothing_but_plain_values(tmp_path: Path, checkpoint: Checkpoint) -> None:
    checkpoint.save(tmp_path / "last.pt")
    content = torch.load(tmp_path / "last.pt", weights_only=True)
    assert sorted(content) == [
        *(
            "average",
            "best_ap",
            "config",
            "optimisers",
            "spec",
            "spm_checkpoint",
            "step",
            "store_fingerprint",
            "weights",
        )
    ]


def test_failed_write_leaves_the_old_file(
    tmp_path: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(tmp_path / "last.pt")

    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(StoreError, match=r"last.pt: No space left"):
        replace(checkpoint, step=8).save(tmp_path / "last.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]
    assert Checkpoint.load(tmp_path / "last.pt").step == 7


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file"), (b"", "not a checkpoint"), (b"PK\3\4 something else", "not a checkpoint")],
)
def test_foreign_file_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "x.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SpmError, match=f"x.pt: {message}"):
        Checkpoint.load(path)


def test_truncated_file_is_refused(tmp_path: Path, checkpoint: Checkpoint) -> None:
    path = tmp_path / "x.pt"
    checkpoint.save(path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(SpmError, match=r"x.pt: not a checkpoint, or damaged"):
        Checkpoint.load(path)


def test_flipped_bit_is_refused_or_harmless(tmp_path: Path, checkpoint: Checkpoint) -> None:
    path = tmp_path / "x.pt"
    checkpoint.save(path)
    whole = path.read_bytes()
    refused = 0
    for place, bit in np.random.default_rng(0).integers(0, (len(whole), 8), (60, 2)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        path.write_bytes(damaged)
        try:
            loaded = Checkpoint.load(path)  # a flip may fall into padding
        except SpmError:
            refused += 1
        else:
            assert all(torch.equal(loaded.weights[name], tensor) for name, tensor in checkpoint.weights.items())
    assert refused > 20


@pytest.mark.parametrize("content", [{"spm_checkpoint": 1}, {"state_dict": {}}, [1]])
def test_other_version_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(SpmError, match=r"checkpoint format 3 expected, found (1|None)"):
        Checkpoint.load(tmp_path / "x.pt")


def test_code_in_a_file_is_never_run(tmp_path: Path) -> None:
    torch.save({"spm_checkpoint": Path("anything")}, tmp_path / "x.pt")
    with pytest.raises(SpmError, match="not a checkpoint"):
        Checkpoint.load(tmp_path / "x.pt")
