"""The same rows written and read by other means: plain files, zarr-python, h5py, and packages to be installed.

A reader is called with row numbers and returns after it has them as arrays or bytes. Peers hold the same values, each
in the form that its documentation shows; none is a dependency.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  # the zstd filter
import numpy as np
import zarr
from numpy.typing import NDArray

from spmdata.padded import PeopleBatch
from spmdata.store.reader import Store

Read = Callable[[Sequence[int]], object]
MAPS = ("root_heatmap", "offsets", "count", "ignore")


def there(package: str) -> Any:
    """Return a package if it is installed, else None."""
    if importlib.util.find_spec(package) is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(package)


def kept_maps(store: Store, n: int) -> dict[str, NDArray[Any]]:
    """Return buffers for n rows of maps."""
    arrays = (store.layout.array(name) for name in MAPS)
    return {array.name: np.empty((n, *array.row_shape), array.numpy) for array in arrays}


def our_maps(store: Store, n: int) -> Read:
    out = kept_maps(store, n)
    return lambda rows: [store.read(name, rows, out[name]) for name in MAPS]


def zarr_maps(store: Store) -> Read:
    """Read row by row; all at once, by ``oindex``, takes it four times as long."""
    group: Any = zarr.open_group(store.path, mode="r")
    arrays = [group[name] for name in MAPS]
    return lambda rows: [array[row] for array in arrays for row in rows]


def h5py_maps(store: Store, n: int, *, whole: bool) -> Read:
    """Read from the one virtual file, or from the file of each shard."""
    out, R = kept_maps(store, n), store.layout.shard_rows
    shards = store.path.with_name(f"{store.path.name}.shards")
    names = [store.path] if whole else [shards / f"{shard:05d}.h5" for shard in range(store.layout.n_shards)]
    sets = [[h5py.File(name)[array] for array in MAPS] for name in names]

    def read(rows: Sequence[int]) -> None:
        for i, row in enumerate(rows):
            file, number = (0, row) if whole else divmod(row, R)
            for dataset, name in zip(sets[file], MAPS, strict=True):
                dataset.read_direct(out[name], np.s_[number], np.s_[i])

    return read


def write_raw(store: Store, folder: Path) -> list[Path]:
    """Write the maps as plain numbers, a file an array; return the files."""
    folder.mkdir()
    for name in MAPS:
        with (folder / name).open("wb") as file:
            for row in range(len(store)):
                store.read(name, [row]).tofile(file)
            file.flush()
            os.fsync(file.fileno())
    return [folder / name for name in MAPS]


def memmap_maps(store: Store, folder: Path, n: int, *, anew: bool) -> Read:
    """Copy rows out of mapped files; ``anew``: mapped again for each call, so that their pages can be dropped."""
    out, arrays = kept_maps(store, n), [store.layout.array(name) for name in MAPS]

    def map_files() -> list[NDArray[Any]]:
        return [np.memmap(folder / a.name, a.numpy, "r", shape=a.shape) for a in arrays]

    once = map_files()

    def read(rows: Sequence[int]) -> None:
        for array, mapped in zip(arrays, map_files() if anew else once, strict=True):
            for i, row in enumerate(rows):
                out[array.name][i] = mapped[row]

    return read


def tensorstore_maps(store: Store) -> Read | None:
    tensorstore = there("tensorstore")
    if tensorstore is None:
        return None
    context = tensorstore.Context({"cache_pool": {"total_bytes_limit": 0}})
    arrays = [
        tensorstore.open({"driver": "zarr3", "kvstore": f"file://{store.path / name}/"}, context=context).result()
        for name in MAPS
    ]
    return lambda rows: [future.result() for future in [array[list(rows)].read() for array in arrays]]


def mds(folder: Path, columns: dict[str, str], rows: Sequence[dict[str, Any]]) -> Any:
    """Write rows with mosaicml-streaming and return its data set; None when it is not installed."""
    streaming = there("streaming")
    if streaming is None:
        return None
    with streaming.MDSWriter(out=str(folder), columns=columns) as writer:
        for row in rows:
            writer.write(row)
    return streaming.StreamingDataset(local=str(folder), shuffle=False, batch_size=1)


def mds_maps(store: Store, folder: Path) -> Read | None:
    columns = {}
    for array in (store.layout.array(name) for name in MAPS):
        columns[array.name] = f"ndarray:{array.numpy.name}:{','.join(map(str, array.row_shape))}"
    rows = ({name: store.read(name, [row])[0] for name in MAPS} for row in range(len(store)))
    dataset = mds(folder, columns, rows)  # type: ignore[arg-type]
    return None if dataset is None else lambda some: [dataset[row] for row in some]


def people_rows(store: Store) -> list[dict[str, Any]]:
    """Return every row's people, not padded: what row-wise formats keep."""
    fields = ("joints", "visible", "area", "bbox", "ignore", "id")
    batch = store.people_batch(slice(None))
    return [
        {name: np.ascontiguousarray(getattr(batch, name)[row, :number]) for name in fields}
        for row, number in enumerate(batch.number.tolist())
    ]


def padded(rows: Sequence[dict[str, Any]], store: Store) -> PeopleBatch:
    """Return rows of any of the formats as one padded table, the quickest way found."""
    n, P, K = len(rows), store.layout.max_people, len(store.skeleton)
    out = PeopleBatch(
        *(np.zeros(n, np.uint32), np.zeros((n, P, K, 2), np.float32), np.zeros((n, P, K), np.uint8)),
        *(np.zeros((n, P), np.float32), np.zeros((n, P, 4), np.float32), np.zeros((n, P), np.bool_)),
        *(np.zeros((n, P), np.bool_), np.zeros((n, P), np.float32), np.zeros((n, P), np.int64)),
    )
    for i, row in enumerate(rows):
        p = len(row["area"])
        out.number[i] = p
        for name, values in row.items():
            getattr(out, name)[i, :p] = values
    return out


def mds_people(store: Store, folder: Path) -> Callable[[Sequence[int]], PeopleBatch] | None:
    kinds = {"joints": "float32", "visible": "uint8", "area": "float32", "bbox": "float32", "id": "int64"}
    columns = {name: f"ndarray:{kind}" for name, kind in kinds.items()} | {"ignore": "ndarray:uint8"}
    rows = [{**row, "ignore": row["ignore"].astype(np.uint8)} for row in people_rows(store)]
    dataset = mds(folder, columns, rows)
    return None if dataset is None else lambda some: padded([dataset[row] for row in some], store)


def litdata_people(store: Store, folder: Path) -> Callable[[Sequence[int]], PeopleBatch] | None:
    """Write by LitData's own writer of chunks, without the processes that its `optimize` starts."""
    litdata = there("litdata")
    if litdata is None:
        return None
    writer = importlib.import_module("litdata.streaming.writer").BinaryWriter(str(folder), chunk_bytes="64MB")
    for number, row in enumerate(people_rows(store)):
        writer[number] = row
    writer.done()
    writer.merge(1)
    dataset = litdata.StreamingDataset(str(folder), shuffle=False)
    return lambda some: padded([dataset[row] for row in some], store)


def image_readers(store: Store, folder: Path) -> dict[str, Callable[[int], object]]:
    """Return what reads the bytes of an image, by name; ours checks them."""
    folder.mkdir()
    images = [store.image_bytes(row) for row in range(len(store))]
    files = [folder / f"{row:06d}.jpg" for row in range(len(store))]
    for file, image in zip(files, images, strict=True):
        file.write_bytes(image)
    group: Any = zarr.open_group(store.path, mode="r")
    array = group["image"]
    found: dict[str, Callable[[int], object]] = {
        "ours": store.image_bytes,
        "plain files": lambda row: files[row].read_bytes(),
        "zarr-python": lambda row: array[row : row + 1],
    }
    if (lmdb := there("lmdb")) is not None:
        environment = lmdb.open(str(folder / "lmdb"), map_size=1 << 32)
        with environment.begin(write=True) as transaction:
            for row, image in enumerate(images):
                transaction.put(b"%08d" % row, image)

        def get(row: int) -> bytes:
            with environment.begin() as transaction:
                return bytes(transaction.get(b"%08d" % row))

        found["LMDB, unchecked"] = get
    dataset = mds(folder / "mds", {"image": "bytes"}, [{"image": image} for image in images])
    if dataset is not None:
        found["MDS, unchecked"] = lambda row: dataset[row]["image"]
    return found


def drop_pages(files: Sequence[Path]) -> None:
    """Have the kernel forget what it keeps of files that are on disk and nobody has mapped."""
    for file in files:
        handle = os.open(file, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def absent() -> str:
    """Name the packages that have no row because they are not installed."""
    packages = {"tensorstore": "tensorstore", "streaming": "mosaicml-streaming", "litdata": "LitData", "lmdb": "LMDB"}
    missing = [name for package, name in packages.items() if importlib.util.find_spec(package) is None]
    return f"Not installed, so without a row: {', '.join(missing)}." if missing else ""


if sys.platform != "linux":
    raise SystemExit("this needs Linux: pages are dropped by posix_fadvise")
