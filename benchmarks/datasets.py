"""What the sample sets below ``$SPM_DATA`` hold, and the ceiling of the targets made from each: the table of docs.

Each set is prepared without images at a 512 letterbox with the paper's conventions, flat and hierarchical, into a store
that is verified in full: the AP is what `spm verify-targets` says, of perfect maps. ``--write`` puts the table into
docs/datasets.md.
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


def verified(source: Source, hierarchical: bool, folder: Path) -> tuple[str, str, str, str]:
    """Prepare and verify a store; return AP, share of reads that collide, people lost and the verdict."""
    axes = source[0].people.joints.shape[-1]
    spec = TargetSpec(skeleton=source.skeleton, hierarchical=hierarchical, input_hw=(512, 512), dims=axes)
    path = folder / f"{source.info.name}-{source.info.split}-{hierarchical}.zarr"
    prepare_store(plan_store(source, spec, path, images=False))
    report = verify_store(path)
    lost = sum(report.lost.values())
    return f"{100 * report.ceiling.AP:.2f}", f"{report.collided:.2%}", f"{lost:,}", "ok" if report.ok else "FAILED"


def row(name: str, options: dict[str, Any], root: Path, folder: Path) -> tuple[str, ...]:
    start = time.perf_counter()
    source = open_source(name, root=root, no_images=True, **options)
    found: Survey = survey(source, images=False)
    command = " ".join([name, *(f"--{key} {value}" for key, value in options.items())])
    counts = (f"{found.rows:,}", f"{found.people_labelled:,}", f"{found.joints_labelled:,}")
    cells: tuple[str, ...] = ("-",) * 5
    if source[0].people.joints.shape[-1] == 2:  # stores in 3D cannot be verified yet
        (flat, c_flat, l_flat, ok_flat), (hier, c_hier, l_hier, ok_hier) = (
            verified(source, hierarchical, folder) for hierarchical in (False, True)
        )
        both = ok_flat if ok_flat == ok_hier else "FAILED"
        cells = (flat, hier, f"{c_flat} / {c_hier}", f"{l_flat} / {l_hier}", both)
    print(f"{time.perf_counter() - start:.1f} s  {command}", file=sys.stderr)
    return (command, *counts, *cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the table into docs/datasets.md")
    options = parser.parse_args()
    if "SPM_DATA" not in os.environ:
        raise SystemExit("SPM_DATA is unset: it names the folder with coco/, crowdpose/, mpii/ and panoptic/")
    root = Path(os.environ["SPM_DATA"])
    with tempfile.TemporaryDirectory() as folder:
        rows = [row(name, chosen, root, Path(folder)) for name, chosen in SETS]
    text = "\n\n".join(
        [
            f"{machine('numpy', 'numba', 'pycocotools')}.",
            "People with a labelled joint that are no crowd, and their joints. AP of perfect maps at an input of 512, "
            "stride 4, the paper's conventions; share of reads that collide and people lost, flat / hierarchical; "
            "whether every joint outside collisions came back within the bound of its dtype, in both stores.",
            table(HEADER, rows),
            "3D sets have no AP: their errors are in cm, and are not in this table yet.",
        ]
    )
    print(text)
    if options.write:
        write_section("measured", text, PAGE)


if __name__ == "__main__":
    main()
