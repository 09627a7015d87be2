"""OKS scores by pycocotools alone, from dicts to table: slow, and what ours must equal."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from spmdata.metrics.oks import OksScores
from spmdata.people import People
from spmdata.skeleton import Skeleton


def pycocotools_scores(truth: Sequence[People], found: Sequence[People], skeleton: Skeleton) -> OksScores:
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools reports by print
        gt = _coco(truth, [a for image, people in enumerate(truth, 1) for a in _annotations(image, people)])
        detections = [d for image, people in enumerate(found, 1) for d in _detections(image, people)]
        dt = gt.loadRes(detections) if detections else _coco(truth, [])
        evaluation = COCOeval(gt, dt, "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(skeleton.sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return OksScores(*(float(s) for s in evaluation.stats))


def _coco(images: Sequence[People], annotations: list[dict[str, Any]]) -> COCO:
    coco = COCO()
    for i, annotation in enumerate(annotations, 1):
        annotation["id"] = i  # from 1: pycocotools takes a match with id 0 for no match
    coco.dataset = {
        "info": {},
        "images": [{"id": i + 1} for i in range(len(images))],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": annotations,
    }
    coco.createIndex()
    return coco


def _flat_joints(people: People) -> list[list[float]]:
    columns = np.concatenate([people.joints[..., :2].astype(np.float64), people.visible[..., None]], axis=-1)
    return columns.reshape(len(people), 3 * people.visible.shape[1]).tolist()


def _annotations(image: int, people: People) -> list[dict[str, Any]]:
    boxes, areas = people.bbox_xywh.astype(np.float64).tolist(), people.area.astype(np.float64).tolist()
    return [
        {
            **{"image_id": image, "category_id": 1, "iscrowd": int(people.ignore[p]), "bbox": boxes[p]},
            **{"area": areas[p], "keypoints": joints, "num_keypoints": int(people.labelled[p].sum())},
        }
        for p, joints in enumerate(_flat_joints(people))
    ]


def _detections(image: int, people: People) -> list[dict[str, Any]]:
    scores = people.score.tolist()
    return [
        {"image_id": image, "category_id": 1, "keypoints": joints, "score": scores[p]}
        for p, joints in enumerate(_flat_joints(people))
    ]
