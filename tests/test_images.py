"""Images: a painted spot and its point stay together, whatever the file; and faults are told."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from image_files import encoded, good_files, jpeg_of_size, png_of_size, turned
from spmdata.errors import ImageError, SpecError
from spmdata.geometry import letterbox
from spmdata.images import decode_image, fit_image, load_input, place_pixels, read_bytes
from spmdata.pixels import PAD_VALUE

Pixels = NDArray[np.uint8]
RNG = np.random.default_rng(0)


def smooth(height: int, width: int) -> Pixels:
    """Return an image without high frequencies, so that codecs keep it within a few grey levels."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    waves = [np.sin(3 * x + 2 * y + phase) for phase in (0, 1, 2)]
    return np.stack([128 + 90 * wave for wave in waves], -1).astype(np.uint8)


def size_of(data: bytes) -> tuple[str | None, tuple[int, int]]:
    with Image.open(io.BytesIO(data)) as image:
        return image.format, (image.height, image.width)


def centre_xy(pixels: Pixels) -> NDArray[np.float64]:
    """Return the centroid of what is brighter than the padding."""
    light = np.clip(pixels.mean(-1) - PAD_VALUE - 6, 0, None)
    y, x = np.mgrid[: light.shape[0], : light.shape[1]]
    centre: NDArray[np.float64] = np.array([(light * x).sum(), (light * y).sum()]) / light.sum()
    return centre


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP"])
@pytest.mark.parametrize(
    ("size_hw", "input_hw"),
    [
        ((480, 640), (384, 384)),
        ((427, 641), (384, 384)),
        ((641, 427), (256, 384)),
        ((2001, 1503), (384, 384)),
        ((101, 75), (384, 384)),
        ((77, 200), (384, 512)),
        ((384, 384), (384, 384)),
        ((383, 385), (384, 512)),
    ],
)
def test_spot_and_point_stay_together(size_hw: tuple[int, int], input_hw: tuple[int, int], kind: str) -> None:
    point = np.array([0.3 * size_hw[1], 0.6 * size_hw[0]])
    y, x = np.mgrid[: size_hw[0], : size_hw[1]]
    spread = max(size_hw) / 40
    spot = np.exp(-((x - point[0]) ** 2 + (y - point[1]) ** 2) / (2 * spread**2))
    pixels = np.repeat((PAD_VALUE + 140 * spot).astype(np.uint8)[..., None], 3, axis=2)
    fitted = fit_image(encoded(pixels, kind, quality=95), size_hw, input_hw)
    found = centre_xy(load_input(fitted, size_hw, input_hw))
    wanted = letterbox(size_hw, input_hw).affine.apply(point)
    np.testing.assert_allclose(found, wanted, atol=0.1)


@pytest.mark.parametrize("size_hw", [(300, 200), (50, 70), (384, 384), (1000, 3)])
def test_padding_and_buffer(size_hw: tuple[int, int]) -> None:
    box, input_hw = letterbox(size_hw, (384, 384)), (384, 384)
    pixels = np.full((*size_hw, 3), 250, np.uint8)
    fitted = fit_image(encoded(pixels, "JPEG"), size_hw, input_hw)
    plain = load_input(fitted, size_hw, input_hw)
    out = np.zeros((384, 384, 3), np.uint8)
    assert load_input(memoryview(fitted), size_hw, input_hw, out) is out
    np.testing.assert_array_equal(out, plain)
    inside = np.zeros((384, 384), np.bool_)
    (top, left), (height, width) = box.pad_yx, box.resized_hw
    inside[top : top + height, left : left + width] = True
    assert (plain[~inside] == PAD_VALUE).all()
    assert (plain[inside] > 240).all()
    with pytest.raises(SpecError, match=r"out must be C-contiguous .*, got \(384, 384, 3\) uint8, strided"):
        load_input(fitted, size_hw, input_hw, np.zeros((384, 768, 3), np.uint8)[:, ::2])


def test_original_is_kept_unless_it_shrinks() -> None:
    for kind in ("PNG", "JPEG"):
        data = encoded(smooth(90, 120), kind)
        assert fit_image(data, (90, 120), (90, 130)) is data
        assert fit_image(data, (90, 120), (384, 384)) is data
        assert size_of(fit_image(data, (90, 120), (64, 64))) == ("JPEG", (48, 64))
        assert size_of(fit_image(data, (90, 120), (89, 120))) == ("JPEG", (89, 119))
    assert size_of(fit_image(encoded(smooth(90, 120), "BMP"), (90, 120), (384, 384))) == ("JPEG", (90, 120))
    data = encoded(smooth(90, 120), "JPEG", quality=95)
    sizes = [len(fit_image(data, (90, 120), (80, 80), quality)) for quality in (50, 90)]
    assert sizes[0] < sizes[1]
    assert fit_image(data, (90, 120), (80, 80)) == fit_image(data, (90, 120), (80, 80))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(kind: str, orientation: int) -> None:
    pixels = smooth(60, 100)
    pixels[5:25, 10:30] = 250
    data = encoded(pixels, kind, **turned(orientation))
    with Image.open(io.BytesIO(data)) as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    np.testing.assert_allclose(decode_image(data).astype(int), upright.astype(int), atol=4)
    size_hw = upright.shape[0], upright.shape[1]
    fitted = fit_image(data, size_hw, size_hw)
    assert (fitted is data) == (orientation == 1 and kind != "TIFF")
    assert np.abs(load_input(fitted, size_hw, size_hw).astype(int) - upright).mean() < 4
    if orientation >= 5 and kind != "TIFF":
        fitted = fit_image(data, (60, 100), (60, 100))
        assert fitted is data
        assert np.abs(load_input(fitted, (60, 100), (60, 100)).astype(int) - pixels).mean() < 4


def test_damaged_exif_is_upright() -> None:
    data = encoded(smooth(60, 100), "JPEG", **turned(6))
    at = data.index(b"MM\0*")
    assert decode_image(data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :]).shape == (60, 100, 3)


COLOUR = smooth(40, 60)
RGB = Image.fromarray(COLOUR)
GREY = COLOUR[..., 0].copy()
GREY_RGB = np.repeat(GREY[..., None], 3, axis=2)
SOLID = GREY > 128
RGBA = Image.fromarray(np.dstack([COLOUR, np.where(SOLID, 255, 0).astype(np.uint8)]))
GREY_ALPHA = Image.merge("LA", (Image.fromarray(GREY), RGBA.getchannel("A")))
WIDE = Image.fromarray((GREY.astype(np.uint16) << 8) + np.uint16(77))


@pytest.mark.parametrize(
    ("data", "wanted", "tolerance"),
    [
        (encoded(GREY), GREY_RGB, 0),
        (encoded(GREY, "JPEG", quality=95), GREY_RGB, 4),
        (encoded(WIDE), GREY_RGB, 0),
        (encoded(WIDE, "TIFF"), GREY_RGB, 0),
        (encoded(RGBA), np.where(SOLID[..., None], COLOUR, PAD_VALUE), 0),
        (encoded(GREY_ALPHA), np.where(SOLID[..., None], GREY_RGB, PAD_VALUE), 0),
        (encoded(GREY, transparency=200), np.where(GREY_RGB == 200, PAD_VALUE, GREY_RGB), 0),
        (encoded(RGB.convert("CMYK"), "JPEG", quality=95), COLOUR, 6),
        (encoded(RGB.convert("CMYK"), "TIFF"), COLOUR, 2),
        (encoded(RGB, "JPEG", quality=95, progressive=True), COLOUR, 6),
        (encoded(RGB.quantize(64)), np.asarray(RGB.quantize(64).convert("RGB")), 0),
        (encoded(RGB.convert("1")), np.asarray(RGB.convert("1").convert("RGB")), 0),
        (encoded(RGB, "GIF"), COLOUR, 40),
    ],
    ids=[
        *("grey", "grey-jpeg", "wide", "wide-tiff", "rgba", "la", "transparent", "cmyk", "cmyk-tiff"),
        *("progressive", "palette", "bilevel", "gif"),
    ],
)
def test_any_pixel_becomes_rgb(data: bytes, wanted: Pixels, tolerance: int) -> None:
    found = decode_image(data)
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found.astype(int), wanted.astype(int), atol=tolerance)
    fitted = fit_image(data, (40, 60), (40, 60), quality=95)
    assert np.abs(load_input(fitted, (40, 60), (40, 60)).astype(int) - found).mean() < 6


@pytest.mark.parametrize("kind", good_files(COLOUR))
def test_any_file_becomes_rgb(kind: str) -> None:
    data, tolerance = good_files(COLOUR)[kind]
    np.testing.assert_allclose(decode_image(data).astype(int), COLOUR.astype(int), atol=tolerance)


JPEG, PNG = encoded(RNG.integers(0, 255, (64, 64, 3), np.uint8), "JPEG"), encoded(smooth(64, 64))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "image is empty"),
        (b"GIF", "not an image of a known format$"),
        (b'{"a": 1}' * 100, "not an image of a known format$"),
        (JPEG[:20], "not an image of a known format$|cannot be decoded"),
        (JPEG[: len(JPEG) // 2], "cannot be decoded: .*truncated"),
        (JPEG[:-2], "cannot be decoded: .*truncated"),
        (PNG[: len(PNG) // 2], "cannot be decoded: "),
        (PNG[:200] + bytes(20) + PNG[220:], "cannot be decoded: "),
        (png_of_size(20_000, 20_000), "cannot be decoded: .*bomb"),
        (jpeg_of_size(60_000, 60_000), "cannot be decoded: .*bomb"),
        (encoded(Image.new("F", (64, 64)), "TIFF"), "floating-point pixels"),
    ],
)
def test_fault_is_told(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        fit_image(data, (64, 64), (32, 32))
    with pytest.raises(ImageError):
        load_input(data, (64, 64), (32, 32))


def test_bomb_is_refused_without_pillows_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(ImageError, match=r"image is 20000 x 20000 px .*: more than 178956970 are a decompression bomb"):
        decode_image(png_of_size(20_000, 20_000))


def test_slightly_damaged_jpeg_is_encoded_anew() -> None:
    clean = encoded(smooth(64, 64), "JPEG")
    data = clean[:-2] + b"\x55" * 9 + clean[-2:]  # libjpeg: "extraneous bytes before marker 0xd9"
    fitted = fit_image(data, (64, 64), (64, 64))
    assert fitted is not data
    np.testing.assert_allclose(load_input(fitted, (64, 64), (64, 64)), decode_image(clean), atol=6)


def test_size_must_be_the_annotations() -> None:
    data = encoded(smooth(60, 100))
    with pytest.raises(
        ImageError, match=r"image is 60 x 100 px \(height x width\), its annotations are for 100 x 60 px"
    ):
        fit_image(data, (100, 60), (64, 64))
    with pytest.raises(ImageError, match=r"image is 60 x 100 px .*; 32 x 64 px .* or 30 x 60 px .* expected"):
        load_input(data, (30, 60), (64, 64))


def test_wrong_arguments_are_told() -> None:
    with pytest.raises(SpecError, match="quality must be 1 to 100, got 0"):
        fit_image(PNG, (64, 64), (32, 32), 0)
    with pytest.raises(SpecError, match=r"out must be C-contiguous \(32, 32, 3\) uint8, got \(32, 32\) float64"):
        load_input(PNG, (64, 64), (32, 32), np.zeros((32, 32)))  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="at least 1 px"):
        fit_image(PNG, (0, 64), (32, 32))


def test_read_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "b.png").write_bytes(b"")
    assert read_bytes(tmp_path / "a.png") == PNG
    for name, message in (
        ("b.png", "image is empty"),
        ("c.png", "image does not exist"),
        (".", "cannot be read: Is a dir"),
    ):
        with pytest.raises(ImageError, match=message):
            read_bytes(tmp_path / name)


def test_real_images(spm_data: Path) -> None:
    data = json.loads((spm_data / "coco/annotations/person_keypoints_val2017_mini.json").read_text())
    for image in data["images"][:12]:
        size_hw = image["height"], image["width"]
        original = read_bytes(spm_data / "coco/images/val2017" / image["file_name"])
        fitted = fit_image(original, size_hw, (384, 384))
        live = load_input(original, size_hw, (384, 384))
        stored = load_input(fitted, size_hw, (384, 384))
        assert np.abs(live.astype(int) - stored).mean() < 4
        assert len(fitted) < len(original)


@pytest.mark.parametrize("size_hw", [(40, 60), (33, 20), (96, 128)])
def test_decoded_pixels_are_placed_as_a_store_places_its_images(size_hw: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    np.testing.assert_array_equal(place_pixels(pixels, (96, 128)), load_input(file.getvalue(), size_hw, (96, 128)))
