"""Creating, resuming and finishing a store, and what is refused on the way."""

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from spmdata.errors import StoreError
from spmdata.store.ledger import Ledger, ShardRecord, SkippedRow
from spmdata.store.reader import open_store
from spmdata.store.schema import RowStatus, StoreSpec
from spmdata.store.writer import ShardWriter, finalise, open_or_create
from store.cases import expected, layout_of, tree, write_one, write_store

LAYOUT = layout_of(7, 3)


def test_two_runs_are_equal_byte_for_byte(tmp_path: Path) -> None:
    one, other = write_store(tmp_path / "one" / "data.zarr", LAYOUT), tmp_path / "other" / "named.zarr"
    assert open_or_create(other, LAYOUT) == {}
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda shard: write_one(other, LAYOUT, shard), (2, 0, 1)))
    finalise(other, LAYOUT)
    assert tree(one) == tree(other)
    assert [path.name for path in other.parent.iterdir()] == ["named.zarr"]
    everything = b"".join(data for data in tree(one).values() if data)
    assert str(tmp_path).encode() not in everything


def test_finished_store_is_left_as_it_is(finished: Path) -> None:
    before, layout = tree(finished), layout_of(11, 4)
    stamps = {path: path.stat().st_mtime_ns for path in finished.rglob("*.json")}
    assert sorted(open_or_create(finished, layout)) == [0, 1, 2]
    totals = finalise(finished, layout)
    assert tree(finished) == before
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*.json")} == stamps
    assert (totals.rows, dict(totals.skipped)) == (11, {RowStatus.IMAGE_MISSING: 2})
    assert totals.counts["rows_ok"] == 9
    assert totals.bytes == sum(file.stat().st_size for file in finished.rglob("c.*"))


def test_attributes_say_what_is_inside(finished: Path) -> None:
    mine = dict(zarr.open_group(finished, mode="r").attrs)["spm"]
    assert isinstance(mine, dict)
    assert (mine["format_version"], mine["complete"]) == (1, True)
    assert mine["skipped"] == {"image_missing": 2}
    assert mine["spec"] == layout_of(11, 4).spec.to_json()


def test_ledger_keeps_reasons(finished: Path) -> None:
    record = Ledger(finished).read(1)
    assert (record.start, record.stop) == (4, 8)
    assert record.skipped == (SkippedRow(6, RowStatus.IMAGE_MISSING, "no file 6.jpg"),)
    assert record.files["row/view"] is None
    with pytest.raises(StoreError, match=r"00003\.json cannot be read: No such file"):
        Ledger(finished).read(3)


@pytest.mark.parametrize("harm", ["remove", "shorten", "grow out of nothing", "record", "record of another"])
def test_shard_that_is_not_as_recorded_is_redone(harm: str, tmp_path: Path) -> None:
    path = write_store(tmp_path / "data.zarr", LAYOUT)
    whole, file, record = tree(path), path / "offsets/c.1.0.0.0.0", path / ".spm/ledger/00001.json"
    if harm == "remove":
        file.unlink()
    elif harm == "shorten":
        file.write_bytes(file.read_bytes()[:-1])
    elif harm == "grow out of nothing":
        (path / "row/view/c.1").write_bytes(b"1")
    elif harm == "record":
        record.write_bytes(record.read_bytes().replace(b'"start": 3', b'"start": 2'))
    else:
        record.write_bytes((path / ".spm/ledger/00000.json").read_bytes())
    assert sorted(open_or_create(path, LAYOUT)) == [0, 2]
    with pytest.raises(StoreError, match="is not finished: 2 of 3 shards"):
        open_store(path)
    assert tree(write_store(path, LAYOUT)) == whole


def test_damaged_metadata_is_mended(tmp_path: Path) -> None:
    path = write_store(tmp_path / "data.zarr", LAYOUT)
    whole = tree(path)
    (path / "offsets/zarr.json").write_text("{}")
    (path / ".spm/manifest.json").unlink()
    (path / "offsets/.tmp-of-a-killed-run").write_bytes(b"x")
    (path.parent / ".data.zarr.tmp-of-a-killed-run").mkdir()
    assert tree(write_store(path, LAYOUT)) == whole
    assert [p.name for p in tmp_path.iterdir()] == ["data.zarr"]


def test_missing_shards_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "data.zarr"
    open_or_create(path, LAYOUT)
    write_one(path, LAYOUT, 0)
    with pytest.raises(
        StoreError, match=r"2 of 3 shards .* \(the first is 1\); run the same spm prepare command again"
    ):
        finalise(path, LAYOUT)


def test_other_settings_are_refused_and_forced_aside(tmp_path: Path) -> None:
    path = write_store(tmp_path / "data.zarr", LAYOUT)
    other = layout_of(7, 3, sigma=5, maps=False)
    before = tree(path)
    with pytest.raises(
        StoreError, match=r"sigma 7\.0 there, 5\.0 here, maps True there, False here \(fingerprint "
    ) as e:
        open_or_create(path, other)
    assert LAYOUT.fingerprint()[:16] in str(e.value)
    assert other.fingerprint()[:16] in str(e.value)
    assert "--force" in str(e.value)
    assert tree(path) == before
    assert sorted(open_or_create(path, LAYOUT, force=True)) == [0, 1, 2]  # the same settings: nothing to force
    for name, layout in (("data.zarr.old", other), ("data.zarr.old2", LAYOUT)):
        whole = tree(path)
        assert open_or_create(path, layout, force=True) == {}
        assert tree(tmp_path / name) == whole


@pytest.mark.parametrize(
    "harm", [lambda text: text.replace('"format_version": 1', '"format_version": 2'), lambda text: text[:-9]]
)
def test_unreadable_store_is_refused_and_forced_aside(harm: Callable[[str], str], tmp_path: Path) -> None:
    path = write_store(tmp_path / "data.zarr", LAYOUT)
    whole = tree(path)
    (path / "zarr.json").write_text(harm((path / "zarr.json").read_text()))
    assert sorted(open_or_create(path, LAYOUT)) == [0, 1, 2]  # the manifest says that the shards are of this plan
    finalise(path, LAYOUT)
    assert tree(path) == whole
    (path / "zarr.json").write_text(harm((path / "zarr.json").read_text()))
    (path / ".spm/manifest.json").unlink()
    with pytest.raises(StoreError, match=r"version 2, this|no readable zarr.json"):
        open_or_create(path, LAYOUT)
    assert open_or_create(path, LAYOUT, force=True) == {}


def _foreign_zarr(path: Path) -> None:
    zarr.create_group(path).attrs["title"] = "mine"


def _photos(path: Path) -> None:
    path.mkdir()
    (path / ".tmp-photo.jpg").write_bytes(b"dear to someone")


@pytest.mark.parametrize("make", [_foreign_zarr, _photos, lambda path: path.write_text("a file")])
def test_what_is_no_store_is_never_touched(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "data.zarr"
    make(path)
    before = tree(tmp_path)
    for force in (False, True):
        with pytest.raises(StoreError, match="is there and is no spm store: choose another output"):
            open_or_create(path, LAYOUT, force=force)
    assert tree(tmp_path) == before


def test_empty_folder_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "data.zarr").mkdir()
    assert open_or_create(tmp_path / "data.zarr", LAYOUT) == {}


def test_disk_that_refuses_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot create .*data\.zarr: File exists"):
        open_or_create(tmp_path / "file" / "data.zarr", LAYOUT)
    path = tmp_path / "data.zarr"
    open_or_create(path, LAYOUT)
    shutil.rmtree(path / "offsets")
    with pytest.raises(StoreError, match=r"cannot write .*offsets.*: No such file"):
        write_one(path, LAYOUT, 0)


def _writer(path: Path, layout: StoreSpec = LAYOUT, shard: int = 2) -> ShardWriter:
    open_or_create(path, layout)
    return ShardWriter(path, layout, shard)  # shard 2 has one row


@pytest.mark.parametrize(
    ("name", "index", "value", "text"),
    [
        ("offset", 0, np.zeros(1), "no array 'offset' in this store; it has count, "),
        ("ignore", 1, np.zeros((8, 8), np.uint8), r"index in \[0, 0\]: got 1"),
        ("ignore", 0, np.zeros((8, 9), np.uint8), r"ignore row 6 must be \(8, 8\) uint8, got \(8, 9\) uint8"),
        ("ignore", 0, np.zeros((8, 8), np.int8), "got .* int8"),
        ("image", 0, "text", "image row 6 must be bytes, got str"),
        ("row/status", 0, np.uint8(0), "row/status takes 3 rows at once"),
    ],
)
def test_row_that_does_not_fit_is_refused(name: str, index: int, value: Any, text: str, tmp_path: Path) -> None:
    writer = _writer(tmp_path / "data.zarr")
    with pytest.raises(StoreError, match=text):
        writer.put_row(name, index, value)


@pytest.mark.parametrize(
    ("name", "values", "text"),
    [
        ("row/status", [0, 0], r"row/status must be \(1,\) in this shard, got \(2,\)"),
        ("row/status", [256], "do not fit"),
        ("row/status", [-1], "do not fit"),
        ("row/status", [0.0], "holds uint8, got float64"),
        ("row/path", [7], "row/path must be 1 str values"),
        ("row/path", ["a", "b"], "row/path must be 1 str values, got 2"),
        ("people/ignore", np.zeros((1, 3), np.uint8), "holds bool, got uint8"),
    ],
)
def test_table_that_does_not_fit_is_refused(name: str, values: Any, text: str, tmp_path: Path) -> None:
    writer = _writer(tmp_path / "data.zarr")
    with pytest.raises(StoreError, match=text):
        writer.put_table(name, values)


def test_nothing_is_put_twice_and_no_table_left_out(tmp_path: Path) -> None:
    writer = _writer(tmp_path / "data.zarr")
    writer.put_table("row/status", [0])
    writer.put_row("image", 0, b"")
    with pytest.raises(StoreError, match="row/status, row 0 of shard 2 was put twice"):
        writer.put_table("row/status", [0])
    with pytest.raises(StoreError, match="image, row 0 of shard 2 was put twice"):
        writer.put_row("image", 0, b"")
    with pytest.raises(StoreError, match=r"shard 2: tables not put: .*row/path"):
        writer.commit({})


def test_memory_order_does_not_matter(tmp_path: Path) -> None:
    layout = layout_of(1, 1, images=False)
    path, array = tmp_path / "data.zarr", layout.array("offsets")
    wanted = expected(layout, array)[0]
    writer = _writer(path, layout, 0)
    writer.put_row("offsets", 0, np.asfortranarray(wanted))
    for table in layout.tables():
        writer.put_table(table.name, [""] if table.varying else np.zeros(table.shape, table.numpy))
    writer.commit({})
    finalise(path, layout)
    np.testing.assert_array_equal(open_store(path).read("offsets", [0])[0], wanted)


def test_records_survive_json(finished: Path) -> None:
    record = Ledger(finished).read(0)
    assert ShardRecord.from_json(json.loads(json.dumps(record.to_json()))) == record
