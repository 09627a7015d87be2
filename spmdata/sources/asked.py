"""What a command asks a source for, and which of it one takes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from spmdata.errors import AnnotationError
from spmdata.skeleton import Skeleton


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The keywords of `open_source`; None where nothing was said.

    Parameters
    ----------
    annotations, images, root : pathlib.Path or None
        Where files lie.
    split : str or None
        Part of the data set.
    skeleton : Skeleton or None
        Joints of the annotations.
    no_images, all_images : bool
        Annotations alone; images without a labelled person too.
    rows, seed : int or None
        Of a set that is made.
    size_hw : (int, int) or None
        Of its images, px.
    cameras : str or None
        Pattern of camera names.
    """

    annotations: Path | None = None
    images: Path | None = None
    root: Path | None = None
    split: str | None = None
    skeleton: Skeleton | None = None
    no_images: bool = False
    all_images: bool = False
    rows: int | None = None
    seed: int | None = None
    size_hw: tuple[int, int] | None = None
    cameras: str | None = None

    def refuse(self, why: str, *names: str, but: str = "") -> None:
        """Raise AnnotationError for those of some keywords that were given: ``why: it takes no NAME; but``."""
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        if given := [name for name in names if known[name] is not None]:
            raise AnnotationError(f"{why}: it takes no {', '.join(given)}{but and '; '}{but}")

    def only_joints(self, name: str, own: Skeleton) -> None:
        """Raise AnnotationError when another skeleton than a source's only one was asked for."""
        if self.skeleton not in (None, own):
            raise AnnotationError(f"{name} people have the joints of {own.name}, not of {self.skeleton.name}")
