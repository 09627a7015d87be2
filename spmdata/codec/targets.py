"""The maps of images, and how a perfect walk reads them.

Letters: N rows, P people, K joints, D axes, H, W cells of a map.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Maps = NDArray[Any]


class Targets(NamedTuple):
    """The maps of one image, or of a batch with a leading (N,).

    ``root_heatmap`` (H, W); ``offsets`` (K, D, H, W), cells divided by Z, and dz in metres; ``count`` (K, H, W) uint8,
    how many persons were averaged, 0 = unsupervised; ``ignore`` (H, W) uint8, 1 = says nothing. In 3D ``root_depth``
    (H, W) float32, z of the root divided by the focal length in px, 0 = none, and ``count_z`` (K, H, W) uint8, how many
    of the persons averaged have depth; None in 2D. Heatmap and offsets have the spec's dtype.
    """

    root_heatmap: Maps
    offsets: Maps
    count: Maps | None = None  # type: ignore[assignment]  # hides tuple.count, which nobody asks of maps
    ignore: Maps | None = None
    root_depth: Maps | None = None
    count_z: Maps | None = None

    def at(self, index: int | slice | None) -> Targets:
        """Index the first axis of every array that is there: one row, some rows, or None for a batch of one."""

        def pick(maps: Maps | None) -> Maps | None:
            return None if maps is None else np.asarray(maps)[index]

        heatmap, offsets = np.asarray(self.root_heatmap)[index], np.asarray(self.offsets)[index]
        return Targets(heatmap, offsets, *(pick(maps) for maps in self[2:]))


class Reads(NamedTuple):
    """What a perfect walk through the encoded people meets.

    ``roots`` (P, 2) in cells; ``z_roots`` (P,) in cm, 0 in 2D; ``drawn`` (P,): in the targets at all; ``supervised``
    (P, K): this joint's map carries a vector of the person; ``cells`` (P, K, 2): where each joint's map is read, as
    (u, v); ``read`` (P, K): this joint's map is read on the way to a labelled joint; ``direct`` (P, K): that read hits
    a cell that another person covers for the joint; ``path`` (P, K): it or a read before it does, or the joint was
    dropped; ``mixed`` (P, K + 1), of people with depth: the depth read there, at last the root's own, is not this
    person's alone.
    """

    roots: NDArray[np.float64]
    z_roots: NDArray[np.float64]
    drawn: NDArray[np.bool_]
    supervised: NDArray[np.bool_]
    cells: NDArray[np.int64]
    read: NDArray[np.bool_]
    direct: NDArray[np.bool_]
    path: NDArray[np.bool_]
    mixed: NDArray[np.bool_]

    @staticmethod
    def empty(people: int, joints: int) -> Reads:
        """Return room for the reads of so many people, filled by `Codec.reads`."""
        return Reads(
            roots=np.empty((people, 2), np.float64),
            z_roots=np.empty(people, np.float64),
            drawn=np.empty(people, np.bool_),
            cells=np.zeros((people, joints, 2), np.int64),
            mixed=np.empty((people, joints + 1), np.bool_),
            **{name: np.empty((people, joints), np.bool_) for name in ("supervised", "read", "direct", "path")},
        )
