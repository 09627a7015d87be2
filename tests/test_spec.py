"""spec.py: every convention is a field that is checked, stored and fingerprinted."""

from __future__ import annotations

import json
import pickle
from dataclasses import fields
from typing import Any

import pytest

from spmdata.errors import SpecError
from spmdata.skeletons import COCO17
from spmdata.spec import DECODE_FIELDS, PRESETS, TargetSpec

OTHER: dict[str, Any] = {
    "hierarchical": True,
    "anchor": "root",
    "tau": 4.0,
    "tau_metric": "radius",
    "overlap": "nearest",
    "missing_parent": "drop",
    "root": "bbox",
    "sigma": 3.0,
    "gaussian": "standard",
    "unit": "input_px",
    "heatmap_min": 0.0,
    "norm": "none",
    "input_hw": (256, 384),
    "stride": 8,
    "dtype": "float16",
    "dims": 3,
    "nms": 3,
    "max_people": 7,
    "threshold": 0.2,
}


def test_every_field_changes_the_fingerprint_but_those_of_decoding() -> None:
    base = TargetSpec()
    names = {f.name for f in fields(TargetSpec)} - {"skeleton"}
    assert names == set(OTHER)
    for name, value in OTHER.items():
        changed = base.override(**{name: value}).fingerprint() != base.fingerprint()
        assert changed == (name not in DECODE_FIELDS), name
    assert base.override(skeleton=COCO17.star()).fingerprint() != base.fingerprint()


def test_a_spec_survives_json_and_pickle() -> None:
    spec = TargetSpec(**OTHER)
    assert TargetSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert TargetSpec().fingerprint() == TargetSpec(tau=7, sigma=7).fingerprint()  # 7 and 7.0 are one value


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"overlap": "median"}, "overlap must be one of mean, nearest, smallest, got 'median'"),
        ({"tau": -1}, r"tau must be a number in \[0, 1e\+08\], got -1"),
        ({"tau": 10**400}, "tau must be a number"),
        ({"sigma": 0}, r"sigma must be a number in \[0.01, 10000\], got 0"),
        ({"sigma": "7"}, "sigma must be a number in .*, got '7'"),
        ({"sigma": float("nan")}, "sigma must be a number in .*, got nan"),
        ({"sigma": True}, "sigma must be a number in .*, got True"),
        ({"heatmap_min": 1}, r"heatmap_min must be a number in \[0, 0.99\], got 1"),
        ({"threshold": 0}, r"threshold must be a number in \[1e-06, 1\]"),
        ({"stride": 3}, "stride must be 2, 4 or 8, got 3"),
        ({"stride": 4.0}, "stride must be 2, 4 or 8, got 4.0"),  # else one store would have two fingerprints
        ({"nms": 4}, "nms must be 1, 3, 5 or 7"),
        ({"nms": True}, "nms must be 1, 3, 5 or 7"),
        ({"root": ["mean"]}, "root must be one of mean"),
        ({"max_people": 0}, "max_people must be 1 to 1000"),
        ({"input_hw": (500, 512), "stride": 8}, r"multiple of stride 8, got \(500, 512\); try \(496, 512\)"),
        ({"input_hw": (384.0, 384)}, "input_hw must be"),
        ({"input_hw": (384,)}, "input_hw must be"),
        ({"input_hw": 384}, "input_hw must be"),
        ({"root": "left_eye"}, "a joint must be its own mirror"),
        ({"dims": 4}, "dims must be 2 or 3"),
        ({"hierarchical": 1}, "hierarchical must be true or false"),
    ],
)
def test_a_wrong_value_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        TargetSpec(**changes)


def test_an_unknown_key_names_the_nearest_one() -> None:
    with pytest.raises(SpecError, match=r"unknown key 'overlapp'.*did you mean 'overlap'"):
        TargetSpec.from_json({"overlapp": "mean"})


def test_units_and_forms_become_cells() -> None:
    assert TargetSpec().gaussian_denominator == 49
    assert TargetSpec(gaussian="standard", sigma=4.95).gaussian_denominator == pytest.approx(49, rel=1e-3)
    assert TargetSpec(unit="input_px", sigma=28).gaussian_denominator == 49
    assert TargetSpec().tau_cell == 7
    assert TargetSpec(tau_metric="radius").tau_cell == 49
    assert TargetSpec(tau_metric="square", unit="input_px", tau=16).tau_cell == 4
    assert TargetSpec(unit="input_px", tau=112).tau_cell == 7
    assert TargetSpec(input_hw=(512, 384), stride=8).map_hw == (64, 48)
    assert TargetSpec(input_hw=(512, 384), stride=8).norm_cell == 80
    assert TargetSpec(norm="none").norm_cell == 1


def test_presets() -> None:
    assert TargetSpec.preset("paper") == TargetSpec()
    assert TargetSpec.preset("sharp", hierarchical=True).overlap == "nearest"
    assert TargetSpec.preset("ppn").tau_cell == pytest.approx((21.24 / 4) ** 2)
    assert not TargetSpec.preset("dekr").hierarchical
    assert set(PRESETS) == {"paper", "ppn", "dekr", "sharp"}
    with pytest.raises(SpecError, match="no preset 'papr'; there are paper"):
        TargetSpec.preset("papr")
    with pytest.raises(SpecError, match=r"no preset \['paper'\]"):
        TargetSpec.preset(["paper"])  # type: ignore[arg-type]  # as a file may say
