"""Run the commands that README.md shows and put what they print below them.

Every ```console block is a list of `$ command` lines; all of them run one after the other in one empty folder, with
`$SPM_DATA` set. `--write` replaces the output in README.md; without it the new text is printed.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
BLOCK = re.compile(r"(?<=```console\n).*?(?=```)", re.DOTALL)


def replay(block: str, folder: str) -> str:
    """Run the commands of a block and return it with what they print."""
    lines: list[str] = []
    for command in (line for line in block.splitlines() if line.startswith("$ ")):
        print(command, file=sys.stderr)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path}
        done = subprocess.run(
            command[2:],
            shell=True,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        lines += [command, *done.stdout.rstrip().splitlines()]
    return "".join(f"{line}\n".replace(os.environ["SPM_DATA"], "$SPM_DATA") for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace the output in README.md")
    options = parser.parse_args()
    if "SPM_DATA" not in os.environ:
        raise SystemExit("SPM_DATA is unset: it names the folder with coco/")
    with tempfile.TemporaryDirectory() as folder:
        text = BLOCK.sub(lambda match: replay(match[0], folder), README.read_text())
    if options.write:
        README.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
