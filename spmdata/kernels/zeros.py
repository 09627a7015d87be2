"""Zeros by one memset an array, however many axes it has: as numba's loops, each row of a map is a call of its own."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numpy.typing import NDArray

from spmdata.kernels.jit import PLAIN, intrinsic


def _zero(_: Any, array: Any) -> Any:
    """Type and build `zero`; rows that do not lie side by side are emptied cell by cell."""

    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        held = context.make_array(array)(context, builder, given[0])
        if array.layout == "C":
            cgutils.memset(builder, held.data, builder.mul(held.nitems, held.itemsize), 0)
        else:
            nothing, size = ir.Constant(context.get_data_type(array.dtype), None), context.get_value_type(types.intp)
            with cgutils.loop_nest(builder, cgutils.unpack_tuple(builder, held.shape), size) as cell:
                place = cgutils.get_item_pointer(context, builder, array, held, cell, wraparound=False)
                builder.store(nothing, place)
        return context.get_dummy_value()

    return types.void(array), build


def zero_plainly(array: NDArray[Any]) -> None:
    """Do what `zero` does, in plain Python."""
    array[...] = 0


#: zero(array) is array[...] = 0.
zero: Any = zero_plainly if PLAIN else intrinsic(_zero)
