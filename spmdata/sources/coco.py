"""COCO keypoint files, and others of the same form, as a source of Samples; one JSON object, gzip accepted."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from spmdata.people import SourceInfo
from spmdata.skeleton import Skeleton
from spmdata.skeletons import COCO17, CROWDPOSE14
from spmdata.sources.asked import Asked
from spmdata.sources.coco_file import read_coco_file
from spmdata.sources.layout import above, find_annotations, find_coco, find_folder
from spmdata.sources.table import TableSource


class CocoSource(TableSource):
    """A COCO keypoint file as a sequence of Samples in ascending image id; build one with `read`."""

    @classmethod
    def read(
        cls,
        annotations: Path,
        *,
        image_root: Path | None,
        skeleton: Skeleton | None = COCO17,
        name: str = "coco",
        split: str = "",
        all_images: bool = False,
    ) -> Self:
        """Read a file once, check every number and keep the people as columns.

        Crowds and persons without labelled joints stay, as ignore regions. A missing or zero area becomes
        0.53 * w * h of the box, a missing or empty box the tight one of the labelled joints.

        Parameters
        ----------
        annotations : pathlib.Path
            JSON, or JSON compressed by gzip whatever its name.
        image_root : pathlib.Path or None
            Folder that ``file_name`` is relative to, not looked at here; None when images are not wanted.
        skeleton : Skeleton or None
            What ``keypoints`` mean, compared with the category's joint names when it has them; None for the category's.
        name, split : str
            Go into ``info``.
        all_images : bool
            Keep images without a labelled person too.

        Returns
        -------
        CocoSource
            At least one sample, in ascending image id.

        Raises
        ------
        AnnotationError
            The file is missing, damaged, not COCO or breaks its format, or nobody in it is labelled.
        """
        file = read_coco_file(annotations, skeleton, need_names=image_root is not None)
        return cls.of(
            SourceInfo(name, split, annotations.name, file.sha256),
            file.skeleton,
            file.images,
            file.image_of,
            file.people,
            image_root=image_root,
            findings=file.findings,
            all_images=all_images,
            where=annotations,
            hint="is this an instances, captions or test file?",
        )


def open_coco(asked: Asked) -> CocoSource:
    """Open a COCO keypoint file, by default the one of train2017; its joints are what its category says."""
    asked.refuse("coco is read, not made", "rows", "seed", "size_hw", "cameras", but="synthetic does")
    need = not asked.no_images
    files = find_coco(asked.annotations, asked.images, root=asked.root, split=asked.split, need_images=need)
    return CocoSource.read(
        files.annotations,
        image_root=files.images,
        skeleton=asked.skeleton,
        split=files.split,
        all_images=asked.all_images,
    )


def open_crowdpose(asked: Asked) -> CocoSource:
    """Open CrowdPose, by default its train part; what its file calls a skeleton is COCO's and is not looked at."""
    asked.refuse("crowdpose is read, not made", "rows", "seed", "size_hw", "cameras")
    split = asked.split or ("train" if asked.annotations is None else "")
    folders = ("crowdpose", "crowdpose/annotations", "crowdpose/json")
    places = [f"{folder}/crowdpose_{split}.json{suffix}" for folder in folders for suffix in ("", ".gz")]
    path = find_annotations(asked.annotations, asked.root, places, f"CrowdPose annotations of split {split}")
    beside = [folder / "images" for folder in (path.parent, above(path.parent))]
    return CocoSource.read(
        path,
        image_root=None if asked.no_images else find_folder(asked.images, beside),
        skeleton=asked.skeleton or CROWDPOSE14,
        name="crowdpose",
        split=split,
        all_images=asked.all_images,
    )
