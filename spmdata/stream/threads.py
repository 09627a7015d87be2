"""A store's rows as batches of numpy arrays, read ahead into kept buffers by a few threads.

Threads, not processes: reading, decoding JPEG, zstd and the kernels all release the GIL, and batches of maps are too
large to be passed between processes.

Letters: n rows of a batch.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from spmdata.errors import SpecError, SpmError
from spmdata.store.reader import Store, open_store
from spmdata.store.remote import RemotePath
from spmdata.stream.buffers import Allocate, Buffers, RowBatch, RowReader, Rows, TargetsFrom
from spmdata.stream.order import RowOrder, RowPass, check_rank, share
from spmdata.stream.pages import zeros

#: Batches that are read or being read while one is in use.
AHEAD = 2


class _Coming:
    """The shards of rows to come of a store at a URL, brought into memory by one more thread.

    Bounded: those of a stretch of rows, a shard's worth, beyond the batches that are being read.
    """

    def __init__(self, reader: RowReader, order: RowOrder | RowPass, position: int, batch: int) -> None:
        self._reader, self._order, self._until = reader, order, position
        self._stretch = max(batch, min(reader.store.layout.shard_rows, len(reader.rows)))
        self._brought: deque[tuple[int, Future[None]]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spm-bring")

    def before(self, position: int) -> Future[None]:
        """Return what ends when the shards of all rows before a position are there; have the next ones brought."""
        while self._until < position + self._stretch:
            rows = self._order.take(self._until, self._stretch)
            self._until += self._stretch
            self._brought.append((self._until, self._thread.submit(self._reader.read_ahead, rows)))
        while self._brought[0][0] < position:
            self._brought.popleft()
        return self._brought[0][1]

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)


class _Slot:
    """The kept buffers of one batch, and what they are being filled with."""

    def __init__(self, buffers: Buffers) -> None:
        self.buffers = buffers
        self.rows: Rows = np.zeros(0, np.int64)
        self.position, self.last = 0, False
        self.jobs: list[Future[None]] = []


class RowStream:
    """An endless iterator of batches of a store's rows, or one pass over them; a context manager that ends its threads.

    Parameters
    ----------
    store : Store or path
        Finished.
    batch : int
        Rows of a batch, those of all ranks together. A batch may span two epochs, so none is short.
    seed : int
        Of the order.
    threads : int
        Threads that read ahead.
    position : int
        Where in the sequence to begin: `position` of the stream to be continued, whatever its ranks and threads.
    rank, ranks : int
        Which share of each batch to yield: rank 0 the first rows, and so on.
    weights : (N,) float, optional
        How often an epoch has each row of the store (see `RowOrder`); those of skipped rows are passed over. Left out:
        a mix's own weights, else once.
    once : bool
        One pass over the rows in the store's order, for evaluation: the last batch is short, and a rank's share of it
        may be no row. Seed and weights say nothing then.
    targets : {"stored", "drawn", "none"}, optional
        Maps as the store has them; drawn from its people, the same values; or none. Stored where there are maps, else
        drawn.
    allocate : callable, optional
        ``allocate(shape, dtype)`` returns zeros for the buffers, such as pinned memory. Left out: in huge pages.

    Attributes
    ----------
    store : Store
        Whose rows they are.
    position : int
        Where the next batch begins.

    Raises
    ------
    StoreError
        See `RowReader`; also from `next`: damage, naming store, array and row.
    SpecError
        A number out of range.
    """

    def __init__(
        self,
        store: Store | str | os.PathLike[str],
        batch: int,
        *,
        seed: int = 0,
        threads: int = 2,
        position: int = 0,
        rank: int = 0,
        ranks: int = 1,
        weights: ArrayLike | None = None,
        once: bool = False,
        targets: TargetsFrom | None = None,
        allocate: Allocate = zeros,
    ) -> None:
        check_rank(batch, position, rank, ranks)
        if threads < 1:
            raise SpecError(f"threads must be at least 1, got {threads}")
        self._mine = not isinstance(store, Store)
        self.store = store if isinstance(store, Store) else open_store(store)
        self._reader = RowReader(self.store, targets)
        self._order = order_of(self._reader, seed=seed, weights=weights, once=once)
        self.batch, self.position, self._rank, self._ranks = batch, position, rank, ranks
        self._next_read, self._pid = position, os.getpid()
        most = -(-batch // ranks)
        self._ready = deque(_Slot(self._reader.buffers(most, threads, allocate)) for _ in range(AHEAD + 1))
        self._lent: _Slot | None = self._ready.pop()
        remote = isinstance(self.store.path, RemotePath)
        self._coming = _Coming(self._reader, self._order, position, batch) if remote else None
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="spm-stream")
        for slot in self._ready:
            self._read_ahead(slot)

    def __iter__(self) -> Self:
        """Return itself."""
        return self

    def __next__(self) -> RowBatch:
        """Return the next batch; the one before it loses its buffers. What failed in a thread is raised here."""
        if self._pid != os.getpid():
            raise SpmError("a stream's threads do not live on in a forked process: make the stream there")
        if self._lent is not None:
            self._read_ahead(self._lent)
            self._ready.append(self._lent)
            self._lent = None
        if not self._ready:
            raise SpmError("the stream is closed")
        slot = self._ready[0]
        for job in slot.jobs:
            job.result()
        if slot.last:
            raise StopIteration
        self._lent = self._ready.popleft()
        self.position = slot.position + self.batch
        return self._reader.batch(slot.buffers, slot.rows, slot.position)

    def _read_ahead(self, slot: _Slot) -> None:
        """Have the threads fill ``slot`` with the batch after the last one that was asked for, each a part of it."""
        rows = self._order.take(self._next_read, self.batch)
        slot.rows = rows[share(len(rows), self._rank, self._ranks)]
        slot.position, slot.last = self._next_read, not len(rows)
        self._next_read += self.batch
        there = None if self._coming is None else self._coming.before(self._next_read)
        parts = range(len(slot.buffers.parts))

        def fill(part: int) -> None:
            if there is not None:
                there.exception()  # waits; what could not be brought is told by who reads it
            self._reader.fill(slot.buffers, part, slot.rows)

        slot.jobs = [self._pool.submit(fill, part) for part in parts]

    def close(self) -> None:
        """End the threads, and close the files of a store that was given as a path."""
        if self._coming is not None:
            self._coming.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._ready.clear()
        self._lent = None
        if self._mine:
            self.store = self._reader.store = copy(self.store)  # a copy has no file open yet

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close."""
        self.close()


def order_of(
    reader: RowReader, *, seed: int = 0, weights: ArrayLike | None = None, once: bool = False
) -> RowOrder | RowPass:
    """Return the order of a reader's rows; ``weights`` (N,) are of all rows of its store, a mix's own when left out."""
    if once:
        return RowPass(reader.rows)
    if weights is None and (source := reader.store.layout.source).parts:
        weights = source.row_weights(reader.store.table("row/source"))
    if weights is not None:
        if np.shape(weights) != (len(reader.store),):
            raise SpecError(f"weights must be {(len(reader.store),)}, one a row of the store, got {np.shape(weights)}")
        weights = np.asarray(weights)[reader.rows]
    return RowOrder(reader.rows, reader.store.layout.shard_rows, seed, weights)
