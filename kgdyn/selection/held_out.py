"""Held-out frames tested: VAMP-2, timescales and Chapman-Kolmogorov test, a mean over folds each.

The functions are those that the training found; the covariances are those of the held-out frames
(the validation score of VAMPnets). Errors are of the larger kind of two: a bootstrap over blocks
of each fold, and the spread between the folds, which holds that of the trainings too.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.koopman import (
    ChapmanKolmogorovTest,
    Covariances,
    Interval,
    Resampling,
    block_covariances,
    ck_test,
    implied_timescales,
    resampling_for,
)
from kgdyn.koopman._spectrum import koopman_matrices, nontrivial_eigenvalues, relaxation_times
from kgdyn.selection.decision import Candidate, Drift, Gain

__all__ = [
    "combine_folds",
    "evaluate_candidates",
    "held_out_score",
    "score_gains",
    "timescale_drifts",
]

Float = NDArray[np.float64]
Segments = Sequence[NDArray[Any]]

_N_SAMPLES = 400
_CK_STEPS = 5
_CK_MATTERS = 0.01
_WIDTH_OF_95 = 2.0 * 1.96


def held_out_score(segments: Segments, lagtime: int) -> float:
    """VAMP-2 of state probabilities (n_frames, n_targets, n_states), the constant counted."""
    return float(_scores(block_covariances(_double(segments), lagtime).combined())[0])


def evaluate_candidates(
    folds: Mapping[int, Sequence[Segments]],
    lagtimes: Sequence[int],
    train_lagtime: int,
    frame_interval: float,
    notes: list[str],
) -> list[Candidate]:
    """Every number of states at every lag time.

    Parameters
    ----------
    folds : mapping
        From the number of states to the held-out state probabilities of each fold: segments of
        shape (n_frames, n_targets, n_states).
    lagtimes : sequence of int, frames
    train_lagtime : int, frames
    frame_interval : float, ps
    notes : list of str
        Gets warnings about the data.
    """
    schemes = _schemes(folds, train_lagtime, notes)
    found = []
    for n_states, parts in folds.items():
        data = [_double(segments) for segments in parts]
        with _noted(notes):
            times = [
                implied_timescales(
                    segments, lagtimes=lagtimes, frame_interval=frame_interval, resampling=scheme
                )
                for segments, scheme in zip(data, schemes, strict=True)
            ]
        for row, lagtime in enumerate(lagtimes):
            with _noted(notes):
                tests = [
                    ck_test(
                        segments,
                        lagtime=lagtime,
                        n_steps=_ck_steps(segments, lagtime),
                        resampling=scheme,
                    )
                    for segments, scheme in zip(data, schemes, strict=True)
                ]
                score, score_error = _mean_score(data, lagtime, schemes)
            values, errors = combine_folds(
                np.stack([item.timescales[row] for item in times]),
                np.stack([_standard_errors(item.interval, row) for item in times]),
            )
            # At k = 1 prediction and estimate are one number.
            inside = [_agrees(test)[1:] for test in tests]
            found.append(
                Candidate(
                    n_states=n_states,
                    lagtime=int(lagtime),
                    lagtime_ps=float(lagtime * frame_interval),
                    score=score,
                    score_error=score_error,
                    timescales=values,
                    timescales_error=errors,
                    ck_inside=int(sum(part.sum() for part in inside)),
                    ck_elements=int(sum(part.size for part in inside)),
                    ck_largest_difference=max(test.largest_difference for test in tests),
                )
            )
    return found


def score_gains(
    folds: Mapping[int, Sequence[Segments]], lagtime: int, notes: list[str]
) -> dict[tuple[int, int], Gain]:
    """What the held-out score gains from fewer to more states, on the same frames.

    The bootstrap draws the same blocks for both, so that what is common to them cancels.
    """
    schemes = _schemes(folds, lagtime, notes)
    samples: dict[int, list[Float]] = {}
    for n_states, parts in folds.items():
        with _noted(notes):
            samples[n_states] = [
                _resampled_scores(_double(segments), lagtime, scheme)
                for segments, scheme in zip(parts, schemes, strict=True)
            ]
    gains = {}
    for fewer in folds:
        for more in (number for number in folds if number > fewer):
            pairs = zip(samples[fewer], samples[more], strict=True)
            differences = [after - before for before, after in pairs]
            values = np.array([difference[0] for difference in differences])
            errors = np.array([difference[1:].std() for difference in differences])
            value, error = combine_folds(values[:, None], errors[:, None])
            gains[fewer, more] = Gain(float(value[0]), float(error[0]))
    return gains


def timescale_drifts(
    folds: Mapping[int, Sequence[Segments]],
    lagtimes: Sequence[int],
    train_lagtime: int,
    notes: list[str],
) -> dict[tuple[int, int, int], Drift]:
    """Change of ln(timescale) from each lag time to each longer one, (n_states, short, long)."""
    schemes = _schemes(folds, train_lagtime, notes)
    drifts = {}
    for n_states, parts in folds.items():
        with _noted(notes):
            logs = [
                [_resampled_log_times(_double(segments), lag, max(lagtimes), scheme)
                 for lag in lagtimes]
                for segments, scheme in zip(parts, schemes, strict=True)
            ]  # fmt: skip
        for i, short in enumerate(lagtimes):
            for j in range(i + 1, len(lagtimes)):
                differences = [fold[j] - fold[i] for fold in logs]
                values = np.stack([difference[0] for difference in differences])
                errors = np.stack([_spread(difference[1:]) for difference in differences])
                key = n_states, int(short), int(lagtimes[j])
                drifts[key] = Drift(*combine_folds(values, errors))
    return drifts


def combine_folds(values: Float, errors: Float) -> tuple[Float, Float]:
    """Mean over folds and its standard error.

    Parameters
    ----------
    values, errors : (n_folds, n) arrays
        Quantities of each fold and their standard errors. A quantity that is NaN, or has no
        error, in half of the folds or more is NaN.

    Returns
    -------
    Two (n,) arrays. The error is the larger one of that which follows from ``errors`` and that
    which follows from the spread between the folds.
    """
    known = np.isfinite(values) & np.isfinite(errors)
    count = known.sum(axis=0)
    mean = np.where(known, values, 0.0).sum(axis=0) / np.maximum(count, 1)
    from_errors = np.sqrt((np.where(known, errors, 0.0) ** 2).sum(axis=0)) / np.maximum(count, 1)
    squares = np.where(known, (values - mean) ** 2, 0.0).sum(axis=0)
    from_spread = np.sqrt(squares / np.maximum(count - 1, 1) / np.maximum(count, 1))
    enough = count > len(values) / 2
    error = np.maximum(from_errors, from_spread)
    return np.where(enough, mean, np.nan), np.where(enough, error, np.nan)


def _scores(blocks: Covariances) -> Float:
    """(n_blocks,) VAMP-2 of each: mean removed, the constant counted as 1."""
    n_pairs = blocks.n_pairs[:, None, None]
    mean_0, mean_t = blocks.sum_0[:, :, None] / n_pairs, blocks.sum_t[:, :, None] / n_pairs
    # Rows sum to 1: without the last state the functions are the same, but no direction is null.
    kept = np.s_[:, :-1, :-1]
    cov_00 = (blocks.cov_00 / n_pairs - mean_0 @ mean_0.swapaxes(1, 2))[kept]
    cov_0t = (blocks.cov_0t / n_pairs - mean_0 @ mean_t.swapaxes(1, 2))[kept]
    cov_tt = (blocks.cov_tt / n_pairs - mean_t @ mean_t.swapaxes(1, 2))[kept]
    left = np.linalg.pinv(cov_00, rcond=1e-10, hermitian=True)
    right = np.linalg.pinv(cov_tt, rcond=1e-10, hermitian=True)
    result: Float = 1.0 + np.einsum("bij,bji->b", left @ cov_0t, right @ cov_0t.swapaxes(1, 2))
    return result


def _resampled_scores(segments: Segments, lagtime: int, scheme: Resampling) -> Float:
    """(1 + n_samples,) the score, and that of blocks drawn with replacement."""
    blocks = scheme.covariances(segments, lagtime)
    return np.concatenate([_scores(blocks.combined()), _scores(scheme.samples(blocks))])


def _resampled_log_times(
    segments: Segments, lagtime: int, longest: int, scheme: Resampling
) -> Float:
    """(1 + n_samples, n_states - 1) ln(timescale / frame), from the same blocks at all lag times.

    Segments lose the last frames, so that they hold as many pairs as at the longest lag time.
    """
    spare = longest - lagtime
    trimmed = [segment[: len(segment) - spare] for segment in segments if len(segment) > longest]
    blocks = scheme.covariances(trimmed, lagtime)
    rows = []
    for some in (blocks.combined(), scheme.samples(blocks)):
        matrices = koopman_matrices(some.cov_00, some.cov_0t)
        rows.append(np.log(relaxation_times(nontrivial_eigenvalues(matrices), float(lagtime))))
    return np.concatenate(rows)


def _spread(samples: Float) -> Float:
    """(n,) standard deviation of (n_samples, n); NaN where half of the samples are."""
    known = np.isfinite(samples)
    count = known.sum(axis=0)
    mean = np.where(known, samples, 0.0).sum(axis=0) / np.maximum(count, 1)
    squares = np.where(known, (samples - mean) ** 2, 0.0).sum(axis=0) / np.maximum(count, 1)
    return np.where(count > len(samples) / 2, np.sqrt(squares), np.nan)


def _mean_score(
    data: Sequence[Segments], lagtime: int, schemes: Sequence[Resampling]
) -> tuple[float, float]:
    samples = [
        _resampled_scores(segments, lagtime, scheme)
        for segments, scheme in zip(data, schemes, strict=True)
    ]
    values = np.array([[sample[0]] for sample in samples])
    errors = np.array([[sample[1:].std()] for sample in samples])
    value, error = combine_folds(values, errors)
    return float(value[0]), float(error[0])


def _schemes(
    folds: Mapping[int, Sequence[Segments]], lagtime: int, notes: list[str]
) -> list[Resampling]:
    """A resampling for each fold, the same for all numbers of states: that of longest blocks."""
    schemes = []
    with _noted(notes):
        for parts in zip(*folds.values(), strict=True):
            found = [resampling_for(_double(segments), lagtime) for segments in parts]
            longest = max(
                found, key=lambda item: (item.by_target or item.two_way, item.block_length)
            )
            schemes.append(replace(longest, n_samples=_N_SAMPLES))
    return schemes


def _agrees(test: ChapmanKolmogorovTest) -> NDArray[np.bool_]:
    """(n_steps, n_states, n_states) within error, or off by what does not matter."""
    off = np.abs(test.predictions - test.estimates)
    result: NDArray[np.bool_] = test.inside | (off < _CK_MATTERS)  # NaN agrees with nothing
    return result


def _ck_steps(segments: Segments, lagtime: int) -> int:
    """Up to five, in half of the longest segment; at least two."""
    longest = max(len(segment) for segment in segments)
    return max(2, min(_CK_STEPS, (longest - 1) // (2 * lagtime)))


def _standard_errors(interval: Interval | None, row: int) -> Float:
    if interval is None:
        raise ValueError("timescales without intervals cannot be compared")
    result: Float = (interval.upper[row] - interval.lower[row]) / _WIDTH_OF_95
    return result


def _double(segments: Segments) -> list[Float]:
    return [np.asarray(segment, np.float64) for segment in segments]


@contextmanager
def _noted(notes: list[str]) -> Iterator[None]:
    """Warnings become notes, each once."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield
    for item in found:
        if str(item.message) not in notes:
            notes.append(str(item.message))
