"""Targets kept between batches: what was drawn is undone cell by cell, instead of zeroing maps that are almost empty.

Letters: N rows, P people, K joints, D axes, H, W cells of a map.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spmdata.camera import Camera
from spmdata.codec.targets import Targets
from spmdata.errors import SpecError
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
    """Buffers of N rows that remember which cells they hold; made by `Codec.kept`, or on zeros of the caller's.

    Equal to `Codec.encode_batch` bit for bit, as long as nobody else writes to them. ``out`` are zeros to draw on, laid
    out as ``channels_last`` says, such as some rows of a larger batch; SpecError when they do not fit.
    """

    def __init__(self, codec: Codec, n: int, *, channels_last: bool = False, out: Targets | None = None) -> None:
        if codec.spec.dtype != "float32":
            raise SpecError(f"kept targets are float32, the spec says {codec.spec.dtype}: override its dtype")
        self._codec, self._channels_last = codec, channels_last
        arrays = {name: a for name, a in (out or codec.empty_targets(n))._asdict().items() if a is not None}
        if out is None:
            arrays = {name: self._zeros(a.shape, a.dtype) for name, a in arrays.items()}
        self._targets = Targets(**arrays)
        codec._check_targets(self._targets, n)
        memory = {name: self._in_order(array) for name, array in arrays.items()}
        if not all(array.flags.c_contiguous for array in memory.values()):
            raise SpecError(f"out must be contiguous, its channels {'last' if channels_last else 'first'}")
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
        rows, asked = self._codec._rows(people, cameras)
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
        self._codec._draw(rows, asked, maps, boxes, held)
        return targets

    def _zeros(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        order = self._order(len(shape))
        return np.zeros([shape[i] for i in order], dtype).transpose(np.argsort(order))

    def _in_order(self, maps: NDArray[Any]) -> NDArray[Any]:
        """Return maps with their axes in the order of their memory."""
        return maps.transpose(self._order(maps.ndim))

    def _order(self, axes: int) -> tuple[int, ...]:
        moved = self._channels_last and axes in LAST
        return LAST[axes] if moved else tuple(range(axes))
