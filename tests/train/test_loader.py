"""The same batches through a DataLoader: in this process, in forked and in spawned ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from spmdata.errors import SpecError, StoreError
from spmdata.store.reader import Store
from spmtrain.loader import LoadedBatch, StoreBatches
from spmtrain.stream import ShardStream, normalise

#: Workers beyond the number of cores are wanted here.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


def loaded(dataset: StoreBatches, batches: int, **options: Any) -> list[LoadedBatch]:
    """Return the first batches of a DataLoader."""
    loader: Any = DataLoader(dataset, batch_size=None, **options)
    return [batch for _, batch in zip(range(batches), loader, strict=False)]


def same_as_stream(store: Store, **options: Any) -> None:
    batches = loaded(StoreBatches(store, 3, seed=2, position=6), 7, **options)
    with ShardStream(store, 3, seed=2, position=6) as stream:
        for found, wanted in zip(batches, stream, strict=False):
            assert found.position == wanted.position
            assert found.rows.tolist() == wanted.rows.tolist()
            torch.testing.assert_close(normalise(found.images), wanted.images, rtol=0, atol=0)
            for one, other in zip(found.targets, wanted.targets, strict=True):
                torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_loader_without_workers(store: Store) -> None:
    same_as_stream(store, num_workers=0)


@pytest.mark.parametrize("maps", [True, False])
def test_forked_workers(store: Store, mapless_store: Store, maps: bool) -> None:
    same_as_stream(store if maps else mapless_store, num_workers=2, multiprocessing_context="fork")


@pytest.mark.slow
@pytest.mark.parametrize("maps", [True, False])
def test_spawned_workers(store: Store, mapless_store: Store, maps: bool) -> None:
    same_as_stream(store if maps else mapless_store, num_workers=3, multiprocessing_context="spawn")


@pytest.mark.parametrize("workers", [0, 2])
def test_one_pass_in_the_stores_order(store: Store, workers: int) -> None:
    context = "fork" if workers else None
    batches = loaded(StoreBatches(store, 2, once=True), 99, num_workers=workers, multiprocessing_context=context)
    assert [batch.rows.tolist() for batch in batches] == [[0, 1], [3, 4], [5]]
    assert [len(batch.images) for batch in batches] == [2, 2, 1]


def test_ranks_and_weights(store: Store) -> None:
    weights = np.array([0, 2, 1, 1, 0, 0])
    rows = [loaded(StoreBatches(store, 3, weights=weights, rank=rank, ranks=2), 2) for rank in range(2)]
    assert [len(batch.rows) for batch in rows[0] + rows[1]] == [1, 1, 2, 2]
    assert sorted(int(row) for rank in rows for batch in rank for row in batch.rows) == [1, 1, 1, 1, 3, 3]


@pytest.mark.parametrize("workers", [0, 2])
def test_damage_reaches_the_parent(store: Store, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    whole = Store.image_bytes
    monkeypatch.setattr(Store, "image_bytes", lambda self, row: whole(self, row)[: 50 if row == 4 else None])
    context = "fork" if workers else None
    with pytest.raises(StoreError, match=r"a.zarr: image row 4: image cannot be decoded"):
        loaded(StoreBatches(store, 2, once=True), 9, num_workers=workers, multiprocessing_context=context)


def test_what_is_refused(store: Store) -> None:
    with pytest.raises(SpecError, match="batch must be at least 1, got 0"):
        StoreBatches(store, 0)
    with pytest.raises(SpecError, match="targets must be one of stored, drawn, got 'live'"):
        StoreBatches(store, 1, targets="live")  # type: ignore[arg-type]
