"""The `spm` command: a group whose commands load when they are asked for, and the one place that prints errors."""

from __future__ import annotations

import sys
import traceback
from importlib import import_module

import click

from spmcli.options import Settings

#: Module of each command and what `spm --help` says of it without importing that, in the order of use.
COMMANDS = {
    "demo": ("spmcli.demo", "Do the whole job on drawn people, without any download."),
    "prepare": ("spmcli.prepare", "Turn annotations into a store of targets."),
    "verify-targets": ("spmcli.verify", "Decode a store and compare; find damage, --repair mends it."),
    "tune": ("spmcli.tune", "Find the conventions that lose least on a data set."),
    "inspect": ("spmcli.show", "Show what a store holds, or one row in numbers."),
    "train": ("spmcli.train", "Train a network on a store."),
    "eval": ("spmcli.evaluate", "Score a network on a store."),
    "predict": ("spmcli.predict", "Find the people in images."),
    "skeletons": ("spmcli.skeletons", "List the built-in skeletons; draw one; check one's own."),
    "sources": ("spmcli.sources", "List what spm prepare reads, and what each looks for."),
}


class LazyGroup(click.Group):
    """Commands by name, imported on first use; no entry points are scanned."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a line for each command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="spm-toolkit", prog_name="spm")
def group() -> None:
    """Single-Stage Multi-Person Pose Machines: prepare targets, verify them, train on them.

    A first run:  spm prepare coco --hier;  spm verify-targets;  spm train --store coco.zarr
    """


def main() -> None:
    """Run and exit: 0 done, 1 a check failed or rows were skipped, 2 usage or data error, 130 interrupted."""
    settings = Settings()
    try:
        code = group.main(prog_name="spm", standalone_mode=False, obj=settings)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        code = 2
    except (click.Abort, KeyboardInterrupt):
        click.echo(f"interrupted; {settings.resume}", err=True)
        code = 130
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone: nobody to tell
        code = 1
    except Exception as error:
        if settings.verbose >= 2 or not _expected(error):
            traceback.print_exc()
        if _expected(error):
            click.echo(f"{type(error).__name__}: {error}", err=True)
        code = 2
    sys.exit(code)


def _expected(error: Exception) -> bool:
    """Return whether an error is one of ours, or the machine's (disk full, permission), and not a bug."""
    from spmdata.errors import SpmError

    return isinstance(error, SpmError | OSError)
