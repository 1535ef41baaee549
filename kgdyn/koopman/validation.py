"""The whole test of states in one call: K at a lag time, timescales over lag times, CK test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike

from kgdyn.koopman.bootstrap import Resampling, resampling_for
from kgdyn.koopman.ck_test import ChapmanKolmogorovTest, ck_test
from kgdyn.koopman.covariances import as_segments
from kgdyn.koopman.implied_timescales import ImpliedTimescales, implied_timescales
from kgdyn.koopman.koopman_model import KoopmanModel, estimate_koopman_model
from kgdyn.koopman.reversible import Estimator
from kgdyn.koopman.transition_counts import TransitionCounts, count_transitions

__all__ = ["KoopmanValidation", "lagtime_ladder", "validate_koopman"]

_CK_STEPS = 5


@dataclass(frozen=True)
class KoopmanValidation:
    """A Koopman model with its tests, all with intervals from the same blocks; and the events."""

    model: KoopmanModel
    timescales: ImpliedTimescales
    ck: ChapmanKolmogorovTest
    transitions: TransitionCounts


def lagtime_ladder(lagtime: int, shortest: int) -> list[int]:
    """1, 2, 5, 10 ... frames and ``lagtime``, up to four times it or a tenth of ``shortest``."""
    longest = max(lagtime, min(4 * lagtime, shortest // 10))
    ladder = [step * 10**power for power in range(8) for step in (1, 2, 5)]
    return sorted({lag for lag in ladder if lag <= longest} | {lagtime})


def validate_koopman(
    state_probabilities: ArrayLike | Sequence[ArrayLike],
    *,
    lagtime: int,
    frame_interval: float = 1.0,
    resampling: Resampling | None = None,
    estimator: Estimator = "plain",
) -> KoopmanValidation:
    """Estimate K, timescales over lag times and the CK test of held-out states.

    Parameters
    ----------
    state_probabilities : (n_frames, n_targets, n_states) array, or one a gap-free segment
    lagtime : int, frames.
    frame_interval : float, ps.
    resampling : Resampling, optional
        Chosen by :func:`kgdyn.koopman.resampling_for` if not given.
    estimator : {"plain", "reversible", "stationary"}
        As for :func:`kgdyn.koopman.estimate_koopman_model`.

    Raises
    ------
    ValueError
        For a lag time longer than the data, or an unknown estimator.
    """
    segments = as_segments(state_probabilities)
    shortest = min(len(part) for part in segments)
    lagtimes = lagtime_ladder(lagtime, shortest)
    n_steps = max(1, min(_CK_STEPS, (shortest - 1) // (2 * lagtime)))
    if resampling is None:
        longest = max(*lagtimes, n_steps * lagtime)
        resampling = resampling_for(segments, lagtime, longest_lagtime=longest)
    return KoopmanValidation(
        estimate_koopman_model(
            segments,
            lagtime=lagtime,
            frame_interval=frame_interval,
            resampling=resampling,
            estimator=estimator,
        ),
        implied_timescales(
            segments,
            lagtimes=lagtimes,
            frame_interval=frame_interval,
            resampling=resampling,
            estimator=estimator,
        ),
        ck_test(
            segments,
            lagtime=lagtime,
            n_steps=n_steps,
            frame_interval=frame_interval,
            resampling=resampling,
            estimator=estimator,
        ),
        count_transitions(segments),
    )
