"""MuPoTS-3D: cells of structs, millimetres to cm, intrinsics from the data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

from coco_cases import samples
from spmdata.errors import AnnotationError
from spmdata.sources.mupots import fit_camera
from spmdata.sources.registry import open_source

FX, FY, CX, CY = 1500.0, 1490.0, 1030.0, 1010.0


def annotation(rng: np.random.Generator, *, valid: int = 1, noise_px: float = 0, **changes: Any) -> dict[str, Any]:
    mm = rng.normal([[0], [0], [4000]], 400, (3, 17))
    px = np.stack([FX * mm[0] / mm[2] + CX, FY * mm[1] / mm[2] + CY]) + rng.normal(0, noise_px, (2, 17))
    return {"annot2": px, "annot3": mm, "univ_annot3": mm / 1.1, "isValidFrame": valid, **changes}


def cells(rows: list[list[Any]]) -> NDArray[np.object_]:
    out = np.empty((len(rows), len(rows[0])), object)
    for f, row in enumerate(rows):
        for p, value in enumerate(row):
            out[f, p] = value
    return out


def write(root: Path, rows: list[list[Any]], name: str = "TS1", occlusion: list[list[Any]] | None = None) -> Path:
    folder = root / "mupots" / name
    folder.mkdir(parents=True, exist_ok=True)
    savemat(folder / "annot.mat", {"annotations": cells(rows)})
    if occlusion is not None:
        savemat(folder / "occlusion.mat", {"occlusion_labels": cells(occlusion)})
    return folder


FITTED = (
    "joints of TS1: its camera fitted to them, fx 1500.0, fy 1490.0, cx 1030.0, cy 1010.0 px, residual 0.000 px rms"
)


def test_people_in_cm_with_a_fitted_camera(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        [annotation(rng), annotation(rng)],
        [annotation(rng, valid=0), annotation(rng)],
        [annotation(rng, valid=0)] * 2,
    ]
    hidden = np.zeros((1, 17))
    hidden[0, [0, 4]] = 1
    occlusion = [[hidden, np.zeros((1, 17))]] * 3
    write(tmp_path, rows, occlusion=occlusion)
    source = open_source("mupots", root=tmp_path, no_images=True)
    first, second = samples(source)
    assert (first.path, second.path) == ("TS1/img_000000.jpg", "TS1/img_000001.jpg")
    assert json.loads(second.meta) == {"sequence": "TS1", "frame": 1}
    assert_allclose(first.people.joints[1, :, :2], rows[0][1]["annot2"].T, rtol=1e-6)
    assert_allclose(first.people.joints[1, :, 2], rows[0][1]["annot3"][2] / 10, rtol=1e-6)
    assert first.people.visible[0].tolist() == [1, 2, 2, 2, 1, *[2] * 12]
    assert (first.people.id.tolist(), second.people.id.tolist()) == ([1, 2], [2])
    assert first.people.has_depth.all()
    assert first.camera is not None
    assert_allclose(first.camera.K, np.array([[FX, 0, CX], [0, FY, CY], [0, 0, 1]]), atol=1e-6)
    assert_allclose(first.camera.project(rows[0][0]["annot3"].T / 10), rows[0][0]["annot2"].T, atol=1e-6)
    assert first.size_hw == (2048, 2048)
    found = dict(source.findings)
    assert found["people without a valid annotation: passed over"] == 3
    assert found["images without a labelled person: left out"] == 1
    assert found[FITTED] == 3 * 17


@pytest.mark.parametrize(("n_frames", "n_people"), [(1, 1), (1, 3), (4, 1)])
def test_rows_are_told_from_columns(tmp_path: Path, n_frames: int, n_people: int) -> None:
    rng = np.random.default_rng(1)
    write(tmp_path, [[annotation(rng) for _ in range(n_people)] for _ in range(n_frames)])
    source = open_source("mupots", root=tmp_path, no_images=True)
    assert source.n_people.tolist() == [n_people] * n_frames
    assert dict(source.findings)["sequences without occlusion.mat: every joint taken for visible"] == 1


def test_the_fit_is_least_squares() -> None:
    rng = np.random.default_rng(2)
    people = [annotation(rng, noise_px=2.0) for _ in range(50)]
    px, cm = (np.array([one[key].T for one in people]) for key in ("annot2", "annot3"))
    camera, residual_px = fit_camera(px, cm / 10, "here")
    assert_allclose(camera.K, np.array([[FX, 0, CX], [0, FY, CY], [0, 0, 1]]), atol=10)
    assert 2.0 < residual_px < 3.6  # two axes of 2 px

    def cost(K: NDArray[np.float64]) -> float:
        return float(((cm[..., :2] / cm[..., 2:] * K.diagonal()[:2] + K[:2, 2] - px) ** 2).sum())

    for axis in range(2):
        for column in (axis, 2):
            for step in (-1e-3, 1e-3):
                nudged = camera.K.copy()
                nudged[axis, column] += step
                assert cost(nudged) > cost(camera.K)
    with pytest.raises(AnnotationError, match="here: annot2 and annot3 give no focal length"):
        fit_camera(px, np.ones_like(cm), "here")


def test_sequences_in_their_order_and_by_split(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for name in ("TS10", "TS2"):
        write(tmp_path, [[annotation(rng)]], name)
    source = open_source("mupots", root=tmp_path, no_images=True)
    assert [sample.path for sample in samples(source)] == ["TS2/img_000000.jpg", "TS10/img_000000.jpg"]
    assert source.info.annotations == "TS2, TS10"
    assert len(open_source("mupots", root=tmp_path, split="TS10", no_images=True)) == 1
    for path, n in (("TS2/annot.mat", 1), ("TS2", 1), (".", 2)):
        assert len(open_source("mupots", annotations=tmp_path / "mupots" / path, no_images=True)) == n
    with pytest.raises(AnnotationError, match=r"no sequence of MuPoTS-3D by the name TS3 \(there are TS10, TS2\)"):
        open_source("mupots", root=tmp_path, split="TS2, TS3", no_images=True)
    (tmp_path / "MultiPersonTestSet").mkdir()
    (tmp_path / "mupots").rename(tmp_path / "MultiPersonTestSet/x")
    with pytest.raises(AnnotationError, match=r"no sequence of .* \(there are none\): looked for \S+/\*/annot.mat"):
        open_source("mupots", root=tmp_path, no_images=True)


def test_sizes_come_from_the_images(tmp_path: Path) -> None:
    folder = write(tmp_path, [[annotation(np.random.default_rng(4))]])
    with pytest.raises(AnnotationError, match=r"no image of TS1: looked for \S+/TS1/img_\*.jpg; give --images"):
        open_source("mupots", root=tmp_path)
    Image.new("RGB", (640, 480)).save(folder / "img_000000.jpg")
    source = open_source("mupots", root=tmp_path)
    assert source[0].size_hw == (480, 640)
    assert source.image_reader is not None
    assert source.image_reader.read(source[0]) == (folder / "img_000000.jpg").read_bytes()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [[{"annot3": np.zeros((3, 16))}]],
            r"TS1 annotations\{1, 1\}.annot3 must be \(3, 17\) finite numbers, got \(3, 16\)",
        ),
        ([[{"annot2": np.full((2, 17), np.nan)}]], r"annotations\{1, 1\}.annot2 must be \(2, 17\) finite numbers"),
        ([[{"annot3": np.full((3, 17), -1.0)}]], "annot3 has a joint behind the camera"),
        ([[{"isValidFrame": 0}]], "TS1: no person with isValidFrame in 1 frames"),
    ],
)
def test_broken_annotations_are_named(tmp_path: Path, rows: list[list[dict[str, Any]]], message: str) -> None:
    rng = np.random.default_rng(5)
    write(tmp_path, [[annotation(rng, **changes) for changes in row] for row in rows])
    with pytest.raises(AnnotationError, match=message):
        open_source("mupots", root=tmp_path, no_images=True)


def test_other_files_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    folder = write(tmp_path, [[annotation(rng)]], occlusion=[[np.zeros((1, 17))] * 2])
    with pytest.raises(AnnotationError, match=r"occlusion.mat is for \(1, 2\) frames and people, .* for \(1, 1\)"):
        open_source("mupots", root=tmp_path, no_images=True)
    savemat(folder / "occlusion.mat", {"occlusion_labels": cells([[np.zeros((1, 3))]])})
    with pytest.raises(AnnotationError, match=r"occlusion_labels\{1, 1\} must be 17 marks, got 3"):
        open_source("mupots", root=tmp_path, no_images=True)
    savemat(folder / "annot.mat", {"other": 1})
    with pytest.raises(AnnotationError, match="no file of MuPoTS-3D: it holds other, not a cell array annotations"):
        open_source("mupots", root=tmp_path, no_images=True)
    assert_array_equal(np.ravel(cells([[1, 2]])), [1, 2])
