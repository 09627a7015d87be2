"""MPII Human Pose as a source: multi-person from the .mat, one person a record from JSON or HDF5."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spmdata.errors import AnnotationError
from spmdata.people import SourceInfo
from spmdata.skeletons import MPII16
from spmdata.sources.asked import Asked
from spmdata.sources.image_sizes import fill_sizes
from spmdata.sources.layout import above, find_annotations, find_folder
from spmdata.sources.mpii_file import MpiiFile, read_mpii_file
from spmdata.sources.mpii_single import read_mpii_single
from spmdata.sources.records import LEAVES_FOLDER
from spmdata.sources.table import ImageTable, TableSource

_RELEASE = (
    "mpii/mpii_human_pose_v1_u12_1.mat",
    "mpii/mpii_human_pose_v1_u12_2/mpii_human_pose_v1_u12_1.mat",
    "mpii/annotations/mpii_human_pose_v1_u12_1.mat",
)
#: Where the annotations of a split lie below the root.
PLACES = {
    "train": _RELEASE,
    "test": _RELEASE,
    "multi_val": ("mpii/mpi_val_groundtruth.mat", "mpii/annotations/mpi_val_groundtruth.mat"),
    "valid": ("mpii/valid.json", "mpii/valid.h5", "mpii/annotations/valid.json", "mpii/annotations/valid.h5"),
}
LOOKS_FOR = (
    f"{_RELEASE[0]} (--split train, test), {PLACES['multi_val'][0]} (multi_val), {PLACES['valid'][0]} or .h5 "
    "(valid); images in mpii/images"
)


def open_mpii(asked: Asked) -> TableSource:
    """Open MPII: ``RELEASE`` by default, another file by its split or by its path.

    Raises
    ------
    AnnotationError
        Files that are not there or break their format, nobody labelled, or what MPII does not take.
    """
    asked.refuse("mpii is read, not made", "rows", "seed", "size_hw", "cameras")
    asked.only_joints("mpii", MPII16)
    split = asked.split or ("train" if asked.annotations is None else "")
    if asked.annotations is None and split not in PLACES:
        raise AnnotationError(f"mpii has no split {split!r}; there are {', '.join(PLACES)}")
    places = PLACES.get(split, ())
    what = f"MPII annotations of split {split} (splits: {', '.join(PLACES)})"
    path = find_annotations(asked.annotations, asked.root, places, what)
    beside = (path.parent, above(path.parent))
    folder = None if asked.no_images else find_folder(asked.images, [here / "images" for here in beside])
    if path.suffix in (".json", ".h5"):
        file = read_mpii_single(path)
    else:
        file = read_mpii_file(path, test=split == "test", need_names=folder is not None)
    return _source(file, path, folder, SourceInfo("mpii", split, path.name, file.sha256), asked.all_images)


def _source(file: MpiiFile, path: Path, folder: Path | None, info: SourceInfo, all_images: bool) -> TableSource:
    for number, name in zip(file.id.tolist(), file.name, strict=True):
        if LEAVES_FOLDER.search(name):
            raise AnnotationError(f"{path}: the name of image {number} must be inside the image folder, got {name!r}")
    reach = np.zeros((len(file.name), 2))
    np.maximum.at(reach, file.image_of, file.people.joints.max(1, initial=0))
    sizes = fill_sizes(file.size_hw, folder, file.name, reach, file.findings)
    return TableSource.of(
        info,
        MPII16,
        ImageTable(file.id, sizes, file.name, file.meta),
        file.image_of,
        file.people,
        image_root=folder,
        findings=file.findings,
        all_images=all_images,
        where=path,
        hint="the test part has no joints: take --split train",
    )
