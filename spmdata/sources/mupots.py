"""MuPoTS-3D as a source: people in 3D from ``annot.mat``; millimetres become cm here, once.

The files hold no intrinsics: the focal lengths and the principal point of each sequence are those that bring its 3D
joints closest to its 2D joints.

Letters: F frames, P people, K = 17 joints.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spmdata.camera import Camera
from spmdata.errors import AnnotationError
from spmdata.people import People, SourceInfo
from spmdata.skeletons import MUPOTS17
from spmdata.sources.asked import Asked
from spmdata.sources.image_sizes import header_size
from spmdata.sources.layout import find_annotations, find_folder, find_sequences
from spmdata.sources.matlab import read_mat, structs
from spmdata.sources.table import ImageTable, TableSource

LOOKS_FOR = (
    "mupots/TS*/annot.mat, also in MultiPersonTestSet (--split TS1, else all), occlusion.mat beside it; images in "
    "mupots/TS*/img_*.jpg"
)
#: (height, width) px of the two cameras of the data set.
SIZES_HW = ((2048, 2048), (1080, 1920))


class _Joints(NamedTuple):
    """The valid people of a sequence: frame (P,), number (P,), px (P, K, 2), cm (P, K, 3), occluded (P, K)."""

    frame: NDArray[np.int64]
    person: NDArray[np.int64]
    px: NDArray[np.float64]
    cm: NDArray[np.float64]
    occluded: NDArray[np.bool_]


class _Sequence(NamedTuple):
    """One sequence: name, frames, people, camera, image size, digest of its files."""

    name: str
    n_frames: int
    joints: _Joints
    camera: Camera
    size_hw: tuple[int, int]
    sha256: str


def open_mupots(asked: Asked) -> TableSource:
    """Open sequences of MuPoTS-3D: all below the root, those of a split, or the folder given as annotations.

    Raises
    ------
    AnnotationError
        No sequence is there, a file breaks the format, or what MuPoTS does not take.
    """
    asked.refuse("mupots is read, not made", "rows", "seed", "size_hw", "cameras")
    asked.only_joints("mupots", MUPOTS17)
    places = ("mupots", "mupots/MultiPersonTestSet", "MultiPersonTestSet")
    root = find_annotations(asked.annotations, asked.root, places, "MuPoTS-3D sequences", folder=True)
    if asked.annotations is None and (root / "MultiPersonTestSet").is_dir():
        root = root / "MultiPersonTestSet"
    folders = find_sequences(asked.annotations, root, asked.split, "annot.mat", "sequence of MuPoTS-3D")
    folders.sort(key=_number)
    image_root = None if asked.no_images else find_folder(asked.images, [folders[0].parent])
    findings: Counter[str] = Counter()
    sequences = [_read_sequence(folder, image_root, findings) for folder in folders]
    return _source(sequences, image_root, findings, asked)


def _number(path: Path) -> tuple[int, str]:
    digits = re.search(r"\d+", path.name)
    return int(digits[0]) if digits else 0, path.name


def _source(sequences: list[_Sequence], image_root: Path | None, findings: Counter[str], asked: Asked) -> TableSource:
    names, metas, sizes, image_of, people_id = [], [], [], [], []
    ids: list[int] = []
    cameras: list[Camera] = []
    for s, sequence in enumerate(sequences):
        image_of.append(len(ids) + sequence.joints.frame)
        people_id.append(sequence.joints.person)
        for frame in range(sequence.n_frames):
            ids.append(s * 10**6 + frame)
            names.append(f"{sequence.name}/img_{frame:06d}.jpg")
            meta = {"sequence": sequence.name, "frame": frame}
            metas.append(json.dumps(meta, separators=(",", ":")))
        sizes += [sequence.size_hw] * sequence.n_frames
        cameras += [sequence.camera] * sequence.n_frames
    joints = np.concatenate([np.concatenate([s.joints.px, s.joints.cm[..., 2:]], -1) for s in sequences])
    occluded = np.concatenate([s.joints.occluded for s in sequences])
    table = ImageTable(np.array(ids, np.int64), np.array(sizes, np.int32).reshape(-1, 2), names, metas, cameras)
    sha256 = hashlib.sha256("".join(sequence.sha256 for sequence in sequences).encode()).hexdigest()
    return TableSource.of(
        SourceInfo("mupots", asked.split or "", ", ".join(sequence.name for sequence in sequences), sha256),
        MUPOTS17,
        table,
        np.concatenate(image_of).astype(np.int64),
        People.of(joints, np.where(occluded, 1, 2), id=np.concatenate(people_id)),
        image_root=image_root,
        findings=findings,
        all_images=asked.all_images,
        where=", ".join(sequence.name for sequence in sequences),
        hint="is anybody marked by isValidFrame?",
    )


def _read_sequence(folder: Path, image_root: Path | None, findings: Counter[str]) -> _Sequence:
    path, beside = folder / "annot.mat", folder / "occlusion.mat"
    variables, sha256 = read_mat(path, squeeze=False)
    people = _cells(variables, "annotations", path)
    occlusion = None
    if beside.is_file():
        marks, digest = read_mat(beside, squeeze=False)
        occlusion = _cells(marks, "occlusion_labels", beside)
        sha256 += digest
        if occlusion.shape != people.shape:
            raise AnnotationError(f"{beside} is for {occlusion.shape} frames and people, {path} for {people.shape}")
    else:
        findings["sequences without occlusion.mat: every joint taken for visible"] += 1
    joints = _joints(people, occlusion, folder.name, findings)
    camera, residual_px = fit_camera(joints.px, joints.cm, str(path))
    K = camera.K
    findings[
        f"joints of {folder.name}: its camera fitted to them, fx {K[0, 0]:.1f}, fy {K[1, 1]:.1f}, cx {K[0, 2]:.1f}, "
        f"cy {K[1, 2]:.1f} px, residual {residual_px:.3f} px rms"
    ] += joints.px[..., 0].size
    size_hw = (0, 0)
    if image_root is not None:
        files = sorted((image_root / folder.name).glob("img_*.jpg"))
        if not files:
            raise AnnotationError(
                f"no image of {folder.name}: looked for {image_root / folder.name / 'img_*.jpg'}; give --images, the "
                "folder of the sequences, --split or --no-images"
            )
        size_hw = next(filter(all, map(header_size, files)), (0, 0))
    if not all(size_hw):
        size_hw = min(SIZES_HW, key=lambda hw: float(abs(hw[1] - 2 * K[0, 2]) + abs(hw[0] - 2 * K[1, 2])))
        said = f"{size_hw[0]} x {size_hw[1]} px, by the principal point"
        findings[f"image sizes that no file tells: set to {said}"] += len(people)
    return _Sequence(folder.name, len(people), joints, camera, size_hw, sha256)


def _cells(variables: dict[str, Any], name: str, path: Path) -> NDArray[np.object_]:
    """Return a cell array (F, P)."""
    cells = variables.get(name)
    if not isinstance(cells, np.ndarray) or cells.ndim != 2 or cells.dtype != object or not cells.size:
        raise AnnotationError(
            f"{path} is no file of MuPoTS-3D: it holds {', '.join(variables) or 'nothing'}, not a cell array {name}"
        )
    return cells


def _joints(
    people: NDArray[np.object_], occlusion: NDArray[np.object_] | None, name: str, findings: Counter[str]
) -> _Joints:
    """Return the people whose annotation is valid, of every frame."""
    k = len(MUPOTS17)
    frames, numbers, px, cm, occluded = [], [], [], [], []
    for f, p in np.ndindex(people.shape):
        cell = structs(people[f, p])
        if not cell or cell[0].number("isValidFrame") in (None, 0):
            findings["people without a valid annotation: passed over"] += 1
            continue
        where = f"{name} annotations{{{f + 1}, {p + 1}}}"
        two, three = cell[0].array("annot2"), cell[0].array("annot3")
        for what, found, shape in (("annot2", two, (2, k)), ("annot3", three, (3, k))):
            if found is None or found.shape != shape or not np.isfinite(found).all():
                got = "nothing" if found is None else found.shape
                raise AnnotationError(f"{where}.{what} must be {shape} finite numbers, got {got}")
        assert two is not None
        assert three is not None
        if (three[2] <= 0).any():
            raise AnnotationError(f"{where}.annot3 has a joint behind the camera")
        marks = np.zeros(k, np.bool_)
        if occlusion is not None:
            said = np.ravel(occlusion[f, p])
            if said.size not in (0, k):
                raise AnnotationError(f"{name} occlusion_labels{{{f + 1}, {p + 1}}} must be {k} marks, got {said.size}")
            marks[: said.size] = said.astype(np.bool_)
        frames.append(f)
        numbers.append(p + 1)
        px.append(two.T)
        cm.append(three.T / 10)  # mm
        occluded.append(marks)
    if not px:
        raise AnnotationError(f"{name}: no person with isValidFrame in {len(people)} frames")
    return _Joints(np.array(frames), np.array(numbers), np.array(px), np.array(cm), np.array(occluded))


def fit_camera(px: NDArray[np.float64], points_cm: NDArray[np.float64], where: str) -> tuple[Camera, float]:
    """Fit ``x = fx X / Z + cx`` and ``y = fy Y / Z + cy`` by least squares.

    Parameters
    ----------
    px, points_cm : (..., 2) and (..., 3) float64
        The same points in the image and in the camera's frame.
    where : str
        For the message.

    Returns
    -------
    camera : Camera
        Without distortion, in its own frame.
    residual_px : float
        Root of the mean squared distance.

    Raises
    ------
    AnnotationError
        The points do not determine it.
    """
    flat, points = px.reshape(-1, 2), points_cm.reshape(-1, 3)
    K, residual = np.eye(3), np.zeros_like(flat)
    for axis in range(2):
        ratio = points[:, axis] / points[:, 2]
        A = np.stack([ratio, np.ones_like(ratio)], 1)
        (f, c), _, rank, _ = np.linalg.lstsq(A, flat[:, axis])
        if rank < 2 or f <= 0:
            raise AnnotationError(f"{where}: annot2 and annot3 give no focal length; are they of one camera?")
        K[axis, axis], K[axis, 2] = f, c
        residual[:, axis] = flat[:, axis] - A @ (f, c)
    return Camera(K, np.zeros(5), np.eye(3), np.zeros(3)), float((residual**2).sum(1).mean() ** 0.5)
