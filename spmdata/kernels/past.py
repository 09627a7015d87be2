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
from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic
from numpy.typing import DTypeLike, NDArray

from spmdata.kernels.jit import jit_lean

#: Bytes of a line of memory, and words of 32 bits.
LINE, WORDS = 64, 16

#: Bytes of maps from which on they go past the caches: three quarters of a third-level cache of 32 MB.
LEAST = 24 << 20


def on_line(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return memory that begins on a line, not initialised."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + LINE - 1, np.uint8)
    start = -_address(memory) % LINE
    return memory[start : start + size].view(dtype).reshape(shape)


def goes_past(maps: Sequence[NDArray[Any]]) -> bool:
    """Return whether maps (..., H, W) are larger than caches, and each begins on a line as those from `on_line` do."""
    if config.DISABLE_JIT or sum(array.nbytes for array in maps) < LEAST:
        return False
    planes = [array.shape[-2] * array.shape[-1] * array.itemsize for array in maps]
    ordered = all(array.flags.c_contiguous and _address(array) % LINE == 0 for array in maps)
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
def pass_bytes(to: int, page: int, size: int, done: int, start: int, end: int) -> int:
    """Write bytes start to end of the ``size`` at ``to`` from a page, and zeros on the lines between ``done`` and these.

    Returns up to where that is. A line that belongs to two such pieces goes with the first.
    """
    first = max(done, start & -LINE)
    for i in range(done, first, LINE):
        empty_line(to + i)
    last = min(size, (end + LINE - 1) & -LINE)
    for i in range(first, last, LINE):
        move_line(to + i, page + i)
    return max(first, last)


@jit_lean
def write_past(to: int, page: int, planes: int, row: int, busy: NDArray[np.bool_], top: int, bottom: int) -> None:
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
