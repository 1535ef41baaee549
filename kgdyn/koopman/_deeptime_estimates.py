"""What deeptime's estimators make of state probabilities: the other side of the crosscheck."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.koopman._spectrum import relaxation_times

# Where deeptime cuts eigenvalues of covariances, absolute: far below any state ever visited.
EPSILON = 1e-14


def deeptime_covariances(
    segments: Sequence[NDArray[np.float64]], lagtime: int, remove_mean: bool = False
) -> Any:
    """deeptime's covariances; it refuses trajectories that hold no pair."""
    from deeptime.covariance import Covariance

    trajectories = [
        np.ascontiguousarray(segment[:, target])
        for segment in segments
        if len(segment) > lagtime
        for target in range(segment.shape[1])
    ]
    estimator = Covariance(
        lagtime,
        compute_c0t=True,
        compute_ctt=True,
        remove_data_mean=remove_mean,
        bessels_correction=False,
    )
    return estimator.fit(trajectories).fetch_model()


def deeptime_matrix(covariances: Any) -> NDArray[np.float64]:
    from deeptime.numeric import spd_inv

    result: NDArray[np.float64] = spd_inv(covariances.cov_00, EPSILON) @ covariances.cov_0t
    return result


def deeptime_eigenvalues(matrix: NDArray[np.float64]) -> NDArray[np.complex128]:
    """(n_states - 1,), without the one nearest to 1."""
    from deeptime.numeric import eigs

    values = np.asarray(eigs(matrix)[0], dtype=np.complex128)
    return np.delete(values, np.argmin(np.abs(values - 1.0)))


def deeptime_stationary(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    from deeptime.numeric import eigs

    values, vectors = eigs(matrix.T)
    vector = vectors[:, np.argmin(np.abs(values - 1.0))].real
    result: NDArray[np.float64] = vector / vector.sum()
    return result


def deeptime_times(values: NDArray[np.complex128], lagtime: int) -> NDArray[np.float64]:
    """By deeptime's formula, which takes |lambda|; NaN where our rule says so."""
    from deeptime.markov.tools.analysis import timescales_from_eigenvalues

    valid = np.isfinite(relaxation_times(values, 1.0))
    result = np.full(len(values), np.nan)
    if valid.any():
        # It leaves out nothing: each value it is given has a time.
        result[valid] = timescales_from_eigenvalues(values[valid].real, tau=lagtime)
    return slowest_first(result)


def deeptime_vamp(segments: Sequence[NDArray[np.float64]], lagtime: int) -> Any:
    from deeptime.decomposition import VAMP

    kept = [segment[:, :, :-1] for segment in segments]
    covariances = deeptime_covariances(kept, lagtime, remove_mean=True)
    return VAMP(epsilon=EPSILON).fit_from_covariances(covariances).fetch_model()


def slowest_first(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """NaN last."""
    result: NDArray[np.float64] = -np.sort(-times)
    return result
