"""verify: what a store decodes to, what is lost and why, and what is corrupt."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec_cases import Case, cases
from small_coco import write_small_coco
from spmdata.codec import Codec
from spmdata.errors import StoreError
from spmdata.geometry import Affine
from spmdata.people import People
from spmdata.prepare.plan import plan_store
from spmdata.prepare.run import prepare_store
from spmdata.roundtrip.compare import compare_row
from spmdata.sources.coco import CocoSource
from spmdata.spec import DType, Overlap, TargetSpec
from spmdata.verify.run import verify_store

SPEC = TargetSpec(hierarchical=True, input_hw=(256, 256))


def one(x: float, y: float, *, spread: float = 20.0, number: int = 1) -> People:
    """Return one person of 17 joints round a point, px."""
    angle = np.linspace(0, 2 * np.pi, 18)[:-1]
    joints = np.stack([x + spread * np.cos(angle), y + spread * np.sin(angle)], -1)[None]
    return People.of(joints, np.full((1, 17), 2), id=np.array([number]))


def together(*people: People) -> People:
    columns = People.__dataclass_fields__
    return People(**{name: np.concatenate([getattr(p, name) for p in people]) for name in columns})


def compared(people: People, spec: TargetSpec = SPEC):  # type: ignore[no-untyped-def]
    codec = Codec(spec)
    return compare_row(codec, people, codec.encode(people), Affine.identity())


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verify")
    source = CocoSource.read(write_small_coco(folder, 20), image_root=None)
    plan = plan_store(source, SPEC, folder / "small.zarr", images=False, shard_rows=8)
    prepare_store(plan)
    return Path(plan.path)


def test_people_apart_come_back_exactly() -> None:
    result = compared(together(one(60, 60), one(190, 70), one(120, 200)))
    assert (result.labelled, result.off_map, result.merged, result.beyond) == (3, 0, 0, 0)
    assert result.clear.all()
    assert len(result.error_px) == 51
    assert result.error_px.max() < 1e-3
    assert not result.collided.any()


def test_why_people_are_lost() -> None:
    off = compared(together(one(60, 60), one(400, 60)))
    assert (off.labelled, off.off_map, off.merged) == (2, 1, 0)
    merged = compared(together(one(60, 60), one(62, 61, spread=9), one(200, 200)))
    assert (merged.labelled, merged.off_map, merged.merged) == (3, 0, 1)
    crowd = [one(24 + 52 * (i % 5), 24 + 52 * (i // 5), spread=10) for i in range(25)]
    beyond = compared(together(*crowd), SPEC.override(max_people=20))
    assert (beyond.labelled, beyond.merged, beyond.beyond) == (25, 0, 5)


def test_errors_of_collisions_are_told_apart() -> None:
    """Two persons whose shoulders touch: their elbows are averaged where both hang, and only there."""
    first, second = one(100, 128, spread=30), one(164, 128, spread=30)
    left, right = 5, 6
    joints = second.joints.copy()
    joints[0, right] = first.joints[0, right] + 2.0
    touching = People.of(joints, second.visible)
    result = compared(together(first, touching))
    assert 0 < (~result.clear).sum() < 12
    below = {right, 8, 10}  # shoulder's own map is read at the root; the elbow's and wrist's below it collide
    assert {int(j) for j in result.joint[~result.clear]} <= below
    assert result.error_px[result.clear].max() < 1e-3
    assert result.error_px[~result.clear].max() > 1
    assert left not in below


def test_half_way_between_cells_either_may_be_read() -> None:
    """A shoulder exactly between two cells, and a stranger's on the far one: no error outside collisions."""
    collided = 0
    for third in range(40):
        first, second = one(100, 100, spread=30), one(150, 100, spread=24)
        joints = np.concatenate([first.joints, second.joints])
        joints[0, 6] = [93.5 + third % 7 / 3, 4 * 29.5 + 1.5]  # cell 29.5 in y
        joints[1, 6] = joints[0, 6] + [0, 12.5]
        result = compared(People.of(joints, np.full((2, 17), 2)))
        assert (result.error_px <= result.bound_px)[result.clear].all()
        collided += int((~result.clear).sum())
    assert collided > 0
    tied = People.of(one(0, 0).joints - one(0, 0).joints.mean(1) + 4 * 20.5 + 1.5, np.full((1, 17), 2))
    assert compared(tied).merged == 0  # the peak lies on the lower of two equal cells


def test_dropped_joints_are_counted_and_excused() -> None:
    people = one(128, 128)
    visible = people.visible.copy()
    visible[0, 7] = 0  # left elbow
    people = People.of(people.joints, visible)
    result = compared(people, SPEC.override(missing_parent="drop"))
    assert result.dropped_joints == 1
    assert [int(j) for j in result.joint[~result.clear]] == [9]
    assert compared(people).clear.all()


@pytest.mark.parametrize("anchor", ["parent", "root"])
def test_the_bound_follows_the_dtype(anchor: str) -> None:
    spec = SPEC.override(dtype="float16", anchor=anchor)
    people = together(one(60.3, 60.7, spread=55), one(190.1, 180.2, spread=60))
    result = compared(people, spec)
    assert result.error_px.max() > 1e-2  # float16 is seen
    assert (result.error_px <= result.bound_px).all()
    assert result.bound_px.max() < 0.8
    sharp = compared(people, spec.override(dtype="float32"))
    assert sharp.bound_px.max() < 5e-5


@settings(max_examples=50, deadline=None)
@given(cases(dims=2), st.sampled_from(["float16", "float32"]))
def test_no_error_outside_collisions_passes_the_bound(case: Case, dtype: DType) -> None:
    result = compared(case.people, case.spec.override(dtype=dtype))
    assert (result.error_px <= result.bound_px)[result.clear].all()


@pytest.mark.parametrize("overlap", ["mean", "nearest"])
def test_the_bound_holds_on_the_smallest_maps(overlap: Overlap) -> None:
    """There float32's step is less than that of the grid that sums of tips are exact on."""
    rng, spec = np.random.default_rng(0), TargetSpec(input_hw=(8, 8), stride=8, overlap=overlap)
    for _ in range(50):
        result = compared(People.of(rng.uniform(0, 8, (1, 17, 2)), np.full((1, 17), 2)), spec)
        assert (result.error_px <= result.bound_px).all()


def test_the_bound_is_no_looser_than_rounding() -> None:
    """Over many joints the greatest error nearly reaches it, in either dtype and along chains from the root."""
    rng = np.random.default_rng(0)
    for dtype in ("float16", "float32"):
        for anchor in ("parent", "root"):
            reached = 0.0
            for _ in range(60):
                people = one(*rng.uniform(100, 156, 2), spread=rng.uniform(30, 120))
                result = compared(people, SPEC.override(dtype=dtype, anchor=anchor))
                reached = max(reached, float((result.error_px / result.bound_px).max()))
            assert 0.7 < reached <= 1, (dtype, anchor)


def test_a_good_store_is_ok(store: Path) -> None:
    seen: list[tuple[int, int]] = []
    report = verify_store(store, threads=2, on_rows=lambda done, total: seen.append((done, total)))
    assert report.ok
    assert report.rows == 20
    assert seen[-1] == (20, 20)
    assert report.beyond_bound == 0
    assert 5e-6 < report.bound_px < 2e-5
    assert report.ceiling.AP > 0.85
    assert {line.name for line in report.by_level} == {"level 1", "level 2", "level 3"}
    assert sum(line.joints for line in report.by_joint) == sum(line.joints for line in report.by_level)
    assert json.loads(json.dumps(report.to_json()))["ok"] is True
    assert report.worst[0].error_px == max(w.error_px for w in report.worst)


def test_the_same_report_whatever_the_threads(store: Path) -> None:
    assert verify_store(store, threads=1) == verify_store(store, threads=3)


def test_a_flipped_bit_fails_and_is_named(store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.zarr"
    shutil.copytree(store, copy)
    shard = copy / "offsets/c.1.0.0.0.0"
    data = bytearray(shard.read_bytes())
    data[40] ^= 4
    shard.write_bytes(data)
    report = verify_store(copy)
    assert not report.ok
    assert [(d.array, d.shard, d.row) for d in report.damage] == [("offsets", 1, 8)]
    assert report.rows == 19  # the row is left out, the others are still compared


def test_wrong_maps_fail_even_when_checksums_hold(tmp_path: Path) -> None:
    """A store whose maps were made for other people: every byte is as written, and verification still says no."""
    folder = tmp_path / "other"
    annotations = write_small_coco(folder, 8, seed=1)
    source = CocoSource.read(annotations, image_root=None)

    class Shifted(Codec):
        def encode_batch(self, people, out=None, cameras=None):  # type: ignore[no-untyped-def]
            targets = super().encode_batch(people, out, cameras)
            targets.offsets[:, 5] += np.float32(0.01)
            return targets

    import spmdata.prepare.task as task

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task, "_codec", Shifted)
        prepare_store(plan_store(source, SPEC, tmp_path / "wrong.zarr", images=False), scheduler="sync")
    report = verify_store(tmp_path / "wrong.zarr")
    assert not report.damage
    assert report.beyond_bound > 0
    assert not report.ok
    assert report.by_joint[5].clear_max_px > 1


def test_no_store_no_report(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such store"):
        verify_store(tmp_path / "none.zarr")


@pytest.mark.parametrize(("hierarchical", "ceiling"), [(False, 98.98), (True, 98.56)])
def test_ceilings_of_val2017(spm_data: Path, tmp_path: Path, hierarchical: bool, ceiling: float) -> None:
    """The numbers of the design, within 0.3 AP, on every fourth image; benchmarks print the whole set's."""
    content = json.loads(gzip.decompress((spm_data / "coco/annotations/person_keypoints_val2017.json.gz").read_bytes()))
    content["images"] = content["images"][::4]
    ids = {image["id"] for image in content["images"]}
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] in ids]
    path = tmp_path / "part.json"
    path.write_text(json.dumps(content))
    spec = TargetSpec(hierarchical=hierarchical, input_hw=(512, 512))
    plan = plan_store(CocoSource.read(path, image_root=None), spec, tmp_path / "val.zarr", images=False)
    prepare_store(plan)
    report = verify_store(plan.path)
    assert report.ok
    assert report.by_level[0].clear_max_px < 1e-4
    assert pytest.approx(ceiling, abs=0.5) == 100 * report.ceiling.AP
