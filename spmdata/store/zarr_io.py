"""The zarr v3 form of a store: a folder with metadata files. zarr-python writes their text, we put it on disk."""

# ruff: noqa: D102  # form.py says what each method is for

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from numpy.typing import NDArray

from spmdata.errors import StoreError
from spmdata.store.arrays import ArraySpec
from spmdata.store.chunks import LEVEL, encode_chunk
from spmdata.store.durable import create_tree, update_file
from spmdata.store.remote import RemotePath, StorePath
from spmdata.store.remote_shard import RemoteShard
from spmdata.store.schema import StoreSpec
from spmdata.store.shards import ShardFile, shard_path, shard_pieces

ROOT_FILE = "zarr.json"
#: Groups of a store. ``.spm`` is one so that zarr does not warn of a folder it does not know when it lists the root.
GROUPS = ("people", "row", ".spm")


class ZarrForm:
    """A store in zarr."""

    root = ROOT_FILE
    names_rows = True

    def __init__(self, path: StorePath) -> None:
        self.path = self.home = path
        self.parts: tuple[StorePath, ...] = (path,)

    def vacant(self) -> bool:
        if isinstance(self.path, RemotePath):
            return self.path.is_empty()
        return not os.path.lexists(self.path) or (self.path.is_dir() and not any(self.path.iterdir()))

    def ours(self) -> bool:
        return (self.path / ".spm").is_dir()

    def aside(self, number: str) -> tuple[StorePath, ...]:
        return (self.path.with_name(f"{self.path.name}.old{number}"),)

    def attributes(self) -> dict[str, Any]:
        return read_attributes(self.path)

    def create(self, layout: StoreSpec) -> None:
        """All at once: every metadata file and folder."""
        folders = [".spm/ledger", *(array.name for array in layout.arrays())]
        create_tree(self.path, self.metadata(layout, layout.attributes()), folders)

    def restore(self) -> None:
        """There is nothing to restore: `create` is one rename."""

    def metadata_names(self, layout: StoreSpec) -> list[str]:
        nodes = [*GROUPS, *(array.name for array in layout.arrays())]
        return [ROOT_FILE, *(f"{node}/{ROOT_FILE}" for node in nodes)]

    def metadata(self, layout: StoreSpec, attributes: Mapping[str, Any]) -> dict[str, bytes]:
        files = dict(_files(layout))
        root = {**json.loads(files[ROOT_FILE]), "attributes": attributes}
        return {**files, ROOT_FILE: _text(root)}

    def file(self, name: str) -> StorePath:
        return self.path / name

    def update(self, name: str, text: bytes) -> None:
        update_file(self.path / name, text)

    def shard_files(self, layout: StoreSpec, shard: int) -> dict[str, StorePath]:
        return {array.name: shard_path(self.path, array, shard) for array in layout.arrays()}

    def file_key(self, array: ArraySpec) -> str:
        return array.name

    def lost_files(self, layout: StoreSpec) -> list[StorePath]:
        """Only the ledger tells a lost file from one that is all fill value: it is asked when a shard is read."""
        return []

    def array_bytes(self, layout: StoreSpec, shard: int, sizes: Mapping[str, int]) -> dict[str, int]:
        return dict(sizes)

    def encode(self, array: ArraySpec, values: NDArray[Any] | Sequence[bytes | str]) -> bytes | None:
        return encode_chunk(array, values)

    def shard_pieces(
        self, layout: StoreSpec, chunks: Mapping[str, Sequence[bytes | None]]
    ) -> dict[str, Sequence[bytes]]:
        return {name: shard_pieces(mine) for name, mine in chunks.items()}

    def open_shard(self, layout: StoreSpec, array: ArraySpec, shard: int) -> ShardFile:
        file = shard_path(self.path, array, shard)
        shard_file = RemoteShard if isinstance(file, RemotePath) else ShardFile
        return shard_file(file, array, shard, layout.shard_rows)


@lru_cache(maxsize=4)  # creation and finalise ask for the same
def _files(layout: StoreSpec) -> Mapping[str, bytes]:
    import zarr  # here, because only writing a store needs it and it takes long to import

    memory: dict[str, Any] = {}
    group = zarr.create_group(zarr.storage.MemoryStore(memory), zarr_format=3)
    for name in GROUPS:
        group.create_group(name)
    for array in layout.arrays():
        _create_array(group, array, layout.shard_rows)
    return {name: _text(json.loads(memory[name].to_bytes())) for name in sorted(memory)}


def read_attributes(path: StorePath) -> dict[str, Any]:
    """Return the attributes of the group at ``path``, without zarr.

    Raises
    ------
    StoreError
        Nothing there, or no zarr v3 group.
    """
    if not isinstance(path, RemotePath) and not path.exists():
        raise StoreError(f"no such store: {path}")
    try:
        root = json.loads((path / ROOT_FILE).read_bytes())
        attributes = root["attributes"]
    except FileNotFoundError as error:
        if isinstance(path, RemotePath):
            raise StoreError(f"no such store: {path}: {error.strerror}") from error
        raise StoreError(f"{path} is no spm store: it has no {ROOT_FILE}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is no spm store: it has no readable {ROOT_FILE} with attributes") from error
    if not isinstance(attributes, dict):
        raise StoreError(f"{path} is no spm store: its attributes are no JSON object")
    return attributes


def _create_array(group: Any, array: ArraySpec, shard_rows: int) -> None:
    from zarr.codecs import BytesCodec, Crc32cCodec, VLenBytesCodec, VLenUTF8Codec, ZstdCodec
    from zarr.errors import UnstableSpecificationWarning

    serializers = {"bytes": VLenBytesCodec, "str": VLenUTF8Codec}
    dtypes = {"bytes": "variable_length_bytes", "str": "string"}
    zstd = [] if array.dtype == "bytes" else [ZstdCodec(level=LEVEL, checksum=False)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnstableSpecificationWarning)
        group.create_array(
            array.name,
            shape=array.shape,
            dtype=dtypes.get(array.dtype, array.numpy),
            chunks=(array.chunk_rows, *array.row_shape),
            shards=(shard_rows, *array.row_shape),
            filters=[],
            serializer=serializers.get(array.dtype, BytesCodec)(),
            compressors=[*zstd, Crc32cCodec()],
            fill_value={"bytes": b"", "str": ""}.get(array.dtype, 0),
            dimension_names=array.dims,
            chunk_key_encoding={"name": "default", "separator": "."},
        )


def _text(content: Any) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()
