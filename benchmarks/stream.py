"""How fast batches come: JPEG and targets by `RowStream`, against JPEG decode alone and against other loaders.

The rows are the 160 images of `$SPM_DATA`'s mini train set, several times over, in a store in a temporary folder. Every
side runs on without end; in each round each has its turn, throws away what it had read ahead, and is timed over so many
batches, by the clock and, for what happens in this process, by the processor's time, which others on the machine
disturb less. Our streams and JPEG decode alone have rounds by themselves first, as a trainer has one stream and nothing
else; then come rounds of everybody, for the ratios to others. Sides with worker processes are started first: a fork
makes this process copy each page of its buffers that it writes to afterwards, and takes their huge pages apart. The
second table is one thread's processor time for the parts of a row; from their sum follows what two threads should
reach, and beside it stands what they do. The third is targets alone, drawn of random rows.

Letters: B rows of a batch.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from results import machine, table, write_section
from stream_parts import parts_of_a_row, targets_alone
from stream_peers import MAPS, PACKAGES, PEERS, Turns, by_h5py, by_memmap, by_zarr, installed, workers
from stream_ways import Ours, Theirs, Way

from spmdata.images import load_input
from spmdata.prepare.plan import plan_store
from spmdata.prepare.run import prepare_store
from spmdata.sources.coco import CocoSource
from spmdata.spec import TargetSpec
from spmdata.store.reader import Store, open_store
from spmdata.stream import RowOrder, RowStream
from spmtrain.loader import StoreBatches
from spmtrain.stream import ShardStream

#: Batches at the start of a turn that may have been read ahead: threads and workers keep at most eight (Grain's).
STALE = 9
#: How long a side goes on reading ahead after its turn, at most; the next one waits for so long.
SETTLE_S = 1.0
LIMIT, DRAWN = "JPEG decode alone", "RowStream, targets drawn"


def prepare(folder: Path, copies: int, side_px: int) -> tuple[Store, int]:
    """Prepare the mini set several times over, in zarr and HDF5; return the store and how many rows differ."""
    root = Path(os.environ["SPM_DATA"]) / "coco"
    content = json.loads((root / "annotations/person_keypoints_train2017_mini.json").read_text())
    images, people = content["images"], content["annotations"]
    content["images"] = [i | {"id": i["id"] + 10**7 * copy} for copy in range(copies) for i in images]
    content["annotations"] = [
        a | {"id": a["id"] + 10**10 * copy, "image_id": a["image_id"] + 10**7 * copy}
        for copy in range(copies)
        for a in people
    ]
    path = folder / "annotations.json"
    path.write_text(json.dumps(content))
    source = CocoSource.read(path, image_root=root / "images/train2017")
    for name in ("a.zarr", "a.h5"):
        prepare_store(plan_store(source, TargetSpec(input_hw=(side_px, side_px)), folder / name, shard_rows=64))
    store = open_store(folder / "a.zarr")
    for name in MAPS:
        np.save(folder / f"{name}.npy", store.read(name, slice(len(images))))
    return store, len(images)


def decode_alone(store: Store, batch: int, threads: int) -> Iterator[Any]:
    """Yield decoded images alone: bytes in memory, kept buffers, read ahead by threads as a stream does."""
    data = [store.image_bytes(row) for row in range(len(store))]
    sizes = store.read("row/size_hw", slice(None)).tolist()
    order, hw = RowOrder(range(len(store)), store.layout.shard_rows), store.spec.input_hw
    buffers = deque(np.zeros((batch, *hw, 3), np.uint8) for _ in range(3))
    ready: deque[Any] = deque()
    position = 0

    def fill(rows: list[int], images: Any) -> None:
        for row, image in zip(rows, images, strict=True):
            height, width = sizes[row]
            load_input(data[row], (height, width), hw, out=image)

    with ThreadPoolExecutor(threads) as pool:
        while True:
            while len(ready) < 2:
                rows, images = order.take(position, batch).tolist(), buffers[0]
                cuts = [slice(batch * i // threads, batch * (i + 1) // threads) for i in range(threads)]
                ready.append((images, [pool.submit(fill, rows[cut], images[cut]) for cut in cuts]))
                buffers.rotate(-1)
                position += batch
            images, jobs = ready.popleft()
            for job in jobs:
                job.result()
            yield images


def sides(store: Store, folder: Path, distinct: int, batch: int, n: int) -> dict[str, Callable[[], Iterator[Any]]]:
    """Return every loader by its name, to be started when it is first asked for a batch."""
    order = RowOrder(range(len(store)), store.layout.shard_rows)

    def loader(make: Any) -> Iterator[Any]:
        return workers(Turns(make, order, batch), n, batch_size=None)

    def peer(name: str, way: Way) -> Iterator[Any]:
        return way.finished(PEERS[name](store, folder, batch, n, way), batch)

    loaders: dict[str, Callable[[], Iterator[Any]]] = {
        "DataLoader + StoreBatches, drawn": lambda: workers(
            StoreBatches(store, batch, targets="drawn"), n, batch_size=None
        ),
        "DataLoader + zarr-python": lambda: loader(partial(by_zarr, folder / "a.zarr", store.spec)),
        "DataLoader + h5py": lambda: loader(partial(by_h5py, folder / "a.h5", store.spec)),
        "DataLoader + np.memmap": lambda: loader(partial(by_memmap, folder, store, distinct)),
    }
    for way in (Ours(store.spec), Theirs(store.spec)):
        loaders |= {f"{name}, {way.name}": partial(peer, name, way) for name in installed()}
    return loaders | {
        LIMIT: lambda: decode_alone(store, batch, n),
        "RowStream, images alone": lambda: RowStream(store, batch, threads=n, targets="none"),
        DRAWN: lambda: RowStream(store, batch, threads=n, targets="drawn"),
        "RowStream, maps stored": lambda: RowStream(store, batch, threads=n, targets="stored"),
        "RowStream, maps stored, HDF5": lambda: RowStream(folder / "a.h5", batch, threads=n, targets="stored"),
        "ShardStream on the CPU, drawn": lambda: ShardStream(store, batch, 0, n, targets="drawn"),
        "ShardStream on the CPU, stored": lambda: ShardStream(store, batch, 0, n, targets="stored"),
    }


def is_ours(name: str) -> bool:
    """Return whether a side runs in this process: a stream of ours, or the limit."""
    return name == LIMIT or name.startswith(("RowStream", "ShardStream"))


def measure(
    makers: dict[str, Callable[[], Iterator[Any]]], batch: int, batches: int, rounds: int, settle_s: float
) -> dict[str, list[tuple[float, float]]]:
    """Return seconds a row, and processor's seconds, of every side in every round; a side that fails is left out."""
    running: dict[str, Iterator[Any]] = {}
    times: dict[str, list[tuple[float, float]]] = {}
    for name, make in makers.items():
        try:
            running[name] = iter(make())
            next(running[name])
        except Exception as error:  # another project's loader may fail in any way
            running.pop(name, None)
            print(f"{name}: {type(error).__name__}: {error}")
    for _ in range(rounds):
        for name, side in running.items():
            for _ in range(STALE):
                next(side)
            start, used = time.perf_counter(), time.process_time()
            for _ in range(batches):
                next(side)
            rows = batch * batches
            seconds = (time.perf_counter() - start) / rows, (time.process_time() - used) / rows
            times.setdefault(name, []).append(seconds)
            time.sleep(settle_s)
    for side in running.values():
        with suppress(AttributeError):
            side.close()  # type: ignore[attr-defined]
    running.clear()
    gc.collect()
    return times


def report(
    own: dict[str, list[tuple[float, float]]],
    times: dict[str, list[tuple[float, float]]],
    parts: dict[str, float],
    alone: tuple[float, float],
    setting: str,
) -> str:
    """Return the tables: of our streams by themselves, and of all together."""

    def ratio(name: str, which: int) -> float:
        of = own if name in own else times
        return median(a[which] / b[which] for a, b in zip(of[LIMIT], of[name], strict=True))

    lines, streams = [], [name for name in own if name != LIMIT]
    for name in (LIMIT, *streams, *(name for name in times if name not in own)):
        some = (own if name in own else times)[name]
        rate, cpu = 1 / median(wall for wall, _ in some), 1e6 * median(cpu for _, cpu in some)
        by_cpu = (f"{cpu:.0f}", f"{ratio(name, 1):.2f}") if name in (LIMIT, *streams) else ("", "")
        lines.append([name, f"{rate:,.0f}", f"{ratio(name, 0):.2f}", *by_cpu, f"{len(some)}"])
    lines += [[name, "not installed", "", "", "", ""] for name in PACKAGES if name not in installed()]
    shares = {
        "images alone": ("JPEG decode", "an image's bytes, checked"),
        "targets drawn": ("JPEG decode", "an image's bytes, checked", "people of a batch", "targets drawn"),
        "maps stored": ("JPEG decode", "an image's bytes, checked", "maps: bytes, checks, zstd"),
    }
    predicted = []
    for name, needed in shares.items():
        sum_us = sum(parts[part] for part in needed)
        reached = [f"{ratio(f'RowStream, {name}', which):.2f}" for which in (0, 1)]
        predicted.append([name, f"{sum_us:.0f}", f"{parts['JPEG decode'] / sum_us:.2f}", *reached])
    against = []
    for way in (Ours, Theirs):
        best = min(
            (name for name in times if name.endswith(way.name)),
            key=lambda name: median(wall for wall, _ in times[name]),
        )
        faster = median(b[0] / a[0] for a, b in zip(times[DRAWN], times[best], strict=True))
        against.append(f"{faster:.1f} times {best}")
    return "\n\n".join(
        (
            machine("numpy", "numba", "torch", "zarr", "simplejpeg"),
            f"{setting} Medians over n rounds; ratios of the same round.",
            table(["batches", "rows/s", f"of {LIMIT}", "processor us a row", "of the same", "n"], lines),
            f"{DRAWN}, against the best of each kind of peer: {'; '.join(against)}.",
            "One thread's processor time:",
            table(["part", "us a row"], [[name, f"{us:.1f}"] for name, us in parts.items()]),
            table(["RowStream, of decode alone", "sum, us", "predicted", "by the clock", "by processor"], predicted),
            f"Targets of random rows drawn from the recipe, one thread: {alone[0]:,.0f} a second; of people in memory: "
            f"{alone[1]:,.0f}.",
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Time batches; prints tables.")
    parser.add_argument("--rounds", type=int, default=7, help="rounds (default 7)")
    parser.add_argument("--batches", type=int, default=12, help="batches of a turn (default 12)")
    parser.add_argument("--batch", type=int, default=32, help="rows of a batch (default 32)")
    parser.add_argument("--threads", type=int, default=2, help="threads, or worker processes (default 2)")
    parser.add_argument("--copies", type=int, default=4, help="times that the set is repeated (default 4)")
    parser.add_argument("--side", type=int, default=384, help="input, px (default 384)")
    parser.add_argument("--write", action="store_true", help="write the section of RESULTS.md")
    given = parser.parse_args()
    if "SPM_DATA" not in os.environ:
        raise SystemExit("SPM_DATA is unset: it names the folder with coco/images")
    with tempfile.TemporaryDirectory() as name:
        store, distinct = prepare(Path(name), given.copies, given.side)
        Theirs(store.spec).check(store, distinct)
        makers = sides(store, Path(name), distinct, given.batch, given.threads)
        parts = parts_of_a_row(store, given.batch, 3 + 4 * given.rounds)
        alone = targets_alone(store, given.batch, 5 + 20 * given.rounds)
        ours = {name: make for name, make in makers.items() if is_ours(name)}
        own = measure(ours, given.batch, 2 * given.batches, 3 * given.rounds, 0.1)
        times = measure(makers, given.batch, given.batches, given.rounds, SETTLE_S)
    setting = (
        f"COCO mini train, {distinct} images {given.copies} times, {given.side} px, batches of {given.batch}, "
        f"{given.threads} threads or worker processes."
    )
    print(text := report(own, times, parts, alone, setting))
    if given.write:
        write_section("Stream", text)


if __name__ == "__main__":
    main()
