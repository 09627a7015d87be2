"""The manifest of a finished store: the sha256 of every metadata file and ledger record, sealed itself."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from spmdata.store.durable import seal, update_file
from spmdata.store.ledger import Ledger
from spmdata.store.schema import FORMAT_VERSION, StoreSpec
from spmdata.store.zarr_io import GROUPS, ROOT_FILE

MANIFEST = ".spm/manifest.json"


def manifest_files(layout: StoreSpec) -> list[str]:
    """Return the paths, in the group, of every file that a manifest lists."""
    nodes = [*GROUPS, *(array.name for array in layout.arrays())]
    records = [Ledger("").file(shard).as_posix() for shard in range(layout.n_shards)]
    return sorted([ROOT_FILE, *(f"{node}/{ROOT_FILE}" for node in nodes), *records])


def write_manifest(path: Path, layout: StoreSpec, metadata: Mapping[str, bytes]) -> None:
    """Write the manifest, unless it is there: over metadata as it is or will be, and the records on disk."""
    digests = {name: hashlib.sha256(text).hexdigest() for name, text in metadata.items()}
    digests |= {name: sha256(path / name) for name in manifest_files(layout) if name not in digests}
    content = {"format_version": FORMAT_VERSION, "fingerprint": layout.fingerprint(), "files": digests}
    update_file(path / MANIFEST, seal(content))


def sha256(file: Path) -> str:
    """Return the sha256 (hex) of a file."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
