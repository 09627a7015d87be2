"""Rows of a store in kept numpy buffers: images as the network takes them, and target maps, read or drawn.

Letters: n rows; K joints; D axes; H, W cells of a map.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spmdata.camera import Camera
from spmdata.codec import Codec, Targets
from spmdata.codec.kept import Kept
from spmdata.errors import ImageError, SpecError, StoreError
from spmdata.images import load_input
from spmdata.padded import PeopleBatch
from spmdata.people import People
from spmdata.store.reader import Store
from spmdata.store.schema import RowStatus

Rows = NDArray[np.int64]
#: Most rows whose targets a thread draws at once: a call takes as long as one row of targets, cold caches included.
DRAWN_ROWS = 32
#: Where target maps come from: the store's own, drawn from its people, or nowhere.
TargetsFrom = Literal["stored", "drawn", "none"]
#: Returns zeros of a shape and dtype, C-contiguous.
Allocate = Callable[[tuple[int, ...], DTypeLike], NDArray[Any]]


class RowBatch(NamedTuple):
    """Some rows of a store, valid until the next batch is asked for: copy what is to be kept. Not to be written to."""

    images: NDArray[np.uint8] | None  #: (n, H_px, W_px, 3) RGB; None when the store has none
    targets: Targets | None  #: maps with a leading (n,): of the store's dtype as stored, float32 as drawn
    rows: Rows  #: (n,) rows of the store: `Store.read` and `Store.people_batch` have the rest of them
    position: int  #: of the batch in the sequence, before ranks share it


@dataclass(frozen=True)
class Buffers:
    """Arrays for up to n rows, and which of them each thread fills."""

    images: NDArray[np.uint8] | None
    targets: Targets | None
    parts: tuple[slice, ...]
    #: Where and on what the first parts also draw targets: those of more rows than their own.
    drawn: tuple[tuple[slice, Kept], ...] = ()


class RowReader:
    """Fills buffers with rows of one store; threads may share it.

    Parameters
    ----------
    store : Store
        Finished.
    targets : {"stored", "drawn", "none"}, optional
        Stored where the store has maps, else drawn.

    Raises
    ------
    StoreError
        The store is unfinished, has no row that was not skipped, lacks the maps that are asked for, or images when
        there are no targets.
    SpecError
        Another word for ``targets``.
    """

    def __init__(self, store: Store, targets: TargetsFrom | None = None) -> None:
        if targets not in (None, *get_args(TargetsFrom)):
            raise SpecError(f"targets must be one of {', '.join(get_args(TargetsFrom))}, got {targets!r}")
        if not store.complete:
            raise StoreError(
                f"{store.path} is not finished: run the spm prepare command that made it again to finish it"
            )
        self.targets: TargetsFrom = targets or ("stored" if store.layout.maps else "drawn")
        if self.targets == "stored" and not store.layout.maps:
            raise StoreError(
                f"{store.path}: prepared with --no-maps: take targets that are drawn, or run spm prepare without it"
            )
        if self.targets == "none" and not store.layout.images:
            raise StoreError(
                f"{store.path}: prepared with --no-images: without targets nothing is left; "
                "run spm prepare without it, or take targets"
            )
        self.store = store
        self.rows: Rows = np.flatnonzero(np.asarray(store.status) == RowStatus.OK)
        if not len(self.rows):
            raise StoreError(
                f"{store.path}: each of the {len(store)} rows was skipped when it was prepared; see spm inspect"
            )
        self._sizes = store.table("row/size_hw") if store.layout.images else None
        people = (*(f"people/{name}" for name in PeopleBatch._fields), *["row/camera"] * (store.spec.dims == 3))
        targets_of = {"stored": Targets._fields, "drawn": people, "none": ()}[self.targets]
        needed = {"image", "image_crc32c", *targets_of}
        self._arrays = [array.name for array in store.layout.arrays() if array.name in needed]
        self._codec = Codec(replace(store.spec, dtype="float32"))
        if self.targets == "drawn":  # compiled once here, not by every thread or worker
            nobody = People.empty(len(store.skeleton), store.spec.dims)
            self._codec.kept(1).encode([nobody])

    def buffers(self, n: int, parts: int = 1, allocate: Allocate = np.zeros) -> Buffers:
        """Return buffers for up to n rows, in so many parts."""
        layout, slices = self.store.layout, _cut(n, parts)
        images = allocate((n, *layout.spec.input_hw, 3), np.uint8) if layout.images else None
        if self.targets == "none":
            return Buffers(images, None, slices)
        if self.targets == "drawn":
            like = self._codec.empty_targets(0)._asdict()
            shapes = {name: (maps.shape[1:], maps.dtype) for name, maps in like.items() if maps is not None}
        else:
            arrays = {array.name: array for array in layout.arrays()}
            shapes = {name: (arrays[name].row_shape, arrays[name].numpy) for name in Targets._fields if name in arrays}
        targets = Targets(**{name: allocate((n, *shape), dtype) for name, (shape, dtype) in shapes.items()})
        if self.targets == "stored":
            return Buffers(images, targets, slices)
        whole = _cut(n, min(parts, -(-n // DRAWN_ROWS)))
        drawn = tuple((rows, Kept(self._codec, rows.stop - rows.start, out=targets.at(rows))) for rows in whole)
        return Buffers(images, targets, slices, drawn)

    def read_ahead(self, rows: Rows) -> None:
        """Bring what these rows need into memory, from a store at a URL; see `Store.read_ahead`."""
        self.store.read_ahead(self._arrays, rows)

    def fill(self, buffers: Buffers, part: int, rows: Rows) -> None:
        """Fill one part of the buffers with its share of a batch's rows, (n,) or fewer.

        Raises
        ------
        StoreError
            Damage; the message names store, array and row.
        """
        try:
            for where, kept in buffers.drawn[part : part + 1]:
                if len(own := rows[where]):
                    kept.encode(self.store.people_batch(own), self._cameras(own))
            if len(own := rows[buffers.parts[part]]):
                first = buffers.parts[part].start
                self._read(buffers, slice(first, first + len(own)), own)
        except StoreError as error:
            raise StoreError(f"{self.store.path}: {error}") from error

    def batch(self, buffers: Buffers, rows: Rows, position: int) -> RowBatch:
        """Return what the buffers hold after every part was filled with its share of these rows."""
        images, targets = buffers.images, buffers.targets
        return RowBatch(
            None if images is None else _read_only(images[: len(rows)]),
            None if targets is None else _read_only_maps(targets.at(slice(len(rows)))),
            rows,
            position,
        )

    def _read(self, buffers: Buffers, where: slice, rows: Rows) -> None:
        """Read images, and maps that are stored."""
        if buffers.images is not None and self._sizes is not None:
            self._fill_images(buffers.images[where], rows, self._sizes[rows])
        if buffers.targets is not None and not buffers.drawn:
            for name, maps in buffers.targets.at(where)._asdict().items():
                if maps is not None:
                    self.store.read(name, rows, out=maps)

    def _fill_images(self, images: NDArray[np.uint8], rows: Rows, sizes: NDArray[np.uint32]) -> None:
        for row, (height, width), image in zip(rows.tolist(), sizes.tolist(), images, strict=True):
            data = self.store.image_bytes(row)
            try:
                load_input(data, (height, width), self.store.spec.input_hw, out=image)
            except ImageError as error:
                raise StoreError(f"image row {row}: {error}; run spm verify-targets on it") from error

    def _cameras(self, rows: Rows) -> list[Camera | None] | None:
        """Return the cameras of the inputs, which the store has in ``row/camera``; zeros stand for none."""
        if self.store.spec.dims == 2:
            return None
        return [Camera.of_intrinsics(own) for own in self.store.read("row/camera", rows)]


def _cut(n: int, parts: int) -> tuple[slice, ...]:
    """Return n rows in so many parts, those that are empty left out."""
    cuts = [n * i // parts for i in range(parts + 1)]
    return tuple(slice(low, high) for low, high in pairwise(cuts) if low < high)


def _read_only(part: NDArray[Any]) -> NDArray[Any]:
    """Keep a view from being written to: what is drawn is undone, and what others wrote would stay."""
    part.flags.writeable = False
    return part


def _read_only_maps(targets: Targets) -> Targets:
    for maps in targets:
        if maps is not None:
            _read_only(maps)
    return targets
