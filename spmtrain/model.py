"""Stacked hourglasses with two branches, root heatmap and offsets (Nie et al. 2019, section 4; Newell et al. 2016).

In 3D the offsets have a third axis, and a third branch gives the depth of the root.

Letters: B rows of a batch; K joints; D axes; H, W cells of a map; s stride.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spmdata.errors import SpecError
from spmdata.spec import TargetSpec
from spmtrain.config import Block, Norm, TrainConfig
from spmtrain.maps import Maps

#: An hourglass halves the map at most down to this many cells on the shorter side.
SMALLEST_MAP = 2
#: What residuals are made of.
Kind = tuple[Norm, Block]


def convolution(kind: Norm, inputs: int, outputs: int, side: int = 1, stride: int = 1) -> nn.Conv2d:
    """Return a convolution that a norm follows, sooner or later.

    It has no bias where the norm takes every constant out again: adding them and summing their gradients was 40 of 194
    ms that a GPU computed for a step of the preset ``paper``.
    """
    return nn.Conv2d(inputs, outputs, side, stride, side // 2, bias=kind != "batch")


def norm_layer(kind: Norm, channels: int) -> nn.Module:
    """Return a normalisation of `channels`: over the batch, or over up to 8 groups of channels of each row."""
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.GroupNorm(math.gcd(channels, 8), channels)


class Residual(nn.Module):
    """Convolutions, each behind norm and ReLU, beside a shortcut: one of 3 x 3, or a bottleneck of three (1, 3, 1)."""

    def __init__(self, inputs: int, outputs: int, kind: Kind) -> None:
        super().__init__()
        (norm, block), half = kind, outputs // 2
        bottleneck = ((inputs, half, 1), (half, half, 3), (half, outputs, 1))
        sizes = bottleneck if block == "bottleneck" else ((inputs, outputs, 3),)
        self.norms = nn.ModuleList(norm_layer(norm, before) for before, _, _ in sizes)
        self.convs = nn.ModuleList(convolution(norm, *size) for size in sizes)
        self.shortcut = nn.Identity() if inputs == outputs else convolution(norm, inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        y = x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            y = conv(F.relu(norm(y)))
        return y + self.shortcut(x)  # type: ignore[no-any-return]


class AddCoarser(torch.autograd.Function):
    """Add each cell of a coarse map (B, C, H/2, W/2) to the four of a fine one (B, C, H, W) that it covers.

    One pass over the fine map. With `interpolate` the coarse one is written and read once more at full size, and its
    gradient, which is a sum of four, is added up atomically by compiled code: 8 of 96 ms of a step of ``paper``.
    """

    @staticmethod
    def forward(_: Any, fine: Tensor, coarse: Tensor) -> Tensor:
        """Return the sum, in the memory format of ``fine``."""
        rows, columns = coarse.shape[2:]
        cells = fine.view(*fine.shape[:2], rows, 2, columns, 2)
        return (cells + coarse[:, :, :, None, :, None]).reshape(fine.shape)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of ``fine`` and ``coarse``."""
        return gradient, F.avg_pool2d(gradient, 2, divisor_override=1)


class Level(nn.Module):
    """One resolution of an hourglass and, within it, all the coarser ones."""

    def __init__(self, features: tuple[int, ...], kind: Kind) -> None:
        super().__init__()
        here = features[0]
        self.skip = Residual(here, here, kind)
        self.below: nn.Sequential | None = None
        if len(features) > 1:
            lower = features[1]
            self.below = nn.Sequential(
                nn.MaxPool2d(2), Residual(here, lower, kind), Level(features[1:], kind), Residual(lower, here, kind)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        if self.below is None:
            return self.skip(x)  # type: ignore[no-any-return]
        return AddCoarser.apply(self.skip(x), self.below(x))  # type: ignore[no-any-return,no-untyped-call]


class Stack(nn.Module):
    """One hourglass, its branches of so many channels each, and the way on to the next stack."""

    def __init__(self, features: tuple[int, ...], outputs: Sequence[int], kind: Kind, last: bool) -> None:
        super().__init__()
        width, (norm, _) = features[0], kind
        self.hourglass = nn.Sequential(Level(features, kind), Residual(width, width, kind))
        self.branches = nn.ModuleList(self._branch(width, channels, norm) for channels in outputs)
        self.onward = None if last else nn.ModuleList(convolution(norm, n, width) for n in (width, *outputs))

    @staticmethod
    def _branch(width: int, channels: int, norm: Norm) -> nn.Sequential:
        head = nn.Conv2d(width, channels, 1)
        nn.init.normal_(head.weight, std=0.01)
        assert head.bias is not None
        nn.init.zeros_(head.bias)
        return nn.Sequential(convolution(norm, width, width), norm_layer(norm, width), nn.ReLU(), head)

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return what each branch gives, (B, channels, H, W), and the next stack's input."""
        y = self.hourglass(x)
        parts = [branch(y) for branch in self.branches]
        if self.onward is not None:
            x = x + sum(conv(part) for conv, part in zip(self.onward, (y, *parts), strict=True))
        return parts, x


class Hourglass(nn.Module):
    """The network: a stem down to the stride of the maps, then ``stacks`` hourglasses.

    Parameters
    ----------
    spec : TargetSpec
        Gives K, D, stride and the training size, which limits how often an hourglass halves the map.
    config : TrainConfig
        Gives ``stacks``, ``features``, ``norm`` and ``block``.

    Raises
    ------
    SpecError
        ``spec.input_hw`` is not a multiple of stride * 2^depth; the message names the nearest sizes.
    """

    def __init__(self, spec: TargetSpec, config: TrainConfig) -> None:
        super().__init__()
        self.joints, self.dims = len(spec.skeleton), spec.dims
        depth = min(len(config.features) - 1, int(math.log2(max(1, min(spec.map_hw) / SMALLEST_MAP))))
        self.multiple_px = spec.stride * 2**depth
        self.check_size(spec.input_hw)
        features, kind = config.features[: depth + 1], (config.norm, config.block)
        self.stem = _stem(spec.stride, features[0], kind)
        outputs = (1, self.joints * self.dims, 1)[: self.dims]  # root heatmap, offsets and, in 3D, root depth
        last = config.stacks - 1
        self.stacks = nn.ModuleList(Stack(features, outputs, kind, i == last) for i in range(config.stacks))

    def ends(self) -> list[Tensor]:
        """Return the weights that touch the outside: of the first convolution, and of the last one of every branch."""
        stacks = [module for module in self.modules() if isinstance(module, Stack)]
        last = [[*branch.modules()][-1] for stack in stacks for branch in stack.branches]
        return [conv.weight for conv in (self.stem[0], *last) if isinstance(conv, nn.Conv2d)]

    def compile_parts(self) -> None:
        """Have torch compile the stem and each stack when it is first called; stacks that are alike share the code."""
        for part in (self.stem, *self.stacks):
            part.compile()

    def check_size(self, input_hw: tuple[int, int]) -> None:
        """Raise SpecError unless an image of (height, width) px fits the network."""
        step = self.multiple_px
        if all(n >= step and n % step == 0 for n in input_hw):
            return
        low, high = (tuple(max(1, n // step + up) * step for n in input_hw) for up in (0, 1))
        raise SpecError(
            f"this network takes input sizes (height, width) that are multiples of {step} px, got {input_hw}; "
            f"the nearest are {low} and {high}"
        )

    def forward(self, images: Tensor) -> list[Maps]:
        """Return every stack's maps.

        Parameters
        ----------
        images : Tensor, (B, 3, H_px, W_px) float
            As ``spmtrain.stream.normalise`` gives them; sizes are multiples of ``multiple_px``.

        Returns
        -------
        list of Maps
            One of each stack; the last is the prediction.
        """
        self.check_size((images.shape[2], images.shape[3]))
        x = self.stem(images)
        stages = []
        for stack in self.stacks:
            (root, offsets, *depth), x = stack(x)
            vectors = offsets.unflatten(1, (self.joints, self.dims))
            stages.append(Maps(root[:, 0], vectors, *(part[:, 0] for part in depth)))
        return stages


def _stem(stride: int, width: int, kind: Kind) -> nn.Sequential:
    """Build the layers (B, 3, s H, s W) to (B, width, H, W): a strided convolution for each halving, then a residual.

    Newell et al. have 7 x 7, residuals and a pooling, with which a step of a small network takes a sixth longer.
    """
    norm, _ = kind
    halvings = int(math.log2(stride))
    widths = [3, *(max(8, width >> (halvings - 1 - i)) for i in range(halvings))]
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [convolution(norm, inputs, outputs, 3, 2), norm_layer(norm, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-2], Residual(width, width, kind))  # which begins with norm and ReLU itself


def build_model(spec: TargetSpec, config: TrainConfig) -> Hourglass:
    """Return a network whose first weights depend on ``config.seed`` alone; torch's own generator is left as it was.

    Raises
    ------
    SpecError
        See `Hourglass`.
    """
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        return Hourglass(spec, config).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
