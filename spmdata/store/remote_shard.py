"""A shard at a URL: its index by one request, then chunks by ranges, or all of it once that is the cheaper way.

Where rows are read in any order of a store that is larger than memory, a range a chunk is best; where many rows of a
shard are read while it is near, all of it in one request is. Which it will be is not known: so ranges are read until
they have cost as much as the whole object would, a request counted as `REQUEST_BYTES`. That is never more than twice
the cost of having known. Whole objects are kept in memory, the last used up to `remote.WHOLE_BYTES`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spmdata.store.chunks import CRC
from spmdata.store.remote import RemotePath
from spmdata.store.shards import ShardFile

#: What a request costs in bytes: 10 ms at 25 MB/s, what one connection to an object store gives.
REQUEST_BYTES = 1 << 18


class RemoteShard(ShardFile):
    """One shard object; `ShardFile` says how it is read."""

    _path: RemotePath

    def _open(self) -> int:
        self._spent = 0
        return 0

    def _find(self, chunks: int) -> NDArray[np.uint64]:
        size = 16 * chunks + CRC.size
        # A table is hardly more than its index.
        data = self._path.whole() if chunks == 1 else self._path.kept() or self._path.read_tail(size)
        index = self._parsed(data[-size:], chunks)
        self._index = index
        self._end = self.packed_bytes
        return index

    def expect(self, number: int) -> None:
        """Do nothing: a server would take it for a request."""

    def _bytes(self, offset: int, length: int) -> bytes:
        data = self._path.kept()
        if data is None and self._spent + REQUEST_BYTES > self._end:
            self._spent, data = 0, self._path.whole()
        if data is not None:
            return data[offset : offset + length]
        self._spent += REQUEST_BYTES + length
        return self._path.read_range(offset, length)
