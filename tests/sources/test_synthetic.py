"""The synthetic source: pure rows, cheap counts, controls that do what they say, a store end to end."""

from __future__ import annotations

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spmdata.errors import AnnotationError
from spmdata.images import decode_image
from spmdata.people import SourceInfo
from spmdata.prepare.plan import plan_store
from spmdata.prepare.run import prepare_store
from spmdata.skeletons import COCO17
from spmdata.sources.registry import open_source
from spmdata.sources.synthetic import SyntheticSource, _draw_row
from spmdata.sources.synthetic_config import Synthetic
from spmdata.sources.synthetic_scene import Scene, scene
from spmdata.spec import TargetSpec
from spmdata.verify.run import verify_store
from synthetic_cases import BUSY, digest, kept_scene, scenes

QUIET = replace(BUSY, crowding=0, occlusion=0, truncation=0)


def test_rows_are_the_same_in_any_order_thread_and_process() -> None:
    rows = range(6)
    first = digest(BUSY, rows)
    assert len(set(first.values())) == 6
    _draw_row.cache_clear()
    assert digest(BUSY, rows[::-1]) == first
    _draw_row.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(lambda row: digest(BUSY, [row])[row], [*rows, *rows]))
    assert again == [*first.values(), *first.values()]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
        assert other.submit(digest, BUSY, rows).result() == first


def test_rows_do_not_depend_on_how_many_there_are() -> None:
    assert digest(replace(BUSY, rows=3), [2]) == digest(BUSY, [2])
    assert digest(replace(BUSY, rows=10_000_000), [9_999_999]).keys() == {9_999_999}
    assert digest(replace(BUSY, seed=8), [2]) != digest(BUSY, [2])


def test_the_same_row_at_another_size_is_the_same_scene() -> None:
    for row in range(6):
        small, large = kept_scene(BUSY, row), kept_scene(replace(BUSY, size_hw=(192, 192)), row)
        np.testing.assert_allclose(small.joints_cm, large.joints_cm)
        # Two pixels become one: averaged, the large picture is the small one but for noise and edges.
        halved = large.pixels.reshape(96, 2, 96, 2, 3).mean((1, 3))
        assert np.abs(halved - small.pixels).mean() < 12


def test_it_is_a_source() -> None:
    source = SyntheticSource(BUSY)
    assert source.info == SourceInfo("synthetic", "seed7", "", BUSY.sha256)
    assert len(BUSY.sha256) == 64
    assert (source.skeleton, source.findings, len(source)) == (COCO17, (), 24)
    assert source[np.int64(3)].path == "000003.jpg"
    assert source[3].size_hw == (96, 96)
    assert len({i for row in range(24) for i in source[row].people.id.tolist()}) == source.n_people.sum()
    for index in (-1, 24):
        with pytest.raises(IndexError, match=r"\[0, 23\]"):
            source[index]
    source[0].people.joints[:] = -1
    assert (source[0].people.joints >= 0).any()
    again = pickle.loads(pickle.dumps(source))
    assert again[1].people.area.tolist() == source[1].people.area.tolist()
    assert SyntheticSource(BUSY, with_images=False).image_reader is None


def test_images_are_those_of_the_labels() -> None:
    source = SyntheticSource(BUSY)
    reader = pickle.loads(pickle.dumps(source.image_reader))
    assert len(pickle.dumps(reader)) < 1000
    data = reader.read(source[5])
    assert data[:3] == b"\xff\xd8\xff"
    assert np.abs(decode_image(data).astype(int) - kept_scene(BUSY, 5).pixels).mean() < 3


def test_people_are_counted_without_drawing() -> None:
    config = replace(BUSY, people=(0, 4), rows=9000)
    counts = SyntheticSource(config).n_people
    assert counts.shape == (9000,)
    assert np.bincount(counts, minlength=5).min() > 1600
    for row in (0, 1, 2, 4095, 4096, 8999):
        assert len(SyntheticSource(config)[row].people) == counts[row]
    np.testing.assert_array_equal(config.n_people(4000, 5000), counts[4000:5000])
    assert config.n_people(5, 5).shape == (0,)
    nobody = scene(replace(BUSY, people=(0, 0)), 0)
    assert nobody.pixels.std() > 5
    assert len(nobody.people) == len(nobody.joints_cm) == len(nobody.masks) == len(nobody.angles) == 0


@pytest.mark.parametrize("scale", [(0.2, 0.3), (0.6, 0.7)])
def test_scale_is_the_height_of_a_standing_person(scale: tuple[float, float]) -> None:
    config = replace(BUSY, scale=scale, truncation=1)
    for drawn in scenes(config, 8):
        hips_cm = drawn.joints_cm[:, 11:13, 2].mean(1)
        stature = np.array([body.stature for body in drawn.bodies])
        height = drawn.camera.K[1, 1] * stature / hips_cm / 96
        assert (height >= scale[0] - 1e-9).all()
        assert (height <= scale[1] + 1e-9).all()


def overlap(drawn: Scene) -> float:
    """Return the share of the people's pixels that are of two people."""
    return float((drawn.masks.sum(0) > 1).sum() / drawn.masks.any(0).sum())


def test_crowding_brings_people_together() -> None:
    config = replace(QUIET, people=(3, 3), scale=(0.4, 0.6))
    apart, close = (
        np.mean([overlap(s) for s in scenes(replace(config, crowding=crowding))]) for crowding in (0.0, 1.0)
    )
    assert close > 2 * apart


def test_truncation_is_off_or_on() -> None:
    whole = scenes(replace(QUIET, people=(1, 1)))
    assert all((s.people.visible > 0).all() for s in whole)
    assert not any(s.masks[:, [0, -1]].any() or s.masks[:, :, [0, -1]].any() for s in whole)
    cut = scenes(replace(QUIET, people=(1, 1), truncation=1))
    assert all(s.masks[:, [0, -1]].any() or s.masks[:, :, [0, -1]].any() for s in cut)
    assert np.mean([(s.people.visible == 0).mean() for s in cut]) > 0.1


def test_occlusion_hides_joints() -> None:
    alone = replace(QUIET, people=(1, 1))
    free, hidden = (
        np.mean([(s.people.visible == 2).mean() for s in scenes(replace(alone, occlusion=share))]) for share in (0, 1)
    )
    assert free - hidden > 0.12


def test_settings_out_of_range_are_refused() -> None:
    for setting, words in (
        ({"seed": -1}, "seed must be at least 0"),
        ({"rows": 0}, "rows 1, got 7 and 0"),
        ({"size_hw": (16, 64)}, "32 to 2048 px"),
        ({"people": (3, 2)}, "people must ascend"),
        ({"people": (1, 31)}, "within 0 to 30"),
        ({"scale": (0.0, 0.5)}, "scale must ascend"),
        ({"crowding": 1.5}, "crowding is a probability"),
        ({"truncation": float("nan")}, "truncation is a probability"),
    ):
        with pytest.raises(AnnotationError, match=words):
            replace(BUSY, **setting)


def test_provenance_follows_every_setting() -> None:
    others: list[dict[str, object]] = [{"seed": 1}, {"rows": 5}, {"size_hw": (96, 97)}, {"people": (1, 4)}]
    others += [{"scale": (0.4, 0.8)}, {"crowding": 0.1}, {"occlusion": 0.1}, {"truncation": 0.1}]
    digests = [BUSY.sha256, *(replace(BUSY, **other).sha256 for other in others)]  # type: ignore[arg-type]
    assert len(set(digests)) == 9
    same: dict[str, Any] = {"size_hw": [np.int64(96), 96], "people": [2, 4], "crowding": np.float64(0.7)}
    assert hash(replace(BUSY, **same)) == hash(BUSY)
    assert replace(BUSY, **same).sha256 == BUSY.sha256


def test_opening_by_name() -> None:
    source = open_source("synthetic", rows=5, seed=3, size_hw=(64, 48))
    assert isinstance(source, SyntheticSource)
    assert source.config == Synthetic(seed=3, rows=5, size_hw=(64, 48))
    assert decode_image(source.image_reader.read(source[4])).shape == (64, 48, 3) if source.image_reader else False
    assert len(open_source("synthetic")) == 1000
    assert open_source("synthetic", no_images=True, skeleton=COCO17).image_reader is None
    with pytest.raises(AnnotationError, match=r"synthetic is made, not read: it takes no root, split; rows and seed"):
        open_source("synthetic", root="here", split="train2017")
    with pytest.raises(AnnotationError, match="joints of coco17, not of other"):
        open_source("synthetic", skeleton=replace(COCO17, name="other"))
    with pytest.raises(AnnotationError, match=r"coco is read, not made: it takes no rows, seed; synthetic does"):
        open_source("coco", rows=5, seed=0)


def test_a_store_end_to_end_with_equal_bytes_whatever_the_scheduler(tmp_path: Path) -> None:
    source = open_source("synthetic", rows=12, seed=2, size_hw=(128, 128))
    trees = []
    for scheduler in ("sync", "processes"):
        spec = TargetSpec(hierarchical=True, input_hw=(128, 128))
        plan = plan_store(source, spec, tmp_path / f"{scheduler}.zarr", images=True, shard_rows=6)
        summary = prepare_store(plan, scheduler=scheduler, workers=2)
        assert summary.totals.rows == summary.totals.counts["rows_ok"] == 12
        trees.append({str(p.relative_to(plan.path)): p.read_bytes() for p in plan.path.rglob("*") if p.is_file()})
    assert trees[0] == trees[1]
    report = verify_store(tmp_path / "sync.zarr", threads=1)
    assert report.ok, report
