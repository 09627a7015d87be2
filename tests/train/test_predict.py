"""predict.py and evaluate.py: a network that draws perfect maps gives the people back, in the images' own px."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch
from torch import Tensor

from spmdata.codec import Codec
from spmdata.errors import SpecError, SpmError
from spmdata.geometry import letterbox
from spmdata.people import People
from spmdata.spec import TargetSpec
from spmdata.store.reader import Store
from spmtrain.checkpoint import Checkpoint
from spmtrain.config import TrainConfig
from spmtrain.evaluate import evaluate
from spmtrain.maps import Maps
from spmtrain.model import build_model
from spmtrain.predict import Predictor

CONFIG = TrainConfig(features=(8, 8))


def predictor(spec: TargetSpec, people: list[People], monkeypatch: pytest.MonkeyPatch) -> Predictor:
    """Return one whose network answers with the targets of these people (input px), a batch after the other."""
    weights = build_model(spec, CONFIG).state_dict()
    checkpoint = Checkpoint(weights=weights, average=weights, config=CONFIG, spec=spec, store_fingerprint="", step=0)
    waiting = list(people)

    def perfect(images: Tensor) -> list[Maps]:
        batch = [waiting.pop(0) for _ in range(len(images))]
        targets = Codec(spec).encode_batch(batch)
        return [Maps(torch.from_numpy(targets.root_heatmap), torch.from_numpy(targets.offsets))]

    made = Predictor(checkpoint, "cpu")
    monkeypatch.setattr(made._finder, "network", perfect)
    return made


def test_people_come_back_in_the_px_of_each_image(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = TargetSpec(hierarchical=True, input_hw=(96, 128))
    sizes = [(96, 128), (50, 90), (333, 200)]
    joints = [np.random.default_rng(i).uniform(0.3, 0.7, (1, 17, 2)) * [w, h] for i, (h, w) in enumerate(sizes)]
    people = [People.of(xy, np.full((1, 17), 2)) for xy in joints]
    placed = [p.transform(letterbox(size, spec.input_hw).affine) for p, size in zip(people, sizes, strict=True)]
    found = predictor(spec, placed, monkeypatch)([np.zeros((*size, 3), np.uint8) for size in sizes])
    for truth, estimate in zip(people, found, strict=True):
        np.testing.assert_allclose(estimate.joints, truth.joints, atol=1e-3)


def test_a_perfect_network_reaches_the_ceiling(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.flatnonzero(store.status == 0).tolist()
    perfect = predictor(store.spec, [store.people(row) for row in rows], monkeypatch)
    seen: list[tuple[int, int]] = []
    result = evaluate(perfect, store, batch=2, on_rows=lambda done, total: seen.append((done, total)))
    assert seen == [(2, 5), (4, 5), (5, 5)]
    assert result.scores == result.ceiling
    assert result.pck == result.ceiling_pck > 0.8
    assert result.images == 5


def test_flip_averages_with_the_mirror_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that is blind in the left half of what it sees finds everybody, at half the score."""
    spec = TargetSpec(hierarchical=True, input_hw=(96, 128), overlap="nearest")
    joints = np.random.default_rng(0).uniform(-12, 12, (2, 17, 2)) + np.array([[[30, 48]], [[97, 48]]])
    people = People.of(joints, np.full((2, 17), 2))
    made = predictor(spec, [], monkeypatch)

    def blind(images: Tensor) -> list[Maps]:
        mirror = bool(images[0, 0, 0, 0] > images[0, 0, 0, -1])
        seen = people.flip(spec.skeleton, 128) if mirror else people
        drawn = Codec(spec).encode_batch([seen.select(seen.joints[:, :, 0].mean(1) > 64)])
        return [Maps(torch.from_numpy(drawn.root_heatmap), 2 * torch.from_numpy(drawn.offsets))]

    monkeypatch.setattr(made._finder, "network", blind)
    image = np.zeros((1, 96, 128, 3), np.uint8)
    image[..., 64:, :] = 255
    assert len(made.inputs(torch.from_numpy(image))[0]) == 1
    made._finder.flip = True
    (found,) = made.inputs(torch.from_numpy(image))
    assert found.score.tolist() == pytest.approx([0.5, 0.5], abs=0.02)
    order = np.argsort(found.joints[:, :, 0].mean(1))
    np.testing.assert_allclose(found.joints[order], people.joints, atol=1e-3)


def test_memory_that_does_not_suffice_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_much(images: Tensor) -> list[Maps]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    made = predictor(TargetSpec(input_hw=(64, 64)), [], monkeypatch)
    monkeypatch.setattr(made._finder, "network", too_much)
    with pytest.raises(SpmError, match="memory does not hold 2 images at once"):
        made.inputs(torch.zeros(2, 64, 64, 3, dtype=torch.uint8))


def test_it_goes_when_nobody_holds_it() -> None:
    """Not when Python next looks for cycles, which knows nothing of a GPU's memory: each evaluation makes one."""
    spec = TargetSpec(input_hw=(64, 64))
    weights = build_model(spec, CONFIG).state_dict()
    checkpoint = Checkpoint(weights=weights, average=weights, config=CONFIG, spec=spec, store_fingerprint="", step=0)
    gc.disable()
    try:
        made = Predictor(checkpoint, "cpu")
        network = weakref.ref(made._finder.network)
        del made
        assert network() is None
    finally:
        gc.enable()


def test_another_input_size_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    other = predictor(TargetSpec(input_hw=(64, 64)), [], monkeypatch)
    with pytest.raises(SpecError, match=r"trained with input_hw \(64, 64\)"):
        evaluate(other, store)
