"""A mix of sources as a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spmdata.errors import AnnotationError, SpmError
from spmdata.skeleton import Skeleton
from spmdata.skeleton_file import read_skeleton
from spmdata.skeleton_names import nearest
from spmdata.skeletons import SKELETONS
from spmdata.sources.asked import Asked
from spmdata.sources.mix import MixSource, Part, joint_map
from spmdata.sources.registry import open_source

#: What a file may say, and what each of its sources may.
KEYS = ("skeleton", "sources")
_PATHS, _TEXTS, _NUMBERS = ("annotations", "images", "root"), ("split", "cameras"), ("rows", "seed")
SOURCE_KEYS = ("source", "weight", "joints", "skeleton", *_PATHS, *_TEXTS, *_NUMBERS)


def open_mix(asked: Asked) -> MixSource:
    """Open the sources that a TOML file names.

    ``skeleton`` is a name or a TOML file, else the first source's. Each ``[[sources]]`` has ``source``, its name, and
    may have ``weight`` (1), ``joints`` (see `joint_map`), and the keywords of `open_source`; paths are relative to the
    file.

    Raises
    ------
    AnnotationError
        The file is missing, no TOML or says what is not known; a source cannot be opened or does not fit.
    """
    path = asked.annotations
    if path is None:
        raise AnnotationError("a mix is described by a file: spm prepare mix FILE.toml")
    asked.refuse("mix takes that of each source from its file", "images", "split", "cameras", "rows", "seed", "size_hw")
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
        return _mix(said, path.parent, asked)
    except (OSError, ValueError, SpmError) as error:  # no TOML and no UTF-8 are ValueErrors
        raise AnnotationError(f"{path}: {error.strerror if isinstance(error, OSError) else error}") from error


def _mix(said: Mapping[str, Any], folder: Path, asked: Asked) -> MixSource:
    _check_keys(said, KEYS, "a mix")
    tables = said.get("sources")
    if not isinstance(tables, list) or not tables or not all(isinstance(table, Mapping) for table in tables):
        raise AnnotationError('a mix has sources: write [[sources]] and source = "coco" for each')
    skeleton = asked.skeleton or (_skeleton(said["skeleton"], folder) if "skeleton" in said else None)
    parts = []
    for i, table in enumerate(tables):
        where = f"sources[{i}]"
        source = _open(table, where, folder, asked)
        skeleton = skeleton or source.skeleton
        joints, weight = table.get("joints"), table.get("weight", 1.0)
        if joints is not None and not (
            isinstance(joints, Mapping) and all(isinstance(v, str) for v in joints.values())
        ):
            raise AnnotationError(f'{where}.joints must be a table such as {{neck = "thorax"}}, got {joints!r}')
        if isinstance(weight, bool) or not isinstance(weight, int | float):
            raise AnnotationError(f"{where}.weight must be a number, got {weight!r}")
        name = f"{where} ({table['source']})"
        parts.append(Part(source, float(weight), joint_map(skeleton, source.skeleton, joints, name)))
    assert skeleton is not None
    return MixSource(skeleton, parts)


def _open(table: Mapping[str, Any], where: str, folder: Path, asked: Asked) -> Any:
    _check_keys(table, SOURCE_KEYS, where)
    name = table.get("source")
    if name == "mix":
        raise AnnotationError(f"{where}: a mix in a mix is not read; name its sources here")
    if not isinstance(name, str):
        raise AnnotationError(f'{where} needs source = "coco" or another name of spm sources, got {name!r}')
    given: dict[str, Any] = {}
    for keys, kind, what in ((_PATHS, str, "a path"), (_TEXTS, str, "text"), (_NUMBERS, int, "a whole number")):
        for key in keys:
            if key not in table:
                continue
            if not isinstance(table[key], kind) or isinstance(table[key], bool):
                raise AnnotationError(f"{where}.{key} must be {what}, got {table[key]!r}")
            given[key] = folder / table[key] if key in _PATHS else table[key]
    if "skeleton" in table:
        given["skeleton"] = _skeleton(table["skeleton"], folder)
    if name != "synthetic":
        given.setdefault("root", asked.root)
    try:
        return open_source(name, no_images=asked.no_images, all_images=asked.all_images, **given)
    except SpmError as error:
        raise AnnotationError(f"{where} ({name}): {error}") from error


def _skeleton(value: object, folder: Path) -> Skeleton:
    if isinstance(value, str) and value in SKELETONS:
        return SKELETONS[value]
    if isinstance(value, str) and value.endswith(".toml"):
        return read_skeleton(folder / value)
    raise AnnotationError(f"no skeleton {value!r}; there are {', '.join(SKELETONS)}, or name a .toml file")


def _check_keys(said: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in said:
        if key not in known:
            raise AnnotationError(f"unknown key {key!r} in {where}; {nearest(key, known)}")
