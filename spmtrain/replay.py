"""A function of tensors that a GPU replays as one CUDA graph, instead of launching its kernels one by one.

A training step of eight hourglasses is some six thousand launches, which took a processor 223 ms where an H200 computed
for 194 (profiled once; docs/training.md); drawing targets is 170, 4 to 5 ms against 0.6 to 0.8 (benchmarks/RESULTS.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

R = TypeVar("R")
#: Calls of a shape before it is captured: libraries choose algorithms then, and an odd last batch is not worth a graph.
FIRST_CALLS = 3
#: Shapes that are captured, as each keeps memory of its own; further ones are launched kernel by kernel.
MOST_GRAPHS = 4


class Replayed(Generic[R]):
    """A function that is captured once for every shape of what it is given; on a CPU it is the function itself.

    For one thread at a time.

    Parameters
    ----------
    function : callable
        Of tensors on one device, of NamedTuples of them, and of None; returns such. It never waits for the device. All
        else that it uses stays as it is, but for the values of tensors that keep their memory, such as weights. It is
        called in one mode: with gradients, without, or for inference.

    Notes
    -----
    What is returned holds until the next call of that shape. Gradients are to be returned as well, not left in weights:
    each captured shape has memory of its own for them.
    """

    def __init__(self, function: Callable[..., R]) -> None:
        self._function = function
        self._calls: Counter[object] = Counter()
        self._captured: dict[object, tuple[torch.cuda.CUDAGraph, list[Tensor], R]] = {}
        self._side: torch.cuda.Stream | None = None

    def __call__(self, *given: Any) -> R:
        """Return what the function returns; TypeError for arguments that it does not take."""
        shape, tensors = _shape(given), list(_tensors(given))
        if not tensors or not tensors[0].is_cuda:
            return self._function(*given)
        if self._launches(shape):
            return self._beside(given, tensors[0].device)
        if shape not in self._captured:
            self._captured[shape] = self._capture(given)
        graph, kept, result = self._captured[shape]
        for ours, theirs in zip(kept, tensors, strict=True):
            ours.copy_(theirs, non_blocking=True)
        graph.replay()
        return result

    def _launches(self, shape: object) -> bool:
        """Count a call of a shape; return whether it is launched kernel by kernel."""
        self._calls[shape] += 1
        full = len(self._captured) >= MOST_GRAPHS and shape not in self._captured
        return full or self._calls[shape] <= FIRST_CALLS

    def _beside(self, given: tuple[Any, ...], device: torch.device) -> R:
        """Call the function on the stream that it will be captured on: autograd remembers where weights were used."""
        here = torch.cuda.current_stream(device)
        if self._side is None:
            self._side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._side.wait_stream(here)
        with torch.cuda.stream(self._side):
            result = self._function(*given)
        here.wait_stream(self._side)
        return result

    def _capture(self, given: tuple[Any, ...]) -> tuple[torch.cuda.CUDAGraph, list[Tensor], R]:
        graph, kept = torch.cuda.CUDAGraph(), _cloned(given)
        # Other threads go on using the device, as the one that copies the next batch there.
        with torch.cuda.graph(graph, stream=self._side, capture_error_mode="thread_local"):
            result = self._function(*kept)
        return graph, list(_tensors(kept)), result


def _shape(value: Any) -> object:
    """Return what a graph is captured for: how nested tuples are made up, and of which tensors."""
    if isinstance(value, Tensor):
        return value.shape, value.stride(), value.dtype, value.device
    if isinstance(value, tuple):
        return tuple(map(_shape, value))
    if value is not None:
        raise TypeError(f"Replayed takes tensors, tuples of them, and None; got {type(value).__name__}")
    return None


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from _tensors(part)


def _cloned(value: Any) -> Any:
    """Return nested tuples with their tensors cloned."""
    if isinstance(value, tuple):
        parts = map(_cloned, value)
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value.clone() if isinstance(value, Tensor) else value
