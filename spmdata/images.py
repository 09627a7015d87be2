"""Image files to network inputs: read, decode, turn upright, fit, encode.

A store keeps an image at the size that `spmdata.geometry.letterbox` gives it and **without padding**; what would be
enlarged is kept as it is. `load_input` enlarges and pads: the pixels land exactly where the letterbox's affine says.
JPEGs are decoded by libjpeg-turbo, everything else by Pillow; both release the GIL.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import ExifTags, Image, UnidentifiedImageError

from spmdata.errors import ImageError, ImageSizeError, SpecError
from spmdata.geometry import Affine, letterbox
from spmdata.pixels import PAD_VALUE, Pixels, Size, resized, to_rgb, turned, warped

#: Larger images are taken for decompression bombs, as Pillow does (1/2 GiB of RGB).
MAX_PIXELS = 178_956_970
_JPEG = b"\xff\xd8\xff"


def read_bytes(path: Path) -> bytes:
    """Read an image file whole.

    Raises
    ------
    ImageError
        The file is missing, unreadable or empty; the caller names it.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ImageError("image does not exist") from error
    except (OSError, ValueError) as error:
        raise ImageError(f"image cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not data:
        raise ImageError("image is empty")
    return data


def decode_image(data: bytes) -> Pixels:
    """Decode any image file and turn it upright by its EXIF orientation.

    Grey becomes RGB, 16 bits a channel become the upper 8, CMYK is converted, transparency shows `PAD_VALUE`; of
    several frames the first is taken.

    Parameters
    ----------
    data : bytes
        What the file holds.

    Returns
    -------
    (h, w, 3) uint8
        RGB.

    Raises
    ------
    ImageError
        Empty, truncated, damaged, not an image, of floating-point pixels, or of more than `MAX_PIXELS`.
    """
    return _decode(data, None)[0]


def fit_image(data: bytes, size_hw: Size, input_hw: Size, quality: int = 90) -> bytes:
    """Return the bytes that a store keeps for an image: `fit_views` with the one view that is not augmented."""
    return fit_views(data, size_hw, input_hw, [None], quality)[0]


def fit_views(
    data: bytes, size_hw: Size, input_hw: Size, views: Sequence[Affine | None], quality: int = 90
) -> list[bytes]:
    """Return the bytes that a store keeps for each view of an image, decoded once: the file's own, or a smaller JPEG.

    A view with an affine is warped from the original into the input (`spmdata.pixels.warped`) and encoded as JPEG
    with 4:2:0 chroma. None stands for the letterbox.

    Where the letterbox shrinks, the image is resized (antialiased bicubic) to its ``resized_hw``, without
    padding, and encoded as JPEG with 4:2:0 chroma, which is what most photographs come with. Where it enlarges
    or keeps the size, a JPEG or PNG stays as it is; what `load_input` would not decode to the same pixels
    (another format, a turned or slightly damaged image) is encoded as JPEG at its own size.

    The EXIF orientation is honoured when the upright image has the annotations' size. When only the image as
    stored has it, the annotations were made on that, and it is not turned.

    Parameters
    ----------
    data : bytes
        The image file.
    size_hw : (int, int)
        Height and width in px that the annotations refer to.
    input_hw : (int, int)
        Height and width of the network's input in px.
    views : sequence of Affine or None
        From px of the upright image to px of the input.
    quality : int
        JPEG quality, 1 to 100.

    Returns
    -------
    list of bytes
        JPEG or PNG for `load_input`, one a view.

    Raises
    ------
    ImageError
        See `decode_image`; ImageSizeError for another size than the annotations'.
    SpecError
        A size below 1 or a quality out of range.
    """
    if not 1 <= quality <= 100:
        raise SpecError(f"JPEG quality must be 1 to 100, got {quality}")
    resized_hw = letterbox(size_hw, input_hw).resized_hw
    pixels, as_stored = _decode(data, size_hw)
    shrinks = resized_hw[0] < size_hw[0] or resized_hw[1] < size_hw[1]

    def fit(view: Affine | None) -> bytes:
        if view is not None:
            return _jpeg(warped(pixels, view, input_hw), quality)
        if shrinks:
            return _jpeg(resized(pixels, resized_hw), quality)
        return data if as_stored else _jpeg(pixels, quality)

    return [fit(view) for view in views]


def _jpeg(pixels: Pixels, quality: int) -> bytes:
    encoded: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality, "RGB", "420", fastdct=False)
    return encoded


def load_input(data: bytes | memoryview, size_hw: Size, input_hw: Size, out: Pixels | None = None) -> Pixels:
    """Decode what `fit_views` returned into the network's input: enlarged if need be, padded with `PAD_VALUE`.

    Parameters
    ----------
    data : bytes or memoryview
        An image of the letterbox's ``resized_hw``, or of ``size_hw``, or of ``input_hw``: a view, which needs no
        padding. Taken as stored, EXIF is not looked at.
    size_hw : (int, int)
        Height and width in px that the annotations refer to.
    input_hw : (int, int)
        Height and width (H, W) of the network's input in px.
    out : (H, W, 3) uint8, optional
        Where to put the result.

    Returns
    -------
    (H, W, 3) uint8
        RGB; ``out`` when it was given.

    Raises
    ------
    ImageError
        The bytes cannot be decoded, or have none of these sizes.
    SpecError
        ``out`` has another shape or dtype or is not C-contiguous, or a size is below 1.
    """
    if out is None:
        out = np.empty((*input_hw, 3), np.uint8)
    elif out.shape != (*input_hw, 3) or out.dtype != np.uint8 or not out.flags.c_contiguous:
        got = f"{out.shape} {out.dtype}{'' if out.flags.c_contiguous else ', strided'}"
        raise SpecError(f"out must be C-contiguous {(*input_hw, 3)} uint8, got {got}")
    letterbox(size_hw, input_hw)  # a wrong size is told before a wrong image
    if data[:3] == _JPEG:
        try:
            stored_hw: Size = simplejpeg.decode_jpeg_header(data)[:2]
            room = _room(out, stored_hw, size_hw)
            if room.shape[:2] == stored_hw and room.flags.c_contiguous:
                simplejpeg.decode_jpeg(data, buffer=room)
                return out
            pixels: Pixels = simplejpeg.decode_jpeg(data)
        except ValueError as error:
            raise ImageError(f"image cannot be decoded: {error}") from error
    else:
        with _opened(data) as image:
            room = _room(out, (image.height, image.width), size_hw)
            pixels = to_rgb(image)
    room[:] = pixels if pixels.shape == room.shape else resized(pixels, (room.shape[0], room.shape[1]))
    return out


def place_pixels(pixels: Pixels, input_hw: Size) -> Pixels:
    """Resize and pad decoded pixels (h, w, 3) uint8 into the network's input (H, W, 3), as a prepared store would."""
    box = letterbox((pixels.shape[0], pixels.shape[1]), input_hw)
    (h, w), (top, left) = box.resized_hw, box.pad_yx
    out = np.full((*input_hw, 3), PAD_VALUE, np.uint8)
    out[top : top + h, left : left + w] = pixels if pixels.shape[:2] == (h, w) else resized(pixels, (h, w))
    return out


def write_image(path: Path, pixels: Pixels) -> None:
    """Write a picture (h, w, 3) uint8 in the format of the path's suffix; OSError when the disk refuses."""
    Image.fromarray(pixels).save(path, quality=92)  # formats without a quality pass over it


def _room(out: Pixels, stored_hw: Size, size_hw: Size) -> Pixels:
    """Return the part of ``out`` that a stored image goes to, the rest of it padded; ImageError for another size."""
    input_hw = out.shape[0], out.shape[1]
    if stored_hw == input_hw:
        return out
    box = letterbox(size_hw, input_hw)
    resized_hw, (top, left) = box.resized_hw, box.pad_yx
    if stored_hw not in (resized_hw, size_hw):
        expected = " or ".join(dict.fromkeys(map(_said, (resized_hw, size_hw, input_hw))))
        raise ImageError(f"image is {_said(stored_hw)}; {expected} expected")
    bottom, right = top + resized_hw[0], left + resized_hw[1]
    lines = out.reshape(len(out), -1)  # of bytes: pixels would be filled three bytes at a time, in thrice the time
    for pad in (lines[:top], lines[bottom:], lines[:, : 3 * left], lines[:, 3 * right :]):
        if pad.size:
            pad[:] = PAD_VALUE
    return out[top:bottom, left:right]


def _decode(data: bytes, size_hw: Size | None) -> tuple[Pixels, bool]:
    """Return upright pixels, and whether `_decode_stored` would find the same in the same bytes."""
    with _opened(data) as image:
        stored_hw, orientation = (image.height, image.width), _orientation(image)
        upright_hw = stored_hw[::-1] if orientation >= 5 else stored_hw
        if size_hw is not None and size_hw != upright_hw:
            if size_hw != stored_hw:
                raise ImageSizeError(f"image is {_said(upright_hw)}, its annotations are for {_said(size_hw)}")
            orientation = 1
        if image.format == "PNG":  # loading does not look at the checksums of its pixels
            with Image.open(io.BytesIO(data)) as again:
                again.verify()
        pixels, as_stored = _pixels(image, data)
    return turned(pixels, orientation), as_stored and orientation == 1


@contextmanager
def _opened(data: bytes | memoryview) -> Iterator[Image.Image]:
    """Open by Pillow; whatever goes wrong with the image until the block ends is an ImageError."""
    if not data:
        raise ImageError("image is empty")
    try:
        with Image.open(io.BytesIO(data)) as image:
            size_hw = image.height, image.width
            if image.height * image.width > MAX_PIXELS:
                raise ImageError(f"image is {_said(size_hw)}: more than {MAX_PIXELS} are a decompression bomb")
            yield image
    except ImageError:
        raise
    except UnidentifiedImageError as error:  # its own message holds an address in memory
        raise ImageError("file is not an image of a known format") from error
    except Exception as error:  # on garbage Pillow raises SyntaxError, struct.error and more
        raise ImageError(f"image cannot be decoded: {error}") from error


def _pixels(image: Image.Image, data: bytes) -> tuple[Pixels, bool]:
    if data[:3] == _JPEG:
        # It refuses what it would have to guess; Pillow mends what is not truncated.
        with suppress(ValueError):
            return simplejpeg.decode_jpeg(data), True
    return to_rgb(image), image.format == "PNG"


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 (upright) to 8; 1 when it is absent or damaged."""
    if image.format == "TIFF":  # Pillow turns these itself
        return 1
    with suppress(Exception):
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
        return value if value in range(1, 9) else 1
    return 1


def _said(size_hw: Size) -> str:
    return f"{size_hw[0]} x {size_hw[1]} px (height x width)"
