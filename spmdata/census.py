"""The people of a store in numbers: how many a row, which joints, how large, what lies outside.

Letters: P most people of a row, K joints, D axes; n rows of a shard.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spmdata.codec import Codec
from spmdata.padded import PeopleBatch
from spmdata.store.reader import Store
from spmdata.store.schema import RowStatus

#: Percentiles that are given of a distribution; 0 and 100 are its ends.
PERCENTILES = (0, 5, 25, 50, 75, 95, 100)
#: Rows looked at together.
BATCH_ROWS = 4096
#: Tables of rows that are read, beside those of people.
READ_OF_ROWS = ("row/status", "row/affine", "row/size_hw")


@dataclass(frozen=True)
class Census:
    """People statistics, over rows that were not skipped.

    A person has at least one labelled joint and is no crowd; crowds and persons without labelled joints are ignore
    regions. Joints are labelled joints of persons.

    Parameters
    ----------
    rows : int
        Rows counted.
    people, crowds, unlabelled : int
        Persons; ignore regions of either kind.
    people_a_row : mapping of int to int
        Rows by how many persons they have, ascending.
    people_percentiles, size_px_percentiles : mapping of int to float
        By percent: persons a row; square root of a person's area, px of the network's input. Empty without any.
    joints : mapping of str to float
        Share of the persons that have each joint labelled, 0 to 1.
    joints_labelled, joints_outside_image, joints_outside_input : int
        Joints; those off the original image, and off the network's input.
    roots_off_map : int
        Persons that are in no target, because their root's nearest cell is off the map.
    """

    rows: int
    people: int
    crowds: int
    unlabelled: int
    people_a_row: Mapping[int, int]
    people_percentiles: Mapping[int, float]
    size_px_percentiles: Mapping[int, float]
    joints: Mapping[str, float]
    joints_labelled: int
    joints_outside_image: int
    joints_outside_input: int
    roots_off_map: int


def take_census(store: Store, shards: Iterable[int] | None = None) -> Census:
    """Count the people of a store; only its small tables are read.

    Parameters
    ----------
    store : Store
        Open, finished or not.
    shards : iterable of int, optional
        Those to count; all by default.

    Raises
    ------
    StoreError
        A shard that is not written, or damage.
    """
    names, codec, total = store.skeleton.joints, Codec(store.spec), Counter[str]()
    tables = [a.name for a in store.layout.arrays() if a.name.startswith("people/") or a.name in READ_OF_ROWS]
    seen = np.zeros(len(names), np.int64)
    numbers, sizes = [np.zeros(0, np.int64)], [np.zeros(0)]
    for rows in _batches(store, range(store.layout.n_shards) if shards is None else shards):
        store.read_ahead(tables, rows)
        rows = rows[store.read("row/status", rows) == RowStatus.OK]
        people = store.people_batch(rows)
        there = np.arange(people.visible.shape[1]) < people.number[:, None]
        labelled = people.visible > 0
        person = there & ~people.ignore & labelled.any(-1)
        mine = labelled & person[..., None]
        outside_input = mine & _outside(people.joints, store.spec.input_hw)
        total["rows"] += len(rows)
        total["crowds"] += int((there & people.ignore).sum())
        total["unlabelled"] += int((there & ~people.ignore & ~person).sum())
        total["joints_labelled"] += int(mine.sum())
        total["joints_outside_image"] += int((mine & _outside_image(store, rows, people)).sum())
        total["joints_outside_input"] += int(outside_input.sum())
        total["roots_off_map"] += _roots_off_map(codec, people, person, outside_input)
        seen += mine.sum((0, 1))
        numbers.append(person.sum(1))
        sizes.append(np.sqrt(people.area[person].astype(np.float64)))
    a_row, size = np.concatenate(numbers), np.concatenate(sizes)
    fields = {name: total[name] for name in ("rows", "crowds", "unlabelled", "joints_labelled", "joints_outside_image",
                                             "joints_outside_input", "roots_off_map")}  # fmt: skip
    return Census(
        **fields,
        people=len(size),
        people_a_row=dict(sorted(Counter(a_row.tolist()).items())),
        people_percentiles=_percentiles(a_row),
        size_px_percentiles=_percentiles(size),
        joints={name: float(n / max(1, len(size))) for name, n in zip(names, seen, strict=True)},
    )


def _batches(store: Store, shards: Iterable[int]) -> Iterable[NDArray[np.int64]]:
    rows = np.concatenate([np.zeros(0, np.int64), *(np.asarray(store.layout.rows_of(shard)) for shard in shards)])
    return [rows[at : at + BATCH_ROWS] for at in range(0, len(rows), BATCH_ROWS)]


def _outside(joints: NDArray[np.floating], size_hw: tuple[int, int] | NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Return which points (n, P, K, D) lie on no pixel; ``size_hw`` is (2,) or (n, 2), height and width in px."""
    limit = np.asarray(size_hw, np.float64)[..., None, None, ::-1] - 0.5
    xy = joints[..., :2]
    outside: NDArray[np.bool_] = np.any((xy < -0.5) | (xy >= limit), axis=-1)
    return outside


def _outside_image(store: Store, rows: NDArray[np.int64], people: PeopleBatch) -> NDArray[np.bool_]:
    """Return which joints (n, P, K) lie off the original image, to a hundredth of a px."""
    matrix = store.read("row/affine", rows)
    back = np.linalg.inv(matrix[:, :, :2])
    original = np.einsum("nij,npkj->npki", back, people.joints[..., :2] - matrix[:, None, None, :, 2])
    return _outside(np.round(original, 2), store.read("row/size_hw", rows))


def _roots_off_map(codec: Codec, people: PeopleBatch, person: NDArray[np.bool_], outside: NDArray[np.bool_]) -> int:
    """Count persons that are not drawn; a root is among its joints or amid its box, so few rows need a look."""
    box = people.bbox
    centre = (box[..., :2] + box[..., 2:] / 2 - 0.5)[..., None, :]
    doubtful = person & (outside.any(-1) | _outside(centre, codec.spec.input_hw)[..., 0])
    lost = 0
    for row in np.flatnonzero(doubtful.any(1)).tolist():
        mine = people.people(row)
        lost += int((~codec.reads(mine).drawn & ~mine.regions).sum())
    return lost


def _percentiles(values: NDArray[np.floating] | NDArray[np.int64]) -> dict[int, float]:
    if not len(values):
        return {}
    return dict(zip(PERCENTILES, np.percentile(values, PERCENTILES).tolist(), strict=True))
