"""MPII, one person a record: the JSON and the HDF5 file in which single-person estimators have it.

Other people in the image are missing there, so that they would be taught as background.

Letters: P records, K = 16 joints.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from spmdata.errors import AnnotationError
from spmdata.people import People
from spmdata.skeletons import MPII16
from spmdata.sources.mpii_file import MpiiFile
from spmdata.sources.records import decode_file, decode_record, read_text

MISSING_PEOPLE = "one-person records: other people in their images are missing, and would be taught as background"


_Px = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]


class _Record(msgspec.Struct):
    image: str
    joints: list[tuple[_Px, _Px]] | None = None
    joints_vis: list[float] | None = None


def read_mpii_single(path: Path) -> MpiiFile:
    """Read a list of records, .json or .h5; coordinates become 0-indexed here.

    Raises
    ------
    AnnotationError
        The file is damaged or of another structure; a record breaks the format.
    """
    names, joints, visible, head_px, sha256 = (_read_h5 if path.suffix == ".h5" else _read_json)(path)
    rows = {name: row for row, name in enumerate(dict.fromkeys(names))}
    people = People.of(joints - 1, visible, id=np.arange(1, len(names) + 1))
    return MpiiFile(
        sha256=sha256,
        id=np.arange(1, len(rows) + 1),
        name=list(rows),
        size_hw=np.zeros((len(rows), 2), np.int32),
        meta=[""] * len(rows),
        image_of=np.array([rows[name] for name in names], np.int64),
        people=replace(people, head_px=head_px),
        findings=Counter({MISSING_PEOPLE: len(names)}),
    )


def _read_json(path: Path) -> tuple[list[str], Any, Any, Any, str]:
    text, sha256 = read_text(path)
    records = decode_file(msgspec.json.Decoder(list[msgspec.Raw]), text, path)
    decoder = msgspec.json.Decoder(_Record)
    k = len(MPII16)
    names, joints, visible = [], np.zeros((len(records), k, 2)), np.zeros((len(records), k), np.uint8)
    for i, raw in enumerate(records):
        one = decode_record(decoder, raw, f"{path.name}[{i}]")
        names.append(one.image)
        if one.joints is None:  # the test part
            continue
        said = [1.0] * k if one.joints_vis is None else one.joints_vis
        if len(one.joints) != k or len(said) != k:
            raise AnnotationError(f"{path.name}[{i}]: {k} joints expected, got {len(one.joints)} and {len(said)} marks")
        joints[i] = one.joints
        visible[i] = 2 * _labelled(joints[i], np.array(said))
    return names, joints, visible, np.zeros(len(names)), sha256


def _read_h5(path: Path) -> tuple[list[str], Any, Any, Any, str]:
    import h5py  # slow to import

    try:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        with h5py.File(path, "r") as file:
            names = [name.decode() for name in file["imgname"][:]]
            joints, marks, head_px = (np.asarray(file[key][:], np.float64) for key in ("part", "visible", "normalize"))
    except (OSError, KeyError, AttributeError, TypeError) as error:
        raise AnnotationError(f"{path} cannot be read as MPII's HDF5 file: {error}") from error
    shape = (len(names), len(MPII16))
    if joints.shape != (*shape, 2) or marks.shape != shape or head_px.shape != shape[:1]:
        raise AnnotationError(
            f"{path}: part, visible and normalize must be of {shape[0]} people with {shape[1]} joints"
        )
    visible = np.where(_labelled(joints, np.ones(shape)), np.where(marks > 0, 2, 1), 0).astype(np.uint8)
    return names, joints, visible, head_px, sha256


def _labelled(joints: NDArray[np.float64], marks: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return where a joint is: marked, and not at a corner that stands for nowhere, (0, 0) or (-1, -1)."""
    return (marks > 0) & (joints > 0).any(-1) & (np.abs(joints) < 1e6).all(-1)
