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
from spmdata.kernels.tables import Maps
from spmdata.padded import PeopleBatch
from spmdata.people import People

if TYPE_CHECKING:
    from spmdata.codec.codec import Codec

#: Order of the axes of a map (N, K, D, H, W) or (N, K, H, W) in memory when channels come last.
LAST = {5: (0, 3, 4, 1, 2), 4: (0, 2, 3, 1)}


def no_memory(n: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return what maps take that remember nothing: they are zeroed before they are drawn."""
    return np.empty((n, 0, 0, 4), np.int32), np.zeros((n, 2), np.int64)


class Kept:
    """Buffers of N rows that remember which cells they hold; made by `Codec.kept`.

    Equal to `Codec.encode_batch` bit for bit, as long as nobody else writes to them.
    """

    def __init__(self, codec: Codec, n: int, *, channels_last: bool = False) -> None:
        if codec.spec.dtype != "float32":
            raise SpecError(f"kept targets are float32, the spec says {codec.spec.dtype}: override its dtype")
        self._codec, self._channels_last = codec, channels_last
        arrays = {name: a for name, a in codec.empty_targets(n)._asdict().items() if a is not None}
        memory = {name: self._laid_out(array) for name, array in arrays.items()}
        self._targets = Targets(**{name: self._shaped(array) for name, array in memory.items()})
        #: The same memory in its own order: (N, K, D, H, W) and so on, or (N, H, all of a row of cells).
        flat = {name: a.reshape(*a.shape[:2], -1) if channels_last else a for name, a in memory.items()}
        self._memory, self._maps = codec._maps(Targets(**flat)), codec._maps(self._targets)
        self._boxes = np.zeros((n, 1, len(codec.spec.skeleton) + 2, 4), np.int32)
        self._held = np.zeros((n, 2), np.int64)

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
        if n > len(self._held):
            raise SpecError(f"kept targets have room for {len(self._held)} images, got {n}")
        if most > self._boxes.shape[1]:
            grown = np.zeros((len(self._held), most, *self._boxes.shape[2:]), np.int32)
            grown[:, : self._boxes.shape[1]] = self._boxes
            self._boxes = grown
        memory, maps, targets, boxes, held = self._memory, self._maps, self._targets, self._boxes, self._held
        if n < len(held):
            memory, maps = Maps._make(a[:n] for a in memory), Maps._make(a[:n] for a in maps)
            targets, boxes, held = targets.at(slice(n)), boxes[:n], held[:n]
        if self._channels_last:
            batch.undo_cells(memory, boxes, held, self._codec.spec.map_hw[1])
        else:
            batch.undo_planes(memory, boxes, held)
        self._codec._draw(rows, maps, boxes, held)
        return targets

    def _laid_out(self, array: NDArray[Any]) -> NDArray[Any]:
        order = LAST.get(array.ndim) if self._channels_last else None
        return np.zeros([array.shape[i] for i in order] if order else array.shape, array.dtype)

    def _shaped(self, memory: NDArray[Any]) -> NDArray[Any]:
        moved = self._channels_last and memory.ndim in LAST
        return memory.transpose(np.argsort(LAST[memory.ndim])) if moved else memory
