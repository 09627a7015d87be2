"""What `spm demo` reaches: AP on held-out drawn people, over seeds, and how long each stage takes.

Each seed is one `spm demo` in a process of its own: other people, other first weights, another order.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

from results import machine, table, write_section


def run(seed: int, minutes: float, threads: int | None, kept: Path | None) -> dict[str, Any]:
    """Return what one demo prints as JSON."""
    file = None if kept is None else kept / f"{minutes:g} minutes, threads {threads}, seed {seed}.json"
    if file is not None and file.exists():
        return dict(json.loads(file.read_text()))
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "spmcli", "demo", "--json", "--out", f"{folder}/demo"]
        command += ["--minutes", str(minutes), "--seed", str(seed)]
        command += ["--threads", str(threads)] if threads else []
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(printed)
    return dict(json.loads(printed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="of each demo, everything included")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, help="that compute; every core by default")
    parser.add_argument("--kept", type=Path, help="folder: what a run prints is kept there, and not run again")
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md")
    options = parser.parse_args()
    runs = [run(seed, options.minutes, options.threads, options.kept) for seed in options.seeds]
    rows = [
        [
            *(str(run["seed"]), f"{run['seconds'] / 60:.1f}", f"{run['steps']:,}"),
            f"{run['stages'][-1][1] / run['stages'][-1][2]:.0f}",
            *(f"{100 * run['evaluation']['scores'][name]:.1f}" for name in ("AP", "AP50")),
            *(f"{100 * run['with_flip']['scores'][name]:.1f}" for name in ("AP", "AP50", "AP75")),
            f"{100 * run['with_flip']['pck']:.1f}",
            f"{100 * run['evaluation']['ceiling']['AP']:.1f}",
        ]
        for run in runs
    ]
    average = [mean(float(row[i]) for row in rows) for i in range(4, 11)]
    rows.append(["mean", "", "", "", *(f"{value:.1f}" for value in average)])
    header = ["seed", "minutes", "steps", "images/s", "AP", "AP50"]
    header += ["AP flip", "AP50 flip", "AP75 flip", "PCK@.1 flip", "ceiling AP"]
    images = runs[0]["evaluation"]["images"]
    text = f"{machine('torch')}\n\n{images} held-out images; area is the silhouette of the whole person\n\n"
    text += table(header, rows)
    print(text)
    if options.write:
        threads = f", {options.threads} thread" if options.threads else ""
        write_section(f"demo, {options.minutes:g} minutes{threads}", text)


if __name__ == "__main__":
    main()
