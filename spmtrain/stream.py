"""A store's rows as an endless sequence of batches on a device: the next one is there before the step on this one ends.

`spmdata.stream` reads into kept host buffers (pinned for a GPU); here one more thread copies a batch to the device,
once, and normalises it there, on a CUDA stream of its own.

Letters: B rows of a batch.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from os import PathLike
from typing import Any, Literal, NamedTuple, Self, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, DTypeLike, NDArray
from torch import Tensor

from spmdata.errors import SpecError, SpmError, StoreError
from spmdata.store.reader import Store
from spmdata.stream import RowBatch, RowStream
from spmtrain.maps import TargetMaps

#: Where maps come from: the store's own, or drawn from its people.
MapsFrom = Literal["stored", "drawn"]
#: Mean and spread of ImageNet's (red, green, blue) on the scale 0 to 255: images leave the stream near N(0, 1).
MEAN_RGB, STD_RGB = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class Batch(NamedTuple):
    """Rows of a store on a device; its tensors are the caller's own."""

    images: Tensor  #: (B, 3, H_px, W_px) float32, normalised, channels last
    targets: TargetMaps
    rows: NDArray[np.int64]  #: (B,) rows of the store
    position: int  #: of the batch in the endless sequence, before ranks share it


def normalise(images: Tensor) -> Tensor:
    """Turn RGB images (B, H_px, W_px, 3) uint8 into (B, 3, H_px, W_px) float32 near N(0, 1), laid out channels last."""
    mean, std = (torch.tensor(values, device=images.device) for values in (MEAN_RGB, STD_RGB))
    return images.float().sub_(mean).div_(std).permute(0, 3, 1, 2)


def tensors_of(batch: RowBatch, device: torch.device | str = "cpu") -> tuple[Tensor, TargetMaps]:
    """Return copies on a device of a batch's images, (B, H_px, W_px, 3) uint8, and of its maps in float32."""

    def moved(maps: NDArray[Any]) -> Tensor:
        copied = torch.tensor(maps, device=device)
        return copied.float() if copied.dtype == torch.float16 else copied

    assert batch.images is not None
    assert batch.targets is not None
    maps = {name: moved(held) for name, held in batch.targets._asdict().items() if held is not None}
    return torch.tensor(batch.images, device=device), TargetMaps(**maps)


class ShardStream:
    """An endless iterator of batches; a context manager that ends its threads.

    Parameters
    ----------
    store : Store or path
        A finished store with images; where it has no maps, they are drawn from its people, the same values.
    batch : int
        Rows of a batch, those of all ranks together; a batch may span two epochs, so none is short.
    seed : int
        Of the order.
    threads : int
        Threads that read ahead.
    device : str or torch.device
        Where batches go.
    position : int
        Where in the endless sequence to begin.
    rank, ranks : int
        Which share of each batch to yield.
    weights : (N,) float, optional
        How often an epoch has each row of the store.
    targets : {"stored", "drawn"}, optional
        See `spmdata.stream.RowStream`.

    Raises
    ------
    StoreError
        The store lacks images, is unfinished, or has no row that is fit to train on; also from `next`: damage.
    SpecError
        A number out of range.
    """

    def __init__(
        self,
        store: Store | str | PathLike[str],
        batch: int,
        seed: int = 0,
        threads: int = 2,
        device: str | torch.device = "cpu",
        position: int = 0,
        *,
        rank: int = 0,
        ranks: int = 1,
        weights: ArrayLike | None = None,
        targets: MapsFrom | None = None,
    ) -> None:
        self.batch, self.position = batch, position
        self._device = torch.device(device)
        self._side: Any = None  # the CUDA stream of copies
        if self._device.type == "cuda":
            self._side = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        self._rows = RowStream(
            store,
            batch,
            seed=seed,
            threads=threads,
            position=position,
            rank=rank,
            ranks=ranks,
            weights=weights,
            targets=targets,
            allocate=np.zeros if self._side is None else _pinned,
        )
        try:
            check_trainable(self._rows.store, targets)
        except SpmError:
            self._rows.close()
            raise
        self._copier = ThreadPoolExecutor(1, thread_name_prefix="spm-copy")
        self._next: Future[Batch] = self._copier.submit(self._copied)

    @property
    def store(self) -> Store:
        """Whose rows they are."""
        return self._rows.store

    def __iter__(self) -> Self:
        """Return itself."""
        return self

    def __next__(self) -> Batch:
        """Return the next batch, and have the one after it copied meanwhile. What failed in a thread is raised here."""
        batch = self._next.result()
        self._next = self._copier.submit(self._copied)
        if self._side is not None:  # its memory is not to be used again before what is launched from here on has run
            for tensor in (batch.images, *batch.targets):
                if tensor is not None:
                    tensor.record_stream(torch.cuda.current_stream(self._device))
        self.position = batch.position + self.batch
        return batch

    def _copied(self) -> Batch:
        rows = next(self._rows)
        with nullcontext() if self._side is None else torch.cuda.stream(self._side):
            images, targets = tensors_of(rows, self._device)
            batch = Batch(normalise(images), targets, rows.rows, rows.position)
        if self._side is not None:
            self._side.synchronize()
        return batch

    def close(self) -> None:
        """End the threads; what they were reading is dropped."""
        self._copier.shutdown(wait=True, cancel_futures=True)
        self._rows.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the threads."""
        self.close()


def check_trainable(store: Store, targets: MapsFrom | None) -> None:
    """Raise StoreError when a store has nothing to train on, SpecError when ``targets`` is another word."""
    if targets not in (None, *get_args(MapsFrom)):
        raise SpecError(f"targets must be one of {', '.join(get_args(MapsFrom))}, got {targets!r}")
    if not store.layout.images:
        raise StoreError(f"{store.path}: prepared with --no-images: training needs images; run spm prepare without it")


def _pinned(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return zeros in memory that a GPU copies from at its full speed."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory: NDArray[Any] = torch.zeros(size, dtype=torch.uint8, pin_memory=True).numpy()
    return memory.view(dtype).reshape(shape)
