"""Files that are whole or not there, and JSON that carries its own seal.

Everything a store writes goes through this module. On a disk: temp name in the same folder, fsync, rename, fsync of the
folder. A run may be killed between any two lines and leaves nothing but temp files, which `sweep` removes. At a URL an
object is put whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from spmdata.errors import StoreError
from spmdata.store.remote import RemotePath, StorePath

#: How the name of every temp file and folder begins.
TEMPORARY = ".tmp-"
#: Pieces handed to the system at once, what POSIX lets `os.writev` take at most: a shard is hundreds of them.
PIECES = 1024


def write_file(path: StorePath, pieces: Iterable[bytes], temporary_name: str = TEMPORARY) -> None:
    """Write a file whole: nobody ever sees a part of it under its name.

    Parameters
    ----------
    path : Path or RemotePath
        On a disk, in a folder that exists.
    pieces : iterable of bytes
        What it is to hold.
    temporary_name : str
        How the name of its temp file begins; one that `sweep` knows.

    Raises
    ------
    StoreError
        The disk refuses; a rerun is harmless.
    RemoteError
        The file system at the URL does.
    """
    if isinstance(path, RemotePath):
        return path.write_bytes(b"".join(pieces))
    folder = path.parent
    temporary = f"{folder}/{temporary_name}{uuid.uuid4().hex}"
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            _write(handle, list(pieces))
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(temporary, path)
        sync_folder(folder)
    except OSError as error:
        with suppress(OSError):
            os.unlink(temporary)
        raise StoreError(f"cannot write {path}: {error.strerror}; mend that and run the same command again") from error


def _write(handle: int, pieces: list[bytes]) -> None:
    """Write pieces one after another without putting them together first; the system may take a part at a time."""
    at = 0
    while at < len(pieces):
        taken = os.writev(handle, pieces[at : at + PIECES])
        while at < len(pieces) and taken >= len(pieces[at]):
            taken -= len(pieces[at])
            at += 1
        if taken:
            pieces[at] = pieces[at][taken:]


def update_file(path: StorePath, text: bytes, temporary_name: str = TEMPORARY) -> None:
    """Write a file whole unless it holds just that already."""
    with suppress(OSError):
        if path.read_bytes() == text:
            return
    write_file(path, [text], temporary_name)


def remove_file(path: StorePath) -> None:
    """Remove a file if it is there, for good."""
    with suppress(FileNotFoundError):
        if isinstance(path, RemotePath):
            path.unlink()
        else:
            os.unlink(path)
            sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sizes_below(folder: StorePath) -> Callable[[StorePath], int | None]:
    """Return what tells the bytes of a file below a folder, None where there is none: one listing at a URL."""
    listed = folder.below() if isinstance(folder, RemotePath) else None
    if listed is not None:
        return lambda file: listed.get(file) if isinstance(file, RemotePath) else None
    return file_size


def file_size(file: StorePath) -> int | None:
    """Return the bytes of a file; None when there is none."""
    if isinstance(file, RemotePath):
        return file.size()
    return file.stat().st_size if file.is_file() else None


def files_below(folder: StorePath) -> Iterator[StorePath]:
    """Yield every file below a folder; none at a URL that cannot be listed (HTTP)."""
    if isinstance(folder, RemotePath):
        yield from folder.below() or {}
        return
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in sorted(names))


def create_tree(path: StorePath, files: Mapping[str, bytes], folders: Iterable[str]) -> None:
    """Create a folder with files (by relative path) and empty folders in it, all at once, by a rename.

    At a URL there are no folders, and a kill may leave out some of the files; the uppermost come first.

    Raises
    ------
    StoreError
        The disk refuses, or something other than an empty folder is at ``path``.
    """
    if isinstance(path, RemotePath):
        for name in sorted(files, key=lambda name: (name.count("/"), name)):
            write_file(path / name, [files[name]])
        return
    temporary = path.with_name(f".{path.name}{TEMPORARY}{uuid.uuid4().hex}")
    try:
        os.makedirs(path.parent, exist_ok=True)
        inner = {temporary, *(temporary / name for name in folders)}
        inner |= {folder for name in files for folder in (temporary / name).parents if folder.is_relative_to(temporary)}
        for folder in sorted(inner):
            os.mkdir(folder)
        for name, data in files.items():
            with open(temporary / name, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        for folder in sorted(inner, reverse=True):
            sync_folder(folder)
        os.rename(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise StoreError(f"cannot create {path}: {error.strerror or error}") from error


def sweep(path: StorePath) -> None:
    """Remove what killed runs left of `write_file` in the tree at ``path``, and of both beside it under its name."""
    if isinstance(path, RemotePath):
        return
    for left in path.parent.glob(f".{path.name}{TEMPORARY}*"):
        if left.is_dir():
            shutil.rmtree(left)
        else:
            os.unlink(left)
    for parent, _, names in os.walk(path):
        for name in names:
            if name.startswith(TEMPORARY):
                os.unlink(Path(parent, name))


def seal(content: Mapping[str, Any]) -> bytes:
    """Return JSON (sorted, indented, ASCII) with the sha256 of the rest under the key ``sha256``."""
    plain = {key: value for key, value in content.items() if key != "sha256"}
    return _dump({**plain, "sha256": hashlib.sha256(_dump(plain)).hexdigest()})


def unseal(path: StorePath) -> dict[str, Any]:
    """Return the content of a file that `seal` made, without its seal.

    Raises
    ------
    StoreError
        The file is missing, or any bit of it is not as it was written.
    """
    try:
        data = path.read_bytes()
        content = json.loads(data)
        if not isinstance(content, dict) or seal(content) != data:
            raise ValueError("its sha256 does not match its content")
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return {key: value for key, value in content.items() if key != "sha256"}


def _dump(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()
