"""Which row comes when: a pure function of seed and position, the same for any number of ranks and threads.

An epoch takes the shards in random order and mixes the rows of a window of them that moves along: a batch holds rows of
many shards, while few are in use at a time.

Letters: N rows of the order; n rows taken.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spmdata.errors import SpecError

Rows = NDArray[np.int64]

#: Shards whose rows are mixed with each other.
WINDOW_SHARDS = 16
#: Weights are multiples of 1 / 2^20: with whole numbers no epoch begins in the wrong place, however late it is.
BITS = 20
ONE = 1 << BITS
#: Largest weight of a row.
MOST = 1 << 16


class RowOrder:
    """An endless sequence of epochs, each a shuffle of the same rows.

    Parameters
    ----------
    rows : (N,) int64
        Rows of a store.
    shard_rows : int
        Rows of a shard.
    seed : int
        At least 0.
    weights : (N,) float, optional
        How often an epoch has each row: w stands for floor(w) or ceil(w) times, drawn for each epoch so that it is w
        times on average. The lengths of epochs then differ by one row at most. Without, each row comes once.

    Raises
    ------
    SpecError
        No rows, a seed below 0, or weights that do not fit, are out of [0, 65536], or all zero.
    """

    def __init__(self, rows: ArrayLike, shard_rows: int, seed: int = 0, weights: ArrayLike | None = None) -> None:
        self._rows = np.asarray(rows, np.int64)
        if not len(self._rows):
            raise SpecError("an order needs at least one row, got none")
        if seed < 0:
            raise SpecError(f"seed must be at least 0, got {seed}")
        self.seed = seed
        units = np.full(len(self._rows), ONE) if weights is None else _units(weights, len(self._rows))
        self._whole, self._part = np.divmod(units, ONE)
        self._total = int(units.sum())
        shards, self._shard = np.unique(self._rows // shard_rows, return_inverse=True)
        self._n_shards = len(shards)
        self._kept: dict[int, Rows] = {}

    def start(self, epoch: int) -> int:
        """Return the position at which an epoch begins."""
        return epoch * self._total >> BITS

    def epoch_of(self, position: int) -> int:
        """Return the epoch that a position lies in."""
        return (((position + 1) << BITS) - 1) // self._total

    def take(self, position: int, number: int) -> Rows:
        """Return the rows at so many positions of the endless sequence, (n,)."""
        taken = [self._rows[:0]]
        while number > 0:
            epoch = self.epoch_of(position)
            at = position - self.start(epoch)
            taken.append(self._epoch(epoch)[at : at + number])
            position, number = position + len(taken[-1]), number - len(taken[-1])
        return np.concatenate(taken)

    def _epoch(self, epoch: int) -> Rows:
        if epoch not in self._kept:
            self._kept = {e: rows for e, rows in self._kept.items() if e == epoch - 1}
            self._kept[epoch] = self._shuffled(epoch)
        return self._kept[epoch]

    def _shuffled(self, epoch: int) -> Rows:
        """Return the rows of an epoch: each at the place of its shard and up to a window of shards later."""
        rng = np.random.default_rng((self.seed, epoch))
        entries = np.repeat(np.arange(len(self._rows)), self._times(epoch, rng))
        places = rng.permutation(self._n_shards)[self._shard[entries]] + WINDOW_SHARDS * rng.random(len(entries))
        return self._rows[entries[np.argsort(places, kind="stable")]]

    def _times(self, epoch: int, rng: np.random.Generator) -> Rows:
        """Return how often an epoch has each row, (N,).

        That is the whole part of its weight, and one more for those whose rest a comb of spacing 1 hits, when the rests
        are laid end to end. Where the epoch begins and ends says how many are hit, and that where the comb may begin.
        """
        if not self._part.any():
            return self._whole
        hits = self.start(epoch + 1) - self.start(epoch) - int(self._whole.sum())
        all_parts = int(self._part.sum())
        fewest, rest = divmod(all_parts, ONE)
        first = int(rng.integers(0, rest) if hits > fewest else rng.integers(rest, ONE))
        shuffled = rng.permutation(len(self._part))
        passed = (self._part[shuffled].cumsum() - first - 1) // ONE + 1
        times = self._whole.copy()
        times[shuffled] += np.diff(passed, prepend=0)
        return times


class RowPass:
    """Rows once, in their own order, then nothing: for evaluation."""

    def __init__(self, rows: ArrayLike) -> None:
        self._rows = np.asarray(rows, np.int64)

    def take(self, position: int, number: int) -> Rows:
        """Return the rows at so many positions, (n,); fewer at the end, and none beyond it."""
        return self._rows[position : position + number]


def share(number: int, rank: int, ranks: int) -> slice:
    """Return which of a batch's rows are one rank's: all ranks' shares in turn are the batch, whatever their number."""
    return slice(number * rank // ranks, number * (rank + 1) // ranks)


def check_rank(batch: int, position: int, rank: int, ranks: int) -> None:
    """Raise SpecError when there is no such batch, position or rank."""
    if batch < 1:
        raise SpecError(f"batch must be at least 1, got {batch}")
    if position < 0:
        raise SpecError(f"position must be at least 0, got {position}")
    if not 1 <= ranks <= batch:
        raise SpecError(f"ranks must be in [1, {batch}], so that each has a row of a batch of {batch}, got {ranks}")
    if not 0 <= rank < ranks:
        raise SpecError(f"rank must be in [0, {ranks - 1}], got {rank}")


def _units(weights: ArrayLike, n: int) -> Rows:
    values = np.asarray(weights, np.float64)
    if values.shape != (n,):
        raise SpecError(f"weights must be {(n,)}, one a row, got {values.shape}")
    if not (np.isfinite(values) & (values >= 0) & (values <= MOST)).all():
        raise SpecError(f"weights must be in [0, {MOST}], got {values.min()} to {values.max()}")
    units = np.rint(values * ONE).astype(np.int64)
    if not units.any():
        raise SpecError("weights are all zero: no row would ever come")
    return units
