"""How long targets and decoding take, against what the memory alone costs, the slow reference and other ways.

Encode is `Codec.encode_batch` from padded tables into kept buffers: dense float32 offsets (K, 2, H, W), heatmap, count
and ignore, zeroing and checks included, against ``fill(0)`` of the same buffers and against libc's memset, which goes
past caches that are too small. Kept is `Kept.encode` against writing the same cells once, in numba, from lists of their
places. Decode is `Codec.decode_tables`, and down to `People`, against ``np.max`` of the same heatmaps. Each round runs
every row, its sides in turn; the numbers are medians a picture. People are those of COCO val2017 below ``$SPM_DATA``,
or made up without it.

Letters: N pictures a call; P people; K joints; H, W cells.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numba
import numpy as np
from codec_peers import Vectorised, cold_start, others
from codec_people import ANNOTATIONS, Image, K, coco_people, crowded, fitted, made_up_people
from numpy.typing import NDArray
from results import machine, table, write_section

from spmdata.codec import Codec, Targets
from spmdata.padded import PeopleBatch, pad_people
from spmdata.people import People
from spmdata.spec import TargetSpec

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import naive  # the reference lies with the tests, which are no package

Action = Callable[[Any], object]


@dataclass
class Row:
    """One line of a table: the sides to run in round r, one after the other, and their times a picture."""

    name: str
    pictures: int
    people: float
    sides: dict[str, Action]
    rounds: int = 1_000_000
    times: dict[str, list[float]] = field(default_factory=dict)

    def us(self, side: str) -> float:
        """Return the median of a side in microseconds a picture."""
        return median(self.times[side]) * 1e6


def batches(people: Sequence[People], n: int) -> list[PeopleBatch]:
    """Return padded tables of n pictures each."""
    several = [people[i : i + n] for i in range(0, len(people) - n + 1, n)]
    return [pad_people(some, max(map(len, some)), K) for some in several]


def mean_people(given: Sequence[PeopleBatch]) -> float:
    return float(np.mean([batch.number.mean() for batch in given]))


@numba.njit(nogil=True)
def memset(maps: Any) -> None:
    numbers = maps.reshape(-1)
    for i in range(numbers.size):
        numbers[i] = 0


def empty(targets: Targets, one: Action) -> None:
    for array in targets:
        if array is not None:
            one(array)


@numba.njit(nogil=True)
def touch(maps: Any, places: Any) -> None:
    for i in places[0]:
        maps[0][i] = 1
    for i in places[1]:
        maps[1][i] = 1
    for i in places[2]:
        maps[2][i] = 1


def encode_row(codec: Codec, kept: Targets, given: list[PeopleBatch], name: str, rounds: int = 1_000_000) -> Row:
    """Return encoding into given buffers against zeroing them."""
    sides: dict[str, Action] = {
        "fill": lambda r: empty(kept, lambda maps: maps.fill(0)),
        "ours": lambda r: codec.encode_batch(given[r % len(given)], out=kept),
        "memset": lambda r: empty(kept, memset),
    }
    return Row(name, len(given[0].number), mean_people(given), sides, rounds)


def beyond_rows(pools: dict[str, list[PeopleBatch]], cells: int) -> list[Row]:
    """Return encoding as many pictures a call as caches do not hold: 64 are 91 or 166 MB."""
    hw, rows, size = (4 * cells, 4 * cells), [], f"{cells}x{cells}"
    kept = Codec(TargetSpec(input_hw=hw)).empty_targets(len(next(iter(pools.values()))[0].number))
    for hierarchical in (False, True):
        for metric in ("squared", "radius"):
            codec = Codec(TargetSpec(input_hw=hw, hierarchical=hierarchical, tau_metric=metric))
            kind = f"{'hier' if hierarchical else 'flat'}, {metric} 7"
            rows += [encode_row(codec, kept, given, f"{kind}, {pool}, {size}", 20) for pool, given in pools.items()]
    return rows


def kept_row(codec: Codec, given: list[PeopleBatch], name: str, channels_last: bool) -> Row:
    """Return encoding into buffers that are undone against writing the same cells once."""
    n, given = len(given[0].number), given[:8]
    ours, places = codec.kept(n, channels_last=channels_last), []

    def memory(maps: NDArray[Any]) -> NDArray[Any]:
        order = {5: (0, 3, 4, 1, 2), 4: (0, 2, 3, 1), 3: (0, 1, 2)}[maps.ndim] if channels_last else range(maps.ndim)
        return np.ascontiguousarray(maps.transpose(tuple(order))).reshape(-1)

    for batch in given:
        drawn = ours.encode(batch)
        covered = np.broadcast_to(np.asarray(drawn.count)[:, :, None], drawn.offsets.shape)
        places.append(tuple(np.flatnonzero(memory(m)) for m in (drawn.root_heatmap, covered, np.asarray(drawn.count))))
    buffers = tuple(np.zeros_like(memory(np.asarray(m))) for m in drawn[:3])
    sides: dict[str, Action] = {
        "touch": lambda r: touch(buffers, places[r % len(given)]),
        "ours": lambda r: ours.encode(given[r % len(given)]),
    }
    return Row(f"{name}, {'channels last' if channels_last else 'planes'}", n, mean_people(given), sides)


def decode_row(codec: Codec, given: list[PeopleBatch], name: str) -> Row:
    """Return decoding what was encoded, to tables and to People, against reading its heatmaps once."""
    maps = [codec.encode_batch(batch) for batch in given[: max(1, 16 // len(given[0].number))]]
    sides: dict[str, Action] = {
        "read": lambda r: np.max(maps[r % len(maps)].root_heatmap),
        "ours": lambda r: codec.decode_tables(maps[r % len(maps)]),
        "People": lambda r: codec.decode_batch(maps[r % len(maps)]),
    }
    return Row(name, len(given[0].number), mean_people(given[: len(maps)]), sides)


def peer_rows(spec: TargetSpec, people: list[People], kind: str) -> list[Row]:
    """Return one picture at a time: ours, numpy's and other packages', and the slow reference in rows of its own."""
    codec, numpy = Codec(spec), Vectorised(spec.tree.parents, spec.map_hw, spec.tau_cell)
    c = naive.Conventions(parents=spec.tree.parents, map_hw=spec.map_hw, tau=spec.tau, tau_metric=spec.tau_metric)
    maps = [codec.encode(one) for one in people]
    for one, drawn in zip(people, maps, strict=True):
        heatmap, offsets, count = numpy.encode(one.joints.astype(np.float64), one.visible)
        np.testing.assert_array_equal(count, drawn.count)
        np.testing.assert_allclose(offsets, drawn.offsets, atol=1e-6)
        np.testing.assert_allclose(heatmap, drawn.root_heatmap, atol=1e-6)
        found, ours = numpy.decode(drawn.root_heatmap, drawn.offsets), codec.decode(drawn)
        for joints, seen in zip(ours.joints, ours.labelled, strict=True):  # half-way, numpy sees a peak twice
            assert (np.abs(found - joints)[:, seen].max(axis=(1, 2)) < 2e-3).any()
    columns = [(one.joints, one.visible, one.area, one.bbox_xywh, one.ignore) for one in people]
    exact = [(one.joints.astype(np.float64), one.visible) for one in people]
    n, out = len(people), codec.empty_targets(1)
    encode: dict[str, Action] = {
        "ours": lambda r: codec.encode_batch([people[r % n]], out=out),
        "numpy": lambda r: numpy.encode(*exact[r % n]),
    }
    decode: dict[str, Action] = {
        "ours": lambda r: codec.decode(maps[r % n]),
        "numpy": lambda r: numpy.decode(maps[r % n].root_heatmap, maps[r % n].offsets),
    }
    for name, (draw, read) in others(spec.map_hw).items():
        encode[name] = lambda r, draw=draw: draw(*exact[r % n])  # type: ignore[misc]
        if read is not None:
            theirs = [draw(*one) for one in exact]
            decode[name] = lambda r, read=read, theirs=theirs: read(theirs[r % n])  # type: ignore[misc]
    reference: list[dict[str, Action]] = [
        {"naive": lambda r: naive.encode(c, columns[r % n])},
        {"naive": lambda r: naive.decode(c, maps[r % n].root_heatmap, maps[r % n].offsets, maps[r % n].count)},
    ]
    p = float(np.mean([len(one) for one in people]))
    names = [f"encode {kind}", f"decode {kind}"]
    rows = [Row(name, 1, p, sides) for name, sides in zip(names, (encode, decode), strict=True)]
    return rows + [Row(name, 1, p, sides, rounds=2) for name, sides in zip(names, reference, strict=True)]


def plan(images: Sequence[Image], source: str, n: int, rng: np.random.Generator) -> dict[str, list[Row]]:
    """Return the rows of every table."""
    rows: dict[str, list[Row]] = {"encode": [], "kept": [], "decode": [], "peers": []}
    for cells in (96, 128):
        people, size = fitted(images, cells * 4), f"{cells}x{cells}"
        pools = {source: batches(people, n)}
        large = {source: batches(people, 8 * n)}
        for p in (30, 100) if cells == 128 else ():
            pools[f"{p} persons"] = batches(crowded(people, p, 4 * n, rng), n)
            large[f"{p} persons"] = batches(crowded(people, p, 16 * n, rng), 8 * n)
        for hierarchical in (False, True):
            kind = "hier" if hierarchical else "flat"
            for metric in ("squared", "radius"):
                spec = TargetSpec(input_hw=(cells * 4,) * 2, hierarchical=hierarchical, tau_metric=metric)
                codec = Codec(spec)
                kept = codec.empty_targets(n)
                for pool, given in pools.items():
                    rows["encode"].append(encode_row(codec, kept, given, f"{kind}, {metric} 7, {pool}, {size}"))
                if cells == 128:
                    for last in (False, True):
                        rows["kept"].append(kept_row(codec, pools[source], f"{kind}, {metric} 7", last))
        if cells == 128:
            for overlap in ("nearest", "smallest"):
                codec = Codec(TargetSpec(input_hw=(512, 512), tau_metric="radius", overlap=overlap))
                for pool, given in pools.items():
                    rows["encode"].append(encode_row(codec, kept, given, f"flat, radius 7, {pool}, {overlap}, {size}"))
            for hierarchical in (False, True):
                kind = "hier" if hierarchical else "flat"
                spec = TargetSpec(input_hw=(512, 512), hierarchical=hierarchical)
                for pool, given in pools.items():
                    codec = Codec(spec.override(max_people=30 if pool == source else 200))
                    rows["decode"].append(decode_row(codec, given, f"{kind}, {pool}"))
                rows["peers"] += peer_rows(spec, people[:20], kind)
        rows["encode"] += beyond_rows(large, cells)
    return rows


def measure(rows: Sequence[Row], rounds: int) -> None:
    """Time every row in every round, by the thread's own clock: other processes' turns do not count.

    A row runs its sides twice in turn, and the first of each is thrown away: it pays for what the row before left in
    the caches, so that a memset would look slower than the work that begins with it. A row of few rounds runs once: it
    is slow, or larger than caches.
    """
    for r in range(rounds):
        for row in rows:
            if r < row.rounds:
                for timed in (False, True) if row.rounds > rounds else (True,):
                    for side, action in row.sides.items():
                        start = time.thread_time()
                        action(r)
                        if timed:
                            seconds = (time.thread_time() - start) / row.pictures
                            row.times.setdefault(side, []).append(seconds)


def report(rows: dict[str, list[Row]], cold: str) -> str:
    """Return the machine and the tables: each ratio beside its two sides."""

    def lines(name: str, sides: Sequence[str], limits: Sequence[str]) -> str:
        header = [name, "N", "P", *(f"{side} us" for side in sides), *(f"ours/{limit}" for limit in limits), "n"]
        found = [
            [row.name, f"{row.pictures}", f"{row.people:.1f}", *(f"{row.us(side):.1f}" for side in sides)]
            + [f"{row.us('ours') / row.us(limit):.2f}" for limit in limits]
            + [f"{len(row.times['ours'])}"]
            for row in rows[name]
        ]
        return table(header, found)

    ours = {row.name: row.us("ours") for row in rows["peers"] if "ours" in row.times}
    peers = [
        [row.name, side, f"{row.us(side):,.0f}", f"{row.us(side) / ours[row.name]:,.1f}", f"{len(row.times[side])}"]
        for row in rows["peers"]
        for side in row.sides
    ]
    text = (
        "Medians a picture over n rounds; N pictures a call, P people a picture (COCO: val2017). 8 pictures, 21 MB, "
        "stay in a third-level cache of 32 MB, 64, 166 MB, go past it. fill is `fill(0)` of the same buffers, memset "
        "libc's, one call an array, which goes past the caches from some size on; touch writes the same cells once; "
        "read is `np.max` of the heatmaps. Peers have one picture a call, ours from `People` and down to them."
    )
    absent = "" if len(others((8, 8))) == 2 else "\n\nNot installed, so without a row: mmpose or mmdet (CenterNet)."
    sections = [f"{machine('numpy', 'numba')}.", text]
    sections.append(lines("encode", ("ours", "fill", "memset"), ("fill", "memset")))
    sections.append(lines("kept", ("ours", "touch"), ("touch",)))
    sections.append(lines("decode", ("ours", "People", "read"), ("read",)))
    sections += [table(["peers", "who", "us", "who/ours", "n"], peers) + absent, cold]
    return "\n\n".join(sections)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the codec; prints tables.")
    parser.add_argument("--rounds", type=int, default=60, help="rounds (default 60)")
    parser.add_argument("--batch", type=int, default=8, help="pictures a call (default 8)")
    parser.add_argument("--write", action="store_true", help="write the section of RESULTS.md")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    Codec(TargetSpec()).warm_up()  # a few pictures would be done in plain Python
    path = Path(os.environ.get("SPM_DATA", "")) / ANNOTATIONS
    if not path.exists():
        print(f"SPM_DATA has no {ANNOTATIONS}: people are made up", file=sys.stderr)
        images, source = made_up_people(rng), "made up"
    else:
        images, source = coco_people(path), "COCO"
    images = [images[i] for i in rng.permutation(len(images))[:400]]
    rows = plan(images, source, arguments.batch, rng)
    measure([row for some in rows.values() for row in some], arguments.rounds)
    print(text := report(rows, cold_start()))
    if arguments.write:
        write_section("Kernels", text)


if __name__ == "__main__":
    main()
