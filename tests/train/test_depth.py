"""Training in three dimensions: branches, losses, a run that learns, people in cm."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from depth_cases import LENS, SIZE_HW, Scenes
from spmdata.camera import Camera
from spmdata.codec import Codec
from spmdata.errors import SpecError
from spmdata.geometry import letterbox
from spmdata.people import People
from spmdata.prepare.plan import plan_store
from spmdata.prepare.run import prepare_store
from spmdata.spec import TargetSpec
from spmdata.store.reader import Store, open_store
from spmtrain.checkpoint import Checkpoint
from spmtrain.config import LossNorm, TrainConfig
from spmtrain.evaluate import evaluate
from spmtrain.log import StepLog
from spmtrain.loop import fit
from spmtrain.loss import Loss
from spmtrain.maps import Maps, TargetMaps
from spmtrain.model import build_model
from spmtrain.predict import Predictor
from spmtrain.stream import ShardStream

SPEC = TargetSpec(input_hw=(64, 96), sigma=2.0, tau=2.0, dims=3, overlap="nearest", nms=3)
CONFIG = TrainConfig(features=(8, 8))
K, (H, W) = 17, SPEC.map_hw


@pytest.fixture(scope="module")
def deep_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return a store of eight rows in 3D."""
    plan = plan_store(Scenes(8), SPEC, tmp_path_factory.mktemp("deep") / "a.zarr", shard_rows=4)
    prepare_store(plan, scheduler="sync")
    return open_store(plan.path)


def targets(seed: int = 0) -> TargetMaps:
    """Return random targets of three rows, of which the last supervises nothing."""
    rng = np.random.default_rng(seed)
    count = rng.choice([0, 0, 1, 2], (3, K, H, W))
    known = (rng.random((3, H, W)) < 0.2) * np.array([1, 1, 0])[:, None, None]
    count[2] = 0
    arrays = (
        *(rng.random((3, H, W)).astype("f4"), rng.normal(size=(3, K, 3, H, W)).astype("f4"), count.astype("u1")),
        *(np.zeros((3, H, W), "u1"), (known * rng.uniform(0.5, 4, (3, H, W))).astype("f4")),
        np.minimum(count, rng.integers(0, 3, count.shape)).astype("u1"),
    )
    return TargetMaps(*(torch.from_numpy(array) for array in arrays))


def outputs(seed: int = 1) -> Maps:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((3, H, W), (3, K, 3, H, W), (3, H, W))
    return Maps(*(torch.randn(shape, generator=generator) for shape in shapes))


def test_every_stack_gives_depth() -> None:
    network = build_model(SPEC, replace(CONFIG, stacks=2))
    stages = network(torch.randn(2, 3, 64, 96))
    for stage in stages:
        assert stage.offsets.shape == (2, K, 3, H, W)
        assert stage.root_depth is not None
        assert stage.root_depth.shape == (2, H, W)
    wanted = TargetMaps(*(t[:2] for t in targets()))  # type: ignore[index]
    Loss(SPEC, CONFIG)(stages, wanted).total.backward()  # type: ignore[no-untyped-call]
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []
    assert build_model(SPEC.override(dims=2), CONFIG)(torch.randn(1, 3, 64, 96))[0].root_depth is None


@pytest.mark.parametrize("form", ["paper", "mean"])
def test_terms_equal_slow_formula(form: LossNorm) -> None:
    """Cell by cell in float64, of x, y and z each where it is supervised."""
    wanted, given = targets(), outputs()
    assert wanted.root_depth is not None
    assert wanted.count_z is not None
    assert given.root_depth is not None
    flat = step = depth = distance = 0.0
    cells = cells_z = 0
    for b in range(3):
        for v in range(H):
            for u in range(W):
                if wanted.root_depth[b, v, u] > 0:
                    depth += abs(float(given.root_depth[b, v, u]) - float(wanted.root_depth[b, v, u]))
                    distance += float(wanted.root_depth[b, v, u])
        off = (given.offsets[b].double() - wanted.offsets[b].double()).abs().numpy()
        for k, v, u in np.argwhere(wanted.count[b].numpy() > 0):
            cells, flat = cells + 1, flat + off[k, 0, v, u] + off[k, 1, v, u]
        for k, v, u in np.argwhere(wanted.count_z[b].numpy() > 0):
            cells_z, step = cells_z + 1, step + off[k, 2, v, u]
    terms = Loss(SPEC, TrainConfig(loss_norm=form, beta=0.3, beta_depth=0.7))([given, given], wanted)
    sums = (flat / 3, step / 3, depth / 3)
    means = (math.hypot(H, W) * flat / (2 * cells), step / cells_z, depth / distance)
    for found, value in zip(terms[2:], sums if form == "paper" else means, strict=True):
        np.testing.assert_allclose(found, [value] * 2, rtol=1e-5)
    total = terms.root + 0.3 * terms.offsets + 0.7 * (terms.offsets_z + terms.root_depth)
    assert terms.total.item() == pytest.approx(total.sum().item(), rel=1e-6)


@pytest.mark.parametrize("form", ["paper", "mean"])
def test_gradient_reaches_supervised_depths_alone(form: LossNorm) -> None:
    wanted, given = targets(), outputs()
    for maps in given:
        assert maps is not None
        maps.requires_grad_()
    Loss(SPEC, TrainConfig(loss_norm=form))([given], wanted).total.backward()  # type: ignore[no-untyped-call]
    assert given.offsets.grad is not None
    assert given.root_depth is not None
    assert given.root_depth.grad is not None
    assert wanted.root_depth is not None
    assert wanted.count_z is not None
    assert torch.equal(given.offsets.grad[:, :, 2] != 0, wanted.count_z > 0)
    assert torch.equal(given.offsets.grad[:, :, 0] != 0, wanted.count > 0)
    assert torch.equal(given.root_depth.grad != 0, wanted.root_depth > 0)


@pytest.mark.parametrize("form", ["paper", "mean"])
def test_a_batch_without_depth_stays_finite(form: LossNorm) -> None:
    nobody = TargetMaps(*(torch.zeros_like(t) for t in targets()))  # type: ignore[arg-type]
    terms = Loss(SPEC, TrainConfig(loss_norm=form))([outputs()], nobody)
    assert terms.total.isfinite()
    assert (terms.offsets_z.item(), terms.root_depth.item()) == (0, 0)


def test_the_weight_of_depth() -> None:
    assert (TrainConfig().depth_weight, TrainConfig(loss_norm="paper").depth_weight) == (3, 0.01)
    assert TrainConfig(beta_depth=2).depth_weight == 2
    with pytest.raises(SpecError, match="beta_depth must be a number above 0"):
        TrainConfig(beta_depth=0)


def test_the_stream_brings_depth(deep_store: Store) -> None:
    with ShardStream(deep_store, 3) as stream:
        batch = next(stream)
    for name in ("root_depth", "count_z"):
        np.testing.assert_array_equal(getattr(batch.targets, name), deep_store.read(name, batch.rows))


def test_depth_is_learnt(deep_store: Store, tmp_path: Path) -> None:
    """Eight images by heart: every term falls; people who were flat but right in x and y would be at 95 mm."""
    logs: list[StepLog] = []
    config = TrainConfig(
        features=(16, 24, 32),
        steps=90,
        batch=8,
        beta_depth=10,
        threads=1,
        device="cpu",
        mirror=0.0,
        ema=0.0,
        out=str(tmp_path / "a"),
    )
    result = fit(deep_store, config, logs.append, val=deep_store)
    for name in ("offsets", "offsets_z", "root_depth"):
        first, last = (np.mean([getattr(log, name)[0] for log in part]) for part in (logs[:5], logs[-5:]))
        assert last < 0.5 * first, name
    assert logs[0].total == pytest.approx(
        logs[0].root[0] + 3 * logs[0].offsets[0] + 10 * (logs[0].offsets_z[0] + logs[0].root_depth[0]), rel=1e-5
    )
    scores = result.evaluation.pose3d if result.evaluation else None
    assert scores is not None
    assert scores.matched >= 12
    assert 0 < scores.MPJPE < 70
    assert 0 < scores.root < 100


def perfect(spec: TargetSpec, people: list[People], cameras: list[Camera], patch: pytest.MonkeyPatch) -> Predictor:
    """Return a predictor whose network answers with the targets of these people (input px)."""
    weights = build_model(spec, CONFIG).state_dict()
    checkpoint = Checkpoint(weights=weights, average=weights, config=CONFIG, spec=spec, store_fingerprint="", step=0)
    waiting = list(zip(people, cameras, strict=True))

    def network(images: Tensor) -> list[Maps]:
        batch = [waiting.pop(0) for _ in range(len(images))]
        drawn = Codec(spec).encode_batch([one for one, _ in batch], cameras=[camera for _, camera in batch])
        assert drawn.root_depth is not None
        return [Maps(*(torch.from_numpy(maps) for maps in (drawn.root_heatmap, drawn.offsets, drawn.root_depth)))]

    made = Predictor(checkpoint, "cpu")
    patch.setattr(made._finder, "network", network)
    return made


def test_people_come_back_in_the_cameras_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its camera an image has joints in cm; without, depth is known from the root alone, and nobody has it."""
    spec, source, affine = SPEC.override(hierarchical=True), Scenes(), letterbox(SIZE_HW, SPEC.input_hw).affine
    sample, points = source[0], source.points_cm(0)
    people, camera = sample.people.transform(affine), LENS.transform(affine)
    made = perfect(spec, [people] * 2, [camera] * 2, monkeypatch)
    pixels = np.zeros((*SIZE_HW, 3), np.uint8)
    with_camera, without = made([pixels] * 2, [LENS, None])
    assert with_camera.has_depth.tolist() == [True, True]
    order = np.argsort(with_camera.joints[:, 0, 0])
    np.testing.assert_allclose(with_camera.in_camera(LENS)[order], points, atol=0.01)
    assert without.has_depth.tolist() == [False, False]
    np.testing.assert_allclose(without.joints[..., :2], with_camera.joints[..., :2])
    from_root = points[..., 2] - points[..., 2].mean(1, keepdims=True)
    np.testing.assert_allclose(without.joints[order, :, 2], from_root, atol=0.01)


def test_flip_averages_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that sees the mirror image 10 % nearer finds people 5 % nearer, their joints where they are."""
    spec, source, affine = SPEC, Scenes(), letterbox(SIZE_HW, SPEC.input_hw).affine
    people, camera = source[0].people.transform(affine), LENS.transform(affine)
    made = perfect(spec, [people, people.flip(spec.skeleton, 96)], [camera] * 2, monkeypatch)
    network, calls = made._finder.network, []

    def nearer(images: Tensor) -> list[Maps]:
        (maps,) = network(images)
        calls.append(images)
        assert maps.root_depth is not None
        return [maps._replace(root_depth=maps.root_depth * (0.9 if len(calls) == 2 else 1))]

    monkeypatch.setattr(made._finder, "network", nearer)
    made._finder.flip = True
    (found,) = made.inputs(torch.zeros((1, 64, 96, 3), dtype=torch.uint8), [camera])
    order = np.argsort(found.joints[:, 0, 0])
    np.testing.assert_allclose(found.joints[order][..., :2], people.joints[..., :2], atol=1e-3)
    z, wanted = found.joints[order, :, 2], people.joints[..., 2]
    np.testing.assert_allclose(z.mean(1), 0.95 * wanted.mean(1), atol=0.01)
    np.testing.assert_allclose(z - z.mean(1, keepdims=True), wanted - wanted.mean(1, keepdims=True), atol=0.01)


def test_a_perfect_network_reaches_the_3d_ceiling(deep_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    people = [deep_store.people(row) for row in range(8)]
    cameras = [Camera.of_intrinsics(numbers) or LENS for numbers in deep_store.table("row/camera")]
    result = evaluate(perfect(SPEC, people, cameras, monkeypatch), deep_store, batch=3)
    assert result.pose3d == result.ceiling_pose3d
    assert result.pose3d is not None
    assert result.pose3d[:3] == (13, 13, 0)
    assert 0 < result.pose3d.MPJPE < 0.1
    assert result.to_json()["pose3d"]["people"] == 13


def test_a_network_of_other_dims_is_refused(deep_store: Store, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SpecError, match=r"trained with dims 2, .* has 3"):
        evaluate(perfect(SPEC.override(dims=2), [], [], monkeypatch), deep_store)
    with pytest.raises(SpecError, match=r"trained with dims 3, .* has 2"):
        evaluate(perfect(SPEC, [], [], monkeypatch), store)
