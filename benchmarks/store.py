"""The store against other ways to keep the same rows: bytes a row, random maps, targets from the recipe, images.

Every round runs each side once on the same random rows, in turn, pinned to one core; the numbers are medians over n
rounds. Warm is the processor's time of the whole process, so that threads of a peer count and other processes do
not; cold is wall time after the kernel dropped the files' pages. Maps are all four arrays of a row, dense, into kept
buffers; the store is COCO val2017's first pictures below ``$SPM_DATA``, prepared by this script. Peers that are not
installed have no row; WebDataset reads in sequence alone and has none either.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prepare import part_of
from results import machine, table, write_section
from store_peers import (
    absent,
    drop_pages,
    h5py_maps,
    image_readers,
    litdata_people,
    mds_maps,
    mds_people,
    memmap_maps,
    our_maps,
    tensorstore_maps,
    write_raw,
    zarr_maps,
)
from zstandard import ZstdCompressor

from spmdata.codec import Codec, Targets
from spmdata.geometry import letterbox
from spmdata.prepare.plan import plan_store
from spmdata.prepare.run import prepare_store
from spmdata.prepare.task import BATCH_ROWS
from spmdata.sources.base import Source
from spmdata.sources.registry import open_source
from spmdata.spec import TargetSpec
from spmdata.store.arrays import row_arrays
from spmdata.store.chunks import LEVEL, encode_chunk
from spmdata.store.reader import Store, open_store

Sides = dict[str, Callable[[Any], object]]
#: Rows read by one call.
BATCH = 16
SPEC = TargetSpec(input_hw=(384, 384), hierarchical=True)


def prepared(source: Source, path: Path, *, images: bool = False, hierarchical: bool = True) -> Store:
    """Prepare a source at 384 px and open the store."""
    spec = TargetSpec(input_hw=(384, 384), hierarchical=hierarchical)
    prepare_store(plan_store(source, spec, path, images=images), scheduler="sync")
    return open_store(path)


def run(
    sides: Sides, draw: Callable[[], Any], rounds: int, before: Callable[[], object] | None = None
) -> dict[str, list[float]]:
    """Return the seconds of every side in every round; with ``before``, done first, they are of the wall clock."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    clock = time.perf_counter if before else time.process_time
    for number in range(rounds + 1):
        rows, names = draw(), list(sides)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            if before:
                before()
            start = clock()
            sides[name](rows)
            seconds = clock() - start
            if number:  # the first round opens files and fills caches
                times[name].append(seconds)
    return times


def lines(times: dict[str, list[float]], per: int, goals: dict[str, str]) -> str:
    """Return a table of sides: the first is ours."""
    found = {name: median(seconds) / per for name, seconds in times.items()}
    ours = next(iter(found.values()))
    rows = [
        [name, f"{s * 1e6:,.1f}", f"{1 / s:,.0f}", f"{s / ours:.2f}", goals.get(name, ""), f"{len(times[name])}"]
        for name, s in found.items()
    ]
    return table(("who", "us", "a second", "its/ours", "goal", "n"), rows)


def bytes_table(folder: Path, root: Path) -> str:
    """Return what the maps and the recipe weigh on COCO's pictures at hand, those without anybody labelled included."""
    rows = []
    for kind in ("flat", "hier"):
        every = np.zeros(6)
        for split, all_images in (("train2017_mini", True), ("val2017_mini", False), ("val2017_mini", True)):
            annotations = root / f"annotations/person_keypoints_{split}.json"
            source = open_source("coco", annotations=annotations, no_images=True, all_images=all_images)
            store = prepared(source, folder / f"{split}-{kind}-{all_images}.zarr", hierarchical=kind == "hier")
            packed = store.array_bytes(0)
            assert store.layout.n_shards == 1
            maps = [packed[name] for name in ("root_heatmap", "offsets", "count", "ignore")]
            people = sum(n for name, n in packed.items() if name.startswith("people/"))
            found = np.array([store.layout.people, *maps, people])
            every += all_images * np.array([len(store), *found[1:]])
            name = split if all_images else f"{split}, labelled"
            rows.append(
                [f"{name}, {kind}", f"{len(store)}", f"{found[0] / len(store):.2f}", *weights(found, len(store))]
            )
        rows.append([f"both, all, {kind}", f"{every[0]:.0f}", "", *weights(every, int(every[0]))])
    header = ("COCO", "rows", "P", "heatmap", "offsets", "count", "ignore", "maps", "recipe")
    return table(header, rows) + "\n\nBytes a row, indexes and checksums included. Goals: maps 7,500, recipe 300."


def weights(found: NDArray[np.float64], rows: int) -> list[str]:
    """Return bytes a row of four maps, of all of them, and of the recipe."""
    return [f"{n / rows:,.0f}" for n in (*found[1:5], found[1:5].sum(), found[5])]


def level_table(source: Source) -> str:
    """Return what the maps weigh and take to compress by zstd's level, hierarchical at 384 px."""
    codec, arrays = Codec(SPEC), row_arrays(SPEC, 1, images=False, maps=True)
    samples = [source[row] for row in range(64)]
    maps = codec.encode_batch([s.people.transform(letterbox(s.size_hw, SPEC.input_hw).affine) for s in samples])
    rows = []
    for level in (1, 3, 5, 6, 9):
        cells, compress = [], ZstdCompressor(level).compress
        for array in arrays:
            values = [row.reshape(-1).view(np.uint8).data for row in getattr(maps, array.name)]
            times = []
            for _ in range(5):
                start = time.thread_time()
                packed = sum(len(compress(value)) for value in values)
                times.append(time.thread_time() - start)
            cells.append(f"{packed / len(samples):,.0f} B, {median(times) / len(samples) * 1e6:.0f} us")
        rows.append([f"{level}", *cells])
    header = ("level", *(array.name for array in arrays))
    return f"Maps of a row by zstd's level, a store's is {LEVEL}:\n\n{table(header, rows)}\n\n{other_forms(maps)}"


def other_forms(maps: Targets) -> str:
    """Return what the same maps would weigh in fewer frames, and with the bytes of the heatmap's numbers shuffled."""
    compress, n = ZstdCompressor(LEVEL).compress, len(maps.root_heatmap)
    arrays = [array for array in maps if array is not None]
    each = sum(len(compress(row.tobytes())) for array in arrays for row in array)
    together = sum(len(compress(b"".join(row.tobytes() for row in rows))) for rows in zip(*arrays, strict=True))
    whole = sum(len(compress(array.tobytes())) for array in arrays)
    heats = [row.view(np.uint8).reshape(-1, row.itemsize) for row in maps.root_heatmap]
    plain, shuffled = (sum(len(compress(h.tobytes())) for h in some) for some in (heats, [h.T for h in heats]))
    return (
        f"The same maps at level {LEVEL}, bytes a row: a frame an array and row {each / n:,.0f}, a frame a row "
        f"{together / n:,.0f}, a frame an array of all {n} rows {whole / n:,.0f}.\n"
        f"Their heatmaps {plain / n:,.0f}, and {shuffled / n:,.0f} with their bytes shuffled before zstd."
    )


def map_tables(folder: Path, source: Source, rng: random.Random, rounds: int) -> list[str]:
    """Return random rows of maps, warm and cold."""
    store, twin = prepared(source, folder / "maps.zarr"), prepared(source, folder / "maps.h5")
    raw = write_raw(store, folder / "raw")
    sides: dict[str, Any] = {
        "ours, zarr": our_maps(store, BATCH),
        "ours, HDF5": our_maps(twin, BATCH),
        "zarr-python": zarr_maps(store),
        "h5py, shard files": h5py_maps(twin, BATCH, whole=False),
        "h5py, one file": h5py_maps(twin, BATCH, whole=True),
        "np.memmap": memmap_maps(store, folder / "raw", BATCH, anew=False),
        "tensorstore": tensorstore_maps(store),
        "MDS": mds_maps(store, folder / "mds"),
    }
    sides = {name: side for name, side in sides.items() if side is not None}

    def draw() -> list[int]:
        return rng.sample(range(len(store)), BATCH)

    goals = {"zarr-python": ">= 10", "h5py, shard files": ">= 1.7", "h5py, one file": ">= 1.7"}
    warm = lines(run(sides, draw, rounds), BATCH, goals)
    del sides["np.memmap"]  # it would hold the pages
    files = [*raw, *(file for file in (folder / "maps.zarr").rglob("c.*") if file.is_file())]
    mapped = memmap_maps(store, folder / "raw", BATCH, anew=True)
    some: Sides = {"ours, zarr": sides["ours, zarr"], "np.memmap": mapped}
    cold = lines(run(some, draw, rounds, before=lambda: drop_pages(files)), BATCH, {"np.memmap": ">= 10"})
    dense = sum(file.stat().st_size for file in raw) / len(store)
    title = f"of {len(store)} rows, {store.layout.people / len(store):.2f} people each, {dense / 1e6:.2f} MB dense"
    return [f"Random rows of maps, warm, {title}:\n\n{warm}", f"The same, cold:\n\n{cold}"]


def recipe_table(folder: Path, store: Store, rng: random.Random, rounds: int) -> str:
    """Return random rows' targets drawn from their people, into kept buffers, all by our kernel."""
    codec = Codec(store.spec)
    kept, fresh = codec.kept(BATCH), codec.empty_targets(BATCH)
    peers = {"MDS": mds_people(store, folder / "mds-people"), "LitData": litdata_people(store, folder / "litdata")}
    sides: Sides = {"ours": lambda rows: kept.encode(store.people_batch(rows))}
    for name, read in peers.items():
        if read is not None:
            sides[f"{name} people, our kernel"] = lambda rows, read=read: kept.encode(read(rows))  # type: ignore[misc]
    sides["memset of as much"] = lambda rows: zero(fresh)

    def draw() -> list[int]:
        return rng.sample(range(len(store)), BATCH)

    text = lines(run(sides, draw, 4 * rounds), BATCH, {"ours": "15,000 a second", "MDS people, our kernel": ">= 2"})
    return f"Targets of random rows, drawn from the recipe into kept buffers:\n\n{text}"


def zero(targets: Targets) -> None:
    for array in targets:
        if array is not None:
            array.fill(0)


def image_table(folder: Path, root: Path, rng: random.Random, rounds: int) -> str:
    """Return the bytes of a random image."""
    annotations = root / "annotations/person_keypoints_train2017_mini.json"
    source = open_source("coco", annotations=annotations, all_images=True)
    store = prepared(source, folder / "images.zarr", images=True)
    some: Sides = {
        name: lambda rows, read=read: [read(row) for row in rows]  # type: ignore[misc]
        for name, read in image_readers(store, folder / "images").items()
    }

    def draw() -> list[int]:
        return rng.choices(np.flatnonzero(store.status == 0).tolist(), k=4 * BATCH)

    mean = np.mean([len(store.image_bytes(row)) for row in range(len(store))])
    text = lines(run(some, draw, rounds), 4 * BATCH, {"ours": "<= 10 us"})
    return f"The bytes of a random image, {mean / 1e3:.0f} kB, crc32c checked by ours and zarr-python:\n\n{text}"


def prepare_table(folder: Path, root: Path, rounds: int) -> str:
    """Return preparing rows without images against encoding, packing and checksums alone."""
    annotations = root / "annotations/person_keypoints_val2017.json.gz"
    source = open_source("coco", annotations=annotations, no_images=True)
    codec, arrays, n = Codec(SPEC), row_arrays(SPEC, 1, images=False, maps=True), len(source)
    kept, number = codec.empty_targets(BATCH_ROWS), count()
    plan = plan_store(source, SPEC, folder / "prepared.zarr", images=False)
    samples = [source[i] for i in range(n)]
    people = [sample.people.transform(letterbox(sample.size_hw, SPEC.input_hw).affine) for sample in samples]

    def alone(_: object) -> None:
        for at in range(0, n, BATCH_ROWS):
            some = people[at : at + BATCH_ROWS]
            maps = codec.encode_batch(some, kept.at(slice(len(some))))._asdict()
            for array in arrays:
                for value in maps[array.name]:
                    encode_chunk(array, value)

    def whole(_: object) -> None:  # a new store each time: removing an old one is no part of preparing
        prepare_store(replace(plan, path=folder / f"prepared{next(number)}.zarr"), scheduler="sync")

    times = run({"prepare": whole, "encode, zstd, crc32c alone": alone}, lambda: None, rounds)
    text = lines(times, n, {"encode, zstd, crc32c alone": ">= 0.8"})
    return f"Preparing {n} rows without images, one core:\n\n{text}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the store; prints tables.")
    parser.add_argument(
        "--rows", type=int, default=512, help="rows of the store of maps (default 512; 1.4 MB each as plain numbers)"
    )
    parser.add_argument("--rounds", type=int, default=30, help="rounds (default 30)")
    parser.add_argument("--write", action="store_true", help="write the section of RESULTS.md")
    arguments = parser.parse_args()
    if "SPM_DATA" not in os.environ:
        raise SystemExit("SPM_DATA is unset: it names the folder with coco/annotations")
    root, rng = Path(os.environ["SPM_DATA"]) / "coco", random.Random(0)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        content = json.loads(gzip.decompress((root / "annotations/person_keypoints_val2017.json.gz").read_bytes()))
        part = folder / "person_keypoints_val2017.json"
        part.write_text(json.dumps(part_of(content, arguments.rows / len(content["images"]))))
        source = open_source("coco", annotations=part, no_images=True)
        sections = [bytes_table(folder, root), level_table(source)]
        sections += [*map_tables(folder, source, rng, arguments.rounds)]
        sections.append(recipe_table(folder, open_store(folder / "maps.zarr"), rng, arguments.rounds))
        sections.append(image_table(folder, root, rng, arguments.rounds))
        sections.append(prepare_table(folder, root, max(2, arguments.rounds // 6)))
    text = "\n\n".join([f"{machine('numpy', 'zarr', 'h5py', 'zstandard')}.", *sections, absent()])
    print(text)
    if arguments.write:
        write_section("Store", text)


if __name__ == "__main__":
    main()
