"""The network: shapes, sizes it refuses, gradients, first weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from spmdata.errors import SpecError
from spmdata.skeleton import Skeleton
from spmdata.spec import TargetSpec
from spmtrain.config import TrainConfig
from spmtrain.loss import Loss
from spmtrain.maps import TargetMaps
from spmtrain.model import AddCoarser, build_model

LEG = Skeleton("leg", ("hip", "knee", "ankle"), (-1, 0, 1), (0, 1, 2), (0.1, 0.1, 0.1), (0,))
SMALL: dict[str, Any] = {"features": (8, 12, 16), "stacks": 2}


@pytest.mark.parametrize("stride", [2, 4, 8])
@pytest.mark.parametrize("input_hw", [(64, 64), (64, 96)])
@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("block", ["plain", "bottleneck"])
def test_every_stack_gives_both_maps(stride: int, input_hw: tuple[int, int], norm: str, block: str) -> None:
    spec = TargetSpec(input_hw=input_hw, stride=stride, skeleton=LEG)
    network = build_model(spec, TrainConfig.from_json({**SMALL, "norm": norm, "block": block}))
    stages = network(torch.randn(2, 3, *input_hw))
    assert [tuple(s.root_heatmap.shape) for s in stages] == [(2, *spec.map_hw)] * 2
    assert [tuple(s.offsets.shape) for s in stages] == [(2, 3, 2, *spec.map_hw)] * 2


@pytest.mark.parametrize(
    ("preset", "stacks", "millions"), [("tiny", 1, (0.1, 0.5)), ("small", 2, (1, 3)), ("paper", 8, (20, 30))]
)
def test_presets(preset: str, stacks: int, millions: tuple[float, float]) -> None:
    with torch.device("meta"):
        network = build_model(TargetSpec(), TrainConfig.preset(preset))
        stages = network(torch.empty(1, 3, 384, 384))
    assert len(stages) == stacks
    assert millions[0] < sum(p.numel() for p in network.parameters()) / 1e6 < millions[1]


def test_offset_channels_are_joints_then_axes() -> None:
    network = build_model(TargetSpec(input_hw=(64, 64)), TrainConfig(**SMALL)).eval()
    weights = network.state_dict()
    weights["stacks.1.branches.1.3.weight"].zero_()
    weights["stacks.1.branches.1.3.bias"].copy_(torch.arange(34))
    with torch.no_grad():
        offsets = network(torch.randn(1, 3, 64, 64))[-1].offsets
    assert offsets[0, :, :, 3, 5].tolist() == [[2 * k, 2 * k + 1] for k in range(17)]


def test_depth_is_limited_by_the_map() -> None:
    features = (8, 8, 8, 8, 8)
    assert build_model(TargetSpec(input_hw=(384, 384)), TrainConfig(features=features)).multiple_px == 64
    assert build_model(TargetSpec(input_hw=(32, 384)), TrainConfig(features=features)).multiple_px == 16
    assert build_model(TargetSpec(input_hw=(8, 8)), TrainConfig(features=features)).multiple_px == 4


@pytest.mark.parametrize(
    ("input_hw", "near"),
    [((200, 384), r"\(192, 384\) and \(208, 400\)"), ((384, 388), r"\(384, 384\) and \(400, 400\)")],
)
def test_size_that_does_not_fit_names_the_nearest(input_hw: tuple[int, int], near: str) -> None:
    with pytest.raises(SpecError, match=rf"multiples of 16 px, got .*{near}"):
        build_model(TargetSpec(input_hw=input_hw), TrainConfig(**SMALL))


def test_image_that_does_not_fit_is_refused() -> None:
    network = build_model(TargetSpec(input_hw=(64, 64)), TrainConfig(**SMALL))
    assert network(torch.randn(1, 3, 96, 32))[0].root_heatmap.shape == (1, 24, 8)
    with pytest.raises(SpecError, match="got \\(72, 64\\)"):
        network(torch.randn(1, 3, 72, 64))


@pytest.mark.parametrize(("loss_norm", "block"), [("mean", "plain"), ("paper", "bottleneck")])
def test_gradient_reaches_every_weight(loss_norm: str, block: str) -> None:
    spec = TargetSpec(input_hw=(64, 64))
    config = TrainConfig.from_json({**SMALL, "loss_norm": loss_norm, "block": block})
    network = build_model(spec, config)
    (H, W), K = spec.map_hw, 17
    targets = TargetMaps(
        torch.rand(2, H, W),
        torch.randn(2, K, 2, H, W),
        torch.ones(2, K, H, W, dtype=torch.uint8),
        torch.zeros(2, H, W, dtype=torch.uint8),
    )
    Loss(spec, config)(network(torch.randn(2, 3, 64, 64)), targets).total.backward()  # type: ignore[no-untyped-call]
    without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_a_batch_norm_leaves_no_bias_behind_it() -> None:
    """Only what a branch gives has one; with groups every convolution has."""
    for norm, more in (("batch", False), ("group", True)):
        network = build_model(TargetSpec(input_hw=(64, 64)), TrainConfig.from_json({**SMALL, "norm": norm}))
        biased = {n for n, m in network.named_modules() if isinstance(m, nn.Conv2d) and m.bias is not None}
        heads = {f"stacks.{stack}.branches.{branch}.3" for stack in (0, 1) for branch in (0, 1)}
        assert heads <= biased
        assert (heads < biased) == more


@pytest.mark.parametrize("block", ["plain", "bottleneck"])
def test_a_constant_behind_a_convolution_changes_nothing(block: str) -> None:
    """Why a bias there is left out: add one to any convolution but the heads, and training sees the same maps."""
    spec = TargetSpec(input_hw=(64, 64))
    network = build_model(spec, TrainConfig.from_json({**SMALL, "norm": "batch", "block": block})).double()
    images = torch.randn(3, 3, 64, 64, dtype=torch.float64)
    before = network(images)
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.bias is None:
            module.bias = nn.Parameter(torch.randn(module.out_channels, dtype=torch.float64))
    for one, two in zip(before, network(images), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("h", "w"), [(3, 5), (1, 1), (1, 4)])
def test_a_coarser_map_is_added_as_if_made_large_first(memory: torch.memory_format, h: int, w: int) -> None:
    sizes = (2 * h, 2 * w), (h, w), (2 * h, 2 * w)
    maps = [torch.randn(2, 3, *hw).to(memory_format=memory).requires_grad_() for hw in sizes]
    (fine, coarse, gradient), slow = maps, maps[0] + F.interpolate(maps[1], scale_factor=2.0)
    quick = AddCoarser.apply(fine, coarse)  # type: ignore[no-untyped-call]
    assert torch.equal(quick, slow)
    assert quick.is_contiguous(memory_format=memory)
    for one, two in zip(*(torch.autograd.grad(y, (fine, coarse), gradient) for y in (quick, slow)), strict=True):
        torch.testing.assert_close(one, two)
        assert one.is_contiguous(memory_format=memory)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch's own, when it looks at what is given
@pytest.mark.filterwarnings("ignore:.*should not be instantiated")  # as torch does, of a function with a backward
def test_compiled_in_parts_it_is_the_same_network(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[nn.Module] = []
    compile_as_torch_does = nn.Module.compile

    def compile_quickly(part: nn.Module) -> None:
        compiled.append(part)
        compile_as_torch_does(part, backend="eager", fullgraph=True)

    monkeypatch.setattr(nn.Module, "compile", compile_quickly)
    spec = TargetSpec(input_hw=(64, 64))
    network, twin = (build_model(spec, TrainConfig(**SMALL)) for _ in range(2))
    network.compile_parts()
    assert compiled == [network.stem, *network.stacks]
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(network(images), twin(images))
    assert network.state_dict().keys() == twin.state_dict().keys()


def test_first_weights_depend_on_the_seed_alone() -> None:
    spec = TargetSpec(input_hw=(64, 64))
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    a, b, c = (build_model(spec, TrainConfig(**SMALL, seed=seed)).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


def test_heads_begin_near_zero() -> None:
    network = build_model(TargetSpec(), TrainConfig())
    weights = network.state_dict()
    for branch in (0, 1):
        head = f"stacks.0.branches.{branch}.3"
        assert weights[f"{head}.weight"].std().item() == pytest.approx(0.01, rel=0.5)
        assert not weights[f"{head}.bias"].any()
