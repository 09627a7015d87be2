"""How long `spm --help` takes beside `python -c 'import click'`: whole processes, in turn, medians.

The goal is a ratio of at most 2.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from results import machine, table, write_section

COMMANDS = {
    "python -c 'import click'": [sys.executable, "-c", "import click"],
    "spm --help": [sys.executable, "-m", "spmcli", "--help"],
    "spm prepare --help": [sys.executable, "-m", "spmcli", "prepare", "--help"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=21, help="rounds")
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md")
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(options.n):
        for name, command in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - start)
    base = seconds["python -c 'import click'"]
    rows = []
    for name, times in seconds.items():
        ratio = statistics.median(t / b for t, b in zip(times, base, strict=True))
        rows.append([f"`{name}`", f"{1e3 * statistics.median(times):.0f} ms", f"{ratio:.2f}"])
    text = f"{machine('click')}, {options.n} rounds in turn\n\n" + table(("command", "median", "ratio to click"), rows)
    print(text)
    if options.write:
        write_section("cli", text)


if __name__ == "__main__":
    main()
