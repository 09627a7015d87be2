"""A target spec as a TOML file that a person may write, change and keep beside the data.

The skeleton is not in it: it belongs to the data set. Whatever else is left out is the preset's, or the default.
"""

from __future__ import annotations

import tomllib
from dataclasses import fields
from os import PathLike
from pathlib import Path
from typing import Any

from spmdata.errors import SpecError
from spmdata.skeleton import Skeleton
from spmdata.spec import TargetSpec, check_keys
from spmdata.store.durable import write_file
from spmdata.views import ViewRanges

#: What a file may say.
KEYS = tuple(f.name for f in fields(TargetSpec) if f.name != "skeleton")


def _read(path: str | PathLike[str]) -> dict[str, Any]:
    """Return the content of a TOML file; SpecError that names it."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # no TOML, no UTF-8, and absurd numbers are all ValueErrors
        raise SpecError(f"{path}: {error.strerror if isinstance(error, OSError) else error}") from error


def read_views(path: str | PathLike[str]) -> ViewRanges:
    """Return what the table ``[views]`` of a spec's file says of augmented views, the defaults without one.

    Raises
    ------
    SpecError
        The file cannot be read or is no TOML, or a key or a value of the table is wrong.
    """
    said = _read(path).get("views", {})
    try:
        if not isinstance(said, dict):
            raise SpecError(f"views must be a table, [views], got {said!r}")
        return ViewRanges.from_json(said)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from error


def read_spec(path: str | PathLike[str], skeleton: Skeleton, axes: int = 2, **changes: Any) -> TargetSpec:
    """Read a spec from a TOML file of its fields; ``changes`` win over the file, the file over its ``preset``.

    Parameters
    ----------
    path : str or path
        The file. ``preset`` names one of PRESETS to start from; ``input_hw`` may also be written as on the command
        line, 512 or "384x512".
    skeleton : Skeleton
        The joints of the data set.
    axes : int
        Of the joints of the data set: ``dims``, where the file does not say it.
    **changes
        Fields, or ``preset``, to set whatever the file says.

    Returns
    -------
    TargetSpec

    Raises
    ------
    SpecError
        The file cannot be read or is no TOML, or a key or a value is wrong; the message names the file and the key.
    """
    said = _read(path)
    try:
        if "skeleton" in said:
            raise SpecError("skeleton is no key of a spec file: the source brings it; take it out")
        said.pop("views", None)  # `read_views` is for that
        check_keys(said, ("preset", *KEYS))
        if "input_hw" in said:
            said["input_hw"] = size_hw(said["input_hw"])
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from error
    values = {"preset": "paper", "dims": axes, **said, **changes}
    try:
        return TargetSpec.preset(values.pop("preset"), skeleton=skeleton, **values)
    except SpecError as error:
        changed = ", ".join(f"{key}={value!r}" for key, value in changes.items())
        raise SpecError(f"{path}{' with ' * bool(changes)}{changed}: {error}") from error


def write_spec(path: str | PathLike[str], spec: TargetSpec, views: ViewRanges | None = None) -> None:
    """Write every field of a spec but the skeleton, so that `read_spec` returns the same spec; whole or not at all.

    Ranges of views, when given, become a table for `read_views`.

    Raises
    ------
    StoreError
        The disk refuses.
    """
    import tomlkit  # slow to import, and only who writes needs it

    file = tomlkit.document()
    file.add(tomlkit.comment("Conventions of targets, for spm prepare --spec. The skeleton comes from the data set;"))
    file.add(tomlkit.comment(f"these were written for {spec.skeleton.name}."))
    for key in KEYS:
        file.add(key, getattr(spec, key))
    if views is not None:
        file.add("views", views.to_json())
    write_file(Path(path), [tomlkit.dumps(file).encode()])


def size_hw(value: object) -> Any:
    """Return (height, width) of 512, "512" or "384x512", and any other value as it is, for TargetSpec to refuse."""
    sides = str(value).lower().split("x") if isinstance(value, (int, str)) and not isinstance(value, bool) else []
    if len(sides) in (1, 2) and all(side.isascii() and side.isdigit() and len(side) < 9 for side in sides):
        return int(sides[0]), int(sides[-1])
    return value
