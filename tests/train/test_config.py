"""TrainConfig: defaults, presets, files, and what each refusal says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import spmtrain
from spmdata.errors import SpecError
from spmtrain.config import PRESETS, TrainConfig


def test_defaults_are_the_tiny_preset() -> None:
    assert TrainConfig.preset("tiny") == TrainConfig()
    assert TrainConfig.preset("paper").stacks == 8
    assert set(TrainConfig.preset("paper").features) == {256}


@pytest.mark.parametrize("name", PRESETS)
def test_json_there_and_back(name: str) -> None:
    config = TrainConfig.preset(name, seed=5, beta=0.5, out="somewhere")
    assert TrainConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_beta_follows_the_form_of_the_loss() -> None:
    assert TrainConfig(loss_norm="paper").offset_weight == 0.01
    assert TrainConfig(loss_norm="mean").offset_weight == 3
    assert TrainConfig(beta=5).offset_weight == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stacks": 0}, r"stacks must be a whole number in \[1, 16\], got 0"),
        ({"steps": 1.5}, "steps must be a whole number"),
        ({"batch": True}, "batch must be a whole number"),
        ({"seed": -1}, "seed must be"),
        ({"threads": "two"}, "threads must be a whole number"),
        ({"lr": 0}, "lr must be a number above 0"),
        ({"lr": float("nan")}, "lr must be"),
        ({"beta": "1"}, "beta must be"),
        ({"loss_norm": "sum"}, "loss_norm must be one of mean, paper, got 'sum'"),
        ({"norm": ["batch"]}, "norm must be one of batch, group"),
        ({"device": "tpu"}, "device must be one of auto, cpu, cuda"),
        ({"features": 64}, "features must be 1 to 8 multiples of 4"),
        ({"features": [32, 30]}, "features must be"),
        ({"features": []}, "features must be"),
        ({"out": ""}, "out must be a folder"),
        ({"compile": 1}, "compile must be true or false, got 1"),
        ({"preset": "huge"}, "preset must be one of tiny, small, paper, got 'huge'"),
        ({"preset": ["tiny"]}, "preset must be one of"),
        ({"learning_rate": 1}, "unknown key 'learning_rate'"),
        ({"stack": 1}, "unknown key 'stack' in a training config; did you mean 'stacks'?"),
        ({"presett": "tiny"}, "did you mean 'preset'?"),
    ],
)
def test_refusals_say_what_is_wrong(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message.replace("?", r"\?")) as caught:
        TrainConfig.from_json(changes)
    assert "\n" not in str(caught.value)


def test_toml_file_over_preset_and_changes_over_both(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('preset = "paper"\nbatch = 4\nfeatures = [64, 64]\nlr = 1\n')
    config = TrainConfig.from_toml(path, lr=0.5)
    assert (config.stacks, config.batch, config.features, config.lr) == (8, 4, (64, 64), 0.5)
    assert TrainConfig.from_toml(path, preset="small").stacks == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("lr = -1", "run.toml: lr must be a number above 0"),
        ("lr = ", r"run.toml: Invalid value \(at "),
        ("stepz = 1", "run.toml: unknown key 'stepz'.*'steps'"),
        (None, "run.toml: No such file"),
    ],
)
def test_faults_of_a_toml_file_name_it(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "run.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SpecError, match=message):
        TrainConfig.from_toml(path)


def test_fault_of_a_change_does_not_blame_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("lr = 1")
    with pytest.raises(SpecError, match=r"^lr must be"):
        TrainConfig.from_toml(path, lr=-1)


def test_public_names_load_on_first_use() -> None:
    assert dir(spmtrain) == ["ShardStream", "TrainConfig", "fit"]
    for name in spmtrain.__all__:
        assert getattr(spmtrain, name).__name__ == name
        assert getattr(spmtrain, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        _ = spmtrain.train
    code = "import sys, spmtrain; spmtrain.TrainConfig; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert not {"torch", "numba", "dask", "click"} & set(loaded.split())


def test_configs_on_the_page_of_training_are_read(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs/training.md"
    blocks = re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for i, block in enumerate(blocks):
        (tmp_path / f"{i}.toml").write_text(block)
        TrainConfig.from_toml(tmp_path / f"{i}.toml")
