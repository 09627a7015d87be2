"""What goes wrong on the command line: one line, the right exit code, a remedy."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import zarr

from cli_run import Run
from small_coco import small_coco, write_small_coco


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
    *_, verdict, remedy = report.out.rstrip().splitlines()
    assert verdict.startswith("FAILED")
    assert remedy == "to mend what is damaged from its source: spm verify-targets data.zarr --repair"


def test_what_the_message_names_repairs(spm: Run, store: Path) -> None:
    shard = store / "count/c.0.0.0.0"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    (store / "row/zarr.json").unlink()
    other = Path("other.json")
    other.write_text((Path("data/coco/annotations/person_keypoints_train2017.json")).read_text() + " ")
    refused = spm("verify-targets", store, "--repair", "--annotations", other)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "made from another source: its s" in refused.err
    assert not (store / "row/zarr.json").exists()
    assert "give --repair too" in spm("verify-targets", store, "--annotations", other).err
    mended = spm("verify-targets", store, "--repair")
    assert mended.code == 0, mended.err
    assert "MENDED: count, shard 0 (rows 0 to 9): the crc32c of its index is wrong\n" in mended.out
    assert "MENDED: row/zarr.json is missing" in mended.out
    assert "2 damaged files or rows mended, 1 shard written again from the source" in mended.out
    assert shard.read_bytes() == whole
    again = json.loads(spm("verify-targets", store, "--repair", "--json").out)
    assert again["repair"] == {"shards": [], "mended": []}
    assert again["ok"] is True


def test_a_flipped_name_in_the_attributes_says_one_thing_to_do(spm: Run, store: Path) -> None:
    whole = (store / "zarr.json").read_text()
    (store / "zarr.json").write_text(whole.replace('"shard_rows"', '"shard_rowr"'))
    failed = spm("verify-targets", store)
    assert (failed.code, failed.err.count("\n")) == (2, 1)
    assert "shard_rowr" in failed.err
    assert "run the spm prepare command that made it again, which keeps what is as it was" in failed.err
    assert "prepare it again" not in failed.err
    assert spm("prepare", "coco", "--no-images", "--input", 128, "--out", store).code == 0
    assert (store / "zarr.json").read_text() == whole


def test_commands_to_run_next_quote_the_store(spm: Run, tmp_path: Path) -> None:
    write_small_coco(tmp_path / "data", 3)
    done = spm("prepare", "coco", "--no-images", "--input", 64, "--out", "my people.zarr")
    said = shlex.split(done.out.splitlines()[-1])
    assert said == ["next", "spm", "verify-targets", "my people.zarr"]
    Path("my people.zarr/count/c.0.0.0.0").unlink()
    said = shlex.split(spm(*said[2:]).out.splitlines()[-1].partition(": ")[2])
    assert said == ["spm", "verify-targets", "my people.zarr", "--repair"]
    assert spm(*said[1:]).code == 0


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
    for option in ("--workers", "--rows"):
        assert f"Invalid value for '{option}': 0 is not in the range" in spm("prepare", "synthetic", option, 0).err
    absent = spm("prepare", "coco", "--annotations", "none.json")
    assert absent.err == "AnnotationError: the annotation file none.json does not exist\n"
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
