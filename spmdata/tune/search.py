"""Look for the conventions that lose least, and among those for the cheapest.

Every combination of what decides who shares a cell (`GRID`) is tried, so that no bad start can hold the search; then
each axis alone, round the best and round the cheapest good setting found so far, until there is nothing new to try.
Decoding is tried at all its settings on every encoding. What comes near the best goes to the finals, on more images:
300 of COCO tell 1 AP, not 0.1. Nothing is random: the same images give the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from spmdata.errors import SpecError
from spmdata.people import Sample
from spmdata.sources.base import Source
from spmdata.spec import TargetSpec
from spmdata.tune.axes import AXES, GRID, Axis, grid, neighbours
from spmdata.tune.trial import Trial, cheapest, rank, try_specs

#: How far below the best AP a cheaper setting may be.
WITHIN_AP = 0.001
#: How far below the best AP of the sample an encoding may be to go to the finals, on how many times as many images.
FINALS_AP, FINALS_ROWS = 0.005, 4
#: Raised when a key of `Tuning.to_json` changes its meaning.
TUNING_VERSION = 2


@dataclass(frozen=True)
class Tuning:
    """What was tried, and what to take.

    Parameters
    ----------
    sample : int
        Images that everything was tried on.
    rows, people : int
        Images of the finals, and labelled persons in them; those of the sample where a source has no more.
    axes : tuple of Axis
        What was swept.
    encodings : int
        How often the sample was encoded.
    tried, trials : tuple of Trial
        All of the sample, and all of the finals, the start's among them; best first.
    start, best, pick : Trial
        Of the finals: the spec that was given; the greatest AP; the cheapest within `WITHIN_AP` of it, and of those
        that cost alike the one that changes fewest fields of the start.
    """

    sample: int
    rows: int
    people: int
    axes: tuple[Axis, ...]
    encodings: int
    tried: tuple[Trial, ...]
    trials: tuple[Trial, ...]
    start: Trial
    best: Trial
    pick: Trial

    def to_json(self) -> dict[str, Any]:
        """Return one versioned object of plain JSON values."""
        named = {name: getattr(self, name).to_json() for name in ("start", "best", "pick")}
        own = {name: getattr(self, name) for name in ("sample", "rows", "people", "encodings")}
        swept = {axis.name: list(axis.settings) for axis in self.axes}
        trials = {name: [trial.to_json() for trial in getattr(self, name)] for name in ("trials", "tried")}
        return {"version": TUNING_VERSION, **own, "within_ap": WITHIN_AP, "swept": swept, **named, **trials}


def tune_spec(
    source: Source,
    start: TargetSpec,
    *,
    axes: Sequence[Axis] = AXES,
    rows: int = 300,
    threads: int | None = None,
    on_encoding: Callable[[int, int], None] | None = None,
) -> Tuning:
    """Try many conventions on a sample of a source's images; nothing is written.

    Parameters
    ----------
    source : Source
        Parsed annotations; images are not read.
    start : TargetSpec
        Where to begin: fields that no axis sweeps stay, and its settings are tried, and preferred, first.
    axes : sequence of Axis
        What to sweep. What a tree of one level does not have (a missing parent) is left out.
    rows : int
        Images of the sample, evenly spread over the source; all when it has fewer. The finals have `FINALS_ROWS` times
        as many.
    threads : int, optional
        Every core by default.
    on_encoding : callable, optional
        Called with (encodings tried, encodings known to be needed).

    Returns
    -------
    Tuning

    Raises
    ------
    SpecError
        No rows, another skeleton than the source's, a value that a field does not take.
    """
    if rows < 1:
        raise SpecError(f"rows must be at least 1, got {rows}")
    if start.skeleton != source.skeleton:
        raise SpecError(f"the spec is for {start.skeleton.name}, the source has {source.skeleton.name}")
    samples = _spread(source, rows)
    swept = tuple(axis.beginning_with(start) for axis in axes)
    # Before anything is tried: a value that a field does not take is refused here, and so are two that do not agree.
    every = [start, *neighbours(start, swept), *grid(start, [axis for axis in swept if axis.name in GRID])]
    if all(max(spec.tree.levels()) == 1 for spec in every):
        swept = tuple(axis for axis in swept if axis.name != "missing_parent")
    encode, decode = [a for a in swept if not a.decodes], [a for a in swept if a.decodes]
    found: dict[TargetSpec, list[Trial]] = {}

    def try_all(encodings: Iterable[TargetSpec]) -> list[Trial]:
        """Try what is new; return every trial so far, those first that change least of the start."""
        new = [spec for spec in dict.fromkeys(encodings) if spec not in found]
        needed = len(found) + len(new)
        for spec in new:
            found[spec] = try_specs(samples, grid(spec, decode), threads)
            if on_encoding:
                on_encoding(len(found), needed)
        return sorted((trial for trials in found.values() for trial in trials), key=lambda t: _changes(start, t.spec))

    trials = try_all(grid(start, [axis for axis in encode if axis.name in GRID]))
    while True:
        known, centres = len(found), (rank(trials)[0], cheapest(trials, WITHIN_AP))
        around = [spec for centre in centres for spec in neighbours(_encoding(centre.spec, start, decode), encode)]
        trials = try_all(around)
        if len(found) == known:
            break
    tried, more = trials, _spread(source, FINALS_ROWS * rows)
    if len(more) > len(samples):
        finals, trials = _finalists(tried, start, decode), []
        for i, spec in enumerate(finals, 1):
            trials += try_specs(more, grid(spec, decode), threads)
            if on_encoding:
                on_encoding(known + i, known + len(finals))
        trials.sort(key=lambda trial: _changes(start, trial.spec))
    best, pick = rank(trials)[0], cheapest(trials, WITHIN_AP)
    own = next(trial for trial in trials if trial.spec == start)
    ranked = tuple(rank(tried)), tuple(rank(trials))
    return Tuning(len(samples), len(more), own.people, swept, len(found), *ranked, own, best, pick)


def _spread(source: Source, rows: int) -> list[Sample]:
    """Return so many samples, evenly spread over the source; all when it has fewer."""
    return [source[i] for i in np.unique(np.linspace(0, len(source) - 1, min(rows, len(source))).astype(int))]


def _finalists(tried: Sequence[Trial], start: TargetSpec, decode: Sequence[Axis]) -> list[TargetSpec]:
    """Return the encodings of what comes near the best of the sample, and the start's."""
    least = rank(tried)[0].ap - FINALS_AP
    near = [trial.spec for trial in tried if trial.ap >= least or trial.spec == start]
    return list(dict.fromkeys(_encoding(spec, start, decode) for spec in near))


def _changes(start: TargetSpec, spec: TargetSpec) -> int:
    return sum(getattr(start, f.name) != getattr(spec, f.name) for f in fields(spec))


def _encoding(spec: TargetSpec, start: TargetSpec, decode: Sequence[Axis]) -> TargetSpec:
    """Return the spec with the decode settings of the start, under which its encoding is kept."""
    return spec.override(**{axis.name: getattr(start, axis.name) for axis in decode})
