"""The round trip in memory: the numbers of a verified store, collisions of roots, and what maps cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from small_coco import write_small_coco
from spmdata.codec import Codec
from spmdata.errors import SpecError
from spmdata.geometry import Affine, letterbox
from spmdata.people import People, Sample
from spmdata.prepare.plan import plan_store
from spmdata.prepare.run import prepare_store
from spmdata.roundtrip.compare import compare_row
from spmdata.roundtrip.measure import compare_samples, map_bytes
from spmdata.roundtrip.tally import tally
from spmdata.skeletons import COCO17
from spmdata.sources.coco import CocoSource
from spmdata.spec import TargetSpec
from spmdata.store.reader import open_store
from spmdata.verify.run import verify_store


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> CocoSource:
    return CocoSource.read(write_small_coco(tmp_path_factory.mktemp("roundtrip"), 20), image_root=None)


@pytest.mark.parametrize(
    "changes",
    [
        {"hierarchical": True, "tau_metric": "radius"},
        {"stride": 8, "overlap": "smallest", "missing_parent": "drop", "hierarchical": True, "root": "torso"},
        {"dtype": "float16", "anchor": "root", "missing_parent": "stay", "hierarchical": True, "overlap": "nearest"},
    ],
)
def test_the_numbers_are_those_of_a_verified_store(source: CocoSource, tmp_path: Path, changes: dict[str, Any]) -> None:
    spec = TargetSpec(input_hw=(128, 160), **changes)
    plan = plan_store(source, spec, tmp_path / "small.zarr", images=False, shard_rows=10)
    prepare_store(plan, scheduler="sync")
    report = verify_store(plan.path)
    found = tally(compare_samples([source[i] for i in range(20)], [spec], threads=2)[0], source.skeleton)
    assert report.by_joint[0].joints > 0
    for name in ("rows", "people", "lost", "dropped_joints", "collided", "beyond_bound", "ceiling"):
        assert getattr(found, name) == getattr(report, name), name
    levels = np.array(spec.tree.levels())
    assert tuple(found.line(f"level {n}", levels == n) for n in np.unique(levels)) == report.by_level
    every_row = map_bytes([source[i] for i in range(20)], spec)
    arrays = [a.name for a in open_store(plan.path).layout.arrays() if a.chunk_rows == 1]
    sizes = [file.stat().st_size - 4 for name in arrays for file in (plan.path / name).glob("c.*")]  # but the crc32c
    absent = 2 * len(arrays) - len(sizes)  # a shard without a chunk is no file
    assert 20 * every_row == pytest.approx(sum(sizes) + absent * 10 * 16)


def test_one_encoding_serves_every_way_to_decode(source: CocoSource) -> None:
    samples = [source[i] for i in range(12)]
    spec = TargetSpec(input_hw=(128, 128), stride=8)
    specs = [spec, spec.override(nms=7), spec.override(threshold=0.9, max_people=1)]
    seen: list[tuple[int, int]] = []
    together = compare_samples(samples, specs, threads=1, on_rows=lambda done, n: seen.append((done, n)))
    assert seen == [(12, 12)]
    for one, rows in zip(specs, together, strict=True):
        alone = compare_samples(samples, [one])[0]
        assert tally(rows, COCO17).lost == tally(alone, COCO17).lost
        assert tally(rows, COCO17).ceiling == tally(alone, COCO17).ceiling
    assert len({tally(rows, COCO17).ceiling for rows in together}) > 1
    with pytest.raises(SpecError, match="decode fields alone"):
        compare_samples(samples, [spec, spec.override(stride=4)])


def people_at(cells: list[tuple[float, float]], stride: int = 4) -> People:
    """Return persons of one joint each, a nose at a cell."""
    joints, visible = np.zeros((len(cells), 17, 2)), np.zeros((len(cells), 17))
    joints[:, 0] = np.array(cells) * stride + (stride - 1) / 2
    visible[:, 0] = 2
    return People.of(joints, visible)


@pytest.mark.parametrize(("nms", "collided", "lost"), [(1, 0, 0), (3, 2, 1), (5, 3, 1), (7, 4, 3)])
def test_roots_collide_within_the_peak_window(nms: int, collided: int, lost: int) -> None:
    """Roots at cells 10, 11, 13 and 16 of a row, the last below: who is no peak has a greater one in the window."""
    people = people_at([(10.0, 10.0), (11.2, 10.0), (13.1, 10.0), (16.3, 12.0), (30.0, 30.0)])
    codec = Codec(TargetSpec(input_hw=(160, 160), nms=nms, sigma=1.0))
    row = compare_row(codec, people, codec.encode(people), Affine.identity())
    assert (row.roots, row.roots_collided, row.merged) == (5, collided, lost)


def test_errors_in_px_of_the_image() -> None:
    """An image enlarged four times: input px are a quarter of an image px."""
    size_hw, input_hw = (64, 64), (256, 256)
    joints = np.full((2, 17, 2), 30.0) + np.arange(17)[:, None]
    joints[1] += 1.6
    people = People.of(joints, np.full((2, 17), 2))
    codec, affine = Codec(TargetSpec(input_hw=input_hw, nms=3)), letterbox(size_hw, input_hw).affine
    moved = people.transform(affine)
    row = compare_row(codec, moved, codec.encode(moved), affine)
    assert row.error_px.max() > 1
    np.testing.assert_allclose(row.error_px, 4 * row.image_error_px, atol=1e-4)
    assert tally([row], COCO17).line("all", np.ones(17, bool)).mean_px == row.error_px.mean()


def test_nobody_is_no_error() -> None:
    empty = Sample(1, "", (60, 80), People.empty(17))
    found = tally(compare_samples([empty], [TargetSpec(input_hw=(64, 64))])[0], COCO17)
    assert (found.rows, found.people, found.roots_collided, found.collided) == (1, 0, 0.0, 0.0)
    assert found.ceiling.AP == -1
    assert map_bytes([], TargetSpec()) == 0
    assert map_bytes([empty], TargetSpec(input_hw=(64, 64))) == 4 * 16  # four chunks that are not there


@pytest.mark.parametrize(("hierarchical", "ap"), [(False, 98.99), (True, 98.56)])
def test_ceilings_of_all_of_val2017(spm_data: Path, hierarchical: bool, ap: float) -> None:
    annotations = spm_data / "coco/annotations/person_keypoints_val2017.json.gz"
    source = CocoSource.read(annotations, image_root=None)
    spec = TargetSpec(hierarchical=hierarchical, input_hw=(512, 512))
    found = tally(compare_samples([source[i] for i in range(len(source))], [spec])[0], COCO17)
    assert found.people == 6352
    assert pytest.approx(ap, abs=0.01) == 100 * found.ceiling.AP
    assert found.line("all", np.ones(17, bool)).clear_max_px < 1e-4
