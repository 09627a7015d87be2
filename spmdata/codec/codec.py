"""Encode people into targets and decode them again, by one spec.

Definition: Nie et al. 2019, section 3; every choice the paper leaves open is a field of TargetSpec.

Letters: N rows, P people, K joints, D axes, H, W cells of a map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spmdata.camera import Camera
from spmdata.codec.constants import focal_px, rules_of, tree_of
from spmdata.codec.kept import Kept, no_memory
from spmdata.codec.scratch import Scratch
from spmdata.codec.targets import Reads, Targets
from spmdata.codec.tiers import COLLIDE, DECODE, ENCODE, MEET_S, SEARCH_ROW_S, compiling, seconds_to_draw
from spmdata.errors import SpecError
from spmdata.kernels import past, tables
from spmdata.kernels.rules import MEAN, Rules
from spmdata.padded import Decoded, PeopleBatch, pad_people
from spmdata.people import People
from spmdata.spec import TargetSpec


class Codec:
    """Encode people into targets and decode them again by one spec; holds no state but constants and scratch.

    Parameters
    ----------
    spec : TargetSpec
        Every convention.
    """

    def __init__(self, spec: TargetSpec) -> None:
        self.spec = spec

    def __reduce__(self) -> tuple[type[Codec], tuple[TargetSpec]]:
        """Pickle the spec alone."""
        return Codec, (self.spec,)

    @cached_property
    def _rules(self) -> Rules:
        return rules_of(self.spec)

    @cached_property
    def _tree(self) -> tables.Tree:
        return tree_of(self.spec)

    @cached_property
    def _scratch(self) -> Scratch:
        return Scratch(len(self.spec.skeleton), self.spec.dims, self.spec.map_hw, self._rules.reach)

    def empty_targets(self, n: int) -> Targets:
        """Return buffers for n rows, not initialised, for `encode_batch`: large ones go past the caches."""
        dtypes: dict[str, Any] = {"root_heatmap": self.spec.dtype, "offsets": self.spec.dtype, "root_depth": np.float32}
        shapes = self._row_shapes.items()
        return Targets(**{name: past.on_line((n, *shape), dtypes.get(name, np.uint8)) for name, shape in shapes})

    def encode(self, people: People, camera: Camera | None = None) -> Targets:
        """Return the targets of one image.

        Parameters
        ----------
        people : People
            In input px (already moved by the letterbox).
        camera : Camera, optional
            Of the input (moved by the letterbox too); needed when the spec has 3 dims and somebody has depth.

        Returns
        -------
        Targets
            Without a batch axis.

        Raises
        ------
        SpecError
            The people have another number of joints or axes than the spec, or depth but no camera.
        """
        return self.encode_batch([people], cameras=[camera]).at(0)

    def encode_batch(
        self,
        people: Sequence[People] | PeopleBatch,
        out: Targets | None = None,
        cameras: Sequence[Camera | None] | None = None,
    ) -> Targets:
        """Return the targets of N images; ``out`` (from `empty_targets`) is overwritten in full and returned.

        Raises
        ------
        SpecError
            People or ``out`` do not fit the spec, or somebody has depth without a camera.
        """
        rows, asked = self._rows(people, cameras)
        n = len(rows.number)
        out = self.empty_targets(n) if out is None else out
        self._check_targets(out, n)
        missing = [name for name in self._row_shapes if getattr(out, name) is None]
        if missing:
            raise SpecError(f"out must hold {' and '.join(missing)}; take it from empty_targets")
        narrow = self.spec.dtype != "float32"
        wide = [past.on_line(maps.shape, np.float32) if narrow else maps for maps in out[:2]]
        self._draw(rows, asked, self._maps(Targets(wide[0], wide[1], *out[2:])), *no_memory(n))
        if narrow:
            out.root_heatmap[...], out.offsets[...] = wide
        return out

    def kept(self, n: int, *, channels_last: bool = False) -> Kept:
        """Return targets for up to n images that are drawn again and again: what was drawn is undone, not zeroed.

        Parameters
        ----------
        n : int
            Most images a batch.
        channels_last : bool
            Lay offsets out as (N, H, W, K, D), and count as (N, H, W, K): all joints of a cell lie together, which is
            what torch calls channels last. The arrays keep their shapes; only their strides differ.

        Raises
        ------
        SpecError
            The spec's dtype is not float32.
        """
        return Kept(self, n, channels_last=channels_last)

    def decode(self, targets: Targets, camera: Camera | None = None) -> People:
        """Return the people of one image's maps, best first; see `decode_batch`."""
        return self.decode_batch(targets.at(None), None if camera is None else [camera])[0]

    def decode_batch(self, targets: Targets, cameras: Sequence[Camera | None] | None = None) -> list[People]:
        """Return the people of N images' maps, in input px, best first.

        Parameters
        ----------
        targets : Targets
            With a leading (N,); any float dtype. Read are root_heatmap, offsets, root_depth in 3D, count when known.
        cameras : sequence of Camera or None, optional
            Of the inputs; needed when the spec has 3 dims. None stands for an image whose people have no depth.

        Returns
        -------
        list of People
            ``score`` is the heatmap at the peak; a joint is visible = 1, or 0 where count says nothing was encoded. In
            3D joints are (x px, y px, z cm), which `Camera.unproject` turns into cm, of people who ``have_depth``.

        Raises
        ------
        SpecError
            Maps that do not fit the spec, or 3 dims without root_depth or cameras.
        """
        return [people for people, _ in self.decode_with_cells(targets, cameras)]

    def decode_with_cells(
        self, targets: Targets, cameras: Sequence[Camera | None] | None = None
    ) -> list[tuple[People, NDArray[np.int64]]]:
        """Return what `decode_batch` does, each with its peaks' cells (P, 2) as (u, v)."""
        found = self.decode_tables(targets, cameras)
        return [(people, cells[: len(people)]) for people, cells in zip(found.people(), found.cells, strict=True)]

    def decode_tables(self, targets: Targets, cameras: Sequence[Camera | None] | None = None) -> Decoded:
        """Return what `decode_batch` does as padded tables: no object a person or an image, for whole data sets."""
        n, k, most, dims = len(targets.root_heatmap), len(self.spec.skeleton), self.spec.max_people, self.spec.dims
        self._check_targets(targets, n)
        if dims == 3 and (targets.root_depth is None or cameras is None):
            raise SpecError("3D targets decode by root_depth and a camera an image: pass both, or use a spec of dims 2")
        found = Decoded.nobody(n, most, k, dims)
        heatmaps, offsets = (np.ascontiguousarray(maps, np.float32) for maps in targets[:2])
        counts = np.empty((n, 0, 0, 0), np.uint8) if targets.count is None else targets.count
        depths = np.empty((n, 0, 0), np.float32) if targets.root_depth is None else targets.root_depth
        tree, rules = self._tree, self._rules
        DECODE.take(heatmaps.shape[0] * heatmaps.shape[1] * SEARCH_ROW_S)(
            *(heatmaps, offsets, counts, depths, focal_px(cameras, n), tree.parents, tree.order),
            *(rules.anchor_root, rules.norm, rules.stride, rules.origin_px, self.spec.threshold, self.spec.nms),
            *(found.number, found.cells, found.score, found.joints, found.visible, found.has_depth),
        )
        return found

    def reads(self, people: People, slack_cell: float = 0.0) -> Reads:
        """Return where a perfect walk through these people's targets would meet other people's cells.

        Parameters
        ----------
        people : People
            In input px.
        slack_cell : float
            How far the points that the walk stands on may be off, in cells, by rounding: half-way between two cells it
            may then read either.

        Raises
        ------
        SpecError
            The people do not fit the spec.
        """
        rows, _ = self._rows([replace(people, has_depth=np.zeros(len(people), np.bool_))], None)  # depth moves no read
        out = Reads.empty(*people.visible.shape)
        has_depth = people.has_depth.copy()  # for read-only arrays kernels would be compiled once more
        links, stand = tables.new_links(*rows.joints.shape[1:3]), np.empty((len(self.spec.skeleton), 2))
        COLLIDE.take(len(people) ** 2 * MEET_S)(
            rows, 0, has_depth, self._tree, self._rules, *self.spec.map_hw, slack_cell, links, stand, out.roots,
            out.z_roots, out.drawn, out.supervised, out.cells, out.read, out.direct, out.path, out.mixed,
        )  # fmt: skip
        return out

    def warm_up(self, *, decode: bool = True, rows: float = np.inf, people: float = np.inf) -> None:
        """Compile (or load from the cache) every kernel: once in the parent, before workers start.

        Parameters
        ----------
        decode : bool
            False: the encoder alone, nearly half the time.
        rows, people : float
            How many will be asked for: few are not worth it, and done in plain Python (`spmdata.codec.tiers`).
        """
        searched = rows * self.spec.map_hw[0] * SEARCH_ROW_S
        if ENCODE.affords(self._seconds(people)) and (not decode or DECODE.affords(searched)):
            return
        for tier in (ENCODE, DECODE, COLLIDE) if decode else (ENCODE,):
            tier.settled = True
        nobody = People.empty(len(self.spec.skeleton), self.spec.dims)
        with compiling():
            targets = self.encode(nobody)
            if decode:
                self.decode_tables(targets.at(None), [Camera(np.eye(3), np.zeros(5), np.eye(3), np.zeros(3))])
                self.reads(nobody)

    def _rows(
        self, people: Sequence[People] | PeopleBatch, cameras: Sequence[Camera | None] | None
    ) -> tuple[tables.Rows, tuple[Any, Any]]:
        """Return people as kernels take them, areas and who has depth, or None if not asked; depth takes a camera."""
        wanted = (len(self.spec.skeleton), self.spec.dims)
        if not isinstance(people, PeopleBatch):
            people = pad_people(people, max([1, *map(len, people)]), *wanted)
        n, found = len(people.number), people.joints.shape[-2:]
        if found != wanted:
            raise SpecError(f"people have (joints, axes) {found}, the spec says {wanted}")
        if self.spec.dims == 3:
            blind = people.has_depth.any(axis=1) & np.array([camera is None for camera in cameras or [None] * n], bool)
            if blind.any():
                raise SpecError(
                    f"row {int(np.argmax(blind))} has people with depth, but no camera: "
                    "pass the camera of its input, or use dims 2"
                )
        rows = tables.Rows(
            *(people.number.astype(np.int64), people.joints, people.visible, people.bbox, people.ignore),
            focal_px(cameras, n),
        )
        areas = people.area if self._rules.overlap != MEAN else None
        return rows, (areas, None if areas is None and self.spec.dims == 2 else people.has_depth)

    def _draw(
        self,
        rows: tables.Rows,
        asked: tuple[Any, Any],
        maps: tables.Maps,
        boxes: NDArray[np.int32],
        held: NDArray[np.int64],
    ) -> None:
        """Draw rows on float32 maps that remember what is drawn in boxes, or nothing; see `batch.encode_rows`."""
        tree, rules, kept = tuple(self._tree), tuple(self._rules), boxes.shape[1] > 0
        kernel = ENCODE.compiled if kept or ENCODE.settled else ENCODE.take(self._seconds(float(rows.number.sum())))
        beyond = not kept and kernel is ENCODE.compiled and past.goes_past(maps)
        scratch = self._scratch.arrays(rows.joints.shape[1])
        kernel(tuple(rows), *asked, tree, rules, tuple(maps), boxes, held, beyond, *scratch)

    def _seconds(self, people: float) -> float:
        """Return how long plain Python takes to draw so many people."""
        return seconds_to_draw(people, len(self.spec.skeleton), self._rules, self.spec.map_hw)

    @cached_property
    def _row_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every array of one row's targets."""
        (h, w), k = self.spec.map_hw, len(self.spec.skeleton)
        flat = {"root_heatmap": (h, w), "offsets": (k, self.spec.dims, h, w), "count": (k, h, w), "ignore": (h, w)}
        return flat if self.spec.dims == 2 else {**flat, "root_depth": (h, w), "count_z": (k, h, w)}

    def _maps(self, targets: Targets) -> tables.Maps:
        """Return targets as kernels take them: arrays without cells stand for what is None."""
        (n, k), depths = targets.offsets.shape[:2], targets.root_depth
        return tables.Maps(
            *targets[:2],
            np.empty((n, 0, 0, 0), np.uint8) if targets.count is None else targets.count,
            np.empty((n, 0, 0), np.uint8) if targets.ignore is None else targets.ignore,
            np.empty((n, 1, 1, 0, 0), np.float32) if depths is None else depths[:, None, None],
            np.empty((n, k, 0, 0), np.uint8) if targets.count_z is None else targets.count_z,
        )

    def _check_targets(self, targets: Targets, n: int) -> None:
        for name, shape in self._row_shapes.items():
            array = getattr(targets, name)
            if array is not None and array.shape != (n, *shape):
                raise SpecError(f"targets.{name} must be {(n, *shape)}, got {array.shape}")
