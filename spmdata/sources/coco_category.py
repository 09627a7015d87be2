"""What a COCO file's categories say: which annotations are people, and the joints that these have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import msgspec

from spmdata.errors import AnnotationError
from spmdata.skeleton import Skeleton
from spmdata.skeleton_edges import Decided, skeleton_of
from spmdata.skeletons import COCO17
from spmdata.sources.records import decode_file, decode_record, read_text

Id = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

#: Whose files have that many joints, to name the skeleton when another one was given.
_KNOWN: dict[float, tuple[str, str]] = {
    14: ("CrowdPose", "crowdpose14"),
    16: ("MPII", "mpii16"),
    17: ("COCO", "coco17"),
}


class Category(msgspec.Struct):
    """One category; ``skeleton`` holds pairs of joints, from 1."""

    id: Id
    name: str = ""
    keypoints: list[str] | None = None
    skeleton: list[list[int]] = []


class _File(msgspec.Struct):
    categories: list[msgspec.Raw] = []


_CATEGORY, _FILE = msgspec.json.Decoder(Category), msgspec.json.Decoder(_File)


def read_categories(records: list[msgspec.Raw]) -> list[Category]:
    """Decode the categories; AnnotationError names the one that breaks the format."""
    return [decode_record(_CATEGORY, raw, f"categories[{i}]") for i, raw in enumerate(records)]


def own_skeleton(categories: list[Category], path: Path) -> tuple[Skeleton, Decided]:
    """Return the joints of the first category that has some, "person" before others, and what had to be decided."""
    posed = sorted((c for c in categories if c.keypoints), key=lambda c: c.name.lower() != "person")
    if not posed:
        return COCO17, ()
    return skeleton_of(path.name.partition(".")[0], posed[0].keypoints or [], posed[0].skeleton)


def person_categories(categories: list[Category], skeleton: Skeleton) -> set[int] | None:
    """Return the ids with the skeleton's joints, else those of "person", else the only one; None for any."""
    posed = [(f"categories[{i}].keypoints", c) for i, c in enumerate(categories) if c.keypoints]
    if not posed:
        persons = {c.id for c in categories if c.name.lower() == "person"}
        return persons or ({categories[0].id} if len(categories) == 1 else None)
    wanted = [_plain(joint) for joint in skeleton.joints]
    if fitting := {c.id for _, c in posed if [_plain(name) for name in c.keypoints or ()] == wanted}:
        return fitting
    where, category = next((item for item in posed if item[1].name.lower() == "person"), posed[0])
    names = category.keypoints or []
    if len(names) != len(wanted):
        raise AnnotationError(
            f"{where}: {len(wanted)} joints expected for {skeleton.name}, got {len(names)}{hint(len(names))}"
        )
    j = next(j for j, name in enumerate(names) if _plain(name) != wanted[j])
    raise AnnotationError(
        f"{where}[{j}]: {skeleton.joints[j]!r} expected for {skeleton.name}, got {names[j]!r}; "
        "describe the file's own joints with --skeleton FILE.toml"
    )


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "_", name).lower()


def hint(n_joints: float) -> str:
    """Say whose joints so many may be, for the end of a message; empty when that is not known."""
    whose, skeleton = _KNOWN.get(n_joints, ("", ""))
    return f"; is this {whose}? try --skeleton {skeleton}" if whose else ""


def read_coco_skeleton(path: Path) -> tuple[Skeleton, Decided]:
    """Return the joints that a file's category names, and what had to be decided to make them a skeleton."""
    categories = read_categories(decode_file(_FILE, read_text(path)[0], path).categories)
    if not any(c.keypoints for c in categories):
        raise AnnotationError(f"{path} names no joints: none of its {len(categories)} categories has keypoints")
    return own_skeleton(categories, path)
