"""Loads and stores of arrays that never overlap, so that loops become vectors without asking whether they do.

A loop that writes to some arrays and reads others is made of vectors only where they lie apart. The compiler compares
each pair before the loop, on every row of a map: for a row of 16 cells that takes longer than the cells. What it is
told here it need not ask; numba has no word for it, LLVM has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import config, extending, types
from numba.core import cgutils
from numpy.typing import NDArray

#: Numbers of arrays, or rows of one, that a loop may use together.
SCOPES = range(12)


def _tell(builder: Any, instruction: Any, scope: int) -> Any:
    """Say of a load or store that it is of this array, and of none of the others."""
    module = builder.module
    domain = module.add_metadata(["maps"])
    nodes = [module.add_metadata([str(number), domain]) for number in SCOPES]
    instruction.set_metadata("alias.scope", module.add_metadata([nodes.pop(scope)]))
    instruction.set_metadata("noalias", module.add_metadata(nodes))
    return instruction


def _place(context: Any, builder: Any, signature: Any, given: Any) -> Any:
    """Return a pointer to element (v, u) of an array."""
    kind, index = signature.args[0], zip(given[1:3], signature.args[1:3], strict=True)
    held = context.make_array(kind)(context, builder, given[0])
    cells = [context.cast(builder, value, own, types.intp) for value, own in index]
    return cgutils.get_item_pointer(context, builder, kind, held, cells, wraparound=False)


def _read(_: Any, array: Any, v: Any, u: Any, scope: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return _tell(builder, builder.load(_place(context, builder, signature, given)), scope.literal_value)

    return array.dtype(array, v, u, scope), build


def _write(_: Any, array: Any, v: Any, u: Any, value: Any, scope: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        number = context.cast(builder, given[3], signature.args[3], array.dtype)
        _tell(builder, builder.store(number, _place(context, builder, signature, given)), scope.literal_value)
        return context.get_dummy_value()

    return types.void(array, v, u, value, scope), build


def _read_plainly(array: NDArray[Any], v: int, u: int, scope: int) -> Any:
    return array[v, u]


def _write_plainly(array: NDArray[Any], v: int, u: int, value: Any, scope: int) -> None:
    array[v, u] = value


_told: Callable[[Callable[..., Any]], Any] = extending.intrinsic(prefer_literal=True)
read: Any = _read_plainly if config.DISABLE_JIT else _told(_read)
write: Any = _write_plainly if config.DISABLE_JIT else _told(_write)
