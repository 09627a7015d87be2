"""Annotation files in JSON to typed records: read, decompress, decode, and say which record is at fault."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import zlib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from spmdata.errors import AnnotationError

T = TypeVar("T")

#: A path that is absolute, has a drive, climbs out by "..", or that no system takes.
LEAVES_FOLDER = re.compile(r"^[/\\]|^[A-Za-z]:|(?:^|[/\\])\.\.(?:[/\\]|$)|\0")


class NotJsonError(AnnotationError):
    """The file's text is no JSON at all."""


#: What msgspec raises on text that is no JSON, not of the type, not UTF-8, or nested too deeply.
_REFUSED = (msgspec.DecodeError, UnicodeError, RecursionError)
_NO_NUMBER = re.compile(rb"(?<=[\[,:\s])-?(?:NaN|Infinity)(?=[\s,\]}])")


def read_text(path: Path) -> tuple[bytes | bytearray, str]:
    """Read a file whole; decompress it when it begins as gzip does, whatever its name.

    Parameters
    ----------
    path : pathlib.Path
        File of text or of gzip.

    Returns
    -------
    text : bytes or bytearray
        Decompressed, without a byte order mark.
    sha256 : str
        Hex digest of the file's bytes as they lie on disk.

    Raises
    ------
    AnnotationError
        The file is missing, unreadable, empty or damaged gzip.
    """
    try:
        text: bytes | bytearray = path.read_bytes()
    except FileNotFoundError as error:
        raise AnnotationError(f"annotation file {path} does not exist") from error
    except (OSError, ValueError) as error:
        raise AnnotationError(f"annotation file {path} cannot be read: {error}") from error
    sha256 = hashlib.sha256(text).hexdigest()
    if text[:2] == b"\x1f\x8b":
        text = _gunzip(text, path)
    if text[:3] == b"\xef\xbb\xbf":
        text = text[3:]
    if not text or text.isspace():
        raise AnnotationError(f"annotation file {path} is empty")
    return text, sha256


def _gunzip(data: bytes | bytearray, path: Path) -> bytearray:
    """Decompress by pieces: `gzip.decompress` holds the text twice at its end."""
    text = bytearray()
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            while piece := stream.read(1 << 20):
                text += piece
    except (EOFError, OSError, zlib.error) as error:
        what = "is truncated" if isinstance(error, EOFError) else "is damaged"
        raise AnnotationError(f"gzip file {path} {what} ({error}); copy or download it again") from error
    return text


def decode_file(decoder: msgspec.json.Decoder[T], text: bytes | bytearray, path: Path) -> T:
    """Decode a whole file; its records may be `msgspec.Raw`, which only skips over them.

    Raises
    ------
    NotJsonError
        The text is no JSON; the message names the byte where it stops being.
    AnnotationError
        It is not of the decoder's type.
    """
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        at, what = _reworded(error)
        raise AnnotationError(f"{path} is not an annotation file of this format{at}: {what}") from error
    except _REFUSED as error:
        place = re.search(r"\(byte (\d+)\)", str(error))
        byte = int(place[1]) if place else len(text)
        what = str(error).partition(" (byte")[0].removeprefix("JSON is malformed: ")
        hint = "; the file may be truncated" if "truncated" in what else ""
        if text[byte : byte + 1] in (b"N", b"I"):
            hint = "; JSON has no NaN and Infinity, write null"
        raise NotJsonError(f"{path} is not JSON at byte {byte} of {len(text)}: {what}{hint}") from error


def quote_non_numbers(text: bytes | bytearray) -> bytes | None:
    """Return the text with every literal NaN and Infinity, which JSON has not, as a string; None without any.

    The result decodes, so that the record that holds the literal can be named; it is good for nothing else.
    """
    quoted, n = _NO_NUMBER.subn(lambda match: b'"' + match[0] + b'"', bytes(text))
    return quoted if n else None


def decode_record(decoder: msgspec.json.Decoder[T], raw: msgspec.Raw, where: str) -> T:
    """Decode one record of a file.

    Parameters
    ----------
    decoder : msgspec.json.Decoder
        Of the record's type.
    raw : msgspec.Raw
        Its text.
    where : str
        Its place in the file, such as ``annotations[812]``: the message begins with it.

    Raises
    ------
    AnnotationError
        A field is missing, of another type or out of range; the message names it and what was found.
    """
    try:
        return decoder.decode(raw)
    except _REFUSED as error:
        at, what = _reworded(error)
        if what.startswith("expected ") and (found := _found(raw, at)):
            what = f"{what.partition(', got ')[0]}, got {found}"
        raise AnnotationError(f"{where}{at}: {what}") from error


def _reworded(error: Exception) -> tuple[str, str]:
    """Split ``Expected `int`, got `str` - at `$.id``` into ``.id`` and ``expected int, got str``."""
    what, _, at = str(error).replace("`", "").partition(" - at $")
    if missing := re.fullmatch("Object missing required field (.+)", what):
        return at, f"{missing[1]} is missing"
    return at, what[:1].lower() + what[1:]


def _found(raw: msgspec.Raw, at: str) -> str:
    """Return what stands at a path such as ``.bbox[2]``, as short JSON text; empty when that cannot be told."""
    try:
        value: Any = msgspec.json.decode(raw)
        for key, index in re.findall(r"\.(\w+)|\[(\d+)\]", at):
            value = value[key] if key else value[int(index)]
        text = msgspec.json.encode(value).decode()
    except (*_REFUSED, LookupError, TypeError):  # no UTF-8 elsewhere in the record, or a key that stands twice
        return ""
    return text if len(text) <= 40 else text[:37] + "..."
