"""Images of every kind through prepare and load: each is shown where its people are, or skipped with a reason."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from image_files import bad_files, encoded, good_files
from small_coco import person
from spmdata.images import decode_image, fit_image, fit_views, load_input, read_bytes
from spmdata.pixels import PAD_VALUE
from spmdata.prepare.plan import plan_store
from spmdata.prepare.run import Summary, prepare_store
from spmdata.skeletons import COCO17
from spmdata.sources.coco import CocoSource
from spmdata.spec import TargetSpec
from spmdata.store.reader import Store, open_store
from spmdata.store.schema import RowStatus
from spmdata.verify.run import verify_store
from spmdata.views import ViewRanges

SIZE_HW, NOSE = (90, 140), (96, 31)
#: Far from the middle, so that any image turned the wrong way shows something else there.
SPOT, GROUND = (250, 40, 60), (40, 60, 90)


def painted() -> NDArray[np.uint8]:
    """Return an image with a square of another colour round the nose."""
    pixels = np.full((*SIZE_HW, 3), GROUND, np.uint8)
    x, y = NOSE
    pixels[y - 8 : y + 9, x - 8 : x + 9] = SPOT
    return pixels


def prepared(folder: Path, files: dict[str, bytes], name: str, views: int = 1) -> tuple[Store, Summary]:
    """Prepare a set whose images are these files, by name, each with one person whose nose is at NOSE."""
    rng = np.random.default_rng(0)
    content: dict[str, Any] = {"images": [], "annotations": []}
    content["categories"] = [{"id": 1, "name": "person", "keypoints": list(COCO17.joints), "skeleton": []}]
    for number, (kind, data) in enumerate(files.items(), 1):
        (folder / f"{kind}.jpg").write_bytes(data)  # whatever it is: the extension says nothing
        content["images"].append({"id": number, "file_name": f"{kind}.jpg", "height": 90, "width": 140})
        someone = person(number, number, rng, SIZE_HW)
        someone["keypoints"][:3] = [*NOSE, 2]
        content["annotations"].append(someone)
    (folder / "a.json").write_text(json.dumps(content))
    source = CocoSource.read(folder / "a.json", image_root=folder)
    ranges = ViewRanges(rotation_deg=20, shift_px=5)
    spec = TargetSpec(input_hw=(128, 160))
    plan = plan_store(source, spec, folder / name, views=views, view_ranges=ranges, shard_rows=16)
    summary = prepare_store(plan)
    return open_store(plan.path), summary


@pytest.mark.parametrize("name", ["a.zarr", "a.h5"])
def test_every_good_kind_is_shown_where_its_people_are(tmp_path: Path, name: str) -> None:
    files = good_files(painted())
    store, summary = prepared(tmp_path, {kind: data for kind, (data, _) in files.items()}, name, views=2)
    assert not summary.totals.skipped
    for row in range(len(store)):
        kind = list(files)[row // 2]
        shown = load_input(store.image_bytes(row), SIZE_HW, (128, 160)).astype(int)
        x, y = np.rint(store.people(row).joints[0, 0]).astype(int).tolist()
        np.testing.assert_allclose(shown[y - 3 : y + 4, x - 3 : x + 4].mean((0, 1)), SPOT, atol=8, err_msg=kind)
        away = np.abs(shown - SPOT).sum(-1) > 60
        assert away[: y - 18].all(), kind
        assert away[y + 19 :].all(), kind
        assert away[:, : x - 18].all(), kind
        assert away[:, x + 19 :].all(), kind
    assert verify_store(store.path, threads=1).ok


def test_every_bad_kind_is_skipped_with_its_reason(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (*SIZE_HW, 3), np.uint8)
    files = bad_files(noise)
    names = {kind: data for kind, (data, _) in files.items()}
    store, summary = prepared(tmp_path, {"first": encoded(noise), **names, "last": encoded(noise)}, "a.zarr")
    n = len(files)
    assert summary.totals.skipped == {RowStatus.IMAGE_UNREADABLE: n - 1, RowStatus.IMAGE_SIZE: 1}
    assert np.flatnonzero(store.status == 0).tolist() == [0, n + 1]
    records = json.loads((store.path / ".spm/ledger/00000.json").read_text())["skipped"]
    for (kind, (_, reason)), record in zip(files.items(), records, strict=True):
        assert re.search(rf"^{kind}\.jpg: (.*{reason})", record["reason"]), record
    assert verify_store(store.path, threads=1).rows == 2


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 3000), (2500, 2), (7, 64_000)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_the_smallest_and_the_widest(size_hw: tuple[int, int], kind: str) -> None:
    data = encoded(np.full((*size_hw, 3), (10, 200, 30), np.uint8), kind)
    shown = load_input(fit_image(data, size_hw, (128, 160)), size_hw, (128, 160)).astype(int)
    here = np.abs(shown - PAD_VALUE).sum(-1) > 0
    scale = min(128 / size_hw[0], 160 / size_hw[1])
    assert here.sum() == np.prod(
        [min(m, max(1, int(n * scale + 0.5))) for n, m in zip(size_hw, (128, 160), strict=True)]
    )
    np.testing.assert_allclose(shown[here], np.broadcast_to((10, 200, 30), (here.sum(), 3)), atol=6)


def test_real_images_of_three_data_sets(spm_data: Path) -> None:
    files = [
        *sorted((spm_data / "mpii/images").glob("*.jpg")),
        *sorted((spm_data / "crowdpose/images").glob("*.jpg")),
        *sorted((spm_data / "coco/images/val2017").glob("*.jpg"))[::20],
    ]
    assert len(files) > 10
    affine_of = ViewRanges(rotation_deg=0, scale=(1, 1), shift_px=0, flip=0)
    for number, file in enumerate(files):
        data = read_bytes(file)
        pixels = decode_image(data)
        size_hw = pixels.shape[0], pixels.shape[1]
        still = affine_of.affine(number, 1, size_hw, (256, 256))
        plain, warped = fit_views(data, size_hw, (256, 256), [None, still], 95)
        shown = [load_input(one, size_hw, (256, 256)).astype(int) for one in (plain, warped)]
        assert np.abs(shown[0] - shown[1]).mean() < 5, file.name
