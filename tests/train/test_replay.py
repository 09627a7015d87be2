"""Replayed: on a CPU the function itself, on a GPU the same numbers from a captured graph."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from spmtrain.replay import FIRST_CALLS, MOST_GRAPHS, Replayed


class Pair(NamedTuple):
    """Two tensors, one of them not always there."""

    one: Tensor
    two: Tensor | None = None


class Counted:
    """Twice the first, plus the pair; knows how often it was called."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: Tensor, pair: Pair) -> Pair:
        self.calls += 1
        return Pair(2 * x + pair.one, None if pair.two is None else pair.two - x)


@pytest.mark.parametrize("there", [False, True])
def test_values_are_those_of_the_function(device: str, there: bool) -> None:
    function = Counted()
    replayed = Replayed(function)
    for call in range(FIRST_CALLS + 4):
        for n in (2, 5):
            x, one = torch.randn(n, 3, device=device), torch.randn(n, 3, device=device)
            result = replayed(x, Pair(one, x + call if there else None))
            assert torch.equal(result.one, 2 * x + one)
            assert (result.two is not None) == there
            if result.two is not None:
                torch.testing.assert_close(result.two, torch.full_like(x, call))
    assert function.calls == 2 * (FIRST_CALLS + (1 if device == "cuda" else 4))


@pytest.mark.parametrize("given", [(1,), ([torch.zeros(1)],), (torch.zeros(1), 0.5)])
def test_what_would_be_captured_for_ever_is_refused(given: tuple[object, ...]) -> None:
    with pytest.raises(TypeError, match=r"takes tensors, tuples of them, and None; got (int|list|float)"):
        Replayed(Counted())(*given)


@pytest.mark.gpu
@pytest.mark.parametrize("device", ["cuda"], indirect=True)
def test_more_shapes_than_are_captured(device: str) -> None:
    function = Counted()
    replayed = Replayed(function)
    for _ in range(FIRST_CALLS + 2):
        for n in range(1, MOST_GRAPHS + 3):
            x = torch.randn(n, 3, device=device)
            assert torch.equal(replayed(x, Pair(x)).one, 3 * x)
    assert function.calls == (FIRST_CALLS + 1) * MOST_GRAPHS + 2 * (FIRST_CALLS + 2)


def test_gradients_are_those_of_the_function(device: str) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 2, 1)).to(device)
    twin = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 2, 1)).to(device)
    twin.load_state_dict(network.state_dict())

    def descend(of: nn.Module, x: Tensor) -> Tensor:
        of.zero_grad()
        loss: Tensor = of(x).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    replayed = Replayed[Tensor](lambda x: descend(network, x))
    for _ in range(FIRST_CALLS + 3):
        x = torch.randn(4, 3, 8, 8, device=device)
        torch.testing.assert_close(replayed(x), descend(twin, x))
        for one, two in zip(network.parameters(), twin.parameters(), strict=True):
            assert one.grad is not None
            assert two.grad is not None
            torch.testing.assert_close(one.grad, two.grad, rtol=1e-3, atol=1e-5)
            one.data.sub_(one.grad, alpha=0.1)  # the next call sees other weights
            two.data.copy_(one.data)
    for ours, theirs in zip(network.buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)
