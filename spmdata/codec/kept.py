"""Targets kept between batches: what was drawn is undone cell by cell, instead of zeroing maps that are almost empty.

Letters: N rows, P people, K joints, D axes, H, W cells of a map.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spmdata.codec.targets import Targets
from spmdata.errors import SpecError
from spmdata.geometry import Camera
from spmdata.kernels import batch
from spmdata.padded import PeopleBatch
from spmdata.people import People

if TYPE_CHECKING:
    from spmdata.codec.codec import Codec

#: Order of the axes of a map (N, K, D, H, W) or (N, K, H, W) in memory when channels come last.
LAST = {5: (0, 3, 4, 1, 2), 4: (0, 2, 3, 1)}


def no_memory(n: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return boxes and numbers of people of maps that remember nothing: they are zeroed before they are drawn."""
    return np.empty((n, 0, 0, 4), np.int32), np.zeros(n, np.int64)


class Kept:
    """Buffers of N rows that remember which cells they hold; made by `Codec.kept`.

    Equal to `Codec.encode_batch` bit for bit, as long as nobody else writes to them.
    """

    def __init__(self, codec: Codec, n: int, *, channels_last: bool = False) -> None:
        if codec.spec.dtype != "float32":
            raise SpecError(f"kept targets are float32, the spec says {codec.spec.dtype}: override its dtype")
        self._codec, self._channels_last = codec, channels_last
        arrays = codec.empty_targets(n)._asdict()
        #: The arrays as they lie in memory, each C-contiguous.
        self._memory = {name: self._laid_out(array) for name, array in arrays.items() if array is not None}
        self._targets = Targets(**{name: self._shaped(array) for name, array in self._memory.items()})
        self._boxes, self._number = np.zeros((n, 1, len(codec.spec.skeleton) + 1, 4), np.int32), np.zeros(n, np.int64)

    def encode(self, people: Sequence[People] | PeopleBatch, cameras: Sequence[Camera | None] | None = None) -> Targets:
        """Return the targets of up to N images, valid until the next call.

        Parameters
        ----------
        people : sequence of People, or PeopleBatch
            In input px.
        cameras : sequence of Camera, optional
            As in `Codec.encode_batch`.

        Raises
        ------
        SpecError
            More images than N, or people who do not fit the spec.
        """
        rows = self._codec._rows(people, cameras)
        n, most = len(rows.number), rows.joints.shape[1]
        if n > len(self._number):
            raise SpecError(f"kept targets have room for {len(self._number)} images, got {n}")
        if most > self._boxes.shape[1]:
            grown = np.zeros((len(self._number), most, *self._boxes.shape[2:]), np.int32)
            grown[:, : self._boxes.shape[1]] = self._boxes
            self._boxes = grown
        boxes, number = self._boxes[:n], self._number[:n]
        memory = Targets(**{name: array[:n] for name, array in self._memory.items()})
        undo = batch.undo_cells if self._channels_last else batch.undo_planes
        undo(self._codec._maps(memory), boxes, number)
        targets = self._targets.at(slice(n))
        self._codec._draw(rows, targets, boxes, number)
        return targets

    def _laid_out(self, array: NDArray[Any]) -> NDArray[Any]:
        order = LAST.get(array.ndim) if self._channels_last else None
        return np.zeros([array.shape[i] for i in order] if order else array.shape, array.dtype)

    def _shaped(self, memory: NDArray[Any]) -> NDArray[Any]:
        moved = self._channels_last and memory.ndim in LAST
        return memory.transpose(np.argsort(LAST[memory.ndim])) if moved else memory
