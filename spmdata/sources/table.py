"""A parsed data set as columns: the images, and everybody in them, sample after sample.

Letters: N images (samples); P persons.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from spmdata.camera import Camera
from spmdata.errors import AnnotationError
from spmdata.people import People, Sample, SourceInfo
from spmdata.skeleton import Skeleton
from spmdata.sources.base import FolderImages


class ImageTable(NamedTuple):
    """The images of a file, one a row.

    Id (N,), (height, width) px (N, 2), file name, JSON text of extras, and the camera of each, if any have one.
    """

    id: NDArray[np.int64]
    size_hw: NDArray[np.int32]
    path: Sequence[str]
    meta: Sequence[str]
    camera: Sequence[Camera] = ()

    def select(self, rows: NDArray[np.integer]) -> ImageTable:
        """Return some of the images in that order."""
        path, meta, camera = (
            [column[row] for row in rows] if column else () for column in (self.path, self.meta, self.camera)
        )
        return ImageTable(self.id[rows], self.size_hw[rows], path, meta, camera)


@dataclass(eq=False)
class TableSource:
    """Images in ascending id and their people as a sequence of Samples; build one with `of`.

    Parameters
    ----------
    info : SourceInfo
        Provenance; ``sha256`` is of the file's bytes as they lie on disk.
    skeleton : Skeleton
        The K joints of its people.
    image_root : pathlib.Path or None
        Folder of `Sample.path`; None when images are not wanted.
    n_people : (N,) int64
        People of each sample, ignored ones included.
    findings : tuple of (str, int)
        What was passed over or mended, in words, and how often.
    images : ImageTable
        The N samples' images.
    people : People
        Everybody, sample after sample, within one in the order of the file.
    """

    info: SourceInfo
    skeleton: Skeleton
    image_root: Path | None
    n_people: NDArray[np.int64]
    findings: tuple[tuple[str, int], ...]
    images: ImageTable
    people: People

    def __post_init__(self) -> None:
        """Find where each sample's people begin, (N + 1,)."""
        self._first = np.concatenate([[0], np.cumsum(self.n_people)])

    @classmethod
    def of(
        cls,
        info: SourceInfo,
        skeleton: Skeleton,
        images: ImageTable,
        image_of: NDArray[np.int64],
        people: People,
        *,
        image_root: Path | None,
        findings: Counter[str],
        all_images: bool,
        where: object,
        hint: str,
    ) -> Self:
        """Sort what a file holds into samples.

        Parameters
        ----------
        info, skeleton, image_root
            As of the class.
        images : ImageTable
            In any order.
        image_of : (P,) int64
            Each person's row of ``images``.
        people : People
            In any order.
        findings : Counter
            What the reader found; images left out are added.
        all_images : bool
            Keep images without a labelled person too.
        where, hint : object, str
            The file, and what may be wrong when nobody is labelled, for the message.

        Raises
        ------
        AnnotationError
            Nobody is labelled.
        """
        labelled = np.bincount(image_of[~people.regions], minlength=len(images.id))
        if not labelled.any():
            counts = {"images": len(images.id), "persons": len(people), **+findings}
            said = "; ".join(f"{n:,} {what}" for what, n in counts.items())
            raise AnnotationError(f"no labelled person in {where} ({said}); {hint}")
        rows = np.argsort(images.id, kind="stable")
        if not all_images:
            rows = rows[labelled[rows] > 0]
            findings["images without a labelled person: left out"] += len(images.id) - len(rows)
        sample_of_row = np.full(len(images.id), -1)
        sample_of_row[rows] = np.arange(len(rows))
        sample = sample_of_row[image_of]
        order = np.argsort(sample, kind="stable")[np.count_nonzero(sample < 0) :]
        return cls(
            info=info,
            skeleton=skeleton,
            image_root=image_root,
            n_people=np.bincount(sample[order], minlength=len(rows)).astype(np.int64),
            findings=tuple((what, n) for what, n in findings.items() if n),
            images=images.select(rows),
            people=people.select(order),
        )

    @property
    def travels(self) -> bool:
        """False: workers never hold all annotations."""
        return False

    @property
    def image_reader(self) -> FolderImages | None:
        """Files below ``image_root``; None without one."""
        return None if self.image_root is None else FolderImages(self.image_root)

    def __len__(self) -> int:
        """Return N."""
        return len(self.n_people)

    def __getitem__(self, index: SupportsIndex) -> Sample:
        """Return one sample, 0 <= index < N, with arrays of its own; IndexError beyond."""
        index = operator.index(index)
        if not 0 <= index < len(self):
            raise IndexError(f"sample must be in [0, {len(self) - 1}], got {index}")
        ids, sizes, paths, metas, cameras = self.images
        height, width = sizes[index].tolist()
        return Sample(
            id=ids.item(index),
            path=paths[index],
            size_hw=(height, width),
            people=self.people.select(slice(*self._first[index : index + 2].tolist())),
            camera=cameras[index] if cameras else None,
            meta=metas[index],
        )
