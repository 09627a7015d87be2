"""How fast `spm prepare` writes rows, what a row weighs, and how much memory it takes whatever the size of the set.

Each line is one `spm prepare coco --hier --no-images` in a process of its own, its peak memory as the operating system
counted it: on parts of train2017's annotations, on all of them, and on a synthetic annotation file of the official
one's size (118,287 images, 262,465 persons, segmentations, about 240 MB). Needs `$SPM_DATA`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from results import machine, table, write_section

SPM = [sys.executable, "-m", "spmcli"]


def part_of(content: dict[str, Any], share: float) -> dict[str, Any]:
    """Return the first images of an annotation file and what belongs to them."""
    images = content["images"][: round(share * len(content["images"]))]
    ids = {image["id"] for image in images}
    return {**content, "images": images, "annotations": [a for a in content["annotations"] if a["image_id"] in ids]}


def write_part(whole: Path, share: float, path: Path) -> None:
    """Write the first images of a gzipped annotation file."""
    path.write_text(json.dumps(part_of(json.loads(gzip.decompress(whole.read_bytes())), share)))


def official_size(path: Path) -> None:
    """Write an annotation file as large as the official train2017's: as many images, persons and polygon points."""
    rng = np.random.default_rng(0)
    n_images, n_people = 118_287, 262_465
    image_of = np.sort(rng.choice(64_115, n_people))
    with path.open("w") as file:
        file.write('{"images": [')
        for i in range(n_images):
            image = {"id": i, "file_name": f"{i:012d}.jpg", "width": 640, "height": 480, "license": 3}
            image |= {"coco_url": f"http://images.example.org/train2017/{i:012d}.jpg", "date_captured": "2013-11-14"}
            file.write((", " if i else "") + json.dumps(image))
        names = (
            "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist"
        )
        names += " right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle"
        category = {"id": 1, "name": "person", "keypoints": names.split(), "skeleton": []}
        file.write('], "categories": [' + json.dumps(category) + '], "annotations": [')
        for i in range(n_people):
            w, h = rng.uniform(20, 300), rng.uniform(40, 440)
            x, y = rng.uniform(0, 640 - w), rng.uniform(0, 480 - h)
            v = rng.choice([0, 1, 2], 17, p=[0.4, 0.1, 0.5]) if rng.random() < 0.57 else np.zeros(17, int)
            joints = np.rint(rng.random((17, 2)) * [w, h] + [x, y]).astype(int) * (v[:, None] > 0)
            annotation = {
                "segmentation": [np.round(rng.random(56) * 400, 2).tolist()],
                "num_keypoints": int((v > 0).sum()),
                "area": round(0.5 * w * h, 4),
                "iscrowd": 0,
                "keypoints": np.concatenate([joints, v[:, None]], 1).ravel().tolist(),
                "image_id": int(image_of[i]),
                "bbox": [round(value, 2) for value in (x, y, w, h)],
                "category_id": 1,
                "id": i + 1,
            }
            file.write((", " if i else "") + json.dumps(annotation))
        file.write("]}")


def measure(arguments: list[str]) -> tuple[dict[str, Any], float, float]:
    """Run `spm` and return its JSON, its peak memory in MB and its wall time in seconds."""
    start = time.perf_counter()
    with subprocess.Popen([*SPM, *arguments, "--json"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        answer = json.load(process.stdout)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"spm {' '.join(arguments)} exited {process.returncode}")
    return answer, usage.ru_maxrss / 1e3, time.perf_counter() - start


def line(name: str, annotations: Path, folder: Path, extra: list[str]) -> list[str]:
    """Prepare one file and return its row of the table."""
    out = folder / "out.zarr"
    common = ["prepare", "coco", "--hier", "--no-images", "--annotations", str(annotations), "--out", str(out), *extra]
    _, plan_mb, _ = measure([*common, "--dry-run"])
    answer, peak_mb, wall = measure(common)
    rows = answer["summary"]["rows"]
    packed = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
    seconds = answer["summary"]["seconds"]
    subprocess.run(["rm", "-rf", str(out)], check=True)
    return [
        *(name, f"{annotations.stat().st_size / 1e6:.0f} MB", f"{rows:,}", f"{rows / seconds:,.0f}", f"{wall:.0f} s"),
        *(f"{packed / rows:,.0f}", f"{plan_mb:.0f} MB", f"{peak_mb:.0f} MB"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="an eighth of train2017 alone")
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md")
    parser.add_argument("extra", nargs="*", help="further options of spm prepare, after --")
    options = parser.parse_args()
    if "SPM_DATA" not in os.environ:
        raise SystemExit("SPM_DATA is unset: it names the folder with coco/annotations")
    whole = Path(os.environ["SPM_DATA"]) / "coco/annotations/person_keypoints_train2017.json.gz"
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for share in (1 / 8,) if options.quick else (1 / 8, 1 / 2):
            part = folder / "part.json"
            # In a process of its own: Linux hands the peak memory of this one on to those it starts.
            writer = multiprocessing.get_context("spawn").Process(target=write_part, args=(whole, share, part))
            writer.start()
            writer.join()
            rows.append(line(f"train2017, {share:.3g} of it", part, folder, options.extra))
        if not options.quick:
            rows.append(line("train2017", whole, folder, options.extra))
            official = folder / "official.json"
            official_size(official)
            rows.append(line("synthetic, official size", official, folder, options.extra))
    header = ("annotations", "file", "rows", "rows/s", "wall", "bytes a row", "peak memory: plan", "run")
    command = f"`spm prepare coco --hier --no-images {' '.join(options.extra)}`".replace(" `", "`")
    text = f"{machine('numpy', 'numba', 'zarr', 'dask')}\n\n{command}, one run each\n\n{table(header, rows)}"
    print(text)
    if options.write:
        write_section("prepare", text)


if __name__ == "__main__":
    main()
