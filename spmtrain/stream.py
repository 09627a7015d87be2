"""A store's rows as an endless sequence of batches on a device: on a GPU before the step on the last one ends.

`spmdata.stream` reads into kept host buffers (pinned for a GPU). For a GPU one more thread copies the next batch there,
once, and normalises it on a CUDA stream of its own; for the CPU it is normalised when it is asked for.

Letters: B rows of a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from os import PathLike
from typing import Any, Literal, NamedTuple, Self, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, DTypeLike, NDArray
from torch import Tensor

from spmdata.errors import SpecError, SpmError, StoreError
from spmdata.store.reader import Store
from spmdata.stream import RowStream
from spmdata.stream.pages import zeros
from spmtrain.maps import TargetMaps

#: Where maps come from: the store's own, or drawn from its people.
MapsFrom = Literal["stored", "drawn"]
#: Mean and spread of ImageNet's (red, green, blue) on the scale 0 to 255: images leave the stream near N(0, 1).
MEAN_RGB, STD_RGB = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class Batch(NamedTuple):
    """Rows of a store on a device; valid until the next batch is asked for, as its tensors are kept."""

    images: Tensor  #: (B, 3, H_px, W_px) float32, normalised, channels last
    targets: TargetMaps
    rows: NDArray[np.int64]  #: (B,) rows of the store
    position: int  #: of the batch in the endless sequence, before ranks share it


def normalise(images: Tensor, out: Tensor | None = None) -> Tensor:
    """Turn RGB images (B, H_px, W_px, 3) uint8 into (B, 3, H_px, W_px) float32 near N(0, 1), laid out channels last.

    ``out``, when it is given, is of the images' shape in float32 and takes the values.
    """
    # A whole line of an image at once: three values at a time took three times as long.
    mean, std = (torch.tensor(values, device=images.device).repeat(images.shape[2]) for values in (MEAN_RGB, STD_RGB))
    pixels = images.float().contiguous() if out is None else out.copy_(images)
    pixels.flatten(2).sub_(mean).div_(std)
    return pixels.permute(0, 3, 1, 2)


class _Kept:
    """The tensors of one batch on the device, written to again and again: new memory costs more than a copy."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._tensors: dict[str, Tensor] = {}

    def like(self, name: str, host: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the tensor of that name, of the shape of a host tensor."""
        kept = self._tensors.get(name)
        if kept is None or kept.shape != host.shape:
            kept = self._tensors[name] = torch.empty(host.shape, dtype=dtype, device=self._device)
        return kept

    def copied(self, name: str, host: Tensor) -> Tensor:
        """Return a copy of a host tensor; of float16 in float32."""
        copy = self.like(name, host, host.dtype).copy_(host, non_blocking=True)
        return copy.float() if copy.dtype == torch.float16 else copy


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
        device = torch.device(device)
        self._device, self._host = device, dict[int, Tensor]()
        self._now, self._later = _Kept(device), _Kept(device)
        self._side = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
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
            allocate=self._allocate,
        )
        try:
            check_trainable(self._rows.store, targets)
        except SpmError:
            self._rows.close()
            raise
        self._copier = ThreadPoolExecutor(1, thread_name_prefix="spm-copy")
        self._next = self._begun()

    @property
    def store(self) -> Store:
        """Whose rows they are."""
        return self._rows.store

    def __iter__(self) -> Self:
        """Return itself."""
        return self

    def __next__(self) -> Batch:
        """Return the next batch, and have the one after it copied meanwhile. What failed in a thread is raised here."""
        batch = self._next()
        self._now, self._later = self._later, self._now
        if self._side is not None:  # what is written next waits for the work that was launched on it
            self._side.wait_stream(torch.cuda.current_stream(self._device))
        self._next = self._begun()
        self.position = batch.position + self.batch
        return batch

    def _begun(self) -> Callable[[], Batch]:
        """Begin the next batch where that takes nothing from the step; return what waits for it.

        On a CPU it is made when it is asked for: torch in another thread brings compute threads of its own, which
        fight the step's for the cores (60 steps took 8.2 s, not 4.8).
        """
        return self._copied if self._side is None else self._copier.submit(self._copied).result

    def _copied(self) -> Batch:
        rows, kept = next(self._rows), self._later
        assert rows.images is not None
        assert rows.targets is not None
        with nullcontext() if self._side is None else torch.cuda.stream(self._side):
            pixels = host = self._of(rows.images)
            if self._side is not None:
                pixels = kept.copied("pixels", host)
            images = normalise(pixels, kept.like("images", host, torch.float32))
            maps = rows.targets._asdict().items()
            targets = TargetMaps(**{name: kept.copied(name, self._of(m)) for name, m in maps if m is not None})
        if self._side is not None:
            self._side.synchronize()
        return Batch(images, targets, rows.rows, rows.position)

    def _allocate(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return zeros for the stream of rows, in memory that a GPU copies from at its full speed."""
        tensor = torch.from_numpy(zeros(shape, dtype))
        if self._side is not None:
            tensor = tensor.pin_memory()
        self._host[tensor.data_ptr()] = tensor
        return tensor.numpy()

    def _of(self, part: NDArray[Any]) -> Tensor:
        """Return the tensor that an array begins in the place of: the array is read-only, which torch minds."""
        return self._host[part.ctypes.data][: len(part)]

    def close(self) -> None:
        """End the threads; what they were reading is dropped."""
        self._copier.shutdown(wait=True, cancel_futures=True)
        self._rows.close()
        self._next = _closed

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the threads."""
        self.close()


def _closed() -> Batch:
    raise SpmError("the stream is closed")


def check_trainable(store: Store, targets: MapsFrom | None) -> None:
    """Raise StoreError when a store has nothing to train on, SpecError when ``targets`` is another word."""
    if targets not in (None, *get_args(MapsFrom)):
        raise SpecError(f"targets must be one of {', '.join(get_args(MapsFrom))}, got {targets!r}")
    if not store.layout.images:
        raise StoreError(f"{store.path}: prepared with --no-images: training needs images; run spm prepare without it")
