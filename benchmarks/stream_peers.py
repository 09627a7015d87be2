"""The same rows by others: DataLoader over zarr-python, h5py, np.memmap and files; MDS, LitData, WebDataset, Grain.

Each is a function that yields batches without end. Formats with samples of their own, and plain files, get the JPEG and
the people of each row; what is made of them is `stream_ways`.

Letters: B rows of a batch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stream_ways import Ours, Way, collated, load_images, records, row_of
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from spmdata.spec import TargetSpec
from spmdata.store.reader import Store
from spmdata.stream import RowOrder

MAPS = ("root_heatmap", "offsets", "count", "ignore")
PACKAGES = {"MDS": "streaming", "LitData": "litdata", "WebDataset": "webdataset", "Grain": "grain"}
#: Reads so many rows into arrays with a leading (B,): images, then maps.
Read = Callable[[Sequence[int]], list[Any]]


def by_zarr(path: Path, spec: TargetSpec) -> Read:
    """Read by zarr-python."""
    import zarr

    warnings.simplefilter("ignore")  # of a type without a specification
    group: Any = zarr.open_group(path, mode="r")
    sizes = group["row/size_hw"][:].tolist()

    def read(rows: Sequence[int]) -> list[Any]:
        data = [group["image"][row : row + 1][0] for row in rows]
        return [
            load_images(data, [sizes[row] for row in rows], spec),
            *(np.stack([group[name][row] for row in rows]) for name in MAPS),
        ]

    return read


def by_h5py(path: Path, spec: TargetSpec) -> Read:
    """Read the HDF5 twin by h5py."""
    import h5py
    import hdf5plugin  # noqa: F401  # h5py reads zstd by it

    file = h5py.File(path, "r")
    sizes = file["row/size_hw"][:].tolist()

    def read(rows: Sequence[int]) -> list[Any]:
        data = [file["image"][row].tobytes() for row in rows]
        return [
            load_images(data, [sizes[row] for row in rows], spec),
            *(np.stack([file[name][row] for row in rows]) for name in MAPS),
        ]

    return read


def by_memmap(folder: Path, store: Store, distinct: int) -> Read:
    """Read maps from plain files of all rows that differ, images by our reader."""
    maps = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in MAPS}
    sizes = store.read("row/size_hw", slice(None)).tolist()

    def read(rows: Sequence[int]) -> list[Any]:
        data = [store.image_bytes(row) for row in rows]
        return [
            load_images(data, [sizes[row] for row in rows], store.spec),
            *(np.stack([maps[name][row % distinct] for row in rows]) for name in MAPS),
        ]

    return read


class Turns(IterableDataset[list[torch.Tensor]]):
    """Whole batches in a shuffled order; workers take turns."""

    def __init__(self, make: Callable[[], Read], order: RowOrder, batch: int) -> None:
        self._make, self._order, self._batch = make, order, batch

    def __iter__(self) -> Iterator[list[torch.Tensor]]:
        """Yield this worker's batches."""
        read, worker = self._make(), get_worker_info()
        turn, turns = (worker.id, worker.num_workers) if worker else (0, 1)
        for position in count(turn * self._batch, turns * self._batch):
            arrays = read(self._order.take(position, self._batch).tolist())
            yield [torch.from_numpy(array) for array in arrays]


def workers(dataset: Any, n: int, **options: Any) -> Iterator[Any]:
    """Yield from a DataLoader with n forked workers, again and again."""
    options |= {"num_workers": n, "multiprocessing_context": "fork", "persistent_workers": True}
    loader: Any = DataLoader(dataset, **options)
    while True:
        yield from loader


def files(store: Store, folder: Path, batch: int, n: int, way: Way) -> Iterator[Any]:
    """Yield from a DataLoader over files in a folder, with their people in memory: what most training code does."""
    (folder / "files").mkdir(exist_ok=True)
    rows = [row_of(store, i) for i in range(len(store))]
    paths = [folder / f"files/{i}.jpg" for i in range(len(rows))]
    for row, path in zip(rows, paths, strict=True):
        path.write_bytes(row.jpeg)

    class Files(Dataset[Any]):
        def __len__(self) -> int:
            return len(rows)

        def __getitem__(self, i: int) -> Any:
            return way.sample(rows[i]._replace(jpeg=paths[i].read_bytes()))

    return workers(Files(), n, batch_size=batch, shuffle=True, drop_last=True, collate_fn=way.batch)


def mds(store: Store, folder: Path, batch: int, n: int, way: Way) -> Iterator[Any]:
    streaming: Any = import_module("streaming")
    path = str(folder / f"mds {way.name}")
    with streaming.MDSWriter(out=path, columns={"jpeg": "bytes", "people": "bytes"}) as writer:
        for record in records(store):
            writer.write(record)
    dataset = streaming.StreamingDataset(local=path, shuffle=True, batch_size=batch)
    return workers(dataset, n, batch_size=batch, drop_last=True, collate_fn=partial(collated, way))


def lit_data(store: Store, folder: Path, batch: int, n: int, way: Way) -> Iterator[Any]:
    litdata: Any = import_module("litdata")
    path = str(folder / f"lit {way.name}")
    cache = import_module("litdata.streaming").Cache(path, chunk_bytes=1 << 24)
    for i, record in enumerate(records(store)):
        cache[i] = record
    cache.done()
    cache.merge()
    loader = litdata.StreamingDataLoader(
        litdata.StreamingDataset(path, shuffle=True, drop_last=True),
        batch_size=batch,
        num_workers=n,
        collate_fn=partial(collated, way),
        multiprocessing_context="fork",
        persistent_workers=True,
    )
    while True:
        yield from loader


def web_dataset(store: Store, folder: Path, batch: int, n: int, way: Way) -> Iterator[Any]:
    webdataset: Any = import_module("webdataset")
    path = folder / f"web {way.name}"
    path.mkdir()
    with webdataset.ShardWriter(str(path / "%05d.tar"), maxcount=store.layout.shard_rows, verbose=0) as sink:
        for i, record in enumerate(records(store)):
            sink.write({"__key__": f"{i:09d}", "jpeg": record["jpeg"], "people": record["people"]})
    shards = sorted(map(str, path.iterdir()))
    dataset = webdataset.WebDataset(shards, resampled=True, shardshuffle=False).shuffle(512)
    return workers(dataset, n, batch_size=batch, collate_fn=partial(collated, way))


class Source:
    """Rows of our store for Grain, which has no format of its own."""

    def __init__(self, store: Store, way: Way) -> None:
        self._store, self._way = store, way

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._store)

    def __getitem__(self, row: int) -> Any:
        """Return a sample."""
        return self._way.sample(row_of(self._store, row))


def grain(store: Store, folder: Path, batch: int, n: int, way: Way) -> Iterator[Any]:
    """Yield from threads where these release the GIL, else from worker processes: what is faster of the two."""
    package: Any = import_module("grain")
    dataset = package.MapDataset.source(Source(store, way)).shuffle(seed=0).repeat()
    if isinstance(way, Ours):
        options = package.ReadOptions(num_threads=n, prefetch_buffer_size=3)
        return iter(dataset.batch(batch, batch_fn=way.batch).to_iter_dataset(options))
    options = package.ReadOptions(num_threads=1, prefetch_buffer_size=1)
    processes = package.MultiprocessingOptions(num_workers=n, per_worker_buffer_size=1)
    return iter(dataset.batch(batch).to_iter_dataset(options).mp_prefetch(processes))


PEERS: dict[str, Callable[[Store, Path, int, int, Way], Iterator[Any]]] = {
    "DataLoader + files": files,
    "MDS": mds,
    "LitData": lit_data,
    "WebDataset": web_dataset,
    "Grain": grain,
}


def installed() -> list[str]:
    """Return the peers that are."""
    return [name for name in PEERS if name not in PACKAGES or find_spec(PACKAGES[name])]
