"""Maps written past the caches, a whole line of memory at a time.

An ordinary store to a line that is in no cache fetches it first, only to overwrite it, and pushes another one out.
Maps that are larger than the caches need neither: a joint is drawn on a page that stays in cache, the page's lines go
to memory by stores of their own kind, and zeros wherever nobody is. Maps of 83 MB take half the time. Smaller ones are
better drawn where they lie, since whoever reads them next finds them in cache.

numba has no word for such stores: they are written in LLVM's own, by addresses, which are of one type for all arrays.

Letters: D axes, H, W cells; v row. Addresses and lengths in bytes.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numpy.typing import DTypeLike, NDArray

from spmdata.kernels.jit import PLAIN, intrinsic, jit_lean, jit_part
from spmdata.kernels.tables import Maps

#: Bytes of a line of memory, and words of 32 bits.
LINE, WORDS = 64, 16

#: Bytes of offsets from which on maps go past the caches: with the rest three quarters of a third-level cache of 32 MB.
LEAST = 21 << 20


class Page(NamedTuple):
    """One joint's maps, empty between joints: planes (D, H, W), count and count_z (H, W), this of no cells in 2D.

    busy (H,): on which rows somebody is.
    """

    planes: NDArray[np.float32]
    count: NDArray[np.uint8]  # type: ignore[assignment]  # hides tuple.count
    count_z: NDArray[np.uint8]
    busy: NDArray[np.bool_]


def new_page(axes: int, height: int, width: int) -> Page:
    """Return an empty page for maps of that size."""
    shapes = (axes, height, width), (height, width), (height, width) if axes == 3 else (0, 0)
    planes, count, count_z = map(on_line, shapes, (np.float32, np.uint8, np.uint8))
    planes[...], count[...], count_z[...] = 0, 0, 0
    return Page(planes, count, count_z, np.zeros(height, np.bool_))


def on_line(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return memory that begins on a line, not initialised."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + LINE - 1, np.uint8)
    start = -_address(memory) % LINE
    return memory[start : start + size].view(dtype).reshape(shape)


def goes_past(maps: Maps) -> bool:
    """Return whether maps are larger than the caches, and each begins on a line as those from `on_line` do."""
    if PLAIN or maps.offsets.nbytes < LEAST:
        return False
    held = [array for array in maps if array.size]
    planes = [array.shape[-2] * array.shape[-1] * array.itemsize for array in held]
    ordered = all(array.flags.c_contiguous and _address(array) % LINE == 0 for array in held)
    return ordered and all(plane % LINE == 0 for plane in planes)


def _address(array: NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])


def _line(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, ir.VectorType(ir.IntType(32), WORDS).as_pointer())


def _zeros() -> Any:
    return ir.Constant(ir.VectorType(ir.IntType(32), WORDS), [0] * WORDS)


def _store_past(builder: Any, value: Any, address: Any) -> None:
    store = builder.store(value, _line(builder, address))
    store.align = LINE
    store.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))


@intrinsic
def address_of(_: Any, array: Any) -> Any:
    """Return where an array begins."""

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        memory = context.make_array(signature.args[0])(context, builder, given[0]).data
        return builder.ptrtoint(memory, ir.IntType(64))

    return types.int64(array), build


@intrinsic
def empty_line(_: Any, to: Any) -> Any:
    """Write zeros to a line, past the caches."""

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        _store_past(builder, _zeros(), given[0])
        return context.get_dummy_value()

    return types.void(types.int64), build


@intrinsic
def move_line(_: Any, to: Any, page: Any) -> Any:
    """Write a line of a page to another one, past the caches, and leave zeros in the page."""

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        value = builder.load(_line(builder, given[1]))
        value.align = LINE
        _store_past(builder, value, given[0])
        builder.store(_zeros(), _line(builder, given[1])).align = LINE
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), build


@intrinsic
def settle(_: Any) -> Any:
    """Let other threads see what went past the caches, before they are told that it is there."""

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), build


@jit_lean
def pass_bytes(to: Any, page: Any, size: Any, done: Any, start: Any, end: Any) -> Any:
    """Write bytes start to end of a plane of ``size`` from a page, and zeros on the lines between ``done`` and these.

    Return up to where that is. A line that belongs to two such pieces goes with the first.
    """
    first = max(done, start & -LINE)
    for i in range(done, first, LINE):
        empty_line(to + i)
    last = min(size, (end + LINE - 1) & -LINE)
    for i in range(first, last, LINE):
        move_line(to + i, page + i)
    return max(first, last)


@jit_lean
def write_past(to: Any, page: Any, planes: Any, row: Any, busy: Any, top: Any, bottom: Any) -> None:
    """Overwrite planes of H rows of so many bytes, one after the other, by the page's, which are empty afterwards.

    The page holds cells on ``busy`` (H,) rows alone, all between top and bottom.
    """
    height = len(busy)
    size, done, v = row * height, np.int64(0), top
    while done < size:
        while v <= bottom and not busy[v]:
            v += 1
        start = v if v <= bottom else height
        while v <= bottom and busy[v]:
            v += 1
        end = v if start < height else height
        reached = done
        for d in range(planes):
            reached = pass_bytes(to + d * size, page + d * size, size, done, start * row, end * row)
        done = reached


@jit_part
def write_joint(offsets, count, count_z, page, busy, top, bottom):  # type: ignore[no-untyped-def]
    """Overwrite a joint's maps, offsets (D, H, W), count and count_z (H, W), by a page (planes, count, count_z).

    Of a page with more planes these are the last: a root has z alone. All are empty and no row is busy afterwards.
    """
    planes, page_count, page_count_z = page
    height, width = page_count.shape
    first = address_of(planes) + (len(planes) - len(offsets)) * height * width * 4
    write_past(address_of(offsets), first, len(offsets), 4 * width, busy, top, bottom)
    write_past(address_of(count), address_of(page_count), np.int64(1), width, busy, top, bottom)
    write_past(address_of(count_z), address_of(page_count_z), np.int64(1), page_count_z.shape[1], busy, top, bottom)
    for v in range(top, bottom + 1):
        busy[v] = False
