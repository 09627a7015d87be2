"""Training, from top to bottom: rows in, loss down, a checkpoint at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import torch

from spmdata.errors import SpecError, SpmError
from spmdata.store.reader import Store, open_store
from spmtrain.checkpoint import Checkpoint
from spmtrain.config import TrainConfig
from spmtrain.loss import Loss
from spmtrain.model import build_model
from spmtrain.stream import ShardStream

#: Longest gradient; rare steps are far longer than the rest.
CLIP = 5.0


@dataclass(frozen=True)
class StepLog:
    """What one optimiser step did.

    Parameters
    ----------
    step : int
        From 1 to ``config.steps``.
    total : float
        The loss that was descended.
    root, offsets : tuple of float, (S,)
        Its terms by stage, before beta.
    wait_s, step_s : float
        Seconds spent waiting for the batch, and in the whole step.
    """

    step: int
    total: float
    root: tuple[float, ...]
    offsets: tuple[float, ...]
    wait_s: float
    step_s: float


@dataclass(frozen=True)
class FitResult:
    """What a run left behind.

    Parameters
    ----------
    checkpoint : Path
        The file written.
    losses : tuple of float
        The total loss of every step.
    """

    checkpoint: Path
    losses: tuple[float, ...]


def fit(
    store: Store | str | PathLike[str], config: TrainConfig, on_step: Callable[[StepLog], None] | None = None
) -> FitResult:
    """Train a network on a store and leave ``last.pt`` in ``config.out``; an interrupted run leaves it too.

    On a CPU two runs of the same config, store and number of threads are equal bit for bit.

    Parameters
    ----------
    store : Store or path
        A finished store with images and maps.
    config : TrainConfig
        Network, optimiser, device, output folder.
    on_step : callable, optional
        Called after every step; nothing is printed here.

    Returns
    -------
    FitResult
        The checkpoint's path and the loss of every step.

    Raises
    ------
    StoreError
        The store cannot be trained on.
    SpecError
        The input size does not fit the network, the device is missing, or the folder holds a checkpoint already.
    SpmError
        The loss is not finite; the message names the rows of the batch.
    """
    store = open_store(store) if isinstance(store, (str, PathLike)) else store
    device = _device(config)
    path = _checkpoint_path(config)
    network = build_model(store.spec, config).to(device).train()
    criterion = Loss(store.spec, config)
    optimiser = torch.optim.Adam(network.parameters(), lr=config.lr)
    losses: list[float] = []

    def save() -> None:
        Checkpoint(
            weights=network.state_dict(),
            config=config,
            spec=store.spec,
            store_fingerprint=store.layout.fingerprint(),
            step=len(losses),
        ).save(path)

    with (
        _torch_threads(config.threads) as threads,
        ShardStream(store, config.batch, config.seed, threads, device) as rows,
    ):
        try:
            for step in range(1, config.steps + 1):
                start = time.perf_counter()
                batch = next(rows)
                ready = time.perf_counter()

                terms = criterion(network(batch.images), batch.targets)
                total = terms.total.item()
                if not terms.total.isfinite():
                    raise SpmError(
                        f"the loss is {total} at step {step}, rows {batch.rows.tolist()}; "
                        "look at them with spm inspect, or lower the learning rate"
                    )
                optimiser.zero_grad()
                terms.total.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
                optimiser.step()

                losses.append(total)
                if on_step is not None:
                    root, offsets = tuple(terms.root.tolist()), tuple(terms.offsets.tolist())
                    end = time.perf_counter()
                    on_step(StepLog(step, total, root, offsets, ready - start, end - start))
        except KeyboardInterrupt:
            if losses:
                save()
            raise
    save()
    return FitResult(path, tuple(losses))


def _device(config: TrainConfig) -> torch.device:
    found = torch.cuda.is_available()
    if config.device == "cuda" and not found:
        raise SpecError("device cuda: torch finds no CUDA device here; use --device cpu")
    return torch.device("cuda" if found and config.device != "cpu" else "cpu")


def _checkpoint_path(config: TrainConfig) -> Path:
    """Make the output folder; SpecError when it holds a checkpoint, which hours of work may have gone into."""
    path = Path(config.out) / "last.pt"
    if path.exists():
        raise SpecError(f"{path} exists already: name another folder with --out, or remove it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SpecError(f"out {config.out}: {error.strerror}; name another folder with --out") from error
    return path


@contextmanager
def _torch_threads(threads: int) -> Iterator[int]:
    """Let torch compute on so many threads for a while; 0 leaves it as it is. Yields the number."""
    before = torch.get_num_threads()
    if threads:
        torch.set_num_threads(threads)
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
