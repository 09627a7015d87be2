"""Every convention of the targets as a named field of one frozen value, stored with the data.

``docs/design.md`` and the fields below say what each one means; nothing about targets is a default deep in a kernel.

Letters: K joints; H, W cells of a map; s stride; Z the norm of the offsets; d a distance in cells.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from types import MappingProxyType
from typing import Any, Literal, get_args, get_type_hints

from spmdata.errors import SpecError
from spmdata.skeleton import Skeleton
from spmdata.skeletons import COCO17

Anchor = Literal["parent", "root"]
TauMetric = Literal["squared", "radius", "square"]
Overlap = Literal["mean", "nearest", "smallest"]
MissingParent = Literal["reparent", "stay", "drop"]
Gaussian = Literal["paper", "standard"]
Unit = Literal["cell", "input_px"]
Norm = Literal["diagonal", "none"]
DType = Literal["float32", "float16"]

#: Fields that only decoding reads: not part of the fingerprint, and any command may override them.
DECODE_FIELDS = ("nms", "max_people", "threshold")


@dataclass(frozen=True, kw_only=True)
class TargetSpec:
    """What the targets are: the skeleton and every convention (Nie et al. 2019, section 3, and what it leaves open).

    Parameters
    ----------
    skeleton : Skeleton
        The joints; ``hierarchical`` says whether offsets follow its tree or a star.
    hierarchical : bool
        False: flat SPR, every joint hangs from the root. True: hierarchical SPR along ``skeleton.parents``.
    anchor : {"parent", "root"}
        Where a joint's vectors lie: round its parent joint, or all round the root.
    tau : float
        Size of the neighbourhood that carries a vector, in ``unit``.
    tau_metric : {"squared", "radius", "square"}
        ``||d||^2 <= tau``, ``||d|| <= tau`` or ``max(|du|, |dv|) <= tau``.
    overlap : {"mean", "nearest", "smallest"}
        Several persons on one cell: their average, the one whose anchor is nearest, or the one of smallest area
        (input px squared). Exact ties are averaged.
    missing_parent : {"reparent", "stay", "drop"}
        A labelled joint whose parent is not: it hangs from its nearest labelled ancestor; the same and the absent joint
        is supervised with zero there when it has a labelled descendant; or it is left out.
    root : str
        ``"mean"`` of the labelled joints, ``"bbox"`` centre, mean of the labelled ``"torso"`` joints (else all
        labelled), or the name of a joint that is its own mirror.
    sigma : float
        Width of the root's Gaussian in ``unit``.
    gaussian : {"paper", "standard"}
        ``exp(-d^2 / sigma^2)`` or ``exp(-d^2 / (2 sigma^2))``.
    unit : {"cell", "input_px"}
        Unit of sigma and tau.
    heatmap_min : float
        Smaller heatmap values become 0; 0 keeps the untruncated form.
    norm : {"diagonal", "none"}
        Offsets are divided by Z, ``sqrt(H^2 + W^2)`` of the map, or not.
    input_hw : (int, int)
        Network input (height, width) in px, multiples of ``stride``.
    stride : {2, 4, 8}
        Input px per cell.
    dtype : {"float32", "float16"}
        dtype of the stored heatmap and offsets.
    dims : {2, 3}
        Axes of a joint: (x, y) in px, or (x, y, z) with z in cm in the camera's frame.
    nms : {1, 3, 5, 7}
        Decode: side of the peak window in cells.
    max_people : int
        Decode: most people returned.
    threshold : float
        Decode: smallest heatmap value of a peak.

    Raises
    ------
    SpecError
        A value out of range or not supported yet; the message names the field and what it takes.
    """

    skeleton: Skeleton = COCO17
    hierarchical: bool = False
    anchor: Anchor = "parent"
    tau: float = 7.0
    tau_metric: TauMetric = "squared"
    overlap: Overlap = "mean"
    missing_parent: MissingParent = "reparent"
    root: str = "mean"
    sigma: float = 7.0
    gaussian: Gaussian = "paper"
    unit: Unit = "cell"
    heatmap_min: float = 0.01
    norm: Norm = "diagonal"
    input_hw: tuple[int, int] = (384, 384)
    stride: int = 4
    dtype: DType = "float32"
    dims: int = 2
    nms: int = 5
    max_people: int = 30
    threshold: float = 0.1

    def __post_init__(self) -> None:
        """Check every field once."""
        for name, hint in get_type_hints(type(self)).items():
            if choices := get_args(hint) if hint not in (tuple[int, int],) else ():
                _demand(getattr(self, name) in choices, name, f"one of {', '.join(choices)}", getattr(self, name))
        _demand(isinstance(self.hierarchical, bool), "hierarchical", "true or false", self.hierarchical)
        for name, low, high in (
            ("tau", 0, 1e8),
            ("sigma", 0.01, 1e4),
            ("heatmap_min", 0, 0.99),
            ("threshold", 1e-6, 1),
        ):
            value = getattr(self, name)
            good = isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
            _demand(good, name, f"a number in [{low:g}, {high:g}]", value)
            object.__setattr__(self, name, float(value))
        for name, choices in (("stride", (2, 4, 8)), ("nms", (1, 3, 5, 7)), ("dims", (2, 3))):
            listed = f"{', '.join(map(str, choices[:-1]))} or {choices[-1]}"
            _demand(_is_int(getattr(self, name)) and getattr(self, name) in choices, name, listed, getattr(self, name))
        _demand(_is_int(self.max_people) and 1 <= self.max_people <= 1000, "max_people", "1 to 1000", self.max_people)
        self._check_size()
        self._check_root()

    def _check_size(self) -> None:
        sizes = tuple(self.input_hw) if isinstance(self.input_hw, (list, tuple)) else ()
        _demand(len(sizes) == 2 and all(map(_is_int, sizes)), "input_hw", "(height, width) in px", self.input_hw)
        _demand(max(sizes) <= 8192, "input_hw", "at most 8192 px a side", sizes)
        object.__setattr__(self, "input_hw", sizes)
        s = self.stride
        if any(n < s or n % s for n in sizes):
            near = tuple(max(s, round(n / s) * s) for n in sizes)
            raise SpecError(f"input_hw must be a multiple of stride {s}, got {sizes}; try {near}")

    def _check_root(self) -> None:
        if self.root in ("mean", "bbox", "torso"):
            return
        skeleton = self.skeleton
        own_mirror = [j for i, j in enumerate(skeleton.joints) if skeleton.flip[i] == i]
        wanted = ", ".join(["mean", "bbox", "torso", *own_mirror])
        _demand(self.root in own_mirror, "root", f"one of {wanted} (a joint must be its own mirror)", self.root)

    @property
    def tree(self) -> Skeleton:
        """The skeleton that offsets follow: itself, or its star when flat."""
        return self.skeleton if self.hierarchical else self.skeleton.star()

    @property
    def map_hw(self) -> tuple[int, int]:
        """Height and width of the maps in cells."""
        return self.input_hw[0] // self.stride, self.input_hw[1] // self.stride

    @property
    def norm_cell(self) -> float:
        """Z: what stored offsets are multiplied by to become cells."""
        return math.hypot(*self.map_hw) if self.norm == "diagonal" else 1.0

    @property
    def gaussian_denominator(self) -> float:
        """The denominator of the exponent: ``exp(-d^2 / this)`` with d in cells."""
        sigma_cell = self.sigma / (self.stride if self.unit == "input_px" else 1)
        return sigma_cell**2 * (1 if self.gaussian == "paper" else 2)

    @property
    def tau_cell(self) -> float:
        """Limit of the neighbourhood in cells: of d squared (``squared``, ``radius``), or of max(|du|, |dv|)."""
        unit = self.stride if self.unit == "input_px" else 1
        if self.tau_metric == "squared":
            return self.tau / unit**2
        return (self.tau / unit) ** 2 if self.tau_metric == "radius" else self.tau / unit

    def changed(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults, but for the skeleton."""
        names = [f.name for f in fields(self) if f.name != "skeleton"]
        defaults = TargetSpec()
        return {name: getattr(self, name) for name in names if getattr(self, name) != getattr(defaults, name)}

    def to_json(self) -> dict[str, Any]:
        """Return every field as plain JSON values."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> TargetSpec:
        """Build a spec from `to_json`'s value; an unknown key is a SpecError that names the nearest one."""
        check_keys(data, [f.name for f in fields(TargetSpec)])
        values = dict(data)
        if "skeleton" in values:
            values["skeleton"] = Skeleton.from_json(values["skeleton"])
        return TargetSpec(**values)

    def fingerprint(self) -> str:
        """Return the sha256 (hex) of the canonical JSON of what encoding depends on; decode fields are left out."""
        data = {key: value for key, value in self.to_json().items() if key not in DECODE_FIELDS}
        return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def override(self, **changes: Any) -> TargetSpec:
        """Return the spec with some fields changed and all checked again."""
        return replace(self, **changes)

    @staticmethod
    def preset(name: str, **changes: Any) -> TargetSpec:
        """Return one of PRESETS with some fields changed; SpecError on another name."""
        if not isinstance(name, str) or name not in PRESETS:
            raise SpecError(f"no preset {name!r}; there are {', '.join(PRESETS)}")
        return TargetSpec(**{**PRESETS[name], **changes})


#: What each preset changes of the defaults.
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "paper": {},
        # PPN itself sums and clips where people overlap; 21.24 px is where its Gaussian passes 0.01.
        "ppn": {"unit": "input_px", "gaussian": "standard", "tau_metric": "radius", "tau": 21.24, "overlap": "nearest"},
        "dekr": {
            **{"hierarchical": False, "root": "mean", "gaussian": "standard", "sigma": 4.0, "threshold": 0.01},
            **{"tau_metric": "square", "tau": 4.0, "overlap": "smallest", "norm": "none"},
        },
        "sharp": {"overlap": "nearest"},
    }
)


def check_keys(keys: Iterable[str], known: Sequence[str]) -> None:
    """Raise SpecError for the first key that is none of the known ones, naming the nearest."""
    for key in keys:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise SpecError(f"unknown key {key!r} in a target spec; {hint}")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _demand(ok: bool, name: str, wanted: str, got: object) -> None:
    if not ok:
        raise SpecError(f"{name} must be {wanted}, got {got!r}")
