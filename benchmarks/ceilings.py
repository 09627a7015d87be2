"""What perfect maps decode to: the AP that no network can pass, convention by convention.

All labelled people of COCO val2017 and of CrowdPose val below ``$SPM_DATA``, encoded and decoded in memory at a 512
letterbox, scored by pycocotools in px of the original images. A read collides when another person covers the cell for
that joint, a root when another root lies in its peak window. Groups are images by their number of labelled people.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from results import machine, table, write_section

from spmdata.people import Sample
from spmdata.roundtrip.compare import RowComparison
from spmdata.roundtrip.measure import compare_samples
from spmdata.roundtrip.tally import tally
from spmdata.skeletons import COCO17, CROWDPOSE14
from spmdata.sources.coco import CocoSource
from spmdata.spec import TargetSpec

COCO, CROWDPOSE = "coco/annotations/person_keypoints_val2017.json.gz", "crowdpose/crowdpose_val.json"
INPUT_HW = (512, 512)
TAUS: dict[str, dict[str, Any]] = {
    "squared 7": {"tau_metric": "squared", "tau": 7.0},
    "radius 4": {"tau_metric": "radius", "tau": 4.0},
    "radius 7": {"tau_metric": "radius", "tau": 7.0},
}
TREES = {"flat": False, "hier": True}
OVERLAPS = ("mean", "nearest", "smallest")
GROUPS = {"1": (1, 1), "2-3": (2, 3), "4-7": (4, 7), "8+": (8, 10**6)}
#: AP of the design's page, by stride, tree, overlap and tau.
DESIGN = {
    **{(4, "flat", "mean", tau): ap for tau, ap in zip(TAUS, (98.98, 98.6, 88.9), strict=True)},
    **{(4, "hier", "mean", tau): ap for tau, ap in zip(TAUS, (98.56, 96.8, 83.8), strict=True)},
    **{(4, "flat", "nearest", tau): 99.01 for tau in TAUS},
    **{(4, "hier", "nearest", tau): ap for tau, ap in zip(TAUS, (99.0, 98.97, 98.4), strict=True)},
    **{(8, tree, "mean", "squared 7"): ap for tree, ap in zip(TREES, (95.6, 92.1), strict=True)},
    **{(8, tree, "nearest", "squared 7"): 97.0 for tree in TREES},
}
HEADER = ("AP", *GROUPS, "roots", "reads", "lost", "mean px", "99 % px")
Row = tuple[str, ...]
#: Measures one setting, given as changes of the paper's; returns the cells of HEADER.
Measure = Callable[..., Row]


def measuring(samples: Sequence[Sample], base: TargetSpec) -> Measure:
    """Return what measures one setting after the other on the same samples."""

    def measure(**changes: Any) -> Row:
        start = time.perf_counter()
        spec = base.override(**changes)
        rows = compare_samples(samples, [spec])[0]
        found = tally(rows, spec.skeleton)
        errors = found.line("all", np.ones(len(spec.skeleton), bool))
        cells = (
            *(ap(rows, spec), *(ap(group(rows, *limits), spec) for limits in GROUPS.values())),
            *(f"{found.roots_collided:.2%}", f"{found.collided:.2%}", f"{sum(found.lost.values()) / found.people:.2%}"),
            *(f"{errors.mean_px:.3f}", f"{errors.p99_px:.2f}"),
        )
        print(f"{time.perf_counter() - start:.1f} s  {changes}", file=sys.stderr)
        return cells

    return measure


def ap(rows: Sequence[RowComparison], spec: TargetSpec) -> str:
    return f"{100 * tally(rows, spec.skeleton).ceiling.AP:.2f}" if rows else "-"


def group(rows: Sequence[RowComparison], least: int, most: int) -> list[RowComparison]:
    return [row for row in rows if least <= row.labelled <= most]


def coco_rows(measure: Measure) -> Iterator[Row]:
    """Yield the design's table: stride, tree, overlap, tau; its own value beside ours."""
    for stride, (tree, hier), overlap, tau in product((4, 8), TREES.items(), OVERLAPS, TAUS):
        page = DESIGN.get((stride, tree, overlap, tau))
        cells = measure(stride=stride, hierarchical=hier, overlap=overlap, **TAUS[tau])
        yield (str(stride), tree, overlap, tau, "" if page is None else f"{page:.2f}", *cells)


def variant_rows(measure: Measure) -> Iterator[Row]:
    """Yield the conventions of the table one at a time: anchor, missing parents, root, peak window."""
    variants: dict[str, dict[str, Any]] = {
        "hier": {},
        "hier, anchor root": {"anchor": "root"},
        "hier, stay": {"missing_parent": "stay"},
        "hier, drop": {"missing_parent": "drop"},
        "hier, root bbox": {"root": "bbox"},
        "hier, root torso": {"root": "torso"},
        "hier, nearest, drop": {"overlap": "nearest", "missing_parent": "drop"},
    }
    for (name, changes), tau in product(variants.items(), ("squared 7", "radius 7")):
        yield (name, "4", tau, *measure(hierarchical=True, **changes, **TAUS[tau]))
    for (tree, hier), root in product(TREES.items(), ("mean", "bbox", "torso")):
        name = f"{tree}, root {root}, nearest"
        for stride, nms in ((4, 3), (8, 5), (8, 3)):
            chosen = {"stride": stride, "nms": nms, "root": root, "overlap": "nearest"}
            yield (f"{name}, nms {nms}", str(stride), "squared 7", *measure(hierarchical=hier, **chosen))


def crowd_rows(measure: Measure) -> Iterator[Row]:
    """Yield CrowdPose's ceilings: stride, tree, overlap, peak window."""
    for stride, (tree, hier), overlap, nms in product((4, 8), TREES.items(), OVERLAPS, (5, 3)):
        cells = measure(stride=stride, hierarchical=hier, overlap=overlap, nms=nms)
        yield (str(stride), tree, overlap, str(nms), *cells)


def ranking_rows(samples: Sequence[Sample], base: TargetSpec) -> Iterator[Row]:
    """Yield what the order of found people alone does to the cells that are not the design's: nobody moves."""
    for stride, tree, tau in ((4, "flat", "radius 7"), (4, "hier", "radius 7"), (8, "flat", "squared 7")):
        spec = base.override(stride=stride, hierarchical=TREES[tree], **TAUS[tau])
        rows = compare_samples(samples, [spec])[0]
        ranked = [
            [replace(row, found=replace(row.found, score=scores(row.found.score))) for row in rows]
            for scores in (lambda peak: peak, np.ones_like, np.negative)
        ]
        yield (str(stride), tree, tau, f"{DESIGN[stride, tree, 'mean', tau]:.2f}", *(ap(one, spec) for one in ranked))


def read(path: Path, every: int, **options: Any) -> list[Sample]:
    source = CocoSource.read(path, image_root=None, **options)
    return [source[i] for i in range(0, len(source), every)]


def about(name: str, samples: Sequence[Sample]) -> str:
    people = sum(int((~sample.people.regions).sum()) for sample in samples)
    return f"{name}: {len(samples):,} images, {people:,} labelled people, input 512, paper's conventions but for"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="take every so manieth image")
    parser.add_argument("--write", action="store_true", help="write the section of RESULTS.md")
    options = parser.parse_args()
    if "SPM_DATA" not in os.environ:
        raise SystemExit("SPM_DATA is unset: it names the folder with coco/ and crowdpose/")
    root = Path(os.environ["SPM_DATA"])
    coco = read(root / COCO, options.every)
    crowd = read(root / CROWDPOSE, options.every, skeleton=CROWDPOSE14)
    on_page = TargetSpec(skeleton=COCO17, input_hw=INPUT_HW)
    on_coco = measuring(coco, on_page)
    on_crowd = measuring(crowd, TargetSpec(skeleton=CROWDPOSE14, input_hw=INPUT_HW))
    text = "\n\n".join(
        [
            f"{machine('numpy', 'numba', 'pycocotools')}.",
            "AP of perfect maps, of all images and of those with 1, 2-3, 4-7, 8+ labelled people; shares of roots and "
            "of reads that collide, of people lost; round-trip error of the people found, px of the input. 99.01 is "
            "the most that an AP of 101 points gives when anybody is lost.",
            f"{about('COCO val2017', coco)} what the columns say, peak window 5:",
            table(("stride", "tree", "overlap", "tau", "design", *HEADER), list(coco_rows(on_coco))),
            "Three of those cells with other scores: the peak's height, as above; all equal; the lowest peak first:",
            table(
                ("stride", "tree", "tau", "design", "peak", "equal", "lowest first"), list(ranking_rows(coco, on_page))
            ),
            f"{about('COCO val2017', coco)} what is named:",
            table(("conventions", "stride", "tau", *HEADER), list(variant_rows(on_coco))),
            f"{about('CrowdPose val', crowd)} what the columns say, area 0.53 * w * h of the box:",
            table(("stride", "tree", "overlap", "nms", *HEADER), list(crowd_rows(on_crowd))),
        ]
    )
    print(text)
    if options.write:
        write_section("ceilings", text)


if __name__ == "__main__":
    main()
