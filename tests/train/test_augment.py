"""augment.py: mirrored rows are the targets of mirrored people; which rows depends on seed and position alone."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import assume, given, settings

from codec_cases import CAMERA, Case, exact_cases
from spmdata.codec import Codec
from spmdata.geometry import Affine
from spmdata.people import People
from spmtrain.augment import mirror_maps, mirror_rows, mirrored_rows
from spmtrain.maps import Maps, TargetMaps


@settings(max_examples=50, deadline=None)
@given(exact_cases())
def test_mirrored_rows_are_the_targets_of_mirrored_people(case: Case) -> None:
    spec, people = case
    codec, nobody = Codec(spec), People.empty(len(spec.skeleton), spec.dims)
    mirror = CAMERA.transform(Affine.flip(spec.input_hw[1]))
    assume(not ((codec.reads(people).roots + 0.5) % 1 == 0).any())  # floor(x + 0.5) has no mirror there
    rows = [nobody, people, people]
    given = codec.encode_batch(rows, cameras=[CAMERA] * 3)
    flipped = [nobody, people.flip(spec.skeleton, spec.input_hw[1]), people]
    wanted = codec.encode_batch(flipped, cameras=[CAMERA, mirror, CAMERA])
    targets = TargetMaps(*(None if maps is None else torch.from_numpy(np.array(maps)) for maps in given))  # type: ignore[arg-type]
    images = torch.arange(3 * 3 * 2 * 5).reshape(3, 3, 2, 5).float()
    before = images.clone()
    mirror_rows(images, targets, torch.tensor([0, 1]), spec.skeleton.flip)
    for found, array in zip(targets, wanted, strict=True):
        assert (found is None) == (array is None)
        if found is not None:
            np.testing.assert_array_equal(found, array)
    assert torch.equal(images[:2], before[:2].flip(-1))
    assert torch.equal(images[2], before[2])
    maps = Maps(targets.root_heatmap, targets.offsets, targets.root_depth)
    again = mirror_maps(mirror_maps(maps, spec.skeleton.flip), spec.skeleton.flip)
    for one, other in zip(maps, again, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert torch.equal(one, other)


def test_which_rows_are_mirrored() -> None:
    drawn = [mirrored_rows(1, position, 64, 0.5).tolist() for position in (0, 64, 128)]
    assert drawn == [mirrored_rows(1, position, 64, 0.5).tolist() for position in (0, 64, 128)]
    assert drawn[0] != drawn[1] != mirrored_rows(2, 64, 64, 0.5).tolist()
    assert 60 <= sum(map(len, drawn)) <= 132
    assert mirrored_rows(1, 0, 64, 0.0).tolist() == []
    assert mirrored_rows(1, 0, 64, 1.0).tolist() == list(range(64))
