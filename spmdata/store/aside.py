"""Rename a store aside: what ``--force`` does instead of removing anything."""

from __future__ import annotations

import os

from spmdata.errors import StoreError
from spmdata.store.durable import sync_folder
from spmdata.store.form import Form
from spmdata.store.remote import RemotePath


def set_aside(form: Form) -> None:
    """Rename a store to the first free name of ``.old``, ``.old2``, ...; go on where a kill stopped that.

    StoreError at a URL, where nothing can be renamed.
    """
    if isinstance(form.path, RemotePath):
        raise StoreError(f"--force cannot rename {form.path} aside: {remedy(form)}")
    number, moves = 1, list(zip(form.parts, form.aside(""), strict=True))
    while any(os.path.lexists(part) and os.path.lexists(old) for part, old in moves):
        number += 1
        moves = list(zip(form.parts, form.aside(str(number)), strict=True))
    for part, old in moves:
        if os.path.lexists(part):
            os.makedirs(old.parent, exist_ok=True)
            os.rename(part, old)
            sync_folder(old.parent)
    sync_folder(form.path.parent)


def remedy(form: Form) -> str:
    """Say what may be done where a store is in the way."""
    if isinstance(form.path, RemotePath):
        return "choose another output, or remove that store (nothing can be renamed at a URL)"
    return "choose another output, or --force to rename that store aside"
