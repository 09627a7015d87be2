"""A skeleton as a TOML file that a person writes: joints as chains, and whatever their names do not tell."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any

from spmdata.errors import SpecError
from spmdata.skeleton import ROOT, Skeleton
from spmdata.skeleton_names import lone_sides, mirror_of, nearest, sigma_of

#: What a file may say, and what the root is called in it.
KEYS, ROOT_NAME = ("name", "joints", "chains", "parents", "flip", "sigmas", "torso"), "root"


def read_skeleton(path: str | PathLike[str]) -> Skeleton:
    """Read a skeleton from a TOML file.

    ``chains`` are lists of joint names: each joint hangs from the one before it, the first from the root unless
    another chain says otherwise. Everything else may be left out:

    ``name``
        Else the file's name.
    ``joints``
        Their order in the annotation file; else as the chains first name them.
    ``parents``
        A table of joint = parent for joints in no chain; ``"root"`` is the root.
    ``flip``
        Mirror pairs, all of them; else by the words left, right, l, r of the names.
    ``sigmas``
        OKS constants: one number, a list, or a table by joint with ``default``; else by COCO's words in the names.
    ``torso``
        Joints whose mean is the root under ``root = "torso"``; else those that hang from the root.

    Raises
    ------
    SpecError
        The file cannot be read, is no TOML, or describes no skeleton; the message names file and key.
    """
    path = Path(path)
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
        return _skeleton(said, path.stem)
    except (OSError, ValueError, SpecError) as error:  # no TOML and no UTF-8 are ValueErrors
        raise SpecError(f"{path}: {error.strerror if isinstance(error, OSError) else error}") from error


def _skeleton(said: Mapping[str, Any], name: str) -> Skeleton:
    for key in said:
        if key not in KEYS:
            raise SpecError(f"unknown key {key!r} in a skeleton; {nearest(key, KEYS)}")
    parent_of = _parents(said)
    joints = _names(said["joints"], "joints") if "joints" in said else list(parent_of)
    if not joints:
        raise SpecError('no joints; write chains = [["hip", "knee", "ankle"], ...], or joints and parents')
    for joint in parent_of:
        if joint not in joints:
            raise SpecError(f"{joint!r} of chains or parents is not among joints; {nearest(joint, joints)}")
    if orphans := [joint for joint in joints if joint not in parent_of]:
        raise SpecError(f'{orphans[0]!r} has no parent: put it into a chain, or write parents.{orphans[0]} = "root"')
    flip = _flip(said["flip"], joints) if "flip" in said else mirror_of(joints)
    if "flip" not in said and (lone := lone_sides(joints, flip)):
        raise SpecError(f"{lone[0]!r} has no partner on the other side; correct the names, or give every pair in flip")
    parents = tuple(ROOT if parent_of[j] == ROOT_NAME else joints.index(parent_of[j]) for j in joints)
    torso = _names(said["torso"], "torso") if "torso" in said else [j for j in joints if parent_of[j] == ROOT_NAME]
    return Skeleton(
        name=_text(said.get("name", name), "name"),
        joints=tuple(joints),
        parents=parents,
        flip=flip,
        sigmas=_sigmas(said.get("sigmas", {}), joints),
        torso=tuple(_index(joint, joints, "torso") for joint in torso),
    )


def _parents(said: Mapping[str, Any]) -> dict[str, str]:
    """Return the parent of each joint, in the order in which joints are first named."""
    chains, table = said.get("chains", []), said.get("parents", {})
    if not isinstance(chains, list) or not isinstance(table, Mapping):
        raise SpecError("chains must be a list of lists of joints, and parents a table of joint = parent")
    parent_of: dict[str, str] = {}
    heads: set[str] = set()

    def hang(joint: str, parent: str, where: str) -> None:
        if joint == ROOT_NAME:
            raise SpecError(f"{where}: the root is no joint and hangs from nothing")
        if joint not in heads and parent_of.get(joint, parent) != parent:
            raise SpecError(f"{where}: {joint!r} hangs from {parent!r} here, from {parent_of[joint]!r} elsewhere")
        heads.discard(joint)
        parent_of[joint] = parent

    for i, chain in enumerate(chains):
        names = _names(chain, f"chains[{i}]")
        if names and names[0] != ROOT_NAME and names[0] not in parent_of:
            parent_of[names[0]] = ROOT_NAME  # until a chain or the table says otherwise
            heads.add(names[0])
        for parent, joint in pairwise(names):
            hang(joint, parent, f"chains[{i}]")
    for joint, parent in table.items():
        hang(joint, _text(parent, f"parents.{joint}"), "parents")
    for joint, parent in parent_of.items():
        if parent != ROOT_NAME and parent not in parent_of:
            raise SpecError(f"{joint!r} hangs from {parent!r}, which has no parent; {nearest(parent, parent_of)}")
    return parent_of


def _flip(pairs: Any, joints: Sequence[str]) -> tuple[int, ...]:
    flip = list(range(len(joints)))
    for i, pair in enumerate(pairs if isinstance(pairs, list) else [pairs]):
        names = _names(pair, f"flip[{i}]")
        if len(names) != 2:
            raise SpecError(f"flip[{i}] must be a pair of joints, got {names}")
        a, b = (_index(joint, joints, f"flip[{i}]") for joint in names)
        if flip[a] != a or flip[b] != b:
            raise SpecError(f"flip[{i}]: {names[0]!r} or {names[1]!r} is in another pair already")
        flip[a], flip[b] = b, a
    return tuple(flip)


def _sigmas(said: Any, joints: Sequence[str]) -> tuple[float, ...]:
    """Return the OKS constant of every joint; one that nothing tells is asked for, never guessed."""
    if isinstance(said, list):
        if len(said) != len(joints):
            raise SpecError(f"sigmas has {len(said)} numbers for {len(joints)} joints")
        return tuple(_number(value, f"sigmas[{j}]") for j, value in enumerate(said))
    table = said if isinstance(said, Mapping) else {"default": said}
    for key in table:
        if key != "default":
            _index(key, joints, "sigmas")
    every = table.get("default")
    # A lone number is for every joint; the default of a table for those that neither it nor a name tells.
    known = {joint: sigma_of(joint) for joint in joints if isinstance(said, Mapping)}
    found = []
    for joint in joints:
        value = table.get(joint, known.get(joint))
        value = every if value is None else value
        if value is None:
            raise SpecError(
                f"nothing tells the sigma of {joint!r}; write sigmas.{joint} = 0.05, or sigmas.default for all others"
            )
        found.append(_number(value, f"sigmas.{joint}"))
    return tuple(found)


def _names(value: Any, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise SpecError(f"{where} must be a list of joint names, got {value!r}")
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise SpecError(f"{where} must be text, got {value!r}")
    return value


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SpecError(f"{where} must be a number, got {value!r}")
    return float(value)


def _index(joint: str, joints: Sequence[str], where: str) -> int:
    if joint not in joints:
        raise SpecError(f"{where}: no joint {joint!r}; {nearest(joint, joints)}")
    return joints.index(joint)
