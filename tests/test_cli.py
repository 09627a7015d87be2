"""The command line: exact arguments, exit codes, one line an error, tables and JSON."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click
import pytest
import zarr

import spmdata.prepare.run
from small_coco import small_coco, write_small_coco
from spmcli.main import COMMANDS, group, main
from spmdata.store.reader import open_store


class Result(NamedTuple):
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def spm(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `spm` in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPM_DATA", raising=False)

    def run(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["spm", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        code = stop.value.code
        out, err = capsys.readouterr()
        return Result(code if isinstance(code, int) else 0, out, err)

    return run


@pytest.fixture
def store(spm: Run, tmp_path: Path) -> Path:
    """Prepare a small store, data.zarr."""
    annotations = write_small_coco(tmp_path / "data")
    done = spm("prepare", "coco", "--annotations", annotations, "--no-images", "--input", 128, "--out", "data.zarr")
    assert done.code == 0, done.err
    return Path("data.zarr")


OPTIONS = {
    "demo": "--minutes --out --rows --seed --threads --device --json -q -v",
    "prepare": "SOURCE --annotations --images --root --split --out --hier --input --stride --no-images "
    "--all-images --rows --seed --scheduler --workers --strict --force --take-over --dry-run --json -q -v",
    "verify-targets": "STORE --nms --max-people --threshold --threads --json -q -v",
    "inspect": "STORE ROW --json -q -v",
    "train": "--store --val --resume --config --preset --steps --batch --lr --seed --threads --device --out "
    "--json -q -v",
    "eval": "CHECKPOINT --store --batch --threads --nms --threshold --device --json -q -v",
    "predict": "CHECKPOINT PATHS --out --draw --min-score --max-people --batch --device --json -q -v",
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
    write_small_coco(tmp_path / "data", images=True)
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
    scored = spm("eval", "run/last.pt", "--store", "coco.zarr")
    assert scored.code == 0, scored.err
    assert [line.split()[0] for line in scored.out.splitlines()[-2:]] == ["network", "ceiling"]
    folder = tmp_path / "data/coco/train2017"
    (folder / "broken.jpg").write_bytes(b"no")
    found = spm("predict", "run/last.pt", folder, "--draw", "drawn", "--min-score", 0.001, "--json")
    assert found.code == 1
    assert "broken.jpg: file is not an image" in found.err
    results = json.loads(Path("predictions.json").read_text())
    assert json.loads(found.out)["people"] == len(results)
    assert {r["image_id"] for r in results} <= set(range(1, 11))
    assert sorted(p.name for p in Path("drawn").iterdir()) == [f"{i:06d}.jpg" for i in range(1, 11)]


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


def test_skipped_rows_are_exit_code_1(spm: Run, tmp_path: Path) -> None:
    write_small_coco(tmp_path / "data", images=True)
    (tmp_path / "data/coco/train2017/000004.jpg").unlink()
    done = spm("prepare", "coco")
    assert done.code == 1
    assert "1 image_missing" in done.out
    assert "row 3: image_missing: 000004.jpg: image does not exist" in spm("inspect", "coco.zarr").out
    strict = spm("prepare", "coco", "--strict", "--out", "strict.zarr")
    assert (strict.code, strict.err.count("\n")) == (2, 1)
    assert "000004.jpg" in strict.err


def test_corruption_is_exit_code_1(spm: Run, store: Path) -> None:
    shard = store / "count/c.0.0.0.0"
    data = bytearray(shard.read_bytes())
    data[50] ^= 1
    shard.write_bytes(data)
    report = spm("verify-targets", store)
    assert report.code == 1
    assert "DAMAGED" in report.out
    assert report.out.rstrip().splitlines()[-1].startswith("FAILED")


def wrong_skeleton() -> str:
    content = small_coco()
    content["annotations"][2]["keypoints"] = [1] * 42
    return json.dumps(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "not there"),
        ('{"images": [', "truncated"),
        ("hello", "JSON"),
        ("[1, 2]", "not an annotation file"),
        (wrong_skeleton(), "annotations[2] (image "),
    ],
)
def test_bad_annotations_are_one_line_and_exit_code_2(spm: Run, content: str | None, message: str) -> None:
    if content is not None:
        Path("bad.json").write_text(content)
    failed = spm("prepare", "coco", "--annotations", "bad.json", "--no-images")
    assert failed.code == 2
    assert re.match(r"\w+Error: ", failed.err)
    assert failed.err.count("\n") == 1
    assert message in failed.err or content is None
    assert not Path("coco.zarr").exists()


@pytest.mark.parametrize("command", [["verify-targets"], ["inspect"], ["train", "--store"]])
def test_what_is_no_store_is_one_line_and_exit_code_2(spm: Run, store: Path, command: list[str]) -> None:
    zarr.create_group("foreign.zarr", zarr_format=3)
    Path("empty.zarr").mkdir()
    attributes = store / "zarr.json"
    newer = attributes.read_text().replace('"format_version": 1', '"format_version": 2')
    for path, message in (("none.zarr", "none.zarr"), ("foreign.zarr", "no spm store"), ("empty.zarr", "store")):
        failed = spm(*command, path)
        assert (failed.code, failed.err.count("\n")) == (2, 1), failed.err
        assert failed.err.startswith("StoreError: ")
        assert message in failed.err
    attributes.write_text(newer)
    failed = spm(*command, store)
    assert (failed.code, failed.err.count("\n")) == (2, 1)
    assert "has store format version 2, this spm-toolkit reads version 1; upgrade" in failed.err


def test_an_unfinished_store_says_how_to_finish_it(spm: Run, store: Path) -> None:
    metadata = json.loads((store / "zarr.json").read_text())
    metadata["attributes"]["spm"]["complete"] = False
    (store / "zarr.json").write_text(json.dumps(metadata))
    for command in (["verify-targets"], ["train", "--store"]):
        failed = spm(*command, store)
        assert failed.code == 2
        assert "spm prepare" in failed.err
    assert spm("inspect", store).code == 0


def test_usage_errors_are_exit_code_2(spm: Run) -> None:
    assert "no store" in spm("verify-targets").err or "name the store: 0" in spm("verify-targets").err
    for arguments in (["prepare"], ["prepare", "coco", "--input", "big"], ["prepare", "coco", "--nope"], ["nope"]):
        assert spm(*arguments).code == 2
    unknown = spm("prepare", "cocoa")
    assert "no source 'cocoa'" in unknown.err
    assert "Traceback" not in unknown.err
    assert "Traceback" in spm("prepare", "cocoa", "-vv").err


def test_a_reader_that_goes_away_is_no_error(store: Path) -> None:
    command = [sys.executable, "-m", "spmcli", "inspect", str(store)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


def test_the_demo_from_nothing_to_pictures(spm: Run) -> None:
    shown = spm("demo", "--minutes", 0.01, "--rows", 24, "--threads", 1)
    assert shown.code == 0, shown.err
    assert "ceiling of the targets" in shown.out
    assert "trained network" in shown.out
    for left in ("demo/train.zarr", "demo/val.zarr", "demo/run/last.pt", "demo/found.png"):
        assert Path(left).exists()
    again = spm("demo")
    assert again.code == 2
    assert "holds a demo already" in again.err


@pytest.mark.parametrize("name", ["prepare", "verify-targets"])
def test_a_bar_on_a_terminal(store: Path, name: str) -> None:
    """Under a real terminal there is a bar with rate and time left on stderr, and the answer on stdout is the same."""
    arguments = {
        "prepare": ["prepare", "synthetic", "--rows", "600", "--no-images", "--input", "64", "--out", "t.zarr"],
        "verify-targets": ["verify-targets", str(store)],
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
    assert b"rows" in shown
    assert b"Traceback" not in shown
