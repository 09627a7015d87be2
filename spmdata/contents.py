"""What is inside a store, as values that print as JSON: the whole of it, or one row in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spmdata.census import Census, take_census
from spmdata.errors import StoreError
from spmdata.store.ledger import Ledger, SkippedRow, Totals
from spmdata.store.reader import Store, open_store
from spmdata.store.schema import RowStatus

#: Raised when a key of `Contents.to_json` or `RowContents.to_json` changes its meaning.
CONTENTS_VERSION = 1


@dataclass(frozen=True)
class ArrayLine:
    """One array: shapes of the whole and of a chunk, names of its axes, bytes on disk and as plain numbers.

    ``plain_bytes`` is None for text and images; both count the shards that are done.
    """

    name: str
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    dtype: str
    dims: tuple[str, ...]
    bytes: int
    plain_bytes: int | None


@dataclass(frozen=True)
class Contents:
    """A whole store.

    Parameters
    ----------
    store : str
        Its path.
    complete : bool
        The run that wrote it was finalised.
    attributes : mapping
        What its attributes say: format version, fingerprint, layout, source, spec.
    shards_done, shards, shard_rows : int
        Shards in the ledger, shards in all, rows of one.
    rows_done, bytes : int
        Rows and bytes of the shards that are done.
    counts : mapping of str to int
        Sums of the ledger's counts.
    skipped : tuple of SkippedRow
        Rows left empty, in their order, with their reasons.
    arrays : tuple of ArrayLine
        By name.
    people : Census
        Over the shards that are done.
    """

    store: str
    complete: bool
    attributes: Mapping[str, Any]
    shards_done: int
    shards: int
    shard_rows: int
    rows_done: int
    bytes: int
    counts: Mapping[str, int]
    skipped: tuple[SkippedRow, ...]
    arrays: tuple[ArrayLine, ...]
    people: Census

    def to_json(self) -> dict[str, Any]:
        """Return one versioned object of plain JSON values."""
        skipped = [{"row": s.row, "status": s.status.name.lower(), "reason": s.reason} for s in self.skipped]
        return {"version": CONTENTS_VERSION, **asdict(self), "skipped": skipped}


@dataclass(frozen=True)
class RowContents:
    """One row.

    Parameters
    ----------
    row : int
        Its number.
    status : str
        ``ok``, or why it was skipped.
    provenance : mapping
        The other arrays ``row/*``.
    image_bytes : int or None
        Of the encoded image; None in a store without images.
    maps : mapping of str to float
        What the target maps hold; empty in a store without maps.
    people : tuple of mapping
        Each with id, ignore, area, box and its labelled joints: x, y in input px[, z in cm], visibility.
    """

    row: int
    status: str
    provenance: Mapping[str, Any]
    image_bytes: int | None
    maps: Mapping[str, float]
    people: tuple[Mapping[str, Any], ...]

    def to_json(self) -> dict[str, Any]:
        """Return one versioned object of plain JSON values, provenance and maps among them."""
        values = asdict(self)
        return {"version": CONTENTS_VERSION, "row": self.row, "status": self.status, **values.pop("provenance"),
                **values.pop("maps"), **values}  # fmt: skip


def read_contents(path: str | Path) -> Contents:
    """Look through a store, finished or as far as it goes.

    Raises
    ------
    StoreError
        Nothing there, no store, damage of what is looked at.
    """
    store = open_store(path, allow_incomplete=True)
    records = Ledger(store.path).done(store.layout)
    totals, packed = Totals.of(records.values()), Counter[str]()
    for shard in records:
        packed.update(store.array_bytes(shard))
    arrays = tuple(
        ArrayLine(
            name=a.name,
            shape=a.shape,
            chunk=(a.chunk_rows, *a.row_shape),
            dtype=a.dtype,
            dims=a.dims,
            bytes=packed[a.name],
            plain_bytes=None if a.varying else a.row_bytes * totals.rows,
        )
        for a in store.layout.arrays()
    )
    return Contents(
        store=str(store.path),
        complete=store.complete,
        attributes=store.attributes["spm"],
        shards_done=len(records),
        shards=store.layout.n_shards,
        shard_rows=store.layout.shard_rows,
        rows_done=totals.rows,
        bytes=totals.bytes,
        counts=totals.counts,
        skipped=tuple(row for _, record in sorted(records.items()) for row in record.skipped),
        arrays=arrays,
        people=take_census(store, sorted(records)),
    )


def read_row(path: str | Path, row: int) -> RowContents:
    """Look at one row of a store.

    Raises
    ------
    StoreError
        As `read_contents`, and for a row that is not there or not written.
    """
    store = open_store(path, allow_incomplete=True)
    if not 0 <= row < len(store):
        raise StoreError(f"row must be in [0, {len(store) - 1}], got {row}")
    own = [array.name for array in store.layout.arrays() if array.name.startswith("row/")]
    provenance = {name.removeprefix("row/"): store.read(name, [row])[0] for name in own}
    status = RowStatus(int(provenance.pop("status")))
    return RowContents(
        row=row,
        status=status.name.lower(),
        provenance={name: v.tolist() if hasattr(v, "tolist") else v for name, v in provenance.items()},
        image_bytes=len(store.image_bytes(row)) if store.layout.images else None,
        maps=_maps(store, row) if store.layout.maps else {},
        people=_people(store, row),
    )


def _maps(store: Store, row: int) -> dict[str, float]:
    heatmap, count = store.read("root_heatmap", [row])[0], store.read("count", [row])[0]
    found = {
        "root_heatmap_max": float(heatmap.max()),
        "root_heatmap_cells": int((heatmap > 0).sum()),
        "cells_supervised": int((count > 0).any(0).sum()),
        "cells_averaged": int((count > 1).any(0).sum()),
        "cells_ignored": int(np.count_nonzero(store.read("ignore", [row])[0])),
        "longest_offset": float(np.abs(store.read("offsets", [row])[0].astype(np.float32)).max()),
    }
    if store.spec.dims == 3:
        depth = store.read("root_depth", [row])[0]
        found["cells_with_z"] = int((store.read("count_z", [row])[0] > 0).any(0).sum())
        found["root_depth_max"] = float(depth.max())
    return found


def _people(store: Store, row: int) -> tuple[dict[str, Any], ...]:
    people = store.people(row)
    return tuple(
        {
            "id": int(people.id[p]),
            "ignore": bool(people.ignore[p]),
            "area_px2": float(people.area[p]),
            "bbox_xywh": people.bbox_xywh[p].tolist(),
            "joints": {
                name: [*people.joints[p, k].tolist(), int(people.visible[p, k])]
                for k, name in enumerate(store.skeleton.joints)
                if people.visible[p, k]
            },
        }
        for p in range(len(people))
    )
