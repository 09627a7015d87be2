"""A store's rows as an endless sequence of batches on a device, read ahead by a few threads into kept buffers.

Reading, JPEG decoding and decompression release the GIL, so threads suffice. The order is a pure function of (seed,
position): the position alone continues a stream.

Letters: B rows of a batch; N rows of the store; K joints; D axes; H, W cells of a map.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from os import PathLike
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spmdata.errors import ImageError, StoreError
from spmdata.images import load_input
from spmdata.spec import TargetSpec
from spmdata.store.reader import Store, open_store
from spmtrain.maps import TargetMaps

#: Mean and spread of ImageNet's (red, green, blue) on the scale 0 to 255: images leave the stream near N(0, 1).
MEAN_RGB, STD_RGB = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
#: Batches that are read or being read while one is in use.
AHEAD = 2
MAPS = ("root_heatmap", "offsets", "count", "ignore")


def maps_of(spec: TargetSpec) -> tuple[str, ...]:
    """Return the names of the targets that a store of a spec has, in the order of `TargetMaps`."""
    return MAPS if spec.dims == 2 else (*MAPS, "root_depth", "count_z")


class Batch(NamedTuple):
    """Rows of a store on a device; valid until the next batch is asked for, as its buffers are kept."""

    images: Tensor  #: (B, 3, H_px, W_px) float32, normalised, channels last
    targets: TargetMaps
    rows: NDArray[np.int64]  #: (B,) rows of the store
    position: int  #: of the first row in the endless sequence


def normalise(images: Tensor) -> Tensor:
    """Turn RGB images (B, H_px, W_px, 3) uint8 into (B, 3, H_px, W_px) float32 near N(0, 1), laid out channels last."""
    mean, std = (torch.tensor(values, device=images.device) for values in (MEAN_RGB, STD_RGB))
    return images.float().sub_(mean).div_(std).permute(0, 3, 1, 2)


@lru_cache(maxsize=4)
def _epoch_order(seed: int, epoch: int, length: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, epoch)).permutation(length)


def order(length: int, seed: int, position: int, number: int) -> NDArray[np.int64]:
    """Return entries from ``position`` on of the endless sequence of shuffled epochs, each of 0 to ``length - 1``."""
    at = np.arange(position, position + number)
    epochs = at // length
    taken = [_epoch_order(seed, int(e), length)[at[epochs == e] % length] for e in np.unique(epochs)]
    return np.concatenate(taken)


class _Slot:
    """The kept buffers of one batch in host memory, pinned when they are to be copied to a GPU."""

    def __init__(self, spec: TargetSpec, batch: int, pin: bool) -> None:
        (H, W), K = spec.map_hw, len(spec.skeleton)
        dtype = torch.float16 if spec.dtype == "float16" else torch.float32
        shapes = {
            "root_heatmap": ((H, W), dtype),
            "offsets": ((K, spec.dims, H, W), dtype),
            "count": ((K, H, W), torch.uint8),
            "ignore": ((H, W), torch.uint8),
            "root_depth": ((H, W), torch.float32),
            "count_z": ((K, H, W), torch.uint8),
        }
        self.images = torch.empty((batch, *spec.input_hw, 3), dtype=torch.uint8, pin_memory=pin)
        self.maps = {
            name: torch.empty((batch, *shapes[name][0]), dtype=shapes[name][1], pin_memory=pin)
            for name in maps_of(spec)
        }
        self.rows = np.zeros(batch, np.int64)
        self.jobs: list[Future[None]] = []
        self.copied = torch.cuda.Event() if pin else None  # type: ignore[no-untyped-call]


class ShardStream:
    """An endless iterator of batches; a context manager that ends its threads.

    Parameters
    ----------
    store : Store or path
        A finished store with images and maps.
    batch : int
        Rows of a batch; a batch may span two epochs, so none is short.
    seed : int
        Of the order.
    threads : int
        Threads that read ahead.
    device : str or torch.device
        Where batches go.
    position : int
        Where in the endless sequence to begin.

    Raises
    ------
    StoreError
        The store lacks images or maps, is unfinished, or has no row that is fit to train on.
    """

    def __init__(
        self,
        store: Store | str | PathLike[str],
        batch: int,
        seed: int = 0,
        threads: int = 2,
        device: str | torch.device = "cpu",
        position: int = 0,
    ) -> None:
        self.store = open_store(store) if isinstance(store, (str, PathLike)) else store
        self.batch, self.seed, self.position = batch, seed, position
        self.device = torch.device(device)
        self.valid_rows = usable_rows(self.store)
        self._threads = max(1, threads)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="spm-stream")
        self._next_read = position
        pin = self.device.type == "cuda"
        self._queue = deque(_Slot(self.store.spec, batch, pin) for _ in range(AHEAD + 1))
        self._lent = self._queue.pop()
        for slot in self._queue:
            self._read_ahead(slot)

    def __iter__(self) -> Self:
        """Return itself."""
        return self

    def __next__(self) -> Batch:
        """Return the next batch; the one before it loses its buffers."""
        if self._lent.copied is not None:
            self._lent.copied.synchronize()
        self._read_ahead(self._lent)
        self._queue.append(self._lent)
        slot = self._lent = self._queue.popleft()
        for job in slot.jobs:
            job.result()
        batch = Batch(
            normalise(slot.images.to(self.device, non_blocking=True)),
            TargetMaps(*(self._to_device(slot.maps[name]) for name in maps_of(self.store.spec))),
            slot.rows.copy(),
            self.position,
        )
        if slot.copied is not None:
            slot.copied.record()
        self.position += self.batch
        return batch

    def _to_device(self, maps: Tensor) -> Tensor:
        maps = maps.to(self.device, non_blocking=True)
        return maps.float() if maps.dtype == torch.float16 else maps

    def _read_ahead(self, slot: _Slot) -> None:
        """Have the threads fill `slot` with the batch after the last one that was asked for, each a part of it."""
        slot.rows = self.valid_rows[order(len(self.valid_rows), self.seed, self._next_read, self.batch)]
        self._next_read += self.batch
        cuts = [self.batch * i // self._threads for i in range(self._threads + 1)]
        parts = [slice(low, high) for low, high in pairwise(cuts) if low < high]
        slot.jobs = [self._pool.submit(self._fill, slot, part) for part in parts]

    def _fill(self, slot: _Slot, part: slice) -> None:
        rows, images = slot.rows[part], slot.images[part].numpy()
        for name, maps in slot.maps.items():
            self.store.read(name, rows, out=maps[part].numpy())
        sizes = self.store.read("row/size_hw", rows)
        for row, (height, width), image in zip(rows, sizes, images, strict=True):
            data, size_hw = self.store.image_bytes(int(row)), (int(height), int(width))
            try:
                load_input(data, size_hw, self.store.spec.input_hw, out=image)
            except ImageError as error:
                raise StoreError(f"{self.store.path}: row {row}: {error}; run spm verify-targets on it") from error

    def close(self) -> None:
        """End the threads; what they were reading is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the threads."""
        self.close()


def usable_rows(store: Store) -> NDArray[np.int64]:
    """Return the rows whose status is 0; StoreError when the store cannot be trained on, saying what prepares one."""
    if not store.complete:
        raise StoreError(f"{store.path} is not finished: run the spm prepare command that made it again to finish it")
    if not store.layout.images:
        raise StoreError(f"{store.path}: prepared with --no-images: training needs images; run spm prepare without it")
    if not store.layout.maps:
        raise StoreError(f"{store.path}: prepared with --no-maps: training needs maps; run spm prepare without it")
    rows = np.flatnonzero(np.asarray(store.status) == 0)
    if not len(rows):
        raise StoreError(
            f"{store.path}: each of the {len(store)} rows was skipped when it was prepared; see spm inspect"
        )
    return rows
