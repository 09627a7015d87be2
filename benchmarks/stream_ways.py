"""What other loaders' workers make of a row, in two ways.

* `Ours`, with our kernel: workers decode by our `load_input`, and this process draws into kept buffers, which is the
  fastest that they allow: maps are too large to be sent from process to process.
* `Theirs`, as their users write it today without us: workers decode by Pillow and draw by vectorised numpy
  (`codec_peers.Vectorised`), and batches of images and float32 maps come back, without the map of ignored regions.

Letters: B rows of a batch; H, W cells; K joints.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from codec_peers import Vectorised
from PIL import Image

from spmdata.codec import Codec
from spmdata.codec.kept import Kept
from spmdata.images import load_input
from spmdata.padded import pad_people
from spmdata.people import People
from spmdata.pixels import PAD_VALUE
from spmdata.spec import TargetSpec
from spmdata.store.reader import Store

Record = dict[str, Any]


def load_images(data: Sequence[bytes], sizes: Sequence[Sequence[int]], spec: TargetSpec) -> Any:
    """Return a batch of decoded images, (B, H_px, W_px, 3) uint8."""
    images = np.empty((len(data), *spec.input_hw, 3), np.uint8)
    for one, (height, width), image in zip(data, sizes, images, strict=True):
        load_input(one, (height, width), spec.input_hw, out=image)
    return images


class Row(NamedTuple):
    """What is kept of a row: the JPEG, height and width in px of the original, and its people without padding."""

    jpeg: bytes
    size_hw: tuple[int, int]
    people: People


def row_of(store: Store, row: int) -> Row:
    height, width = store.read("row/size_hw", [row])[0].tolist()
    return Row(store.image_bytes(row), (height, width), store.people(row))


def records(store: Store) -> Iterator[Record]:
    """Yield every row as other formats keep it."""
    for row in map(partial(row_of, store), range(len(store))):
        yield {"jpeg": row.jpeg, "people": pickle.dumps((row.size_hw, vars(row.people)))}


def unpacked(record: Record) -> Row:
    size_hw, columns = pickle.loads(record["people"])
    return Row(record["jpeg"], size_hw, People(**columns))


class Ours:
    """Images by our reader in the workers, targets by our kernel in this process."""

    name = "our kernel"

    def __init__(self, spec: TargetSpec) -> None:
        self._spec = spec

    def sample(self, row: Row) -> Any:
        """Return image (H_px, W_px, 3) uint8 and people."""
        return load_images([row.jpeg], [row.size_hw], self._spec)[0], row.people

    def batch(self, samples: Sequence[Any]) -> Any:
        """Return images in one tensor, which travels by shared memory, and the people."""
        return torch.from_numpy(np.stack([image for image, _ in samples])), [people for _, people in samples]

    def finished(self, batches: Iterator[Any], batch: int) -> Iterator[Any]:
        """Yield images and the targets of their people, drawn in this process into kept buffers."""
        kept: Kept = Codec(self._spec).kept(batch)
        for images, people in batches:
            padded = pad_people(people, max(1, *map(len, people)), len(self._spec.skeleton))
            yield images, kept.encode(padded)


class Theirs:
    """Images by Pillow and targets by numpy in the workers."""

    name = "Pillow and numpy"

    def __init__(self, spec: TargetSpec) -> None:
        self._input_hw = spec.input_hw
        self._numpy = Vectorised(spec.tree.parents, spec.map_hw, spec.tau_cell)

    def sample(self, row: Row) -> Any:
        """Return image (H_px, W_px, 3) uint8, heatmap (H, W), offsets (K, 2, H, W) float32, count (K, H, W) uint8."""
        image = np.full((*self._input_hw, 3), PAD_VALUE, np.uint8)
        with Image.open(io.BytesIO(row.jpeg)) as file:
            top, left = (self._input_hw[0] - file.height) // 2, (self._input_hw[1] - file.width) // 2
            image[top : top + file.height, left : left + file.width] = np.asarray(file.convert("RGB"))
        some = ~row.people.ignore
        joints = row.people.joints[some].astype(np.float64)
        heatmap, offsets, count = self._numpy.encode(joints, row.people.visible[some])
        return image, heatmap.astype(np.float32), offsets.astype(np.float32), count

    def batch(self, samples: Sequence[Any]) -> Any:
        """Return a tensor of each, which travels by shared memory."""
        return tuple(torch.from_numpy(np.stack(arrays)) for arrays in zip(*samples, strict=True))

    def finished(self, batches: Iterator[Any], batch: int) -> Iterator[Any]:
        """Yield what the workers made."""
        return batches

    def check(self, store: Store, rows: int) -> None:
        """Raise unless it makes of some rows what the store has: maps but for rounding, pixels but for the decoder."""
        for i in range(rows):
            image, *maps = self.sample(row := row_of(store, i))
            for name, found in zip(("root_heatmap", "offsets", "count"), maps, strict=True):
                np.testing.assert_allclose(found, store.read(name, [i])[0], atol=1e-6)
            ours = load_images([row.jpeg], [row.size_hw], store.spec)[0]
            assert np.abs(image - ours.astype(int)).mean() < 1


Way = Ours | Theirs


def collated(way: Way, records: Sequence[Record]) -> Any:
    return way.batch([way.sample(unpacked(record)) for record in records])
