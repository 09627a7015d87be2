"""The parts of a streamed row, each measured alone: processor time of one thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np
from stream_peers import MAPS

from spmdata.codec import Codec
from spmdata.images import load_input
from spmdata.store.reader import Store
from spmdata.stream import RowOrder
from spmdata.stream.buffers import RowReader
from spmdata.stream.pages import zeros


def parts_of_a_row(store: Store, batch: int, rounds: int) -> dict[str, float]:
    """Return one thread's microseconds a row for each part of the work, into buffers that no cache holds."""
    order, spec, n = RowOrder(range(len(store)), store.layout.shard_rows), store.spec, batch
    data = [store.image_bytes(row) for row in range(len(store))]
    sizes = store.read("row/size_hw", slice(None)).tolist()
    readers = {kind: RowReader(store, kind) for kind in ("stored", "drawn")}
    slots = {kind: [reader.buffers(n, allocate=zeros) for _ in range(3)] for kind, reader in readers.items()}
    images = [np.zeros((n, *spec.input_hw, 3), np.uint8) for _ in range(3)]

    def decode(i: int, rows: list[int]) -> None:
        for row, image in zip(rows, images[i % 3], strict=True):
            load_input(data[row], tuple(sizes[row]), spec.input_hw, out=image)

    def read(i: int, rows: list[int]) -> None:
        for name in MAPS:
            store.read(name, rows, out=getattr(slots["stored"][i % 3].targets, name))

    def people(i: int, rows: list[int]) -> None:
        store.people_batch(rows)

    actions: dict[str, Callable[[int, list[int]], object]] = {
        "JPEG decode": decode,
        "an image's bytes, checked": lambda i, rows: [store.image_bytes(row) for row in rows],
        "maps: bytes, checks, zstd": read,
        "people of a batch": people,
        "targets drawn": lambda i, rows: slots["drawn"][i % 3].drawn[0][1].encode(given),
    }
    times: dict[str, list[float]] = {name: [] for name in actions}
    for i in range(rounds):
        rows = order.take(i * n, n).tolist()
        given = store.people_batch(rows)
        for name, action in actions.items():
            start = time.thread_time()
            action(i, rows)
            times[name].append((time.thread_time() - start) / n * 1e6)
    return {name: median(some[3:]) for name, some in times.items()}


def targets_alone(store: Store, batch: int, rounds: int) -> tuple[float, float]:
    """Return targets a second of one thread, of random rows from the store, and of the same people in memory."""
    rng, kept = np.random.default_rng(0), Codec(store.spec).kept(batch)
    times: list[tuple[float, float]] = []
    for _ in range(rounds):
        rows = rng.integers(0, len(store), batch)
        start = time.thread_time()
        people = store.people_batch(rows)
        read = time.thread_time()
        kept.encode(people)
        end = time.thread_time()
        times.append((batch / (end - start), batch / (end - read)))
    whole, alone = zip(*times[5:], strict=True)
    return median(whole), median(alone)
