"""Fifty epochs with random stops: the sequence is the one without, memory is flat, no thread and no file is left."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spmdata.store.reader import Store, open_store
from spmdata.stream import RowOrder, RowStream
from stream.conftest import Stores

EPOCHS, WARM, BATCH = 50, 10, 5
SOAK = """
import sys
from stream.test_soak import soak
soak(*sys.argv[1:])
"""


def rss_bytes() -> int:
    """Return the memory of this process that is in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def left() -> tuple[int, int]:
    """Return how many threads and open files this process has."""
    return threading.active_count(), len(os.listdir("/proc/self/fd"))


def soak(*paths: str) -> None:
    """Stream by turns from the same rows in several forms; print memory after warming up and at most."""
    from spmtrain.stream import ShardStream

    rng, store = np.random.default_rng(0), open_store(paths[0])
    rows = np.flatnonzero(store.status == 0)
    order = RowOrder(rows, store.layout.shard_rows, 9)
    position, used, before, stops = 0, [], left(), 0
    while position < EPOCHS * len(rows):
        path, ranks, threads = paths[stops % len(paths)], int(rng.integers(1, 4)), int(rng.integers(1, 4))
        until = position + BATCH * int(rng.integers(1, 12))
        streams: list[Any] = [
            RowStream(path, BATCH, seed=9, threads=threads, position=position, rank=rank, ranks=ranks)
            if rng.random() < 0.5
            else ShardStream(path, BATCH, 9, threads, "cpu", position, rank=rank, ranks=ranks)
            for rank in range(ranks)
        ]
        while position < until:
            parts = [next(stream).rows.tolist() for stream in streams]
            assert [row for part in parts for row in part] == order.take(position, BATCH).tolist()
            position += BATCH
        for stream in streams:
            stream.close()
        assert left() == before
        stops += 1
        if position > WARM * len(rows):
            used.append(rss_bytes())
    print(used[0], max(used), stops)


@pytest.mark.slow
def test_fifty_epochs_with_random_stops(stores: Stores, request: pytest.FixtureRequest) -> None:
    paths: list[Store] = [stores(), stores(maps=False), stores(".h5")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(request.config.rootpath / "tests")])}
    command = [sys.executable, "-W", "error", "-c", SOAK, *(str(store.path) for store in paths)]
    said = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    warm, most, stops = map(int, said.split())
    print(f"{stops} stops, {warm / 1e6:.1f} MB after {WARM} epochs, at most {most / 1e6:.1f} MB")
    assert stops > 30
    assert most < 1.05 * warm
    assert most - warm < 8e6  # all streams' buffers together are 20 MB
