"""Rows from a store at a URL: the same as from a disk, for how many requests, from threads, forks and pickles."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import spmdata.store.connection
import spmdata.store.remote_shard
from remote_cases import LAYOUT, FlakyFileSystem, in_child, objects
from spmdata.store.reader import Store, open_store
from store.cases import expected, write_store

#: Arrays with a chunk a row, and those of them that have a chunk in every shard.
CHUNKED = [array.name for array in LAYOUT.arrays() if array.chunk_rows == 1]


def assert_reads(store: Store) -> None:
    for array in LAYOUT.arrays():
        np.testing.assert_array_equal(store.read(array.name, range(11)), expected(LAYOUT, array), array.name)


@pytest.mark.parametrize("request_bytes", [0, 100, 1 << 18])
def test_rows_are_as_on_a_disk(url: str, request_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By ranges alone, by some of them, and whole."""
    monkeypatch.setattr(spmdata.store.remote_shard, "REQUEST_BYTES", request_bytes)
    assert_reads(open_store(url))
    assert ("range" in FlakyFileSystem.requests) == (len(CHUNKED) > 0)


def test_a_row_is_an_index_and_a_range(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spmdata.store.remote_shard, "REQUEST_BYTES", 0)
    store = open_store(url)
    FlakyFileSystem.requests.clear()
    store.read("offsets", [4])
    assert FlakyFileSystem.requests == {"range": 2}
    store.read("offsets", [5])
    assert FlakyFileSystem.requests == {"range": 3}
    store.read("row/path", [4])
    assert FlakyFileSystem.requests == {"range": 3, "whole": 1}  # a table is one chunk


def test_ranges_become_one_whole_object_when_they_have_cost_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    layout = LAYOUT
    write_store("flaky://bucket/a.zarr", layout)
    size = len(objects()["/bucket/a.zarr/offsets/c.0.0.0.0.0"])
    monkeypatch.setattr(spmdata.store.remote_shard, "REQUEST_BYTES", size // 4)
    store = open_store("flaky://bucket/a.zarr")
    FlakyFileSystem.requests.clear()
    for _ in range(20):
        store.read("offsets", [0, 2, 3])
    assert FlakyFileSystem.requests["whole"] == 1
    assert 2 <= FlakyFileSystem.requests["range"] <= 5


def test_read_ahead_is_a_request_an_object_and_then_none(url: str) -> None:
    store = open_store(url)
    FlakyFileSystem.requests.clear()
    store.read_ahead(CHUNKED, [0, 1, 9])
    there = [name for name in objects() if name.split("/")[3] in CHUNKED and name.split("/c.")[-1][0] in "02"]
    assert FlakyFileSystem.requests["whole"] >= len(there) > 0
    assert set(FlakyFileSystem.requests) == {"whole"}
    FlakyFileSystem.requests.clear()
    for name in set(CHUNKED) - {"image", "row/path", "row/meta"}:
        store.read(name, [0, 1, 2, 3, 8, 9, 10])
    assert not FlakyFileSystem.requests["range"]


def test_threads_share_one_request(url: str) -> None:
    store = open_store(url)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: store.read_ahead(["offsets"], [0]), range(32)))
    assert FlakyFileSystem.requests["whole"] == 2  # the attributes and the shard


def test_whole_objects_are_bounded(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    sizes = [len(data) for name, data in objects().items() if "/offsets/c." in name]
    monkeypatch.setattr(spmdata.store.connection, "WHOLE_BYTES", max(sizes))
    store = open_store(url)
    FlakyFileSystem.requests.clear()
    for _ in range(2):  # one shard at a time fits: each is read again
        for row in (0, 4, 8):
            store.read_ahead(["offsets"], [row])
    assert FlakyFileSystem.requests["whole"] == 6
    assert_reads(store)


def test_forks_and_pickles_go_on(url: str) -> None:
    store = open_store(url)
    assert_reads(store)
    assert in_child(lambda: assert_reads(store)) == 0
    again = pickle.loads(pickle.dumps(store))
    assert str(again.path) == url
    assert_reads(again)


def test_fork_amid_reading_threads(url: str) -> None:
    """A lock that a thread held at the fork would never open again."""
    store = open_store(url)
    stop: list[bool] = []

    def read_until_stopped(_: int) -> None:
        while not stop:
            open_store(url).read("offsets", range(11))
            store.read("offsets", range(11))

    with ThreadPoolExecutor(3) as pool:
        jobs = list(pool.map(pool.submit, [read_until_stopped] * 3, range(3)))
        try:
            assert [in_child(lambda: assert_reads(store)) for _ in range(5)] == [0] * 5
        finally:
            stop.append(True)
        for job in jobs:
            job.result()
