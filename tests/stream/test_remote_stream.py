"""A stream from a store at a URL: the rows of the disk's, each object asked for once and before it is needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

import spmdata.store.connection
from remote_cases import FlakyFileSystem, objects, put
from spmdata.errors import RemoteError
from spmdata.stream import RowStream
from stream.conftest import ROWS, SHARD_ROWS, Stores
from stream.test_threads import GOOD, taken

URL = "flaky://bucket/a.zarr"


@pytest.fixture
def asked(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Put the store at a URL; return how often each of its objects is asked for from now on."""
    for file in (path for path in stores().path.rglob("*") if path.is_file()):
        put(f"/bucket/a.zarr/{file.relative_to(stores().path)}", file.read_bytes())
    FlakyFileSystem.requests.clear()
    found: Counter[str] = Counter()
    monkeypatch.setattr(FlakyFileSystem, "on_request", staticmethod(lambda verb, path: found.update([path])))
    yield found
    FlakyFileSystem.store.clear()
    FlakyFileSystem.pseudo_dirs[:] = [""]


@pytest.mark.parametrize("targets", ["stored", "drawn", "none"])
def test_each_object_is_one_request(stores: Stores, asked: Counter[str], targets: Any) -> None:
    batches = 3 * ROWS // 5  # epochs, and every object is still in memory
    assert taken(URL, batches, batch=5, seed=3, targets=targets) == taken(
        stores(), batches, batch=5, seed=3, targets=targets
    )
    there = {name: times for name, times in asked.items() if name in objects() and "/.spm/" not in name}
    assert set(there.values()) == {1}
    absent = [times for name, times in asked.items() if name not in objects()]  # all of it is fill value
    assert max(absent, default=2) <= 3  # ahead, and when it is opened, by two threads at most; then it is known
    offsets = [name for name in there if "/offsets/c." in name]
    assert len(offsets) == (-(-ROWS // SHARD_ROWS) if targets == "stored" else 0)


def test_no_more_is_brought_than_a_stretch_ahead(asked: Counter[str]) -> None:
    """Of one pass, in the store's order: the batch lent, two that are read, and a stretch, here of a batch."""
    with RowStream(URL, 4, once=True, targets="none") as stream:
        next(stream)
        assert stream._coming is not None
        stream._coming._thread.submit(int).result()  # the thread has done what it was asked to
        brought = [name for name in asked if "/image/c." in name]
    assert len(brought) == len({row // SHARD_ROWS for row in GOOD[:16]})


def test_objects_that_do_not_stay_in_memory(
    stores: Stores, asked: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spmdata.store.connection, "WHOLE_BYTES", 1000)
    assert taken(URL, 6, batch=5, seed=3) == taken(stores(), 6, batch=5, seed=3)


def test_what_cannot_be_brought_is_told(asked: Counter[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spmdata.store.connection, "WAITS_S", ())

    def fail(verb: str, path: str) -> None:
        if "/image/c." in path:
            raise OSError("cut")

    with RowStream(URL, 4, once=True, targets="none") as stream:
        next(stream)
        monkeypatch.setattr(FlakyFileSystem, "on_request", staticmethod(fail))
        with pytest.raises(RemoteError, match=r"cannot read flaky://bucket/a.zarr/image/c\.\d+"):
            for _ in stream:
                pass
