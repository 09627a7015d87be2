"""Many rows' depths as one value: errors in cm, depths that mix, and the 3D scores that perfect maps reach.

Letters: K joints; m errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spmdata.metrics.pose3d import Pose3dScores, pose3d_scores
from spmdata.roundtrip.compare import RowComparison
from spmdata.spec import TargetSpec


@dataclass(frozen=True)
class DepthLine:
    """Round-trip errors of one joint, of one level of the tree, or of all, in the camera's frame.

    Parameters
    ----------
    name : str
        Joint name, ``level 2``, or ``all``.
    joints : int
        Joints that were compared.
    mixed : float
        Share of the depths read that another person's may be mixed into.
    mean_cm, p99_cm : float
        Over all compared joints.
    clear_max_cm : float
        Greatest error where nothing collided.
    """

    name: str
    joints: int
    mixed: float
    mean_cm: float
    p99_cm: float
    clear_max_cm: float


@dataclass(frozen=True, eq=False)
class DepthTrip:
    """What encoding and decoding did to the depth of many rows' people.

    Parameters
    ----------
    people, lost : int
        Persons with depth in the targets; those of them who come back without.
    reads, hits : (K + 1,) int64
        Depths read, by joint and at last the root's own; those that mix.
    joint, error_cm, bound_cm, clear : (m,)
        As in `DepthComparison`.
    ceiling : Pose3dScores
        Of the decoded people against the encoded ones.
    """

    people: int
    lost: int
    reads: NDArray[np.int64]
    hits: NDArray[np.int64]
    joint: NDArray[np.int64]
    error_cm: NDArray[np.float64]
    bound_cm: NDArray[np.float64]
    clear: NDArray[np.bool_]
    ceiling: Pose3dScores

    @property
    def mixed(self) -> float:
        """Share of the joints' depths read that mix."""
        return float(self.hits[:-1].sum() / max(1, self.reads[:-1].sum()))

    @property
    def roots_mixed(self) -> float:
        """Share of the roots' own depths read that mix."""
        return float(self.hits[-1] / max(1, self.reads[-1]))

    @property
    def beyond_bound(self) -> int:
        """Joints outside collisions whose error passes the bound."""
        return int((self.clear & (self.error_cm > self.bound_cm)).sum())

    def line(self, name: str, which: NDArray[np.bool_]) -> DepthLine:
        """Return the errors of some joints, chosen by a mask (K,)."""
        mine = which[self.joint]
        ours = self.error_cm[mine]
        return DepthLine(
            name=name,
            joints=len(ours),
            mixed=float(self.hits[:-1][which].sum() / max(1, self.reads[:-1][which].sum())),
            mean_cm=float(ours.mean()) if len(ours) else 0.0,
            p99_cm=float(np.quantile(ours, 0.99)) if len(ours) else 0.0,
            clear_max_cm=float(self.error_cm[mine & self.clear].max(initial=0)),
        )


def tally_depth(rows: Sequence[RowComparison], spec: TargetSpec) -> DepthTrip | None:
    """Add up what `compare_row` found of depth, none of the rows included, and score it; None in 2D."""
    if spec.dims == 2:
        return None
    depths, nothing = [row.depth for row in rows if row.depth is not None], np.zeros(len(spec.skeleton) + 1, np.int64)
    truth, found = ([getattr(row, name) for row in rows] for name in ("truth", "found"))
    return DepthTrip(
        people=sum(depth.people for depth in depths),
        lost=sum(depth.lost for depth in depths),
        reads=np.sum([nothing, *(depth.reads for depth in depths)], axis=0),
        hits=np.sum([nothing, *(depth.mixed for depth in depths)], axis=0),
        joint=np.concatenate([nothing[:0], *(depth.joint for depth in depths)]),
        error_cm=np.concatenate([np.empty(0), *(depth.error_cm for depth in depths)]),
        bound_cm=np.concatenate([np.empty(0), *(depth.bound_cm for depth in depths)]),
        clear=np.concatenate([np.empty(0, np.bool_), *(depth.clear for depth in depths)]),
        ceiling=pose3d_scores(truth, found, [depth.camera for depth in depths], spec.skeleton, spec.root),
    )
