"""Options that several commands share, defined once."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from spmdata.skeleton import Skeleton
    from spmdata.sources.base import Source
    from spmdata.spec import TargetSpec

F = TypeVar("F", bound=Callable[..., Any])
PATH = click.Path(path_type=Path)
#: A store: a path, or text with a URL.
Place = Path | str


@dataclass
class Settings:
    """How much to say; filled by the options of the command that runs."""

    verbose: int = 0
    quiet: bool = False
    json: bool = False
    #: What to do after an interrupt.
    resume: str = "run the same command again"


def _store_in_settings(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    settings = ctx.ensure_object(Settings)
    assert param.name is not None
    setattr(settings, param.name, value)


def talking(function: F) -> F:
    """Add -q, -v and --json; the command finds them in the `Settings` that `click.pass_obj` hands it."""
    for option in (
        click.option("-v", "--verbose", count=True, expose_value=False, callback=_store_in_settings,
                     help="Say more; -vv also shows where an error came from."),
        click.option("-q", "--quiet", is_flag=True, expose_value=False, callback=_store_in_settings,
                     help="No progress on stderr."),
        click.option("--json", is_flag=True, expose_value=False, callback=_store_in_settings,
                     help="Print one JSON object instead of tables."),
    ):  # fmt: skip
        function = option(function)
    return function


#: Add --flip.
flipping = click.option("--flip", is_flag=True, help="Average the maps of image and mirror image: twice the work.")


class StoreType(click.ParamType[Place]):
    """A path, or the URL of a store as it was written: a path would make one slash of two."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        """Return text where it has ``://``, else a path."""
        return value if "://" in str(value) else Path(value)


STORE = StoreType()


class SizeType(click.ParamType[tuple[int, int]]):
    """``512`` or ``384x512``: height x width in px."""

    name = "HxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return (height, width)."""
        from spmdata.spec_file import size_hw

        size = size_hw(value)
        if not isinstance(size, tuple):
            self.fail(f"{value!r} is no size; write 512 or 384x512 (height x width, px)", param, ctx)
        return size


class SkeletonType(click.ParamType["Skeleton"]):
    """Name of a built-in skeleton, or a TOML file; what was written stays in the context's ``meta``."""

    name = "NAME|FILE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Skeleton:
        """Return the skeleton."""
        from spmdata.skeleton_file import read_skeleton
        from spmdata.skeletons import SKELETONS

        if ctx is not None:
            ctx.meta["skeleton"] = value
        if str(value).endswith(".toml"):
            return read_skeleton(value)
        if value not in SKELETONS:
            self.fail(f"no skeleton {value!r}; there are {', '.join(SKELETONS)}, or name a .toml file", param, ctx)
        return SKELETONS[value]


def reads_annotations(function: F) -> F:
    """Add the options that say which annotations to read: keywords of `open_source`."""
    for option in (
        click.option("--seed", type=click.IntRange(0), help="synthetic: which people.  [default: 0]"),
        click.option("--skeleton", type=SkeletonType(),
                     help="Joints of the annotations: a name, such as crowdpose14, or FILE.toml.  "
                          "[default: the source's own]"),
        click.option("--cameras", help="panoptic: cameras by pattern, such as '00_0?,00_16'.  [default: every HD one]"),
        click.option("--split", help="Split or sequence of the data set.  [default: its training part, or all]"),
        click.option("--root", type=PATH, help="Where data sets lie.  [default: ./data, else $SPM_DATA]"),
        click.option("--annotations", type=PATH,
                     help="Annotation file, or folder of a sequence.  [default: looked for below --root]"),
    ):  # fmt: skip
        function = option(function)
    return function


def chooses_conventions(function: F) -> F:
    """Add the options that say what targets are: the keywords of `chosen_spec`, and ``file``."""
    for option in (
        click.option("--stride", type=int,
                     help="Input px per cell of the maps: 2, 4 or 8.  [default: the spec's; 4]"),
        click.option("--input", "input_hw", type=SizeType(), metavar="HxW",
                     help="Network input, px: 512 or 384x512 (height x width).  [default: the spec's; 384]"),
        click.option("--hier/--flat", "hierarchical", default=None,
                     help="Offsets along the skeleton's tree, or every joint's from the root.  "
                          "[default: the spec's; flat]"),
        click.option("--spec", "file", type=PATH, help="TOML file of conventions; the options here win over it."),
        click.option("--preset",
                     help="Conventions to start from: paper, ppn, dekr or sharp.  [default: the spec's; paper]"),
    ):  # fmt: skip
        function = option(function)
    return function


#: Add the argument of a mix's file.
mixing = click.argument("mix", metavar="[FILE.toml]", type=PATH, required=False)


def take_mix(source: str, mix: Path | None, where: dict[str, Any]) -> None:
    """Put the file of a mix among the keywords of `open_source`; UsageError for another source."""
    if mix is not None:
        if source != "mix":
            raise click.UsageError(f"only mix takes a file after its name; for {source} it is --annotations {mix}")
        where["annotations"] = mix


def check_folder(file: Path) -> None:
    """Refuse, before any work is done, a file that cannot be written for want of its folder."""
    if not os.access(file.parent, os.W_OK | os.X_OK):
        why = "may not be written to" if file.parent.is_dir() else "is not there"
        raise click.UsageError(f"the folder of {file} {why}; name another file with --out")


def given(options: dict[str, Any], *names: str) -> dict[str, Any]:
    """Take some options out of a command's and return those that were given."""
    taken = {name: options.pop(name) for name in names}
    return {name: value for name, value in taken.items() if value is not None}


def open_with_spec(name: str, file: Path | None, changes: Mapping[str, Any], **where: Any) -> tuple[Source, TargetSpec]:
    """Open a source and return it with the conventions asked for: options over the file, the file over its preset."""
    from spmdata.skeletons import COCO17
    from spmdata.sources.registry import open_source

    # People are drawn at the size that the network sees.
    size_hw = _spec(file, changes, COCO17).input_hw if name == "synthetic" else None
    source = open_source(name, size_hw=size_hw, **where)
    axes = source[0].people.joints.shape[-1] if len(source) else 2
    return source, _spec(file, changes, source.skeleton, axes)


def _spec(file: Path | None, changes: Mapping[str, Any], skeleton: Skeleton, dims: int = 2) -> TargetSpec:
    """Return the conventions; joints have ``dims`` axes where nothing else is said."""
    from spmdata.spec import TargetSpec
    from spmdata.spec_file import read_spec

    if file is not None:
        return read_spec(file, skeleton, dims, **changes)
    values = {"preset": "paper", "dims": dims, **changes}
    return TargetSpec.preset(values.pop("preset"), skeleton=skeleton, **values)


def one_store_here(path: Place | None) -> Place:
    """Return the path or URL, or the one store in the current folder when none is given."""
    if path is not None:
        return path
    found = sorted(path for ending in ("*.zarr", "*.h5") for path in Path().glob(ending))
    if len(found) != 1:
        names = ", ".join(str(p) for p in found) or "none"
        raise click.UsageError(f"name the store: {len(found)} of them in this folder ({names})")
    return found[0]
