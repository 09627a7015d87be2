"""How long targets and decoding take, against what the memory alone costs and against the slow reference.

Encode is `Codec.encode_batch` from padded tables, or from one picture's `People`, into kept buffers: dense float32
offsets (K, 2, H, W), heatmap, count and ignore, zeroing and checks included, against ``fill(0)`` of the same buffers.
Decode is `Codec.decode_batch`, down to `People`, against ``np.max`` of the same heatmaps. Each round runs every row,
both sides in turn; the numbers are medians a picture. People are those of COCO val2017 below ``$SPM_DATA``, or
made up without it.

Letters: N pictures a call; P people; K joints; H, W cells.
"""

import argparse
import gzip
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numba
import numpy as np
from numpy.typing import NDArray
from results import machine, table, write_section

from spmdata.codec import Codec, Targets
from spmdata.geometry import letterbox
from spmdata.padded import pad_people
from spmdata.people import People
from spmdata.spec import TargetSpec

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import naive  # the reference lies with the tests, which are no package

ANNOTATIONS = "coco/annotations/person_keypoints_val2017.json.gz"
K = 17
Image = tuple[tuple[int, int], People]  # (height, width) in px, and its labelled people
Action = Callable[[int], object]


@dataclass
class Row:
    """One line of the table: what to run in round r, the limit it is held against, and the times of both."""

    name: str
    pictures: int
    people: float
    ours: Action
    limit: Action
    reference: Action | None
    times: dict[str, list[float]] = field(default_factory=lambda: {"ours": [], "limit": [], "reference": []})


def coco_people(path: Path) -> list[Image]:
    """Return size and labelled people of every image with some."""
    with gzip.open(path) as file:
        coco = json.load(file)
    sizes = {image["id"]: (int(image["height"]), int(image["width"])) for image in coco["images"]}
    found: dict[int, list[list[float]]] = {}
    for annotation in coco["annotations"]:
        if annotation.get("num_keypoints", 0) and not annotation.get("iscrowd"):
            found.setdefault(annotation["image_id"], []).append(annotation["keypoints"])
    points = {image: np.array(keypoints, float).reshape(-1, K, 3) for image, keypoints in found.items()}
    return [(sizes[image], People.of(xyv[..., :2], xyv[..., 2].astype(np.uint8))) for image, xyv in points.items()]


def made_up_people(rng: np.random.Generator, n: int = 500) -> list[Image]:
    """Return images of 1 to 4 people, all joints labelled, about a quarter of the image high."""
    images = []
    for _ in range(n):
        P = int(rng.integers(1, 5))
        joints = rng.uniform(80, 400, (P, 1, 2)) + rng.normal(0, 40, (P, K, 2))
        images.append(((480, 480), People.of(joints, np.full((P, K), 2))))
    return images


def fitted(images: Sequence[Image], side_px: int) -> list[People]:
    """Return the people letterboxed into a square input."""
    return [people.transform(letterbox(size, (side_px, side_px)).affine) for size, people in images]


def crowded(people: Sequence[People], n_people: int, n: int, rng: np.random.Generator) -> list[People]:
    """Return n pictures of that many people each, drawn from all."""
    joints, visible = (np.concatenate([getattr(p, name) for p in people]) for name in ("joints", "visible"))
    picks = (rng.choice(len(joints), n_people) for _ in range(n))
    return [People.of(joints[pick], visible[pick]) for pick in picks]


def conventions(spec: TargetSpec) -> naive.Conventions:
    parents, metric = spec.tree.parents, spec.tau_metric
    return naive.Conventions(parents=parents, map_hw=spec.map_hw, tau=spec.tau, tau_metric=metric)


def rows_of(people: People) -> naive.Rows:
    return people.joints, people.visible, people.area, people.bbox_xywh, people.ignore


def fill(targets: Targets) -> None:
    for array in targets:
        if array is not None:
            array.fill(0)


@numba.njit(nogil=True)
def zero(planes: NDArray[np.float32]) -> None:
    for i in range(len(planes)):
        planes[i][:] = 0


def encode_row(codec: Codec, kept: Targets, batches: list[list[People]], name: str, slow: bool) -> Row:
    """Return encoding into kept buffers against zeroing them; batches of several come as padded tables."""
    c, n = conventions(codec.spec), len(batches[0])
    given = [batch if n == 1 else pad_people(batch, max(map(len, batch)), K) for batch in batches]
    return Row(
        name=name,
        pictures=n,
        people=float(np.mean([len(people) for batch in batches for people in batch])),
        ours=lambda r: codec.encode_batch(given[r % len(given)], out=kept),
        limit=lambda r: fill(kept),
        reference=(lambda r: naive.encode(c, rows_of(batches[r % len(batches)][0]))) if slow else None,
    )


def zero_row(offsets: NDArray[np.float32], name: str) -> Row:
    """Return the zeroing that kernels can do, plane by plane, against ``fill(0)``: which of them is the limit."""
    planes = offsets.reshape(-1, *offsets.shape[-2:])
    return Row(name, len(offsets), 0, lambda r: zero(planes), lambda r: offsets.fill(0), None)


def decode_row(codec: Codec, batches: list[list[People]], name: str) -> Row:
    """Return decoding what was encoded against reading its heatmaps once."""
    c, n = conventions(codec.spec), len(batches[0])
    maps = [codec.encode_batch(batch) for batch in batches[: max(1, 16 // n)]]

    def reference(r: int) -> object:
        heatmap, offsets, count, *_ = maps[r % len(maps)]
        assert count is not None
        return naive.decode(c, heatmap[0], offsets[0], count[0])

    return Row(
        name=name,
        pictures=n,
        people=float(np.mean([len(people) for batch in batches[: len(maps)] for people in batch])),
        ours=lambda r: codec.decode_batch(maps[r % len(maps)]),
        limit=lambda r: np.max(maps[r % len(maps)].root_heatmap),
        reference=reference,
    )


def plan(images: Sequence[Image], source: str, n: int, rng: np.random.Generator) -> list[Row]:
    """Return every row of the table."""
    encoding, decoding = [], []
    for cells in (96, 128):
        people, size = fitted(images, cells * 4), f"{cells}x{cells}"
        several = [people[i : i + n] for i in range(0, len(people) - n + 1, n)]
        pools = {source: (several, True)}
        for p in (30, 100) if cells == 128 else ():
            pools[f"{p} persons"] = [crowded(people, p, n, rng) for _ in range(4)], False
        for hierarchical in (False, True):
            kind = "hier" if hierarchical else "flat"
            for metric in ("squared", "radius"):
                fields = {"input_hw": (cells * 4, cells * 4), "hierarchical": hierarchical, "tau_metric": metric}
                codec = Codec(TargetSpec.preset("paper", **fields))
                kept = codec.encode_batch(several[0])
                if not hierarchical and metric == "squared":
                    encoding.append(zero_row(kept.offsets, f"zero offsets in numba, {size}"))
                for pool, (batches, with_naive) in pools.items():
                    name = f"encode {kind}, {metric} 7, {pool}, {size}"
                    encoding.append(encode_row(codec, kept, batches, name, with_naive))
                if cells == 128 and metric == "squared":
                    ones, one = [[p] for p in people], codec.encode_batch(people[:1])
                    encoding.append(encode_row(codec, one, ones, f"encode {kind}, {metric} 7, {source}, {size}", False))
                    decoding += [
                        decode_row(codec, some, f"decode {kind}, {source}, {size}") for some in (several, ones)
                    ]
    return [*encoding, *decoding]


def measure(rows: Sequence[Row], rounds: int, naive_rounds: int) -> None:
    """Time every row in every round, the reference in the first rounds only.

    A row runs limit, ours, limit, ours in turn, and the first of each is thrown away: it pays for what the row before
    left in the caches, so that a memset would look slower than the work that begins with it.
    """
    for r in range(rounds):
        for row in rows:
            for timed in (False, True):
                for side, action in (("limit", row.limit), ("ours", row.ours)):
                    seconds = timing(action, r)
                    if timed:
                        row.times[side].append(seconds / row.pictures)
            if row.reference is not None and r < naive_rounds:
                row.times["reference"].append(timing(row.reference, r))


def timing(action: Action, r: int) -> float:
    start = time.perf_counter()
    action(r)
    return time.perf_counter() - start


def report(rows: Sequence[Row]) -> str:
    """Return the machine and the table: each ratio beside its two sides."""
    header = ["work", "N", "P", "ours us", "limit us", "ours/limit", "n", "naive ms", "naive/ours", "naive n"]
    lines = []
    for row in rows:
        ours, limit, slow = median(row.times["ours"]), median(row.times["limit"]), row.times["reference"]
        lines.append(
            [
                *(row.name, f"{row.pictures}", f"{row.people:.1f}", f"{ours * 1e6:.1f}", f"{limit * 1e6:.1f}"),
                *(f"{ours / limit:.2f}", f"{len(row.times['ours'])}"),
                *([f"{median(slow) * 1e3:.0f}", f"{median(slow) / ours:,.0f}", f"{len(slow)}"] if slow else [""] * 3),
            ]
        )
    text = (
        "Medians a picture over n rounds; N pictures a call, P people a picture (COCO: val2017). The limit of encoding "
        "is `fill(0)` of the same buffers, of decoding `np.max` of the same heatmaps; naive is `tests/naive.py`."
    )
    return f"{machine('numpy', 'numba')}.\n\n{text}\n\n{table(header, lines)}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the codec; prints a table.")
    parser.add_argument("--rounds", type=int, default=60, help="rounds (default 60)")
    parser.add_argument("--batch", type=int, default=8, help="pictures a call (default 8)")
    parser.add_argument("--naive", type=int, default=2, help="rounds of the slow reference (default 2)")
    parser.add_argument("--write", action="store_true", help="write the section of RESULTS.md")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    folder = os.environ.get("SPM_DATA")
    path = Path(folder) / ANNOTATIONS if folder else None
    if path is None or not path.exists():
        print(f"SPM_DATA has no {ANNOTATIONS}: people are made up", file=sys.stderr)
        images, source = made_up_people(rng), "made up"
    else:
        images, source = coco_people(path), "COCO"
    images = [images[i] for i in rng.permutation(len(images))[:400]]
    measure(rows := plan(images, source, arguments.batch, rng), arguments.rounds, arguments.naive)
    print(text := report(rows))
    if arguments.write:
        write_section("Kernels", text)


if __name__ == "__main__":
    main()
