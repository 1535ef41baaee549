"""Several models on the same frames: states matched between them, their mean and their spread.

A single training may find another process than the next one, at nearly the same score. Matching
goes by the frames that states have in common, so models may differ in all else.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from kgdyn.frames import readonly
from kgdyn.koopman._member_sums import Segments, correlations, member_sums, parts_of
from kgdyn.koopman.covariances import as_segments

__all__ = ["Ensemble", "ensemble_states", "match_states"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True)
class Ensemble:
    """What several models say of the same frames.

    States have one order in all: that of falling population in the mean.

    Attributes
    ----------
    mean : list of (n_frames, n_targets, n_states) arrays
        Mean state probability over the members that agree, an array a segment.
    spread : list of (n_frames, n_targets, n_states) arrays
        Their standard deviation (of n - 1); NaN where only one member is left.
    permutations : (n_members, n_states) array of int
        ``member[..., permutations[m]]`` has the common order.
    agreement : (n_members, n_members) array
        Share of frames and targets that two members assign to the same state.
    kappa : (n_members, n_members) array
        The same, corrected for chance: (agreement - expected) / (1 - expected), Cohen, Educ.
        Psychol. Meas. 20, 37 (1960). With a state that holds 96% of all frames any two members
        agree by more than 90%; this is 0 where it is chance, and 1 for the same assignments.
    populations : (n_members, n_states) array
        Mean state probabilities of each member.
    reference : int
        The member that the others were matched to.
    outliers : tuple of int
        Members whose kappa with the reference is below the bound: they found something else.
    """

    mean: list[Float]
    spread: list[Float]
    permutations: Int
    agreement: Float
    kappa: Float
    populations: Float
    reference: int
    outliers: tuple[int, ...]

    @property
    def n_members(self) -> int:
        return len(self.permutations)

    @property
    def members(self) -> tuple[int, ...]:
        """Those that agree with the reference; mean and spread are theirs."""
        return tuple(m for m in range(self.n_members) if m not in self.outliers)

    def __repr__(self) -> str:
        inside = np.array(self.members)
        lowest = self.agreement[np.ix_(inside, inside)].min()
        return (
            f"Ensemble(n_members={self.n_members}, n_states={self.permutations.shape[1]}, "
            f"outliers={list(self.outliers)}, lowest agreement of the others={lowest:.4f})"
        )


def match_states(reference: Segments, other: Segments) -> NDArray[np.int64]:
    """Which state of ``other`` is which of ``reference``, on the same frames.

    The assignment (Hungarian method) with the largest sum of correlations between the states'
    probabilities: each state counts the same, however rare.

    Parameters
    ----------
    reference, other : array (n_frames, n_targets, n_states) or a sequence of such arrays
        State probabilities of the same frames and targets.

    Returns
    -------
    (n_states,) array of int
        ``other[..., result]`` has the order of ``reference``.

    Raises
    ------
    ValueError
        If shapes differ, or as :func:`kgdyn.koopman.as_segments`.
    """
    return _best_permutation(correlations(member_sums([reference, other]).moments, 2)[0, 1])


def ensemble_states(
    members: Sequence[Segments], *, bound: float = 0.6, reference: int | None = None
) -> Ensemble:
    """Bring the states of several models into one order, and tell where they agree.

    Parameters
    ----------
    members : sequence of at least 2
        State probabilities of each model on the same frames: an array
        (n_frames, n_targets, n_states), or a sequence of such arrays, one a segment. Memory-mapped
        arrays are read segment by segment.
    bound : float, from 0 to 1
        Members with a lower kappa to the reference are outliers, left out of mean and spread.
    reference : int, optional
        Member to match the others to, say that of the best score. If not given, the one with the
        highest median kappa to the others.

    Raises
    ------
    ValueError
        For fewer than two members, members of different shapes, a bound or a reference out of
        range, or as :func:`kgdyn.koopman.as_segments`.

    Warns
    -----
    RuntimeWarning
        If there are outliers; it names them.
    """
    if len(members) < 2:
        raise ValueError(f"members: at least 2 models are needed, received {len(members)}")
    if not 0.0 <= bound <= 1.0:
        raise ValueError(f"bound must be between 0 and 1, received {bound}")
    count = len(members)
    if reference is not None and not 0 <= reference < count:
        raise ValueError(f"reference must be between 0 and {count - 1}, received {reference}")
    sums = member_sums(members)
    alike = correlations(sums.moments, count)
    pairs = [[_best_permutation(alike[a, b]) for b in range(count)] for a in range(count)]
    if reference is None:
        among = _agreements(sums.together, pairs)[1]
        medians = [np.median(np.delete(among[member], member)) for member in range(count)]
        reference = int(np.argmax(medians))
    common = np.stack([pairs[reference][member] for member in range(count)])
    # In the common order states correspond place by place.
    orders = [[_seen_from(common[a], common[b]) for b in range(count)] for a in range(count)]
    agreement, kappa = _agreements(sums.together, orders)
    outliers = tuple(int(m) for m in np.flatnonzero(kappa[reference] < bound))
    inside = [m for m in range(count) if m not in outliers]
    populations = np.take_along_axis(sums.means, common, axis=1)
    order = np.argsort(-populations[inside].mean(axis=0), kind="stable")
    common, populations = common[:, order], populations[:, order]
    if outliers:
        told = ", ".join(f"{m} (kappa {kappa[reference, m]:.2f})" for m in outliers)
        warnings.warn(
            f"members {told} assign other states than member {reference}: they found something "
            "else, and are left out of the mean",
            RuntimeWarning,
            stacklevel=2,
        )
    mean, spread = _mean_and_spread([members[m] for m in inside], common[inside])
    return Ensemble(
        mean=mean,
        spread=spread,
        permutations=readonly(common, np.int64),
        agreement=readonly(agreement),
        kappa=readonly(kappa),
        populations=readonly(populations),
        reference=reference,
        outliers=outliers,
    )


def _best_permutation(alike: Float) -> Int:
    _, columns = linear_sum_assignment(alike, maximize=True)
    return np.asarray(columns, dtype=np.int64)


def _seen_from(first: Int, second: Int) -> Int:
    """Of two members' permutations to a common order, that which takes the second to the first."""
    result: Int = second[np.argsort(first)]
    return result


def _agreements(together: Float, orders: Sequence[Sequence[Int]]) -> tuple[Float, Float]:
    """Agreement and kappa, (n_members, n_members), with ``orders[a][b]`` taking b to a."""
    count = len(together)
    agreement, kappa = np.ones((count, count)), np.ones((count, count))
    for a in range(count):
        for b in range(count):
            table = together[a][:, b][:, orders[a][b]]
            table = table / table.sum()
            found = float(np.trace(table))
            expected = float(table.sum(axis=1) @ table.sum(axis=0))
            agreement[a, b] = found
            # Both put every frame into one and the same state: nothing is left to disagree on.
            certain = 1.0 - expected < 1e-12
            kappa[a, b] = 1.0 if certain else (found - expected) / (1.0 - expected)
    return agreement, kappa


def _mean_and_spread(
    members: Sequence[Segments], permutations: Int
) -> tuple[list[Float], list[Float]]:
    means, spreads = [], []
    parts = [parts_of(member) for member in members]
    for number in range(len(parts[0])):
        values = [
            as_segments([part[number]])[0][..., order]
            for part, order in zip(parts, permutations, strict=True)
        ]
        mean = np.sum(values, axis=0) / len(values)
        squares = np.sum([(one - mean) ** 2 for one in values], axis=0)
        spread = np.full_like(mean, np.nan)
        if len(values) > 1:
            spread = np.sqrt(squares / (len(values) - 1))
        means.append(readonly(mean))
        spreads.append(readonly(spread))
    return means, spreads
