"""The numba aliases of the project.

Kernels are serial and release the GIL: Dask and reader threads own the parallelism. A ``parallel=True`` kernel called
from two Dask threads aborts the process on numba's workqueue layer, and threads below threads only fight for cores.
``cache=True`` keeps compiled code beside the sources; warm up once in the parent before workers start.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numba
import numba.extending

F = TypeVar("F", bound=Callable[..., Any])


def _drop_stale_caches() -> None:
    """Remove compiled code that is older than any kernel's source.

    Numba compares a cached function with its own file alone: a change in a kernel that it calls from another file
    would go on running as it was.
    """
    here = Path(__file__).parent
    changed = max(source.stat().st_mtime for source in here.glob("*.py"))
    for index in here.glob("__pycache__/*.nbi"):
        with suppress(OSError):  # another process was faster, or an installation that cannot be written, nor changed
            if index.stat().st_mtime < changed:
                index.unlink()


_drop_stale_caches()

#: numba is off: kernels run as plain Python.
PLAIN: bool = numba.config.DISABLE_JIT  # type: ignore[attr-defined]

#: Makes a function of LLVM's own words, given types and what builds it.
intrinsic: Callable[..., Any] = numba.extending.intrinsic

#: What `spmdata.codec` calls: serial, nogil, cached, division as in numpy; no fast-math: NaN must stay NaN, and sums
#: must not be reordered. No wrapper for C, which nobody calls: each takes time to compile.
jit: Callable[[F], F] = numba.njit(nogil=True, cache=True, error_model="numpy", no_cfunc_wrapper=True)  # type: ignore[call-overload]

#: The same for what allocates nothing: without numba's runtime, which counts who holds an array, atomically, each time
#: that it gets another name, goes into a function or comes out of a tuple. Each count is also code to be compiled.
jit_bare: Callable[[F], F] = numba.njit(  # type: ignore[call-overload]
    nogil=True, cache=True, error_model="numpy", no_cfunc_wrapper=True, _nrt=False
)

#: What only kernels call, and allocates nothing either: no wrapper for Python, and no cache of its own, for it lies in
#: that of its callers.
jit_lean: Callable[[F], F] = numba.njit(  # type: ignore[call-overload]
    nogil=True, error_model="numpy", no_cfunc_wrapper=True, no_cpython_wrapper=True, _nrt=False
)

#: The inmost loops of such a function, put into it by LLVM: a call with so many arrays costs more than a short row.
jit_step = numba.njit(  # type: ignore[call-overload]
    nogil=True, error_model="numpy", no_cfunc_wrapper=True, no_cpython_wrapper=True, _nrt=False, forceinline=True
)

#: Its larger parts, put into it before types are known: compiled once, as one function.
jit_part = numba.njit(inline="always", error_model="numpy")
