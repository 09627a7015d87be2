"""What Ctrl-C leaves of a run."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from spmdata.store.reader import Store
from spmtrain.checkpoint import Checkpoint
from spmtrain.config import TrainConfig
from spmtrain.log import StepLog
from spmtrain.loop import fit
from spmtrain.loss import Loss
from spmtrain.optim import Ema
from spmtrain.stream import ShardStream


def test_interrupt_saves_and_goes_on(store: Store, config: TrainConfig) -> None:
    def interrupt(log: StepLog) -> None:
        if log.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(store, config, interrupt)
    assert Checkpoint.load(Path(config.out) / "last.pt").step == 3  # a step is told of when the next one is launched
    lines = (Path(config.out) / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3]


@pytest.mark.parametrize("at", [Loss.__call__, Ema.update, ShardStream.__next__, StepLog.__init__])
def test_ctrl_c_anywhere_leaves_whole_steps(
    store: Store, config: TrainConfig, monkeypatch: pytest.MonkeyPatch, at: Callable[..., Any]
) -> None:
    """Half a step that is saved would be a whole one on resuming."""
    config = replace(config, steps=6, norm="batch")
    whole = fit(store, config)
    calls: list[int] = []

    def interrupted(*given: Any, **named: Any) -> Any:
        calls.append(len(calls))
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return at(*given, **named)

    owner = next(kind for kind in (Loss, Ema, ShardStream, StepLog) if getattr(kind, at.__name__, None) is at)
    stopped = replace(config, out=f"{config.out}2")
    with monkeypatch.context() as patch:
        patch.setattr(owner, at.__name__, interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit(store, stopped)
    rest = fit(store, stopped, resume=True)
    assert rest.losses == whole.losses[-len(rest.losses) :]
    assert 2 <= len(rest.losses) <= 4
    one, two = (Checkpoint.load(result.checkpoint) for result in (whole, rest))
    for name in one.weights:
        assert torch.equal(one.weights[name], two.weights[name])


def test_ctrl_c_in_the_first_step_ends_it_at_once(
    store: Store, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be compiling for minutes; there is no step to be saved yet."""
    updates: list[int] = []

    def interrupted(*_: Any) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Loss, "__call__", interrupted)
    monkeypatch.setattr(Ema, "update", lambda self, step: updates.append(step))
    with pytest.raises(KeyboardInterrupt):
        fit(store, config)
    assert updates == []
    assert not (Path(config.out) / "last.pt").exists()
