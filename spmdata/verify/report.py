"""What verification found, as one value: it decides the exit code and prints as JSON.

Letters: K joints. Errors in input px, of depth in cm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from spmdata.metrics.oks import OksScores
from spmdata.metrics.pose3d import Pose3dScores
from spmdata.roundtrip.depth_tally import DepthLine
from spmdata.roundtrip.tally import ErrorLine
from spmdata.store.check import Damage

#: Raised when a key of `Report.to_json` changes its meaning.
REPORT_VERSION = 1


@dataclass(frozen=True)
class WorstRow:
    """One of the rows with the greatest error, collisions included."""

    row: int
    image_id: int
    path: str
    error_px: float
    joint: str
    collided: bool


@dataclass(frozen=True)
class DepthReport:
    """What verification found of depth, in the camera's frame; people without depth count in px alone.

    Parameters
    ----------
    people, lost : int
        Persons with depth in the targets; those of them who come back without it.
    mixed, roots_mixed : float
        Shares of the joints' depths, and of the roots', that are read where another person's may be mixed in.
    by_joint, by_level : tuple of DepthLine
        Errors in cm.
    beyond_bound : int
        Joints outside collisions whose error passes the bound.
    bound_cm : float
        The greatest bound: what rounding of vectors, root_depth and px does to a joint in the camera's frame.
    ceiling : Pose3dScores
        3D scores of the decoded people against the stored ones.
    """

    people: int
    lost: int
    mixed: float
    roots_mixed: float
    by_joint: tuple[DepthLine, ...]
    by_level: tuple[DepthLine, ...]
    beyond_bound: int
    bound_cm: float
    ceiling: Pose3dScores


@dataclass(frozen=True)
class Report:
    """The result of `verify_store`.

    Parameters
    ----------
    store : str
        Name of the store.
    complete : bool
        The run that wrote it was finalised.
    targets : str
        ``stored`` maps were decoded, or ``recipe``: there are none, they were drawn from the people.
    rows : int
        Rows compared.
    skipped : mapping of str to int
        Rows that were written empty, by reason.
    people : int
        Labelled persons.
    lost : mapping of str to int
        Persons that do not come back, by reason.
    dropped_joints : int
        Labelled joints that the spec leaves out of the targets.
    collided : float
        Share of all reads that collide.
    by_joint, by_level : tuple of ErrorLine
        Errors.
    beyond_bound : int
        Joints outside collisions whose error passes the bound.
    bound_px : float
        The greatest bound that applied: derived from the stored dtype.
    ceiling : OksScores
        OKS scores of the decoded people against the stored ones, in original px.
    depth : DepthReport or None
        In 3D: the same of depth, in cm.
    worst : tuple of WorstRow
        Greatest errors first.
    damage : tuple of Damage
        What is corrupt.
    """

    store: str
    complete: bool
    targets: str
    rows: int
    skipped: Mapping[str, int]
    people: int
    lost: Mapping[str, int]
    dropped_joints: int
    collided: float
    by_joint: tuple[ErrorLine, ...]
    by_level: tuple[ErrorLine, ...]
    beyond_bound: int
    bound_px: float
    ceiling: OksScores
    depth: DepthReport | None
    worst: tuple[WorstRow, ...]
    damage: tuple[Damage, ...]

    @property
    def ok(self) -> bool:
        """The store holds what it says: nothing is corrupt, no error outside collisions passes the bound."""
        return not self.damage and self.beyond_bound == 0 and (self.depth is None or self.depth.beyond_bound == 0)

    def to_json(self) -> dict[str, Any]:
        """Return one versioned object of plain JSON values; ``ok`` is the exit code's reason."""
        values = asdict(self) | {"ceiling": self.ceiling._asdict()}
        if self.depth is not None:
            values["depth"]["ceiling"] = self.depth.ceiling._asdict()
        return {"version": REPORT_VERSION, "ok": self.ok, **values}
