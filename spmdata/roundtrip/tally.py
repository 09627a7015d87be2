"""Many rows' comparisons as one value: people lost, collisions, errors, and the AP that perfect maps reach.

Letters: K joints; n errors. Errors in input px unless said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spmdata.metrics.oks import OksScores, oks_scores
from spmdata.roundtrip.compare import RowComparison
from spmdata.skeleton import Skeleton


@dataclass(frozen=True)
class ErrorLine:
    """Round-trip errors of one joint, of one level of the tree, or of all.

    Parameters
    ----------
    name : str
        Joint name, ``level 2``, or ``all``.
    joints : int
        Joints that were compared.
    collided : float
        Share of the reads of these maps that hit a cell of another person.
    mean_px, p99_px : float
        Over all compared joints, input px.
    clear_max_px : float
        Greatest error where nothing collided.
    """

    name: str
    joints: int
    collided: float
    mean_px: float
    p99_px: float
    clear_max_px: float


@dataclass(frozen=True, eq=False)
class RoundTrip:
    """What encoding and decoding did to the people of many rows.

    Parameters
    ----------
    rows : int
        Rows compared.
    people : int
        Labelled persons.
    lost : mapping of str to int
        Persons that do not come back, by reason.
    dropped_joints : int
        Labelled joints that the spec leaves out of the targets.
    roots : int
        Persons drawn.
    roots_collided : float
        Share of them that have another's root in the peak window round their own, so that one of the two has no peak.
    reads, hits : (K,) int64
        Reads of perfect walks by joint, and those that hit a cell which another person covers for the joint.
    joint : (n,) int64
        Joint of every error.
    error_px, image_error_px, bound_px : (n,) float64
        Error in input px and in px of the original images; the error that dtype and arithmetic allow, input px.
    clear : (n,) bool
        Nothing collided on the way to this joint.
    ceiling : OksScores
        Scores of the decoded people against the encoded ones, in original px.
    """

    rows: int
    people: int
    lost: Mapping[str, int]
    dropped_joints: int
    roots: int
    roots_collided: float
    reads: NDArray[np.int64]
    hits: NDArray[np.int64]
    joint: NDArray[np.int64]
    error_px: NDArray[np.float64]
    image_error_px: NDArray[np.float64]
    bound_px: NDArray[np.float64]
    clear: NDArray[np.bool_]
    ceiling: OksScores

    @property
    def collided(self) -> float:
        """Share of all reads that collide."""
        return float(self.hits.sum() / max(1, self.reads.sum()))

    @property
    def beyond_bound(self) -> int:
        """Joints outside collisions whose error passes the bound."""
        return int((self.clear & (self.error_px > self.bound_px)).sum())

    def line(self, name: str, which: NDArray[np.bool_]) -> ErrorLine:
        """Return the errors of some joints, chosen by a mask (K,)."""
        mine = which[self.joint]
        ours = self.error_px[mine]
        return ErrorLine(
            name=name,
            joints=len(ours),
            collided=float(self.hits[which].sum() / max(1, self.reads[which].sum())),
            mean_px=float(ours.mean()) if len(ours) else 0.0,
            p99_px=float(np.quantile(ours, 0.99)) if len(ours) else 0.0,
            clear_max_px=float(self.error_px[mine & self.clear].max(initial=0)),
        )


def tally(rows: Sequence[RowComparison], skeleton: Skeleton) -> RoundTrip:
    """Add up comparisons of rows, none of them included, and score them.

    Parameters
    ----------
    rows : sequence of RowComparison
        From `compare_row`, in any order that the scores may break ties by.
    skeleton : Skeleton
        For the sigmas and K.

    Returns
    -------
    RoundTrip
    """
    nobody = np.zeros(len(skeleton), np.int64)
    roots = sum(r.roots for r in rows)
    return RoundTrip(
        rows=len(rows),
        people=sum(r.labelled for r in rows),
        lost={
            "root off the map": sum(r.off_map for r in rows),
            "peak merged with another's": sum(r.merged for r in rows),
            "more than max_people": sum(r.beyond for r in rows),
        },
        dropped_joints=sum(r.dropped_joints for r in rows),
        roots=roots,
        roots_collided=sum(r.roots_collided for r in rows) / max(1, roots),
        reads=np.sum([nobody, *(r.reads for r in rows)], axis=0),
        hits=np.sum([nobody, *(r.collided for r in rows)], axis=0),
        joint=np.concatenate([nobody[:0], *(r.joint for r in rows)]),
        error_px=np.concatenate([np.empty(0), *(r.error_px for r in rows)]),
        image_error_px=np.concatenate([np.empty(0), *(r.image_error_px for r in rows)]),
        bound_px=np.concatenate([np.empty(0), *(r.bound_px for r in rows)]),
        clear=np.concatenate([np.empty(0, np.bool_), *(r.clear for r in rows)]),
        ceiling=oks_scores([r.truth for r in rows], [r.found for r in rows], skeleton),
    )
