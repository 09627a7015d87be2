"""The order: each row once an epoch, or as its weight says; a position says it all; shards stay together."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spmdata.errors import SpecError
from spmdata.stream.order import WINDOW_SHARDS, RowOrder, RowPass, check_rank, share

WEIGHTS = st.lists(st.one_of(st.sampled_from([0, 0.5, 1, 1.25, 2, 3.999999]), st.floats(0, 4)), min_size=1, max_size=9)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 60), shard_rows=st.integers(1, 9), seed=st.integers(0, 2**32), epoch=st.integers(0, 10**12))
def test_each_row_comes_once_an_epoch(n: int, shard_rows: int, seed: int, epoch: int) -> None:
    rows = np.arange(n) * 3 + 1
    order = RowOrder(rows, shard_rows, seed)
    assert order.start(epoch) == epoch * n
    assert order.epoch_of(epoch * n) == order.epoch_of(epoch * n + n - 1) == epoch
    assert sorted(order.take(epoch * n, n).tolist()) == rows.tolist()


@settings(max_examples=30, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 70), max_size=5),
    seed=st.integers(0, 99),
    weights=st.one_of(st.none(), WEIGHTS.filter(lambda w: sum(w) > 0.1)),
)
def test_any_parts_are_the_whole(cuts: list[int], seed: int, weights: list[float] | None) -> None:
    rows = np.arange(9 if weights is None else len(weights))
    whole = RowOrder(rows, 2, seed, weights).take(0, 70)
    bounds = sorted({0, 70, *cuts})
    parts = [RowOrder(rows, 2, seed, weights).take(low, high - low) for low, high in pairwise(bounds)]
    assert np.concatenate(parts).tolist() == whole.tolist()
    backwards = RowOrder(rows, 2, seed, weights)
    assert [backwards.take(i, 1)[0] for i in reversed(range(70))][::-1] == whole.tolist()


def test_epochs_and_seeds_differ() -> None:
    order = RowOrder(np.arange(64), 8, seed=1)
    assert order.take(0, 64).tolist() != order.take(64, 64).tolist()
    assert order.take(0, 64).tolist() != RowOrder(np.arange(64), 8, seed=2).take(0, 64).tolist()


@settings(max_examples=40, deadline=None)
@given(weights=WEIGHTS.filter(lambda w: sum(w) > 1e-3), seed=st.integers(0, 999), first=st.integers(0, 10**9))
def test_weights_are_kept_by_every_epoch(weights: list[float], seed: int, first: int) -> None:
    order = RowOrder(np.arange(len(weights)), 2, seed, weights)
    for epoch in range(first, first + 6):
        start, end = order.start(epoch), order.start(epoch + 1)
        times = Counter(order.take(start, end - start).tolist())
        for row, weight in enumerate(weights):
            near = {np.floor(weight), np.ceil(weight), round(weight)}  # what is within 1e-6 of a whole number is one
            assert times[row] in near
        for position in {start, end - 1} if end > start else ():
            assert order.epoch_of(position) == epoch


def test_weights_hold_on_average() -> None:
    weights = [0.3, 1, 2.7, 0, 0.05, 1.5]
    order, epochs = RowOrder(np.arange(6), 2, 5, weights), 4000
    times = np.bincount(order.take(0, order.start(epochs)), minlength=6) / epochs
    # An epoch's draw of a row is 0 or 1, spread at most 0.5: five of its means' spreads.
    np.testing.assert_allclose(times, weights, atol=5 * 0.5 / epochs**0.5)
    assert times[[1, 3]].tolist() == [1, 0]
    assert order.start(epochs) == int(epochs * sum(weights))


def test_few_shards_are_in_use_and_rows_of_many_are_mixed() -> None:
    shards = RowOrder(np.arange(200 * 32), 32, seed=3).take(0, 200 * 32) // 32
    at = [np.flatnonzero(shards == shard) for shard in range(200)]
    longest = max(places[-1] - places[0] for places in at)
    assert longest < (WINDOW_SHARDS + 4) * 32
    assert len(set(shards[3200:3232])) > WINDOW_SHARDS / 2
    assert np.corrcoef([places.mean() for places in at], np.arange(200))[0, 1] < 0.3


def test_neighbours_part() -> None:
    """Rows that lie together are spread over a window: the mean distance of neighbours is a third of it."""
    order = RowOrder(np.arange(200 * 32), 32, seed=3).take(0, 200 * 32)
    place = np.argsort(order)
    distances = [abs(int(place[row + 1] - place[row])) for row in range(0, 6400, 32)]
    assert 0.7 < np.mean(distances) / (WINDOW_SHARDS * 32 / 3) < 1.3


def test_one_pass_ends() -> None:
    rows = RowPass(np.array([4, 7, 9]))
    assert [rows.take(i, 2).tolist() for i in (0, 2, 4)] == [[4, 7], [9], []]


@settings(max_examples=50, deadline=None)
@given(number=st.integers(0, 40), ranks=st.integers(1, 12))
def test_shares_are_the_batch(number: int, ranks: int) -> None:
    batch = list(range(number))
    shares = [batch[share(number, rank, ranks)] for rank in range(ranks)]
    assert [row for part in shares for row in part] == batch
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, 2.0], r"weights must be \(3,\), one a row, got \(2,\)"),
        ([1.0, np.nan, 1.0], r"weights must be in \[0, 65536\]"),
        ([1.0, -1.0, 1.0], r"weights must be in \[0, 65536\], got -1.0 to 1.0"),
        ([0.0, 0.0, 1e-9], "weights are all zero"),
    ],
)
def test_weights_that_do_not_fit(weights: list[float], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        RowOrder(np.arange(3), 2, 0, weights)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((0, 0, 0, 1), "batch must be at least 1, got 0"),
        ((4, -1, 0, 1), "position must be at least 0, got -1"),
        ((4, 0, 0, 5), r"ranks must be in \[1, 4\], .* got 5"),
        ((4, 0, 2, 2), r"rank must be in \[0, 1\], got 2"),
    ],
)
def test_numbers_out_of_range(numbers: tuple[int, int, int, int], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        check_rank(*numbers)


def test_nothing_to_order() -> None:
    with pytest.raises(SpecError, match="at least one row"):
        RowOrder([], 2)
    with pytest.raises(SpecError, match="seed must be at least 0, got -1"):
        RowOrder([1], 2, -1)
