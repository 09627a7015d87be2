"""What goes wrong at a URL: tried again where that may help, one line where it does not, damage named as on a disk."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from remote_cases import LAYOUT, FlakyFileSystem, flip_bit, objects, put, remove
from spmdata.errors import RemoteError, StoreError
from spmdata.store.check import check_store
from spmdata.store.reader import open_store
from spmdata.store.remote import locate
from store.cases import expected, write_store

KEY = "/bucket/a.zarr"


def failing(times: int, error: Exception) -> Callable[[str, str], None]:
    """Fail so many times for each verb and object."""
    seen = Counter[tuple[str, str]]()

    def on_request(verb: str, path: str) -> None:
        seen[verb, path] += 1
        if seen[verb, path] <= times:
            raise error

    return on_request


def use(monkeypatch: pytest.MonkeyPatch, on_request: Callable[[str, str], None]) -> None:
    monkeypatch.setattr(FlakyFileSystem, "on_request", staticmethod(on_request))


@pytest.mark.parametrize("error", [OSError(errno.EIO, "reset"), TimeoutError("slow"), RuntimeError("of a library")])
def test_what_fails_twice_works(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, failing(2, error))
    url = write_store("flaky://bucket/a.zarr", LAYOUT)
    store = open_store(url)
    for array in LAYOUT.arrays():
        np.testing.assert_array_equal(store.read(array.name, range(11)), expected(LAYOUT, array))
    assert check_store(url) == []


def test_what_always_fails_is_one_line(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, failing(10**9, OSError(errno.EIO, "the line is cut")))
    for attempt, verb in (
        (lambda: open_store(url), "read"),
        (lambda: check_store(url), "read"),
        (lambda: locate(url).write_bytes(b"1"), "write"),
    ):
        FlakyFileSystem.requests.clear()
        with pytest.raises(RemoteError, match=rf"^cannot {verb} {url}.*: OSError \(the line is cut\); given up"):
            attempt()
        assert sum(FlakyFileSystem.requests.values()) == 5


def test_waits_grow_from_try_to_try(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As docs/remote.md says: after 0.1, 0.4, 1.2 and 3 s, each plus or minus half."""
    waited: list[float] = []
    monkeypatch.undo()  # the waits that the other tests do without
    monkeypatch.setattr("spmdata.store.connection.time.sleep", waited.append)
    use(monkeypatch, failing(10**9, OSError(errno.EIO, "the line is cut")))
    with pytest.raises(RemoteError, match="given up"):
        open_store(url)
    assert len(waited) == 4
    for seconds, said in zip(waited, (0.1, 0.4, 1.2, 3.0), strict=True):
        assert said / 2 <= seconds <= said * 1.5


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError("Access Denied."), "Access Denied; check the credentials and what they allow"),
        (OSError(errno.EINVAL, "bad range"), r"OSError \(bad range\); check the URL"),
        (type("NoCredentialsError", (Exception,), {})("none"), "NoCredentialsError .*; check the credentials"),
    ],
)
def test_what_will_not_change_is_not_asked_again(
    error: Exception, message: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, failing(10**9, error))
    with pytest.raises(RemoteError, match=rf"^cannot read {url}/zarr\.json: {message}"):
        open_store(url)
    assert FlakyFileSystem.requests["whole"] == 1


def test_an_unreachable_ledger_is_not_an_empty_one(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a rerun would write everything again."""
    before = objects()
    use(monkeypatch, lambda verb, path: failing(10**9, OSError("cut"))(verb, path) if "/ledger/" in path else None)
    with pytest.raises(RemoteError, match="cannot read"):
        write_store(url, LAYOUT)
    assert objects() == before


def test_store_that_is_not_there() -> None:
    with pytest.raises(StoreError, match=r"^no such store: flaky://bucket/b\.zarr: no such object"):
        open_store("flaky://bucket/b.zarr")


@pytest.mark.parametrize(
    ("name", "bit", "found", "read"),
    [
        ("offsets/c.1.0.0.0.0", 50, (1, 4), "offsets, shard 1 .*: the chunk of row 4 is damaged"),
        ("offsets/c.1.0.0.0.0", -50, (1, None), "offsets, shard 1 .*: the crc32c of its index is wrong"),
        ("image/c.0", 66, (0, 0), "image, shard 0 .*: the chunk of row 0 is damaged"),
        ("row/path/c.0", 70, (0, None), "row/path, shard 0 .*: its chunk is damaged"),
    ],
)
def test_flipped_bits_are_named(url: str, name: str, bit: int, found: tuple[int, int | None], read: str) -> None:
    flip_bit(f"{KEY}/{name}", bit)
    (damage,) = check_store(url)
    array = name.rpartition("/c.")[0]
    assert (damage.array, damage.shard, damage.row) == (array, *found)
    store = open_store(url)
    with pytest.raises(StoreError, match=read):
        store.read(array, [4 * found[0]])
    store.read_ahead([array], [4 * found[0]])
    with pytest.raises(StoreError, match=read):  # also from a whole object
        store.read(array, [4 * found[0]])


@pytest.mark.parametrize("name", ["zarr.json", "offsets/zarr.json", ".spm/manifest.json", ".spm/ledger/00001.json"])
def test_damaged_metadata_is_found(url: str, name: str) -> None:
    put(f"{KEY}/{name}", objects()[f"{KEY}/{name}"] + b" ")
    assert any(name in damage.text for damage in check_store(url))
    remove(f"{KEY}/{name}")
    if name != "zarr.json":
        assert any(name in damage.text for damage in check_store(url))


def test_lost_emptied_and_foreign_objects_are_named(url: str) -> None:
    remove(f"{KEY}/offsets/c.1.0.0.0.0")
    put(f"{KEY}/ignore/c.0.0.0", b"")
    put(f"{KEY}/notes.txt", b"mine")
    texts = [(damage.array, damage.shard, damage.text) for damage in check_store(url)]
    assert ("offsets", 1, "offsets/c.1.0.0.0.0 is missing") in texts
    assert [text for array, shard, text in texts if (array, shard) == ("ignore", 0)]
    assert texts[-1] == (None, None, "notes.txt is not part of the store")
    store = open_store(url)
    with pytest.raises(StoreError, match="offsets: the file of shard 1 is lost"):
        store.read("offsets", [5])
    with pytest.raises(StoreError, match=r"ignore, shard 0 .* index"):
        store.read("ignore", [0])
