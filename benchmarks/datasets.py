"""What the sample sets below ``$SPM_DATA`` hold, and the ceiling of the targets made from each: the table of docs.

Each set is prepared without images at a 512 letterbox with the paper's conventions, flat and hierarchical, into a store
that is verified in full: all numbers are those of `spm verify-targets`, of perfect maps. ``--write`` puts the tables
into docs/datasets.md.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from results import machine, table, write_section

from spmdata.prepare.findings import Survey, survey
from spmdata.prepare.plan import plan_store
from spmdata.prepare.run import prepare_store
from spmdata.sources.base import Source
from spmdata.sources.registry import open_source
from spmdata.spec import TargetSpec
from spmdata.verify.report import DepthReport, Report
from spmdata.verify.run import verify_store

PAGE = Path(__file__).resolve().parents[1] / "docs/datasets.md"
#: Every sample set, by the arguments of `spm prepare`.
SETS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("coco", {"split": "train2017"}),
    ("coco", {"split": "val2017"}),
    ("coco", {"split": "train2017_mini"}),
    ("coco", {"split": "val2017_mini"}),
    ("crowdpose", {"split": "val"}),
    ("crowdpose", {"split": "mini"}),
    ("mpii", {"split": "multi_val"}),
    ("mpii", {"split": "valid"}),
    ("panoptic", {}),
)
HEADER = ("spm prepare", "rows", "people", "joints", "AP flat", "AP hier", "collided", "lost", "verified")
DEEP_HEADER = (
    *("spm prepare", "tree", "people", "MPJPE mm", "PA-MPJPE mm", "root mm", "PCK150", "AUC"),
    *("depths mixed", "roots mixed", "mean cm", "max clear cm", "bound cm"),
)


def verified(source: Source, hierarchical: bool, folder: Path) -> Report:
    """Prepare a store of the targets and verify it."""
    axes = source[0].people.joints.shape[-1]
    spec = TargetSpec(skeleton=source.skeleton, hierarchical=hierarchical, input_hw=(512, 512), dims=axes)
    path = folder / f"{source.info.name}-{source.info.split}-{hierarchical}.zarr"
    prepare_store(plan_store(source, spec, path, images=False))
    return verify_store(path)


def cells(flat: Report, hier: Report) -> tuple[str, ...]:
    """Return what both trees cost: AP, share of reads that collide, people lost, and the verdict."""
    both = (flat, hier)
    return (
        *(f"{100 * report.ceiling.AP:.2f}" for report in both),
        " / ".join(f"{report.collided:.2%}" for report in both),
        " / ".join(f"{sum(report.lost.values()):,}" for report in both),
        "ok" if flat.ok and hier.ok else "FAILED",
    )


def deep_cells(depth: DepthReport) -> tuple[str, ...]:
    """Return the 3D scores of perfect maps, depths that mix, and errors in the camera's frame."""
    scores, joints = depth.ceiling, sum(line.joints for line in depth.by_joint)
    mean_cm = sum(line.mean_cm * line.joints for line in depth.by_joint) / max(1, joints)
    return (
        f"{depth.people:,}",
        *(f"{value:.2f}" for value in (scores.MPJPE, scores.PA_MPJPE, scores.root)),
        *(f"{100 * share:.1f}" for share in (scores.PCK150, scores.AUC)),
        *(f"{share:.2%}" for share in (depth.mixed, depth.roots_mixed)),
        f"{mean_cm:.4f}",
        f"{max(line.clear_max_cm for line in depth.by_joint):.6f}",
        f"{depth.bound_cm:.6f}",
    )


def measure(
    name: str, options: dict[str, Any], root: Path, folder: Path
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return a set's row of the first table, and its two of the second when it is in 3D."""
    start = time.perf_counter()
    source = open_source(name, root=root, no_images=True, **options)
    found: Survey = survey(source, images=False)
    command = " ".join([name, *(f"--{key} {value}" for key, value in options.items())])
    counts = (f"{found.rows:,}", f"{found.people_labelled:,}", f"{found.joints_labelled:,}")
    flat, hier = (verified(source, hierarchical, folder) for hierarchical in (False, True))
    deep = [
        (command, tree, *deep_cells(report.depth))
        for tree, report in (("flat", flat), ("hier", hier))
        if report.depth is not None
    ]
    print(f"{time.perf_counter() - start:.1f} s  {command}", file=sys.stderr)
    return (command, *counts, *cells(flat, hier)), deep


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the tables into docs/datasets.md")
    options = parser.parse_args()
    if "SPM_DATA" not in os.environ:
        raise SystemExit("SPM_DATA is unset: it names the folder with coco/, crowdpose/, mpii/ and panoptic/")
    root = Path(os.environ["SPM_DATA"])
    with tempfile.TemporaryDirectory() as folder:
        measured = [measure(name, chosen, root, Path(folder)) for name, chosen in SETS]
    text = "\n\n".join(
        [
            f"{machine('numpy', 'numba', 'pycocotools')}.",
            "People with a labelled joint that are no crowd, and their joints. AP of perfect maps at an input of 512, "
            "stride 4, the paper's conventions; share of reads that collide and people lost, flat / hierarchical; "
            "whether every joint outside collisions came back within the bound of its dtype, in both stores.",
            table(HEADER, [row for row, _ in measured]),
            "3D sets, the same stores in the camera's frame: scores of perfect maps, shares of depths and of roots' "
            "depths that another person's are averaged with, and distances of the joints of people who come back, of "
            "all and (clear) of those where nothing collides.",
            table(DEEP_HEADER, [row for _, deep in measured for row in deep]),
        ]
    )
    print(text)
    if options.write:
        write_section("measured", text, PAGE)


if __name__ == "__main__":
    main()
