"""The command line: exact arguments, tables, JSON, pictures, progress."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import click
import pytest

import spmdata.prepare.run
from cli_run import Run
from small_coco import write_small_coco
from spmcli.main import COMMANDS, group
from spmdata.store.reader import open_store

OPTIONS = {
    "demo": "--minutes --out --rows --seed --threads --device --json -q -v",
    "prepare": "SOURCE MIX --annotations --root --split --cameras --skeleton --seed --rows --images --no-images "
    "--no-maps --views --all-images --preset --spec --hier --input --stride --out --scheduler --workers --strict "
    "--force --take-over --dry-run --json -q -v",
    "tune": "SOURCE MIX --annotations --root --split --cameras --skeleton --seed --preset --spec --hier --input "
    "--stride --sweep --rows --threads --out --json -q -v",
    "verify-targets": "STORE --nms --max-people --threshold --threads --repair --annotations --images --root "
    "--cameras --json -q -v",
    "inspect": "STORE ROW --write-spec --json -q -v",
    "train": "--store --val --resume --config --preset --steps --batch --lr --seed --threads --device --compile "
    "--out --json -q -v",
    "eval": "CHECKPOINT --store --batch --threads --flip --nms --max-people --threshold --device --json -q -v",
    "skeletons": "--draw --out --json -q -v",
    "sources": "--json -q -v",
    "predict": "CHECKPOINT PATHS --out --draw --min-score --max-people --nms --focal --flip --batch --device "
    "--json -q -v",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_all_options(name: str) -> None:
    command = group.get_command(click.Context(group), name)
    assert command is not None
    names = [p.opts[0].upper() if isinstance(p, click.Argument) else p.opts[0] for p in command.params]
    assert " ".join(names) == OPTIONS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help(name: str, spm: Run) -> None:
    command = group.get_command(click.Context(group), name)
    assert command is not None
    assert command.help
    assert all(isinstance(p, click.Argument) or getattr(p, "help", None) for p in command.params)
    shown = spm(name, "--help")
    assert shown.code == 0
    assert shown.out.startswith(f"Usage: spm {name}")


def test_commands_stand_in_the_order_of_use(spm: Run) -> None:
    out = spm("--help").out
    places = [out.index(f"  {name} ") for name in COMMANDS]
    assert places == sorted(places)
    assert "spm, version" in spm("--version").out


def test_the_users_own_words(spm: Run, tmp_path: Path) -> None:
    """`spm prepare coco --hier`, `spm verify-targets`, `spm train --store` with nothing but a data folder."""
    write_small_coco(tmp_path / "data", 4, images=True)
    prepared = spm("prepare", "coco", "--hier")
    assert prepared.code == 0, prepared.err
    assert "coco.zarr" in prepared.out
    assert open_store("coco.zarr").spec.hierarchical
    verified = spm("verify-targets")
    assert verified.code == 0
    assert verified.out.rstrip().splitlines()[-1].startswith("ok: 0 joints outside collisions")
    trained = spm("train", "--store", "coco.zarr", "--steps", 2, "--batch", 2)
    assert trained.code == 0, trained.err
    assert Path("run/last.pt").is_file()
    scored = spm("eval", "run/last.pt", "--store", "coco.zarr", "--nms", 3, "--max-people", 5)
    assert scored.code == 0, scored.err
    assert [line.split()[0] for line in scored.out.splitlines()[-2:]] == ["network", "ceiling"]
    folder = tmp_path / "data/coco/train2017"
    (folder / "broken.jpg").write_bytes(b"no")
    found = spm("predict", "run/last.pt", folder, "--draw", "drawn", "--min-score", 0.001, "--nms", 7, "--json")
    assert found.code == 1
    assert "broken.jpg: file is not an image" in found.err
    results = json.loads(Path("predictions.json").read_text())
    assert json.loads(found.out)["people"] == len(results)
    assert {r["image_id"] for r in results} <= {1, 2, 3, 4}
    assert sorted(p.name for p in Path("drawn").iterdir()) == [f"{i:06d}.jpg" for i in range(1, 5)]


def test_a_dry_run_prints_the_plan_and_writes_nothing(spm: Run, tmp_path: Path) -> None:
    write_small_coco(tmp_path / "data")
    shown = spm("prepare", "coco", "--no-images", "--dry-run")
    assert shown.code == 0
    assert "10 with" in shown.out
    plan = json.loads(spm("prepare", "coco", "--no-images", "--dry-run", "--json").out)["plan"]
    assert plan["layout"]["rows"] == 10
    assert not Path("coco.zarr").exists()


def test_what_prepare_hands_to_the_library(spm: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}

    def prepare_store(plan: object, **options: object) -> None:
        seen.update(options, plan=plan)
        raise KeyboardInterrupt

    monkeypatch.setattr(spmdata.prepare.run, "prepare_store", prepare_store)
    write_small_coco(tmp_path / "data", images=True)
    stopped = spm("prepare", "coco", "--input", "128x256", "--stride", 8, "--workers", 3, "--scheduler", "processes",
                  "--force", "--take-over", "--strict")  # fmt: skip
    assert stopped.code == 130
    assert "run the same command again to resume" in stopped.err
    plan = seen.pop("plan")
    assert plan.layout.spec.input_hw == (128, 256)  # type: ignore[attr-defined]
    assert plan.layout.spec.stride == 8  # type: ignore[attr-defined]
    assert plan.layout.images  # type: ignore[attr-defined]
    del seen["on_shard"]
    assert seen == {"scheduler": "processes", "workers": 3, "force": True, "take_over": True, "strict": True}


def test_json_of_every_command(spm: Run, store: Path) -> None:
    report = json.loads(spm("verify-targets", store, "--json").out)
    assert report["version"] == 1
    assert report["ok"] is True
    inside = json.loads(spm("inspect", store, "--json").out)
    assert inside["complete"] is True
    assert {a["name"] for a in inside["arrays"]} >= {"offsets", "people/joints", "row/status"}
    assert sum(a["bytes"] for a in inside["arrays"]) > 0
    row = json.loads(spm("inspect", store, 3, "--json").out)
    assert row["status"] == "ok"
    assert len(row["people"]) == len(open_store(store).people(3))
    again = json.loads(spm("prepare", "coco", "--no-images", "--input", 128, "--out", store, "--json").out)
    assert again["summary"]["shards_written"] == 0


def test_inspect_in_words(spm: Run, store: Path) -> None:
    whole = spm("inspect")  # the one store of this folder
    assert whole.code == 0
    assert "conventions" in whole.out
    assert "tau_metric" in whole.out
    assert "nose" in spm("inspect", store, 0).out
    assert "row must be in [0, 9], got 10" in spm("inspect", store, 10).err


def test_the_demo_from_nothing_to_pictures(spm: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, little in {"VAL_ROWS": 24, "TRIAL_STEPS": 4, "WARM_STEPS": 1, "LEAST_STEPS": 4}.items():
        monkeypatch.setattr(f"spmcli.demo.{name}", little)
    shown = spm("demo", "--minutes", 0.01, "--rows", 24, "--threads", 1)
    assert shown.code == 0, shown.err
    assert "ceiling of the targets" in shown.out
    assert "trained network" in shown.out
    for left in ("demo/train.zarr", "demo/val.zarr", "demo/run/last.pt", "demo/found.png"):
        assert Path(left).exists()
    again = spm("demo")
    assert again.code == 2
    assert "holds a demo already" in again.err


@pytest.mark.parametrize("name", ["prepare", "verify-targets", "tune"])
def test_a_bar_on_a_terminal(store: Path, name: str) -> None:
    """Under a real terminal there is a bar with rate and time left on stderr, and the answer on stdout is the same."""
    arguments = {
        "prepare": ["prepare", "synthetic", "--rows", "20", "--no-images", "--input", "64", "--out", "t.zarr"],
        "verify-targets": ["verify-targets", str(store)],
        "tune": ["tune", "synthetic", "--rows", "2", "--input", "64", "--stride", "4"],
    }
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    command = [sys.executable, "-m", "spmcli", *arguments[name]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # how Linux says that nobody writes any more
            while piece := os.read(ours, 4096):
                shown += piece
        assert process.stdout is not None
        answer = process.stdout.read()
    os.close(ours)
    assert process.returncode == 0, shown.decode()
    assert b"next" in answer or b"ok: 0 joints" in answer
    assert (b"encodings" if name == "tune" else b"rows") in shown
    assert b"Traceback" not in shown
