"""The round trip in three dimensions: stores verified in cm, bounds, mixed depths, and real frames of CMU Panoptic."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import spmdata.prepare.task as task_module
from codec_cases import CAMERA, Case, cases
from depth_cases import LENS, Scenes, in_image, standing
from spmdata.camera import Camera
from spmdata.codec import Codec, Targets
from spmdata.geometry import Affine
from spmdata.people import People
from spmdata.prepare.plan import plan_store
from spmdata.prepare.run import prepare_store
from spmdata.roundtrip.bounds import slack_of
from spmdata.roundtrip.compare import RowComparison, compare_row
from spmdata.roundtrip.depth import DepthComparison
from spmdata.roundtrip.depth_tally import tally_depth
from spmdata.roundtrip.measure import compare_samples
from spmdata.skeletons import COCO17
from spmdata.sources.registry import open_source
from spmdata.spec import DType, TargetSpec
from spmdata.store.reader import open_store
from spmdata.verify.run import verify_store

Floats = NDArray[np.float64]
SPEC = TargetSpec(hierarchical=True, input_hw=(128, 192), dims=3, sigma=3.0)


def compared(people: People, spec: TargetSpec, camera: Camera) -> tuple[RowComparison, DepthComparison]:
    codec = Codec(spec)
    row = compare_row(codec, people, codec.encode(people, camera), Affine.identity(), camera)
    assert row.depth is not None
    return row, row.depth


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"hierarchical": False, "dtype": "float16", "maps": False},
        {"dtype": "float16", "anchor": "root", "overlap": "nearest", "root": "torso"},
    ],
)
def test_a_store_in_3d_verifies_in_cm(tmp_path: Path, changes: dict[str, Any]) -> None:
    maps = changes.pop("maps", True)
    spec = SPEC.override(**changes)
    plan = plan_store(Scenes(8), spec, tmp_path / "a.zarr", images=False, maps=maps, shard_rows=4)
    prepare_store(plan, scheduler="sync")
    report = verify_store(plan.path)
    depth = report.depth
    assert report.ok
    assert depth is not None
    assert (report.people, depth.people, depth.lost) == (16, 13, 0)  # one of row 1, both of row 2 are without
    assert sum(line.joints for line in report.by_joint) == 16 * 17
    assert sum(line.joints for line in depth.by_joint) == sum(line.joints for line in depth.by_level) == 13 * 17
    limit_cm = 0.01 if spec.dtype == "float32" else 0.6
    assert 0 < max(line.clear_max_cm for line in depth.by_level) <= depth.bound_cm < limit_cm
    assert depth.ceiling[:3] == (13, 13, 0)
    assert 10 * limit_cm > depth.ceiling.MPJPE
    assert depth.ceiling.PCK150 == 1
    loaded = json.loads(json.dumps(report.to_json()))
    assert loaded["depth"]["ceiling"]["people"] == 13
    assert loaded["depth"]["by_level"][0]["name"] == "level 1"
    found = tally_depth(compare_samples([plan.source[i] for i in range(8)], [spec])[0], spec)
    assert found is not None
    assert found.ceiling == depth.ceiling
    assert found.bound_cm.max() == depth.bound_cm


def test_2d_says_nothing_of_depth() -> None:
    row = compare_row(codec := Codec(TargetSpec()), p := People.empty(17), codec.encode(p), Affine.identity())
    assert row.depth is None
    assert tally_depth([row], codec.spec) is None


@settings(max_examples=60, deadline=None)
@given(cases(dims=3), st.sampled_from(["float16", "float32"]))
def test_no_error_outside_collisions_passes_the_bound(case: Case, dtype: DType) -> None:
    row, depth = compared(case.people, case.spec.override(dtype=dtype), CAMERA)
    assert (row.error_px <= row.bound_px)[row.clear].all()
    assert np.isfinite(depth.error_cm).all()
    assert (depth.error_cm <= depth.bound_cm)[depth.clear].all()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("anchor", ["parent", "root"])
def test_the_bound_is_no_looser_than_rounding(dtype: DType, anchor: str) -> None:
    """Over many joints the greatest error nearly reaches it; and z alone would pass half of it."""
    rng, spec, reached, depth_alone = np.random.default_rng(0), SPEC.override(dtype=dtype, anchor=anchor), 0.0, 0.0
    for _ in range(40):
        people = in_image(standing(rng, rng.uniform(-30, 30), rng.uniform(250, 400))[None], LENS)
        _, depth = compared(people, spec, LENS)
        reached = max(reached, float((depth.error_cm / depth.bound_cm).max()))
        codec = Codec(spec)
        off = codec.decode(codec.encode(people, LENS), LENS).joints[0, :, 2] - people.joints[0, :, 2]
        depth_alone = max(depth_alone, float((np.abs(off) / depth.bound_cm).max()))
    assert 0.5 < reached <= 1
    assert depth_alone > 0.3


def test_depths_that_mix_are_counted() -> None:
    """Two people whose roots lie a cell apart, at 3 and at 4 m: each root reads the other's depth too, flat and all."""
    rng = np.random.default_rng(3)
    one = in_image(standing(rng, 0, 300)[None], LENS)
    joints = one.joints.copy()
    joints[..., :2] = (joints[..., :2] - joints[..., :2].mean(1)) * 0.7 + joints[..., :2].mean(1) + [13, 2]
    joints[..., 2] += 100
    both = People.of(np.concatenate([one.joints, joints]), np.concatenate([one.visible] * 2))
    spec = SPEC.override(hierarchical=False, nms=3)
    apart = People.of(np.concatenate([one.joints, joints + np.array([60, 0, 0])]), both.visible)
    row, depth = compared(apart, spec, LENS)
    assert (depth.people, depth.mixed.sum()) == (2, 0)
    assert depth.clear.all()
    row, depth = compared(both, spec.override(tau=20), LENS)
    assert depth.reads.tolist() == [2] * 18
    assert depth.mixed.tolist() == [2] * 18
    assert not depth.clear.any()
    assert depth.error_cm.max() > 20
    flat = replace(both, has_depth=np.array([True, False]))
    row, depth = compared(flat, spec.override(tau=20), LENS)
    assert (depth.reads.tolist(), depth.mixed.sum()) == ([1] * 18, 0)  # their vectors collide, no depth does
    assert not row.clear.any()
    _, nearest = compared(flat, spec.override(tau=20, overlap="nearest"), LENS)
    assert nearest.mixed.tolist() == [1] * 18  # a cell may be the other's, who has no depth
    total = tally_depth([compared(both, spec.override(tau=20), LENS)[0]], spec)
    assert total is not None
    assert (total.mixed, total.roots_mixed, total.beyond_bound) == (1, 1, 0)


@pytest.mark.parametrize(("name", "joints"), [("offsets", ("left_elbow", "left_wrist")), ("root_depth", COCO17.joints)])
def test_wrong_depth_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, joints: tuple[str, ...]) -> None:
    """Maps whose z alone is wrong, by 2 cm of the elbow's step or of everybody's root: verification says no."""

    class Shifted(Codec):
        def encode_batch(self, people, out=None, cameras=None):  # type: ignore[no-untyped-def]
            targets = super().encode_batch(people, out, cameras)
            targets.offsets[:, 7, 2] += np.float32(0.02 * (name == "offsets"))
            targets.root_depth[...] *= np.float32(1 + 0.005 * (name == "root_depth"))  # type: ignore[index]
            return targets

    monkeypatch.setattr(task_module, "_codec", Shifted)
    plan = plan_store(Scenes(4), SPEC, tmp_path / "wrong.zarr", images=False)
    prepare_store(plan, scheduler="sync")
    report = verify_store(plan.path)
    assert report.depth is not None
    assert (report.beyond_bound, report.depth.beyond_bound > 0, report.ok) == (0, True, False)
    assert tuple(line.name for line in report.depth.by_joint if line.clear_max_cm > 1) == joints


def world_of(folder: Path, meta: dict[str, Any]) -> tuple[Floats, Floats, dict[int, Floats]]:
    """Return R, t of a view and where its bodies' joints are in the world (19, 3) cm, by id: from the files by hand."""
    sequence = folder / meta["sequence"]
    cameras = json.loads((sequence / f"calibration_{sequence.name}.json").read_text())["cameras"]
    camera = next(one for one in cameras if one["name"] == meta["camera"])
    scene = json.loads((sequence / f"hdPose3d_stage1_coco19/body3DScene_{meta['frame']:08d}.json").read_text())
    bodies = {body["id"]: np.reshape(body["joints19"], (19, 4))[:, :3] for body in scene["bodies"]}
    return np.array(camera["R"]), np.ravel(camera["t"]), bodies


@pytest.mark.parametrize("hierarchical", [False, True])
def test_panoptic_people_come_back_to_where_they_stood(spm_data: Path, tmp_path: Path, hierarchical: bool) -> None:
    """Four frames from 13 HD cameras through source, store and decoder: as they are; turned, scaled, mirrored."""
    source = open_source("panoptic", root=spm_data, no_images=True, cameras="00_?[0369]")
    spec = TargetSpec(skeleton=source.skeleton, hierarchical=hierarchical, dims=3, input_hw=(512, 512))
    plan = plan_store(source, spec, tmp_path / "a.zarr", images=False, views=2)
    prepare_store(plan, scheduler="sync")
    report = verify_store(plan.path)
    assert report.ok
    assert report.depth is not None
    assert max(line.clear_max_cm for line in report.depth.by_joint) < 0.002
    assert report.depth.bound_cm < 0.01
    store, codec, flip = open_store(plan.path), Codec(spec), np.array(source.skeleton.flip)
    joints, worst, seen, mirrored = 0, 0.0, set(), 0
    for row in range(len(store)):
        people, affine = store.people(row), store.affine(row)
        camera = Camera.of_intrinsics(store.read("row/camera", [row])[0])
        assert camera is not None
        maps = Targets(*(store.read(name, [row]) for name in Targets._fields))
        found, cells = codec.decode_with_cells(maps, [camera])[0]
        reads = codec.reads(people, slack_of(codec, people))
        clear = people.labelled & ~reads.path & ~reads.mixed[:, -1:] & reads.drawn[:, None]
        meta = json.loads(store.read("row/meta", [row])[0])
        R, t, world = world_of(spm_data / "panoptic", meta)
        in_mirror = np.linalg.det(affine.matrix[:, :2]) < 0
        mirrored += in_mirror
        for p in np.flatnonzero(reads.drawn):
            off = np.abs(cells - reads.roots[p]).max(-1) if len(cells) else np.empty(0)
            if not len(off) or off.min() > 0.51:
                continue  # the peak of another, in the same window, is higher
            here = (found.in_camera(camera)[off.argmin()] - t) @ R
            there = world[int(people.id[p])][flip if in_mirror else slice(None)]
            error = np.linalg.norm(here - there, axis=-1)[clear[p]]
            assert (error <= 0.01).all(), meta
            joints, worst = joints + len(error), max(worst, float(error.max(initial=0)))
            seen.add(meta["camera"])
    assert (len(store), len(seen)) == (104, 13)
    assert 10 < mirrored < 40
    assert joints > 4000
    assert worst > 1e-5  # something is rounded
