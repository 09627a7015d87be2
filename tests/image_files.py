"""Image files of every kind, good and bad, as bytes: what the tests of images and of prepare have in common."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def encoded(pixels: Pixels | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return an image file."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def turned(orientation: int) -> dict[str, Any]:
    """Return what makes `encoded` say an EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {"exif": exif}


def as_stored(pixels: Pixels, orientation: int) -> Pixels:
    """Return upright pixels as a camera would store them under an orientation."""
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels.transpose(1, 0, 2) if orientation >= 5 else pixels)


def png(values: NDArray[Any], colour_type: int, depth: int = 16) -> bytes:
    """Return a PNG of 16 bits a channel, which Pillow writes for grey alone; 0 grey, 2 RGB, 4 grey + alpha, 6 RGBA."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + values[y].astype(f">u{depth // 8}").tobytes() for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    return _png({b"IHDR": header, b"IDAT": zlib.compress(rows), b"IEND": b""})


def png_of_size(width: int, height: int) -> bytes:
    """Return a PNG whose header claims a size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return _png({b"IHDR": header, b"IDAT": zlib.compress(bytes(100))})


def _png(chunks: dict[bytes, bytes]) -> bytes:
    sums = {kind: struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks.items()}
    parts = [struct.pack(">I", len(body)) + kind + body + sums[kind] for kind, body in chunks.items()]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def jpeg_of_size(width: int, height: int) -> bytes:
    """Return a JPEG whose header claims a size."""
    data = encoded(np.zeros((8, 8, 3), np.uint8), "JPEG")
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def cmyk_jpeg(pixels: Pixels, *, adobe: bool = True) -> bytes:
    """Return an inverted CMYK JPEG as Adobe's programs write them; without its Adobe marker on request."""
    data = encoded(Image.fromarray(pixels).convert("CMYK"), "JPEG", quality=95)
    at = data.index(b"\xff\xee")
    end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return data if adobe else data[:at] + data[end:]


def ycck_jpeg(pixels: Pixels) -> bytes:
    """Return a YCCK JPEG: inks as if they were red, green and blue, turned into luma and chroma (Adobe transform 2)."""
    inks = Image.fromarray(255 - pixels).convert("YCbCr")
    black = np.zeros((*pixels.shape[:2], 1), np.uint8)
    planes = np.concatenate([255 - np.asarray(inks), black], 2)  # Pillow inverts what it writes
    data = bytearray(encoded(Image.fromarray(planes, mode="CMYK"), "JPEG", quality=95, subsampling=0))
    at = data.index(b"\xff\xee")
    data[at + 15] = 2
    return bytes(data)


def good_files(pixels: Pixels) -> dict[str, tuple[bytes, float]]:
    """Return files of every kind that show pixels (h, w, 3), with the greatest error that their kind allows."""
    image, wide = Image.fromarray(pixels), pixels.astype(np.uint16) * 256 + 77
    solid = np.full((*pixels.shape[:2], 1), 255, np.uint8)
    return {
        "jpeg": (encoded(image, "JPEG", quality=95), 8),
        "jpeg-444": (encoded(image, "JPEG", quality=95, subsampling=0), 8),
        "progressive": (encoded(image, "JPEG", quality=95, progressive=True), 8),
        **{f"exif-{o}": (encoded(as_stored(pixels, o), "JPEG", quality=95, **turned(o)), 8) for o in range(1, 9)},
        **{f"png-exif-{o}": (encoded(as_stored(pixels, o), **turned(o)), 0) for o in (3, 6)},
        "cmyk": (cmyk_jpeg(pixels), 10),
        "cmyk-plain": (cmyk_jpeg(pixels, adobe=False), 10),
        "ycck": (ycck_jpeg(pixels), 10),
        "png": (encoded(image), 0),
        "rgba": (encoded(np.concatenate([pixels, solid], 2)), 0),
        "png-16": (png(wide, 2), 0),
        "rgba-16": (png(np.concatenate([wide, solid.astype(np.uint16) * 257], 2), 6), 0),
        "webp": (encoded(image, "WEBP", quality=95), 30),
        "webp-lossless": (encoded(image, "WEBP", lossless=True), 0),
        "tiff": (encoded(image, "TIFF"), 0),
        "bmp": (encoded(image, "BMP"), 0),
    }


def bad_files(pixels: Pixels) -> dict[str, tuple[bytes, str]]:
    """Return files that cannot be used, with the reason (a pattern)."""
    jpeg, flat = encoded(pixels, "JPEG"), encoded(pixels)
    progressive = encoded(pixels, "JPEG", progressive=True)
    return {
        "empty": (b"", "image is empty$"),
        "text": (b"<html>404</html>" * 9, "file is not an image of a known format$"),
        "truncated": (jpeg[: len(jpeg) // 2], "image cannot be decoded: .*truncated"),
        "truncated-progressive": (progressive[: len(progressive) // 2], "image cannot be decoded: .*truncated"),
        "truncated-png": (flat[: len(flat) // 2], "image cannot be decoded: "),
        "damaged-png": (flat[:200] + bytes(20) + flat[220:], "image cannot be decoded: "),
        "bomb": (png_of_size(20_000, 20_000), "image cannot be decoded: .*bomb"),
        "jpeg-bomb": (jpeg_of_size(60_000, 60_000), "image cannot be decoded: .*bomb"),
        "float": (encoded(Image.fromarray(pixels[..., 0].astype(np.float32)), "TIFF"), "floating-point pixels"),
        "other-size": (encoded(pixels[:, 1:]), r"image is \d+ x \d+ px .*, its annotations are for "),
    }
