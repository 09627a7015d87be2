"""The stream of numpy batches: what they hold, that a position continues them, and what is left when it ends."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spmdata.codec import Targets
from spmdata.errors import SpecError, SpmError, StoreError
from spmdata.images import load_input
from spmdata.store.reader import Store, open_store
from spmdata.stream import RowStream
from spmdata.stream.buffers import DRAWN_ROWS
from stream.conftest import ROWS, SKIPPED, Stores

GOOD = [row for row in range(ROWS) if row != SKIPPED]


def taken(store: Store | Path | str, batches: int, **options: Any) -> list[tuple[bytes, ...]]:
    """Return every row of the first batches, its number and all it holds, as bytes."""
    found = []
    with RowStream(store, **options) as stream:
        for _, batch in zip(range(batches), stream, strict=False):
            maps = () if batch.targets is None else [m for m in batch.targets if m is not None]
            arrays = [batch.rows, *maps, *([] if batch.images is None else [batch.images])]
            found += [tuple(array[i].tobytes() for array in arrays) for i in range(len(batch.rows))]
    return found


def numbers(rows: list[tuple[bytes, ...]]) -> list[int]:
    return [int(np.frombuffer(row[0], np.int64)[0]) for row in rows]


@pytest.mark.parametrize("threads", [1, 3, 8])
@pytest.mark.parametrize("targets", ["stored", "drawn", "none"])
def test_batch_holds_the_stored_rows(store: Store, threads: int, targets: Any) -> None:
    with RowStream(store, 4, seed=1, threads=threads, targets=targets) as stream:
        for i in range(8):  # over all the kept buffers, twice
            batch = next(stream)
            assert batch.position == 4 * i
            if targets == "none":
                assert batch.targets is None
            else:
                assert batch.targets is not None
                for name in ("root_heatmap", "offsets", "count", "ignore"):
                    np.testing.assert_array_equal(getattr(batch.targets, name), store.read(name, batch.rows))
            sizes = store.read("row/size_hw", batch.rows).tolist()
            images = [
                load_input(store.image_bytes(row), (h, w), store.spec.input_hw)
                for row, (h, w) in zip(batch.rows.tolist(), sizes, strict=True)
            ]
            np.testing.assert_array_equal(batch.images, images)


def test_drawn_is_stored_is_hdf5_bit_for_bit(stores: Stores) -> None:
    stored = taken(stores(), 12, batch=5, seed=3)
    assert stored == taken(stores(), 12, batch=5, seed=3, targets="drawn")
    assert stored == taken(stores(maps=False), 12, batch=5, seed=3)
    assert stored == taken(stores(".h5"), 12, batch=5, seed=3)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("images", [True, False])
def test_large_batches_are_drawn_in_parts(stores: Stores, threads: int, images: bool) -> None:
    rows, options = 2 * DRAWN_ROWS + 3, {"seed": 3, "threads": threads}
    stored = taken(stores(images=images), 4, batch=rows, **options)
    assert stored == taken(stores(images=images), 4, batch=rows, targets="drawn", **options)


def test_half_precision_maps_are_the_drawn_ones_rounded(stores: Stores) -> None:
    store = stores(dtype="float16")
    with RowStream(store, 5) as stored, RowStream(store, 5, targets="drawn") as drawn:
        one, other = next(stored).targets, next(drawn).targets
    assert one is not None
    assert other is not None
    assert [one.offsets.dtype.name, other.offsets.dtype.name] == ["float16", "float32"]
    np.testing.assert_array_equal(one.offsets, other.offsets.astype(np.float16))
    np.testing.assert_array_equal(one.root_heatmap, other.root_heatmap.astype(np.float16))


def test_store_without_images_gives_targets(stores: Stores) -> None:
    with RowStream(stores(images=False), 4) as stream:
        batch = next(stream)
        assert batch.images is None
        assert isinstance(batch.targets, Targets)
    with pytest.raises(StoreError, match=r"--no-images: without targets nothing is left; run spm prepare"):
        RowStream(stores(images=False), 4, targets="none")


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_threads_and_stops_change_nothing(store: Store, threads: int) -> None:
    """Two half epochs with a save and a restore between are one, whoever reads them."""
    whole = taken(store, 9, batch=5, seed=2)
    with RowStream(store, 5, seed=2, threads=threads) as stream:
        for _ in range(4):
            next(stream)
        position = stream.position
    assert position == 20
    first = taken(store, 4, batch=5, seed=2, threads=threads)
    assert first + taken(store, 5, batch=5, seed=2, position=position) == whole
    assert sorted(numbers(whole[:22])) == sorted(numbers(whole[22:44])) == GOOD


def test_ranks_share_and_may_change(store: Store) -> None:
    whole = taken(store, 9, batch=5, seed=2)

    def by(ranks: int, first: int, batches: int) -> list[tuple[bytes, ...]]:
        shares = [taken(store, batches, batch=5, seed=2, position=5 * first, rank=r, ranks=ranks) for r in range(ranks)]
        parts = [[s[i * len(s) // batches : (i + 1) * len(s) // batches] for i in range(batches)] for s in shares]
        return [row for step in zip(*parts, strict=True) for part in step for row in part]

    assert by(1, 0, 3) + by(3, 3, 2) + by(5, 5, 3) + by(2, 8, 1) == whole


def test_weights_steer_the_stream(store: Store) -> None:
    weights = np.zeros(ROWS)
    weights[[3, SKIPPED, 9]] = 1, 5, 2
    rows = numbers(taken(store, 3, batch=6, weights=weights))
    assert [rows.count(row) for row in (3, SKIPPED, 9)] == [6, 0, 12]
    with pytest.raises(SpecError, match=r"weights must be \(23,\), one a row of the store, got \(22,\)"):
        RowStream(store, 2, weights=weights[1:])


@pytest.mark.parametrize("ranks", [1, 4])
def test_evaluation_is_one_pass(store: Store, ranks: int) -> None:
    lengths = []
    rows: list[list[int]] = [[], [], [], [], []]
    for rank in range(ranks):
        with RowStream(store, 5, once=True, rank=rank, ranks=ranks) as stream:
            parts = [batch.rows.tolist() for batch in stream]
            with pytest.raises(StopIteration):
                next(stream)
        lengths.append(len(parts))
        for i, part in enumerate(parts):
            rows[i] += part
    assert lengths == [5] * ranks  # all take equal steps; of the last batch, two rows, two ranks get none
    assert rows == [GOOD[i : i + 5] for i in range(0, 22, 5)]


def test_drawn_maps_cannot_be_written_to(store: Store) -> None:
    with RowStream(store, 4, targets="drawn") as stream:
        targets = next(stream).targets
        assert targets is not None
        with pytest.raises(ValueError, match="read-only"):
            targets.offsets[0] = 1


def test_buffers_come_from_the_caller_and_are_kept(store: Store) -> None:
    given: list[Any] = []

    def allocate(shape: tuple[int, ...], dtype: Any) -> Any:
        given.append(np.zeros(shape, dtype))
        return given[-1]

    with RowStream(store, 4, allocate=allocate) as stream:
        n = len(given)
        assert n == 3 * 5  # three batches of images and four maps
        bases = {id(array) for array in given}
        for _ in range(9):
            images = next(stream).images
            assert images is not None
            assert id(images.base) in bases
        assert len(given) == n


def test_threads_and_files_end_with_the_stream(store: Store) -> None:
    threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    with RowStream(store.path, 2, threads=3) as stream:
        next(stream)
        assert threading.active_count() > threads
        assert len(os.listdir("/proc/self/fd")) > files
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) == files
    assert stream.store.read("row/view", [0]) == [0]  # the rest of a row is still there to be asked for
    with pytest.raises(SpmError, match="the stream is closed"):
        next(stream)


def damaged_copy(store: Store, folder: Path, name: str, row: int) -> Path:
    """Return a copy of a store with one byte of a row's chunk changed."""
    path = folder / "damaged.zarr"
    shutil.copytree(store.path, path)
    copy = open_store(path)
    shard, number = divmod(row, copy.layout.shard_rows)
    file = copy._form.open_shard(copy.layout, copy.layout.array(name), shard)
    at = int(file._index[number, 0])
    with file._path.open("r+b") as raw:
        raw.seek(at + 20)
        byte = raw.read(1)[0]
        raw.seek(at + 20)
        raw.write(bytes([byte ^ 1]))
    return path


@pytest.mark.parametrize("name", ["image", "offsets"])
def test_damaged_row_is_named(store: Store, tmp_path: Path, name: str) -> None:
    path = damaged_copy(store, tmp_path, name, 8)
    with RowStream(path, 5, once=True) as stream:
        assert next(stream).rows.tolist() == GOOD[:5]
        for _ in range(2):  # once more if asked once more: nothing is passed over
            with pytest.raises(StoreError, match=rf"^{re.escape(str(path))}: {name}.*row 8\b") as caught:
                next(stream)
        assert "\n" not in str(caught.value)
        assert stream.position == 5


def test_image_that_cannot_be_decoded_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Store.image_bytes
    monkeypatch.setattr(Store, "image_bytes", lambda self, row: whole(self, row)[: 50 if row == 4 else None])
    message = r"a-float32.zarr: image row 4: image cannot be decoded"
    with RowStream(store, 5, once=True) as stream, pytest.raises(StoreError, match=message):
        next(stream)


def test_wrong_numbers_are_said(stores: Stores) -> None:
    with pytest.raises(SpecError, match="threads must be at least 1, got 0"):
        RowStream(stores(), 2, threads=0)
    with pytest.raises(SpecError, match="targets must be one of stored, drawn, none, got 'draw'"):
        RowStream(stores(), 2, targets="draw")  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="--no-maps: take targets that are drawn"):
        RowStream(stores(maps=False), 2, targets="stored")


def test_unfinished_store_is_refused(store: Store) -> None:
    attributes = {"spm": store.attributes["spm"] | {"complete": False}}
    with pytest.raises(StoreError, match=r"not finished.*spm prepare"):
        RowStream(Store(store.path, store.layout, attributes), 2)


def test_store_without_a_good_row_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "status", np.ones(ROWS, np.uint8))
    with pytest.raises(StoreError, match="each of the 23 rows was skipped"):
        RowStream(store, 2)


def test_forked_child_makes_its_own(store: Store) -> None:
    """A fork has no threads: its parent's stream says so there; the store itself it may go on with."""
    with RowStream(store, 2, seed=5) as stream:
        rows = next(stream).rows.tolist()
        reading, writing = os.pipe()
        if (child := os.fork()) == 0:
            try:
                next(stream)
            except SpmError as error:
                with RowStream(store, 2, seed=5) as own:
                    os.write(writing, f"{error}; {next(own).rows.tolist()}".encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        said = os.read(reading, 1000).decode()
        os.close(reading)
        os.close(writing)
        assert said == f"a stream's threads do not live on in a forked process: make the stream there; {rows}"


INTERRUPTED = """
import signal, sys, time
from spmdata.images import load_input
from spmdata.stream import RowStream, buffers
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background inherits that it is ignored
buffers.load_input = lambda *a, **k: (time.sleep(0.05), load_input(*a, **k))
with RowStream(sys.argv[1], 8, threads=2) as stream:
    print("reading", flush=True)
    for batch in stream:
        pass
"""


@pytest.mark.slow
def test_ctrl_c_ends_it(store: Store) -> None:
    command = [sys.executable, "-c", INTERRUPTED, str(store.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n"
        time.sleep(0.3)
        start = time.perf_counter()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert time.perf_counter() - start < 5
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert "Error" not in said
