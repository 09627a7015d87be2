"""Every byte of a store is watched."""

import shutil
from pathlib import Path

import pytest
import zarr

from spmdata.errors import StoreError
from spmdata.store.check import Damage, check_store
from spmdata.store.writer import open_or_create
from store.cases import flip_bit, layout_of, write_one, write_store

LAYOUT = layout_of(3, 2, input_hw=(16, 16))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_store(tmp_path / "data.zarr", LAYOUT)


def test_sound_store_has_no_damage(path: Path) -> None:
    seen: list[tuple[int, int]] = []
    assert check_store(path, progress=lambda done, total: seen.append((done, total))) == []
    assert seen == [(1, 2), (2, 2)]


@pytest.mark.parametrize("name", ["zarr.json", ".spm/manifest.json", ".spm/ledger/00001.json", "row/zarr.json"])
def test_flips_all_over_metadata_are_found(name: str, path: Path) -> None:
    file = path / name
    for byte in range(0, file.stat().st_size, 41):
        flip_bit(file, 8 * byte + byte % 8)
        assert check_store(path)
        flip_bit(file, 8 * byte + byte % 8)


def test_damage_is_named_by_array_shard_and_row(path: Path) -> None:
    flip_bit(path / "offsets/c.1.0.0.0.0", 50)
    flip_bit(path / "people/joints/c.1.0.0.0", 50)
    (path / "image/c.0").write_bytes((path / "image/c.0").read_bytes()[:-1])
    (path / "count/c.1.0.0.0").write_bytes(b"")
    found = {(damage.array, damage.shard, damage.row) for damage in check_store(path)}
    assert found == {("offsets", 1, 2), ("people/joints", 1, None), ("image", 0, None), ("count", 1, None)}


def test_valid_shard_of_another_place_is_found(path: Path) -> None:
    (path / "row/path/c.1").write_bytes((path / "row/path/c.0").read_bytes())
    (found,) = check_store(path)
    assert (found.array, found.shard) == ("row/path", 1)
    assert "sha256" in found.text


def test_missing_and_unexpected_files_are_found(path: Path) -> None:
    (path / "ignore/c.0.0.0").unlink()
    (path / "row/view/c.0").write_bytes(b"x")
    (path / "row/zarr.json").unlink()
    (path / "notes.txt").write_text("mine")
    (path / ".spm/ledger/00001.json").unlink()
    (path / "count/.tmp-left").write_text("")
    texts = sorted(damage.text for damage in check_store(path))
    assert len(texts) == 7
    for words in (
        "ignore/c.0.0.0 is missing",
        "row/view/c.0 should not be there: all its rows are fill value",
        "row/zarr.json is missing",
        "notes.txt is not part of the store",
        ".spm/ledger/00001.json is missing",
        "00001.json cannot be read: No such file or directory",
        "count/.tmp-left is not part of the store",
    ):
        assert any(words in text for text in texts), words


def test_finished_store_whose_attributes_deny_it(path: Path) -> None:
    text = (path / "zarr.json").read_text()
    (path / "zarr.json").write_text(text.replace('"complete": true', '"complate": true'))
    assert ["says neither finished nor" in damage.text for damage in check_store(path)] == [True]


def test_manifest_is_missed(path: Path) -> None:
    (path / ".spm/manifest.json").unlink()
    assert ["manifest.json cannot be read" in damage.text for damage in check_store(path)] == [True]


def test_manifest_and_ledger_of_another_store_are_found(path: Path, tmp_path: Path) -> None:
    other = write_store(tmp_path / "other.zarr", layout_of(3, 2, input_hw=(16, 16), sigma=5))
    shutil.copy(other / ".spm/manifest.json", path / ".spm/manifest.json")
    shutil.copy(other / ".spm/ledger/00000.json", path / ".spm/ledger/00000.json")
    texts = [damage.text for damage in check_store(path)]
    assert any("manifest.json is of another store" in text for text in texts)
    assert any("record of shard 0 has another fingerprint" in text for text in texts)


def test_unfinished_store_is_checked_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "data.zarr"
    open_or_create(path, LAYOUT)
    assert check_store(path) == []
    write_one(path, LAYOUT, 1)
    (path / "offsets/.tmp-left").write_text("")
    (path / "offsets/c.0.0.0.0.0").write_text("a shard on its way")
    assert check_store(path) == []
    flip_bit(path / "root_heatmap/c.1.0.0", 9)
    assert [(d.array, d.shard, d.row) for d in check_store(path)] == [("root_heatmap", 1, 2)]


def test_damage_is_a_value() -> None:
    assert Damage("offsets", 1, 2, "x") == Damage("offsets", 1, 2, "x")


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such store"):
        check_store(tmp_path / "nothing.zarr")
    zarr.create_group(tmp_path / "foreign.zarr")
    with pytest.raises(StoreError, match="is no spm store"):
        check_store(tmp_path / "foreign.zarr")


def test_newer_format_is_refused_not_called_damaged(path: Path) -> None:
    (path / ".spm/manifest.json").unlink()
    text = (path / "zarr.json").read_text()
    (path / "zarr.json").write_text(text.replace('"format_version": 1', '"format_version": 2'))
    with pytest.raises(StoreError, match="version 2, this spm-toolkit reads version 1; upgrade"):
        check_store(path)
