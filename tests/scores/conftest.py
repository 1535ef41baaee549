"""Kinds of state probabilities that scores and their gradients must stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Pairs = tuple[NDArray[np.float64], NDArray[np.float64]]
MakePairs = Callable[..., Pairs]


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.fixture
def make_pairs(rng: np.random.Generator) -> MakePairs:
    """Function: chi_t and chi_lag, (n_pairs, n_states), of a kind."""

    def chain(shares: NDArray[np.float64], n_pairs: int) -> Pairs:
        """One-hot; a label is kept with probability 0.7."""
        n_states = len(shares)
        now = rng.choice(n_states, size=n_pairs, p=shares)
        now[: 2 * n_states] = np.repeat(np.arange(n_states), 2)
        fresh = rng.choice(n_states, size=n_pairs, p=shares)
        later = np.where(rng.random(n_pairs) < 0.7, now, fresh)
        return np.eye(n_states)[now], np.eye(n_states)[later]

    def make(kind: str, n_states: int, n_pairs: int = 600) -> Pairs:
        def noise() -> NDArray[np.float64]:
            return rng.normal(size=(n_pairs, n_states))

        if kind == "one_pair":
            return _softmax(rng.normal(size=(1, n_states))), _softmax(
                rng.normal(size=(1, n_states))
            )
        if kind == "collapsed":
            row = _softmax(rng.normal(size=(1, n_states)))
            return np.repeat(row, n_pairs, axis=0), np.repeat(row, n_pairs, axis=0)
        if kind == "degenerate":  # all singular values are (12 - 3) / (12 + 3 (n_states - 1))
            counts = (3 + 9 * np.eye(n_states, dtype=int)).ravel()
            labels = np.indices((n_states, n_states)).reshape(2, -1).repeat(counts, axis=1)
            return np.eye(n_states)[labels[0]], np.eye(n_states)[labels[1]]
        shares = np.full(n_states, 1.0 / n_states)
        if kind == "rare":
            shares = np.array([0.99, *[0.01 / (n_states - 1)] * (n_states - 1)])
        now, later = chain(shares, n_pairs)
        if kind == "one_hot":
            return now, later
        if kind == "uniform":
            return tuple(_softmax(1e-2 * (x + 0.3 * noise())) for x in (now, later))
        now, later = (_softmax(5.0 * x + noise()) for x in (now, later))
        if kind == "proportional":  # columns 1, 1/2, 1/4 ... of the same numbers
            powers = 0.5 ** np.arange(n_states - 1)
            now, later = (0.4 * x[:, :1] * powers for x in (now, later))
            now, later = (np.c_[x, 1.0 - x.sum(axis=1)] for x in (now, later))
        return now, later

    return make


@pytest.fixture(scope="session")
def deeptime_covariances() -> Callable[..., Any]:
    """Function: deeptime's covariances of pairs, mean removed."""
    from deeptime.covariance import Covariance, CovarianceModel

    def estimate(
        chi_t: NDArray[np.float64],
        chi_lag: NDArray[np.float64],
        reversible: bool = False,
        weights: NDArray[np.float64] | None = None,
    ) -> CovarianceModel:
        if weights is not None and not reversible:  # deeptime has no weights there
            n_states = chi_t.shape[1]
            joint = np.cov(chi_t, chi_lag, rowvar=False, aweights=weights, ddof=0)
            blocks = joint.reshape(2, n_states, 2, n_states).swapaxes(1, 2)
            cov_00, cov_0t, cov_tt = blocks[0, 0], blocks[0, 1], blocks[1, 1]
        else:
            found = Covariance(
                lagtime=1,
                compute_c0t=True,
                compute_ctt=not reversible,
                remove_data_mean=True,
                reversible=reversible,
                bessels_correction=False,
            )
            found = found.partial_fit((chi_t, chi_lag), weights=weights).fetch_model()
            cov_00, cov_0t = found.cov_00, found.cov_0t
            cov_tt = cov_00 if reversible else found.cov_tt
        return CovarianceModel(cov_00=cov_00, cov_0t=cov_0t, cov_tt=cov_tt, data_mean_removed=True)

    return estimate
