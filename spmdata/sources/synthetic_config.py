"""What a synthetic data set shall look like, and the random numbers of its rows.

Letters: N rows, P people.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from spmdata.errors import AnnotationError

#: Raise it with every change that moves a joint or a pixel: it is part of the provenance.
GENERATOR = 1
#: How many rows' counts of people are drawn together: a row's own is known without its generator.
_BLOCK = 4096
_COUNTS, _ROWS = 0, 1


@dataclass(frozen=True)
class Synthetic:
    """An endless, seeded data set of drawn people; a value that can be hashed and pickled.

    Parameters
    ----------
    seed : int
        At least 0. Another seed is another data set.
    rows : int
        Rows of the source; no row depends on it.
    size_hw : (int, int)
        Height and width of the images in px, 32 to 2048. The same row at another size shows the same scene.
    people : (int, int)
        Fewest and most people in an image, up to 30.
    scale : (float, float)
        Smallest and largest height of a person, when standing, over the height of the image; 0.05 to 1.5.
        Who does not fit into the image whole and shall not be cut by its border is drawn smaller.
    crowding : float
        Probability that a person stands against an earlier one instead of where there is room.
    occlusion : float
        Probability that a thing hides part of a person.
    truncation : float
        Probability that a person is cut by the border of the image.

    Raises
    ------
    AnnotationError
        A value out of its range.
    """

    seed: int = 0
    rows: int = 1000
    size_hw: tuple[int, int] = (256, 256)
    people: tuple[int, int] = (1, 3)
    scale: tuple[float, float] = (0.4, 0.9)
    crowding: float = 0.4
    occlusion: float = 0.2
    truncation: float = 0.15

    def __post_init__(self) -> None:
        """Bring numbers to their types, so that equal settings have one digest, and check every range."""
        for name, kind in (
            ("seed", int),
            ("rows", int),
            ("crowding", float),
            ("occlusion", float),
            ("truncation", float),
        ):
            object.__setattr__(self, name, kind(getattr(self, name)))
        for name, kind in (("size_hw", int), ("people", int), ("scale", float)):
            low, high = getattr(self, name)
            object.__setattr__(self, name, (kind(low), kind(high)))
        if self.seed < 0 or self.rows < 1:
            raise AnnotationError(f"synthetic: seed must be at least 0 and rows 1, got {self.seed} and {self.rows}")
        if not 32 <= min(self.size_hw) <= max(self.size_hw) <= 2048:
            raise AnnotationError(f"synthetic: size_hw must be 32 to 2048 px, got {self.size_hw}")
        for name, least, most in (("people", 0, 30), ("scale", 0.05, 1.5)):
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                raise AnnotationError(f"synthetic: {name} must ascend within {least} to {most}, got {low, high}")
        for name in ("crowding", "occlusion", "truncation"):
            if not 0 <= getattr(self, name) <= 1:
                raise AnnotationError(f"synthetic: {name} is a probability, 0 to 1, got {getattr(self, name)}")

    @property
    def sha256(self) -> str:
        """Hex digest of every setting and of the generator's version: equal digests, equal rows."""
        text = json.dumps({"generator": GENERATOR, **asdict(self)}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def n_people(self, first: int, stop: int) -> NDArray[np.int64]:
        """Return how many people are in the rows of a range, without drawing them.

        Parameters
        ----------
        first, stop : int
            0 <= first <= stop.

        Returns
        -------
        (stop - first,) int64
        """
        blocks = range(first // _BLOCK, -(-stop // _BLOCK))
        counts = [_block_counts(self.seed, *self.people, block) for block in blocks]
        start = blocks.start * _BLOCK
        return np.concatenate([np.zeros(0, np.int64), *counts])[first - start : stop - start]

    def generator(self, index: int) -> np.random.Generator:
        """Return the random numbers of one row, the same whenever they are asked for."""
        return _generator(self.seed, _ROWS, index)


def _generator(seed: int, purpose: int, index: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, purpose, index))))


@lru_cache(maxsize=64)
def _block_counts(seed: int, low: int, high: int, block: int) -> NDArray[np.int64]:
    counts = _generator(seed, _COUNTS, block).integers(low, high, _BLOCK, np.int64, endpoint=True)
    counts.flags.writeable = False
    return counts
