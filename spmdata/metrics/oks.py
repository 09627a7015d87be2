"""COCO's OKS average precision, to the last bit what pycocotools computes.

Rule: Lin et al. 2014 and the COCO keypoint task: thresholds .50:.05:.95, 20 detections an image, sigmas of
the skeleton; crowds and persons without labelled joints are ignored, neither missed nor false. Similarities and matches
are found here for all images at once, without its loops over dicts; what follows from them is pycocotools' own
accumulation.

Letters: N images; G annotated people; D found ones, the best 20 of each image; A size classes; T thresholds.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools.cocoeval import COCOeval

from spmdata.metrics.matching import Matches, Pairs, match
from spmdata.people import People
from spmdata.skeleton import Skeleton

#: Pairs compared at once: bounds the memory.
BLOCK_PAIRS = 65536
MAX_FOUND = 20

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class OksScores(NamedTuple):
    """The ten numbers of the COCO keypoint table, in [0, 1]; -1 where nothing of that size is annotated."""

    AP: float
    AP50: float
    AP75: float
    APM: float
    APL: float
    AR: float
    AR50: float
    AR75: float
    ARM: float
    ARL: float


class _Everybody(NamedTuple):
    """The people of all images, one after the other: n of them, each with the number of its image."""

    image: Integers
    joints: Floats
    labelled: NDArray[np.bool_]
    box: Floats
    area: Floats
    score: Floats
    crowd: NDArray[np.bool_]


def oks_scores(truth: Sequence[People], found: Sequence[People], skeleton: Skeleton) -> OksScores:
    """Score estimated people against annotated ones.

    Parameters
    ----------
    truth, found : sequences of People, one an image, equally long
        In pixels of the same frame, for COCO's size classes the original image's. ``found`` carries scores; every joint
        of it counts, whatever its visibility.
    skeleton : Skeleton
        For the sigmas.

    Returns
    -------
    OksScores

    Raises
    ------
    ValueError
        The sequences differ in length.
    """
    if len(truth) != len(found):
        raise ValueError(f"{len(truth)} images with annotated people, {len(found)} with found ones")
    evaluation = COCOeval(iouType="keypoints")
    gt, dt = _everybody(truth, skeleton), _best(_everybody(found, skeleton))
    pairs = _pairs(gt.image, dt.image)
    blocks = [slice(at, at + BLOCK_PAIRS) for at in range(0, len(pairs.gt), BLOCK_PAIRS)]
    oks = [_oks(gt, dt, Pairs(pairs.gt[b], pairs.dt[b]), np.array(skeleton.sigmas)) for b in blocks]
    low, high = np.array(evaluation.params.areaRng, np.float64).T[:, :, None]  # (A, 1)
    x, y = np.moveaxis(dt.joints, -1, 0)
    found_area = np.ptp(x, axis=1) * np.ptp(y, axis=1)
    matches = match(
        pairs,
        np.concatenate([np.empty(0), *oks]),
        thresholds=np.minimum(evaluation.params.iouThrs, 1 - 1e-10),
        ignored=gt.crowd | ~gt.labelled.any(axis=1) | (gt.area < low) | (gt.area > high),
        crowd=gt.crowd,
        outside=(found_area < low) | (found_area > high),
    )
    return _accumulate(evaluation, matches, dt.score)


def _everybody(images: Sequence[People], skeleton: Skeleton) -> _Everybody:
    some = [*images, People.empty(len(skeleton))]
    return _Everybody(
        image=np.repeat(np.arange(len(some)), [len(people) for people in some]),
        joints=np.concatenate([people.joints[..., :2] for people in some]).astype(np.float64),
        labelled=np.concatenate([people.visible for people in some]) > 0,
        box=np.concatenate([people.bbox_xywh for people in some]).astype(np.float64),
        area=np.concatenate([people.area for people in some]).astype(np.float64),
        score=np.concatenate([people.score for people in some]).astype(np.float64),
        crowd=np.concatenate([people.ignore for people in some]),
    )


def _best(people: _Everybody) -> _Everybody:
    """Sort the people of every image by falling score, equal ones as they came, and keep the best of each."""
    order = np.lexsort((-people.score, people.image))
    image = people.image[order]
    rank = np.arange(len(image)) - np.searchsorted(image, image)
    columns: list[Any] = [column[order[rank < MAX_FOUND]] for column in people]
    return _Everybody(*columns)


def _pairs(gt_image: Integers, dt_image: Integers) -> Pairs:
    """Return every annotated person of its image for every found one, in order."""
    first = np.searchsorted(gt_image, dt_image)
    number = np.searchsorted(gt_image, dt_image, side="right") - first
    dt = np.repeat(np.arange(len(dt_image)), number)
    within = np.arange(len(dt)) - np.repeat(np.cumsum(number) - number, number)
    return Pairs(gt=np.repeat(first, number) + within, dt=dt)


def _oks(gt: _Everybody, dt: _Everybody, pairs: Pairs, sigmas: Floats) -> Floats:
    """Return the similarity of each pair; those of as many labelled joints together, summed as pycocotools does."""
    variances = (sigmas * 2) ** 2
    number = gt.labelled.sum(axis=1)
    labelled_first = np.argsort(~gt.labelled, axis=1, kind="stable")
    oks = np.empty(len(pairs.gt))
    for n in np.unique(number[pairs.gt]):
        which = number[pairs.gt] == n
        g, d = pairs.gt[which], pairs.dt[which]
        k = labelled_first[g, : n or len(sigmas)]
        dx, dy = np.moveaxis(dt.joints[d[:, None], k], -1, 0)
        if n:
            x, y = np.moveaxis(gt.joints[g[:, None], k], -1, 0)
            dx, dy = dx - x, dy - y
        else:  # how far from the box, made three times as wide and high
            dx, dy = (_outside(p, gt.box[g, i], gt.box[g, 2 + i]) for i, p in enumerate((dx, dy)))
        e = (dx**2 + dy**2) / variances[k] / (gt.area[g] + np.spacing(1))[:, None] / 2
        oks[which] = np.sum(np.exp(-e), axis=1) / k.shape[1]
    return oks


def _outside(points: Floats, start: Floats, length: Floats) -> Floats:
    low, high = (start - length)[:, None], (start + length * 2)[:, None]
    return np.asarray(np.maximum(0, low - points) + np.maximum(0, points - high))


def _accumulate(evaluation: COCOeval, matches: Matches, scores: Floats) -> OksScores:
    """Let pycocotools turn matches into its ten numbers: all images as one whose best are chosen already."""
    params = evaluation.params
    params.imgIds, params.catIds, params.maxDets = [1], [1], [max(1, len(scores))]
    evaluation._paramsEval = params
    evaluation.evalImgs = [
        {"dtScores": scores, "dtMatches": matched, "dtIgnore": ignored, "gtIgnore": gt_ignored}
        for matched, ignored, gt_ignored in zip(matches.matched, matches.ignored, matches.gt_ignored, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools reports by print
        evaluation.accumulate()
        params.maxDets = [MAX_FOUND]
        evaluation.summarize()
    return OksScores(*(float(s) for s in evaluation.stats))
