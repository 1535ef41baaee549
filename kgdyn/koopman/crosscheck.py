"""The figures of a Koopman model beside those of deeptime's own estimators, like with like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import readonly
from kgdyn.koopman._deeptime_estimates import (
    EPSILON,
    deeptime_covariances,
    deeptime_eigenvalues,
    deeptime_matrix,
    deeptime_stationary,
    deeptime_times,
    deeptime_vamp,
    slowest_first,
)
from kgdyn.koopman.ck_test import ChapmanKolmogorovTest, ck_test
from kgdyn.koopman.covariances import Covariances, as_segments, block_covariances
from kgdyn.koopman.implied_timescales import ImpliedTimescales, implied_timescales
from kgdyn.koopman.koopman_model import KoopmanModel, estimate_koopman_model
from kgdyn.koopman.to_deeptime import transfer_operator_model

__all__ = ["Comparison", "Crosscheck", "crosscheck", "crosscheck_results"]

_BOUND = 1e-8
# Two orders of the same sums differ by rounding times the condition number of C00.
_ROUNDING = 1e-13


@dataclass(frozen=True)
class Comparison:
    """One quantity by both.

    Attributes
    ----------
    quantity : str
    ours, deeptimes : arrays of the same shape
        NaN in both is agreement, in one of them an infinite difference.
    bound : float
        Largest allowed ``difference``.
    unit : float
        A difference counts relative to deeptime's value, or to ``unit`` where that is smaller:
        1 for matrix elements and scores, 0 for timescales.
    """

    quantity: str
    ours: NDArray[Any]
    deeptimes: NDArray[Any]
    bound: float
    unit: float = 1.0

    @property
    def differences(self) -> NDArray[np.float64]:
        """Of each element, relative."""
        missing = np.isnan(self.ours), np.isnan(self.deeptimes)
        with np.errstate(invalid="ignore"):
            size = np.maximum(np.abs(self.deeptimes), self.unit)
            result = np.abs(self.ours - self.deeptimes) / size
        result = np.where(missing[0] ^ missing[1], np.inf, result)
        return np.where(missing[0] & missing[1], 0.0, result)

    @property
    def difference(self) -> float:
        """The largest."""
        return float(self.differences.max(initial=0.0))

    @property
    def ok(self) -> bool:
        """The largest difference is within its bound."""
        return self.difference <= self.bound

    @property
    def worst(self) -> tuple[Any, Any]:
        """Our value and deeptime's where they differ most."""
        if not self.ours.size:
            return np.nan, np.nan
        place = np.unravel_index(int(np.argmax(self.differences)), self.ours.shape)
        return self.ours[place], self.deeptimes[place]


@dataclass(frozen=True)
class Crosscheck:
    """Every quantity by kgdyn and by deeptime.

    Attributes
    ----------
    comparisons : tuple of Comparison
    singular_value_timescales : (n_states - 1,) array, ps
        What deeptime's ``VAMP(...).timescales()`` says, for information: from singular values,
        which agree with the eigenvalues' timescales only where K is reversible. Not compared.
    lagtime : int, frames.
    frame_interval : float, ps.
    """

    comparisons: tuple[Comparison, ...]
    singular_value_timescales: NDArray[np.float64]
    lagtime: int
    frame_interval: float

    @property
    def ok(self) -> bool:
        """Every quantity is within its bound."""
        return all(item.ok for item in self.comparisons)

    @property
    def failed(self) -> tuple[Comparison, ...]:
        """Those that are not."""
        return tuple(item for item in self.comparisons if not item.ok)

    def __getitem__(self, quantity: str) -> Comparison:
        for item in self.comparisons:
            if item.quantity == quantity:
                return item
        raise KeyError(f"{quantity!r} is none of {[item.quantity for item in self.comparisons]}")

    def __repr__(self) -> str:
        width = max(len(item.quantity) for item in self.comparisons)
        lines = [
            f"  {item.quantity:<{width}}  {item.difference:8.1e} of at most {item.bound:.1e}"
            f"  {'ok' if item.ok else 'EXCEEDED'}"
            for item in self.comparisons
        ]
        verdict = "agrees with deeptime" if self.ok else "differs from deeptime"
        return "\n".join([f"Crosscheck(lagtime={self.lagtime} frames): {verdict}", *lines])


def crosscheck(
    state_probabilities: ArrayLike | Sequence[ArrayLike],
    *,
    lagtime: int,
    lagtimes: Sequence[int] | None = None,
    n_steps: int = 3,
    frame_interval: float = 1.0,
) -> Crosscheck:
    """Estimate everything with kgdyn and with deeptime, and compare.

    Parameters
    ----------
    state_probabilities : array (n_frames, n_targets, n_states) or a sequence of such arrays
        One array a gap-free segment.
    lagtime : int, frames.
    lagtimes : sequence of int, optional, frames
        Of the implied timescales; ``lagtime`` alone if not given.
    n_steps : int
        Of the Chapman-Kolmogorov test.
    frame_interval : float, ps.

    Raises
    ------
    ValueError
        As :func:`kgdyn.koopman.estimate_koopman_model` and :func:`kgdyn.koopman.ck_test`.
    """
    segments = as_segments(state_probabilities)
    interval: dict[str, Any] = {"frame_interval": frame_interval}
    return crosscheck_results(
        segments,
        estimate_koopman_model(segments, lagtime=lagtime, **interval),
        implied_timescales(segments, lagtimes=lagtimes or [lagtime], **interval),
        ck_test(segments, lagtime=lagtime, n_steps=n_steps, **interval),
    )


def crosscheck_results(
    state_probabilities: ArrayLike | Sequence[ArrayLike],
    model: KoopmanModel,
    timescales: ImpliedTimescales,
    ck: ChapmanKolmogorovTest,
) -> Crosscheck:
    """Compare results that are there already with deeptime's of the same state probabilities.

    deeptime gets each target of each segment as a trajectory of its own, in float64. For K means
    stay in the covariances, and sums are divided by the number of pairs, without Bessel's
    correction. For scores the mean is removed and the last state left out, as for
    :attr:`KoopmanModel.vamp2_score`: rows that sum to 1 leave no null direction then, and
    deeptime adds the constant's 1. Eigenvalues are compared with eigenvalues, timescales by the
    one rule of :meth:`KoopmanModel.timescales` (NaN where an eigenvalue has none).

    Bounds are 1e-8, or, for states that are nearly combinations of each other, 1e-13 times the
    condition number of C00; times the slowest timescale in lag times for the timescales, and
    divided by the spectral gap of K for the stationary distribution.

    Parameters
    ----------
    state_probabilities : array (n_frames, n_targets, n_states) or a sequence of such arrays
        What the results were estimated from.
    model : KoopmanModel
    timescales : ImpliedTimescales
    ck : ChapmanKolmogorovTest
        At the lag time of ``model``.

    Raises
    ------
    ValueError
        If ``ck`` has another lag time than ``model``.
    """
    if ck.lagtime != model.lagtime:
        raise ValueError(
            f"ck must have the model's lagtime, {model.lagtime}, received {ck.lagtime}"
        )
    segments = as_segments(state_probabilities)
    lagtime = model.lagtime
    theirs: dict[int, Any] = {}
    for lag in {lagtime, *(int(lag) for lag in timescales.lagtimes), *map(int, ck.steps * lagtime)}:
        theirs[lag] = deeptime_covariances(segments, lag)
    matrices = {lag: deeptime_matrix(found) for lag, found in theirs.items()}
    eigenvalues = {lag: deeptime_eigenvalues(matrix) for lag, matrix in matrices.items()}
    rounding = _ROUNDING * float(np.linalg.cond(theirs[lagtime].cov_00))
    found: list[Comparison] = []

    def compare(
        quantity: str, ours: ArrayLike, deeptimes: ArrayLike, unit: float = 1.0, loss: float = 1.0
    ) -> None:
        pair = readonly(np.array(ours)), readonly(np.array(deeptimes))
        found.append(Comparison(quantity, *pair, max(_BOUND, loss * rounding), unit))

    compare("K", model.koopman_matrix, matrices[lagtime])
    compare("eigenvalues", *_matched(model.eigenvalues, eigenvalues[lagtime]))
    compare(
        "stationary distribution",
        model.stationary_distribution,
        deeptime_stationary(matrices[lagtime]),
        # Where states are (almost) never left, (almost) any mixture of equilibria is stationary.
        loss=1.0 / max(np.abs(1.0 - eigenvalues[lagtime]).min(), 1e-16),
    )
    for row, lag in enumerate(map(int, timescales.lagtimes)):
        expected = deeptime_times(eigenvalues[lag], lag) * timescales.frame_interval
        ours = slowest_first(timescales.timescales[row])
        # dt / t = (t / lag) d lambda / lambda: a slow process magnifies the rounding of K.
        slowest = np.nanmax(expected, initial=0.0) / (lag * timescales.frame_interval)
        compare(f"timescales at lag {lag} (ps)", ours, expected, 0.0, max(1.0, slowest))
    vamp = deeptime_vamp(segments, lagtime)
    singular = _singular_values(block_covariances(segments, lagtime).combined())
    compare("VAMP singular values", singular, vamp.singular_values)
    compare("VAMP-1", 1.0 + singular.sum(), vamp.score("VAMP1", epsilon=EPSILON))
    compare("VAMP-2", model.vamp2_score, vamp.score("VAMP2", epsilon=EPSILON))
    # Of the data that a model was estimated from, VAMP-E and VAMP-2 are one number.
    compare("VAMP-E", model.vamp2_score, vamp.score("VAMPE", epsilon=EPSILON))
    test = transfer_operator_model(matrices[lagtime], lagtime).ck_test(
        [transfer_operator_model(matrices[int(n) * lagtime], int(n) * lagtime) for n in ck.steps]
    )
    compare("CK prediction K^n", ck.predictions, test.predictions)
    compare("CK estimate K(n lagtime)", ck.estimates, test.estimates)
    return Crosscheck(
        comparisons=tuple(found),
        singular_value_timescales=readonly(vamp.timescales() * model.frame_interval),
        lagtime=lagtime,
        frame_interval=model.frame_interval,
    )


def _singular_values(total: Covariances) -> NDArray[np.float64]:
    """(n_states - 1,) of C00^-1/2 C0t Ctt^-1/2, mean removed, without the last state."""
    mean_0, mean_t = total.sum_0 / total.n_pairs, total.sum_t / total.n_pairs
    cov_00, cov_0t, cov_tt = (
        (sums[0] / total.n_pairs - np.outer(left, right))[:-1, :-1]
        for sums, left, right in (
            (total.cov_00, mean_0, mean_0),
            (total.cov_0t, mean_0, mean_t),
            (total.cov_tt, mean_t, mean_t),
        )
    )
    half_weighted = _inverse_root(cov_00) @ cov_0t @ _inverse_root(cov_tt)
    result: NDArray[np.float64] = np.linalg.svd(half_weighted, compute_uv=False)
    return result


def _inverse_root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """C^-1/2 of a covariance, by its eigenvalues above rounding."""
    values, vectors = np.linalg.eigh(matrix)
    kept = values > 1e-10 * values[-1]
    result: NDArray[np.float64] = (vectors[:, kept] / np.sqrt(values[kept])) @ vectors[:, kept].T
    return result


def _matched(
    ours: NDArray[np.complex128], deeptimes: NDArray[np.complex128]
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """In pairs of nearest values: the order of equal magnitudes is nobody's."""
    from scipy.optimize import linear_sum_assignment

    _, order = linear_sum_assignment(np.abs(ours[:, None] - deeptimes[None, :]))
    return ours, deeptimes[order]
