"""Several sources in one: their samples one after the other, joints brought to one skeleton.

Letters: N samples; P people; K joints of the mix.
"""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import SupportsIndex

import numpy as np
from numpy.typing import NDArray

from spmdata.errors import AnnotationError
from spmdata.people import People, Sample, SourceInfo, SourcePart
from spmdata.skeleton import Skeleton
from spmdata.skeleton_names import nearest
from spmdata.sources.base import ImageReader, Source

#: A joint that a source has not.
ABSENT = -1
#: ``row/source`` is one byte.
MOST_PARTS = 255


@dataclass(frozen=True)
class Part:
    """One source of a mix.

    Parameters
    ----------
    source : Source
        Its samples.
    weight : float
        How often its rows are shown in an epoch; 1 is once.
    joint_of : tuple of int, (K,)
        For each joint of the mix the source's own, -1 where it has none: unlabelled.
    """

    source: Source
    weight: float
    joint_of: tuple[int, ...]


def joint_map(mixed: Skeleton, own: Skeleton, said: Mapping[str, str] | None, where: str) -> tuple[int, ...]:
    """Return for each joint of a mix the source's own, -1 for none.

    Parameters
    ----------
    mixed, own : Skeleton
        Of the mix, of the source.
    said : mapping of str to str, or None
        Joint of the mix = joint of the source, "" for none; what is left out goes by equal names. None: the skeletons
        must have the same joints.
    where : str
        The source, for messages.

    Raises
    ------
    AnnotationError
        No map between different joints, a name that is none of theirs, or a map under which left and right differ.
    """
    if said is None:
        if own.joints != mixed.joints:
            raise AnnotationError(
                f"{where} has the joints of {own.name}, the mix those of {mixed.name}; say how they go together, "
                'joints = {neck = "thorax"}, or joints = {} for those of equal names'
            )
        return tuple(range(len(mixed)))
    for name in said:
        if name not in mixed.joints:
            raise AnnotationError(f"{where}: {mixed.name} has no joint {name!r}; {nearest(name, mixed.joints)}")
    pairs = [said.get(name, name if name in own.joints else "") for name in mixed.joints]
    for name in pairs:
        if name and name not in own.joints:
            raise AnnotationError(f"{where}: {own.name} has no joint {name!r}; {nearest(name, own.joints)}")
    found = [own.joints.index(name) if name else ABSENT for name in pairs]
    if set(found) == {ABSENT}:
        raise AnnotationError(f"{where}: no joint of {own.name} is one of {mixed.name}; name them in joints")
    for j, o in enumerate(found):
        if found[mixed.flip[j]] != (ABSENT if o == ABSENT else own.flip[o]):
            raise AnnotationError(
                f"{where}: {mixed.joints[j]} takes {pairs[j] or 'none'}, but {mixed.joints[mixed.flip[j]]} takes "
                f"{pairs[mixed.flip[j]] or 'none'}: left and right must be mapped alike"
            )
    return tuple(found)


@dataclass(frozen=True)
class MixedImages:
    """Images of several sources: `Sample.source` says whose."""

    readers: tuple[ImageReader, ...]

    def read(self, sample: Sample) -> bytes:
        """Return the image file's bytes; ImageError when there is none."""
        return self.readers[sample.source].read(sample)


class MixSource:
    """Sources one after the other.

    Parameters
    ----------
    skeleton : Skeleton
        The K joints that all people are given.
    parts : sequence of Part
        1 to 255 of them; when any is in 3D all are, and people in 2D have no depth.

    Raises
    ------
    AnnotationError
        No part or too many, a weight that is not above 0.
    """

    def __init__(self, skeleton: Skeleton, parts: Sequence[Part]) -> None:
        if not 1 <= len(parts) <= MOST_PARTS:
            raise AnnotationError(f"a mix has 1 to {MOST_PARTS} sources, got {len(parts)}")
        for i, part in enumerate(parts):
            if not 0 < part.weight <= 1000:
                where = f"sources[{i}] ({part.source.info.name})"
                raise AnnotationError(f"{where}: weight must be above 0 and at most 1000, got {part.weight}")
        self.skeleton, self._parts = skeleton, tuple(parts)
        self._first = np.cumsum([0, *(len(part.source) for part in parts)])
        some = [part.source[0] for part in parts if len(part.source)]
        self._dims = max([2, *(sample.people.joints.shape[-1] for sample in some)])

    @property
    def info(self) -> SourceInfo:
        """Provenance of all parts."""
        infos = [part.source.info for part in self._parts]
        said = [[info.name, info.sha256, part.joint_of] for info, part in zip(infos, self._parts, strict=True)]
        return SourceInfo(
            "mix",
            " + ".join(" ".join(filter(None, (info.name, info.split))) for info in infos),
            ", ".join(filter(None, (info.annotations for info in infos))),
            hashlib.sha256(json.dumps(said).encode()).hexdigest(),
            tuple(
                SourcePart(info.name, info.split, info.annotations, info.sha256, len(part.source), part.weight)
                for info, part in zip(infos, self._parts, strict=True)
            ),
        )

    @property
    def image_reader(self) -> MixedImages | None:
        """Reads the images of every part; None when one has none."""
        readers = [part.source.image_reader for part in self._parts]
        there = tuple(reader for reader in readers if reader is not None)
        return MixedImages(there) if len(there) == len(readers) else None

    @property
    def n_people(self) -> NDArray[np.int64]:
        """People of each sample, (N,)."""
        return np.concatenate([part.source.n_people for part in self._parts])

    @property
    def travels(self) -> bool:
        """False: workers never hold all annotations."""
        return False

    @property
    def findings(self) -> tuple[tuple[str, int], ...]:
        """What each part passed over or mended, and the joints that it lacks."""
        found: list[tuple[str, int]] = []
        for part in self._parts:
            name = " ".join(filter(None, (part.source.info.name, part.source.info.split)))
            found += [(what.replace(":", f" ({name}):", 1), n) for what, n in part.source.findings]
            if lacking := [self.skeleton.joints[j] for j, o in enumerate(part.joint_of) if o == ABSENT]:
                found.append((f"joints ({name}): unlabelled, for it has no {', '.join(lacking)}", len(lacking)))
        return tuple(found)

    def __len__(self) -> int:
        """Return N."""
        return int(self._first[-1])

    def __getitem__(self, index: SupportsIndex) -> Sample:
        """Return one sample, 0 <= index < N; IndexError beyond."""
        index = operator.index(index)
        if not 0 <= index < len(self):
            raise IndexError(f"sample must be in [0, {len(self) - 1}], got {index}")
        number = int(np.searchsorted(self._first, index, side="right")) - 1
        part = self._parts[number]
        sample = part.source[index - int(self._first[number])]
        return replace(sample, people=self._people(sample.people, part.joint_of), source=number)

    def _people(self, people: People, joint_of: tuple[int, ...]) -> People:
        """Return people with the joints and axes of the mix."""
        take, missing = np.array(joint_of), np.array(joint_of) == ABSENT
        joints = np.zeros((len(people), len(joint_of), self._dims), np.float32)
        joints[..., : people.joints.shape[-1]] = people.joints[:, take]
        return replace(people, joints=joints, visible=np.where(missing, 0, people.visible[:, take]))
