"""Every value of every convention from a TOML file through prepare and verify to a good store, and it matters there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest

from cli_run import Run
from small_coco import write_small_coco
from spmdata.codec import Codec
from spmdata.spec import DECODE_FIELDS, PRESETS, TargetSpec
from spmdata.spec_file import write_spec
from spmdata.store.reader import Store, open_store

#: Small and crowded, so that every convention has something to decide.
BASE = TargetSpec(hierarchical=True, input_hw=(96, 160), tau_metric="radius", tau=4)
#: What is tried of the fields that take numbers; of those that take words, every word.
NUMBERS: dict[str, tuple[Any, ...]] = {
    "hierarchical": (False, True),
    "tau": (0, 7.5),
    "root": ("mean", "bbox", "torso", "nose"),
    "sigma": (1.5, 7),
    "heatmap_min": (0.01, 0),
    "input_hw": ((96, 160), (160, 96), (64, 64)),
    "stride": (2, 4, 8),
    "dims": (2,),
    "nms": (1, 3, 5, 7),
    "max_people": (1, 30),
    "threshold": (0.01, 0.5),
}


def choices(name: str) -> tuple[Any, ...]:
    return NUMBERS.get(name) or get_args(get_type_hints(TargetSpec)[name])


def every_value() -> Iterator[Any]:
    for name in (f.name for f in fields(TargetSpec) if f.name != "skeleton"):
        for value in choices(name):
            yield pytest.param(BASE.override(**{name: value}), name, id=f"{name}-{value}")


def prepared(spm: Run, annotation_file: Path, *options: object) -> Store:
    done = spm("prepare", "coco", "--annotations", annotation_file, "--no-images", "--scheduler", "sync", *options)
    assert done.code == 0, done.err
    return open_store("coco.zarr")


def assert_good(spm: Run, store: Store) -> None:
    shown = spm("verify-targets", store.path, "--threads", 1, "--json")
    report = json.loads(shown.out)
    assert (shown.code, report["ok"], report["rows"]) == (0, True, 6), report
    assert sum(line["joints"] for line in report["by_level"]) > 10
    assert max(line["clear_max_px"] for line in report["by_joint"]) <= report["bound_px"]
    assert report["bound_px"] < (0.06 if store.spec.dtype == "float16" else 3e-5)


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody kills these runs, and a hundred a store would be most of the time on a busy disk."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.fixture(scope="module")
def annotation_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_coco(tmp_path_factory.mktemp("conventions"), 6)


@pytest.mark.parametrize(("spec", "name"), list(every_value()))
def test_every_value_makes_a_good_store(spm: Run, annotation_file: Path, spec: TargetSpec, name: str) -> None:
    write_spec("spec.toml", spec)
    store = prepared(spm, annotation_file, "--spec", "spec.toml")
    assert store.spec == spec
    assert_good(spm, store)
    if spec != BASE and name not in (*DECODE_FIELDS, "input_hw", "stride"):  # another size needs no proof
        other = Codec(BASE).encode_batch([store.people(row) for row in range(6)])
        maps = ("root_heatmap", "offsets", "count")
        assert any(not np.array_equal(store.read(m, slice(0, 6)), getattr(other, m)) for m in maps)


@pytest.mark.parametrize("hierarchical", [False, True])
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_makes_a_good_store(spm: Run, annotation_file: Path, preset: str, hierarchical: bool) -> None:
    tree = "--hier" if hierarchical else "--flat"
    store = prepared(spm, annotation_file, "--preset", preset, "--input", "96x160", tree)
    assert store.spec == TargetSpec.preset(preset, hierarchical=hierarchical, input_hw=(96, 160))
    assert_good(spm, store)
