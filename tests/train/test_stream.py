"""The stream on a device: what a batch holds, where it continues, the stores it refuses."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from spmdata.errors import SpecError, SpmError, StoreError
from spmdata.images import load_input
from spmdata.store.reader import Store
from spmdata.stream import RowStream
from spmtrain.stream import MEAN_RGB, STD_RGB, ShardStream, normalise

MAPS = ("root_heatmap", "offsets", "count", "ignore")


def rows_of(store: Store, batches: int, **options: Any) -> list[int]:
    """Return the rows of the first batches."""
    with ShardStream(store, **options) as stream:
        return [int(row) for _ in range(batches) for row in next(stream).rows]


@pytest.mark.parametrize("threads", [1, 3])
def test_batch_holds_the_stored_rows(store: Store, mapless_store: Store, threads: int, device: str) -> None:
    for given in (store, mapless_store):
        with ShardStream(given, 4, seed=1, threads=threads, device=device) as stream:
            for _ in range(7):  # over all the kept buffers, twice
                batch = next(stream)
                time.sleep(0.01)  # for the next one to be copied, not over this one
                for name in MAPS:
                    maps = getattr(batch.targets, name)
                    assert maps.device.type == device
                    np.testing.assert_array_equal(maps.cpu(), store.read(name, batch.rows))
                    maps.fill_(7)  # which is the caller's right, also where maps are drawn
                sizes = store.read("row/size_hw", batch.rows).tolist()
                images = [
                    load_input(store.image_bytes(int(row)), (h, w), store.spec.input_hw)
                    for row, (h, w) in zip(batch.rows, sizes, strict=True)
                ]
                expected = (np.stack(images) - np.array(MEAN_RGB)) / np.array(STD_RGB)
                np.testing.assert_allclose(batch.images.permute(0, 2, 3, 1).cpu(), expected, atol=1e-5)
                assert batch.images.is_contiguous(memory_format=torch.channels_last)


def test_half_precision_store_gives_float32(store: Store, half_store: Store) -> None:
    with ShardStream(store, 2) as whole, ShardStream(half_store, 2) as half:
        a, b = next(whole).targets, next(half).targets
    assert b.offsets.dtype == b.root_heatmap.dtype == torch.float32
    torch.testing.assert_close(a.offsets, b.offsets, atol=1e-3, rtol=1e-3)


def test_order_is_the_row_streams(store: Store) -> None:
    with RowStream(store, 2, seed=3) as stream:
        rows = [int(row) for _ in range(6) for row in next(stream).rows]
    assert rows == rows_of(store, 6, batch=2, seed=3) == rows_of(store, 4, batch=3, seed=3, threads=4)
    assert rows[6:] == rows_of(store, 3, batch=2, seed=3, position=6)
    halves = [rows_of(store, 6, batch=2, seed=3, rank=rank, ranks=2) for rank in range(2)]
    assert [row for pair in zip(*halves, strict=True) for row in pair] == rows
    weights = np.array([0, 0, 0, 1, 0, 0])
    assert rows_of(store, 2, batch=2, weights=weights) == [3] * 4


def test_position_says_where_to_continue(store: Store) -> None:
    with ShardStream(store, 2, seed=3, position=4) as stream:
        assert stream.position == 4
        assert [next(stream).position for _ in range(3)] == [4, 6, 8]
        assert stream.position == 10  # though the one after was copied already


def test_next_batch_is_there_before_it_is_asked_for(store: Store, device: str) -> None:
    """Read into host memory; on a GPU, also copied there."""
    with ShardStream(store, 2, device=device) as stream:
        next(stream)
        jobs = list(stream._rows._ready[0].jobs) if device == "cpu" else [stream._next.__self__]  # type: ignore[attr-defined]
        deadline = time.perf_counter() + 10
        while not all(job.done() for job in jobs):
            assert time.perf_counter() < deadline
            time.sleep(0.001)


def test_threads_end_with_the_stream(store: Store) -> None:
    before = threading.active_count()
    with ShardStream(store, 2, threads=3) as stream:
        next(stream)
        assert threading.active_count() > before + 1
    assert threading.active_count() == before
    with pytest.raises(SpmError, match="the stream is closed"):
        next(stream)


def test_path_opens_the_store(store: Store) -> None:
    assert rows_of(store, 2, batch=2) == rows_of(store.path, 2, batch=2)


def test_stores_and_words_that_are_refused(store: Store) -> None:
    lacking = Store(store.path, replace(store.layout, images=False), store.attributes)
    with pytest.raises(StoreError, match=r"a.zarr: prepared with --no-images: training needs images; run spm prepare"):
        ShardStream(lacking, 2)
    with pytest.raises(SpecError, match="targets must be one of stored, drawn, got 'none'"):
        ShardStream(store, 2, targets="none")  # type: ignore[arg-type]


def test_damage_is_raised_where_a_batch_is_asked_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Store.image_bytes
    monkeypatch.setattr(Store, "image_bytes", lambda self, row: whole(self, row)[: 50 if row == 4 else None])
    with ShardStream(store, 5) as stream:
        for _ in range(2):
            with pytest.raises(StoreError, match=r"a.zarr: image row 4: image cannot be decoded"):
                next(stream)


def test_normalised_white_and_black() -> None:
    images = torch.tensor([0, 255], dtype=torch.uint8)[:, None, None, None].expand(2, 4, 4, 3)
    black, white = normalise(images)[:, :, 0, 0]
    torch.testing.assert_close(black, -torch.tensor(MEAN_RGB) / torch.tensor(STD_RGB))
    torch.testing.assert_close(white - black, 255 / torch.tensor(STD_RGB))
