"""How often states were entered and left: the events that rates rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import readonly
from kgdyn.koopman._memberships import as_shares, clear_states
from kgdyn.koopman.covariances import as_segments

__all__ = ["TransitionCounts", "count_transitions"]

# Fewer independent events than this tell a rate to no better than a third (1/sqrt(10)).
_FEW = 10


@dataclass(frozen=True)
class TransitionCounts:
    """Transitions between states as they were seen, not as a model predicts them.

    Attributes
    ----------
    counts : (n_states, n_states) array of int
        From the state of the row to that of the column; the diagonal is 0.
    visitors : (n_states,) array of int
        How many different targets were ever in each state. A target of several segments, or of
        several trajectories with the same number of targets, is one.
    n_targets : int
    """

    counts: NDArray[np.int64]
    visitors: NDArray[np.int64]
    n_targets: int

    @property
    def entered(self) -> NDArray[np.int64]:
        """(n_states,): how often each state was entered."""
        return readonly(self.counts.sum(axis=0), np.int64)

    @property
    def left(self) -> NDArray[np.int64]:
        """(n_states,): how often each state was left."""
        return readonly(self.counts.sum(axis=1), np.int64)

    @property
    def few(self) -> NDArray[np.bool_]:
        """(n_states,): entered or left fewer than ten times."""
        result: NDArray[np.bool_] = np.minimum(self.entered, self.left) < _FEW
        return result

    @property
    def note(self) -> str:
        """In words, which states were entered or left too rarely to know how fast; or nothing.

        States are counted from 1.
        """
        if not self.few.any():
            return ""
        parts = [
            f"state {state + 1} ({self.visitors[state]} of {self.n_targets} targets) was "
            f"{_how_often('entered', self.entered[state])} and "
            f"{_how_often('left', self.left[state])}"
            if self.visitors[state]
            else f"no target was ever clearly in state {state + 1}"
            for state in np.flatnonzero(self.few)
        ]
        return (
            "; ".join(parts)
            + f": fewer than {_FEW} events tell a rate to no better than a third, and the score "
            "rewards what happened once as much as what happens always"
        )

    def __repr__(self) -> str:
        return (
            f"TransitionCounts(entered={self.entered.tolist()}, left={self.left.tolist()}, "
            f"visitors={self.visitors.tolist()} of {self.n_targets} targets)"
        )


def count_transitions(
    state_probabilities: ArrayLike | Sequence[ArrayLike],
) -> TransitionCounts:
    """Count the transitions of all targets from state to state.

    A target is in a state from the first frame with a membership of at least 0.75 there to the
    first with as much in another: what comes back from the border between them has not left
    (transition-based assignment; Buchete and Hummer, J. Phys. Chem. B 112, 6057 (2008)).

    Parameters
    ----------
    state_probabilities : array (n_frames, n_targets, n_states) or a sequence of such arrays
        One array a gap-free segment, of states that are fixed. Segments with the same number of
        targets are taken as parts of one system.

    Raises
    ------
    ValueError
        As :func:`kgdyn.koopman.as_segments`.

    Notes
    -----
    A VAMP score is of the frames that there are: a state that one target entered once, and stayed
    in, raises it by almost 1, and has a timescale as long as the run.
    """
    segments = as_segments(state_probabilities)
    n_states = segments[0].shape[2]
    counts = np.zeros((n_states, n_states), np.int64)
    visited: dict[int, NDArray[np.bool_]] = {}
    for segment in segments:
        n_targets = segment.shape[1]
        states, clear = clear_states(as_shares(segment))
        # Clear frames only, those of a target in a row.
        target, time = np.nonzero(clear.T)
        state = states[time, target]
        same = target[1:] == target[:-1]
        np.add.at(counts, (state[:-1][same], state[1:][same]), 1)
        of_these = visited.setdefault(n_targets, np.zeros((n_targets, n_states), bool))
        of_these[target, state] = True
    np.fill_diagonal(counts, 0)
    return TransitionCounts(
        counts=readonly(counts, np.int64),
        visitors=readonly(sum(found.sum(axis=0) for found in visited.values()), np.int64),
        n_targets=sum(visited),
    )


def _how_often(verb: str, count: int) -> str:
    if count == 0:
        return f"never {verb}"
    return f"{verb} once" if count == 1 else f"{verb} {count} times"
