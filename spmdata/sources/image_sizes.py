"""Sizes of images that the annotations do not give: from the files' headers, else guessed and said.

Letters: N images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: Headers read at once: the wait is the disk's.
THREADS = 8
#: (height, width) px of most films and photographs.
USUAL_HW = ((720, 1280), (1080, 1920))


def fill_sizes(
    size_hw: NDArray[np.int32],
    folder: Path | None,
    names: Sequence[str],
    reach_px: NDArray[np.float64],
    findings: Counter[str],
    usual_hw: Sequence[tuple[int, int]] = USUAL_HW,
) -> NDArray[np.int32]:
    """Return every image's size: the one given, the file's, or the smallest usual one that holds its people.

    An image whose header cannot be read is left to the run, which says why and skips its row.

    Parameters
    ----------
    size_hw : (N, 2) int32
        px; 0 where unknown.
    folder : pathlib.Path or None
        Of the images; None when they are not wanted.
    names : sequence of str, N
        Files below the folder.
    reach_px : (N, 2) float64
        Greatest x and y of a labelled joint.
    findings : Counter
        Guesses are counted here.
    usual_hw : sequence of (int, int)
        Sizes to guess from, the smallest first; beyond the last one the people's own extent.
    """
    sizes = size_hw.copy()
    unknown = np.flatnonzero((sizes == 0).any(1))
    if folder is not None and unknown.size:
        with ThreadPoolExecutor(THREADS) as pool:
            sizes[unknown] = list(pool.map(lambda i: header_size(folder / names[i]), unknown.tolist()))
    guessed = np.flatnonzero((sizes == 0).any(1))
    for i in guessed.tolist():
        x, y = np.ceil(reach_px[i] + 1).astype(int).tolist()
        fitting = [(h, w) for h, w in usual_hw if y <= h and x <= w]
        sizes[i] = fitting[0] if fitting else (max(y, usual_hw[0][0]), max(x, usual_hw[0][1]))
    findings["image sizes that no file tells: set to the smallest usual one that holds the joints"] += len(guessed)
    return sizes


def header_size(path: Path) -> tuple[int, int]:
    """Return (height, width) px of an image as stored, from its header; (0, 0) when that cannot be read."""
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except Exception:  # the run reads the file again and says what is wrong with it
        return 0, 0
