"""The conventions of a spec as plain numbers, the form in which kernels take them.

Kernels take arrays and this tuple, never values of the project: `spmdata.codec` fills it from a TargetSpec.
"""

from __future__ import annotations

from typing import NamedTuple

REPARENT, STAY, DROP = 0, 1, 2
MEAN, NEAREST, SMALLEST = 0, 1, 2

#: How a joint of a person is drawn: not at all, `tip - cell`, or the constant `tip`.
NOTHING, TOWARDS, CONSTANT = 0, 1, 2

#: Unit of the third axis of offsets: they are stored in metres, z is in cm.
CM_PER_M = 100.0


class Rules(NamedTuple):
    """Numbers of a spec; lengths in cells unless said.

    ``boxed``: the root is the centre of the box; ``tau`` limits d squared, or max(|du|, |dv|) when ``square``;
    ``reach`` is how far a neighbourhood goes, half a cell at least, to the nearest cell; ``heat_cut`` is the largest
    d squared that is drawn, ``heat_nothing`` the largest value that is stored as 0.
    """

    stride: float
    origin_px: float
    boxed: bool
    anchor_root: bool
    missing_parent: int
    overlap: int
    square: bool
    tau: float
    reach: float
    norm: float
    heat_denominator: float
    heat_cut: float
    heat_nothing: float
