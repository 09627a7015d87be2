"""The command line: click at the edge, no numerics."""

from __future__ import annotations


def main() -> None:
    """Run `spm`; also an interrupt while it is still being imported is one line and exit code 130."""
    try:
        from spmcli.main import main as run
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    run()
