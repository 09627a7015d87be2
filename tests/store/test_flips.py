"""Files harmed anywhere, zarr and HDF5: what was hit is named, by array and row, and nothing is ever read wrong.

Where a byte belongs is found out here from docs/format.md, not from the reader.
"""

from __future__ import annotations

import random
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pytest

from spmdata.errors import StoreError
from spmdata.store.check import Damage, check_store
from spmdata.store.reader import Store, open_store
from store.cases import expected, flip_bit, image_of, layout_of, status_of
from store.stranger import Stranger

LAYOUT = layout_of(11, 4)
R = LAYOUT.shard_rows
ARRAYS = {array.name: array for array in LAYOUT.arrays()}
#: What else cannot be read without an array.
USED_BY = {"image_crc32c": {"image"}} | {
    name: set() for name in ARRAYS if "people/" not in name and name != "image_crc32c"
}
WANTED = {name: expected(LAYOUT, array) for name, array in ARRAYS.items()}


class Place(NamedTuple):
    """Some bytes of a file, and what they are: ``row`` is None for an index, or a chunk of all the shard's rows."""

    start: int
    stop: int
    array: str
    shard: int
    row: int | None


def zarr_places(file: Path) -> list[Place]:
    """Return chunks and index of a shard file of a zarr store; none of any other file."""
    if not file.name.startswith("c."):
        return []
    name, shard = zarr_shard(file)
    chunks, data, found = R // ARRAYS[name].chunk_rows, file.read_bytes(), list[Place]()
    index = len(data) - 4 - 16 * chunks
    for number in range(chunks):
        offset, length = struct.unpack_from("<QQ", data, index + 16 * number)
        if offset < index:
            found.append(Place(offset, offset + length, name, shard, shard * R + number if chunks > 1 else None))
    return [*found, Place(index, len(data), name, shard, None)]


def zarr_shard(file: Path) -> tuple[str, int]:
    """Return array and shard of a shard file by its name."""
    name = file.parent.name if file.parent.name in ARRAYS else f"{file.parent.parent.name}/{file.parent.name}"
    return name, int(file.name.split(".")[1])


def hdf5_places(file: Path) -> list[Place]:
    """Return chunks and images of a shard file of an HDF5 store; none of any other file."""
    if not file.stem.isdigit() or file.suffix != ".h5":
        return []
    shard, found = int(file.stem), list[Place]()
    with h5py.File(file) as opened:
        for name, array in ARRAYS.items():
            chunks: list[Any] = []
            if array.dtype != "bytes":
                opened[name].id.chunk_iter(chunks.append)
            for chunk in chunks:
                row = shard * R + chunk.chunk_offset[0] if array.chunk_rows == 1 else None
                found.append(Place(chunk.byte_offset, chunk.byte_offset + chunk.size, name, shard, row))
    data = file.read_bytes()
    for row in LAYOUT.rows_of(shard):
        if status_of(row) == 0 and row != 2:  # row 2's image is a byte like any other
            start = data.index(image_of(row))
            found.append(Place(start, start + len(image_of(row)), "image", shard, row))
    return found


@pytest.fixture(params=["zarr", "h5"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a copy of a finished store."""
    whole: Path = request.getfixturevalue("finished" if request.param == "zarr" else "finished_h5")
    return shutil.copytree(whole.parent, tmp_path / "s") / whole.name


def files_of(path: Path) -> list[Path]:
    return sorted(file for file in path.parent.rglob("*") if file.is_file() and file.stat().st_size)


def refusals(path: Path) -> list[str]:
    """Read every row of every array; return what is said of those that cannot be, and demand that the rest is right."""
    said = []
    try:
        store = open_store(path)
    except StoreError as error:
        return [str(error)]
    for name, wanted in WANTED.items():
        for row in range(LAYOUT.rows):
            try:
                found = store.read(name, [row])
            except StoreError as error:
                said.append(f"{name} {row}: {error}")
            else:
                np.testing.assert_array_equal(found, wanted[[row]], name)
    return said + list(people_refusals(store))


def people_refusals(store: Store) -> Iterator[str]:
    whole = WANTED["people/joints"]
    for row in range(LAYOUT.rows):
        try:
            joints = store.people(row).joints
        except StoreError as error:
            yield f"people {row}: {error}"
        else:
            np.testing.assert_array_equal(joints, whole[row, : len(joints)])


def assert_named(path: Path, file: Path, place: Place | None) -> None:
    """Verify names what was hit, reading too, and neither names anything else."""
    damage, said = check_store(path), refusals(path)
    assert damage, "verify did not see it"
    if place is None:
        assert any(file.name in d.text for d in damage)
        return
    rows = [place.row] if place.row is not None else LAYOUT.rows_of(place.shard)
    if path.is_dir():
        assert {(d.array, d.shard, d.row) for d in damage} == {(place.array, place.shard, place.row)}
    else:
        assert damage == [Damage(None, place.shard, None, damage[0].text)]
    mine = [text for text in said if text.startswith(f"{place.array} ")]
    assert [text.partition(":")[0] for text in mine] == [f"{place.array} {row}" for row in rows]
    named = f"row {place.row}" if place.row is not None else f"{place.array}, shard {place.shard}"
    assert all(named in text for text in mine)
    assert {text.partition(" ")[0] for text in said if text not in mine} <= USED_BY.get(place.array, {"people"})


def stranger_refuses(path: Path, place: Place) -> bool:
    """Whether plain zarr and h5py see it too."""
    stranger = Stranger(path)
    row = place.row if place.row is not None else place.shard * R
    try:
        value = stranger.value(place.array, row)
    except (ValueError, OSError, RuntimeError, AssertionError):
        return True
    finally:
        if path.suffix == ".h5":
            stranger.group.close()
    assert np.array_equal(value, WANTED[place.array][row])  # zarr-python reads no more of an index than it needs
    return False


@pytest.mark.parametrize("flips", [14, pytest.param(100, marks=pytest.mark.slow)])
def test_every_flip_is_named_and_none_is_read(flips: int, path: Path) -> None:
    """Half of them anywhere, half in a chunk or index, which HDF5's structure outweighs in files this small."""
    rng, blind = random.Random(flips), list[object]()
    places = {file: zarr_places(file) if path.is_dir() else hdf5_places(file) for file in files_of(path)}
    some = [(file, place) for file, mine in places.items() for place in mine]
    for number in range(flips):
        if number % 2:
            file, place = rng.choice(some)
            byte = rng.randrange(place.start, place.stop)
        else:
            file = rng.choice(list(places))
            byte = rng.randrange(file.stat().st_size)
        bit = 8 * byte + rng.randrange(8)
        hit = next((place for place in places[file] if place.start <= byte < place.stop), None)
        flip_bit(file, bit)
        try:
            assert_named(path, file, hit)
            if hit and not stranger_refuses(path, hit):
                blind.append(hit)
        except AssertionError as error:
            raise AssertionError(f"{file.relative_to(path.parent)}, bit {bit}, {hit}") from error
        flip_bit(file, bit)
    assert blind == []
    assert check_store(path) == []


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("harm", ["cut short", "deleted"])
def test_every_file_cut_short_or_deleted_is_named(harm: str, step: int, path: Path) -> None:
    rng = random.Random(step)
    for file in files_of(path)[::step]:
        data = file.read_bytes()
        if harm == "deleted":
            file.unlink()
        else:
            file.write_bytes(data[: rng.choice([0, len(data) - 1, rng.randrange(len(data))])])
        damage = check_store(path)
        assert damage, file
        refusals(path)
        if file.name.startswith("c."):
            assert {(d.array, d.shard) for d in damage} == {zarr_shard(file)}
        else:
            assert any(file.name in d.text for d in damage)
        file.write_bytes(data)
    assert check_store(path) == []
