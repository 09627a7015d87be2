"""How long `spm --help` takes beside `python -c 'import click'`: whole processes, in turn, medians.

The goal is a ratio of at most 2. Below that, what `spm prepare` takes on a machine that has never compiled the kernels,
and on one that has: few rows are done in plain Python, for many they are compiled once.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

from results import machine, table, write_section

COMMANDS = {
    "python -c 'import click'": [sys.executable, "-c", "import click"],
    "spm --help": [sys.executable, "-m", "spmcli", "--help"],
    "spm prepare --help": [sys.executable, "-m", "spmcli", "prepare", "--help"],
}


#: Rows of `spm prepare synthetic --no-images`.
SIZES = (16, 64, 512)


def prepare(rows: int, folder: str, caches: str) -> float:
    """Return how long `spm prepare` takes with numba's cache in a folder."""
    out = f"{folder}/{time.monotonic_ns()}.zarr"
    command = [sys.executable, "-m", "spmcli", "prepare", "synthetic", "--rows", f"{rows}", "--no-images", "--out", out]
    start = time.perf_counter()
    subprocess.run(
        [*command, "--workers", "1", "-q", "--json"],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "NUMBA_CACHE_DIR": caches},
    )
    return time.perf_counter() - start


def prepares(n: int) -> str:
    """Return the table of prepares, cold and warm."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        warm = f"{folder}/warm"
        prepare(SIZES[-1], folder, warm)
        for rows in SIZES:
            times = [
                (prepare(rows, folder, f"{folder}/cold {rows} {i}"), prepare(rows, folder, warm)) for i in range(n)
            ]
            cold, again = map(statistics.median, zip(*times, strict=True))
            lines.append([f"{rows}", f"{cold:.1f} s", f"{again:.1f} s"])
    return table(("`spm prepare synthetic --no-images --workers 1`, rows", "never compiled", "compiled before"), lines)


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
    text += f"\n\n{prepares(3)}\n\nMedians of 3."
    print(text)
    if options.write:
        write_section("cli", text)


if __name__ == "__main__":
    main()
