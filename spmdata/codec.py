"""People to targets and back: the only door to the kernels.

Definition: Nie et al. 2019, section 3; every choice the paper leaves open is a field of TargetSpec.

Letters: N rows, P people, K joints, H, W cells of a map.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spmdata.errors import SpecError
from spmdata.geometry import cell_origin_px
from spmdata.kernels import batch, rules
from spmdata.padded import PeopleBatch, pad_people
from spmdata.people import People
from spmdata.spec import TargetSpec

Maps = NDArray[Any]


class Targets(NamedTuple):
    """The maps of one image, or of a batch with a leading (N,).

    ``root_heatmap`` (H, W); ``offsets`` (K, 2, H, W), cells divided by Z; ``count`` (K, H, W) uint8, how many persons
    were averaged, 0 = unsupervised; ``ignore`` (H, W) uint8, 1 = says nothing. ``root_depth`` (H, W) and ``count_z``
    (K, H, W) belong to 3D and are None in 2D. Heatmap and offsets have the spec's dtype.
    """

    root_heatmap: Maps
    offsets: Maps
    count: Maps | None = None  # type: ignore[assignment]  # hides tuple.count, which nobody asks of maps
    ignore: Maps | None = None
    root_depth: Maps | None = None
    count_z: Maps | None = None

    def at(self, index: int | slice | None) -> Targets:
        """Index the first axis of every array that is there: one row, some rows, or None for a batch of one."""

        def pick(maps: Maps | None) -> Maps | None:
            return None if maps is None else np.asarray(maps)[index]

        heatmap, offsets = np.asarray(self.root_heatmap)[index], np.asarray(self.offsets)[index]
        return Targets(heatmap, offsets, *(pick(maps) for maps in self[2:]))


class Reads(NamedTuple):
    """What a perfect walk through the encoded people meets.

    ``roots`` (P, 2) in cells; ``drawn`` (P,): in the targets at all; ``supervised`` (P, K): this
    joint's map carries a vector of the person; ``cells`` (P, K, 2): where each
    joint's map is read, as (u, v); ``read`` (P, K): this joint's map is read on the
    way to a labelled joint; ``direct`` (P, K): that read hits a cell that another person covers for the joint;
    ``path`` (P, K): it or a read before it does, or the joint was dropped.
    """

    roots: NDArray[np.float64]
    drawn: NDArray[np.bool_]
    supervised: NDArray[np.bool_]
    cells: NDArray[np.int64]
    read: NDArray[np.bool_]
    direct: NDArray[np.bool_]
    path: NDArray[np.bool_]


class Codec:
    """Encode people into targets and decode them again by one spec; holds no state but constants.

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
    def _rules(self) -> rules.Rules:
        spec = self.spec
        root_rules = {"mean": rules.ROOT_MEAN, "bbox": rules.ROOT_BBOX, "torso": rules.ROOT_TORSO}
        root_rule = root_rules.get(spec.root, rules.ROOT_JOINT)
        cut = -math.log(spec.heatmap_min) * spec.gaussian_denominator if spec.heatmap_min else math.inf
        return rules.Rules(
            stride=float(spec.stride),
            origin_px=cell_origin_px(spec.stride),
            root_rule=root_rule,
            root_joint=spec.skeleton.joints.index(spec.root) if root_rule == rules.ROOT_JOINT else -1,
            anchor_root=spec.anchor == "root",
            missing_parent=("reparent", "stay", "drop").index(spec.missing_parent),
            overlap=("mean", "nearest", "smallest").index(spec.overlap),
            square=spec.tau_metric == "square",
            tau=float(spec.tau_cell),
            norm=float(spec.norm_cell),
            heat_denominator=float(spec.gaussian_denominator),
            heat_cut=float(cut),
        )

    @cached_property
    def _tree(self) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
        tree = self.spec.tree
        torso = np.isin(np.arange(len(tree)), tree.torso)
        return torso, np.array(tree.parents, np.int64), np.array(tree.order(), np.int64)

    def empty_targets(self, n: int) -> Targets:
        """Return buffers for n rows, not initialised, to be given to `encode_batch` again and again."""
        (h, w), k = self.spec.map_hw, len(self.spec.skeleton)
        dtype = np.dtype(self.spec.dtype)
        return Targets(
            root_heatmap=np.empty((n, h, w), dtype),
            offsets=np.empty((n, k, 2, h, w), dtype),
            count=np.empty((n, k, h, w), np.uint8),
            ignore=np.empty((n, h, w), np.uint8),
        )

    def encode(self, people: People) -> Targets:
        """Return the targets of one image.

        Parameters
        ----------
        people : People
            In input px (already moved by the letterbox); D = 2.

        Returns
        -------
        Targets
            Without a batch axis.

        Raises
        ------
        SpecError
            The people have another number of joints or axes than the spec.
        """
        return self.encode_batch([people]).at(0)

    def encode_batch(self, people: Sequence[People] | PeopleBatch, out: Targets | None = None) -> Targets:
        """Return the targets of N images; ``out`` (from `empty_targets`) is overwritten in full and returned.

        Raises
        ------
        SpecError
            People or ``out`` do not fit the spec.
        """
        if not isinstance(people, PeopleBatch):
            people = pad_people(people, max([1, *map(len, people)]), len(self.spec.skeleton), self.spec.dims)
        self._check_people(people.joints)
        n = len(people.number)
        out = self.empty_targets(n) if out is None else out
        self._check_targets(out, n)
        if out.count is None or out.ignore is None:
            raise SpecError("out must hold count and ignore; take it from empty_targets")
        narrow = self.spec.dtype != "float32"
        heatmap = np.empty(out.root_heatmap.shape, np.float32) if narrow else out.root_heatmap
        offsets = np.empty(out.offsets.shape, np.float32) if narrow else out.offsets
        torso, parents, order = self._tree
        batch.encode_rows(
            *(people.joints, people.visible, people.area, people.bbox, people.ignore, people.number.astype(np.int64)),
            *(torso, parents, order, self._rules),
            *(heatmap, offsets, out.count, out.ignore),
        )
        if narrow:
            out.root_heatmap[...], out.offsets[...] = heatmap, offsets
        return out

    def decode(self, targets: Targets) -> People:
        """Return the people of one image's maps, best first; see `decode_batch`."""
        return self.decode_batch(targets.at(None))[0]

    def decode_batch(self, targets: Targets) -> list[People]:
        """Return the people of N images' maps, in input px, best first.

        Parameters
        ----------
        targets : Targets
            With a leading (N,); any float dtype; only root_heatmap, offsets and, when known, count are read.

        Returns
        -------
        list of People
            ``score`` is the heatmap at the peak; a joint is visible = 1, or 0 where count says nothing was encoded.

        Raises
        ------
        SpecError
            Maps that do not fit the spec.
        """
        return [people for people, _ in self.decode_with_cells(targets)]

    def decode_with_cells(self, targets: Targets) -> list[tuple[People, NDArray[np.int64]]]:
        """Return what `decode_batch` does, each with its peaks' cells (P, 2) as (u, v)."""
        n, k, most = len(targets.root_heatmap), len(self.spec.skeleton), self.spec.max_people
        self._check_targets(targets, n)
        cells, number = np.empty((n, most, 2), np.int64), np.empty(n, np.int64)
        scores = np.empty((n, most), np.float32)
        joints, visible = np.empty((n, most, k, 2), np.float32), np.empty((n, most, k), np.uint8)
        count = np.empty((n, 0, 0, 0), np.uint8) if targets.count is None else np.ascontiguousarray(targets.count)
        _, parents, order = self._tree
        batch.decode_rows(
            np.ascontiguousarray(targets.root_heatmap, np.float32),
            np.ascontiguousarray(targets.offsets, np.float32),
            *(count, parents, order, self._rules, self.spec.threshold, self.spec.nms),
            *(cells, scores, joints, visible, number),
        )
        found = []
        for i, p in enumerate(number.tolist()):
            people = People.of(joints[i, :p], visible[i, :p], score=scores[i, :p], ignore=np.zeros(p, np.bool_))
            found.append((people, cells[i, :p]))
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
        self._check_people(people.joints)
        p, k = people.visible.shape
        out = Reads(
            *(np.empty((p, 2), np.float64), np.empty(p, np.bool_), np.empty((p, k), np.bool_)),
            np.zeros((p, k, 2), np.int64),
            *(np.empty((p, k), np.bool_) for _ in range(3)),
        )
        (torso, parents, order), (height, width) = self._tree, self.spec.map_hw
        batch.collide_rows(
            people.joints, people.visible, people.bbox_xywh, people.ignore, torso, parents, order, self._rules,
            height, width, slack_cell, out.roots, out.drawn, out.supervised, out.cells, out.read, out.direct, out.path,
        )  # fmt: skip
        return out

    def warm_up(self) -> None:
        """Compile (or load from the cache) every kernel: once in the parent, before workers start."""
        self.decode(self.encode(People.empty(len(self.spec.skeleton))))
        self.reads(People.empty(len(self.spec.skeleton)))

    def _check_people(self, joints: NDArray[np.float32]) -> None:
        wanted = (len(self.spec.skeleton), self.spec.dims)
        if joints.shape[-2:] != wanted:
            raise SpecError(f"people have (joints, axes) {joints.shape[-2:]}, the spec says {wanted}")

    def _check_targets(self, targets: Targets, n: int) -> None:
        (h, w), k = self.spec.map_hw, len(self.spec.skeleton)
        shapes = {"root_heatmap": (n, h, w), "offsets": (n, k, 2, h, w), "count": (n, k, h, w), "ignore": (n, h, w)}
        for name, shape in shapes.items():
            array = getattr(targets, name)
            if array is not None and array.shape != shape:
                raise SpecError(f"targets.{name} must be {shape}, got {array.shape}")
