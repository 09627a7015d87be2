"""Laws of the codec: round trip, mirror, shift, order, neighbours, star, batches, buffers, pickles.

Mirrors, shifts and orders are compared bitwise, on coordinates of 1/16 px where every sum and mean is exact.
"""

import pickle
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codec_cases import CAMERA, Case, assert_same, cases, crowds, exact_cases, exact_means, maps, separated, specs
from spmdata.codec import Codec, Targets
from spmdata.errors import SpecError
from spmdata.geometry import Affine
from spmdata.padded import pad_people
from spmdata.people import DTYPES, People
from spmdata.skeletons import COCO17
from spmdata.spec import TargetSpec

Maps = tuple[NDArray[Any], ...]


def select(people: People, index: Sequence[int]) -> People:
    """Return some people, in that order."""
    return replace(people, **{name: getattr(people, name)[np.array(index, np.int64)] for name in DTYPES})


def concatenate(one: People, other: People) -> People:
    return replace(one, **{name: np.concatenate([getattr(p, name) for p in (one, other)]) for name in DTYPES})


def mirrored(targets: Targets, flip: tuple[int, ...]) -> Maps:
    """Return the maps of the mirror image: columns reversed, dx negated, mirror pairs swapped; no depth changes."""
    heatmap, offsets, count, ignore, *deep = maps(targets._replace(offsets=targets.offsets.copy()))
    np.negative(offsets[:, 0], out=offsets[:, 0])
    by_joint, swap = [offsets, count, *deep[1:]], list(flip)
    offsets, count, *count_z = (array[swap, ..., ::-1] for array in by_joint)
    return heatmap[..., ::-1], offsets, count, ignore[..., ::-1], *(array[..., ::-1] for array in deep[:1]), *count_z


@settings(max_examples=150, deadline=None)
@given(separated())
def test_round_trip(case: Case) -> None:
    """Separated people come back to 1e-3 px and 0.01 cm along any tree; invisible is what nothing was encoded for."""
    spec, people = case
    codec = Codec(spec)
    targets = codec.encode(people, CAMERA)
    ((found, cells),) = codec.decode_with_cells(targets.at(None), [CAMERA])
    assert len(found) == len(people)
    for p, root in enumerate(codec.reads(people).roots):
        i = int(np.abs(cells - root).max(axis=1).argmin())
        labelled = people.visible[p] > 0
        joints, wanted = found.joints[i][labelled], people.joints[p][labelled]
        np.testing.assert_allclose(joints[:, :2], wanted[:, :2], rtol=0, atol=1e-3)
        assert found.has_depth[i] == people.has_depth[p]
        if people.has_depth[p]:
            np.testing.assert_allclose(joints[:, 2], wanted[:, 2], rtol=0, atol=0.01)
        assert found.visible[i][labelled].all()
        if spec.missing_parent != "stay":
            assert not found.visible[i][~labelled].any()


@settings(max_examples=100, deadline=None)
@given(exact_cases())
def test_mirror(case: Case) -> None:
    """``encode(flip(x)) == flip(encode(x))`` to the bit, and a mirror image's mirror image is the image."""
    spec, people = case
    codec, skeleton, width_px = Codec(spec), spec.skeleton, spec.input_hw[1]
    flipped = people.flip(skeleton, width_px)
    for name in DTYPES:
        np.testing.assert_array_equal(getattr(flipped.flip(skeleton, width_px), name), getattr(people, name))
    assume(not ((codec.reads(people).roots + 0.5) % 1 == 0).any())  # floor(x + 0.5) has no mirror there
    camera = CAMERA.transform(Affine.flip(width_px))
    assert_same(maps(codec.encode(flipped, camera)), mirrored(codec.encode(people, CAMERA), skeleton.flip))


@settings(max_examples=60, deadline=None)
@given(specs(input_hw=(192, 192), stride=8), st.data(), st.integers(-4, 4), st.integers(-4, 4))
def test_shift(spec: TargetSpec, data: st.DataObject, du: int, dv: int) -> None:
    """Away from the borders, people moved by whole strides move their maps by as many cells."""
    people = exact_means(spec, data.draw(crowds(spec, snap_px=1 / 16)))
    people = people.transform(Affine(np.array([[0.25, 0, 72], [0, 0.25, 72]])))
    people = replace(people, joints=np.concatenate([people.joints[..., :2].clip(72, 120), people.joints[..., 2:]], 2))
    moved = people.transform(Affine(np.array([[1, 0, du * 8], [0, 1, dv * 8]])))
    was = np.s_[..., max(0, -dv) : 24 - max(0, dv), max(0, -du) : 24 - max(0, du)]
    now = np.s_[..., max(0, dv) : 24 - max(0, -dv), max(0, du) : 24 - max(0, -du)]
    codec = Codec(spec)
    found, wanted = maps(codec.encode(moved, CAMERA)), maps(codec.encode(people, CAMERA))
    assert_same(tuple(array[now] for array in found), tuple(array[was] for array in wanted))


@settings(max_examples=60, deadline=None)
@given(exact_cases(), st.randoms(use_true_random=False))
def test_order_of_people(case: Case, random: Random) -> None:
    spec, people = case
    order = random.sample(range(len(people)), len(people))
    codec = Codec(spec)
    assert_same(maps(codec.encode(select(people, order), CAMERA)), maps(codec.encode(people, CAMERA)))


@settings(max_examples=100, deadline=None)
@given(cases(), st.data())
def test_neighbour_changes_only_its_own_cells(case: Case, data: st.DataObject) -> None:
    """Where one group draws nothing, the targets of both are those of the other: far people change nothing."""
    spec, one = case
    other = data.draw(crowds(spec))
    codec = Codec(spec)
    both, first, second = (codec.encode(people, CAMERA) for people in (concatenate(one, other), one, other))
    for alone, absent in ((first, second), (second, first)):
        assert alone.count is not None
        assert absent.count is not None
        assert both.count is not None
        free = absent.count == 0
        np.testing.assert_array_equal(both.count[free], alone.count[free])
        if spec.dims == 3:
            np.testing.assert_array_equal(np.asarray(both.count_z)[free], np.asarray(alone.count_z)[free])
        for d in range(spec.dims):
            np.testing.assert_array_equal(both.offsets[:, d][free], alone.offsets[:, d][free])
    np.testing.assert_array_equal(both.root_heatmap, np.maximum(first.root_heatmap, second.root_heatmap))
    boxes = np.maximum(*(np.asarray(targets.ignore) for targets in (first, second)))
    np.testing.assert_array_equal(both.ignore, boxes * (both.root_heatmap == 0))


@settings(max_examples=40, deadline=None)
@given(cases(hierarchical=True))
def test_flat_is_a_star(case: Case) -> None:
    spec, people = case
    star = replace(spec, skeleton=spec.skeleton.star())
    flat = replace(spec, hierarchical=False)
    assert_same(maps(Codec(flat).encode(people, CAMERA)), maps(Codec(star).encode(people, CAMERA)))


@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from(["float32", "float16"]))
def test_batch_equals_singles_and_overwrites_buffers(data: st.DataObject, dtype: str) -> None:
    spec = data.draw(specs(dtype=dtype))
    codec = Codec(spec)
    images = [data.draw(crowds(spec)) for _ in range(3)]
    cameras = [CAMERA.transform(Affine(np.diag([scale, scale, 1])[:2])) for scale in (0.5, 1, 3)]
    singles = [codec.encode(people, camera) for people, camera in zip(images, cameras, strict=True)]
    wanted = tuple(np.stack(column) for column in zip(*map(maps, singles), strict=True))
    assert_same(maps(codec.encode_batch(images, cameras=cameras)), wanted)
    padded = pad_people(images, 7, len(spec.skeleton), spec.dims)
    assert_same(maps(codec.encode_batch(padded, cameras=cameras)), wanted)

    kept = codec.encode_batch(images, cameras=cameras)
    for array in maps(kept):
        array.fill(np.nan if array.dtype.kind == "f" else 255)
    for order in ([2, 0, 1], [0, 1, 2]):
        batch = codec.encode_batch([images[i] for i in order], kept, [cameras[i] for i in order])
        assert all(x is y for x, y in zip(batch, kept, strict=True))
    assert_same(maps(kept), wanted)

    for found, single, camera in zip(codec.decode_batch(kept, cameras), singles, cameras, strict=True):
        alone = codec.decode(single, camera)
        for name in DTYPES:
            np.testing.assert_array_equal(getattr(found, name), getattr(alone, name))


@settings(max_examples=60, deadline=None)
@given(st.data(), st.booleans())
def test_kept_targets_forget_what_they_held(data: st.DataObject, channels_last: bool) -> None:
    """Batches of other people, fewer images and other cameras, one after the other: always as drawn afresh.

    On large maps boxes are undone one by one, on small ones all is zeroed.
    """
    large = {"input_hw": (256, 192), "stride": 4}
    spec = data.draw(specs(**large) if data.draw(st.booleans()) else specs())
    if channels_last:  # each kind is compiled once more, and so are the layouts that maps of one cell or joint pass for
        dims, overlap = data.draw(st.sampled_from([(2, "mean"), (3, "nearest")]))
        spec = data.draw(specs(dims=dims, overlap=overlap, skeleton=COCO17, **large))
    codec = Codec(spec)
    kept = codec.kept(3, channels_last=channels_last)
    for n in (3, 2, 3, 1):
        images = [data.draw(crowds(spec)) for _ in range(n)]
        cameras = [CAMERA.transform(Affine(np.eye(2, 3) * (i + 1))) for i in range(n)]
        found = kept.encode(images, cameras)
        assert_same(maps(found), maps(codec.encode_batch(images, cameras=cameras)))
        assert found.offsets.shape == (n, len(spec.skeleton), spec.dims, *spec.map_hw)
    if channels_last:
        assert found.offsets.transpose(0, 3, 4, 1, 2).flags.c_contiguous
        assert np.asarray(found.count).transpose(0, 2, 3, 1).flags.c_contiguous


def test_kept_targets_refuse_what_does_not_fit() -> None:
    spec = TargetSpec(input_hw=(32, 32))
    with pytest.raises(SpecError, match="room for 2 images, got 3"):
        Codec(spec).kept(2).encode([People.empty(17)] * 3)
    with pytest.raises(SpecError, match="override its dtype"):
        Codec(spec.override(dtype="float16")).kept(2)


@settings(max_examples=15, deadline=None)
@given(cases())
def test_codec_pickles(case: Case) -> None:
    spec, people = case
    codec = Codec(spec)
    wanted = maps(codec.encode(people, CAMERA))
    again = pickle.loads(pickle.dumps(codec))
    assert again.spec == spec
    assert_same(maps(again.encode(people, CAMERA)), wanted)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_scratch_leaves_nothing_behind(data: st.DataObject) -> None:
    """A codec that has drawn other people, fewer and more, draws like a new one, in any thread."""
    spec = data.draw(specs())
    pictures = [data.draw(crowds(spec)) for _ in range(4)]
    used = Codec(spec)
    with ThreadPoolExecutor(2) as pool:
        for people, found in zip(pictures, pool.map(lambda p: used.encode(p, CAMERA), pictures), strict=True):
            assert_same(maps(found), maps(Codec(spec).encode(people, CAMERA)))


@pytest.mark.parametrize("far_px", [1e6, 1e12, 1e20, 1e38])
def test_an_absurd_joint_spoils_no_later_picture(far_px: float) -> None:
    """Two people on the same cells, one joint of one of them beyond what sums can hold exactly."""
    spec = TargetSpec(input_hw=(128, 128), root="bbox", tau_metric="radius")
    joints, boxes = np.full((2, 17, 2), 60.0), np.array([[50, 40, 20, 20], [50, 52, 20, 20]])
    people = People.of(joints, np.full((2, 17), 2), bbox_xywh=boxes, area=np.ones(2))
    joints[0, 9] = far_px
    absurd = People.of(joints, np.full((2, 17), 2), bbox_xywh=boxes, area=np.ones(2))
    codec = Codec(spec)
    spoilt = codec.encode(absurd)
    assert not np.asarray(spoilt.offsets)[
        np.broadcast_to(np.asarray(spoilt.count)[:, None] == 0, (17, 2, 32, 32))
    ].any()
    assert_same(maps(codec.encode(people)), maps(Codec(spec).encode(people)))


def test_what_does_not_fit_is_refused() -> None:
    codec = Codec(TargetSpec(input_hw=(32, 32)))
    with pytest.raises(SpecError, match="17"):
        codec.encode(People.empty(14))
    with pytest.raises(SpecError, match=r"offsets|heatmap"):
        codec.encode_batch([People.empty(17)], out=Codec(TargetSpec()).encode_batch([People.empty(17)]))
    with pytest.raises(SpecError, match=r"offsets|heatmap"):
        codec.decode(Codec(TargetSpec()).encode(People.empty(17)))
