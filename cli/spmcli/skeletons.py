"""`spm skeletons`: the joints that there are, and one's own checked and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spmcli.options import PATH, Settings, talking
from spmcli.output import note, print_json, print_pairs, print_table

if TYPE_CHECKING:
    from spmdata.skeleton import Skeleton


@click.group("skeletons", invoke_without_command=True)
@click.option("--draw", help="Print a skeleton's tree and draw it: a name, a .toml, or a .json of COCO's form.")
@click.option("--out", type=PATH, help="Picture to write with --draw, by its ending.  [default: NAME.png]")
@talking
@click.pass_context
def command(ctx: click.Context, /, draw: str | None, out: Path | None) -> None:
    """List the built-in skeletons; draw one; check one's own (spm skeletons check FILE.toml)."""
    from spmdata.skeletons import SKELETONS

    settings: Settings = ctx.obj
    if ctx.invoked_subcommand is not None:
        return
    if draw is not None:
        _draw(settings, draw, out)
    elif out is not None:
        raise click.UsageError("--out is the picture of --draw NAME")
    elif settings.json:
        print_json({"version": 1, "skeletons": [_json(one) for one in SKELETONS.values()]})
    else:
        print_table(
            ("skeleton", "joints", "levels", "mirror pairs"),
            [(one.name, len(one), max(one.levels()), _pairs(one)) for one in SKELETONS.values()],
        )


@command.command("check")
@click.argument("file", type=PATH)
@talking
@click.pass_obj
def check(settings: Settings, /, file: Path) -> None:
    """Check a skeleton FILE.toml and print what it says and what was derived."""
    from spmdata.skeleton_file import read_skeleton

    skeleton = read_skeleton(file)
    if settings.json:
        print_json({"version": 1, "skeleton": _json(skeleton)})
        return
    _print_tree(skeleton)
    names = skeleton.joints
    mirrored = [f"{names[j]} = {names[o]}" for j, o in enumerate(skeleton.flip) if j < o]
    click.echo()
    print_pairs(
        [
            ("mirror", ", ".join(mirrored) or "no pairs: every joint is its own mirror"),
            ("torso", ", ".join(names[j] for j in skeleton.torso)),
            ("ok", f"{len(skeleton)} joints, {max(skeleton.levels())} levels; use it by --skeleton {file}"),
        ]
    )


def _draw(settings: Settings, draw: str, out: Path | None) -> None:
    from spmdata.images import write_image
    from spmdata.skeleton_picture import draw_skeleton

    skeleton = _find(settings, draw)
    path = out or Path(f"{skeleton.name}.png")
    try:
        write_image(path, draw_skeleton(skeleton))
    except ValueError as error:  # an ending that stands for no format
        raise click.UsageError(f"{path} cannot be written: {error}; end its name in .png") from error
    if settings.json:
        print_json({"version": 1, "skeleton": _json(skeleton), "picture": str(path)})
    else:
        _print_tree(skeleton)
        note(settings, f"drawn: {path}")


def _find(settings: Settings, text: str) -> Skeleton:
    from spmdata.skeleton_file import read_skeleton
    from spmdata.skeletons import SKELETONS

    if text in SKELETONS:
        return SKELETONS[text]
    if text.endswith((".json", ".json.gz")):
        from spmdata.sources.coco_category import read_coco_skeleton

        skeleton, said = read_coco_skeleton(Path(text))
        for what, n in said:
            note(settings, f"{n}  {what}")
        return skeleton
    if text.endswith(".toml"):
        return read_skeleton(text)
    raise click.UsageError(f"no skeleton {text!r}; there are {', '.join(SKELETONS)}, or name a .toml or .json file")


def _print_tree(skeleton: Skeleton) -> None:
    from spmdata.skeleton_picture import tree_lines

    rows = [
        (branch, level, "" if joint < 0 else joint, "" if joint < 0 else f"{skeleton.sigmas[joint]:.3f}")
        for branch, joint, level in tree_lines(skeleton)
    ]
    print_table((skeleton.name, "level", "index", "sigma"), rows)


def _pairs(skeleton: Skeleton) -> int:
    return sum(j < other for j, other in enumerate(skeleton.flip))


def _json(skeleton: Skeleton) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(skeleton), "levels": skeleton.levels()}
