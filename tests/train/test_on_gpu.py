"""fit and Predictor on a GPU: launched, and replayed as graphs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spmdata.store.reader import Store
from spmdata.stream import RowStream
from spmtrain.config import TrainConfig
from spmtrain.loop import fit
from spmtrain.loss import Loss, LossTerms
from spmtrain.predict import Predictor
from spmtrain.replay import FIRST_CALLS

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    return TrainConfig(features=(16, 16, 16), batch=4, threads=1, device="cuda", out=str(tmp_path / "run"))


def test_loss_falls_on_a_gpu(store: Store, config: TrainConfig) -> None:
    result = fit(store, replace(config, steps=80))
    assert np.mean(result.losses[-5:]) < 0.5 * np.mean(result.losses[:5])


def test_replayed_steps_are_the_steps(store: Store, config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bf16, where cuDNN's order of summing is not fixed: nearly."""
    config, calls, compare = replace(config, steps=12, norm="batch"), list[int](), Loss.__call__

    def counted(self: Loss, *given: Any) -> LossTerms:
        calls.append(len(calls))
        return compare(self, *given)

    monkeypatch.setattr(Loss, "__call__", counted)
    replayed = fit(store, config)
    assert len(calls) == FIRST_CALLS + 1
    monkeypatch.setattr("spmtrain.replay.FIRST_CALLS", 10**9)
    launched = fit(store, replace(config, out=f"{config.out}2"))
    np.testing.assert_allclose(replayed.losses, launched.losses, rtol=0.02)


def test_predictions_on_a_gpu_are_those_on_a_cpu(store: Store, config: TrainConfig) -> None:
    """Launched at first, then replayed; convolutions round to TF32, which moves scores a little."""
    result = fit(store, replace(config, steps=80, norm="batch"))
    with RowStream(store, 5, once=True, targets="none") as stream:
        inputs = torch.tensor(next(stream).images)
    expected = Predictor(result.checkpoint, "cpu", threshold=0.5).inputs(inputs)
    predictor = Predictor(result.checkpoint, "cuda", threshold=0.5)
    for _ in range(FIRST_CALLS + 2):
        for one, two in zip(predictor.inputs(inputs), expected, strict=True):
            assert len(one) == len(two) > 0
            np.testing.assert_allclose(one.score, two.score, atol=0.02)
            np.testing.assert_allclose(one.joints, two.joints, atol=1)


def test_evaluations_between_replays(store: Store, config: TrainConfig) -> None:
    """Their graphs and memory are others'; the steps between them go on falling."""
    result = fit(store, replace(config, steps=60, eval_every=15), val=store)
    assert result.evaluation is not None
    assert np.mean(result.losses[-5:]) < 0.6 * np.mean(result.losses[:5])
