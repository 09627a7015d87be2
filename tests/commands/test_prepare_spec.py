"""`--spec`, `--preset` and the options over them: what wins, what the plan says, what the store keeps."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cli_run import Run
from small_coco import write_small_coco
from spmdata.skeletons import COCO17
from spmdata.spec import TargetSpec
from spmdata.spec_file import read_spec, read_views
from spmdata.store.reader import open_store
from spmdata.views import ViewRanges

FILE = 'preset = "dekr"\nhierarchical = true\nstride = 2\ninput_hw = "96x160"\nsigma = 2.5\n'
OF_FILE = TargetSpec.preset("dekr", hierarchical=True, stride=2, input_hw=(96, 160), sigma=2.5)


@pytest.fixture(autouse=True)
def small_data(tmp_path: Path) -> None:
    write_small_coco(tmp_path / "data", 3)
    (tmp_path / "my.toml").write_text(FILE)
    (tmp_path / "plain.toml").write_text("sigma = 2.5")


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ("", TargetSpec()),
        ("--hier --input 64 --stride 8", TargetSpec(hierarchical=True, input_hw=(64, 64), stride=8)),
        ("--preset sharp", TargetSpec.preset("sharp")),
        ("--preset dekr --hier", TargetSpec.preset("dekr", hierarchical=True)),
        ("--spec my.toml", OF_FILE),
        ("--spec my.toml --flat", OF_FILE.override(hierarchical=False)),
        ("--spec my.toml --input 64x96 --stride 8", OF_FILE.override(input_hw=(64, 96), stride=8)),
        ("--spec plain.toml --preset sharp", TargetSpec.preset("sharp", sigma=2.5)),
    ],
)
def test_options_win_over_the_file_and_the_file_over_the_preset(spm: Run, options: str, wanted: TargetSpec) -> None:
    shown = spm("prepare", "coco", "--no-images", "--dry-run", "--json", *options.split())
    assert shown.code == 0, shown.err
    assert TargetSpec.from_json(json.loads(shown.out)["plan"]["spec"]) == wanted


def test_the_plan_says_what_differs_from_the_defaults(spm: Run) -> None:
    shown = spm("prepare", "coco", "--no-images", "--dry-run", "--spec", "my.toml")
    assert "\ntargets      coco17, hierarchical, input 96x160 px, stride 2, maps 48x80 cells\n" in shown.out
    assert (
        "\nconventions  tau 4.0, tau_metric square, overlap smallest, sigma 2.5, gaussian standard, norm none, "
        "threshold 0.01\n" in shown.out
    )
    assert "conventions" not in spm("prepare", "coco", "--no-images", "--dry-run", "--hier").out


def test_a_stores_conventions_make_another_store(spm: Run) -> None:
    assert spm("prepare", "coco", "--no-images", "--spec", "my.toml").code == 0
    stored = open_store("coco.zarr").spec
    assert stored == OF_FILE
    assert spm("inspect", "coco.zarr", "--write-spec", "again.toml").code == 0
    assert read_spec("again.toml", COCO17) == stored
    assert spm("prepare", "synthetic", "--rows", 2, "--no-images", "--spec", "again.toml").code == 0
    drawn = open_store("synthetic.zarr")
    assert drawn.spec == stored
    assert drawn.read("row/size_hw", [0])[0].tolist() == [96, 160]  # drawn at the size of the file


def test_what_only_decoding_reads_is_changed_without_writing_a_map(spm: Run) -> None:
    assert spm("prepare", "coco", "--no-images", "--spec", "my.toml").code == 0
    Path("my.toml").write_text(FILE + "nms = 3\n")
    again = spm("prepare", "coco", "--no-images", "--spec", "my.toml", "--json")
    assert json.loads(again.out)["summary"]["shards_written"] == 0
    assert open_store("coco.zarr").spec == OF_FILE.override(nms=3)
    Path("my.toml").write_text(FILE + "tau = 3\n")
    refused = spm("prepare", "coco", "--no-images", "--spec", "my.toml")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "tau 4.0 there, 3.0 here" in refused.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--spec none.toml", "SpecError: none.toml: No such file or directory"),
        ("--spec wrong.toml", "SpecError: wrong.toml: unknown key 'sigmma' in a target spec; did you mean 'sigma'?"),
        (
            "--spec my.toml --input 97",
            "SpecError: my.toml with input_hw=(97, 97): input_hw must be a multiple of stride",
        ),
        ("--preset papr", "SpecError: no preset 'papr'; there are paper, ppn, dekr, sharp"),
        ("--spec deep.toml", "SpecError: dims must be 2 for "),
        ("--stride 3", "SpecError: stride must be 2, 4 or 8, got 3"),
        ("--input 99999x8", "SpecError: input_hw must be at most 8192 px a side, got (99999, 8)"),
    ],
)
@pytest.mark.parametrize("source", ["coco", "synthetic"])
def test_a_wrong_convention_is_one_line_and_exit_code_2(spm: Run, source: str, options: str, message: str) -> None:
    Path("wrong.toml").write_text("sigmma = 3")
    Path("deep.toml").write_text("dims = 3")
    failed = spm("prepare", source, "--no-images", *options.split())
    assert (failed.code, failed.err.count("\n")) == (2, 1)
    assert failed.err.startswith(message)
    assert not Path(f"{source}.zarr").exists()


def test_views_and_no_maps(spm: Run) -> None:
    Path("views.toml").write_text("[views]\nrotation_deg = 10\nscale = [1, 2]\n")
    options = ("--no-images", "--no-maps", "--views", 2, "--spec", "views.toml", "--input", 64)
    shown = spm("prepare", "coco", *options)
    assert shown.code == 0, shown.err
    assert "\nkeeps     people\n" in shown.out
    assert (
        "\nviews     2 an image: the image, and 50% mirrored, turned by up to 10 degrees, scaled 1 to 2, " in shown.out
    )
    store = open_store("coco.zarr")
    assert (len(store), store.layout.views, store.layout.maps) == (6, 2, False)
    assert store.layout.view_ranges == ViewRanges(rotation_deg=10, scale=(1, 2))
    verified = spm("verify-targets")
    assert verified.code == 0
    assert " none stored: drawn from its people for this check\n" in verified.out
    inside = spm("inspect", "coco.zarr", "--write-spec", "again.toml")
    assert re.search(r"\nviews +2 an image\n", inside.out)
    assert "root_heatmap" not in inside.out
    assert read_views("again.toml") == store.layout.view_ranges
    assert spm("inspect", "coco.zarr", 1).code == 0
    again = spm("prepare", "coco", *options[:-4], "--spec", "again.toml", "--json")
    assert json.loads(again.out)["summary"]["shards_written"] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[views]\nrotate = 3", "SpecError: wrong.toml: unknown key 'rotate' in views; there are flip, "),
        ("views = 3", "SpecError: wrong.toml: views must be a table, [views], got 3"),
        ("[views]\nscale = 2", "SpecError: wrong.toml: views.scale must be [smallest, largest] in [0.05, 20], got 2"),
    ],
)
def test_a_wrong_range_is_one_line_and_exit_code_2(spm: Run, text: str, message: str) -> None:
    Path("wrong.toml").write_text(text)
    failed = spm("prepare", "coco", "--no-images", "--views", 2, "--spec", "wrong.toml")
    assert (failed.code, failed.err.count("\n")) == (2, 1)
    assert failed.err.startswith(message)
