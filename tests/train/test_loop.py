"""fit: the loss falls, twice the same, and what is left behind when it stops."""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from spmdata.errors import SpecError, SpmError, StoreError
from spmdata.store.reader import Store
from spmdata.stream.buffers import Buffers, RowReader
from spmtrain.checkpoint import Checkpoint
from spmtrain.config import LossNorm, Optimiser, TrainConfig
from spmtrain.log import StepLog
from spmtrain.loop import fit
from spmtrain.loss import Loss
from spmtrain.maps import Maps
from spmtrain.model import Hourglass
from spmtrain.stream import ShardStream
from train.conftest import SPEC, prepared


@pytest.mark.parametrize("loss_norm", ["mean", "paper"])
def test_loss_falls_by_half(store: Store, config: TrainConfig, loss_norm: LossNorm) -> None:
    """Five images of noise, each nose a white square, learnt by heart."""
    logs: list[StepLog] = []
    result = fit(store.path, replace(config, steps=80, loss_norm=loss_norm), logs.append)
    assert result.losses == tuple(log.total for log in logs)
    assert np.mean(result.losses[-5:]) < 0.5 * np.mean(result.losses[:5])


def test_two_runs_are_equal_bit_for_bit(store: Store, config: TrainConfig) -> None:
    config = replace(config, stacks=2, norm="batch")
    results = [fit(store, replace(config, out=f"{config.out}{i}")) for i in range(2)]
    assert results[0].losses == results[1].losses
    one, two = (Checkpoint.load(result.checkpoint).weights for result in results)
    assert all(torch.equal(one[name], two[name]) for name in one)
    other = fit(store, replace(config, out=f"{config.out}2", seed=1))
    assert other.losses != results[0].losses


def test_maps_may_be_drawn_instead_of_stored(store: Store, mapless_store: Store, config: TrainConfig) -> None:
    stored, drawn = (fit(s, replace(config, out=f"{config.out}{i}")) for i, s in enumerate((store, mapless_store)))
    assert stored.losses == drawn.losses


def test_log_says_what_a_step_did(store: Store, config: TrainConfig) -> None:
    logs: list[StepLog] = []
    fit(store, replace(config, stacks=2, beta=0.5), logs.append)
    assert [log.step for log in logs] == [1, 2, 3]
    for log in logs:
        assert len(log.root) == len(log.offsets) == 2
        assert log.total == pytest.approx(sum(log.root) + 0.5 * sum(log.offsets), rel=1e-5)
        assert 0 <= log.wait_s < log.step_s


def test_checkpoint_holds_the_run(store: Store, config: TrainConfig) -> None:
    result = fit(store, config)
    assert result.checkpoint == Path(config.out) / "last.pt"
    loaded = Checkpoint.load(result.checkpoint)
    assert (loaded.step, loaded.config, loaded.spec) == (3, config, store.spec)
    assert loaded.store_fingerprint == store.layout.fingerprint()
    with ShardStream(store, 5) as stream, torch.no_grad():
        batch = next(stream)
        terms = Loss(store.spec, config)(loaded.network()(batch.images), batch.targets)
    assert terms.total < result.losses[0]


@pytest.mark.parametrize("optimiser", ["muon", "adamw", "rmsprop"])
def test_a_resumed_run_is_the_same_run_bit_for_bit(store: Store, config: TrainConfig, optimiser: Optimiser) -> None:
    config = replace(config, steps=7, warmup=3, optimiser=optimiser, norm="batch", save_every=2)
    whole = fit(store, config)

    def interrupt(log: StepLog) -> None:
        if log.step == 3:  # when step 4 is done
            raise KeyboardInterrupt

    stopped = replace(config, out=f"{config.out}2")
    with pytest.raises(KeyboardInterrupt):
        fit(store, stopped, interrupt)
    log = Path(stopped.out) / "metrics.jsonl"
    log.write_text(log.read_text() + '{"step": 5, "total": 0}\n{"step": 6, "tot')  # what a kill may leave
    rest = fit(store, stopped, resume=True)
    assert rest.losses == whole.losses[4:]
    one, two = (Checkpoint.load(result.checkpoint) for result in (whole, rest))
    for name in one.weights:
        assert torch.equal(one.weights[name], two.weights[name])
        assert torch.equal(one.average[name], two.average[name])
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == list(range(1, 8))
    again = fit(store, stopped, resume=True)
    assert again.losses == ()
    with pytest.raises(SpecError, match=rf"lr {stopped.peak_lr} there, 0\.002 here"):
        fit(store, replace(stopped, lr=2e-3), resume=True)


def test_a_run_is_evaluated_and_the_best_is_kept(store: Store, config: TrainConfig) -> None:
    result = fit(store, replace(config, steps=5, eval_every=2), val=store)
    assert result.evaluation is not None
    assert result.evaluation.ceiling.AP > 0.5
    lines = [json.loads(line) for line in (Path(config.out) / "metrics.jsonl").read_text().splitlines()]
    evaluated = [line["step"] for line in lines if "evaluation" in line]
    assert evaluated == [2, 4, 5]
    best = Checkpoint.load(Path(config.out) / "best.pt")
    assert best.best_ap == max(line["evaluation"]["scores"]["AP"] for line in lines if "evaluation" in line)


def test_a_validation_store_that_does_not_fit_is_refused_before_the_first_step(
    store: Store, config: TrainConfig, tmp_path: Path
) -> None:
    steps: list[int] = []

    def refused(val: Store, message: str) -> None:
        with pytest.raises(SpmError, match=message):
            fit(store, replace(config, steps=1), lambda log: steps.append(log.step), val=val)

    small = prepared(tmp_path / "small", replace(SPEC, input_hw=(64, 64)), 3)
    refused(small, r"input_hw \(64, 96\), .* has \(64, 64\)")
    refused(Store(store.path, replace(store.layout, images=False), store.attributes), "--no-images")
    assert steps == []
    assert not Path(config.out).exists()


def test_loss_that_is_not_finite_names_the_rows(
    store: Store, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    calls = count(1)

    def fall_apart(self: Hourglass, images: torch.Tensor) -> list[Maps]:
        stages = forward(self, images)
        return stages if next(calls) < 3 else [Maps(s.root_heatmap * torch.nan, s.offsets) for s in stages]

    forward = Hourglass.forward
    monkeypatch.setattr(Hourglass, "forward", fall_apart)
    with ShardStream(store, config.batch) as stream:
        rows = [next(stream).rows.tolist() for _ in range(3)][2]
    with pytest.raises(SpmError, match=rf"the loss is nan at step 3, rows {re.escape(str(rows))}; .*spm inspect"):
        fit(store, replace(config, steps=9), lambda log: steps.append(log.step))
    assert steps == [1, 2]
    lines = (Path(config.out) / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2]
    assert not (Path(config.out) / "last.pt").exists()


def test_memory_that_does_not_suffice_is_said(
    store: Store, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_much(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Hourglass, "forward", too_much)
    with pytest.raises(SpmError, match="does not hold a step of 4 rows: take fewer with --batch"):
        fit(store, config)


def test_an_evaluation_that_fails_loses_no_steps(
    store: Store, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_much(*_: object, **__: object) -> None:
        raise SpmError("the device's memory does not hold 4 images at once")

    monkeypatch.setattr("spmtrain.loop.evaluate", too_much)
    with pytest.raises(SpmError, match="4 images at once"):
        fit(store, replace(config, eval_every=2), val=store)
    assert Checkpoint.load(Path(config.out) / "last.pt").step == 2


def test_compiling_is_for_gpus(store: Store, config: TrainConfig) -> None:
    with pytest.raises(SpecError, match=r"compile: this run computes on a CPU, .* --no-compile"):
        fit(store, replace(config, compile=True))
    assert not Path(config.out).exists()


def test_refused_store_leaves_no_file_open(store: Store, config: TrainConfig) -> None:
    before = len(os.listdir("/proc/self/fd"))
    attributes = {"spm": store.attributes["spm"] | {"complete": False}}
    with pytest.raises(StoreError, match="not finished"):
        fit(Store(store.path, store.layout, attributes), config)
    assert len(os.listdir("/proc/self/fd")) == before
    assert not (Path(config.out) / "metrics.jsonl").exists()


@pytest.mark.parametrize("threads", [1, 2])
def test_resumed_with_other_reading_threads_it_is_the_same_run(
    store: Store, config: TrainConfig, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    """Torch's own sums depend on its threads, so these stay; only those that read differ."""
    whole = fit(store, replace(config, steps=5))
    monkeypatch.setattr("spmtrain.loop._threads", lambda config: threads)
    stopped = replace(config, out=f"{config.out}2", steps=5, save_every=3)

    def interrupt(log: StepLog) -> None:
        if log.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(store, stopped, interrupt)
    monkeypatch.setattr("spmtrain.loop._threads", lambda config: 3 - threads)
    assert fit(store, stopped, resume=True).losses == whole.losses[3:]


def test_checkpoint_of_another_run_is_kept(store: Store, config: TrainConfig) -> None:
    fit(store, config)
    with pytest.raises(SpecError, match=r"last.pt exists already: go on with --resume, name another folder with --out"):
        fit(store, config)


def test_out_that_cannot_be_a_folder(store: Store, config: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpecError, match=r"out .*file/run: Not a directory; name another folder"):
        fit(store, replace(config, out=str(tmp_path / "file/run")))


def test_store_that_is_not_there(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        fit(tmp_path / "none.zarr", config)
    assert not Path(config.out).exists()


def test_missing_cuda_is_said(store: Store, config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SpecError, match="no CUDA device here"):
        fit(store, replace(config, device="cuda"))


def test_number_of_threads_is_put_back(store: Store, config: TrainConfig) -> None:
    fit(store, replace(config, features=(8, 8), threads=2, steps=1))
    assert torch.get_num_threads() == 1


def test_log_says_how_long_a_step_waited(store: Store, config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading is the slowest: a step lasts as long as reading a batch does, and waits for what it does not compute."""
    fill, logs, late_s = RowReader.fill, list[StepLog](), 0.1

    def late(self: RowReader, buffers: Buffers, part: int, rows: NDArray[np.int64]) -> None:
        time.sleep(late_s)
        fill(self, buffers, part, rows)

    monkeypatch.setattr(RowReader, "fill", late)
    fit(store, replace(config, steps=6), logs.append)
    steady = logs[3:]  # what comes before was asked for all at once
    assert np.mean([log.step_s for log in steady]) > 0.9 * late_s
    computed = [log.step_s - log.wait_s for log in logs]
    assert min(computed) < late_s / 2
    assert np.mean([log.wait_s for log in steady]) > 0.9 * late_s - np.mean(computed)
