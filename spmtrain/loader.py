"""The same batches through a `torch.utils.data.DataLoader`, for training loops that are built on one.

Worker processes take turns at whole batches, so the sequence is that of `ShardStream` for any number of them. Threads
are faster (benchmarks/stream.py): they move no batch between processes.

Letters: B rows of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from os import PathLike
from typing import NamedTuple

import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from spmdata.store.reader import Store, open_store
from spmdata.stream.buffers import RowReader
from spmdata.stream.order import check_rank, share
from spmdata.stream.threads import order_of
from spmtrain.maps import TargetMaps
from spmtrain.stream import MapsFrom, check_trainable


class LoadedBatch(NamedTuple):
    """Rows of a store in host memory."""

    images: Tensor  #: (B, H_px, W_px, 3) uint8 RGB, for `spmtrain.stream.normalise` on the device
    targets: TargetMaps
    rows: Tensor  #: (B,) int64 rows of the store
    position: int  #: of the batch in the sequence, before ranks share it


class StoreBatches(IterableDataset[LoadedBatch]):
    """Whole batches for a DataLoader with ``batch_size=None``, under fork or spawn.

    Parameters
    ----------
    store, batch, seed, position, rank, ranks, weights, once, targets
        As in `spmdata.stream.RowStream`.

    Raises
    ------
    StoreError
        The store lacks images, is unfinished, or has no row that is fit to train on; from the loader: damage.
    SpecError
        A number out of range.
    """

    def __init__(
        self,
        store: Store | str | PathLike[str],
        batch: int,
        *,
        seed: int = 0,
        position: int = 0,
        rank: int = 0,
        ranks: int = 1,
        weights: ArrayLike | None = None,
        once: bool = False,
        targets: MapsFrom | None = None,
    ) -> None:
        check_rank(batch, position, rank, ranks)
        store = store if isinstance(store, Store) else open_store(store)
        check_trainable(store, targets)
        self._reader = RowReader(store, targets)
        self._order = order_of(self._reader, seed=seed, weights=weights, once=once)
        self.batch, self.position, self._rank, self._ranks = batch, position, rank, ranks

    @property
    def store(self) -> Store:
        """Whose rows they are."""
        return self._reader.store

    def __iter__(self) -> Iterator[LoadedBatch]:
        """Yield this worker's turns: of n workers, number i has batches i, i + n, and so on."""
        worker = get_worker_info()
        turn, turns = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for position in count(self.position + turn * self.batch, turns * self.batch):
            rows = self._order.take(position, self.batch)
            if not len(rows):
                return
            rows = rows[share(len(rows), self._rank, self._ranks)]
            buffers = self._reader.buffers(len(rows))  # new ones: a queue may still be sending the last
            for part in range(len(buffers.parts)):  # one, or none when there are no rows
                self._reader.fill(buffers, part, rows)
            assert buffers.images is not None
            assert buffers.targets is not None
            maps = {name: torch.from_numpy(m) for name, m in buffers.targets._asdict().items() if m is not None}
            maps = {name: m.float() if m.dtype == torch.float16 else m for name, m in maps.items()}
            yield LoadedBatch(torch.from_numpy(buffers.images), TargetMaps(**maps), torch.from_numpy(rows), position)
