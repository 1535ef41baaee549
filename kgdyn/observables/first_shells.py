"""The first shell of atoms around targets of each state, read off radial distribution functions.

A peak is where g(r) has risen above 1 and falls again, a minimum where it then rises again: by more
than the noise, which is taken from the intervals, and by more than a tenth of the peak (a peak) or
0.05 (a minimum). Where there is none, none is given.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kgdyn.frames import readonly
from kgdyn.koopman import Interval
from kgdyn.observables.state_rdf import StateRDF

__all__ = ["FirstShells", "first_shells"]

Float = NDArray[np.float64]

_FALL = 0.1
_RISE = 0.05
_ERRORS = 3.0
_TO_ERROR = 1.0 / (2.0 * 1.96)


@dataclass(frozen=True, eq=False, repr=False)
class FirstShells:
    """First peaks of g(r), and how many atoms they hold.

    Attributes
    ----------
    positions : (n_states, n_selections) array, angstrom
        Of the first peak; NaN where there is none.
    heights : (n_states, n_selections) array
        g(r) there, smoothed.
    heights_interval : Interval, 95%, of the bins of the peak.
    minima : (n_states, n_selections) array, angstrom
        First minimum after the peak: the end of the shell. NaN where there is none.
    coordination : (n_states, n_selections) array
        Mean number of atoms nearer than that; NaN where it is.
    coordination_interval : Interval, 95%.
    common_minima : (n_selections,) array, angstrom
        First minimum of the mean over all states.
    common_coordination : (n_states, n_selections) array
        Atoms nearer than that: what states are compared by, as their own shells may end elsewhere.
    common_coordination_interval : Interval, 95%.
    notes : tuple of tuples of str, by state and selection
        What is missing and why, or "".
    selections : tuple of str
    populations : (n_states,) array
    smoothing : float, angstrom
    """

    positions: Float
    heights: Float
    heights_interval: Interval
    minima: Float
    coordination: Float
    coordination_interval: Interval
    common_minima: Float
    common_coordination: Float
    common_coordination_interval: Interval
    notes: tuple[tuple[str, ...], ...]
    selections: tuple[str, ...]
    populations: Float
    smoothing: float

    @property
    def n_states(self) -> int:
        return len(self.populations)

    def __repr__(self) -> str:
        n_missing = sum(bool(note) for row in self.notes for note in row)
        return (
            f"FirstShells(n_states={self.n_states}, selections={list(self.selections)}, "
            f"shells found={self.positions.size - n_missing} of {self.positions.size}, "
            f"smoothing={self.smoothing:g} angstrom)"
        )


def first_shells(rdf: StateRDF, *, smoothing: float = 0.1) -> FirstShells:
    """Position and height of the first peak, and the coordination number up to its minimum.

    Parameters
    ----------
    rdf : StateRDF
    smoothing : float, angstrom
        Standard deviation of the Gaussian that g(r) is smoothed with to find peak and minimum; less
        for the narrow peaks of cold crystals, 0 for none. Coordination numbers are not smoothed.

    Raises
    ------
    ValueError
        For a negative ``smoothing``.
    """
    if not (np.isfinite(smoothing) and smoothing >= 0.0):
        raise ValueError(f"smoothing must not be negative, in angstrom, received {smoothing}")
    n_states, n_selections = rdf.rdf.shape[:2]
    shape = (n_states, n_selections)
    errors = (rdf.rdf_interval.upper - rdf.rdf_interval.lower) * _TO_ERROR
    errors = np.where(np.isfinite(errors), errors, 0.0)
    matrix = _smoother(rdf.radii, smoothing)
    positions, heights, minima = (np.full(shape, np.nan) for _ in range(3))
    bounds = np.full((2, *shape), np.nan)
    ends = np.full(shape, -1, np.int64)
    notes = [["" for _ in range(n_selections)] for _ in range(n_states)]
    for state in range(n_states):
        for a in range(n_selections):
            peak, minimum, note = _find(rdf.rdf[state, a], errors[state, a], matrix)
            notes[state][a] = note
            if peak >= 0:
                row = matrix[peak]
                positions[state, a] = rdf.radii[peak]
                heights[state, a] = row @ rdf.rdf[state, a]
                bounds[0, state, a] = row @ rdf.rdf_interval.lower[state, a]
                bounds[1, state, a] = row @ rdf.rdf_interval.upper[state, a]
            if minimum >= 0:
                minima[state, a] = rdf.edges[minimum + 1]
                ends[state, a] = minimum
    common = np.full(n_selections, -1, np.int64)
    shares = np.where(np.isfinite(rdf.rdf).all(axis=2), rdf.populations[:, None], 0.0)
    for a in range(n_selections):
        total = shares[:, a].sum()
        if total > 0.0:
            weights = shares[:, a] / total
            mean = weights @ np.nan_to_num(rdf.rdf[:, a])
            error = np.sqrt(weights**2 @ errors[:, a] ** 2)
            common[a] = _find(mean, error, matrix)[1]
    everywhere = np.broadcast_to(common, shape)
    return FirstShells(
        positions=readonly(positions),
        heights=readonly(heights),
        heights_interval=Interval(readonly(bounds[0]), readonly(bounds[1])),
        minima=readonly(minima),
        coordination=readonly(_at(rdf.coordination, ends)),
        coordination_interval=_interval_at(rdf.coordination_interval, ends),
        common_minima=readonly(np.where(common >= 0, rdf.edges[common + 1], np.nan)),
        common_coordination=readonly(_at(rdf.coordination, everywhere)),
        common_coordination_interval=_interval_at(rdf.coordination_interval, everywhere),
        notes=tuple(tuple(row) for row in notes),
        selections=rdf.selections,
        populations=readonly(rdf.populations),
        smoothing=float(smoothing),
    )


def _smoother(radii: Float, width: float) -> Float:
    """(n_bins, n_bins) matrix of a Gaussian whose rows sum to 1."""
    if width <= 0.0:
        return np.eye(len(radii))
    weights = np.exp(-0.5 * ((radii[:, None] - radii) / width) ** 2)
    result: Float = weights / weights.sum(axis=1, keepdims=True)
    return result


def _find(values: Float, errors: Float, matrix: Float) -> tuple[int, int, str]:
    """Bins of the first peak and the first minimum, -1 where there is none, and a note."""
    if not np.isfinite(values).all():
        return -1, -1, "no g(r)"
    curve = matrix @ values
    # Of means over neighbouring bins, as if those were independent.
    error = _ERRORS * np.sqrt(matrix**2 @ errors**2)
    peak = top = 0
    found = False
    for k in range(1, len(curve)):
        if curve[k] > curve[top]:
            top = k
        elif curve[k] < curve[top] - max(_FALL * curve[top], error[top]):
            if curve[top] - error[top] > 1.0:
                peak, found = top, True
                break
            top = k  # a bump below 1, or of noise: from here on
    if not found:
        return -1, -1, "no peak above 1"
    low = peak
    for k in range(peak + 1, len(curve)):
        if curve[k] < curve[low]:
            low = k
        elif curve[k] > curve[low] + max(_RISE, error[k], error[low]):
            return peak, low, ""
    return peak, -1, "no minimum after the peak"


def _at(values: Float, ends: NDArray[np.int64]) -> Float:
    """(n_states, n_selections) values of bins; NaN where the bin is -1."""
    picked = np.take_along_axis(values, np.maximum(ends, 0)[..., None], axis=2)[..., 0]
    result: Float = np.where(ends >= 0, picked, np.nan)
    return result


def _interval_at(interval: Interval, ends: NDArray[np.int64]) -> Interval:
    return Interval(readonly(_at(interval.lower, ends)), readonly(_at(interval.upper, ends)))
