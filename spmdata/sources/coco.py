"""COCO keypoint files as a source of Samples; one JSON object, gzip accepted.

Letters: N images (samples), K joints.
"""

from __future__ import annotations

import operator
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import SupportsIndex

import numpy as np
from numpy.typing import NDArray

from spmdata.errors import AnnotationError
from spmdata.people import People, Sample, SourceInfo
from spmdata.skeleton import Skeleton
from spmdata.skeletons import COCO17
from spmdata.sources.base import FolderImages
from spmdata.sources.coco_file import ImageTable, read_coco_file


@dataclass(eq=False)
class CocoSource:
    """A COCO keypoint file as a sequence of Samples in ascending image id; build one with `read`.

    Parameters
    ----------
    info : SourceInfo
        Provenance; ``sha256`` is of the file's bytes as they lie on disk, compressed when it is gzip.
    skeleton : Skeleton
        The K joints of its people.
    image_root : pathlib.Path or None
        Folder of `Sample.path`.
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
    def read(
        cls,
        annotations: Path,
        *,
        image_root: Path | None,
        skeleton: Skeleton = COCO17,
        split: str = "",
        all_images: bool = False,
    ) -> CocoSource:
        """Read a file once, check every number and keep the people as columns.

        Crowds and persons without labelled joints stay, as ignore regions. A missing or zero area becomes
        0.53 * w * h of the box, a missing or empty box the tight one of the labelled joints.

        Parameters
        ----------
        annotations : pathlib.Path
            JSON, or JSON compressed by gzip whatever its name.
        image_root : pathlib.Path or None
            Folder that ``file_name`` is relative to, not looked at here; None when images are not wanted.
        skeleton : Skeleton
            What ``keypoints`` mean; compared with the category's joint names when it has them.
        split : str
            Goes into ``info``.
        all_images : bool
            Keep images without a labelled person too.

        Returns
        -------
        CocoSource
            At least one sample.

        Raises
        ------
        AnnotationError
            The file is missing, damaged, not COCO or breaks its format, or nobody in it is labelled.
        """
        file = read_coco_file(annotations, skeleton, need_names=image_root is not None)
        images, image_of, people = file.images, file.image_of, file.people
        labelled = np.bincount(image_of[~people.regions], minlength=len(images.id))
        if not labelled.any():
            counts = Counter(images=len(images.id), persons=len(people)) + file.findings
            said = "; ".join(f"{what}: {n}" for what, n in counts.items())
            raise AnnotationError(
                f"no labelled person in {annotations} ({said}); is this an instances, captions or test file?"
            )
        rows = np.argsort(images.id)
        if not all_images:
            rows = rows[labelled[rows] > 0]
            file.findings["images without a labelled person, left out"] += len(images.id) - len(rows)
        sample_of_row = np.full(len(images.id), -1)
        sample_of_row[rows] = np.arange(len(rows))
        sample = sample_of_row[image_of]
        order = np.argsort(sample, kind="stable")[np.count_nonzero(sample < 0) :]
        return cls(
            info=SourceInfo("coco", split, annotations.name, file.sha256),
            skeleton=skeleton,
            image_root=image_root,
            n_people=np.bincount(sample[order], minlength=len(rows)).astype(np.int64),
            findings=tuple((what, n) for what, n in file.findings.items() if n),
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
        height, width = self.images.size_hw[index].tolist()
        return Sample(
            id=int(self.images.id[index]),
            path=self.images.path[index],
            size_hw=(height, width),
            people=self.people.select(np.arange(self._first[index], self._first[index + 1])),
            meta=self.images.meta[index],
        )
