"""How a store lies on disk, zarr or HDF5: what differs between them, and nothing else.

The writer, the ledger, the manifest, the check and the reader are the same for both and go through a `Form`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from spmdata.store.arrays import ArraySpec
from spmdata.store.hdf5_io import Hdf5Form
from spmdata.store.remote import AnyPath, RemotePath, StoreName, StorePath, locate
from spmdata.store.schema import StoreSpec
from spmdata.store.shards import ShardFile
from spmdata.store.zarr_io import ZarrForm


class Form(Protocol):
    """One store's form.

    Attributes
    ----------
    path : Path or RemotePath
        The store, as users name it.
    home : Path or RemotePath
        The folder that has ``.spm`` and the shards.
    root : str
        Name of the metadata file with the attributes.
    parts : tuple of Path or RemotePath
        Everything that the store is, in the order in which it is moved away.
    names_rows : bool
        The chunks of a damaged file can be looked at one by one, to name the rows.
    """

    root: str
    names_rows: bool

    @property
    def path(self) -> AnyPath: ...  # noqa: D102

    @property
    def home(self) -> AnyPath: ...  # noqa: D102

    @property
    def parts(self) -> tuple[AnyPath, ...]: ...  # noqa: D102

    def vacant(self) -> bool:
        """Return whether nothing is there, so that a store may be created."""

    def ours(self) -> bool:
        """Return whether what is there is a store of ours, readable or damaged."""

    def aside(self, number: str) -> tuple[AnyPath, ...]:
        """Return where ``--force`` moves the parts; ``number`` is empty at first."""

    def attributes(self) -> dict[str, Any]:
        """Return the attributes, JSON values; StoreError when nothing is there or it has none."""

    def create(self, layout: StoreSpec) -> None:
        """Create an empty, unfinished store; StoreError when the disk refuses."""

    def restore(self) -> None:
        """Create what a kill in `create` left out."""

    def metadata_names(self, layout: StoreSpec) -> list[str]:
        """Return the names of all metadata files."""

    def metadata(self, layout: StoreSpec, attributes: Mapping[str, Any]) -> dict[str, bytes]:
        """Return every metadata file by name, the root's with these attributes."""

    def file(self, name: str) -> AnyPath:
        """Return where a file lies that the manifest names."""

    def update(self, name: str, text: bytes) -> None:
        """Write a metadata file whole, unless it holds just that already."""

    def shard_files(self, layout: StoreSpec, shard: int) -> Mapping[str, StorePath]:
        """Return the files of a shard by the ledger's names for them."""

    def file_key(self, array: ArraySpec) -> str:
        """Return the ledger's name for the file that an array's shards lie in."""

    def lost_files(self, layout: StoreSpec) -> Sequence[StorePath]:
        """Return the files that are missing of a finished store, as far as that can be known without its ledger."""

    def array_bytes(self, layout: StoreSpec, shard: int, sizes: Mapping[str, int]) -> dict[str, int]:
        """Return the bytes that each array takes in a shard whose files have these sizes; StoreError on damage."""

    def encode(self, array: ArraySpec, values: NDArray[Any] | Sequence[bytes | str]) -> bytes | None:
        """Return a chunk's bytes; None when all is fill value."""

    def shard_pieces(
        self, layout: StoreSpec, chunks: Mapping[str, Sequence[bytes | None]]
    ) -> dict[str, Sequence[bytes]]:
        """Return what the files of a shard hold, piece by piece, by the ledger's names; nothing for no file."""

    def open_shard(self, layout: StoreSpec, array: ArraySpec, shard: int) -> ShardFile:
        """Open one array of one shard; FileNotFoundError when there is no file."""


def form_of(path: StoreName) -> Form:
    """Return the form of a store: HDF5 when its name ends in ``.h5`` or it is a file, else, and at a URL, zarr."""
    place = locate(path)
    if not isinstance(place, RemotePath) and (place.suffix == ".h5" or place.is_file()):
        return Hdf5Form(place)
    return ZarrForm(place)
