"""The stream: what a batch holds, the order, the stores it refuses."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from spmdata.errors import ImageError, StoreError
from spmdata.images import load_input
from spmdata.store.reader import Store
from spmtrain import stream as stream_module
from spmtrain.stream import MAPS, MEAN_RGB, STD_RGB, ShardStream, normalise, order


def rows_of(store: Store, batches: int, **options: Any) -> list[int]:
    """Return the rows of the first batches."""
    with ShardStream(store, **options) as stream:
        return [int(row) for _ in range(batches) for row in next(stream).rows]


@pytest.mark.parametrize("threads", [1, 3, 8])
def test_batch_holds_the_stored_rows(store: Store, threads: int) -> None:
    with ShardStream(store, 4, seed=1, threads=threads) as stream:
        for _ in range(3):  # over all the kept buffers
            batch = next(stream)
            for name in MAPS:
                np.testing.assert_array_equal(getattr(batch.targets, name), store.read(name, batch.rows))
            sizes = store.read("row/size_hw", batch.rows).tolist()
            images = [
                load_input(store.image_bytes(int(row)), (h, w), store.spec.input_hw)
                for row, (h, w) in zip(batch.rows, sizes, strict=True)
            ]
            expected = (np.stack(images) - np.array(MEAN_RGB)) / np.array(STD_RGB)
            np.testing.assert_allclose(batch.images.permute(0, 2, 3, 1), expected, atol=1e-5)
            assert batch.images.is_contiguous(memory_format=torch.channels_last)


def test_half_precision_store_gives_float32(store: Store, half_store: Store) -> None:
    with ShardStream(store, 2) as whole, ShardStream(half_store, 2) as half:
        a, b = next(whole).targets, next(half).targets
    assert b.offsets.dtype == b.root_heatmap.dtype == torch.float32
    torch.testing.assert_close(a.offsets, b.offsets, atol=1e-3, rtol=1e-3)


def test_each_epoch_holds_each_good_row_once(store: Store) -> None:
    assert store.status.tolist() == [0, 0, 1, 0, 0, 0]
    rows = rows_of(store, 5, batch=2, seed=3)  # two epochs of five rows; the third batch spans both
    assert sorted(rows[:5]) == sorted(rows[5:]) == [0, 1, 3, 4, 5]


def test_order_follows_from_seed_and_position(store: Store) -> None:
    rows = rows_of(store, 6, batch=2, seed=3)
    assert rows == rows_of(store, 4, batch=3, seed=3, threads=4)
    assert rows[6:] == rows_of(store, 3, batch=2, seed=3, position=6)
    assert rows != rows_of(store, 6, batch=2, seed=4)
    with ShardStream(store, 2, seed=3) as stream:
        assert [next(stream).position for _ in range(3)] == [0, 2, 4]
        assert stream.position == 6


def test_batch_may_be_larger_than_an_epoch() -> None:
    taken = order(5, seed=0, position=3, number=14)
    assert sorted(taken[2:7]) == sorted(taken[7:12]) == [0, 1, 2, 3, 4]
    assert taken[2:7].tolist() != taken[7:12].tolist()


def test_threads_end_with_the_stream(store: Store) -> None:
    before = threading.active_count()
    with ShardStream(store, 2, threads=3) as stream:
        next(stream)
        assert threading.active_count() > before
    assert threading.active_count() == before


def test_path_opens_the_store(store: Store) -> None:
    assert rows_of(store, 2, batch=2) == rows_of(store.path, 2, batch=2)


@pytest.mark.parametrize(
    ("images", "maps", "message"),
    [
        (False, True, "prepared with --no-images: training needs images; run spm prepare without it"),
        (True, False, "prepared with --no-maps: training needs maps; run spm prepare without it"),
    ],
)
def test_store_that_lacks_something_is_refused(store: Store, images: bool, maps: bool, message: str) -> None:
    lacking = Store(store.path, replace(store.layout, images=images, maps=maps), store.attributes)
    with pytest.raises(StoreError, match=f"a.zarr: {message}"):
        ShardStream(lacking, 2)


def test_unfinished_store_is_refused(store: Store) -> None:
    attributes = {"spm": store.attributes["spm"] | {"complete": False}}
    with pytest.raises(StoreError, match=r"not finished.*spm prepare"):
        ShardStream(Store(store.path, store.layout, attributes), 2)


def test_store_without_a_good_row_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "status", np.ones(6, np.uint8))
    with pytest.raises(StoreError, match="each of the 6 rows was skipped"):
        ShardStream(store, 2)


def test_damaged_image_names_its_row(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(data: bytes, *args: object, **kwargs: object) -> None:
        if data == store.image_bytes(4):
            raise ImageError("image cannot be decoded")

    monkeypatch.setattr(stream_module, "load_input", fail)
    with ShardStream(store, 5) as stream, pytest.raises(StoreError, match=r"a.zarr: row 4: image cannot be decoded"):
        next(stream)


def test_normalised_white_and_black() -> None:
    images = torch.tensor([0, 255], dtype=torch.uint8)[:, None, None, None].expand(2, 4, 4, 3)
    black, white = normalise(images)[:, :, 0, 0]
    torch.testing.assert_close(black, -torch.tensor(MEAN_RGB) / torch.tensor(STD_RGB))
    torch.testing.assert_close(white - black, 255 / torch.tensor(STD_RGB))
