"""Errors of people in three dimensions, in the camera's frame: MPJPE, PA-MPJPE, 3D-PCK, AUC and the root's own error.

Rules: found people are given to annotated ones greedily, the nearest 2D roots first, as long as they are within a
``radius`` in units of the annotated person's size (the longer side of the tight box of the labelled joints). The root
is the mean of the labelled joints among those that the spec's root names, of the same joints in both. MPJPE (mm) is the
mean distance of labelled joints after both roots are put on one point; PA-MPJPE that after the best similarity
(Procrustes: rotation, scale, shift). 3D-PCK is the share of joints whose error, roots aligned, is below 150 mm; AUC its
mean over the thresholds 0, 5, ..., 150 mm, so that perfect is 30 of 31 (Mehta et al. 2017, 2018). Both in two modes:
``all``, where the joints of a person who is not matched are wrong, and ``matched``, of the others alone.

Letters: P people, K joints; n labelled joints of one person.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spmdata.camera import Camera
from spmdata.people import People
from spmdata.skeleton import Skeleton

#: Farthest that the 2D root of a match may be off, in sizes of the annotated person.
RADIUS = 0.25
MM_PER_CM = 10.0
PCK_MM = 150.0
AUC_MM = np.arange(0.0, 151.0, 5.0)

Floats = NDArray[np.float64]


class Pose3dScores(NamedTuple):
    """Lengths in mm, shares in [0, 1]; -1 where there is nothing to measure."""

    people: int  #: annotated with depth
    matched: int  #: of them
    false_positives: int  #: found people whom no annotated one was given, and who stand in no ignore region
    MPJPE: float
    PA_MPJPE: float
    root: float  #: distance of the roots
    PCK150: float  #: mode all
    AUC: float
    PCK150_matched: float
    AUC_matched: float


def pose3d_scores(
    truth: Sequence[People],
    found: Sequence[People],
    cameras: Sequence[Camera | None],
    skeleton: Skeleton,
    root: str = "mean",
    radius: float = RADIUS,
) -> Pose3dScores:
    """Score estimated people against annotated ones in three dimensions.

    Parameters
    ----------
    truth, found : sequences of People, one an image, equally long
        In px (and cm) of the same frame. Annotated people without depth take their matches out and count for nothing;
        every joint of a found person counts, whatever its visibility; one without depth is as good as missed.
    cameras : sequence of Camera or None
        Of those frames; needed where somebody has depth.
    skeleton : Skeleton
        For the root.
    root : str
        As `TargetSpec.root`; of a box's root the depth is the mean of the labelled joints, which is taken here.
    radius : float
        Of a match, in sizes of the annotated person.

    Returns
    -------
    Pose3dScores

    Raises
    ------
    ValueError
        The sequences differ in length.
    """
    rooted = np.isin(np.arange(len(skeleton)), _rooted(skeleton, root))
    people = matched = false = joints = 0
    aligned: list[Floats] = []
    similar: list[Floats] = []
    roots: list[float] = []
    for wanted, estimates, camera in zip(truth, found, cameras, strict=True):
        deep = wanted.has_depth & ~wanted.regions
        people += int(deep.sum())
        joints += int(wanted.labelled[deep].sum())
        pairs = match_roots(wanted, estimates, rooted, radius)
        false += _false(wanted, estimates, {e for _, e in pairs})
        pairs = [(p, e) for p, e in pairs if deep[p] and estimates.has_depth[e]]
        matched += len(pairs)
        if camera is None or not pairs:
            continue
        there, here = wanted.in_camera(camera) * MM_PER_CM, estimates.in_camera(camera) * MM_PER_CM
        for p, e in pairs:
            labelled, own = wanted.labelled[p], _own(wanted.labelled[p], rooted)
            a, b = here[e], there[p]
            shift = b[own].mean(0) - a[own].mean(0)
            roots.append(float(np.linalg.norm(shift)))
            aligned.append(np.linalg.norm(a[labelled] + shift - b[labelled], axis=-1))
            similar.append(np.linalg.norm(procrustes(a[labelled], b[labelled]) - b[labelled], axis=-1))
    errors = np.concatenate([np.empty(0), *aligned])
    right = (errors[:, None] < [PCK_MM, *AUC_MM]).sum(0)
    return Pose3dScores(
        *(
            people,
            matched,
            false,
            _mean(errors),
            _mean(np.concatenate([np.empty(0), *similar])),
            _mean(np.array(roots)),
        ),
        *(_share(right[0], joints), _share(right[1:].mean(), joints)),
        *(_share(right[0], len(errors)), _share(right[1:].mean(), len(errors))),
    )


def match_roots(
    wanted: People, estimates: People, rooted: NDArray[np.bool_], radius: float = RADIUS
) -> list[tuple[int, int]]:
    """Return pairs of annotated people, regions left out, and found ones: nearest 2D roots first, each once.

    ``rooted`` (K,) are the joints whose mean is the root.
    """
    distance = np.full((len(wanted), len(estimates)), np.inf)
    for p in np.flatnonzero(~wanted.regions).tolist():
        labelled, own = wanted.labelled[p], _own(wanted.labelled[p], rooted)
        size = max(1.0, float(np.ptp(wanted.joints[p, labelled, :2].astype(np.float64), axis=0).max()))
        root, other = wanted.joints[p, own, :2].mean(0), estimates.joints[:, own, :2].mean(1)
        distance[p] = np.linalg.norm(other.astype(np.float64) - root, axis=-1) / size
    pairs = []
    while distance.size and distance.min() <= radius:
        p, e = divmod(int(distance.argmin()), len(estimates))
        pairs.append((p, e))
        distance[p], distance[:, e] = np.inf, np.inf
    return pairs


def procrustes(points: Floats, others: Floats) -> Floats:
    """Return points (n, 3) after the rotation, scale and shift that bring them nearest to the others (n, 3)."""
    centre, wanted = points - points.mean(0), others - others.mean(0)
    u, s, vt = np.linalg.svd(centre.T @ wanted)
    sign = np.array([1.0, 1.0, np.linalg.det(u @ vt)])  # a mirror image is no rotation
    scale = (s * sign).sum() / max((centre**2).sum(), np.finfo(np.float64).tiny)
    return np.asarray(scale * centre @ (u * sign) @ vt + others.mean(0))


def _rooted(skeleton: Skeleton, root: str) -> Sequence[int]:
    """Return the joints whose mean is the root."""
    named = {"mean": range(len(skeleton)), "bbox": range(len(skeleton)), "torso": skeleton.torso}
    return named[root] if root in named else (skeleton.joints.index(root),)


def _own(labelled: NDArray[np.bool_], rooted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the joints of one person whose mean is the root: all labelled ones when none of the named is."""
    return labelled & rooted if (labelled & rooted).any() else labelled


def _false(wanted: People, estimates: People, taken: set[int]) -> int:
    """Count found people who are nobody's match and stand in no ignore region."""
    regions = wanted.bbox_xywh[wanted.regions]

    def excused(x: float, y: float) -> bool:
        return any(i - 0.5 <= x < i - 0.5 + w and j - 0.5 <= y < j - 0.5 + h for i, j, w, h in regions.tolist())

    rest: Iterator[list[float]] = (
        xy.tolist() for e, xy in enumerate(estimates.joints[..., :2].mean(1)) if e not in taken
    )
    return sum(not excused(x, y) for x, y in rest)


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else -1.0


def _share(right: float, of: int) -> float:
    return float(right) / of if of else -1.0
