"""Random specs and people for the tests of the codec, and the same in the words of the slow reference.

People come from a drawn seed: fast, and a failing case still shrinks to few people, joints and cells. Hypothesis
favours the first of several choices, so the rich one stands first.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

import naive
from spmdata.camera import Camera
from spmdata.codec import Targets
from spmdata.people import People
from spmdata.skeleton import ROOT, Skeleton
from spmdata.skeletons import COCO17
from spmdata.spec import TargetSpec

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.sampled_from([12, 9, 13, 5, 2, 1])  # cells
#: Sizes in cells, and what each is when measured in input px.
TAUS = {"squared": (7, 2, 10, 1, 0.25, 0), "radius": (2.5, 4, 1, 0.5, 0), "square": (2, 3, 1, 0.5, 0)}


#: Takes every picture of people with depth; of it targets know the focal length alone.
CAMERA = Camera(
    np.array([[900.0, 2, 30], [0, 1100, 20], [0, 0, 1]]),
    np.array([-0.28, 0.17, -1e-3, 6e-4, -0.04]),
    np.eye(3),
    np.zeros(3),
)


class Case(NamedTuple):
    """A spec and the people of one image."""

    spec: TargetSpec
    people: People


def conventions(spec: TargetSpec) -> naive.Conventions:
    """Say a spec in the reference's words."""
    K, (height, width) = len(spec.skeleton), spec.input_hw
    joints = spec.skeleton.joints
    return naive.Conventions(
        parents=spec.skeleton.parents if spec.hierarchical else (naive.ROOT,) * K,
        map_hw=(height // spec.stride, width // spec.stride),
        stride=spec.stride,
        torso=spec.skeleton.torso,
        root=joints.index(spec.root) if spec.root in joints else spec.root,
        anchor=spec.anchor,
        tau=spec.tau,
        tau_metric=spec.tau_metric,
        overlap=spec.overlap,
        missing_parent=spec.missing_parent,
        sigma=spec.sigma,
        gaussian=spec.gaussian,
        unit=spec.unit,
        heatmap_min=spec.heatmap_min,
        norm=spec.norm,
        dtype={"float32": np.float32, "float16": np.float16}[spec.dtype],
        nms=spec.nms,
        max_people=spec.max_people,
        threshold=spec.threshold,
    )


def maps(targets: Targets) -> tuple[NDArray[Any], ...]:
    """Return the arrays that are there."""
    return tuple(array for array in targets if array is not None)


def assert_same(found: Sequence[NDArray[Any]], wanted: Sequence[NDArray[Any]]) -> None:
    """Assert that maps equal each other to the bit."""
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def with_depth(people: People, rng: np.random.Generator, share: float = 0.7, snap_cm: float = 0) -> People:
    """Return 2D people with a third axis, 1 to 6 m away; a share of them have depth, to the others z means nothing."""
    P, K, _ = people.joints.shape
    z = rng.uniform(100, 600, (P, 1)) + rng.normal(0, 30, (P, K))
    z = np.round(z / snap_cm) * snap_cm if snap_cm else z
    joints = np.concatenate([people.joints, z[..., None]], axis=2)
    return replace(people, joints=joints, has_depth=np.asarray(rng.random(P) < share))


def rows(people: People) -> naive.Rows:
    """Return the columns that the reference reads."""
    return people.joints, people.visible, people.area, people.bbox_xywh, people.ignore


@st.composite
def skeletons(draw: st.DrawFn) -> Skeleton:
    """Draw coco17, a star, a chain, or a tree of midline joints and mirror pairs; joints in any order."""
    kind = draw(st.sampled_from(["tree", "star", "chain", "coco17"]))
    if kind == "coco17":
        return COCO17
    parents: list[int] = []
    flip: list[int] = []
    for _ in range(draw(st.sampled_from([4, 3, 5, 2, 1]))):
        k = len(parents)
        midline = [*(j for j in reversed(range(k)) if flip[j] == j), ROOT]
        lefts = [j for j in reversed(range(k)) if flip[j] > j]
        if kind == "star":
            parents, flip = [*parents, ROOT], [*flip, k]
        elif kind == "chain":
            parents, flip = [*parents, k - 1], [*flip, k]
        elif draw(st.booleans()):
            parents, flip = [*parents, draw(st.sampled_from(midline))], [*flip, k]
        else:
            left = draw(st.sampled_from([*lefts, *midline]))
            right = flip[left] if left in lefts else left
            parents, flip = [*parents, left, right], [*flip, k + 1, k]
    K = len(parents)
    new = draw(st.permutations(range(K)))  # joint k becomes joint new[k]
    old = [new.index(k) for k in range(K)]
    torso = draw(st.sets(st.integers(0, K - 1), min_size=1, max_size=2))
    return Skeleton(
        name=kind,
        joints=tuple(f"joint{k}" for k in range(K)),
        parents=tuple(ROOT if parents[k] == ROOT else new[parents[k]] for k in old),
        flip=tuple(new[flip[k]] for k in old),
        sigmas=(0.05,) * K,
        torso=tuple(sorted({new[k] for k in torso} | {new[flip[k]] for k in torso})),
    )


@st.composite
def specs(draw: st.DrawFn, /, **fixed: Any) -> TargetSpec:
    """Draw every convention, on a map of at most 13 x 13 cells unless `fixed` says otherwise."""
    skeleton = fixed.get("skeleton") or draw(skeletons())
    stride = fixed.get("stride") or draw(st.sampled_from([4, 2, 8]))
    own_mirror = [name for k, name in enumerate(skeleton.joints) if skeleton.flip[k] == k]
    unit = fixed.get("unit") or draw(st.sampled_from(["cell", "input_px"]))
    metric = fixed.get("tau_metric") or draw(st.sampled_from(["squared", "radius", "square"]))
    scale = stride if unit == "input_px" else 1
    heatmap_min = draw(st.sampled_from([0.01, 0, 0.2]))
    fields: dict[str, Any] = {
        "skeleton": skeleton,
        "hierarchical": draw(st.sampled_from([True, False])),
        "anchor": draw(st.sampled_from(["parent", "root"])),
        "tau": draw(st.sampled_from(TAUS[metric])) * (scale**2 if metric == "squared" else scale),
        "tau_metric": metric,
        "overlap": draw(st.sampled_from(["mean", "nearest", "smallest"])),
        "missing_parent": draw(st.sampled_from(["reparent", "stay", "drop"])),
        "root": draw(st.sampled_from(["mean", "bbox", "torso", *own_mirror])),
        # Untruncated tails stay far above where float32 underflows.
        "sigma": draw(st.sampled_from([3, 7] if heatmap_min == 0 else [1, 2.5, 7])) * scale,
        "gaussian": draw(st.sampled_from(["paper", "standard"])),
        "unit": unit,
        "heatmap_min": heatmap_min,
        "norm": draw(st.sampled_from(["diagonal", "none"])),
        "input_hw": (draw(SIZES) * stride, draw(SIZES) * stride),
        "stride": stride,
        "dims": draw(st.sampled_from([3, 2])),
        "nms": draw(st.sampled_from([5, 3, 1, 7])),
        "max_people": draw(st.sampled_from([30, 2])),
        "threshold": draw(st.sampled_from([0.1, 0.01])),
    }
    return TargetSpec(**{**fields, **fixed})


@st.composite
def crowds(draw: st.DrawFn, spec: TargetSpec, snap_px: float | None = None) -> People:
    """Draw up to 6 people on, across and off the border, crowded, partly labelled, ignored or of equal area.

    Joints lie on a grid of `snap_px`; left out, of nothing, 1/16 px or half cells, where ties are common.
    """
    P, K = draw(st.sampled_from([4, 3, 6, 2, 1, 0])), len(spec.skeleton)
    snap = draw(st.sampled_from([0, 1 / 16, spec.stride / 2])) if snap_px is None else snap_px
    labelled, spread = draw(st.sampled_from([0.7, 1.0, 0.3])), draw(st.sampled_from([0.2, 0.5, 0.05, 0.0]))
    ignored, margin = draw(st.sampled_from([0.0, 0.3])), draw(st.sampled_from([-0.3, 0.0, -0.45, 0.3]))
    rng = np.random.default_rng(draw(SEEDS))
    size = np.array(spec.input_hw[::-1], float)
    centre = rng.uniform(-margin, 1 + margin, (P, 1, 2)) * size
    joints = centre + spread * rng.normal(0, 1, (P, K, 2)) * size
    corner, side = rng.uniform(-0.3, 0.7, (P, 2)) * size, rng.uniform(0, 0.8, (P, 2)) * size
    if snap:
        origin = (spec.stride - 1) / 2 if snap >= 1 else 0.0
        joints = np.round((joints - origin) / snap) * snap + origin
        corner, side = np.round(corner / snap) * snap, np.round(side / snap) * snap
    visible = (rng.random((P, K)) < labelled) * rng.integers(1, 3, (P, K))
    people = People.of(
        joints,
        visible,
        area=rng.integers(1, 4, P) * 100.0,
        bbox_xywh=np.concatenate([corner, side], axis=1),
        ignore=rng.random(P) < ignored,
    )
    return people if spec.dims == 2 else with_depth(people, rng, snap_cm=1 / 16 if snap else 0)


def exact_means(spec: TargetSpec, people: People) -> People:
    """Unlabel joints until every root is the mean of a power of two of them: exact on coordinates of 1/16 px."""
    visible = people.visible.copy()
    for seen in visible:
        torso = [k for k in spec.skeleton.torso if seen[k]] if spec.root == "torso" else []
        averaged = torso or np.flatnonzero(seen).tolist()
        if averaged:
            seen[averaged[1 << (len(averaged).bit_length() - 1) :]] = 0
    return replace(people, visible=visible)


@st.composite
def exact_cases(draw: st.DrawFn, /, **fixed: Any) -> Case:
    """Draw a spec and people whose mirror images and shifts are exact, and nothing half-way between two cells."""
    spec = draw(specs(**fixed))
    people = exact_means(spec, draw(crowds(spec, snap_px=1 / 8)))
    boxes = people.bbox_xywh + np.array([1 / 32, 1 / 32, 0, 0], np.float32)
    return Case(spec, replace(people, joints=people.joints + np.float32(1 / 16), bbox_xywh=boxes))


@st.composite
def cases(draw: st.DrawFn, /, snap_px: float | None = None, **fixed: Any) -> Case:
    """Draw a spec and people for it."""
    spec = draw(specs(**fixed))
    return Case(spec, draw(crowds(spec, snap_px)))


@st.composite
def separated(draw: st.DrawFn) -> Case:
    """Draw people so far apart that no read collides and no peak is lost, with any tree and convention."""
    columns, lines = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    margin, tile = 6, 16  # cells: neighbourhoods of TAUS reach 4 cells, windows 3
    stride = draw(st.sampled_from([4, 2, 8]))
    size = (lines * tile * stride, columns * tile * stride)
    nms = draw(st.sampled_from([5, 3, 7]))
    spec = draw(specs(stride=stride, input_hw=size, nms=nms, max_people=30, threshold=0.1))
    P, K = lines * columns, len(spec.skeleton)
    rng = np.random.default_rng(draw(SEEDS))
    corner = np.array([[u, v] for v in range(lines) for u in range(columns)], float)[:, None] * tile
    joints = (corner + rng.uniform(margin, tile - margin, (P, K, 2))) * stride
    visible = rng.random((P, K)) < (1.0 if spec.missing_parent == "drop" else draw(st.sampled_from([1.0, 0.6])))
    visible[~visible.any(axis=1)] = True
    people = People.of(joints, visible.astype(np.uint8) * 2)
    return Case(spec, people if spec.dims == 2 else with_depth(people, rng))


def on_the_edge(spec: TargetSpec, n: int = 30) -> People:
    """Return people of one joint who have a cell beyond tau by less than float32 tells, and as many of one within."""
    rng, step = np.random.default_rng(0), float(np.spacing(np.float32(spec.tau_cell))) / 2
    shift, found = (spec.stride - 1) / 2, dict[bool, list[tuple[float, float]]]({True: [], False: []})
    while min(map(len, found.values())) < n:
        y_px, (u, v) = np.float32(rng.uniform(5, 7) * spec.stride), rng.integers(4, 9, 2)
        dv = v - (np.float64(y_px) - shift) / spec.stride
        if dv * dv < spec.tau_cell:
            x_px = np.float32((u + rng.choice([-1, 1]) * np.sqrt(spec.tau_cell - dv * dv)) * spec.stride + shift)
            du = u - (np.float64(x_px) - shift) / spec.stride
            beyond = du * du + dv * dv - spec.tau_cell
            if abs(beyond) < step:
                found[bool(beyond <= 0)].append((float(x_px), float(y_px)))
    points = np.array([*found[True][:n], *found[False][:n]])
    visible = np.zeros((2 * n, len(spec.skeleton)), np.uint8)
    visible[:, 0] = 2
    return People.of(np.repeat(points[:, None], len(spec.skeleton), 1), visible)


def nearly_tied() -> People:
    """Return two people of whom one is nearer to cell (2, 0), by less than float32 tells; stride 4."""
    nearer = np.nextafter(np.float32(1.5), np.float32(2))
    return People.of([[[nearer, 1.5]] * 17, [[17.5, 1.5]] * 17], np.full((2, 17), 2))
