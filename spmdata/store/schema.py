"""What a store is: its layout, its identity and what its attributes say, as frozen values.

Letters: N rows (one image or one augmented view each); R rows of a shard.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import IntEnum
from functools import cached_property
from typing import Any

from spmdata.errors import SpecError, StoreError
from spmdata.people import SourceInfo
from spmdata.spec import DECODE_FIELDS, TargetSpec
from spmdata.store.arrays import ArraySpec, row_arrays, table_arrays
from spmdata.views import ViewRanges

#: Raised whenever the bytes or names of a store change; a reader refuses any other.
FORMAT_VERSION = 1
#: What to do about attributes that cannot be read, when no more is known.
PREPARE_AGAIN = "; prepare it again"


class RowStatus(IntEnum):
    """Why a row is empty; streams and metrics leave out rows that are not OK."""

    OK = 0
    IMAGE_MISSING = 1
    IMAGE_UNREADABLE = 2
    IMAGE_SIZE = 3
    ANNOTATION = 4


@dataclass(frozen=True, kw_only=True)
class StoreSpec:
    """What one store is: enough to create it, to write any shard of it, and to read it.

    Parameters
    ----------
    spec : TargetSpec
        The conventions of the targets.
    source : SourceInfo
        Where the annotations come from.
    rows : int
        N, at least 1.
    people : int
        People of all rows together.
    max_people : int
        Pmax, most people of one row, at least 1: the padding of ``people/*``.
    shard_rows : int
        R, rows of a shard.
    images : bool
        ``image`` and ``image_crc32c`` are there.
    maps : bool
        The target maps are there.
    views : int
        Views of an image, the first of them unaugmented: row ``image * views + view``. N is a multiple of it.
    view_ranges : ViewRanges
        Of the augmented views; no part of a store that has none.
    image_quality : int
        JPEG quality of re-encoded images, 1 to 100.

    Raises
    ------
    SpecError
        A number out of range; no rows.
    """

    spec: TargetSpec
    source: SourceInfo
    rows: int
    people: int
    max_people: int
    shard_rows: int = 256
    images: bool = False
    maps: bool = True
    views: int = 1
    view_ranges: ViewRanges = field(default_factory=ViewRanges)
    image_quality: int = 90

    def __post_init__(self) -> None:
        """Check the sizes once."""
        if self.rows < 1:
            raise SpecError("a store needs at least one row, got 0: the source has no image with a labelled person")
        limits = {"max_people": 65535, "shard_rows": 65536, "views": 65536, "image_quality": 100}
        for name, most in limits.items():
            if not 1 <= getattr(self, name) <= most:
                raise SpecError(f"{name} must be 1 to {most}, got {getattr(self, name)}")
        if self.rows % self.views:
            raise SpecError(f"rows must be a multiple of {self.views} views, got {self.rows}")
        if not 0 <= self.people <= self.rows * self.max_people:
            raise SpecError(f"people must be 0 to rows * max_people = {self.rows * self.max_people}, got {self.people}")

    @property
    def n_shards(self) -> int:
        """Shards of every array, ``ceil(N / R)``."""
        return -(-self.rows // self.shard_rows)

    def rows_of(self, shard: int) -> range:
        """Return the rows of a shard; SpecError when there is no such shard."""
        if not 0 <= shard < self.n_shards:
            raise SpecError(f"shard must be in [0, {self.n_shards - 1}], got {shard}")
        return range(shard * self.shard_rows, min(self.rows, (shard + 1) * self.shard_rows))

    def arrays(self) -> tuple[ArraySpec, ...]:
        """Return every array, sorted by name."""
        return self._arrays

    @cached_property
    def _arrays(self) -> tuple[ArraySpec, ...]:
        rows = row_arrays(self.spec, self.rows, images=self.images, maps=self.maps)
        return tuple(sorted((*rows, *self.tables()), key=lambda array: array.name))

    def tables(self) -> tuple[ArraySpec, ...]:
        """Return the arrays with a chunk a shard: `people/*`, `row/*` and the images' checksums."""
        sizes = {"max_people": self.max_people, "shard_rows": self.shard_rows}
        return table_arrays(self.spec, self.rows, images=self.images, **sizes)

    def array(self, name: str) -> ArraySpec:
        """Return one array by name; StoreError names what there is."""
        arrays = {array.name: array for array in self.arrays()}
        if name not in arrays:
            raise StoreError(f"no array {name!r} in this store; it has {', '.join(arrays)}")
        return arrays[name]

    def identity(self) -> dict[str, Any]:
        """Return, flat and as JSON values, everything that the arrays' contents depend on."""
        spec = {key: value for key, value in self.spec.to_json().items() if key not in DECODE_FIELDS}
        skeleton = {f"skeleton.{key}": value for key, value in spec.pop("skeleton").items()}
        own = self._own()
        views = {f"views.{key}": value for key, value in own.pop("view_ranges", {}).items()}
        if not self.images:
            del own["image_quality"]
        source = {"source": self.source.name, "annotation_sha256": self.source.sha256}
        return {**spec, **skeleton, **own, **views, **source}

    def _own(self) -> dict[str, Any]:
        """Return the fields that are no values of their own; the ranges of views, where there are any, as JSON."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("spec", "source", "view_ranges")}
        return own | ({"view_ranges": self.view_ranges.to_json()} if self.views > 1 else {})

    def fingerprint(self) -> str:
        """Return the sha256 (hex) of the canonical JSON of `identity`: equal ones can be written to one store."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        return hashlib.sha256(json.dumps(self.identity(), sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def differences(self, here: StoreSpec) -> list[str]:
        """Say what differs, such as ``sigma 7.0 there, 5.0 here``; ``self`` is there."""
        there, now = self.identity(), here.identity()
        keys = [key for key in {**there, **now} if there.get(key) != now.get(key)]
        return [f"{key} {there.get(key, 'none')} there, {now.get(key, 'none')} here" for key in keys]

    def attributes(
        self,
        *,
        complete: bool = False,
        counts: Mapping[str, int] | None = None,
        skipped: Mapping[str, int] | None = None,
    ) -> dict[str, Any]:
        """Return the attributes of the group: one key, ``spm``.

        Parameters
        ----------
        complete : bool
            Every shard is there; set by finalise alone.
        counts : mapping of str to int, optional
            Sums over the ledger.
        skipped : mapping of str to int, optional
            Rows that were skipped by the name of their `RowStatus`.
        """
        return {
            "spm": {
                "format_version": FORMAT_VERSION,
                "complete": complete,
                "fingerprint": self.fingerprint(),
                "layout": self._own(),
                "source": self.source.to_json(),
                "spec": self.spec.to_json(),
                "counts": dict(sorted((counts or {}).items())),
                "skipped": dict(sorted((skipped or {}).items())),
            }
        }

    @staticmethod
    def from_attributes(attributes: Mapping[str, Any], where: str = "this group") -> StoreSpec:
        """Build the spec from a group's attributes.

        Parameters
        ----------
        attributes : mapping
            What `attributes` returned, from JSON.
        where : str
            What to call the group in messages.

        Raises
        ------
        StoreError
            Not a store, another format version, attributes that contradict their fingerprint.
        """
        data = attributes.get("spm")
        if not isinstance(data, Mapping) or "format_version" not in data:
            raise StoreError(f"{where} is no spm store: its attributes have no 'spm' with a format_version")
        version = data["format_version"]
        if version != FORMAT_VERSION:
            raise StoreError(
                f"{where} has store format version {version!r}, this spm-toolkit reads version {FORMAT_VERSION}; "
                "upgrade spm-toolkit, or prepare the store again"
            )
        try:
            spec, source = TargetSpec.from_json(data["spec"]), SourceInfo(**data["source"])
            own = dict(data["layout"])
            ranges = ViewRanges.from_json(own.pop("view_ranges", {}))
            layout = StoreSpec(spec=spec, source=source, view_ranges=ranges, **own)
        except (SpecError, TypeError, KeyError, AttributeError) as error:
            raise StoreError(f"{where}: the attributes of the store cannot be read: {error}{PREPARE_AGAIN}") from error
        if data.get("fingerprint") != layout.fingerprint():
            raise StoreError(
                f"{where}: the attributes say fingerprint {data.get('fingerprint')}, but what they describe has "
                f"{layout.fingerprint()} here; another version of spm-toolkit wrote them, or they were changed: "
                "prepare the store again"
            )
        return layout
