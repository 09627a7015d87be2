"""spec_file.py: a spec as TOML, written and read again, and what each refusal says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from codec_cases import specs
from spmdata.errors import SpecError, StoreError
from spmdata.skeletons import COCO17
from spmdata.spec import PRESETS, TargetSpec
from spmdata.spec_file import KEYS, read_spec, read_views, write_spec
from spmdata.views import ViewRanges


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spec.toml"


@settings(max_examples=50, deadline=None)
@given(specs())
def test_what_is_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, spec: TargetSpec) -> None:
    path = tmp_path_factory.getbasetemp() / "spec.toml"
    write_spec(path, spec)
    again = read_spec(path, spec.skeleton)
    assert again == spec
    assert again.fingerprint() == spec.fingerprint()


@pytest.mark.parametrize("number", [0.1, 1e-5, 1 / 3, 21.24, 7.0, 1e8])
def test_numbers_are_kept_to_the_bit(path: Path, number: float) -> None:
    write_spec(path, TargetSpec(tau=number))
    assert read_spec(path, COCO17).tau == number


def test_the_file_says_everything_but_the_skeleton(path: Path) -> None:
    write_spec(path, TargetSpec(input_hw=(384, 512), overlap="nearest"))
    text = path.read_text()
    assert "written for coco17" in text
    assert "input_hw = [384, 512]\n" in text
    assert 'overlap = "nearest"\n' in text
    assert "skeleton =" not in text
    assert len([line for line in text.splitlines() if " = " in line]) == len(TargetSpec().to_json()) - 1


def test_a_file_is_written_whole_or_not_at_all(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_spec(path, TargetSpec())
    before = path.read_text()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match=r"cannot write .*spec\.toml: No space left on device"):
        write_spec(path, TargetSpec(sigma=3))
    assert path.read_text() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "changes", "wanted"),
    [
        ("", {}, {}),
        ("sigma = 3", {}, {"sigma": 3.0}),
        ('preset = "sharp"', {}, {"overlap": "nearest"}),
        ('overlap = "smallest"\npreset = "sharp"', {}, {"overlap": "smallest"}),
        (
            'preset = "sharp"\nsigma = 3',
            {"overlap": "mean", "hierarchical": True},
            {"sigma": 3.0, "hierarchical": True},
        ),
        ('preset = "dekr"\noverlap = "mean"', {"preset": "sharp"}, {}),
        ("hierarchical = true", {"hierarchical": False}, {}),
        ("stride = 8\ninput_hw = [100, 96]", {"stride": 2}, {"stride": 2, "input_hw": (100, 96)}),
        ("input_hw = 512", {}, {"input_hw": (512, 512)}),
        ('input_hw = "512"', {}, {"input_hw": (512, 512)}),
        ('input_hw = "384x512"', {}, {"input_hw": (384, 512)}),
    ],
)
def test_changes_win_over_the_file_and_the_file_over_its_preset(
    path: Path, text: str, changes: dict[str, Any], wanted: dict[str, Any]
) -> None:
    path.write_text(text)
    assert read_spec(path, COCO17, **changes) == TargetSpec(**wanted)


def test_every_example_of_the_documentation_is_read(path: Path) -> None:
    page = Path(__file__).resolve().parents[1] / "docs/conventions.md"
    blocks = re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    read = []
    for block in blocks:
        path.write_text(block)
        read.append(read_spec(path, COCO17))
    sharp = TargetSpec(overlap="nearest", hierarchical=True, input_hw=(384, 512), sigma=2.5, nms=3)
    assert read == [sharp, TargetSpec(), TargetSpec()]  # the second is said to be every default
    assert set(tomllib.loads(blocks[1])) == set(KEYS)
    assert tomllib.loads(blocks[2]) == {"views": ViewRanges().to_json()}  # and so is the third, of views
    assert read_views(path) == ViewRanges()


def test_the_documentation_has_a_section_for_every_field() -> None:
    page = Path(__file__).resolve().parents[1] / "docs/conventions.md"
    headings = " ".join(re.findall(r"^## (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert [key for key in KEYS if f"`{key}`" not in headings] == []


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_started_from(path: Path, name: str) -> None:
    path.write_text(f'preset = "{name}"\nmax_people = 5')
    assert read_spec(path, COCO17) == TargetSpec.preset(name, max_people=5)


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        (None, {}, "No such file or directory"),
        ("sigma = ", {}, "Invalid value (at end of document)"),
        ("sigma = 1\nsigma = 2", {}, "Cannot overwrite a value (at end of document)"),
        (b"\xff", {}, "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        ("overlapp = 'mean'", {}, "unknown key 'overlapp' in a target spec; did you mean 'overlap'?"),
        ("[targets]\nsigma = 3", {}, "unknown key 'targets' in a target spec; there are preset, hierarchical, "),
        ("skeleton = 'coco17'", {}, "skeleton is no key of a spec file: the source brings it; take it out"),
        ("preset = 'shap'", {}, "no preset 'shap'; there are paper, ppn, dekr, sharp"),
        ("preset = []", {}, "no preset []; there are paper"),
        ("overlap = 'median'", {}, "overlap must be one of mean, nearest, smallest, got 'median'"),
        ("sigma = inf", {}, "sigma must be a number in [0.01, 10000], got inf"),
        ("sigma = '7'", {}, "sigma must be a number in [0.01, 10000], got '7'"),
        (f"tau = 1{'0' * 5000}", {}, "Exceeds the limit"),
        ("input_hw = 500.0", {}, "input_hw must be (height, width) in px, got 500.0"),
        ("input_hw = '5x5x5'", {}, "input_hw must be (height, width) in px, got '5x5x5'"),
        ("input_hw = [500]", {}, "input_hw must be (height, width) in px, got [500]"),
        ("stride = 8", {"input_hw": (100, 96)}, "input_hw must be a multiple of stride 8, got (100, 96); try (96, 96)"),
        ("root = 'left_eye'", {}, "root must be one of mean, bbox, torso, nose"),
    ],
)
def test_what_is_wrong_is_one_line_with_the_file_and_the_key(
    path: Path, text: str | bytes | None, changes: dict[str, Any], message: str
) -> None:
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SpecError) as refused:
        read_spec(path, COCO17, **changes)
    where = " with input_hw=(100, 96)" if changes else ""
    assert str(refused.value).startswith(f"{path}{where}: {message}")
    assert "\n" not in str(refused.value)
