"""The zarr v3 side of a store: its metadata files and attributes. zarr-python writes the text, we put it on disk."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from spmdata.errors import StoreError
from spmdata.store.arrays import ArraySpec
from spmdata.store.chunks import LEVEL
from spmdata.store.durable import create_tree
from spmdata.store.schema import StoreSpec

ROOT_FILE = "zarr.json"
#: Groups of a store. ``.spm`` is one so that zarr does not warn of a folder it does not know when it lists the root.
GROUPS = ("people", "row", ".spm")


def create_group(path: Path, layout: StoreSpec) -> None:
    """Create an empty, unfinished store at once: every metadata file and folder of it.

    Raises
    ------
    StoreError
        The disk refuses, or something is there already.
    """
    folders = [".spm/ledger", *(array.name for array in layout.arrays())]
    create_tree(path, metadata(layout, layout.attributes()), folders)


def metadata(layout: StoreSpec, attributes: Mapping[str, Any]) -> dict[str, bytes]:
    """Return every metadata file of a store by its path in the group, the root's with these attributes."""
    files = dict(_files(layout))
    root = {**json.loads(files[ROOT_FILE]), "attributes": attributes}
    return {**files, ROOT_FILE: _text(root)}


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


def read_attributes(path: Path) -> dict[str, Any]:
    """Return the attributes of the group at ``path``, without zarr.

    Raises
    ------
    StoreError
        Nothing there, or no zarr v3 group.
    """
    if not path.exists():
        raise StoreError(f"no such store: {path}")
    try:
        root = json.loads((path / ROOT_FILE).read_bytes())
        attributes = root["attributes"]
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
