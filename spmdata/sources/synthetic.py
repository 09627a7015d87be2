"""Drawn people as a source of Samples: endless, seeded, with nothing to download.

A row is a pure function of the settings and its index. It is drawn once for its labels and once for its image, unless
both are asked for soon after each other in one process, as a task does that writes a shard.

Letters: N rows, P people.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import SupportsIndex

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from spmdata.people import People, Sample, SourceInfo
from spmdata.skeleton import Skeleton
from spmdata.skeletons import COCO17
from spmdata.sources.synthetic_config import Synthetic
from spmdata.sources.synthetic_scene import scene

JPEG_QUALITY = 95
#: Rows kept between the call for the labels and the one for the image: threads run ahead of each other by a few.
_KEPT_ROWS = 32


@dataclass(frozen=True)
class SyntheticImages:
    """Draws the image of a sample, whatever process it is in.

    Parameters
    ----------
    config : Synthetic
        The data set.
    """

    config: Synthetic

    def read(self, sample: Sample) -> bytes:
        """Return a JPEG of the row that ``sample.id`` names, its colours at full resolution."""
        _, pixels = _draw_row(_any_rows(self.config), sample.id)
        encoded: bytes = simplejpeg.encode_jpeg(pixels, JPEG_QUALITY, "RGB", "444", fastdct=False)
        return encoded


@dataclass(frozen=True, eq=False)
class SyntheticSource:
    """A sequence of drawn Samples.

    Parameters
    ----------
    config : Synthetic
        What they are like, and how many there are.
    with_images : bool
        Whether there is an image reader.
    """

    config: Synthetic
    with_images: bool = True

    @property
    def info(self) -> SourceInfo:
        """Provenance; ``sha256`` is of the settings and the generator's version."""
        return SourceInfo("synthetic", f"seed{self.config.seed}", "", self.config.sha256)

    @property
    def skeleton(self) -> Skeleton:
        """COCO's 17 joints."""
        return COCO17

    @property
    def travels(self) -> bool:
        """True: a row is drawn where it is written."""
        return True

    @property
    def image_reader(self) -> SyntheticImages | None:
        """Draws images; None when they were not asked for."""
        return SyntheticImages(self.config) if self.with_images else None

    @cached_property
    def n_people(self) -> NDArray[np.int64]:
        """People of each row, (N,), hidden ones included; nothing is drawn for it."""
        return self.config.n_people(0, self.config.rows)

    @property
    def findings(self) -> tuple[tuple[str, int], ...]:
        """Nothing is ever passed over."""
        return ()

    def __len__(self) -> int:
        """Return N."""
        return self.config.rows

    def __getitem__(self, index: SupportsIndex) -> Sample:
        """Return one sample, 0 <= index < N, with arrays of its own; IndexError beyond."""
        index = operator.index(index)
        if not 0 <= index < len(self):
            raise IndexError(f"sample must be in [0, {len(self) - 1}], got {index}")
        people, _ = _draw_row(_any_rows(self.config), index)
        return Sample(
            id=index,
            path=f"{index:06d}.jpg",
            size_hw=self.config.size_hw,
            people=people.select(np.arange(len(people))),
        )


def _any_rows(config: Synthetic) -> Synthetic:
    """Forget how many rows are wanted, which no row depends on: sets of different length share what is kept."""
    return replace(config, rows=1)


@lru_cache(maxsize=_KEPT_ROWS)
def _draw_row(config: Synthetic, index: int) -> tuple[People, NDArray[np.uint8]]:
    """Return the labels and the image of a row; two threads may draw the same at once, which does no harm."""
    drawn = scene(config, index)
    return drawn.people, drawn.pixels
