"""PCK: the share of annotated joints that an estimate puts near their place.

Letters: P people, K joints.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spmdata.people import People


def pck(truth: Sequence[People], found: Sequence[People], share: float = 0.1) -> float:
    """Return the share of labelled joints within ``share`` of their person's size, over all images.

    The size is the longer side of the tight box of a person's labelled joints. Estimates are given to persons
    greedily, the nearest pair first (mean distance over labelled joints, by size); a missed person's joints are wrong.

    Parameters
    ----------
    truth, found : sequences of People, one an image, equally long
        In px of the same frame.
    share : float
        Of the size.

    Returns
    -------
    float
        In [0, 1]; 0 when nothing is labelled.
    """
    right = labelled = 0
    for people, estimates in zip(truth, found, strict=True):
        wanted = people.select(~people.regions)
        labelled += int(wanted.labelled.sum())
        right += int(_right(wanted, estimates, share).sum())
    return right / max(1, labelled)


def _right(wanted: People, estimates: People, share: float) -> NDArray[np.bool_]:
    """Return which joints (P, K) are labelled and met."""
    met = np.zeros(wanted.visible.shape, np.bool_)
    if not len(wanted) or not len(estimates):
        return met
    seen = wanted.labelled
    low = np.where(seen[..., None], wanted.joints[..., :2], np.inf).min(1)
    high = np.where(seen[..., None], wanted.joints[..., :2], -np.inf).max(1)
    size = np.maximum((high - low).max(1), 1.0)
    distance = np.linalg.norm(wanted.joints[:, None, :, :2] - estimates.joints[None, :, :, :2], axis=-1)
    distance /= size[:, None, None]
    mean = (distance * seen[:, None]).sum(-1) / seen.sum(-1)[:, None]
    for _ in range(min(mean.shape)):
        p, e = np.unravel_index(np.argmin(mean), mean.shape)
        met[p] = seen[p] & (distance[p, e] <= share)
        mean[p], mean[:, e] = np.inf, np.inf
    return met
