"""Rows read from a disk, from memory and from an S3-compatible server on loopback: by ranges, as it comes, read ahead.

A synthetic store is prepared once and copied. Every line reads the same rows with two threads: maps into a kept buffer
and the image's bytes, unpacked and checked, not decoded. *windowed*: rows of a window of shards that moves along, as a
stream takes them; *anywhere*: rows of the whole store in random order, with room in memory for a quarter of it. The
server (moto) is Python in a process of its own: it bounds what is measured here, so requests are counted too.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import fsspec
import numpy as np
from numpy.typing import NDArray
from results import machine, table, write_section

import spmdata.store.connection as connection
import spmdata.store.remote_shard as remote_shard
from spmdata.prepare.plan import plan_store
from spmdata.prepare.run import prepare_store
from spmdata.sources.registry import open_source
from spmdata.spec import TargetSpec
from spmdata.store.reader import Store, open_store

MAPS = ("root_heatmap", "offsets", "count", "ignore")
BATCH, WINDOW = 32, 4
KEYS = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
Read = Callable[[Store, NDArray[np.int64]], None]


@contextmanager
def s3() -> Iterator[None]:
    """Run moto's server in a process of its own, with a bucket, and name it in the environment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.environ |= {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_EC2_METADATA_DISABLED": "true"}
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.1)
        fsspec.filesystem("s3").mkdir("bucket")
        yield
    finally:
        server.terminate()
        server.wait()


def prepared(folder: Path, rows: int, shard_rows: int, size_px: int) -> Path:
    """Prepare the store."""
    source = open_source("synthetic", rows=rows, size_hw=(size_px, size_px))
    spec = TargetSpec.preset("paper", skeleton=source.skeleton, input_hw=(size_px, size_px))
    prepare_store(plan_store(source, spec, folder / "a.zarr", shard_rows=shard_rows))
    return folder / "a.zarr"


def copied(path: Path, url: str) -> str:
    """Copy a store object by object."""
    files, root = fsspec.url_to_fs(url)
    for file in path.rglob("*"):
        if file.is_file():
            files.pipe_file(f"{root}/{file.relative_to(path)}", file.read_bytes())
    return url


def windowed(store: Store, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return all rows, those of a moving window of shards mixed."""
    rows = np.arange(len(store))
    places = rng.permutation(store.layout.n_shards)[rows // store.layout.shard_rows]
    return rows[np.argsort(places + WINDOW * rng.random(len(rows)))]


def read_rows(store: Store, rows: NDArray[np.int64], ahead: bool) -> float:
    """Read batches with two threads; return rows per second."""
    out = {name: store.read(name, rows[:BATCH]) for name in MAPS}
    store.read("image_crc32c", rows[:1])

    def fill(part: slice, batch: NDArray[np.int64]) -> None:
        for name, maps in out.items():
            store.read(name, batch[part], out=maps[part][: len(batch[part])])
        for row in batch[part]:
            store.image_bytes(int(row))

    def bring(at: int) -> None:
        store.read_ahead((*MAPS, "image", "image_crc32c"), rows[at : at + BATCH])

    start_s = time.perf_counter()
    with ThreadPoolExecutor(3) as pool:
        coming = [pool.submit(bring, at) for at in ((0, BATCH) if ahead else ())]
        for at in range(0, len(rows), BATCH):
            if ahead:
                coming.pop(0).result()
                coming.append(pool.submit(bring, at + 2 * BATCH))
            batch = rows[at : at + BATCH]
            half = slice(0, BATCH // 2), slice(BATCH // 2, BATCH)
            list(pool.map(fill, half, [batch] * 2))
    return len(rows) / (time.perf_counter() - start_s)


def requests_of(url: str, read: Callable[[], float]) -> tuple[float, int]:
    """Return rows per second, and the requests that reading made."""
    made = 0
    request = connection.Connection.request

    def counted(self: connection.Connection, verb: str, name: str, ask: Any) -> Any:
        nonlocal made
        made += 1
        return request(self, verb, name, ask)

    connection.Connection.request = counted  # type: ignore[assignment]
    try:
        return read(), made
    finally:
        connection.Connection.request = request  # type: ignore[method-assign]


def measure(places: dict[str, str], rounds: int) -> list[list[str]]:
    """Return a line for every place and way of reading, the median of interleaved rounds."""
    usual, whole = remote_shard.REQUEST_BYTES, connection.WHOLE_BYTES
    store_bytes = sum(file.stat().st_size for file in Path(places["disk"]).rglob("c.*"))
    ways = [("windowed", "ranges", 0, whole), ("windowed", "as it comes", usual, whole),
            ("windowed", "read ahead", usual, whole), ("anywhere", "ranges", 0, store_bytes // 4),
            ("anywhere", "as it comes", usual, store_bytes // 4)]  # fmt: skip
    found: dict[tuple[str, str, str], list[tuple[float, int]]] = {}
    for round_ in range(rounds):
        rng = np.random.default_rng(round_)
        for order, way, remote_shard.REQUEST_BYTES, connection.WHOLE_BYTES in ways:
            for place, url in places.items():
                if place == "disk" and way != "ranges":
                    continue
                store = open_store(url)
                rows = windowed(store, rng) if order == "windowed" else rng.permutation(len(store))
                measured = requests_of(url, lambda: read_rows(store, rows, way == "read ahead"))  # noqa: B023
                found.setdefault((order, "pread" if place == "disk" else way, place), []).append(measured)
    remote_shard.REQUEST_BYTES, connection.WHOLE_BYTES = usual, whole
    return [
        [order, place, way, f"{median(r for r, _ in runs):,.0f}", f"{median(n for _, n in runs):,.0f}"]
        for (order, way, place), runs in sorted(found.items())
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--shard-rows", type=int, default=64)
    parser.add_argument("--size", type=int, default=256, help="input, px")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write the section of RESULTS.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, s3():
        path = prepared(Path(folder), options.rows, options.shard_rows, options.size)
        urls = {"memory": copied(path, "memory://bucket/a.zarr"), "S3 on loopback": copied(path, "s3://bucket/a.zarr")}
        mb = sum(file.stat().st_size for file in path.rglob("c.*")) / 1e6
        lines = measure({"disk": str(path), **urls}, options.rounds)
    header = ["order", "place", "way", "rows/s", "requests"]
    text = (
        f"{machine('fsspec', 's3fs', 'moto')}\n\n{options.rows:,} rows in shards of {options.shard_rows}, {mb:.0f} MB"
    )
    text += f"\n\n{table(header, lines)}"
    print(text)
    if options.write:
        write_section("Stores at URLs", text)


if __name__ == "__main__":
    main()
