"""One setting tried: what its targets lose, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from spmdata.metrics.oks import OksScores
from spmdata.people import Sample
from spmdata.roundtrip.measure import compare_samples, map_bytes
from spmdata.roundtrip.tally import tally
from spmdata.spec import TargetSpec

#: Samples that are compressed to learn what a row costs.
BYTES_ROWS = 64
#: Bytes that differ by less are alike: so few rows do not tell them apart, and no convention is worth changing for it.
BYTES_ALIKE = 0.01
#: AP is a mean of rounded numbers: this much of it is no difference.
NO_AP = 1e-12


@dataclass(frozen=True)
class Trial:
    """What one spec does to the sample.

    Parameters
    ----------
    spec : TargetSpec
        What was tried.
    ceiling : OksScores
        Scores of perfect maps, in original px; ``ap`` is the first of them.
    people : int
        Labelled persons.
    lost : mapping of str to int
        Persons that do not come back, by reason.
    dropped_joints : int
        Labelled joints that the spec leaves out.
    roots_collided, reads_collided : float
        Shares of persons with another's root in the peak window of theirs, and of reads of another person's cells.
    mean_px, p99_px, clear_max_px : float
        Round-trip error of the joints of persons that come back, in px of the original images, so that input sizes
        compare; the last is the greatest where nothing collided.
    row_bytes : float
        Of the maps of one row in a store, people and images not counted.
    """

    spec: TargetSpec
    ceiling: OksScores
    people: int
    lost: Mapping[str, int]
    dropped_joints: int
    roots_collided: float
    reads_collided: float
    mean_px: float
    p99_px: float
    clear_max_px: float
    row_bytes: float

    @property
    def ap(self) -> float:
        """AP ceiling, in [0, 1]."""
        return self.ceiling.AP

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; of the spec what differs from the defaults."""
        return asdict(self) | {"spec": self.spec.changed(), "ceiling": self.ceiling._asdict()}


def try_specs(samples: Sequence[Sample], specs: Sequence[TargetSpec], threads: int | None = None) -> list[Trial]:
    """Try specs that differ in decode fields alone: the samples are encoded once.

    Raises
    ------
    SpecError
        Specs that would encode differently, or samples of another skeleton.
    """
    row_bytes = map_bytes(_from_few_to_many(samples), specs[0])
    trials = []
    for spec, rows in zip(specs, compare_samples(samples, specs, threads=threads), strict=True):
        found = tally(rows, spec.skeleton)
        error = found.image_error_px if len(found.image_error_px) else np.zeros(1)
        trials.append(
            Trial(
                spec=spec,
                ceiling=found.ceiling,
                people=found.people,
                lost=found.lost,
                dropped_joints=found.dropped_joints,
                roots_collided=found.roots_collided,
                reads_collided=found.collided,
                mean_px=float(error.mean()),
                p99_px=float(np.quantile(error, 0.99)),
                clear_max_px=float(found.image_error_px[found.clear].max(initial=0)),
                row_bytes=row_bytes,
            )
        )
    return trials


def _from_few_to_many(samples: Sequence[Sample]) -> list[Sample]:
    """Return `BYTES_ROWS` of the samples, evenly spread from few labelled joints to many: bytes go by those.

    Of 300 images of COCO, CrowdPose or MPII their mean is within 2 % of that of all, every ninth image's within 25 %.
    """
    order = sorted(samples, key=lambda sample: int(np.count_nonzero(sample.people.visible)))
    n = min(BYTES_ROWS, len(order))
    return [order[(2 * i + 1) * len(order) // (2 * n)] for i in range(n)]


def rank(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials by falling AP; equal ones by persons lost, then bytes, then as they came."""
    return sorted(trials, key=lambda trial: (-round(trial.ap, 12), sum(trial.lost.values()), trial.row_bytes))


def cheapest(trials: Sequence[Trial], within_ap: float = 0.001) -> Trial:
    """Return the trial of the fewest bytes a row within so much AP of the best; of alike ones the first."""
    least = max(trial.ap for trial in trials) - within_ap - NO_AP
    good = [trial for trial in trials if trial.ap >= least]
    most_bytes = min(trial.row_bytes for trial in good) * (1 + BYTES_ALIKE)
    return next(trial for trial in good if trial.row_bytes <= most_bytes)
