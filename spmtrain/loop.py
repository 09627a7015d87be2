"""Training, from top to bottom: rows in, loss down, checkpoints and a log left behind."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path

import torch

from spmdata.errors import SpecError, SpmError
from spmdata.store.reader import Store, open_store
from spmtrain.augment import mirror_rows, mirrored_rows
from spmtrain.checkpoint import Checkpoint
from spmtrain.config import TrainConfig
from spmtrain.descent import Descent, memory_for
from spmtrain.evaluate import Evaluation, check_evaluates, evaluate
from spmtrain.log import Log, Step, StepLog
from spmtrain.loss import Loss
from spmtrain.model import build_model
from spmtrain.optim import Ema, build_optimisers, lr_at, set_lr
from spmtrain.predict import Predictor
from spmtrain.stream import ShardStream


@dataclass(frozen=True)
class FitResult:
    """What a run left behind.

    Parameters
    ----------
    checkpoint : Path
        The file written last.
    losses : tuple of float
        The total loss of every step of this call.
    evaluation : Evaluation or None
        Of the last weights on the validation store.
    """

    checkpoint: Path
    losses: tuple[float, ...]
    evaluation: Evaluation | None


def fit(
    store: Store | str | PathLike[str],
    config: TrainConfig,
    on_step: Callable[[StepLog], None] | None = None,
    *,
    val: Store | str | PathLike[str] | None = None,
    resume: bool = False,
) -> FitResult:
    """Train a network on a store; leave ``last.pt``, ``best.pt`` and ``metrics.jsonl`` in ``config.out``.

    On a CPU two runs of the same config, store and number of threads are equal bit for bit, and so is a run that was
    stopped and resumed.

    Parameters
    ----------
    store : Store or path
        A finished store with images; where it has no maps, they are drawn from its people.
    config : TrainConfig
        Network, optimiser, device, output folder.
    on_step : callable, optional
        Called for every step, while the next one is computed; nothing is printed here.
    val : Store or path, optional
        A store to evaluate on: every ``config.eval_every`` steps and at the end.
    resume : bool
        Go on from ``last.pt`` in ``config.out``.

    Returns
    -------
    FitResult
        The checkpoint's path, the loss of every step, and the last evaluation.

    Raises
    ------
    StoreError
        The store cannot be trained on, or ``val`` not evaluated on.
    SpecError
        The input size does not fit the network, ``val`` has another, the device is missing, the folder holds a
        checkpoint and ``resume`` was not asked for, or the run to be resumed had other settings.
    SpmError
        The loss is not finite; the message names the rows of the batch. Or the device's memory does not suffice.
    """
    store = open_store(store) if isinstance(store, (str, PathLike)) else store
    val = open_store(val) if isinstance(val, (str, PathLike)) else val
    if val is not None:  # now, not when the first evaluation is due
        check_evaluates(val, store.spec)
    device = _device(config)
    path = Path(config.out) / "last.pt"
    if not resume:
        _fresh_folder(path)
    done = _resumed(path, store, config) if resume else None
    with memory_for("the network: take a smaller one"):
        network = build_model(store.spec, config).to(device).train()
        ema = Ema(network, config.ema)
    if config.compile:
        network.compile_parts()
    descent = Descent(network, Loss(store.spec, config))
    optimisers = build_optimisers(network, config)
    step, best = 0, -1.0
    if done is not None:
        network.load_state_dict(done.weights)
        for optimiser, state in zip(optimisers, done.optimisers, strict=True):
            optimiser.load_state_dict(state)
        ema.load(done.average)
        step, best = done.step, done.best_ap
    first = step + 1
    launched: deque[Step] = deque()
    losses: list[float] = []
    evaluation = None

    def checkpoint() -> Checkpoint:
        return Checkpoint(
            weights=network.state_dict(),
            average=ema.weights,
            optimisers=[optimiser.state_dict() for optimiser in optimisers],
            config=config,
            spec=store.spec,
            store_fingerprint=store.layout.fingerprint(),
            step=step,
            best_ap=best,
        )

    def tell(on_step: Callable[[StepLog], None] | None, but: int = 0) -> None:
        """Log the steps that were launched, but the last so many, when their numbers are there."""
        while len(launched) > but:
            entry = launched.popleft().log()
            losses.append(entry.total)
            log.write(asdict(entry))
            if on_step is not None:
                on_step(entry)

    stream = ShardStream(store, config.batch, config.seed, _threads(config), device, step * config.batch)
    with _torch_threads(config.threads), stream as batches, Log(path.with_name("metrics.jsonl"), first) as log:
        try:
            while step < config.steps:
                start = time.perf_counter()
                batch = next(batches)
                ready = time.perf_counter()

                # The first step may compile for minutes, and there is nothing yet that could be saved by halves.
                whole = _uninterrupted() if step >= first else nullcontext()
                with whole:
                    mirrored = mirrored_rows(config.seed, batch.position, config.batch, config.mirror)
                    mirrored = mirrored.to(device, non_blocking=True)
                    mirror_rows(batch.images, batch.targets, mirrored, store.skeleton.flip)
                    lr = lr_at(step + 1, config)
                    set_lr(optimisers, lr)
                    terms = descent(batch.images, batch.targets)
                    gradient = torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip or float("inf"))
                    for optimiser in optimisers:
                        optimiser.step()
                    ema.update(step + 1)
                    step += 1
                    launched.append(Step(step, batch.rows, terms, gradient, lr, ready - start))

                tell(on_step, but=1)  # the device computes that one
                launched[-1].step_s = time.perf_counter() - start
                last = step == config.steps
                evaluates = val is not None and (last or (config.eval_every and step % config.eval_every == 0))
                saves = last or step % config.save_every == 0
                if evaluates or saves:
                    tell(on_step)
                if val is not None and evaluates:
                    try:
                        predictor = Predictor(checkpoint(), device.type)
                        evaluation = evaluate(predictor, val, batch=min(16, config.batch), threads=_threads(config))
                    except SpmError:  # memory, say, after hours
                        checkpoint().save(path)
                        raise
                    log.write({"step": step, "evaluation": evaluation.to_json()})
                    if best < (reached := evaluation.scores.AP):
                        best = reached
                        checkpoint().save(path.with_name("best.pt"))
                if saves:
                    checkpoint().save(path)
        except KeyboardInterrupt:
            tell(None)
            if step >= first:
                checkpoint().save(path)
            raise
    return FitResult(path, tuple(losses), evaluation)


def _device(config: TrainConfig) -> torch.device:
    found = torch.cuda.is_available()
    if config.device == "cuda" and not found:
        raise SpecError("device cuda: torch finds no CUDA device here; use --device cpu")
    device = torch.device("cuda" if found and config.device != "cpu" else "cpu")
    if config.compile and device.type == "cpu":
        raise SpecError("compile: this run computes on a CPU, which does without; use --no-compile")
    if config.compile and not any(map(shutil.which, filter(None, (os.environ.get("CC"), "gcc", "clang", "cc")))):
        raise SpecError("compile: torch finds no C compiler; install gcc, or use --no-compile")
    return device


def _fresh_folder(path: Path) -> None:
    """Make the output folder; SpecError when it holds a checkpoint, which hours of work may have gone into."""
    if path.exists():
        raise SpecError(f"{path} exists already: go on with --resume, name another folder with --out, or remove it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SpecError(f"out {path.parent}: {error.strerror}; name another folder with --out") from error


def _resumed(path: Path, store: Store, config: TrainConfig) -> Checkpoint:
    """Return the run to go on with; SpecError when it was another one."""
    done = Checkpoint.load(path)
    different = config.differences(done.config)
    if done.store_fingerprint != store.layout.fingerprint():
        different.append(f"store {done.store_fingerprint[:12]} there, {store.layout.fingerprint()[:12]} here")
    if different:
        raise SpecError(f"{path} is of another run: {', '.join(different)}; give the same settings, or another --out")
    return replace(done, config=config)


def _threads(config: TrainConfig) -> int:
    """Return how many threads read: more than eight stand in each other's way, at Python's lock (docs/streaming.md)."""
    return config.threads or min(8, torch.get_num_threads())


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let Ctrl-C take effect at the end of the block, where it would raise KeyboardInterrupt: half a step is none."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    noted: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: noted.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if noted:
        raise KeyboardInterrupt


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    """Let torch compute on so many threads for a while; 0 leaves it as it is."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
