"""What rows of maps cost on disk, without writing any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from spmdata.spec import TargetSpec
from spmdata.store.arrays import row_arrays
from spmdata.store.chunks import encode_chunk

#: What the index of a shard keeps of each chunk.
INDEX_BYTES = 16


def packed_bytes(spec: TargetSpec, maps: Mapping[str, NDArray[Any] | None]) -> int:
    """Return the bytes that some rows of maps take in a store: compressed, with checksums and index.

    Parameters
    ----------
    spec : TargetSpec
        Of the maps.
    maps : mapping of str to array
        Each with a leading (N,), under the names of the store; what has no array there is passed over.
    """
    total = 0
    for array in row_arrays(spec, 1, images=False, maps=True):
        rows = maps[array.name]
        assert rows is not None  # every target that a spec has an array for is drawn
        total += sum(len(encode_chunk(array, row[None]) or b"") + INDEX_BYTES for row in rows)
    return total
