"""The verdict on missed processes in words."""

from __future__ import annotations

from typing import Any

import numpy as np

from kgdyn.baselines._processes import LinearProcess
from kgdyn.koopman import Interval


def words_of(verdict: Any) -> tuple[str, ...]:
    """The verdict first, then scores, then restarts; each a sentence or two."""
    lag = verdict.lagtime * verdict.frame_interval
    lines = [_verdict(verdict), _scores(verdict, lag)]
    if verdict.restarts is not None:
        lines.append(_restarts(verdict.restarts))
    return tuple(lines)


def _verdict(verdict: Any) -> str:
    if verdict.status == "missed":
        first, *further = verdict.missing
        text = (
            f"a process was missed: {_process(first)}. "
            f"{_share(verdict)}Train again from other seeds, or with more states."
        )
        return text + "".join(f" Missed as well: {_process(process)}." for process in further)
    n_states = len(verdict.singular_values) + 1
    others = "; ".join(_process(process) for process in verdict.missing)
    if verdict.status == "more states":
        return (
            f"the {n_states} states hold the slowest processes, but not all slow ones: {others}. "
            f"To see more, train with more than {n_states} states."
        )
    if verdict.status == "below floor":
        return (
            "no process found by the linear method is missing, but the states resolve what they "
            "hold less sharply than it does: train longer, or from other seeds."
            + (f" With more than {n_states} states there is more to see: {others}." * bool(others))
        )
    if verdict.status == "nothing slow":
        return (
            f"nothing slow: no process slower than {verdict.slower_than_ps:.3g} ps, neither in the "
            "states nor in the linear method."
        )
    return "no process found by the linear method is missing."


def _process(process: LinearProcess) -> str:
    low, high = process.timescale_interval_ps
    return (
        f"timescale about {process.timescale_ps:.3g} ps ({low:.3g} to {high:.3g}), singular value "
        f"{process.singular_value:.3f}, seen in the {process.where}"
    )


def _share(verdict: Any) -> str:
    values = ", ".join(f"{value:.3f}" for value in verdict.singular_values)
    return f"The states have singular value{'s' if ',' in values else ''} {values}. "


def _scores(verdict: Any, lag: float) -> str:
    return (
        f"held-out VAMP-2 at lag {lag:g} ps: states {verdict.vamp2_score:.4f}"
        f"{_range(verdict.score_interval)}, linear floor {verdict.floor_score:.4f}"
        f"{_range(verdict.floor_interval)}, difference "
        f"{verdict.vamp2_score - verdict.floor_score:+.4f}"
        f"{_range(verdict.difference_interval, '+')}; {verdict.blocks}"
    )


def _restarts(restarts: Any) -> str:
    low, high = min(restarts.scores), max(restarts.scores)
    n = len(restarts.scores)
    if restarts.agree:
        return f"{n} restarts agree: scores {low:.4f} to {high:.4f}."
    return (
        f"restarts disagree: {restarts.n_lower} of {n} lie more than {restarts.tolerance:.2g} "
        f"below the best (scores {low:.4f} to {high:.4f}): some missed a process."
    )


def _range(interval: Interval, sign: str = "") -> str:
    low, high = (float(np.asarray(bound)) for bound in (interval.lower, interval.upper))
    return f" ({low:{sign}.4f} to {high:{sign}.4f})"
