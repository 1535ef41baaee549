"""Functions fitted on some blocks of data and evaluated on others, and what they show there."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kgdyn.baselines._sums import LaggedSums
from kgdyn.baselines.linear_vamp import (
    LinearVAMP,
    fit_linear_vamp,
    held_out_singular_values,
    projected,
)

Float = NDArray[np.float64]

_FOLDS = 5


@dataclass(frozen=True)
class HeldOut:
    """Sums of a few functions, block by block, of which none was fitted on its block.

    Attributes
    ----------
    sums : LaggedSums
        Columns: ``n_floor`` linear functions, ``n_residual`` linear functions uncorrelated with
        the states, and the n_states - 1 coordinates of the states.
    later : LaggedSums or None
        The same at twice the lag time.
    n_floor, n_residual : int
    floor, residual : LinearVAMP
        The same functions fitted on all blocks, to describe them by.
    """

    sums: LaggedSums
    later: LaggedSums | None
    n_floor: int
    n_residual: int
    floor: LinearVAMP
    residual: LinearVAMP | None

    def statistics(self, weights: Float | None = None) -> Statistics:
        """What the functions show in all blocks, or in bootstrap samples of them."""
        cov_00, cov_0t, cov_tt = self.sums.combined(weights).centered()
        cov_0tt = np.full_like(cov_0t, np.nan)
        if self.later is not None:
            cov_0tt = self.later.combined(weights).centered()[1]
        floor = slice(0, self.n_floor)
        residual = slice(self.n_floor, self.n_floor + self.n_residual)
        states = slice(self.n_floor + self.n_residual, None)

        def part(which: slice) -> tuple[Float, Float, Float]:
            return tuple(cov[:, which, which] for cov in (cov_00, cov_0t, cov_tt))  # type: ignore[return-value]

        floor_score = 1.0 + (held_out_singular_values(*part(floor)) ** 2).sum(axis=-1)
        nothing = np.zeros((len(cov_00), 0))
        if cov_00.shape[1] == states.start:
            decay = _decays(cov_0t[:, floor, floor], cov_0tt[:, floor, floor])
            correlations = _correlations(*part(floor))
            return Statistics(
                *(floor_score, correlations, decay, floor_score, nothing, nothing, nothing, nothing)
            )
        values = held_out_singular_values(*part(states))
        # Fitted functions are uncorrelated with the states only where they were fitted.
        left, right = (_regression(cov, states) for cov in (cov_00, cov_tt))
        within = [
            onto_a.transpose(0, 2, 1) @ cov @ onto_b
            for cov, onto_a, onto_b in (
                (cov_00, left, left),
                (cov_0t, left, right),
                (cov_tt, right, right),
                (cov_0tt, left, right),
            )
        ]
        variance = np.einsum("bkk->bk", cov_00)[:, floor]
        left_over = np.einsum("bkk->bk", within[0])[:, floor]
        return Statistics(
            floor_score,
            _correlations(*part(floor)),
            _decays(cov_0t[:, floor, floor], cov_0tt[:, floor, floor]),
            1.0 + (values**2).sum(axis=-1),
            values,
            _correlations(*(cov[:, residual, residual] for cov in within[:3])),
            _decays(*(cov[:, residual, residual] for cov in within[1::2])),
            1.0 - left_over / np.maximum(variance, 1e-300),
        )


@dataclass(frozen=True)
class Statistics:
    """Arrays with one row for each sample.

    Attributes
    ----------
    floor_score : (n_samples,) VAMP-2 of the linear functions, the constant counted.
    floor_values : (n_samples, n_floor) correlation of u_k(t) and v_k(t + lagtime).
    floor_decays : (n_samples, n_floor) covariance of u_k(t) and v_k(t + 2 lagtime) as a share of
        that at one lag time; NaN where there are no such pairs.
    score : (n_samples,) VAMP-2 of the states.
    values : (n_samples, n_states - 1) singular values of the states, descending.
    residual_values : (n_samples, n_residual) correlation of the residual functions.
    residual_decays : (n_samples, n_residual) as for the floor.
    explained : (n_samples, n_floor) share of the variance of u_k that the states explain.
    """

    floor_score: Float
    floor_values: Float
    floor_decays: Float
    score: Float
    values: Float
    residual_values: Float
    residual_decays: Float
    explained: Float


def cross_fit(
    all_sums: Sequence[LaggedSums],
    n_state_columns: int,
    n_floor: int,
    n_residual: int,
    ridge: float,
    train: LaggedSums | None = None,
) -> HeldOut:
    """Fit on all folds but one, evaluate on that one, in turn.

    Parameters
    ----------
    all_sums : LaggedSums of features and, last, ``n_state_columns`` coordinates of states; at
        the lag time, and at twice the lag time.
    n_state_columns : int
        0 where there are no states: then ``n_residual`` must be 0.
    n_floor, n_residual : int
        Functions wanted.
    ridge : float
    train : LaggedSums of the features in other frames, optional
        The floor is then fitted on these alone.
    """
    sums, later = all_sums
    n_columns = sums.n_columns
    n_features = n_columns - n_state_columns
    features = sums.columns(n_features)
    fitted = features.combined() if train is None else train.combined()
    floor = fit_linear_vamp(fitted, n_floor, ridge)
    residual = None
    if n_residual:
        residual = fit_linear_vamp(sums.combined(), n_residual, ridge, n_state_columns)
    n_folds = min(_FOLDS, sums.n_blocks)
    folds = np.arange(sums.n_blocks) * n_folds // sums.n_blocks
    parts: list[tuple[LaggedSums, LaggedSums]] = []
    for fold in range(n_folds):
        others, here = (folds != fold).astype(np.float64), folds == fold
        models = [floor]
        if train is None:
            models = [fit_linear_vamp(features.combined(others), n_floor, ridge)]
            models[0] = _aligned(models[0], floor, features)
        models[0] = _padded(models[0], n_columns)
        if residual is not None:
            left = fit_linear_vamp(sums.combined(others), n_residual, ridge, n_state_columns)
            models.append(_aligned(left, residual, sums))
        states = np.eye(n_columns)[:, n_features:]
        zero = np.zeros(n_state_columns)
        models.append(LinearVAMP(states, states, zero, zero, zero))
        together = _beside(models)
        one, two = (projected(source.blocks(here), together) for source in (sums, later))
        parts.append((one, two))
    held_out, held_out_later = (
        functools.reduce(LaggedSums.followed_by, column) for column in zip(*parts, strict=True)
    )
    kept = 0 if residual is None else residual.n_processes
    far = held_out_later if held_out_later.n_pairs.all() else None
    return HeldOut(held_out, far, floor.n_processes, kept, floor, residual)


def _aligned(model: LinearVAMP, reference: LinearVAMP, sums: LaggedSums) -> LinearVAMP:
    """The same functions, turned to be most like those of the reference.

    One rotation for both times: pairs of functions stay pairs, and no correlation is added.
    """
    cov_00, _, cov_tt = (values[0] for values in sums.combined().centered())
    overlap = model.left.T @ cov_00 @ reference.left + model.right.T @ cov_tt @ reference.right
    first, _, second = np.linalg.svd(overlap)
    turn = first @ second
    return replace(
        model,
        left=model.left @ turn,
        right=model.right @ turn,
        shift_0=model.shift_0 @ turn,
        shift_t=model.shift_t @ turn,
    )


def _beside(models: Sequence[LinearVAMP]) -> LinearVAMP:
    """One model with the functions of all."""

    def joined(name: str) -> Float:
        return np.concatenate([getattr(model, name) for model in models], axis=-1)

    names = ("left", "right", "shift_0", "shift_t", "singular_values")
    return LinearVAMP(*(joined(name) for name in names))


def _padded(model: LinearVAMP, n_columns: int) -> LinearVAMP:
    """Functions of the features as functions of all columns."""
    missing = n_columns - len(model.left)
    pad = ((0, missing), (0, 0))
    return replace(model, left=np.pad(model.left, pad), right=np.pad(model.right, pad))


def _correlations(cov_00: Float, cov_0t: Float, cov_tt: Float) -> Float:
    """(n_samples, k) correlation of each function at t with its partner at t + lagtime."""
    variances = np.einsum("bkk->bk", cov_00) * np.einsum("bkk->bk", cov_tt)
    result: Float = np.einsum("bkk->bk", cov_0t) / np.sqrt(np.maximum(variances, 1e-300))
    return result


def _decays(cov_0t: Float, cov_0tt: Float) -> Float:
    """(n_samples, k) covariance after two lag times as a share of that after one."""
    near, far = np.einsum("bkk->bk", cov_0t), np.einsum("bkk->bk", cov_0tt)
    with np.errstate(divide="ignore", invalid="ignore"):
        result: Float = np.where(near > 0.0, far / near, np.nan)
    return result


def _regression(cov: Float, states: slice) -> Float:
    """(n_samples, n_columns, n_columns): every column minus its regression on those of states."""
    size = cov.shape[1]
    n_states = size - states.start
    others = cov[:, states, states]
    trace = np.trace(others, axis1=1, axis2=2)[:, None, None]
    others = others + (1e-10 * trace / n_states + 1.4e-14) * np.eye(n_states)
    onto = np.broadcast_to(np.eye(size), cov.shape).copy()
    onto[:, states] -= np.linalg.solve(others, cov[:, states])
    return onto
