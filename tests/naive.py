"""The slow reference of the targets: loops over cells in float64, from the definition (Nie et al. 2019).

It imports nothing of the package, so that a mistake has to be made twice to pass unseen.

Letters: P people, p a person; K joints, k a joint, j its nearest labelled ancestor, x a position; D axes; f focal px;
H, W cells of a map, v a row, u a column; s stride in px; r a root; a an anchor, N the cells round it that
carry a vector; C the root heatmap; Z the norm of the offsets; d a distance in cells. Points are (x, y).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: joints (P, K, D) in input px, visible (P, K), area (P,) in px squared, boxes xywh (P, 4), ignore (P,)
Rows = tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike, ArrayLike]
Float64 = NDArray[np.float64]
UInt8 = NDArray[np.uint8]
Bool = NDArray[np.bool_]
Cell = tuple[int, int]  # (u, v)
Decoded = tuple[list[Cell], Float64, UInt8]
ROOT = -1


@dataclass(frozen=True, kw_only=True)
class Conventions:
    """What the targets are. The tree is the one that offsets follow; an int as root is that joint's index."""

    parents: tuple[int, ...]
    map_hw: tuple[int, int]
    stride: int = 4
    torso: tuple[int, ...] = ()
    root: str | int = "mean"
    anchor: str = "parent"
    tau: float = 7.0
    tau_metric: str = "squared"
    overlap: str = "mean"
    missing_parent: str = "reparent"
    sigma: float = 7.0
    gaussian: str = "paper"
    unit: str = "cell"
    heatmap_min: float = 0.01
    norm: str = "diagonal"
    dtype: type = np.float32
    nms: int = 5
    max_people: int = 30
    threshold: float = 0.1


class Person(NamedTuple):
    """One person who gets targets, in cells; the area in px squared."""

    p: int
    x: Float64  # (K, 2)
    labelled: Bool  # (K,)
    r: Float64  # (2,)
    area: float


class Link(NamedTuple):
    """One joint's vectors of person p round an anchor: ``tip - cell``, or ``fixed`` when there is no tip."""

    p: int
    a: tuple[float, float]
    tip: Float64 | None
    fixed: Float64
    area: float


def nearest(point: tuple[float, float] | Float64) -> Cell:
    """Return the cell nearest to a point."""
    return math.floor(point[0] + 0.5), math.floor(point[1] + 0.5)


def clamp(c: Conventions, point: Float64) -> tuple[float, float]:
    """Return the point of the map nearest to a point."""
    return min(max(point[0], 0.0), c.map_hw[1] - 1.0), min(max(point[1], 0.0), c.map_hw[0] - 1.0)


def ancestors(c: Conventions, k: int) -> list[int]:
    """Return the parent of k, its parent, and so on without the root."""
    return [] if c.parents[k] == ROOT else [c.parents[k], *ancestors(c, c.parents[k])]


def anchor_of(c: Conventions, person: Person, k: int) -> tuple[int, tuple[float, float]]:
    """Return j, the root when no ancestor of k is labelled, and the anchor of k."""
    j = next((j for j in ancestors(c, k) if person.labelled[j]), ROOT)
    return j, clamp(c, person.r if j == ROOT or c.anchor == "root" else person.x[j])


def root_joints(c: Conventions, labelled: Bool) -> list[int]:
    """Return the joints whose mean is the root; of a box's root the depth alone is their mean."""
    everything = [k for k in range(len(c.parents)) if labelled[k]]
    wanted = {"mean": everything, "bbox": everything, "torso": c.torso}.get(str(c.root), [c.root])
    return [k for k in everything if k in wanted] or everything


def root_px(c: Conventions, joints_px: Float64, labelled: Bool, box_xywh: Float64) -> Float64:
    """Return the root in px of a person who has a labelled joint."""
    if c.root == "bbox":
        x, y, w, h = box_xywh  # in pixel edges
        return np.array([x + w / 2 - 0.5, y + h / 2 - 0.5])
    chosen = root_joints(c, labelled)
    return np.asarray(joints_px[chosen, :2].sum(axis=0) / len(chosen))


def crowd_of(c: Conventions, people: Rows) -> list[Person]:
    """Return who is encoded: a labelled joint, not ignored, the cell nearest the root on the map."""
    columns = [np.asarray(rows, np.float64) for rows in people]
    crowd, shift = [], (c.stride - 1) / 2
    for p, (joints_px, seen, area_px, box_xywh, ignored) in enumerate(zip(*columns, strict=True)):
        if seen.any() and not ignored:
            r = (root_px(c, joints_px, seen > 0, box_xywh) - shift) / c.stride
            if nearest(r) == nearest(clamp(c, r)):
                crowd.append(Person(p, (joints_px[:, :2] - shift) / c.stride, seen > 0, r, area_px))
    return crowd


def link_of(c: Conventions, person: Person, k: int) -> Link | None:
    """Return where the vectors of joint k of a person lie and what they are; None for no vectors."""
    p, x, labelled, _, area = person
    j, a = anchor_of(c, person, k)
    if not labelled[k]:
        leads_on = any(labelled[i] and k in ancestors(c, i) for i in range(len(labelled)))
        return Link(p, a, None, np.zeros(2), area) if c.missing_parent == "stay" and leads_on else None
    if c.missing_parent == "drop" and j != c.parents[k]:
        return None
    if c.anchor == "root" and j != ROOT:
        return Link(p, a, None, x[k] - x[j], area)
    return Link(p, a, x[k], np.zeros(2), area)


def covers(c: Conventions, link: Link, cell: Cell) -> bool:
    """Whether a cell belongs to N."""
    du, dv = cell[0] - link.a[0], cell[1] - link.a[1]
    unit = c.stride if c.unit == "input_px" else 1
    near = {
        "squared": du**2 + dv**2 <= c.tau / unit**2,
        "radius": du**2 + dv**2 <= (c.tau / unit) ** 2,
        "square": max(abs(du), abs(dv)) <= c.tau / unit,
    }
    return near[c.tau_metric] or cell == nearest(link.a)


def winners(c: Conventions, links: list[Link], u: int, v: int) -> list[Link]:
    """Return the links whose vectors are averaged on a cell."""
    links = [link for link in links if covers(c, link, (u, v))]
    d2 = [(u - link.a[0]) ** 2 + (v - link.a[1]) ** 2 for link in links]
    ranks = {"mean": [0.0] * len(links), "nearest": d2, "smallest": [link.area for link in links]}[c.overlap]
    return [link for link, rank in zip(links, ranks, strict=True) if rank == min(ranks)]


def encode(c: Conventions, people: Rows) -> tuple[Float64, Float64, UInt8, UInt8]:
    """Return root heatmap (H, W), offsets (K, 2, H, W), count (K, H, W) and ignore (H, W)."""
    crowd, K, s = crowd_of(c, people), len(c.parents), c.stride
    Z = math.sqrt(c.map_hw[0] ** 2 + c.map_hw[1] ** 2) if c.norm == "diagonal" else 1.0
    heatmap, offsets = np.zeros(c.map_hw), np.zeros((K, 2, *c.map_hw))
    count, ignored = np.zeros((K, *c.map_hw), np.uint8), np.zeros(c.map_hw, np.uint8)
    sigma = c.sigma / (c.stride if c.unit == "input_px" else 1)
    for v, u in np.ndindex(c.map_hw):
        d2 = min(((u - person.r[0]) ** 2 + (v - person.r[1]) ** 2 for person in crowd), default=math.inf)
        value = math.exp(-d2 / sigma**2) if c.gaussian == "paper" else math.exp(-d2 / (2 * sigma**2))
        heatmap[v, u] = value if value >= c.heatmap_min else 0
    for k in range(K):
        links = [link for person in crowd if (link := link_of(c, person, k))]
        for v, u in np.ndindex(c.map_hw):
            won = winners(c, links, u, v)
            for link in won:
                vector = link.fixed if link.tip is None else link.tip - (u, v)
                offsets[k, :, v, u] += vector / Z / len(won)
            count[k, v, u] = len(won)
    _, visible, _, boxes, ignore = (np.asarray(rows, np.float64) for rows in people)
    regions = boxes[(ignore > 0) | ~visible.any(axis=1)]
    for v, u in np.ndindex(c.map_hw):
        x, y = u * s + (s - 1) / 2, v * s + (s - 1) / 2
        inside = [i - 0.5 <= x < i + w - 0.5 and j - 0.5 <= y < j + h - 0.5 for i, j, w, h in regions]
        ignored[v, u] = any(inside) and c.dtype(np.float32(heatmap[v, u])) == 0
    return heatmap, offsets, count, ignored


def encode_depth(c: Conventions, people: Rows, has_depth: ArrayLike, f_px: float) -> tuple[Float64, UInt8, Float64]:
    """Return the third axis of the offsets (K, H, W), count_z (K, H, W) and root_depth (H, W).

    dz to the ancestor that x and y hang from, in m; the winners of a cell who have depth are averaged.
    """
    crowd, K, known = crowd_of(c, people), len(c.parents), np.asarray(has_depth, bool)
    z_cm = np.asarray(people[0], np.float64)[..., 2]
    dz, count_z, root_depth = np.zeros((K, *c.map_hw)), np.zeros((K, *c.map_hw), np.uint8), np.zeros(c.map_hw)
    z_root = {person.p: z_cm[person.p, root_joints(c, person.labelled)].mean() for person in crowd}
    for k in range(K):
        links = {person.p: link for person in crowd if (link := link_of(c, person, k))}
        step_m = dict.fromkeys(links, 0.0)  # what a joint that is not labelled keeps
        for person in crowd:
            if person.labelled[k]:
                j, _ = anchor_of(c, person, k)
                step_m[person.p] = (z_cm[person.p, k] - (z_root[person.p] if j == ROOT else z_cm[person.p, j])) / 100
        for v, u in np.ndindex(c.map_hw):
            won = [step_m[link.p] for link in winners(c, list(links.values()), u, v) if known[link.p]]
            dz[k, v, u] = sum(won) / max(len(won), 1)
            count_z[k, v, u] = len(won)
    roots = [Link(person.p, clamp(c, person.r), None, np.zeros(2), person.area) for person in crowd]
    for v, u in np.ndindex(c.map_hw):
        won = [z_root[link.p] / f_px for link in winners(c, roots, u, v) if known[link.p]]
        root_depth[v, u] = sum(won) / max(len(won), 1)
    return dz, count_z, root_depth


def peaks(c: Conventions, heatmap: ArrayLike) -> list[Cell]:
    """Return the local maxima of at least the threshold, best first, equal ones in scan order."""
    C, n, found = np.asarray(heatmap, np.float64), c.nms // 2, []
    for v, u in np.ndindex(c.map_hw):
        top, left = max(v - n, 0), max(u - n, 0)
        window = C[top : v + n + 1, left : u + n + 1]
        first = divmod(int(window.argmax()), window.shape[1])  # of the largest values, in scan order
        if C[v, u] >= c.threshold and first == (v - top, u - left):
            found.append((u, v))
    return sorted(found, key=lambda cell: -float(C[cell[1], cell[0]]))[: c.max_people]


def decode(
    c: Conventions,
    heatmap: ArrayLike,
    offsets: ArrayLike,
    count: ArrayLike,
    root_depth: ArrayLike | None = None,
    f_px: float = 1.0,
) -> Decoded:
    """Return the people's root cells, joints (P, K, D) in input px (and cm) and visible (P, K)."""
    roots, vectors, K = peaks(c, heatmap), np.asarray(offsets, np.float64), len(c.parents)
    Z = math.sqrt(c.map_hw[0] ** 2 + c.map_hw[1] ** 2) if c.norm == "diagonal" else 1.0
    joints = np.zeros((len(roots), K, vectors.shape[1]))
    visible = np.zeros((len(roots), K), np.uint8)
    for p, peak in enumerate(roots):
        estimate = {ROOT: np.array(peak, np.float64)}
        z_cm = {ROOT: 0.0 if root_depth is None else float(np.asarray(root_depth)[peak[1], peak[0]]) * f_px}
        for k in sorted(range(K), key=lambda k: len(ancestors(c, k))):
            start = estimate[c.parents[k]]
            u, v = peak if c.anchor == "root" else nearest(clamp(c, start))
            estimate[k] = (start if c.anchor == "root" else np.array([u, v])) + Z * vectors[k, :2, v, u]
            joints[p, k, :2] = estimate[k] * c.stride + (c.stride - 1) / 2
            if root_depth is not None:
                z_cm[k] = z_cm[c.parents[k]] + 100 * vectors[k, 2, v, u]
                joints[p, k, 2] = z_cm[k]
            visible[p, k] = np.asarray(count)[k, v, u] > 0
    return roots, joints, visible


def read_cell(c: Conventions, person: Person, k: int) -> Cell:
    """Return where a perfect walk reads joint k."""
    passed = [j for j in ancestors(c, k) if person.labelled[j] and link_of(c, person, j)]
    return nearest(clamp(c, person.x[passed[0]] if passed and c.anchor == "parent" else person.r))


def collisions(c: Conventions, people: Rows) -> tuple[Bool, Bool]:
    """Return (P, K) whether a labelled joint's own read collides, and whether that or an ancestor's does.

    The walk stands on the nearest ancestor with vectors; a read collides when another encoded person has vectors
    of the joint there. A person's own zeros (``stay``) are no collision: absent joints should read them.
    """
    crowd, labelled = crowd_of(c, people), np.asarray(people[1]) > 0
    hit = np.zeros(labelled.shape, bool)
    for person in crowd:
        for k in range(len(c.parents)):
            cell = read_cell(c, person, k)
            links = [link_of(c, other, k) for other in crowd if other.p != person.p]
            hit[person.p, k] = any(link and covers(c, link, cell) for link in links)
    on_path = [hit[:, [k, *ancestors(c, k)]].any(axis=1) for k in range(len(c.parents))]
    return hit & labelled, np.stack(on_path, axis=1) & labelled


def mixed_depths(c: Conventions, people: Rows, has_depth: ArrayLike) -> Bool:
    """Return (P, K + 1) whether the depth that a person with depth reads is not theirs alone; the root's comes last."""
    crowd, K, known = crowd_of(c, people), len(c.parents), np.asarray(has_depth, bool)
    mixed = np.zeros((len(known), K + 1), bool)
    roots = {person.p: Link(person.p, clamp(c, person.r), None, np.zeros(2), person.area) for person in crowd}
    for person in crowd:
        others = [other for other in crowd if other.p != person.p and (known[other.p] or c.overlap != "mean")]
        for k in range(K):
            links = [link_of(c, other, k) for other in others]
            cell = read_cell(c, person, k)
            mixed[person.p, k] = known[person.p] and any(link and covers(c, link, cell) for link in links)
        cell = nearest(clamp(c, person.r))
        mixed[person.p, K] = known[person.p] and any(covers(c, roots[other.p], cell) for other in others)
    return mixed
