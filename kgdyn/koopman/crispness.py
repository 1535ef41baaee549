"""How crisp states are: whether a single frame tells which state a target is in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import readonly
from kgdyn.koopman._memberships import as_shares, clear_states
from kgdyn.koopman.covariances import as_segments

__all__ = ["Crispness", "crispness"]

Float = NDArray[np.float64]

# States of which a smaller share is clear overlap. Gaussians of one width, equally common and d
# widths apart, mapped to their means: 0.97 at d = 8, 0.85 at 4, 0.78 at 3, 0.69 where there is one
# (and a single frame tells the state in 100, 97.7, 93 and 50% of cases).
_OVERLAPPING = 0.8


@dataclass(frozen=True)
class Crispness:
    """How far memberships are from 0 and 1.

    Values that leave [0, 1] are clipped and rows scaled to sum to 1 again, before all else.

    Attributes
    ----------
    overlap : (n_states, n_states) array
        <chi_i chi_j> / <chi_i>: how much of state i's weight lies in frames that also belong to
        j. Rows sum to 1; the identity for crisp states (Roeblitz and Weber, Adv. Data Anal.
        Classif. 7, 147 (2013), the metastability matrix at lag 0).
    per_state : (n_states,) array
        (overlap_ii - <chi_i>) / (1 - <chi_i>): 1 where the state is crisp, 0 where its membership
        is the same in all frames. A common state that spreads makes a rare one less crisp.
    total : float
        (trace(overlap) - 1) / (n_states - 1), from 0 to 1.
    clear : (n_states,) array
        Share of the frames assigned to each state that have a membership of at least 0.75 there.
        Does not depend on populations. NaN for a state without a frame.
    """

    overlap: Float
    per_state: Float
    total: float
    clear: Float
    neighbors: NDArray[np.int64]

    @property
    def overlapping(self) -> NDArray[np.bool_]:
        """(n_states,): less than 80% of the state's frames are clear, or it has none."""
        result: NDArray[np.bool_] = ~(self.clear >= _OVERLAPPING)
        return result

    @property
    def note(self) -> str:
        """In words, which states overlap so much that single frames mean little; or nothing.

        States are counted from 1.
        """
        parts = []
        for state in np.flatnonzero(self.overlapping):
            if np.isnan(self.clear[state]):
                parts.append(f"no frame is assigned to state {state + 1}")
                continue
            parts.append(
                f"state {state + 1} overlaps with state {self.neighbors[state] + 1} (only "
                f"{100 * self.clear[state]:.0f}% of its frames are clear)"
            )
        if not parts:
            return ""
        text = "; ".join(parts)
        return text + ": there the memberships of single frames mean little, means over many do"

    def __repr__(self) -> str:
        each = np.array2string(self.per_state, precision=3)
        clear = np.array2string(self.clear, precision=3)
        return f"Crispness(total={self.total:.3f}, per_state={each}, clear={clear})"


def crispness(state_probabilities: ArrayLike | Sequence[ArrayLike]) -> Crispness:
    """How crisp states are on these data.

    Parameters
    ----------
    state_probabilities : array (n_frames, n_targets, n_states) or a sequence of such arrays
        One array a gap-free segment, as a model with fixed states gives them: outputs before the
        simplex map are soft whatever the states are.

    Raises
    ------
    ValueError
        As :func:`kgdyn.koopman.as_segments`.

    Notes
    -----
    States that a network cannot tell apart from one frame overlap in this sense, and so do pieces
    of one continuous motion. The Koopman model may be right all the same: it needs means only.
    """
    segments = as_segments(state_probabilities)
    n_states = segments[0].shape[2]
    products = np.zeros((n_states, n_states))
    within = np.zeros((n_states, n_states))
    clear, counts = np.zeros(n_states), np.zeros(n_states)
    for segment in segments:
        chi = as_shares(segment.reshape(-1, n_states))
        products += chi.T @ chi
        assigned, sure = clear_states(chi)
        counts += np.bincount(assigned, minlength=n_states)
        clear += np.bincount(assigned[sure], minlength=n_states)
        np.add.at(within, assigned, chi)
    n_frames = counts.sum()
    # Rows of chi sum to 1, so the sums of its columns are those of the products.
    means = products.sum(axis=1) / n_frames
    with np.errstate(invalid="ignore", divide="ignore"):
        # A state of no weight has no overlap, but its own.
        overlap = np.where(
            means[:, None] > 0.0, products / n_frames / means[:, None], np.eye(n_states)
        )
        per_state = np.where(
            (means > 0.0) & (means < 1.0), (np.diag(overlap) - means) / (1.0 - means), 0.0
        )
        shares = clear / counts
    np.fill_diagonal(within, -1.0)
    return Crispness(
        overlap=readonly(overlap),
        per_state=readonly(per_state),
        total=float((np.trace(overlap) - 1.0) / (n_states - 1)),
        clear=readonly(shares),
        neighbors=readonly(within.argmax(axis=1), np.int64),
    )
