"""docs/format.md is enough to read a prepared store to the end: images, skipped rows, and joints off the maps."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from small_coco import write_small_coco
from spmdata.prepare.plan import plan_store
from spmdata.prepare.run import prepare_store
from spmdata.sources.registry import open_source
from spmdata.spec import TargetSpec
from store.stranger import Stranger


@pytest.mark.parametrize(("name", "hierarchical"), [("data.zarr", True), ("data.h5", False)])
def test_a_stranger_reads_what_was_prepared(hierarchical: bool, name: str, tmp_path: Path) -> None:
    annotations = write_small_coco(tmp_path, 14, images=True)
    (tmp_path / "coco/train2017/000003.jpg").unlink()
    spec = TargetSpec(hierarchical=hierarchical, input_hw=(96, 128), missing_parent="stay")
    source = open_source("coco", annotations=annotations)
    prepare_store(plan_store(source, spec, tmp_path / name, shard_rows=4), scheduler="sync")
    stranger, compared = Stranger(tmp_path / name), 0
    for row in range(14):
        image, people = stranger.value("image", row), stranger.people(row)
        if row == 2:
            assert (stranger.value("row/status", row), image, people) == (1, b"", [])
            assert stranger.value("row/path", row) == "000003.jpg"
            assert not any(maps.any() for maps in stranger.targets(row).values())
            continue
        assert Image.open(io.BytesIO(image)).size == (128, 96)
        persons = [person for person in people if person["visible"].any() and not person["ignore"]]
        assert len(persons) == int((~source[row].people.regions).sum())
        if len(persons) == 1:  # nobody else's vectors to read
            found = stranger.joints(row)
            for k, joint in enumerate(stranger.spm["spec"]["skeleton"]["joints"]):
                if persons[0]["visible"][k]:
                    np.testing.assert_allclose(found[joint], persons[0]["joints"][k], atol=1e-3)
                    compared += 1
                elif not hierarchical:
                    assert joint not in found
    assert compared > 20
