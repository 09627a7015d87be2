"""CMU Panoptic as a source: every frame seen by every chosen HD camera is a sample with people in 3D.

The people of a view are made when they are asked for; kept are the world positions of a frame once, for all cameras.

Letters: S sequences; N samples (views); M bodies of all frames; K = 19 joints.
"""

from __future__ import annotations

import hashlib
import json
import operator
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from spmdata.errors import AnnotationError
from spmdata.people import People, Sample, SourceInfo
from spmdata.skeleton import Skeleton
from spmdata.skeletons import PANOPTIC19
from spmdata.sources.asked import Asked
from spmdata.sources.base import FolderImages
from spmdata.sources.layout import find_annotations, find_folder, find_sequences
from spmdata.sources.panoptic_file import Frame, HdCamera, read_cameras, read_frame

#: Joints below it are guesses, the data set's authors say; missing ones have -1.
LEAST_CONFIDENCE = 0.1
#: Where the frames lie below a sequence, the newer form first.
_SCENES = tuple(
    folder for name in ("hdPose3d_stage1_coco19", "hdPose3d_stage1") for folder in (name, f"{name}/hd", f"hd/{name}")
)
LOOKS_FOR = (
    f"panoptic/SEQUENCE/calibration_SEQUENCE.json and {_SCENES[0]}/body3DScene_*.json (--split SEQUENCE, else all; "
    "--cameras '00_0?', else every HD camera); images in SEQUENCE/hdImgs/CAMERA"
)


class Sequence(NamedTuple):
    """One recording: its name, its chosen cameras, frame numbers (F,), and all bodies of all frames (M)."""

    name: str
    cameras: list[HdCamera]
    frame: NDArray[np.int64]
    first: NDArray[np.int64]  # (F + 1,): where each frame's bodies begin
    bodies: Frame


class View(NamedTuple):
    """One sample: places of its sequence, frame and camera."""

    sequence: int
    frame: int
    camera: int


@dataclass(eq=False)
class PanopticSource:
    """Views of CMU Panoptic by sequence, frame and camera; build one with `read`.

    Parameters
    ----------
    info : SourceInfo
        Provenance; the digest is of all files' digests.
    skeleton : Skeleton
        ``panoptic19``.
    image_root : pathlib.Path or None
        Folder of the sequences.
    n_people : (N,) int64
        Bodies in view.
    findings : tuple of (str, int)
        What was passed over.
    sequences : list of Sequence, S
        What was read.
    views : list of View, N
        What the samples are.
    """

    info: SourceInfo
    skeleton: Skeleton
    image_root: Path | None
    n_people: NDArray[np.int64]
    findings: tuple[tuple[str, int], ...]
    sequences: list[Sequence]
    views: list[View]

    @classmethod
    def read(
        cls,
        folders: Iterable[Path],
        *,
        cameras: str,
        image_root: Path | None,
        split: str = "",
        all_images: bool = False,
    ) -> PanopticSource:
        """Read some sequences and find which bodies each camera sees.

        Parameters
        ----------
        folders : iterable of pathlib.Path
            One a sequence, named as it is.
        cameras : str
            Patterns of HD cameras, separated by commas.
        image_root : pathlib.Path or None
            The folder of the sequences, to take only views whose image is there; None for all views.
        split : str
            Goes into ``info``.
        all_images : bool
            Keep views without anybody too.

        Raises
        ------
        AnnotationError
            Files are missing, no camera fits, no frame is left, or nobody is in view.
        """
        findings: Counter[str] = Counter()
        digest = hashlib.sha256()
        sequences = []
        for folder in sorted(folders):
            sequence, sha256 = _read_sequence(folder, cameras, findings)
            sequences.append(sequence)
            digest.update(sha256)
        views: list[View] = []
        numbers: list[int] = []
        for s, sequence in enumerate(sequences):
            seen = np.stack([_seen(one, sequence.bodies)[1].any(1) for one in sequence.cameras], 1)
            findings["bodies out of a camera's view: left out there"] += int((~seen).sum())
            counts = np.diff(np.pad(seen.cumsum(0), ((1, 0), (0, 0)))[sequence.first], axis=0)
            there = _images(image_root, sequence)
            findings["views without an image file: left out"] += int((~there).sum())
            wanted = there if all_images else there & (counts > 0)
            findings["views without anybody: left out"] += int((there & ~wanted).sum())
            views += [View(s, f, c) for f, c in np.argwhere(wanted).tolist()]
            numbers += counts[wanted].tolist()
            # What the rows are goes into the digest: other cameras or images make another store.
            digest.update(repr([[one.name for one in sequence.cameras], np.argwhere(wanted).tolist()]).encode())
        if not any(numbers):
            raise _nobody(sequences, cameras, image_root, findings)
        return cls(
            info=SourceInfo("panoptic", split, ", ".join(sequence.name for sequence in sequences), digest.hexdigest()),
            skeleton=PANOPTIC19,
            image_root=image_root,
            n_people=np.array(numbers, np.int64),
            findings=tuple((what, n) for what, n in findings.items() if n),
            sequences=sequences,
            views=views,
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
        return len(self.views)

    def __getitem__(self, index: SupportsIndex) -> Sample:
        """Return one view, 0 <= index < N; IndexError beyond."""
        index = operator.index(index)
        if not 0 <= index < len(self):
            raise IndexError(f"sample must be in [0, {len(self) - 1}], got {index}")
        view = self.views[index]
        sequence = self.sequences[view.sequence]
        here, number = sequence.cameras[view.camera], int(sequence.frame[view.frame])
        bodies = slice(sequence.first[view.frame], sequence.first[view.frame + 1])
        people = _people(here, sequence.bodies.at(bodies))
        meta = {"sequence": sequence.name, "frame": number, "camera": here.name}
        return Sample(
            id=(view.sequence * 1000 + view.camera) * 10**9 + number,
            path=image_path(sequence.name, here.name, number),
            size_hw=here.size_hw,
            people=people,
            camera=here.camera,
            meta=json.dumps(meta, separators=(",", ":")),
        )


def image_path(sequence: str, camera: str, frame: int) -> str:
    """Return where the image of a view lies below the folder of the sequences."""
    return f"{sequence}/hdImgs/{camera}/{camera}_{frame:08d}.jpg"


def open_panoptic(asked: Asked) -> PanopticSource:
    """Open sequences of CMU Panoptic: all below the root or the folder given as annotations, those of a split, or one.

    Raises
    ------
    AnnotationError
        As `PanopticSource.read`; no sequence is there; what Panoptic does not take.
    """
    asked.refuse("panoptic is read, not made", "rows", "seed", "size_hw")
    asked.only_joints("panoptic", PANOPTIC19)
    root = find_annotations(asked.annotations, asked.root, ("panoptic",), "CMU Panoptic sequences", folder=True)
    folders = find_sequences(asked.annotations, root, asked.split, "calibration_*.json", "sequence of CMU Panoptic")
    image_root = None if asked.no_images else find_folder(asked.images, [folders[0].parent])
    pattern = asked.cameras or "*"
    split = asked.split or ""
    return PanopticSource.read(
        folders, cameras=pattern, image_root=image_root, split=split, all_images=asked.all_images
    )


def _read_sequence(folder: Path, cameras: str, findings: Counter[str]) -> tuple[Sequence, bytes]:
    """Read calibration and frames, and the digest of all; a broken frame is counted and passed over."""
    calibration = folder / f"calibration_{folder.name}.json"
    if not calibration.is_file():
        raise AnnotationError(f"{folder} is no sequence of CMU Panoptic: it has no {calibration.name}")
    chosen, sha256 = read_cameras(calibration, cameras)
    scenes = next((folder / place for place in _SCENES if any((folder / place).glob("body3DScene_*.json"))), None)
    if scenes is None:
        raise AnnotationError(f"no frames of {folder.name}: looked for body3DScene_*.json in {', '.join(_SCENES)}")
    digests, numbers, frames = [sha256], [], []
    broken: list[str] = []
    for path in sorted(scenes.glob("body3DScene_*.json")):
        try:
            frame, digest, outliers = read_frame(path)
            number = int(path.stem.partition("_")[2])
        except (AnnotationError, ValueError):
            broken.append(path.name)
            continue
        findings["bodies of negative id, outliers: passed over"] += outliers
        digests.append(digest)
        numbers.append(number)
        frames.append(frame)
    if not frames:
        raise AnnotationError(f"all {len(broken)} frames in {scenes} are broken, the first: {broken[0]}")
    if broken:
        findings[f"broken frames of {folder.name}: passed over, the first is {broken[0]}"] += len(broken)
    columns = (np.concatenate(column) for column in zip(*frames, strict=True))
    first = np.concatenate([[0], np.cumsum([len(frame.id) for frame in frames])])
    found = Sequence(folder.name, chosen, np.array(numbers, np.int64), first, Frame(*columns))
    return found, "".join(digests).encode()


def _nobody(sequences: list[Sequence], cameras: str, root: Path | None, findings: Counter[str]) -> AnnotationError:
    """Say why there is no row."""
    names = ", ".join(sequence.name for sequence in sequences)
    if root is not None and not any(_images(root, sequence).any() for sequence in sequences):
        one = sequences[0]
        first = root / image_path(one.name, one.cameras[0].name, int(one.frame[0]))
        return AnnotationError(
            f"no image of {names}: looked for {first} and the like; give --images, the folder of the sequences, or "
            "--no-images"
        )
    said = "; ".join(f"{n} {what}" for what, n in findings.items() if n) or "no bodies in the frames"
    return AnnotationError(f"nobody to be seen in {names} by the cameras {cameras!r} ({said})")


def _images(root: Path | None, sequence: Sequence) -> NDArray[np.bool_]:
    """Return which images of a sequence are there, (frames, cameras); all when none are wanted."""
    if root is None:
        return np.ones((len(sequence.frame), len(sequence.cameras)), np.bool_)
    there = np.zeros((len(sequence.frame), len(sequence.cameras)), np.bool_)
    for c, one in enumerate(sequence.cameras):
        folder = (root / image_path(sequence.name, one.name, 0)).parent
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        wanted = [Path(image_path(sequence.name, one.name, number)).name for number in sequence.frame.tolist()]
        there[:, c] = [name in names for name in wanted]
    return there


def _seen(here: HdCamera, bodies: Frame) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where a camera has joints (M, K, 3) as px and cm, which lie in the image, and which it has at all.

    It has those that are labelled, in front of it, and not so far aside that its distortion turns back.
    """
    ahead = bodies.joints_cm @ here.camera.R.T + here.camera.t
    px = here.camera.project(ahead)
    labelled = (bodies.confidence > LEAST_CONFIDENCE) & np.isfinite(px).all(-1)
    height, width = here.size_hw
    with np.errstate(invalid="ignore"):
        inside = (px >= -0.5).all(-1) & (px[..., 0] < width - 0.5) & (px[..., 1] < height - 0.5)
    return np.concatenate([px, ahead[..., 2:]], -1), labelled & inside, labelled


def _people(here: HdCamera, bodies: Frame) -> People:
    """Return the bodies that a camera sees: joints in the image are visible, those beyond its rim labelled alone."""
    joints, inside, labelled = _seen(here, bodies)
    seen = inside.any(1)
    visible = np.where(inside, 2, np.where(labelled, 1, 0))[seen]
    return People.of(joints[seen], visible, id=bodies.id[seen])
