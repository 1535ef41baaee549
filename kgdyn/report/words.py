"""A Koopman model in sentences."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from kgdyn.koopman import KoopmanModel
from kgdyn.report.numbers import bracketed, duration

__all__ = ["process_sentences", "states_text"]

# States with less of the flow of a process than this hardly take part in it.
_TAKES_PART = 0.05


def process_sentences(model: KoopmanModel) -> list[str]:
    """Which states each relaxation process exchanges, slowest first.

    Probability flows as the left eigenvector of K says, whose positive and negative parts are the
    two sides (Xie et al. 2019, Fig. 3e).

    Parameters
    ----------
    model : KoopmanModel

    Returns
    -------
    list of str, one for each of the n_states - 1 processes.
    """
    with warnings.catch_warnings():
        # What has no relaxation time is said in the sentence.
        warnings.simplefilter("ignore", RuntimeWarning)
        times = model.timescales_ps()
        left = model.left_eigenvectors
    values = model.eigenvalues
    sentences = []
    for number, time in enumerate(times):
        name = f"Process {number + 1}"
        flow = left[:, number]
        if not np.isfinite(flow).all():
            sentences.append(f"{name}: the Koopman matrix has no eigenvector for it.")
            continue
        if abs(values[number].imag) > 0.0:
            part = _taking_part(np.abs(flow))
            sentences.append(
                f"{name} turns through {states_text(part)} (complex eigenvalue "
                f"{values[number]:.3g}): no relaxation time."
            )
            continue
        if np.isfinite(time):
            speed = f"relaxes in {_time(model, number, float(time))}"
        else:
            speed = f"has no relaxation time (eigenvalue {values[number].real:.3g})"
        sentences.append(f"{name} {speed}: exchange between {_sides(np.real(flow))}.")
    return sentences


def states_text(states: list[int]) -> str:
    """``"state 1"``, ``"states 1 and 3"``, ``"states 1, 2 and 4"`` of indices from 0."""
    names = [str(state + 1) for state in states]
    if len(names) == 1:
        return f"state {names[0]}"
    return f"states {', '.join(names[:-1])} and {names[-1]}"


def _time(model: KoopmanModel, number: int, time: float) -> str:
    interval = model.timescales_interval
    if interval is None:
        return duration(time)
    low, high = float(interval.lower[number]), float(interval.upper[number])
    return f"{bracketed(time, low, high)} ps"


def _taking_part(sizes: NDArray[np.float64]) -> list[int]:
    return [int(i) for i in np.flatnonzero(sizes >= _TAKES_PART * sizes.max())]


def _sides(flow: NDArray[np.float64]) -> str:
    """Both sides with the share of each state in its side's flow."""
    part = _taking_part(np.abs(flow))
    texts = []
    for sign in (1.0, -1.0):
        side = [i for i in part if sign * flow[i] > 0.0]
        total = sum(abs(flow[i]) for i in side)
        shares = [100.0 * abs(flow[i]) / total for i in side]
        if len(side) == 1:
            texts.append(states_text(side))
            continue
        listed = [f"{i + 1} ({share:.0f}%)" for i, share in zip(side, shares, strict=True)]
        texts.append(f"states {', '.join(listed[:-1])} and {listed[-1]}")
    # The side that begins with the lower state first: signs of eigenvectors mean nothing.
    first = [min((i for i in part if sign * flow[i] > 0.0), default=0) for sign in (1.0, -1.0)]
    if first[1] < first[0]:
        texts.reverse()
    if all("states" not in text for text in texts):
        return " and ".join(texts)
    return f"{texts[0]} on one side and {texts[1]} on the other"
