"""The same rows by others: DataLoader over zarr-python, h5py and np.memmap; MDS, LitData, WebDataset, Grain.

Each is a function that yields batches without end, images decoded by our `load_input`. Formats with samples of their
own get the JPEG and the people of each row; their workers decode, and this process draws with our kernel into kept
buffers, which is the fastest that they allow: maps are too large to be sent from process to process.

Letters: B rows of a batch.
"""

from __future__ import annotations

import pickle
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
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from spmdata.codec import Codec
from spmdata.codec.kept import Kept
from spmdata.images import load_input
from spmdata.padded import pad_people
from spmdata.people import People
from spmdata.spec import TargetSpec
from spmdata.store.reader import Store
from spmdata.stream import RowOrder

MAPS = ("root_heatmap", "offsets", "count", "ignore")
PACKAGES = {"MDS": "streaming", "LitData": "litdata", "WebDataset": "webdataset", "Grain": "grain"}
#: Reads so many rows into arrays with a leading (B,): images, then maps.
Read = Callable[[Sequence[int]], list[Any]]
Record = dict[str, Any]


def load_images(data: Sequence[bytes], sizes: Sequence[Sequence[int]], spec: TargetSpec) -> Any:
    """Return a batch of decoded images, (B, H_px, W_px, 3) uint8."""
    images = np.empty((len(data), *spec.input_hw, 3), np.uint8)
    for one, (height, width), image in zip(data, sizes, images, strict=True):
        load_input(one, (height, width), spec.input_hw, out=image)
    return images


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


def records(store: Store) -> Iterator[Record]:
    """Yield every row as other formats keep it: the JPEG, its size, and its people without padding."""
    for row in range(len(store)):
        size_hw = store.read("row/size_hw", [row])[0].tolist()
        yield {"jpeg": store.image_bytes(row), "people": pickle.dumps((size_hw, vars(store.people(row))))}


def unpacked(record: Record, spec: TargetSpec) -> tuple[Any, People]:
    """Return a record's image, (H_px, W_px, 3) uint8, and its people."""
    size_hw, columns = pickle.loads(record["people"])
    return load_images([record["jpeg"]], [size_hw], spec)[0], People(**columns)


def collated(rows: Sequence[tuple[Any, People]]) -> tuple[Any, list[People]]:
    """Return images in one tensor, which travels by shared memory, and the people."""
    return torch.from_numpy(np.stack([image for image, _ in rows])), [people for _, people in rows]


def collated_records(rows: Sequence[Record], spec: TargetSpec) -> tuple[Any, list[People]]:
    return collated([unpacked(record, spec) for record in rows])


def drawn(batches: Iterator[tuple[Any, list[People]]], spec: TargetSpec, batch: int) -> Iterator[Any]:
    """Yield images and the targets of their people, drawn in this process into kept buffers."""
    kept: Kept = Codec(spec).kept(batch)
    for images, people in batches:
        padded = pad_people(people, max(1, *map(len, people)), len(spec.skeleton))
        yield images, kept.encode(padded)


def mds(store: Store, folder: Path, batch: int, n: int) -> Iterator[Any]:
    streaming: Any = import_module("streaming")
    with streaming.MDSWriter(out=str(folder / "mds"), columns={"jpeg": "bytes", "people": "bytes"}) as writer:
        for record in records(store):
            writer.write(record)
    dataset = streaming.StreamingDataset(local=str(folder / "mds"), shuffle=True, batch_size=batch)
    return workers(dataset, n, batch_size=batch, drop_last=True, collate_fn=partial(collated_records, spec=store.spec))


def lit_data(store: Store, folder: Path, batch: int, n: int) -> Iterator[Any]:
    litdata: Any = import_module("litdata")
    cache = import_module("litdata.streaming").Cache(str(folder / "lit"), chunk_bytes=1 << 24)
    for i, record in enumerate(records(store)):
        cache[i] = record
    cache.done()
    cache.merge()
    dataset = litdata.StreamingDataset(str(folder / "lit"), shuffle=True, drop_last=True)
    loader = litdata.StreamingDataLoader(
        dataset,
        batch_size=batch,
        num_workers=n,
        collate_fn=partial(collated_records, spec=store.spec),
        multiprocessing_context="fork",
        persistent_workers=True,
    )
    while True:
        yield from loader


def web_dataset(store: Store, folder: Path, batch: int, n: int) -> Iterator[Any]:
    webdataset: Any = import_module("webdataset")
    (folder / "web").mkdir()
    pattern = str(folder / "web/%05d.tar")
    with webdataset.ShardWriter(pattern, maxcount=store.layout.shard_rows, verbose=0) as sink:
        for i, record in enumerate(records(store)):
            sink.write({"__key__": f"{i:09d}", "jpeg": record["jpeg"], "people": record["people"]})
    shards = sorted(str(path) for path in (folder / "web").iterdir())
    dataset = webdataset.WebDataset(shards, resampled=True, shardshuffle=False).shuffle(512)
    return workers(dataset, n, batch_size=batch, collate_fn=partial(collated_records, spec=store.spec))


def grain(store: Store, folder: Path, batch: int, n: int) -> Iterator[Any]:
    package: Any = import_module("grain")

    class Source:
        """Rows of our store: Grain has no format of its own."""

        def __len__(self) -> int:
            return len(store)

        def __getitem__(self, row: int) -> tuple[Any, People]:
            height, width = store.read("row/size_hw", [row])[0].tolist()
            image = load_images([store.image_bytes(row)], [(height, width)], store.spec)[0]
            return image, store.people(row)

    def stacked(rows: Sequence[tuple[Any, People]]) -> tuple[Any, list[People]]:
        return np.stack([image for image, _ in rows]), [people for _, people in rows]

    dataset: Any = package.MapDataset.source(Source()).shuffle(seed=0).repeat().batch(batch, batch_fn=stacked)
    options = package.ReadOptions(num_threads=n, prefetch_buffer_size=3)
    return iter(dataset.to_iter_dataset(options))


PEERS: dict[str, Callable[[Store, Path, int, int], Iterator[Any]]] = {
    "MDS": mds,
    "LitData": lit_data,
    "WebDataset": web_dataset,
    "Grain": grain,
}


def installed() -> list[str]:
    """Return the peers that are."""
    return [name for name, package in PACKAGES.items() if find_spec(package)]
