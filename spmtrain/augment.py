"""The mirror image, which costs nothing: maps of a mirrored image are the mirrored maps, exactly.

Cells are centred so that ``x' = W_px - 1 - x`` takes cell u to cell W - 1 - u: columns are reversed, dx changes its
sign, left and right joints swap; depth stays (see ``spmdata.geometry``).

Letters: B rows of a batch; K joints; D axes; H, W cells of a map.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from spmtrain.maps import Maps, TargetMaps

#: Tells the generator of mirrors from others of the same seed.
MIRROR_STREAM = 1


@lru_cache
def _index(flip: tuple[int, ...], device: torch.device) -> Tensor:
    """Return joints as an index that is on the device already: to copy it there would make each step wait."""
    return torch.tensor(flip, device=device)


def mirror_offsets(offsets: Tensor, flip: Sequence[int]) -> Tensor:
    """Return offsets (B, K, D, H, W) of the mirror images; ``flip`` (K,) is the skeleton's."""
    mirrored = offsets[:, _index(tuple(flip), offsets.device)].flip(-1)
    mirrored[:, :, 0].neg_()
    return mirrored


def mirror_maps(maps: Maps, flip: Sequence[int]) -> Maps:
    """Return what a network that knows no left from right would have given for the mirror images."""
    depth = None if maps.root_depth is None else maps.root_depth.flip(-1)
    return Maps(maps.root_heatmap.flip(-1), mirror_offsets(maps.offsets, flip), depth)


def mirror_rows(images: Tensor, targets: TargetMaps, which: Tensor, flip: Sequence[int]) -> None:
    """Mirror some rows of a batch in place, images and targets alike.

    Parameters
    ----------
    images : Tensor, (B, 3, H_px, W_px)
        The network's input.
    targets : TargetMaps
        Of the same rows.
    which : Tensor, (n,) int64
        The rows to mirror.
    flip : sequence of int, (K,)
        The joint that each one becomes in a mirror.
    """
    images[which] = images[which].flip(-1)
    targets.offsets[which] = mirror_offsets(targets.offsets[which], flip)
    for counts in (targets.count, targets.count_z):
        if counts is not None:
            counts[which] = counts[which][:, _index(tuple(flip), counts.device)].flip(-1)
    for maps in (targets.root_heatmap, targets.ignore, targets.root_depth):
        if maps is not None:
            maps[which] = maps[which].flip(-1)


def mirrored_rows(seed: int, position: int, batch: int, share: float) -> Tensor:
    """Return the rows of a batch that are mirrored, (n,) int64: a pure function of seed and position in the stream."""
    drawn = np.random.default_rng((seed, MIRROR_STREAM, position)).random(batch)
    return torch.from_numpy(np.flatnonzero(drawn < share))
