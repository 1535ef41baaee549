"""Mean first passage and residence times of states, K read as a chain of steps of one lag time."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from kgdyn.koopman.koopman_model import KoopmanModel

__all__ = ["mean_first_passage_times", "residence_times"]

Float = NDArray[np.float64]

# Negative elements down to this are rounding; larger ones are no probabilities.
_ROUNDING = 1e-9


def mean_first_passage_times(model: KoopmanModel) -> NDArray[np.float64]:
    """Mean time from state i to the first visit of state j, looked at once each lag time.

    m_ij = lag + sum over k != j of K_ik m_kj, m_jj = 0, as in deeptime's ``mfpt``. Visits between
    two looks are missed, so times grow with the lag time where states are left within it. They
    assume that K is a matrix of probabilities: states are crisp, or nearly. The interval is
    ``model.mean_first_passage_times_interval``.

    Returns
    -------
    (n_states, n_states) array, ps
        Rows are from-states. Column j is NaN where another row of K has a negative element (beyond
        rounding), or where j cannot be reached.

    Warns
    -----
    RuntimeWarning
        If an element is NaN.
    """
    lag = model.lagtime * model.frame_interval
    result: NDArray[np.float64] = passage_matrices(model.koopman_matrix[None], lag)[0]
    _warn_nan(result, "mean first passage times")
    return result


def residence_times(model: KoopmanModel) -> NDArray[np.float64]:
    """Mean time until state i is left, looked at once each lag time: lag / (1 - K_ii).

    That is the mean of the geometric distribution of stays, and so agrees with
    :func:`mean_first_passage_times`: with two states the one equals the other. The rule
    -lag / ln(K_ii) would instead assume an exponential stay that nothing returns to within a lag
    time; it is shorter by about lag / 2. The interval is ``model.residence_times_interval``.

    Returns
    -------
    (n_states,) array, ps
        NaN where row i of K has a negative element (beyond rounding), or the state is never left.

    Warns
    -----
    RuntimeWarning
        If an element is NaN.
    """
    lag = model.lagtime * model.frame_interval
    result: NDArray[np.float64] = residence_vectors(model.koopman_matrix[None], lag)[0]
    _warn_nan(result, "residence times")
    return result


def passage_matrices(matrices: Float, lag: float) -> Float:
    """(n_matrices, n_states, n_states) mean first passage times of many K; NaN as above."""
    n_states = matrices.shape[-1]
    result = np.full(matrices.shape, np.nan)
    allowed = _probabilities(matrices)
    for end in range(n_states):
        others = np.delete(np.arange(n_states), end)
        systems = np.eye(n_states - 1) - matrices[:, others][:, :, others]
        good: NDArray[np.bool_] = np.asarray(allowed[:, others].all(axis=1))
        result[good, end, end] = 0.0
        good[good] = np.linalg.cond(systems[good]) < 1e12
        times = np.linalg.solve(systems[good], np.full((int(good.sum()), n_states - 1, 1), lag))
        rows = np.flatnonzero(good)
        result[rows[:, None], others[None, :], end] = times[..., 0]
    return result


def residence_vectors(matrices: Float, lag: float) -> Float:
    """(n_matrices, n_states) residence times of many K; NaN as above."""
    left = 1.0 - np.diagonal(matrices, axis1=-2, axis2=-1)
    good = _probabilities(matrices) & (left > 1e-12)
    result = np.full(left.shape, np.nan)
    result[good] = lag / left[good]
    return result


def _probabilities(matrices: Float) -> NDArray[np.bool_]:
    """(n_matrices, n_states): rows without negative elements; not those with NaN."""
    return np.asarray((matrices >= -_ROUNDING).all(axis=-1), dtype=np.bool_)


def _warn_nan(values: Float, name: str) -> None:
    if np.isnan(values).any():
        warnings.warn(
            f"{name} are NaN where rows of the Koopman matrix have negative elements, which are "
            "no probabilities, or where a state is never reached or left",
            RuntimeWarning,
            stacklevel=3,
        )
