"""What perfect maps decode to in three dimensions: people of CMU Panoptic, back in the camera's frame, in cm.

The frames below ``$SPM_DATA/panoptic``, from every HD camera of each, encoded and decoded in memory at a 512 letterbox.
Depths mix where another person's is read too; errors outside collisions are held against the bound of verify-targets.
"""

import argparse
import json
import os
from itertools import product
from pathlib import Path

import numpy as np
from results import machine, table, write_section

from spmdata.people import Sample
from spmdata.roundtrip.depth_tally import tally_depth
from spmdata.roundtrip.measure import compare_samples
from spmdata.roundtrip.tally import tally
from spmdata.skeletons import PANOPTIC19
from spmdata.sources.registry import open_source
from spmdata.spec import TargetSpec

HEADER = (
    *("tree", "overlap", "dtype", "people", "lost", "joints", "mixed", "roots mixed", "mean cm", "99 % cm"),
    *("max clear cm", "bound cm", "MPJPE mm", "PCK150"),
)


def row(samples: list[Sample], tree: str, overlap: str, dtype: str) -> tuple[str, ...]:
    """Return the cells of one setting."""
    spec = TargetSpec(skeleton=PANOPTIC19, dims=3, input_hw=(512, 512)).override(
        hierarchical=tree == "hier", overlap=overlap, dtype=dtype
    )
    rows = compare_samples(samples, [spec])[0]
    found, lost = tally_depth(rows, spec), sum(tally(rows, PANOPTIC19).lost.values())
    assert found is not None
    assert found.beyond_bound == 0
    errors = found.line("all", np.ones(len(PANOPTIC19), bool))
    return (
        *(tree, overlap, dtype, f"{found.people:,}", f"{lost:,}", f"{errors.joints:,}"),
        *(f"{found.mixed:.2%}", f"{found.roots_mixed:.2%}", f"{errors.mean_cm:.4f}", f"{errors.p99_cm:.4f}"),
        *(f"{errors.clear_max_cm:.6f}", f"{found.bound_cm.max():.6f}"),
        *(f"{found.ceiling.MPJPE:.3f}", f"{100 * found.ceiling.PCK150:.2f}"),
    )


def main() -> None:
    """Print the table, and write it with ``--write``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the section of RESULTS.md")
    options = parser.parse_args()
    if "SPM_DATA" not in os.environ:
        raise SystemExit("SPM_DATA is unset: it names the folder with panoptic/")
    source = open_source("panoptic", root=Path(os.environ["SPM_DATA"]), no_images=True)
    samples = [source[i] for i in range(len(source))]
    settings = product(("flat", "hier"), ("mean", "nearest"), ("float32", "float16"))
    seen = [json.loads(sample.meta) for sample in samples]
    frames, cameras = len({(one["sequence"], one["frame"]) for one in seen}), len({one["camera"] for one in seen})
    text = "\n\n".join(
        [
            f"{machine('numpy', 'numba')}.",
            f"CMU Panoptic: {frames} frames from {cameras} HD cameras, {len(samples)} rows; input 512, the "
            "paper's conventions but for what the columns say. Errors are distances in the camera's frame, of all the "
            "joints of people who come back; clear: of those where nothing collides.",
            table(HEADER, [row(samples, *setting) for setting in settings]),
        ]
    )
    print(text)
    if options.write:
        write_section("depth", text)


if __name__ == "__main__":
    main()
