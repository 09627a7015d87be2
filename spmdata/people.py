"""The people of one image as columns, and the sample that a source yields.

Letters: P people, K joints, D axes (x, y[, z]). Joints are (x, y) in pixels of the image or input at hand; z in cm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spmdata.camera import Camera
from spmdata.errors import AnnotationError
from spmdata.geometry import Affine
from spmdata.skeleton import Skeleton

#: dtype of each column; a column's first axis is P.
DTYPES = {
    "joints": np.float32,
    "visible": np.uint8,
    "area": np.float32,
    "bbox_xywh": np.float32,
    "ignore": np.bool_,
    "has_depth": np.bool_,
    "head_px": np.float32,
    "id": np.int64,
    "score": np.float32,
}


@dataclass(frozen=True, eq=False)
class People:
    """Everybody in one image; P may be 0.

    Parameters
    ----------
    joints : (P, K, D) float32
        px (and cm for z); 0 where ``visible`` is 0.
    visible : (P, K) uint8
        0 not labelled, 1 labelled and occluded, 2 visible, as in COCO.
    area : (P,) float32
        Area of the person in px squared (COCO: of the segment), the scale in OKS.
    bbox_xywh : (P, 4) float32
        Box in pixel-edge units.
    ignore : (P,) bool
        A crowd: an ignore region, never background. So is a person without labelled joints, see `regions`.
    has_depth : (P,) bool
        z is known; False for 2D.
    head_px : (P,) float32
        Head size in px (MPII); 0 where unknown.
    id : (P,) int64
        Annotation id; -1 where there is none.
    score : (P,) float32
        Confidence of a decoded person; 1 for an annotated one.

    Raises
    ------
    AnnotationError
        Shapes that do not fit, a labelled joint that is not finite, a visibility above 2.
    """

    joints: NDArray[np.float32]
    visible: NDArray[np.uint8]
    area: NDArray[np.float32]
    bbox_xywh: NDArray[np.float32]
    ignore: NDArray[np.bool_]
    has_depth: NDArray[np.bool_]
    head_px: NDArray[np.float32]
    id: NDArray[np.int64]
    score: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Bring every column to its dtype and check that the shapes agree."""
        for name, dtype in DTYPES.items():
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype))
        if self.joints.ndim != 3 or self.joints.shape[2] not in (2, 3):
            raise AnnotationError(f"joints must be (P, K, 2) or (P, K, 3), got {self.joints.shape}")
        p, k, _ = self.joints.shape
        wanted = {name: (p,) for name in DTYPES} | {"visible": (p, k), "bbox_xywh": (p, 4), "joints": self.joints.shape}
        for name, shape in wanted.items():
            if getattr(self, name).shape != shape:
                raise AnnotationError(f"people.{name} must be {shape}, got {getattr(self, name).shape}")
        if self.visible.size and self.visible.max() > 2:
            raise AnnotationError(f"people.visible must be 0, 1 or 2, got {self.visible.max()}")
        labelled = self.visible > 0
        if not np.isfinite(self.joints[labelled]).all():
            bad = int(np.nonzero(~np.isfinite(self.joints).all(-1) & labelled)[0][0])
            raise AnnotationError(f"person {bad} (id {self.id[bad]}): a labelled joint is not a finite number")
        if not labelled.all():
            object.__setattr__(self, "joints", np.where(labelled[..., None], self.joints, np.float32(0)))

    @staticmethod
    def of(
        joints: ArrayLike,
        visible: ArrayLike,
        *,
        area: ArrayLike | None = None,
        bbox_xywh: ArrayLike | None = None,
        ignore: ArrayLike | None = None,
        id: ArrayLike | None = None,
        score: ArrayLike | None = None,
    ) -> People:
        """Build people from joints (P, K, D) and visible (P, K); what is left out is derived or neutral.

        A box left out is the tight box of the labelled joints; an area left out is 0.53 * w * h of the box.
        """
        xy, seen = np.asarray(joints, np.float32), np.asarray(visible, np.uint8)
        if xy.ndim != 3 or xy.shape[:2] != seen.shape:
            raise AnnotationError(f"joints (P, K, D) and visible (P, K) do not fit: {xy.shape}, {seen.shape}")
        p = len(xy)
        box = _tight_boxes(xy, seen) if bbox_xywh is None else np.asarray(bbox_xywh, np.float32).reshape(p, 4)
        columns: dict[str, Any] = {
            "joints": xy,
            "visible": seen,
            "area": 0.53 * box[:, 2] * box[:, 3] if area is None else area,
            "bbox_xywh": box,
            "ignore": np.zeros(p, np.bool_) if ignore is None else ignore,
            "has_depth": np.full(p, xy.shape[2] == 3),
            "head_px": np.zeros(p),
            "id": np.full(p, -1) if id is None else id,
            "score": np.ones(p) if score is None else score,
        }
        return People(**columns)

    @staticmethod
    def empty(n_joints: int, dims: int = 2) -> People:
        """Return nobody."""
        return People.of(np.zeros((0, n_joints, dims)), np.zeros((0, n_joints), np.uint8))

    def __len__(self) -> int:
        """Return P."""
        return len(self.joints)

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Which joints have a position, (P, K) bool."""
        return self.visible > 0

    @property
    def regions(self) -> NDArray[np.bool_]:
        """Who is an ignore region instead of a person, (P,) bool: crowds, and persons without labelled joints."""
        return self.ignore | ~self.labelled.any(axis=1)

    def select(self, which: NDArray[np.generic] | slice | Sequence[int]) -> People:
        """Return some of the people, by mask, index or slice, in that order, in arrays of their own."""
        some = object.__new__(People)  # what was checked once is not checked again: half the time of a source's sample
        own = np.ndarray.copy if isinstance(which, slice) else np.ascontiguousarray
        columns = vars(some)
        for name, column in vars(self).items():
            columns[name] = own(column[which])
        return some

    def transform(self, affine: Affine) -> People:
        """Return the people after the image was moved by ``affine``: areas by its determinant, depth untouched.

        Boxes become the upright boxes around the moved ones, which keep the moved centre.
        """
        joints = self.joints.copy()
        joints[..., :2] = affine.apply(self.joints[..., :2])
        return replace(
            self,
            joints=joints,
            area=self.area * affine.area_scale,
            bbox_xywh=affine.apply_boxes(self.bbox_xywh).astype(np.float32),
            head_px=self.head_px * affine.area_scale**0.5,
        )

    def in_camera(self, camera: Camera) -> NDArray[np.float64]:
        """Return the joints of people with depth in the camera's frame, (P, K, 3) cm; see `Camera.rays`.

        Parameters
        ----------
        camera : Camera
            Of the image that the joints are in px of.
        """
        return camera.rays(self.joints[..., :2]) * self.joints[..., 2:]

    def flip(self, skeleton: Skeleton, width_px: int) -> People:
        """Return the people in the mirror: ``x' = width_px - 1 - x``, left and right joints swapped."""
        joints, box = self.joints.copy(), self.bbox_xywh.copy()
        joints[..., 0] = np.float32(width_px - 1) - joints[..., 0]
        box[:, 0] = np.float32(width_px) - box[:, 0] - box[:, 2]
        return replace(self, joints=joints, bbox_xywh=box).swap_sides(skeleton)

    def swap_sides(self, skeleton: Skeleton) -> People:
        """Return the people with left and right joints exchanged, as in a mirror, where they are."""
        swap = np.asarray(skeleton.flip)
        return replace(self, joints=self.joints[:, swap], visible=self.visible[:, swap])


def _tight_boxes(joints: NDArray[np.float32], visible: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Smallest boxes (P, 4) in pixel-edge units that cover the labelled joints' pixels; zeros without any."""
    # Joint by joint: along the last axis but one numpy takes one number a step, three times as long.
    xy = np.ascontiguousarray(joints[..., :2].transpose(1, 0, 2))
    labelled = np.ascontiguousarray(visible.T > 0)[..., None]
    low = np.where(labelled, xy, np.inf).min(0, initial=np.inf)
    high = np.where(labelled, xy, -np.inf).max(0, initial=-np.inf)
    some = labelled.any(0)
    return np.where(some, np.concatenate([low, high - low + 1], 1), 0).astype(np.float32)


@dataclass(frozen=True)
class Sample:
    """What a source yields: one image's name, size and people in original pixels.

    Parameters
    ----------
    id : int
        Image id in the annotation file.
    path : str
        Image file relative to the source's image root; empty when there is none.
    size_hw : (int, int)
        Height and width in px that the annotations refer to.
    people : People
        In pixels of that image.
    camera : Camera or None
        For 3D sources: of that image; people with depth need one.
    meta : str
        JSON text with what only some sources know (crowdIndex, MPII group); empty for none.
    source : int
        Which part of a mixed set it comes from, from 0.

    Raises
    ------
    AnnotationError
        Somebody has depth, and there is no camera.
    """

    id: int
    path: str
    size_hw: tuple[int, int]
    people: People
    camera: Camera | None = None
    meta: str = ""
    source: int = 0

    def __post_init__(self) -> None:
        """Demand a camera where somebody has depth: targets cannot say how far away a person is without one."""
        if self.camera is None and self.people.joints.shape[2] == 3 and self.people.has_depth.any():
            bad = int(np.argmax(self.people.has_depth))
            raise AnnotationError(
                f"image {self.id}: person {bad} (id {self.people.id[bad]}) has depth, but the image has no camera; "
                "give the sample its camera, or set has_depth to False"
            )


@dataclass(frozen=True)
class SourceInfo:
    """Where samples come from, as a store records it: nothing of this machine or of the time.

    Parameters
    ----------
    name : str
        Source name, such as ``coco``.
    split : str
        Split name, such as ``train2017``; empty when there is none.
    annotations : str
        The annotation file's name without its folder.
    sha256 : str
        Hex digest of that file's bytes.
    parts : tuple of SourcePart
        The sources of a mix by `Sample.source`; empty for any other.
    """

    name: str
    split: str
    annotations: str
    sha256: str
    parts: tuple[SourcePart, ...] = ()

    def __post_init__(self) -> None:
        """Make parts of what JSON has for them."""
        parts: tuple[Any, ...] = tuple(self.parts)
        object.__setattr__(self, "parts", tuple(SourcePart(**p) if isinstance(p, dict) else p for p in parts))

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values, without parts when there are none."""
        said = asdict(self)
        return said if self.parts else {name: value for name, value in said.items() if name != "parts"}

    def row_weights(self, source: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return how often each row is shown in an epoch, given ``row/source`` (N,): its part's weight, else 1."""
        if not self.parts:
            return np.ones(len(source))
        return np.array([part.weight for part in self.parts])[np.asarray(source)]


@dataclass(frozen=True)
class SourcePart:
    """One source of a mix, as a store records it: `SourceInfo`'s fields, its rows and their weight in an epoch."""

    name: str
    split: str
    annotations: str
    sha256: str
    rows: int
    weight: float
