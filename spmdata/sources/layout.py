"""Where data sets usually lie on disk, so that a command needs no paths."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from spmdata.errors import AnnotationError

#: The environment variable that names the folder of data sets when there is no ``./data``.
ROOT_VARIABLE = "SPM_DATA"
_COCO_NAME = re.compile(r"person_keypoints_(.+?)\.json(?:\.gz)?")


class CocoFiles(NamedTuple):
    """An annotation file, the folder of its images (None when not asked for) and the split's name."""

    annotations: Path
    images: Path | None
    split: str


def data_root(root: Path | None, wanted: str) -> Path:
    """Return the folder that data sets lie in: ``root``, else ``./data`` if it is there, else ``$SPM_DATA``.

    Parameters
    ----------
    root : pathlib.Path or None
        As given on the command line.
    wanted : str
        What will be looked for below it, for the message.

    Raises
    ------
    AnnotationError
        The folder does not exist, or none of them does.
    """
    if root is not None:
        if not root.is_dir():
            raise AnnotationError(f"the root {root}, in which to look for {wanted}, is not a folder")
        return root
    here, named = Path("data"), os.environ.get(ROOT_VARIABLE, "")
    if here.is_dir():
        return here
    if named and Path(named).is_dir():
        return Path(named)
    said = f"${ROOT_VARIABLE} names {named!r}, which is no folder" if named else f"${ROOT_VARIABLE} is not set"
    raise AnnotationError(
        f"nowhere to look for {wanted}: there is no folder ./data and {said}; give --root or --annotations"
    )


def find_coco(
    annotations: Path | None = None,
    images: Path | None = None,
    *,
    root: Path | None = None,
    split: str | None = None,
    need_images: bool = True,
) -> CocoFiles:
    """Find what was not given of a COCO data set.

    Annotations are ``coco/annotations/person_keypoints_SPLIT.json[.gz]`` below the root. Images are ``SPLIT``
    or ``images/SPLIT`` beside the folder of the annotations or beside the annotations themselves; for a split
    such as ``train2017_mini`` also in ``train2017``; of a file whose name says no split ``images`` there.

    Parameters
    ----------
    annotations : pathlib.Path, optional
        Taken as it is, wherever it lies.
    images : pathlib.Path, optional
        A folder, taken as it is.
    root : pathlib.Path, optional
        See `data_root`; not looked at when ``annotations`` is given.
    split : str, optional
        ``train2017`` unless the name of the annotation file says another.
    need_images : bool
        False: images are neither looked for nor returned.

    Returns
    -------
    CocoFiles
        Paths that exist.

    Raises
    ------
    AnnotationError
        Something is not there; the message lists every place that was looked at.
    """
    if annotations is None:
        split = split or "train2017"
        wanted = f"coco/annotations/person_keypoints_{split}.json[.gz]"
        annotations = _find_annotations(data_root(root, wanted) / "coco" / "annotations", split)
    elif not annotations.is_file():
        raise _not_there(annotations)
    elif split is None:
        named = _COCO_NAME.fullmatch(annotations.name)
        split = named[1] if named else ""
    if not need_images:
        return CocoFiles(annotations, None, split)
    return CocoFiles(annotations, find_folder(images, _image_places(annotations.parent, split)), split)


def find_annotations(
    given: Path | None, root: Path | None, places: Sequence[str], what: str, *, folder: bool = False
) -> Path:
    """Return the annotations given, else the first of some places below the root that is there.

    Parameters
    ----------
    given : pathlib.Path or None
        Taken as it is.
    root : pathlib.Path or None
        See `data_root`.
    places : sequence of str
        Where files usually lie below the root.
    what : str
        Such as ``CrowdPose annotations of split val``, for the message.
    folder : bool
        A folder will do as well as a file.

    Raises
    ------
    AnnotationError
        Nothing is there; the message lists every place that was looked at.
    """
    if given is not None:
        if not given.is_file() and not (folder and given.is_dir()):
            raise _not_there(given)
        return given
    tried = [data_root(root, places[0]) / place for place in places]
    for path in tried:
        if path.exists():
            return path
    raise AnnotationError(f"no {what}: looked for {_listed(tried)}; give --annotations, --root or --split")


def find_sequences(given: Path | None, root: Path, split: str | None, mark: str, what: str) -> list[Path]:
    """Return the folders of some recordings, by name.

    Parameters
    ----------
    given : pathlib.Path or None
        The folder of one, a file in it, or the folder of many; else ``root`` is that of many.
    root : pathlib.Path
        Folder of many.
    split : str or None
        Patterns of names among many, separated by commas; each must fit one. None for all.
    mark : str
        Pattern of the file that makes a folder a recording.
    what : str
        Such as ``sequence of MuPoTS-3D``, for the message.

    Raises
    ------
    AnnotationError
        There is none, or none that a pattern fits.
    """
    many = given or root
    one = many.parent if many.is_file() else many
    if many.is_file() or any(many.glob(mark)):
        return [one.resolve() if one.name in ("", "..") else one]  # a recording is named by its folder
    there = sorted({path.parent for path in many.glob(f"*/{mark}")})
    wanted = [part.strip() for part in (split or "*").split(",")]
    for pattern in wanted:
        if not any(fnmatchcase(path.name, pattern) for path in there):
            names = ", ".join(path.name for path in there) or "none"
            raise AnnotationError(
                f"no {what}{f' by the name {pattern}' if split else ''} (there are {names}): looked for "
                f"{many / '*' / mark}; give --annotations, --root or --split"
            )
    return [path for path in there if any(fnmatchcase(path.name, pattern) for pattern in wanted)]


def find_folder(given: Path | None, places: Sequence[Path]) -> Path:
    """Return the image folder given, else the first of some places that is one; AnnotationError lists them all."""
    if given is not None:
        if not given.is_dir():
            raise AnnotationError(f"the image folder {given} does not exist")
        return given
    for path in places:
        if path.is_dir():
            return path
    raise AnnotationError(
        f"no image folder for these annotations: looked for {_listed(places)}; give --images DIR or --no-images"
    )


def above(folder: Path) -> Path:
    """Return the folder that a folder lies in; of the one that we are in too, whose `parent` is itself."""
    return folder / ".." if folder.name in ("", "..") else folder.parent


def _find_annotations(folder: Path, split: str) -> Path:
    tried = [folder / f"person_keypoints_{split}.json{suffix}" for suffix in ("", ".gz")]
    for path in tried:
        if path.is_file():
            return path
    names = (_COCO_NAME.fullmatch(path.name) for path in folder.glob("person_keypoints_*"))
    there = sorted({name[1] for name in names if name})
    others = f" (there are the splits {', '.join(there)})" if there else ""
    raise AnnotationError(
        f"no COCO annotations of split {split}{others}: looked for {_listed(tried)}; "
        "give --annotations, --root or --split"
    )


def _image_places(beside: Path, split: str) -> list[Path]:
    if not split:
        return [beside / "images", above(beside) / "images"]
    parts = split.split("_")
    names = ["_".join(parts[:n]) for n in range(len(parts), 0, -1)]
    folders = (above(beside), above(beside) / "images", beside, beside / "images")
    return [folder / name for name in names for folder in folders]


def _not_there(path: Path) -> AnnotationError:
    what = "is a folder; name the file in it" if path.is_dir() else "does not exist"
    return AnnotationError(f"the annotation file {path} {what}")


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(str(path) for path in paths)
