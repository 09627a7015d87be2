"""Loads and stores of arrays that never overlap: loops become vectors without asking whether they do.

A loop that writes to some arrays and reads others is made of vectors only where these lie apart, so each pair is
compared before it, on every row of a map: for a row of 16 cells that takes longer than the cells, and from nine arrays
on the compiler does not even try. Here it is told. numba has no word for that, LLVM has: each access bears the name of
its array, and what bears another name lies elsewhere. An array must have one name, wherever it is used.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numpy.typing import NDArray

from spmdata.kernels.jit import PLAIN, intrinsic, jit_step

#: Names of arrays, and of rows of some, as numbers: constants that types may hold.
NAMES = range(14)
SUMS_X, SUMS_Y, SUMS_NUMBER, SUMS_SLOPES, STEPS_X, STEPS_Y, STEPS_NUMBER = NAMES[:7]
PLANE_X, PLANE_Y, COUNT, HEATMAP, BELLS, ACROSS, KEY = NAMES[7:]


def _tell(builder: Any, instruction: Any, name: int) -> Any:
    """Say of a load or store that it is of the array of this name, and of no other."""
    module = builder.module
    domain = module.add_metadata(["maps"])
    nodes = [module.add_metadata([str(number), domain]) for number in NAMES]
    instruction.set_metadata("alias.scope", module.add_metadata([nodes.pop(name)]))
    instruction.set_metadata("noalias", module.add_metadata(nodes))
    return instruction


def _place(context: Any, builder: Any, signature: Any, given: Any) -> Any:
    """Return a pointer to element (v, u) of an array."""
    kind, index = signature.args[0], zip(given[1:3], signature.args[1:3], strict=True)
    held = context.make_array(kind)(context, builder, given[0])
    cells = [context.cast(builder, value, own, types.intp) for value, own in index]
    return cgutils.get_item_pointer(context, builder, kind, held, cells, wraparound=False)


def _read(_: Any, array: Any, v: Any, u: Any, name: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return _tell(builder, builder.load(_place(context, builder, signature, given)), name.literal_value)

    return array.dtype(array, v, u, name), build


def _write(_: Any, array: Any, v: Any, u: Any, value: Any, name: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        number = context.cast(builder, given[3], signature.args[3], array.dtype)
        _tell(builder, builder.store(number, _place(context, builder, signature, given)), name.literal_value)
        return context.get_dummy_value()

    return types.void(array, v, u, value, name), build


def _read_plainly(array: NDArray[Any], v: int, u: int, name: int) -> Any:
    return array[v, u]


def _write_plainly(array: NDArray[Any], v: int, u: int, value: Any, name: int) -> None:
    array[v, u] = value


@jit_step
def whole_blocks(left, right, block, width):  # type: ignore[no-untyped-def]
    """Return start and end of columns that hold left to right and are whole blocks, where a map has them: no rest.

    block is a power of two.
    """
    columns = min(((right - left) | (block - 1)) + 1, width)
    start = min(left, width - columns)
    return start, start + columns


#: read(array, v, u, name) is array[v, u], without counting from the end.
read: Any = _read_plainly if PLAIN else intrinsic(prefer_literal=True)(_read)
#: write(array, v, u, value, name) is array[v, u] = value.
write: Any = _write_plainly if PLAIN else intrinsic(prefer_literal=True)(_write)
#: The same as plain Python.
PLAINLY = ((read, _read_plainly), (write, _write_plainly))
