"""The manifest of a finished store: the sha256 of every metadata file and ledger record, sealed itself."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from spmdata.errors import StoreError
from spmdata.store.durable import seal, unseal, update_file
from spmdata.store.form import Form
from spmdata.store.ledger import Ledger
from spmdata.store.remote import RemotePath, StorePath, each
from spmdata.store.schema import FORMAT_VERSION, PREPARE_AGAIN, StoreSpec

MANIFEST = ".spm/manifest.json"


def manifest_files(form: Form, layout: StoreSpec) -> list[str]:
    """Return the names of every file that a manifest lists."""
    records = [Ledger("").file(shard).as_posix() for shard in range(layout.n_shards)]
    return sorted([*form.metadata_names(layout), *records])


def write_manifest(form: Form, layout: StoreSpec, metadata: Mapping[str, bytes]) -> None:
    """Write the manifest, unless it is there: over metadata as it is or will be, and the records on disk."""
    digests = {name: hashlib.sha256(text).hexdigest() for name, text in metadata.items()}
    others = [name for name in manifest_files(form, layout) if name not in digests]
    digests |= zip(others, each(form.home, lambda name: sha256(form.file(name)), others), strict=True)
    content = {"format_version": FORMAT_VERSION, "fingerprint": layout.fingerprint(), "files": digests}
    update_file(form.home / MANIFEST, seal(content))


def is_of(form: Form, layout: StoreSpec) -> bool:
    """Return whether an undamaged manifest says that the store is of this layout, whatever its attributes say."""
    try:
        content = unseal(form.home / MANIFEST)
    except StoreError:
        return False
    said = (content.get("format_version"), content.get("fingerprint"))
    return said == (FORMAT_VERSION, layout.fingerprint())


def read_layout(form: Form) -> tuple[dict[str, Any], StoreSpec]:
    """Return the attributes of a store and the layout that they describe.

    Raises
    ------
    StoreError
        As `Form.attributes` and `StoreSpec.from_attributes`; what to do, where ``.spm`` says that it is damaged.
    """
    attributes: dict[str, Any] | None = None
    try:
        attributes = form.attributes()
        return attributes, StoreSpec.from_attributes(attributes, str(form.path))
    except StoreError as error:
        if not form.ours() or (attributes is not None and not _says_this_version(form)):
            raise
        what = str(error).removesuffix(PREPARE_AGAIN)
        raise StoreError(
            f"{what}; its .spm folder is there, so it is damaged: run the spm prepare command that made it again, "
            "which keeps what is as it was"
        ) from error


def _says_this_version(form: Form) -> bool:
    try:
        return unseal(form.home / MANIFEST).get("format_version") == FORMAT_VERSION
    except StoreError:
        return False


def sha256(file: StorePath) -> str:
    """Return the sha256 (hex) of a file."""
    if isinstance(file, RemotePath):
        return hashlib.sha256(file.fetch()).hexdigest()
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
