"""How long the data remember: correlation times of states and of the errors of K."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.koopman._spectrum import koopman_matrices, nontrivial_eigenvalues, relaxation_times
from kgdyn.koopman.covariances import as_segments, block_covariances

__all__ = ["correlation_time", "integrated_time"]

Float = NDArray[np.float64]

# Frames are joined into bins until each kind of series has at most this many numbers.
_NUMBERS = 2**21
_BINS = 2**13
_WINDOW = 5.0


def correlation_time(state_probabilities: ArrayLike | Sequence[ArrayLike], lagtime: int) -> float:
    """The longest correlation time, in frames, of what a Koopman model is estimated from.

    The largest of: the integrated correlation times of each state's probability, over single
    targets and of their sum over all targets (which a variable common to all makes slower);
    those of the summed errors chi_i(t) (chi_j(t + lagtime) - sum_k chi_k(t) K_kj) of each element
    of K, which are slow where the dynamics change with time; and the slowest relaxation time of K.

    Parameters
    ----------
    state_probabilities : array (n_frames, n_targets, n_states) or a sequence of such arrays
        One array a gap-free segment.
    lagtime : int, frames.

    Raises
    ------
    ValueError
        As :func:`kgdyn.koopman.estimate_koopman_model`.
    """
    segments = as_segments(state_probabilities)
    total = block_covariances(segments, lagtime).combined()
    matrix = koopman_matrices(total.cov_00, total.cov_0t)[0]
    times = relaxation_times(nontrivial_eigenvalues(matrix), float(lagtime))
    mean = total.sum_0[0] / total.n_pairs[0]
    targets = [part - mean for part in segments]
    found = [integrated_time(targets), integrated_time([part.sum(axis=1) for part in targets])]
    if np.isfinite(matrix).all():
        errors = []
        for part in segments:
            now, later = part[:-lagtime], part[lagtime:]
            miss = later - now @ matrix
            products = np.einsum("tki,tkj->tij", now, miss)
            if len(products):
                errors.append(products.reshape(len(products), -1))
        found.append(integrated_time(errors))
    return float(max(*found, np.nanmax(times, initial=0.0)))


def integrated_time(series: Sequence[Float]) -> float:
    """The longest integrated correlation time of series of mean zero, in frames.

    1/2 + sum of the autocorrelation over times up to a window, the smallest that is five times the
    result (Sokal); exp(-t / T) gives about T. Frames are joined into bins first where there are
    very many; then times come out longer, at most by about half a bin.

    Parameters
    ----------
    series : sequence of (n_frames, ...) arrays
        One a segment. Axes between the first and the last are averaged over.
    """
    n_frames = sum(len(part) for part in series)
    size = max(part[0].size for part in series)
    width = max(1, -(-n_frames // _BINS), -(-n_frames * size // _NUMBERS))
    width = max(1, min(width, max(len(part) for part in series) // 2))
    n_columns = series[0].shape[-1]
    binned = [_bins(part, width) for part in series if len(part) >= width]
    longest = max(len(part) for part in binned)
    sums, counts = np.zeros((longest, n_columns)), np.zeros((longest, 1))
    for part in binned:
        flat = part.reshape(len(part), -1, n_columns)
        length = len(flat)
        padded = 2 ** int(np.ceil(np.log2(2 * length)))
        power = np.abs(np.fft.rfft(flat, n=padded, axis=0)) ** 2
        sums[:length] += np.fft.irfft(power, n=padded, axis=0)[:length].sum(axis=1)
        counts[:length, 0] += flat.shape[1] * np.arange(length, 0, -1)
    products = sums / counts
    varies = products[0] > 1e-14
    if not varies.any():
        return 0.5 * float(width)
    correlation = products[:, varies] / products[0, varies]
    running = np.cumsum(correlation, axis=0) - 0.5
    reached = np.arange(longest)[:, None] >= _WINDOW * running
    window = np.where(reached.any(axis=0), reached.argmax(axis=0), longest - 1)
    times = running[window, np.arange(running.shape[1])]
    return float(width) * max(float(times.max()), 0.5)


def _bins(part: Float, width: int) -> Float:
    count = len(part) // width
    result: Float = part[: count * width].reshape(count, width, *part.shape[1:]).mean(axis=1)
    return result
