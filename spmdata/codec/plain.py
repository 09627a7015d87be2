"""The kernels as plain Python: the same source, a thousand times as slow, and there at once.

Each function gets the names of its module, in which other kernels are plain as well.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

import numpy as np

from spmdata.kernels import apart, zeros

#: What is not written in Python, and the same as plain Python.
PLAINLY = (*apart.PLAINLY, (zeros.zero, zeros.zero_plainly))


def plain(kernel: Any) -> Callable[..., None]:
    """Return a compiled kernel as plain Python, which equals it bit for bit; maps do not go past the caches."""
    function = kernel.py_func
    plainly = _names(function.__module__)[function.__name__]

    def call(*given: Any) -> None:
        with np.errstate(all="ignore"):  # a division by zero is none to a compiled kernel either
            plainly(*given)

    return call


@cache
def _names(module: str) -> dict[str, Any]:
    """Return what a module of kernels holds by name, all of it plain."""
    names = dict(vars(sys.modules[module]))
    for name, value in vars(sys.modules[module]).items():
        if (function := getattr(value, "py_func", None)) is None:
            names[name] = next((plainly for own, plainly in PLAINLY if own is value), value)
        elif function.__module__ == module:
            names[name] = FunctionType(function.__code__, names, name, function.__defaults__, function.__closure__)
        else:
            names[name] = _names(function.__module__)[function.__name__]
    return names
