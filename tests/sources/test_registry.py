"""Data sets by name and in their usual layout."""

import gzip
import json
import sys
from pathlib import Path

import pytest

from coco_cases import samples, small
from spmdata.errors import AnnotationError
from spmdata.sources import registry
from spmdata.sources.base import FolderImages
from spmdata.sources.coco import CocoSource
from spmdata.sources.registry import BUILT_IN, open_source, source_names


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv("SPM_DATA", raising=False)


def lay(root: Path, split: str, images: str | None, suffix: str = "") -> Path:
    text = json.dumps(small()).encode()
    path = root / f"coco/annotations/person_keypoints_{split}.json{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text) if suffix else text)
    if images is not None:
        (root / "coco" / images).mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.parametrize("images", ["train2017", "images/train2017"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_coco_is_found_below_data(images: str, suffix: str) -> None:
    lay(Path("data"), "train2017", images, suffix)
    source = open_source("coco")
    assert source.image_reader == FolderImages(Path("data/coco") / images)
    assert (source.info.split, source.info.annotations) == (
        "train2017",
        f"person_keypoints_train2017.json{suffix}",
    )
    assert [sample.id for sample in samples(source)] == [3, 5]


def test_variable_names_the_root_without_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path, "val2017", "val2017")
    monkeypatch.setenv("SPM_DATA", str(tmp_path))
    assert open_source("coco", split="val2017").image_reader == FolderImages(tmp_path / "coco/val2017")
    Path("data").mkdir()
    looked = r"looked for data/coco/annotations/person_keypoints_val2017.json, data/\S+2017.json.gz; give"
    with pytest.raises(AnnotationError, match=looked):
        open_source("coco", split="val2017")
    assert open_source("coco", root=tmp_path, split="val2017").info.split == "val2017"


@pytest.mark.parametrize("split", ["train2017_mini", "train2017_mini_complete"])
def test_part_of_a_split_shares_its_images(split: str) -> None:
    lay(Path("data"), split, "images/train2017")
    source = open_source("coco", split=split)
    assert (source.image_reader, source.info.split) == (FolderImages(Path("data/coco/images/train2017")), split)
    lay(Path("data"), split, f"images/{split}")
    assert open_source("coco", split=split).image_reader == FolderImages(Path("data/coco/images") / split)


def test_given_paths_are_taken() -> None:
    path = lay(Path("data"), "val2017_mini", "val2017")
    Path("elsewhere").mkdir()
    assert open_source("coco", annotations=str(path)).image_reader == FolderImages(Path("data/coco/val2017"))
    assert open_source("coco", annotations=path).info.split == "val2017_mini"
    assert open_source("coco", annotations=path, images="elsewhere").image_reader == FolderImages(Path("elsewhere"))
    source = open_source("coco", annotations=path.rename("mine.json"), no_images=True, split="own")
    assert (source.image_reader, source.info.split) == (None, "own")


def test_what_was_looked_for_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = r"nowhere to look for coco/annotations/person_keypoints_train2017.json\[.gz\]: there is no folder ./data"
    with pytest.raises(AnnotationError, match=rf"{wanted} and \$SPM_DATA is not set; give --root or --annotations"):
        open_source("coco")
    monkeypatch.setenv("SPM_DATA", "nowhere")
    with pytest.raises(AnnotationError, match=rf"{wanted} and \$SPM_DATA names 'nowhere', which is no folder"):
        open_source("coco")
    with pytest.raises(AnnotationError, match="the root absent, in which to look for coco/annotations/"):
        open_source("coco", root="absent")
    path = lay(tmp_path, "val2017", None)
    with pytest.raises(AnnotationError, match=r"split train2017 \(there are the splits val2017\): looked for "):
        open_source("coco", root=tmp_path)
    with pytest.raises(AnnotationError, match=r"looked for \S+coco/val2017, \S+coco/images/val2017, .* or --no-images"):
        open_source("coco", root=tmp_path, split="val2017")
    with pytest.raises(
        AnnotationError, match=r"annotations: looked for \S+/images, \S+/images; give --images DIR or --no"
    ):
        open_source("coco", annotations=path.rename(tmp_path / "mine.json"))
    Path("here.json").write_bytes((tmp_path / "mine.json").read_bytes())
    with pytest.raises(AnnotationError, match=r"looked for images, \.\./images; give"):
        open_source("coco", annotations="here.json")
    with pytest.raises(AnnotationError, match="image folder absent does not exist"):
        open_source("coco", annotations=tmp_path / "mine.json", images="absent")
    with pytest.raises(AnnotationError, match=r"the annotation file any\.json does not exist"):
        open_source("coco", annotations="any.json")


def test_options_reach_the_source() -> None:
    path = lay(Path("data"), "val2017", None)
    data = small()
    data["images"].append({"id": 1, "width": 9, "height": 9, "file_name": "nobody.jpg"})
    path.write_text(json.dumps(data))
    assert len(open_source("coco", annotations=path, no_images=True)) == 2
    assert len(open_source("coco", annotations=path, no_images=True, all_images=True)) == 3


def test_unknown_name_lists_what_there_is() -> None:
    assert source_names()[0] == "coco"
    with pytest.raises(AnnotationError, match=r"no source 'cocoa'; there are coco"):
        open_source("cocoa")


def test_plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "site"
    (home / "spm_pets-1.dist-info").mkdir(parents=True)
    (home / "spm_pets-1.dist-info/METADATA").write_text("Name: spm-pets\nVersion: 1\n")
    names = {"pets": "open_pets", "broken": "absent", "value": "VALUE", "coco": "never"}
    points = "".join(f"{name} = spm_pets:{thing}\n" for name, thing in names.items())
    (home / "spm_pets-1.dist-info/entry_points.txt").write_text(f"[spm.sources]\n{points}")
    (home / "spm_pets.py").write_text("VALUE = 1\ndef open_pets(**options): return options\n")
    monkeypatch.syspath_prepend(home)
    assert source_names() == (*BUILT_IN, "broken", "pets", "value")
    assert "spm_pets" not in sys.modules
    options: object = open_source("pets", split="any", root="here", no_images=True)
    assert options == {
        **{"annotations": None, "images": None, "root": Path("here"), "split": "any", "skeleton": None},
        **{"no_images": True, "all_images": False},
    }
    assert open_source("pets", cameras="00", rows=2) == open_source("pets") | {"cameras": "00", "rows": 2}  # type: ignore[operator]
    with pytest.raises(AnnotationError, match=r"source 'broken' \(spm_pets:absent\) does not load: .*absent"):
        open_source("broken")
    with pytest.raises(AnnotationError, match=r"source 'value' \(spm_pets:VALUE\) is no callable: 1"):
        open_source("value")
    lay(Path("data"), "train2017", "train2017")
    assert isinstance(open_source("coco"), CocoSource)


def test_plug_ins_are_not_scanned_for_a_built_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "entry_points", None)
    lay(Path("data"), "train2017", "train2017")
    assert len(open_source("coco")) == 2


@pytest.mark.parametrize("split", ["val2017", "train2017_mini", "val2017_mini_complete"])
def test_real_layout(spm_data: Path, split: str) -> None:
    source = open_source("coco", root=spm_data, split=split)
    assert isinstance(source.image_reader, FolderImages)
    assert source.image_reader.root.name == split.partition("_")[0]
    if "mini" in split:
        assert all((source.image_reader.root / sample.path).is_file() for sample in samples(source))
