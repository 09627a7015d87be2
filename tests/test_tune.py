"""Tuning: what is tried, what is picked, and that the search finds what trying everything finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from small_coco import write_small_coco
from spmdata.errors import SpecError
from spmdata.metrics.oks import OksScores
from spmdata.people import People, Sample, SourceInfo
from spmdata.roundtrip.measure import compare_samples, map_bytes
from spmdata.roundtrip.tally import tally
from spmdata.skeleton import Skeleton
from spmdata.skeletons import COCO17
from spmdata.sources.coco import CocoSource
from spmdata.spec import TargetSpec
from spmdata.tune.axes import AXES, Axis, grid
from spmdata.tune.search import WITHIN_AP, tune_spec
from spmdata.tune.trial import Trial, cheapest, rank, try_specs


class ListSource:
    """Samples that a test has made."""

    info = SourceInfo("made", "", "", "")
    image_reader = None
    travels = True
    findings = ()

    def __init__(self, people: list[People], size_hw: tuple[int, int], skeleton: Skeleton = COCO17) -> None:
        self.skeleton = skeleton
        self.n_people = np.array([len(p) for p in people])
        self._samples = [Sample(i, "", size_hw, p) for i, p in enumerate(people)]

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        return self._samples[index]


def pairs_apart(px: float, n: int = 6) -> ListSource:
    """Return images of two people of one shape, one beside the other."""
    rng = np.random.default_rng(0)
    images = []
    for _ in range(n):
        shape = rng.uniform(60, 190, (17, 2))
        images.append(People.of(np.stack([shape, shape + np.array([px, 0.0])]), np.full((2, 17), 2)))
    return ListSource(images, (256, 256))


def trial(ap: float, row_bytes: float, lost: int = 0) -> Trial:
    scores = OksScores(ap, *(0.0,) * 9)
    return Trial(TargetSpec(), scores, 10, {"why": lost}, 0, 0.0, 0.0, 0.0, 0.0, 0.0, row_bytes)


def test_the_cheapest_within_a_tenth_of_the_best() -> None:
    best, good, least = trial(0.9901, 900.0), trial(0.9895, 500.0), trial(0.9891, 400.0)
    below = trial(0.9890999, 100.0)
    assert cheapest([best, good, least, below]) is least
    assert cheapest([below, good, best]) is good
    assert cheapest([below, best], within_ap=0.01) is below
    assert cheapest([best, below], within_ap=0.0) is best
    twin = trial(0.99, 403.0)  # within 1 %: no reason to prefer the other
    assert cheapest([least, twin, best]) is least
    assert cheapest([twin, least, best]) is twin
    assert cheapest([trial(0.99, 405.0), least, best]) is least


def test_best_first_then_who_loses_fewer_then_who_costs_less() -> None:
    rows = [trial(0.98, 1.0), trial(0.99, 7.0, 2), trial(0.99, 9.0, 1), trial(0.99 + 1e-15, 5.0, 2)]
    assert [rows.index(t) for t in rank(rows)] == [2, 3, 1, 0]


def test_people_too_close_for_the_peak_window_ask_for_a_finer_one() -> None:
    """Two cells apart at stride 8: one peak of two for nms 5, two for nms 3; at stride 4 there are two anyway."""
    source, start = pairs_apart(16.0), TargetSpec(input_hw=(256, 256), stride=8, overlap="nearest")
    strides = Axis.of("stride", [8, 4])
    coarse = tune_spec(source, start, axes=[strides], threads=1)
    assert (coarse.start.spec.stride, sum(coarse.start.lost.values())) == (8, 6)
    assert coarse.start.roots_collided == 1
    assert (coarse.pick.spec.stride, sum(coarse.pick.lost.values())) == (4, 0)
    assert coarse.pick.ap > coarse.start.ap + 0.1
    window = tune_spec(source, start, axes=[strides, Axis.of("nms", [5, 3])], threads=1)
    assert window.encodings == coarse.encodings == 2
    assert (window.pick.spec.stride, window.pick.spec.nms) == (8, 3)
    assert window.pick.row_bytes < coarse.pick.row_bytes
    far = tune_spec(pairs_apart(40.0), start, axes=[strides, Axis.of("nms", [5, 3])], threads=1)
    assert far.pick.spec == start  # nothing is lost: the start is preferred, its wide window too


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> CocoSource:
    return CocoSource.read(write_small_coco(tmp_path_factory.mktemp("tune"), 8), image_root=None)


def test_the_search_finds_what_trying_everything_finds(source: CocoSource) -> None:
    start = TargetSpec(hierarchical=True, input_hw=(64, 64), stride=8, overlap="smallest", root="bbox")
    axes = [
        Axis.of("input_hw", [(64, 64), (128, 128)]),
        Axis.of("stride", [8, 4]),
        Axis.of("overlap", ["mean", "nearest"]),
        Axis.of("root", ["mean", "bbox"]),
        Axis.of("missing_parent", ["reparent", "drop"]),
        Axis.of("nms", [5, 3]),
    ]
    seen: list[tuple[int, int]] = []
    tuning = tune_spec(source, start, axes=axes, threads=2, on_encoding=lambda done, all_: seen.append((done, all_)))
    samples = [source[i] for i in range(len(source))]
    swept = [axis.beginning_with(start) for axis in axes]
    everything = [t for spec in grid(start, swept[:-1]) for t in try_specs(samples, grid(spec, swept[-1:]))]
    assert len(tuning.trials) < len(everything)
    assert tuning.best.ap == rank(everything)[0].ap
    good = [t for t in everything if t.ap >= tuning.best.ap - 0.001]
    assert tuning.pick in good
    assert tuning.pick.row_bytes <= 1.01 * min(t.row_bytes for t in good)
    assert tuning.trials == tuple(rank(tuning.trials))
    assert len({t.spec for t in tuning.trials}) == len(tuning.trials) == 2 * tuning.encodings
    assert [done for done, _ in seen] == list(range(1, tuning.encodings + 1))
    assert seen[-1] == (tuning.encodings, tuning.encodings)
    assert (tuning.sample, tuning.rows, tuning.tried) == (8, 8, tuning.trials)
    assert tune_spec(source, start, axes=axes, threads=1) == tuning


def test_the_finals_are_of_more_images() -> None:
    """Of seven images the sample sees the first and the last, where nobody is too close: the others tell."""
    apart, close = pairs_apart(40.0, 1), pairs_apart(16.0, 1)
    source = ListSource([(apart if i in (0, 6) else close)[0].people for i in range(7)], (256, 256))
    start, axes = TargetSpec(input_hw=(256, 256), stride=8, overlap="nearest"), [Axis.of("stride", [8, 4])]
    seen: list[tuple[int, int]] = []
    tuning = tune_spec(source, start, axes=axes, rows=2, on_encoding=lambda done, all_: seen.append((done, all_)))
    assert (tuning.sample, tuning.rows, tuning.people) == (2, 7, 14)
    assert {t.spec.stride: (t.people, t.ap) for t in tuning.tried} == {8: (4, tuning.best.ap), 4: (4, tuning.best.ap)}
    assert cheapest(tuning.tried).spec.stride == 8
    assert (tuning.pick.spec.stride, tuning.best.spec.stride, tuning.start.spec.stride) == (4, 4, 8)
    assert (sum(tuning.pick.lost.values()), sum(tuning.start.lost.values())) == (0, 5)
    assert [t.people for t in tuning.trials] == [14, 14]
    assert seen == [(1, 2), (2, 2), (3, 4), (4, 4)]


def test_who_is_in_the_finals() -> None:
    """Whoever is near the best of the sample, and the start, wherever it is."""
    strides = Axis.of("stride", [8, 4, 2])
    for stride, finals in ((4, {4, 2}), (8, {8, 4, 2})):
        start = TargetSpec(input_hw=(256, 256), stride=stride, overlap="nearest")
        tuning = tune_spec(pairs_apart(16.0), start, axes=[strides], rows=2)
        assert {t.spec.stride for t in tuning.tried} == {8, 4, 2}
        assert {t.spec.stride for t in tuning.trials} == finals


def test_a_trial_says_what_the_round_trip_says(source: CocoSource) -> None:
    samples, spec = [source[i] for i in range(8)], TargetSpec(hierarchical=True, input_hw=(96, 128), stride=8)
    (one,) = try_specs(samples, [spec])
    found = tally(compare_samples(samples, [spec])[0], COCO17)
    assert (one.ceiling, one.people, one.lost) == (found.ceiling, found.people, found.lost)
    assert (one.roots_collided, one.reads_collided) == (found.roots_collided, found.collided)
    assert one.mean_px == found.image_error_px.mean() > 0
    assert one.row_bytes == map_bytes(samples, spec)


def test_bytes_of_some_rows_are_those_of_all(spm_data: Path) -> None:
    file = spm_data / "coco/annotations/person_keypoints_train2017_mini.json"
    source = CocoSource.read(file, image_root=spm_data)
    samples, spec = [source[i] for i in range(len(source))], TargetSpec(hierarchical=True, input_hw=(128, 128))
    (one,) = try_specs(samples, [spec])
    assert len(samples) > 150
    assert one.row_bytes == pytest.approx(map_bytes(samples, spec), rel=0.03)


def test_what_is_tried_unless_told_otherwise() -> None:
    assert WITHIN_AP == 0.001
    assert {axis.name: [tuple(setting.values()) for setting in axis.settings] for axis in AXES} == {
        "input_hw": [((512, 512),), ((384, 384),), ((256, 256),)],
        "stride": [(4,), (8,)],
        "tau": [("squared", 7), ("radius", 4), ("radius", 7)],
        "overlap": [("mean",), ("nearest",), ("smallest",)],
        "root": [("mean",), ("bbox",), ("torso",)],
        "missing_parent": [("reparent",), ("stay",), ("drop",)],
        "nms": [(5,), (3,)],
    }


def test_what_is_swept(source: CocoSource) -> None:
    usual = tune_spec(source, TargetSpec(input_hw=(64, 64)), axes=AXES[1:3], rows=3)
    assert (usual.sample, usual.rows, usual.encodings) == (3, 8, 6)
    flat = tune_spec(source, TargetSpec(input_hw=(64, 64)), axes=AXES[5:], rows=1)
    assert [axis.name for axis in flat.axes] == ["nms"]  # nothing hangs from a joint: no parent can be missing
    deep = tune_spec(source, TargetSpec(input_hw=(64, 64), hierarchical=True), axes=AXES[5:], rows=1)
    assert [axis.name for axis in deep.axes] == ["missing_parent", "nms"]
    both = Axis.of("hierarchical", [False, True])
    assert len(tune_spec(source, TargetSpec(input_hw=(64, 64)), axes=[both, AXES[5]], rows=1).axes) == 2
    own = tune_spec(source, TargetSpec(input_hw=(64, 64), tau=3.0), axes=[AXES[2]], rows=1)
    assert own.axes[0].settings[0] == {"tau_metric": "squared", "tau": 3.0}
    assert len(own.axes[0].settings) == 4


def test_what_cannot_be_tuned(source: CocoSource, tmp_path: Path) -> None:
    tried: list[int] = []
    for axes, message in (([Axis.of("overlap", ["mean", "none"])], "overlap"), ([Axis.of("nms", [4])], "nms")):
        with pytest.raises(SpecError, match=message):
            tune_spec(source, TargetSpec(), axes=axes, on_encoding=lambda done, _: tried.append(done))
    assert not tried
    with pytest.raises(SpecError, match="rows must be at least 1, got 0"):
        tune_spec(source, TargetSpec(), rows=0)
    other = ListSource([People.empty(17)], (64, 64), COCO17.star())
    with pytest.raises(SpecError, match="the source has coco17"):
        tune_spec(other, TargetSpec())
