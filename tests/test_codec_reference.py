"""Codec against the slow reference, over random conventions and people.

``count`` and ``ignore`` are equal to the cell; heatmap and offsets to 2e-7, times Z where offsets are cells.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import naive
from codec_cases import CAMERA, SEEDS, Case, cases, conventions, crowds, nearly_tied, on_the_edge, rows, specs
from spmdata.codec import Codec, Targets
from spmdata.people import People
from spmdata.spec import Overlap, TargetSpec, TauMetric


def offsets_tolerance(spec: TargetSpec) -> float:
    H, W = conventions(spec).map_hw
    return 2e-7 * (1.0 if spec.norm == "diagonal" else float(np.hypot(H, W)))


def assert_close(found: NDArray[np.floating], wanted: NDArray[np.floating], atol: float) -> None:
    np.testing.assert_allclose(found.astype(np.float64), wanted, rtol=0, atol=atol)


def assert_decodes_alike(spec: TargetSpec, targets: Targets) -> None:
    heatmap, offsets, count, _, root_depth, _ = targets
    assert count is not None
    cells, joints, visible = naive.decode(conventions(spec), heatmap, offsets, count, root_depth, CAMERA.f_px)
    ((found, found_cells),) = Codec(spec).decode_with_cells(targets.at(None), [CAMERA])
    assert found_cells.tolist() == [list(cell) for cell in cells]
    far = 6e-8 * float(np.abs(joints).max(initial=0))  # half a step of float32, in which joints are returned
    assert_close(found.joints, np.where(visible[..., None] > 0, joints, 0), 1e-4 + far)
    np.testing.assert_array_equal(found.visible, visible)
    np.testing.assert_array_equal(found.score, [heatmap[v, u] for u, v in cells])
    if root_depth is not None:
        np.testing.assert_array_equal(found.has_depth, [root_depth[v, u] > 0 for u, v in cells])


def assert_encodes_alike(spec: TargetSpec, people: People) -> None:
    c, found = conventions(spec), Codec(spec).encode(people, CAMERA)
    heatmap, offsets, count, ignore = naive.encode(c, rows(people))
    np.testing.assert_array_equal(found.count, count)
    np.testing.assert_array_equal(found.ignore, ignore)
    if spec.dims == 3:
        dz, count_z, root_depth = naive.encode_depth(c, rows(people), people.has_depth, CAMERA.f_px)
        np.testing.assert_array_equal(found.count_z, count_z)
        assert_close(np.asarray(found.root_depth), root_depth, 2e-7 * max(1, np.abs(root_depth).max()))
        assert_close(found.offsets[:, 2], dz, 2e-7 * max(1, np.abs(dz).max()))
    # Far from home a vector is long, and so is float32's step.
    longest = max(1.0, float(np.abs(offsets).max(initial=0)) / (1.0 if spec.norm == "diagonal" else 20))
    assert_close(found.root_heatmap, heatmap, 2e-7)
    assert_close(found.offsets[:, :2], offsets, offsets_tolerance(spec) * longest)
    assert found.root_heatmap.dtype == found.offsets.dtype == np.float32


@settings(max_examples=300, deadline=None)
@given(cases())
def test_encode_equals_reference(case: Case) -> None:
    assert_encodes_alike(*case)


@pytest.mark.parametrize("overlap", ["mean", "nearest"])
@pytest.mark.parametrize(("metric", "tau"), [("squared", 7.0), ("radius", 2.5)])
def test_a_cell_on_the_edge_is_judged_in_float64(metric: TauMetric, tau: float, overlap: Overlap) -> None:
    """float32 cannot say who covers it; nor, in the second image, who is nearer."""
    spec = TargetSpec(input_hw=(48, 48), tau_metric=metric, tau=tau, overlap=overlap)
    assert_encodes_alike(spec, on_the_edge(spec))
    assert_encodes_alike(spec, nearly_tied())


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from([7.0, 8.3, 12.0]).flatmap(
        lambda tau: cases(tau_metric="radius", tau=tau, unit="cell", stride=2, input_hw=(76, 110))
    )
)
def test_neighbourhoods_of_several_blocks_of_columns(case: Case) -> None:
    """Of 15, 17 and 25 columns: what is written in blocks of 16 ends within one, and begins anywhere."""
    assert_encodes_alike(*case)


@settings(max_examples=40, deadline=None)
@given(cases(dtype="float16"))
def test_float16_is_the_nearest(case: Case) -> None:
    spec, people = case
    c, found = conventions(spec), Codec(spec).encode(people, CAMERA)
    heatmap, offsets, count, ignore = naive.encode(c, rows(people))
    if spec.dims == 3:
        dz, _, _ = naive.encode_depth(c, rows(people), people.has_depth, CAMERA.f_px)
        offsets = np.concatenate([offsets, dz[:, None]], axis=1)
    for half, exact in ((found.root_heatmap, heatmap), (found.offsets, offsets)):
        assert half.dtype == np.float16
        bound = 0.5 * np.spacing(np.abs(exact).astype(np.float16)).astype(np.float64) + offsets_tolerance(spec)
        assert (np.abs(half.astype(np.float64) - exact) <= bound).all()
    np.testing.assert_array_equal(found.count, count)
    np.testing.assert_array_equal(found.ignore, ignore)


def test_a_crowd_is_ignored_wherever_the_stored_heatmap_is_0() -> None:
    """Of an untruncated Gaussian float16 keeps less than float32."""
    points = np.full((2, 17, 2), 31.5)
    boxes = [[0, 0, 64, 64], [0, 0, 64, 64]]
    people = People.of(points, [[2] * 17, [0] * 17], bbox_xywh=boxes, ignore=[False, True])
    full = TargetSpec(input_hw=(64, 64), heatmap_min=0, sigma=0.8)
    for spec in (full, full.override(sigma=2.0, dtype="float16")):
        found = Codec(spec).encode(people)
        assert found.ignore is not None
        np.testing.assert_array_equal(found.ignore, found.root_heatmap == 0)
        assert 0 < np.count_nonzero(found.ignore) < 256
        np.testing.assert_array_equal(found.ignore, naive.encode(conventions(spec), rows(people))[3])


@settings(max_examples=100, deadline=None)
@given(cases())
def test_reads_equal_reference(case: Case) -> None:
    """Roots, who is drawn, what has vectors, which reads collide; a dropped joint spoils its path."""
    spec, people = case
    c, reads = conventions(spec), Codec(spec).reads(people)
    crowd = naive.crowd_of(c, rows(people))
    assert np.flatnonzero(reads.drawn).tolist() == [person.p for person in crowd]
    np.testing.assert_allclose(reads.roots[reads.drawn], np.reshape([p.r for p in crowd], (-1, 2)), atol=1e-9)
    z_roots = [people.joints[p.p, naive.root_joints(c, p.labelled), 2:].mean(0).sum() for p in crowd]
    np.testing.assert_allclose(reads.z_roots[reads.drawn], z_roots, rtol=1e-6)
    direct, on_path = naive.collisions(c, rows(people))
    mixed = naive.mixed_depths(c, rows(people), people.has_depth)
    for person in crowd:
        for k in range(len(c.parents)):
            assert reads.supervised[person.p, k] == (naive.link_of(c, person, k) is not None)
            path = [i for i in (k, *naive.ancestors(c, k)) if person.labelled[i]]
            dropped = any(naive.link_of(c, person, i) is None for i in path)
            if person.labelled[k]:
                assert reads.direct[person.p, k] == direct[person.p, k]
                assert reads.path[person.p, k] == (on_path[person.p, k] or dropped)
                assert reads.mixed[person.p, k] == mixed[person.p, k]
        assert spec.dims == 2 or reads.mixed[person.p, -1] == mixed[person.p, -1]
    assert not np.array([reads.supervised, reads.read, reads.direct, reads.path])[:, ~reads.drawn].any()
    assert not reads.mixed[~reads.drawn | ~people.has_depth].any()


@settings(max_examples=60, deadline=None)
@given(cases())
def test_decode_of_targets_equals_reference(case: Case) -> None:
    spec, people = case
    assert_decodes_alike(spec, Codec(spec).encode(people, CAMERA))


@settings(max_examples=100, deadline=None)
@given(specs(), SEEDS, st.sampled_from([8, 64, 10**6]))
def test_decode_of_any_maps_equals_reference(spec: TargetSpec, seed: int, levels: int) -> None:
    """Plateaus, wild vectors that leave the map, and counts of nothing."""
    (H, W), K = conventions(spec).map_hw, len(spec.skeleton)
    rng = np.random.default_rng(seed)
    heatmap = (rng.integers(0, levels + 1, (H, W)) / levels).astype(np.float32)
    reach = 0.2 if spec.norm == "diagonal" else 4.0
    offsets = rng.normal(0, reach, (K, spec.dims, H, W)).astype(np.float32)
    count = rng.integers(0, 2, (K, H, W)).astype(np.uint8)
    root_depth = rng.normal(0.2, 0.3, (H, W)).astype(np.float32) if spec.dims == 3 else None
    assert_decodes_alike(spec, Targets(heatmap, offsets, count, root_depth=root_depth))


@settings(max_examples=100, deadline=None)
@given(st.data(), specs(max_people=30))
def test_what_does_not_collide_decodes_exactly(data: st.DataObject, spec: TargetSpec) -> None:
    """In any crowd: a joint whose reads no other person covers, below a peak on its root's cell."""
    people = data.draw(crowds(spec, snap_px=0))
    c, codec = conventions(spec), Codec(spec)
    targets = codec.encode(people, CAMERA)
    found = codec.decode(targets, CAMERA)
    roots = naive.peaks(c, targets.root_heatmap)
    _, collides = naive.collisions(c, rows(people))
    for person in naive.crowd_of(c, rows(people)):
        if naive.nearest(person.r) not in roots:
            continue
        joints = found.joints[roots.index(naive.nearest(person.r))]
        for k in range(len(c.parents)):
            dropped = spec.missing_parent == "drop" and not person.labelled[naive.ancestors(c, k)].all()
            if person.labelled[k] and not collides[person.p, k] and not dropped:
                note(f"person {person.p} joint {k}")
                assert_close(joints[k, :2], people.joints[person.p, k, :2].astype(np.float64), 1e-3)


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_collision_of_a_parent_spoils_the_path(levels: int) -> None:
    """Two chains whose second joints coincide: the third joints' reads collide, and all below them."""
    c = naive.Conventions(parents=(-1, 0, 1, 2)[: levels + 1], map_hw=(8, 40), tau=1, root=0, stride=2)
    x = np.array([[2, 10, 18, 26], [34, 10, 14, 30]])[:, : levels + 1] * 2 + 0.5
    joints = np.stack([x, np.full_like(x, 8.5)], axis=-1)
    P, K = x.shape
    people = (joints, np.ones((P, K)), np.ones(P), np.zeros((P, 4)), np.zeros(P))
    direct, on_path = naive.collisions(c, people)
    assert direct.tolist() == [[k == 2 for k in range(K)]] * 2
    assert on_path.tolist() == [[k >= 2 for k in range(K)]] * 2


@pytest.mark.slow
def test_kernels_without_jit() -> None:
    """The kernels mean the same as plain Python: cases checked on paper, ties, depth, and some of the laws."""
    here = Path(__file__).resolve().parent
    laws = ["test_encode_equals_reference", "test_decode_of_any_maps_equals_reference", "test_nobody"]
    tests = [
        *(str(here / name) for name in ("test_codec_golden.py", "test_codec_depth.py")),
        *(f"{here / 'test_codec_reference.py'}::{law}" for law in laws),
        f"{here / 'test_codec_laws.py'}::test_kept_targets_forget_what_they_held",
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(
        command, cwd=here.parent, env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_nobody() -> None:
    spec = TargetSpec(input_hw=(32, 64))
    targets = Codec(spec).encode(People.empty(17))
    assert not any(array.any() for array in targets[:4] if array is not None)
    assert len(Codec(spec).decode(targets)) == 0
