"""Data sets by name: the built-in ones, then those of other packages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from spmdata.errors import AnnotationError
from spmdata.skeleton import Skeleton
from spmdata.skeletons import COCO17
from spmdata.sources.asked import Asked
from spmdata.sources.base import Source
from spmdata.sources.coco import open_coco, open_crowdpose
from spmdata.sources.mpii import LOOKS_FOR as MPII_FILES
from spmdata.sources.mpii import open_mpii
from spmdata.sources.mupots import LOOKS_FOR as MUPOTS_FILES
from spmdata.sources.mupots import open_mupots
from spmdata.sources.panoptic import LOOKS_FOR as PANOPTIC_FILES
from spmdata.sources.panoptic import open_panoptic
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
    cameras: str | None = None,
) -> Source:
    """Open a data set; what is not given is looked for in its usual layout below the root.

    Parameters
    ----------
    name : str
        One of `source_names`.
    annotations : path, optional
        Annotation file or folder, else looked for: `BUILT_IN` says where.
    images : path, optional
        Image folder, else looked for beside the annotations.
    root : path, optional
        Folder of data sets; else ``./data`` if it exists, else ``$SPM_DATA``.
    split : str, optional
        Part of the data set, else its training part.
    skeleton : Skeleton, optional
        Else the data set's own, for a file of COCO's form the one of its category.
    no_images : bool
        The annotations alone: no image folder is wanted.
    all_images : bool
        Images without a labelled person too.
    rows, seed : int, optional
        Of a data set that is made and not read: how many images, else 1000, and which, else 0.
    size_hw : (int, int), optional
        Height and width of its images in px, else 256 x 256.
    cameras : str, optional
        Pattern of the names of the cameras to take, such as ``00_0?``; else every HD camera.

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
    asked = Asked(
        annotations=None if annotations is None else Path(annotations),
        images=None if images is None else Path(images),
        root=None if root is None else Path(root),
        split=split,
        skeleton=skeleton,
        no_images=no_images,
        all_images=all_images,
        rows=rows,
        seed=seed,
        size_hw=size_hw,
        cameras=cameras,
    )
    if name in BUILT_IN:
        return BUILT_IN[name].open(asked)
    opener, own = _plug_in(name), ("rows", "seed", "size_hw", "cameras")
    # Some only when they are given: a plug-in need not know them.
    return opener(**{key: value for key, value in vars(asked).items() if key not in own or value is not None})


def source_names() -> tuple[str, ...]:
    """Return every name that `open_source` takes: built-in ones, then plug-ins, found but not loaded."""
    return (*BUILT_IN, *sorted({point.name for point in entry_points(group=GROUP)} - set(BUILT_IN)))


def _open_synthetic(asked: Asked) -> Source:
    takes_no = "synthetic is made, not read"
    asked.refuse(takes_no, "annotations", "images", "root", "split", "cameras", but="rows and seed choose it")
    asked.only_joints("synthetic", COCO17)
    made = {"rows": asked.rows, "seed": asked.seed, "size_hw": asked.size_hw}
    given: dict[str, Any] = {name: value for name, value in made.items() if value is not None}
    return SyntheticSource(Synthetic(**given), with_images=not asked.no_images)


def _open_mix(asked: Asked) -> Source:
    from spmdata.sources.mix_file import open_mix  # which opens sources by this module

    return open_mix(asked)


class BuiltIn(NamedTuple):
    """What opens a source, what it is, and what it looks for below the root."""

    open: Callable[[Asked], Source]
    what: str
    looks_for: str


BUILT_IN: Mapping[str, BuiltIn] = MappingProxyType(
    {
        "coco": BuiltIn(
            open_coco,
            "COCO keypoints, and any file of that form with joints of its own",
            "coco/annotations/person_keypoints_SPLIT.json[.gz] (--split train2017); images in coco/SPLIT or "
            "coco/images/SPLIT",
        ),
        "crowdpose": BuiltIn(
            open_crowdpose,
            "CrowdPose, 14 joints",
            "crowdpose/crowdpose_SPLIT.json[.gz] (--split train), also in crowdpose/annotations and crowdpose/json; "
            "images in crowdpose/images",
        ),
        "mpii": BuiltIn(open_mpii, "MPII Human Pose, 16 joints", MPII_FILES),
        "panoptic": BuiltIn(open_panoptic, "CMU Panoptic, 19 joints in 3D, HD cameras", PANOPTIC_FILES),
        "mupots": BuiltIn(open_mupots, "MuPoTS-3D, 17 joints in 3D", MUPOTS_FILES),
        "synthetic": BuiltIn(_open_synthetic, "drawn people, 17 joints", "nothing: --rows and --seed choose them"),
        "mix": BuiltIn(_open_mix, "several sources in one store", "what its file names: spm prepare mix FILE.toml"),
    }
)


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
