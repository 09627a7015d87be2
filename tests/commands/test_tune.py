"""`spm tune`: exact arguments, the table, JSON, the file it writes, and what it refuses."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

import spmdata.tune.search
from cli_run import Run
from small_coco import write_small_coco
from spmdata.skeletons import COCO17
from spmdata.store.reader import open_store


def table_of(out: str) -> list[str]:
    """Return the lines of the table below its header, their blanks made single."""
    lines = [" ".join(line.split()) for line in out.splitlines()]
    start = next(i for i, line in enumerate(lines) if line.endswith("bytes/row")) + 1
    return lines[start : lines.index("", start)]


def test_from_annotations_to_a_store_of_the_pick(spm: Run, tmp_path: Path) -> None:
    write_small_coco(tmp_path / "data")
    tuned = spm("tune", "coco", "--hier", "--input", 128, "--sweep", "stride=4,8", "--sweep", "sigma=7,5", "--rows", 8,
                "--sweep", "root=mean", "--sweep", "tau=squared:7,radius:4", "--sweep", "overlap=nearest")  # fmt: skip
    assert tuned.code == 0, tuned.err
    assert ", of 8 images\n" in tuned.out
    assert " of 10 images, " in tuned.out
    header = next(line for line in tuned.out.splitlines() if line.endswith("bytes/row"))
    columns = ["stride", "tau", "overlap", "missing_parent", "nms", "sigma", "AP", "lost", "roots", "reads"]
    assert header.split()[:10] == columns  # and neither input_hw, which is kept, nor root, which has one value
    for name in ("best", "pick", "start"):
        assert sum(name in line.split() for line in tuned.out.splitlines()) >= 1
    written = tomllib.loads(Path("spec.toml").read_text())
    assert written["hierarchical"] is True
    assert written["input_hw"] == [128, 128]
    assert tuned.out.rstrip().endswith("next     spm prepare coco --spec spec.toml")
    prepared = spm("prepare", "coco", "--spec", "spec.toml", "--no-images")
    assert prepared.code == 0, prepared.err
    assert open_store("coco.zarr").spec.sigma == written["sigma"]


def test_json_and_every_line(spm: Run, tmp_path: Path) -> None:
    annotations = write_small_coco(tmp_path / "elsewhere")
    options = ["--annotations", annotations, "--input", 64, "--rows", 4, "--threads", 1]
    told = json.loads(spm("tune", "coco", *options, "--json", "--out", "a.toml").out)
    assert (told["version"], told["sample"], told["rows"], told["out"]) == (2, 4, 10, "a.toml")
    assert told["pick"] in told["trials"]
    assert told["start"]["spec"] == {"input_hw": [64, 64]}
    assert told["best"]["ceiling"]["AP"] == max(trial["ceiling"]["AP"] for trial in told["trials"])
    assert set(told["swept"]) == {"stride", "tau", "overlap", "root", "nms"}
    told_more = spm("tune", "coco", *options, "-v", "--out", "b.toml").out
    of_the_sample = told_more.split("\nof 4 images:\n")[1]
    assert len(table_of(of_the_sample)) == len(told["tried"]) >= len(told["trials"])
    every = table_of(told_more)
    few = table_of(spm("tune", "coco", *options, "--out", "c.toml").out)
    assert len(every) == len(told["trials"]) > len(few)
    assert set(few) < set(every)
    assert every[:12] == few[:12]
    assert Path("a.toml").read_text() == Path("b.toml").read_text() == Path("c.toml").read_text()


def test_what_tune_hands_to_the_library(spm: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}

    def tune_spec(source: object, start: object, **options: object) -> None:
        seen.update(options, source=source, start=start)
        raise KeyboardInterrupt

    monkeypatch.setattr(spmdata.tune.search, "tune_spec", tune_spec)
    stopped = spm("tune", "synthetic", "--rows", 7, "--seed", 3, "--threads", 2, "--preset", "sharp",
                  "--input", "96x64", "--sweep", "stride=2,4", "--sweep", "heatmap_min=0,0.01",
                  "--sweep", "hierarchical=true,false", "--sweep", "input_hw=64,32x64")  # fmt: skip
    assert stopped.code == 130
    assert stopped.err.endswith("interrupted; run the same command again\n")  # nothing of it is kept
    assert not Path("spec.toml").exists()
    source, start = seen["source"], seen["start"]
    assert (len(source), source.config.seed, source.config.size_hw) == (7, 3, (96, 64))  # type: ignore[arg-type, attr-defined]
    assert source.skeleton == COCO17  # type: ignore[attr-defined]
    assert (start.overlap, start.input_hw) == ("nearest", (96, 64))  # type: ignore[attr-defined]
    assert (seen["rows"], seen["threads"]) == (7, 2)
    axes = {axis.name: axis.settings for axis in seen["axes"]}  # type: ignore[attr-defined]
    usual = ["input_hw", "stride", "tau", "overlap", "root", "missing_parent", "nms"]
    assert list(axes) == [*usual, "heatmap_min", "hierarchical"]
    assert axes["stride"] == ({"stride": 2}, {"stride": 4})
    assert axes["input_hw"] == ({"input_hw": (64, 64)}, {"input_hw": (32, 64)})
    assert axes["heatmap_min"] == ({"heatmap_min": 0.0}, {"heatmap_min": 0.01})
    assert axes["hierarchical"] == ({"hierarchical": True}, {"hierarchical": False})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sweep", "overlap"], "'overlap' is no sweep; write overlap=mean,nearest"),
        (["--sweep", "sigmas=1,2"], "'sigmas' is no field of a target spec; did you mean sigma?"),
        (["--sweep", "colour=red"], "'colour' is no field of a target spec; there are hierarchical, anchor, tau, "),
        (["--sweep", "tau_metric=radius"], "tau_metric is swept with tau: tau=squared:7,radius:4"),
        (["--sweep", "stride=four"], "stride takes a number, got 'four'"),
        (["--sweep", "tau=7"], "tau takes metric:number, such as squared:7, got '7'"),
        (["--sweep", "hierarchical=yes"], "hierarchical takes true or false, got 'yes'"),
        (["--sweep", "input_hw=big"], "'big' is no size"),
        (["--sweep", "overlap=mean,none"], "SpecError: overlap must be one of mean, nearest, smallest, got 'none'"),
        (["--sweep", "stride=4", "--sweep", "stride=8"], "--sweep takes a field once, with all its values: stride=4,8"),
        (["--sweep", "input_hw=100,64", "--stride", "8"], "SpecError: input_hw must be a multiple of stride 8"),
        (["--rows", "0"], "Invalid value for '--rows'"),
        (["--skeleton", "coco18"], "no skeleton 'coco18'; there are coco17, crowdpose14"),
        (["--skeleton", "crowdpose14"], "14 joints expected for crowdpose14, got 17"),
        (["--out", "none/spec.toml"], "the folder of none/spec.toml is not there; name another file with --out"),
        (["--out", "there.toml"], "there.toml exists; name another file with --out, or remove it"),
    ],
)
def test_what_is_refused(spm: Run, tmp_path: Path, arguments: list[str], message: str) -> None:
    write_small_coco(tmp_path / "data")
    Path("there.toml").write_text("")
    failed = spm("tune", "coco", *arguments)
    assert failed.code == 2
    assert message in failed.err
    assert "Traceback" not in failed.err
    assert not Path("spec.toml").exists()


def test_crowdpose_by_its_skeleton(spm: Run, spm_data: Path) -> None:
    annotations = spm_data / "crowdpose/crowdpose_val.json"
    options = ["--annotations", annotations, "--skeleton", "crowdpose14", "--rows", 20, "--sweep", "stride=4"]
    fixed = [text for name in ("tau=squared:7", "overlap=nearest", "root=mean") for text in ("--sweep", name)]
    tuned = spm("tune", "coco", *options, *fixed, "--input", 512, "--json")
    assert tuned.code == 0, tuned.err
    told = json.loads(tuned.out)
    assert (told["sample"], told["rows"]) == (20, 80)
    assert told["best"]["ceiling"]["AP"] > 0.9
