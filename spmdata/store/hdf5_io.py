"""The HDF5 form of a store: ``X.h5`` holds attributes and virtual datasets over ``X.h5.shards/``, a file a shard."""

# ruff: noqa: D102  # form.py says what each method is for

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spmdata.errors import StoreError
from spmdata.store import hdf5_shards
from spmdata.store.arrays import ArraySpec
from spmdata.store.durable import TEMPORARY, create_tree, update_file
from spmdata.store.hdf5_shards import Hdf5Shard
from spmdata.store.schema import StoreSpec

#: The ledger's name for the one file of a shard.
SHARD = "shard"


class Hdf5Form:
    """A store in HDF5."""

    #: HDF5 is not asked to open what is not as it was written: it may crash.
    names_rows = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.home = path.with_name(f"{path.name}.shards")
        self.root = path.name
        # Moved in this order: a kill between leaves what open_store refuses.
        self.parts: tuple[Path, ...] = (self.home, path)

    def vacant(self) -> bool:
        return not os.path.lexists(self.path) and not os.path.lexists(self.home)

    def ours(self) -> bool:
        try:
            return (self.home / ".spm").is_dir() or "spm" in self.attributes()
        except StoreError:
            return False

    def aside(self, number: str) -> tuple[Path, ...]:
        """Both move into one folder: ``X.h5`` names its shards relative to itself."""
        folder = self.path.with_name(f"{self.path.name}.old{number}")
        return tuple(folder / part.name for part in self.parts)

    def attributes(self) -> dict[str, Any]:
        if not self.path.exists():
            raise StoreError(f"no such store: {self.path}{', though its shards are there' * self.home.exists()}")
        try:
            with hdf5_shards.reading(self.path) as file:
                return {"spm": json.loads(file.attrs["spm"])}
        except StoreError as error:
            raise StoreError(f"{self.path} is no spm store: it has no readable attribute spm ({error})") from error

    def create(self, layout: StoreSpec) -> None:
        """``X.h5`` first: it says what the shards are of."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.update(self.root, self.metadata(layout, layout.attributes())[self.root])
        self.restore()

    def restore(self) -> None:
        if not self.home.exists():
            create_tree(self.home, {}, [".spm", ".spm/ledger"])

    def metadata_names(self, layout: StoreSpec) -> list[str]:
        return [self.root]

    def metadata(self, layout: StoreSpec, attributes: Mapping[str, Any]) -> dict[str, bytes]:
        """Datasets are there only when all shards are: HDF5 reads what is missing as zeros and says nothing."""
        import h5py

        file = hdf5_shards.new_file()
        text = json.dumps(attributes["spm"]).encode()
        # Of fixed length: text of any length would lie in a global heap, which has no checksum.
        h5py.File(file).attrs.create("spm", np.bytes_(text))
        if attributes["spm"]["complete"]:
            names = [array.name for array in layout.arrays() if array.dtype == "str"]
            files = [self._shard(shard) for shard in range(layout.n_shards)]
            widths = np.max([hdf5_shards.text_bytes_of(path, names) for path in files], axis=0)
            text_bytes = dict(zip(names, widths.tolist(), strict=True))
            for array in layout.arrays():
                self._create_virtual(file, layout, array, text_bytes.get(array.name, 0))
        return {self.root: hdf5_shards.close_file(file)}

    def file(self, name: str) -> Path:
        return self.path if name == self.root else self.home / name

    def update(self, name: str, text: bytes) -> None:
        update_file(self.file(name), text, f".{self.path.name}{TEMPORARY}")

    def shard_files(self, layout: StoreSpec, shard: int) -> dict[str, Path]:
        return {SHARD: self._shard(shard)}

    def file_key(self, array: ArraySpec) -> str:
        return SHARD

    def lost_files(self, layout: StoreSpec) -> list[Path]:
        return [file for file in map(self._shard, range(layout.n_shards)) if not file.is_file()]

    def array_bytes(self, layout: StoreSpec, shard: int, sizes: Mapping[str, int]) -> dict[str, int]:
        """Without what HDF5 adds, its indices and headers."""
        with hdf5_shards.reading(self._shard(shard)) as file:
            found = {array.name: int(file[array.name].id.get_storage_size()) for array in layout.arrays()}
        if layout.images:  # HDF5 counts the pointers alone
            found["image"] += self.open_shard(layout, layout.array("image"), shard).packed_bytes
        return found

    def encode(self, array: ArraySpec, values: NDArray[Any] | Sequence[bytes | str]) -> bytes | None:
        return hdf5_shards.encode_chunk(array, values)

    def shard_pieces(
        self, layout: StoreSpec, chunks: Mapping[str, Sequence[bytes | None]]
    ) -> dict[str, Sequence[bytes]]:
        return {SHARD: [hdf5_shards.shard_file(layout, chunks)]}

    def open_shard(self, layout: StoreSpec, array: ArraySpec, shard: int) -> Hdf5Shard:
        return Hdf5Shard(self._shard(shard), array, shard, layout.shard_rows)

    def _shard(self, shard: int) -> Path:
        return self.home / f"{shard:05d}.h5"

    def _create_virtual(self, file: Any, layout: StoreSpec, array: ArraySpec, text_bytes: int) -> None:
        """Create a dataset that is the rows of all shards, one after another; the last shard has some too many."""
        import h5py

        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        whole = h5py.h5s.create_simple(array.shape)
        part = h5py.h5s.create_simple((layout.shard_rows, *array.row_shape))
        rest, ones = [0] * len(array.row_shape), (1,) * len(array.shape)
        for shard in range(layout.n_shards):
            rows = layout.rows_of(shard)
            block = (len(rows), *array.row_shape)
            whole.select_hyperslab((rows.start, *rest), ones, block=block)
            part.select_hyperslab((0, *rest), ones, block=block)
            name = f"{self.home.name}/{self._shard(shard).name}".replace("%", "%%")  # HDF5 fills in what % begins
            creation.set_virtual(whole, os.fsencode(name), array.name.encode(), part)
        dataset = h5py.Dataset(hdf5_shards.create_dataset(file, array, array.shape, creation, text_bytes))
        for dimension, label in zip(dataset.dims, array.dims, strict=True):
            dimension.label = label
