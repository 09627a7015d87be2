"""CMU Panoptic's files: calibrated cameras, and the 3D bodies of a frame, in cm, world y pointing down.

Letters: B bodies; K = 19 joints.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from spmdata.camera import Camera
from spmdata.errors import AnnotationError, SpecError
from spmdata.skeletons import PANOPTIC19
from spmdata.sources.records import decode_file, decode_record, read_text

#: Joint of the older 15 that is another one here: the top of the head, where the 19 have the nose.
_HEAD_TOP = 1


class HdCamera(NamedTuple):
    """One HD camera: name, image size (height, width) px, and what it sees of the world in cm."""

    name: str
    size_hw: tuple[int, int]
    camera: Camera


class Frame(NamedTuple):
    """The bodies of a frame: ids (B,), world positions (B, K, 3) cm, confidence (B, K), -1 where missing."""

    id: NDArray[np.int64]
    joints_cm: NDArray[np.float64]
    confidence: NDArray[np.float32]

    def at(self, bodies: slice) -> Frame:
        """Return some of the bodies."""
        return Frame(self.id[bodies], self.joints_cm[bodies], self.confidence[bodies])


_Side = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
#: What no px, cm or coefficient comes near.
_Number = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]


class _Camera(msgspec.Struct):
    name: str
    resolution: tuple[_Side, _Side]
    K: list[list[_Number]]
    distCoef: list[_Number]  # noqa: N815  # the file's own spelling
    R: list[list[_Number]]
    t: list[list[_Number] | _Number]  # a column; a plain list in some files


class _Kind(msgspec.Struct):
    type: str = ""


class _Calibration(msgspec.Struct):
    cameras: list[msgspec.Raw]


class _Body(msgspec.Struct):
    id: int = -1
    joints19: list[_Number] | None = None
    joints15: list[_Number] | None = None


class _Scene(msgspec.Struct):
    bodies: list[_Body]


_CALIBRATION = msgspec.json.Decoder(_Calibration)
_CAMERA, _KIND, _SCENE = msgspec.json.Decoder(_Camera), msgspec.json.Decoder(_Kind), msgspec.json.Decoder(_Scene)


def read_cameras(path: Path, pattern: str) -> tuple[list[HdCamera], str]:
    """Read the HD cameras whose names fit a pattern, sorted by name, and the file's sha256.

    Parameters
    ----------
    path : pathlib.Path
        ``calibration_SEQUENCE.json``.
    pattern : str
        Shell patterns separated by commas, such as ``00_0?,00_16``; each must fit one.

    Raises
    ------
    AnnotationError
        The file is damaged, a camera breaks the format, or none fits a pattern.
    """
    text, sha256 = read_text(path)
    found: list[HdCamera] = []
    names: list[str] = []
    for i, raw in enumerate(decode_file(_CALIBRATION, text, path).cameras):
        where = f"{path.name} cameras[{i}]"
        if decode_record(_KIND, raw, where).type != "hd":
            continue
        one = decode_record(_CAMERA, raw, where)
        names.append(one.name)
        if not any(fnmatchcase(one.name, part.strip()) for part in pattern.split(",")):
            continue
        width, height = one.resolution
        try:
            dist = np.asarray(one.distCoef, np.float64)
            camera = Camera(np.array(one.K), dist, np.array(one.R), np.asarray(one.t, np.float64).ravel())
        except (SpecError, ValueError, TypeError) as error:
            raise AnnotationError(f"{where} ({one.name}): {error}") from error
        found.append(HdCamera(one.name, (height, width), camera))
    for part in map(str.strip, pattern.split(",")):
        if not any(fnmatchcase(name, part) for name in names):
            there = ", ".join(sorted(names)) or "none"
            raise AnnotationError(f"{path}: no HD camera fits {part!r}; there are {there}")
    return sorted(found, key=lambda one: one.name), sha256


def read_frame(path: Path) -> tuple[Frame, str, int]:
    """Read the bodies of one frame, its sha256, and how many bodies were outliers, of negative id.

    Raises
    ------
    AnnotationError
        No JSON, or not of the format: such files exist in the data set.
    """
    text, sha256 = read_text(path)
    bodies = decode_file(_SCENE, text, path).bodies
    people = [body for body in bodies if body.id >= 0]
    k = len(PANOPTIC19)
    joints = np.zeros((len(people), k, 4))
    joints[..., 3] = -1
    for b, body in enumerate(people):
        numbers, there = (body.joints15, 15) if body.joints19 is None else (body.joints19, k)
        if numbers is None or len(numbers) != 4 * there:
            got = "none" if numbers is None else len(numbers)
            raise AnnotationError(f"{path}: bodies[{b}] must have {4 * there} numbers, got {got}")
        joints[b, :there] = np.reshape(numbers, (there, 4))
        if there == 15:
            joints[b, _HEAD_TOP, 3] = -1
    ids = np.array([body.id for body in people], np.int64)
    return Frame(ids, joints[..., :3], joints[..., 3].astype(np.float32)), sha256, len(bodies) - len(people)
