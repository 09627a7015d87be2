"""Which found person is which annotated one: COCO's greedy matching, for all images at once.

Rule: pycocotools' ``evaluateImg``. The found people of an image choose in turn, best score first, the most similar of
the annotated people who are still free, and an ignored one only when no other is similar enough.

Letters: G annotated people; D found ones; A size classes; T thresholds.
"""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Pairs(NamedTuple):
    """Pairs of people of one image, (n,) indices each: those of a found person together, in order."""

    gt: NDArray[np.int64]
    dt: NDArray[np.int64]


class Matches(NamedTuple):
    """For every size class: matched and ignored (A, T, D) of the found people, gt_ignored (A, G) of the annotated."""

    matched: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    gt_ignored: NDArray[np.bool_]


def match(
    pairs: Pairs,
    similarity: NDArray[np.float64],
    *,
    thresholds: NDArray[np.float64],
    ignored: NDArray[np.bool_],
    crowd: NDArray[np.bool_],
    outside: NDArray[np.bool_],
) -> Matches:
    """Match found people with annotated ones.

    Parameters
    ----------
    pairs : Pairs
        All pairs of people of one image, the found ones of an image in the order in which they choose.
    similarity : (n,) float64
        Of each pair.
    thresholds : (T,) float64
        Least similarity of a match.
    ignored : (A, G) bool
        Annotated people who count neither as missed nor as found, by size class.
    crowd : (G,) bool
        Those of them who may be matched any number of times.
    outside : (A, D) bool
        Found people who are not of the size class: they are no false ones.

    Returns
    -------
    Matches
    """
    close = ~(similarity < thresholds.min())  # the others match nobody at any threshold
    gt, dt, near = pairs.gt[close], pairs.dt[close], similarity[close]
    shape = (len(ignored), len(thresholds), outside.shape[1])
    matched, out = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    # Who is close to one person alone, who is close to nobody else, has no choice.
    alone = (np.bincount(gt, minlength=1)[gt] == 1) & (np.bincount(dt, minlength=1)[dt] == 1)
    hit = ~(near[alone] < thresholds[:, None])
    matched[:, :, dt[alone]] = hit
    out[:, :, dt[alone]] = hit & ignored[:, None, gt[alone]]
    rest = zip(dt[~alone].tolist(), gt[~alone].tolist(), near[~alone].tolist(), strict=True)
    choices = [(d, [(g, s) for _, g, s in pairs]) for d, pairs in groupby(rest, lambda pair: pair[0])]
    for a, ignored_here in enumerate(ignored):
        passed_over = ignored_here.tolist()
        for t, least in enumerate(thresholds.tolist()):
            taken: set[int] = set()
            for d, close_to in choices:
                free = [pair for pair in close_to if pair[0] not in taken or crowd[pair[0]]]
                chosen = _most_similar([pair for pair in free if not passed_over[pair[0]]], least)
                if chosen < 0:
                    chosen = _most_similar([pair for pair in free if passed_over[pair[0]]], least)
                if chosen >= 0:
                    taken.add(chosen)
                    matched[a, t, d], out[a, t, d] = True, passed_over[chosen]
    out |= ~matched & outside[:, None]
    return Matches(matched, out, ignored)


def _most_similar(people: list[tuple[int, float]], least: float) -> int:
    """Return who is most similar, of equals the last; -1 when nobody is similar enough."""
    best, chosen = least, -1
    for person, similarity in people:
        if not similarity < best:
            best, chosen = similarity, person
    return chosen
