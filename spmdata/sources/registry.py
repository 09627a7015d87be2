"""Data sets by name: the built-in ones, then those of other packages."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from spmdata.errors import AnnotationError
from spmdata.skeleton import Skeleton
from spmdata.skeletons import COCO17
from spmdata.sources.base import Source
from spmdata.sources.coco import CocoSource
from spmdata.sources.layout import find_coco
from spmdata.sources.synthetic import SyntheticSource
from spmdata.sources.synthetic_config import Synthetic

#: Entry-point group: a name, and a callable that takes the keywords of `open_source` and returns a Source.
GROUP = "spm.sources"


def open_source(
    name: str,
    *,
    annotations: str | Path | None = None,
    images: str | Path | None = None,
    root: str | Path | None = None,
    split: str | None = None,
    skeleton: Skeleton | None = None,
    no_images: bool = False,
    all_images: bool = False,
    rows: int | None = None,
    seed: int | None = None,
    size_hw: tuple[int, int] | None = None,
) -> Source:
    """Open a data set; what is not given is looked for in its usual layout below the root.

    Parameters
    ----------
    name : str
        One of `source_names`.
    annotations : path, optional
        Annotation file; for COCO else ``coco/annotations/person_keypoints_SPLIT.json[.gz]``.
    images : path, optional
        Image folder; for COCO else ``coco/SPLIT`` or ``coco/images/SPLIT``.
    root : path, optional
        Folder of data sets; else ``./data`` if it exists, else ``$SPM_DATA``.
    split : str, optional
        Else ``train2017`` for COCO.
    skeleton : Skeleton, optional
        Else the data set's own.
    no_images : bool
        The annotations alone: no image folder is wanted.
    all_images : bool
        Images without a labelled person too.
    rows, seed : int, optional
        Of a data set that is made and not read: how many images, else 1000, and which, else 0.
    size_hw : (int, int), optional
        Height and width of its images in px, else 256 x 256.

    Returns
    -------
    Source
        The annotations, parsed and checked.

    Raises
    ------
    AnnotationError
        Unknown name, files that are not there, annotations that break their format, or what this data set does not
        take.
    """
    opener = _BUILT_IN.get(name) or _plug_in(name)
    made = {"rows": rows, "seed": seed, "size_hw": size_hw}
    return opener(
        annotations=None if annotations is None else Path(annotations),
        images=None if images is None else Path(images),
        root=None if root is None else Path(root),
        split=split,
        skeleton=skeleton,
        no_images=no_images,
        all_images=all_images,
        # Only when they are given: a plug-in need not know them.
        **{option: value for option, value in made.items() if value is not None},
    )


def source_names() -> tuple[str, ...]:
    """Return every name that `open_source` takes: built-in ones, then plug-ins, found but not loaded."""
    return (*_BUILT_IN, *sorted({point.name for point in entry_points(group=GROUP)} - set(_BUILT_IN)))


def _open_coco(
    *,
    annotations: Path | None,
    images: Path | None,
    root: Path | None,
    split: str | None,
    skeleton: Skeleton | None,
    no_images: bool,
    all_images: bool,
    **made: object,
) -> Source:
    if made:
        raise AnnotationError(f"coco is read, not made: it takes no {', '.join(made)}; synthetic does")
    files = find_coco(annotations, images, root=root, split=split, need_images=not no_images)
    return CocoSource.read(
        files.annotations,
        image_root=files.images,
        skeleton=skeleton or COCO17,
        split=files.split,
        all_images=all_images,
    )


def _open_synthetic(
    *,
    annotations: Path | None,
    images: Path | None,
    root: Path | None,
    split: str | None,
    skeleton: Skeleton | None,
    no_images: bool,
    all_images: bool,  # there are no others
    **made: Any,
) -> Source:
    files = {"annotations": annotations, "images": images, "root": root, "split": split}
    given = [option for option, value in files.items() if value is not None]
    if given:
        raise AnnotationError(f"synthetic is made, not read: it takes no {', '.join(given)}; rows and seed choose it")
    if skeleton not in (None, COCO17):
        raise AnnotationError(f"synthetic people have the joints of {COCO17.name}, not of {skeleton.name}")
    return SyntheticSource(Synthetic(**made), with_images=not no_images)


_BUILT_IN: dict[str, Callable[..., Source]] = {"coco": _open_coco, "synthetic": _open_synthetic}


def _plug_in(name: str) -> Callable[..., Source]:
    points: list[EntryPoint] = list(entry_points(group=GROUP, name=name))
    if not points:
        raise AnnotationError(f"no source {name!r}; there are {', '.join(source_names())}")
    if len(points) > 1:
        homes = ", ".join(point.value for point in points)
        raise AnnotationError(f"source {name!r} is registered more than once ({homes}); uninstall all but one")
    try:
        opener: Callable[..., Source] = points[0].load()
    except Exception as error:  # a plug-in may fail in any way while it is imported
        raise AnnotationError(f"source {name!r} ({points[0].value}) does not load: {error}") from error
    if not callable(opener):
        raise AnnotationError(f"source {name!r} ({points[0].value}) is no callable: {opener!r}")
    return opener
