"""What a data set must offer to be prepared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spmdata.errors import ImageError, SpecError
from spmdata.images import read_bytes
from spmdata.people import Sample, SourceInfo
from spmdata.skeleton import Skeleton


class ImageReader(Protocol):
    """Gets at the images of a source; travels to the workers, so it is small and can be pickled."""

    def read(self, sample: Sample) -> bytes:
        """Return the image file's bytes; ImageError when there is none, without the file's name."""
        ...


@dataclass(frozen=True)
class FolderImages:
    """Images that are files: `Sample.path` below a folder."""

    root: Path

    def read(self, sample: Sample) -> bytes:
        """Return the file's bytes; ImageError when it is missing, unreadable or empty.

        SpecError when the whole folder is gone: that is no fault of one image, and skipping them all would be none.
        """
        try:
            return read_bytes(self.root / sample.path)
        except ImageError as error:
            if not self.root.is_dir():
                raise SpecError(
                    f"the folder of the images, {self.root}, is not there (any more); "
                    "bring it back and run the same command again"
                ) from error
            raise


class Source(Protocol):
    """An annotation file, parsed once: a sequence of Samples, one an image.

    Attributes
    ----------
    info : SourceInfo
        Provenance for the store.
    skeleton : Skeleton
        The joints that its people have.
    image_reader : ImageReader or None
        Gets the images; None when they were not asked for.
    n_people : (N,) int64
        People of each sample, ignored ones included, known without building it.
    travels : bool
        The source is small: workers get it whole and make their samples themselves, instead of being sent them.
    findings : tuple of (str, int)
        What was passed over or mended while parsing and how often, in words that go on after the number: ``areas
        missing or zero: set to 0.53 * w * h of the box``.
    """

    @property
    def info(self) -> SourceInfo:
        """Provenance for the store."""
        ...

    @property
    def skeleton(self) -> Skeleton:
        """The joints."""
        ...

    @property
    def image_reader(self) -> ImageReader | None:
        """Gets the images; None without."""
        ...

    @property
    def n_people(self) -> NDArray[np.int64]:
        """People of each sample, (N,)."""
        ...

    @property
    def travels(self) -> bool:
        """Workers get the source whole."""
        ...

    @property
    def findings(self) -> tuple[tuple[str, int], ...]:
        """What was passed over or mended, and how often."""
        ...

    def __len__(self) -> int:
        """Return N, the number of samples."""
        ...

    def __getitem__(self, index: int) -> Sample:
        """Return one sample, 0 <= index < N."""
        ...
