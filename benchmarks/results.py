"""RESULTS.md, one marked section a script: written by ``--write``, never by hand.

Every section starts with the command, the machine and the versions that its numbers come from.
"""

import os
import platform
import re
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")
TITLE = "# Results\n\nPrinted by the scripts in this folder with `--write`; do not edit.\n"


def machine(*packages: str) -> str:
    """Return one line that names the processor, its cores, Python and the packages' versions, and the date."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and (named := re.search(r"^model name\s*: (.*)$", cpuinfo.read_text(), re.MULTILINE)):
        model = named[1]
    versions = [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)]
    return f"{model}, {os.cpu_count()} cores; {', '.join(versions)}; {datetime.now(UTC):%Y-%m-%d}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, its columns aligned; all but the first to the right."""
    widths = [max(3, *(len(row[i]) for row in (header, *rows))) for i in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [
        " | ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in (header, rule, *rows)
    ]
    return "\n".join(f"| {line} |" for line in lines)


def write_section(name: str, text: str, path: Path = RESULTS) -> None:
    """Replace the section of that name in RESULTS.md, or append it; the other sections stay as they are."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    options = [re.sub(r"(^|=)/.*/", r"\1", option) for option in sys.argv[1:]]  # no folder of this machine
    command = f"`python benchmarks/{Path(sys.argv[0]).name} {shlex.join(options)}`"
    section = f"{begin}\n## {name}\n\n{command}\n\n{text.strip()}\n{end}\n"
    old = path.read_text(encoding="utf-8") if path.exists() else TITLE
    marked = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}\n", re.DOTALL)
    new = marked.sub(lambda _: section, old) if marked.search(old) else f"{old.rstrip()}\n\n{section}"
    path.write_text(new, encoding="utf-8")
