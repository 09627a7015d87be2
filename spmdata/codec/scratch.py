"""What a codec's kernels write on the way, kept by each thread: one allocation, not one a call.

Letters: P people, K joints, H, W cells of a map.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from spmdata.kernels.desk import new_desk
from spmdata.kernels.past import new_page, on_line
from spmdata.kernels.tables import new_links


class Scratch:
    """Scratch of `batch.encode_rows` for one codec; made by each thread for itself, and again when people are more.

    Arrays come from here since a kernel that allocates needs numba's runtime, whose counts of references are a fifth of
    what is compiled.
    """

    def __init__(self, joints: int, axes: int, map_hw: tuple[int, int], reach_cell: float) -> None:
        self._joints, self._axes, self._map_hw, self._reach_cell = joints, axes, map_hw, reach_cell
        self._own = threading.local()

    def arrays(self, people: int) -> tuple[Any, ...]:
        """Return links, desk, bells (3, H or W, the larger), spare (1, H, W), page for at least so many people."""
        held = getattr(self._own, "arrays", None)
        if held is None or self._own.people < people:
            height, width = self._map_hw
            spare = on_line((1, height, width), np.uint8)
            spare[...] = 0
            held = (
                tuple(new_links(people, self._joints)),
                tuple(new_desk(people, height, width, self._axes, self._reach_cell)),
                np.empty((3, max(height, width))),
                spare,
                tuple(new_page(self._axes, height, width)),
            )
            self._own.arrays, self._own.people = held, people
        return held
