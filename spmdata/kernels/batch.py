"""Whole batches in one call: a numba call with many arrays costs microseconds, a row of targets not much more.

Letters: N rows, P people (padded), K joints, D axes, H, W cells; n row, p person, k joint.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spmdata.kernels.apart import COUNT, PLANE_X, PLANE_Y, whole_blocks, write
from spmdata.kernels.desk import Desk
from spmdata.kernels.heatmap import draw_ignore, draw_roots
from spmdata.kernels.jit import jit, jit_bare, jit_lean, jit_step
from spmdata.kernels.links import place_roots, resolve
from spmdata.kernels.offsets import draw_joints
from spmdata.kernels.past import settle
from spmdata.kernels.peaks import find_peaks
from spmdata.kernels.reads import collide
from spmdata.kernels.rules import CM_PER_M, NOTHING, Rules
from spmdata.kernels.tables import Links, Maps, Rows, Tree
from spmdata.kernels.walk import walk
from spmdata.kernels.zeros import zero

#: A line of a box costs about as much to empty as so many cells of a whole row, whose zeroing takes no steps.
CELLS_A_LINE = 200


@jit_bare
def encode_rows(
    rows: tuple[Any, ...],
    areas: NDArray[np.float32] | None,
    depths: NDArray[np.bool_] | None,
    branches: tuple[Any, ...],
    numbers: tuple[Any, ...],
    arrays: tuple[Any, ...],
    boxes: NDArray[np.int32],
    held: NDArray[np.int64],
    past: bool,
    points: tuple[Any, ...],
    places: tuple[Any, ...],
    bells: NDArray[np.float64],
    spare: NDArray[np.uint8],
    page: tuple[Any, ...],
) -> None:
    """Overwrite the maps of N rows, those of joints ``past`` the caches if said so: then they begin on lines.

    rows, branches, numbers, arrays, points, places and page are what Rows, Tree, Rules, Maps, Links, Desk and Page
    hold, as plain tuples: numba takes 0.7 us longer to recognise one with names. Scratch for the people and maps of a
    row are points, places, bells (3, H or W, the larger), spare (1, H, W) and page.

    boxes (N, P, K + 2, 4) take first and last row, first and last column of what is drawn of each joint, of root_depth
    and of the heatmap; held (N, 2) how many people that are, and whether ignore is in use. The maps are then those that
    `undo_planes` or `undo_cells` emptied. With room for nobody, P = 0, nothing is remembered and they are emptied here.
    areas and depths (N, P) are those of people, or None; see `draw_joints`.
    """
    people, tree, rules, maps = Rows(*rows), Tree(*branches), Rules(*numbers), Maps(*arrays)
    links, desk = Links(*points), Desk(*places)
    height, width = maps.heatmap.shape[1], maps.heatmap.shape[2]
    for n in range(len(people.joints)):
        number = people.number[n]
        area = None if areas is None else areas[n]
        has_depth = None if depths is None else depths[n]
        place_roots(people, n, tree, rules, height, width, links)
        draw_roots(maps.heatmap[n], number, links, rules, boxes[n], bells)
        held[n, 0] = number
        held[n, 1] = draw_ignore(maps.ignore[n], maps.heatmap[n], people, n, rules, boxes.shape[1] == 0)
        resolve(people, n, tree, rules, height, width, links)
        units = rules.norm, rules.norm, CM_PER_M
        offsets, count, count_z = maps.offsets[n], maps.count[n], maps.count_z[n]
        planes, k = offsets, 0
        for axis in range(0, people.joints.shape[3], 2):  # one call, not two: each would be compiled, 1.6 s
            if axis == 2:  # the root's depth is drawn like one more joint that has a third axis alone
                units, k = (1.0, 1.0, people.f_px[n]), people.joints.shape[2]
                planes, count, count_z = maps.root_depth[n], spare, spare
            draw_joints(
                planes, axis, count, count_z, k, number, links, area, has_depth, units, rules, desk, page, past,
                boxes[n],
            )  # fmt: skip
    if past:
        settle()


@jit_bare
def too_many(boxes: NDArray[np.int32], cells: int) -> bool:
    """Return whether zeroing all cells of a row costs less than emptying its boxes (P, K, 4)."""
    lines = 0
    for p in range(boxes.shape[0]):
        for k in range(boxes.shape[1]):
            lines += max(boxes[p, k, 1] - boxes[p, k, 0] + 1, 0)
    return lines * CELLS_A_LINE > cells


@jit_lean
def empty_joints(maps: Maps, n: int) -> None:
    """Empty all that row n holds of joints."""
    zero(maps.offsets[n])
    zero(maps.count[n])
    zero(maps.count_z[n])


@jit_bare
def undo_roots(maps: Maps, n: int, boxes: NDArray[np.int32], held: NDArray[np.int64]) -> None:
    """Empty the boxes of the roots, the last two of each person, in heatmap and root_depth, and ignore if in use."""
    heatmap, _, _, ignore, depths, _ = maps
    if held[n, 1] > 0:
        zero(ignore[n])
    for p in range(held[n, 0]):
        top, bottom, left, right = boxes[n, p, -1]
        for v in range(top, bottom + 1):
            for u in range(np.uint64(left), np.uint64(right + 1)):
                heatmap[n, v, u] = 0
        if depths.shape[3] > 0:
            top, bottom, left, right = boxes[n, p, -2]
            for v in range(top, bottom + 1):
                for u in range(np.uint64(left), np.uint64(right + 1)):
                    depths[n, 0, 0, v, u] = 0


@jit_bare
def undo_planes(maps: Maps, boxes: NDArray[np.int32], held: NDArray[np.int64]) -> None:
    """Empty what maps of N rows, in their own order, hold by boxes (N, P, K + 2, 4); see `encode_rows`.

    A joint's boxes are widened to whole blocks of columns: all that is there is emptied.
    """
    _, offsets, counts, _, _, counts_z = maps
    joints, axes = offsets.shape[1], offsets.shape[2]
    for n in range(len(offsets)):
        undo_roots(maps, n, boxes, held)
        if too_many(boxes[n, : held[n, 0], :joints], counts[n].size):
            empty_joints(maps, n)
            continue
        for p in range(held[n, 0]):
            for k in range(joints):
                left, right = whole_blocks(boxes[n, p, k, 2], boxes[n, p, k, 3], 16, counts.shape[3])
                for v in range(np.uint64(boxes[n, p, k, 0]), np.uint64(boxes[n, p, k, 1] + 1)):
                    empty_row(offsets[n, k, 0], offsets[n, k, 1], counts[n, k], v, left, right)
                    if axes == 3:
                        for u in range(np.uint64(left), np.uint64(right)):
                            counts_z[n, k, v, u] = 0
                            offsets[n, k, 2, v, u] = 0


@jit_step
def empty_row(plane_x, plane_y, count, v, left, right):  # type: ignore[no-untyped-def]
    """Empty columns left to right of row v."""
    for u in range(np.uint64(left), np.uint64(right)):
        write(plane_x, v, u, np.float32(0), PLANE_X)
        write(plane_y, v, u, np.float32(0), PLANE_Y)
        write(count, v, u, np.uint8(0), COUNT)


@jit_bare
def undo_cells(maps: Maps, boxes: NDArray[np.int32], held: NDArray[np.int64], width: int) -> None:
    """Do the same for maps whose joints come last: offsets (N, H, W * K * D), count and count_z (N, H, W * K).

    All joints of a cell lie together, so a box that several joints in a row share is emptied once, of all joints.
    """
    _, offsets, counts, _, _, counts_z = maps
    numbers, joints = offsets.shape[2] // width, counts.shape[2] // width
    axes = numbers // joints
    for n in range(len(offsets)):
        undo_roots(maps, n, boxes, held)
        if too_many(boxes[n, : held[n, 0], :joints], counts[n].size):
            empty_joints(maps, n)
            continue
        for p in range(held[n, 0]):
            k, after = 0, 0
            while k < joints:
                top, bottom, left, right = boxes[n, p, k]
                after = k + 1
                while after < joints and same_box(boxes[n, p, k], boxes[n, p, after]):
                    after += 1
                if after > k + 1:
                    for v in range(top, bottom + 1):
                        empty_numbers(offsets[n, v], left * numbers, (right + 1) * numbers)
                        empty_numbers(counts[n, v], left * joints, (right + 1) * joints)
                        if axes == 3:
                            empty_numbers(counts_z[n, v], left * joints, (right + 1) * joints)
                else:
                    for v in range(np.uint64(top), np.uint64(bottom + 1)):
                        for u in range(np.uint64(left), np.uint64(right + 1)):
                            i = u * np.uint64(joints) + np.uint64(k)
                            j = i * np.uint64(axes)
                            counts[n, v, i], offsets[n, v, j], offsets[n, v, j + np.uint64(1)] = 0, 0, 0
                            if axes == 3:
                                counts_z[n, v, i], offsets[n, v, j + np.uint64(2)] = 0, 0
                k = after


@jit_lean
def same_box(one: NDArray[np.int32], two: NDArray[np.int32]) -> bool:
    """Return whether two boxes (4,) have the same sides."""
    return bool(one[0] == two[0] and one[1] == two[1] and one[2] == two[2] and one[3] == two[3])


@jit_step
def empty_numbers(row, first, after):  # type: ignore[no-untyped-def]
    """Empty the numbers of a row from first on."""
    for i in range(np.uint64(first), np.uint64(after)):
        row[i] = 0


@jit
def decode_rows(
    heatmaps: NDArray[np.float32],
    offsets: NDArray[np.float32],
    counts: NDArray[np.uint8],
    root_depths: NDArray[np.float32],
    f_px: NDArray[np.float64],
    parents: NDArray[np.int64],
    order: NDArray[np.int64],
    anchor_root: bool,
    norm: float,
    stride: float,
    origin_px: float,
    threshold: float,
    nms: int,
    number: NDArray[np.int64],
    cells: NDArray[np.int64],
    score: NDArray[np.float32],
    joints: NDArray[np.float32],
    visible: NDArray[np.uint8],
    has_depth: NDArray[np.bool_],
) -> None:
    """Fill number (N,), cells (N, M, 2), score (N, M), joints (N, M, K, D), visible (N, M, K), has_depth (N, M).

    Read are heatmaps (N, H, W) and offsets (N, K, D, H, W), root_depths (N, H, W) in 3D, and counts (N, K, H, W) unless
    they are (N, 0, 0, 0): then every decoded joint is visible. Tree and rules are taken apart, since a tuple costs a
    call 1 us, as much as this takes for a person.
    """
    most, marks = cells.shape[1], np.empty(heatmaps.shape[2], np.bool_)
    z_root, at = np.zeros(most, np.float64), np.empty((most, joints.shape[2], 3), np.float64)
    for n in range(len(number)):
        number[n] = find_peaks(heatmaps[n], threshold, nms, cells[n], score[n], marks)
        if joints.shape[3] == 3:
            for p in range(number[n]):
                depth = root_depths[n, cells[n, p, 1], cells[n, p, 0]]
                z_root[p], has_depth[n, p] = depth * f_px[n], depth > 0
        walk(
            *(offsets[n], counts[n], cells[n, : number[n]], z_root, parents, order, anchor_root, norm, stride),
            *(origin_px, at, joints[n], visible[n]),
        )


@jit_bare
def collide_row(
    people: Rows,
    n: int,
    has_depth: NDArray[np.bool_],
    tree: Tree,
    rules: Rules,
    height: int,
    width: int,
    slack: float,
    links: Links,
    stand: NDArray[np.float64],
    roots: NDArray[np.float64],
    z_roots: NDArray[np.float64],
    drawn: NDArray[np.bool_],
    supervised: NDArray[np.bool_],
    cells: NDArray[np.int64],
    read: NDArray[np.bool_],
    direct: NDArray[np.bool_],
    path: NDArray[np.bool_],
    mixed: NDArray[np.bool_],
) -> None:
    """Fill roots (P, 2) in cells, z_roots (P,), drawn (P,), supervised (P, K), and what `collide` fills, for row n.

    links and stand (K, 2) are scratch.
    """
    place_roots(people, n, tree, rules, height, width, links)
    resolve(people, n, tree, rules, height, width, links)
    for p in range(len(roots)):  # whole arrays at once would compile what says that they do not fit, 2 s
        roots[p, 0], roots[p, 1], z_roots[p] = links.roots[p]
        drawn[p] = links.drawn[p]
        for k in range(supervised.shape[1]):
            supervised[p, k] = links.modes[p, k] != NOTHING
    # Of nobody there is one padded row here, and none in what is filled.
    seen = people.visible[n, : len(roots)]
    collide(seen, has_depth, links, tree, rules, height, width, slack, stand, cells, read, direct, path, mixed)
