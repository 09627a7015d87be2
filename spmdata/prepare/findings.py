"""What a source holds, looked at sample by sample before anything is written: counts, suspects, and what is done.

Letters: N samples; P people; K joints.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spmdata.people import People
from spmdata.skeleton import Skeleton
from spmdata.sources.base import FolderImages, Source
from spmdata.sources.mix import MixedImages

#: Samples whose people are looked at together.
BATCH = 2048
#: Shoulders and hips count for the test of sides when they are longer than this share of the trunk, and point apart by
#: more than the angle of this cosine (120 degrees).
LEAST_WIDTH, OPPOSITE = 0.25, -0.5

#: Places named of each finding.
NAMED = 3

PERSONS, CROWDS, JOINTLESS = "people with joints", "crowds", "people without joints"
OUTSIDE, ALL_OUTSIDE = "joints out of their image", "people all of whose joints are out of their image"
NO_AREA, SWAPPED, MISSING = "people of area 0", "left and right suspects", "image files missing"
SAME_ID, SAME_IMAGE = "people whose annotation id another one in the image has", "rows whose image id another one has"
#: What is done about each thing found, in the order of the report.
DONE = {
    CROWDS: "ignored in their box, never background",
    JOINTLESS: "ignored in their box, never background",
    OUTSIDE: "kept, the vector still points at them",
    ALL_OUTSIDE: "kept, left out of the maps where their root is off them",
    NO_AREA: "kept, their OKS is 0",
    SWAPPED: "kept as annotated",
    SAME_ID: "kept, each a person of its row",
    SAME_IMAGE: "kept, each a row of its own",
    MISSING: "rows skipped, exit code 1",
}


@dataclass(frozen=True)
class Finding:
    """Something to know: what, how often, what will be done about it, and the first few places."""

    what: str
    count: int
    done: str
    where: tuple[str, ...] = ()


@dataclass(frozen=True)
class Survey:
    """What a source holds.

    Parameters
    ----------
    rows, people, people_labelled, joints_labelled : int
        N; everybody; those with a labelled joint that are no crowd; their joints.
    by_joint : tuple of (str, int, int), (K,)
        Name, people labelled with it, of these visible.
    findings : tuple of Finding
        What was found here, in the order of `DONE`; what the reader mended or passed over is `Source.findings`.
    """

    rows: int
    people: int
    people_labelled: int
    joints_labelled: int
    by_joint: tuple[tuple[str, int, int], ...]
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        joints = {name: {"labelled": n, "visible": seen} for name, n, seen in self.by_joint}
        findings = [{**vars(finding), "where": list(finding.where)} for finding in self.findings]
        return {**vars(self), "by_joint": joints, "findings": findings}


def survey(source: Source, *, images: bool) -> Survey:
    """Look at every sample of a source; image files are looked for, not opened.

    Left and right are suspect where the line from the right to the left shoulder and that from the right to the left
    hip point apart by more than 120 degrees, both at least a quarter as long as the trunk: nobody can twist so far.

    Parameters
    ----------
    source : Source
        Parsed annotations.
    images : bool
        Whether the images are wanted, so that a missing one matters.
    """
    skeleton = source.skeleton
    labelled, visible = np.zeros(len(skeleton), np.int64), np.zeros(len(skeleton), np.int64)
    found: Counter[str] = Counter()
    where: dict[str, list[str]] = {}
    image_ids: set[tuple[int, int]] = set()
    for batch in _batches(source):
        persons = batch.people
        kept = ~persons.regions
        labelled += (persons.visible[kept] > 0).sum(0)
        visible += (persons.visible[kept] == 2).sum(0)
        outside = persons.labelled & kept[:, None] & _outside(persons, batch.size_hw)
        found[PERSONS] += int(kept.sum())
        found[CROWDS] += int(persons.ignore.sum())
        found[JOINTLESS] += int((~persons.ignore & ~kept).sum())
        found[OUTSIDE] += int(outside.sum())
        images_here = list(zip(batch.source.tolist(), batch.image_id.tolist(), strict=True))
        found[SAME_IMAGE] += len(images_here) - len(set(images_here) - image_ids)
        image_ids.update(images_here)
        places = {
            NO_AREA: batch.named(kept & (persons.area <= 0)),
            ALL_OUTSIDE: batch.named(kept & (outside == persons.labelled).all(1)),
            SWAPPED: batch.named(kept & swapped(persons, skeleton)),
            SAME_ID: batch.named(_repeated(batch.image, persons.id)),
            MISSING: batch.missing if images else [],
        }
        for what, at in places.items():
            found[what] += len(at)
            where.setdefault(what, []).extend(at[:NAMED])
    return Survey(
        rows=len(source),
        people=int(source.n_people.sum()),
        people_labelled=found[PERSONS],
        joints_labelled=int(labelled.sum()),
        by_joint=tuple(zip(skeleton.joints, labelled.tolist(), visible.tolist(), strict=True)),
        findings=tuple(
            Finding(what, found[what], done, tuple(where.get(what, ())[:NAMED]))
            for what, done in DONE.items()
            if found[what]
        ),
    )


@dataclass(frozen=True)
class _Batch:
    """Some samples' people together: image of each (P,), and of the images size, id, part, and files not there."""

    people: People
    image: NDArray[np.int64]
    size_hw: NDArray[np.int64]
    image_id: NDArray[np.int64]
    source: NDArray[np.int64]
    missing: list[str]

    def named(self, which: NDArray[np.bool_]) -> list[str]:
        """Name some of the people by image and annotation id."""
        return [
            f"image {self.image_id[self.image[p]]} person {self.people.id[p]}" for p in np.flatnonzero(which).tolist()
        ]


def _batches(source: Source) -> Iterator[_Batch]:
    reader = source.image_reader
    readers = reader.readers if isinstance(reader, MixedImages) else (reader,)
    for at in range(0, len(source), BATCH):
        samples = [source[i] for i in range(at, min(at + BATCH, len(source)))]
        sizes = np.array([sample.size_hw for sample in samples], np.int64)
        image = np.repeat(np.arange(len(samples)), [len(sample.people) for sample in samples])
        missing = []
        for sample in samples:
            folder = readers[sample.source if len(readers) > 1 else 0]
            if isinstance(folder, FolderImages) and not (file := folder.root / sample.path).is_file():
                missing.append(str(file))
        yield _Batch(
            people=_together([sample.people for sample in samples]),
            image=image,
            size_hw=sizes[image],
            image_id=np.array([sample.id for sample in samples], np.int64),
            source=np.array([sample.source for sample in samples], np.int64),
            missing=missing,
        )


def _together(people: list[People]) -> People:
    return People(**{name: np.concatenate([getattr(one, name) for one in people]) for name in vars(people[0])})


def _outside(people: People, size_hw: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which joints (P, K) lie beyond the edge of their image's pixels; a box covers half a pixel more."""
    xy, limit = people.joints[..., :2], size_hw[:, None, ::-1] - 0.5
    return np.asarray(((xy < -0.5) | (xy > limit)).any(-1), np.bool_)


def swapped(people: People, skeleton: Skeleton) -> NDArray[np.bool_]:
    """Return whose shoulders and hips contradict each other, (P,): see `survey`; nobody without these four joints."""
    names = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
    if not set(names) <= set(skeleton.joints):
        return np.zeros(len(people), np.bool_)
    at = [skeleton.joints.index(name) for name in names]
    ls, rs, lh, rh = people.joints[:, at, :2].transpose(1, 0, 2).astype(np.float64)
    shoulders, hips, trunk = ls - rs, lh - rh, (ls + rs - lh - rh) / 2
    a, b, length = (np.hypot(v[:, 0], v[:, 1]) for v in (shoulders, hips, trunk))
    wide = np.minimum(a, b) >= LEAST_WIDTH * length
    apart = (shoulders * hips).sum(1) < OPPOSITE * a * b
    return np.asarray(people.labelled[:, at].all(1) & wide & apart & (length > 0))


def _repeated(image: NDArray[np.int64], ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whose annotation id somebody before them in the same image has, (P,); -1 is no id."""
    pairs = np.stack([image, ids], 1)
    _, first = np.unique(pairs, axis=0, return_index=True)
    again = ids >= 0
    again[first] = False
    return again
