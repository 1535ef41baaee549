"""What `masking_importance` finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kgdyn.koopman import Interval, Resampling

__all__ = ["Mask", "MaskingImportance"]

Float = NDArray[np.float64]


class Mask(NamedTuple):
    """What a model was kept from seeing.

    Attributes
    ----------
    element : str or None
        Only neighbours of this element; None: of all.
    low, high : float, angstrom
        Only neighbours at distances in [low, high); 0 and infinity: at all.
    """

    element: str | None = None
    low: float = 0.0
    high: float = float("inf")

    @property
    def everywhere(self) -> bool:
        """Whether it is of all distances."""
        return self.low <= 0.0 and self.high == float("inf")

    def __str__(self) -> str:
        if self.everywhere:
            return self.element or "everything"
        if self.low <= 0.0:
            where = f"below {self.high:.2f} angstrom"
        elif self.high == float("inf"):
            where = f"beyond {self.low:.2f} angstrom"
        else:
            where = f"{self.low:.2f}-{self.high:.2f} angstrom"
        if self.element is None:
            return where
        between = " at " if where[0].isdigit() else " "
        return f"{self.element}{between}{where}"


@dataclass(frozen=True, eq=False, repr=False)
class MaskingImportance:
    """What becomes of score and states when the model is kept from seeing something.

    Attributes
    ----------
    masks : tuple of Mask
        In the order of the first axis of all arrays.
    score : float
        VAMP-2 without a mask: mean removed, the constant counted as 1.
    score_interval : Interval
        95%, arrays of one number.
    masked_score : (n_masks,) array
    masked_score_interval : Interval, 95%.
    score_drop : (n_masks,) array
        ``score - masked_score``. Of a model that is good at what it was trained for, positive.
    score_drop_interval : Interval
        95%, paired: both scores are of the same frames.
    changed : (n_masks, n_states) array
        Share of the target-frames of a state (its probability is the largest) that are in another
        one under the mask; NaN for a state that is never the most probable.
    changed_interval : Interval, 95%.
    changed_of_all : (n_masks,) array
        The same of all target-frames.
    changed_of_all_interval : Interval, 95%.
    total_variation : (n_masks, n_states) array
        Mean of half the sum of |chi - masked chi|, weighted by the probability of the state;
        between 0 and 1, as what leaves that range is clipped first (a model's last, linear map may
        lead far out of it where surroundings are strange).
    total_variation_interval : Interval, 95%.
    masked_neighbors : (n_masks,) array
        Mean number of neighbours, among the M, that the mask takes from an atom of a target (or
        whose element it hides). 0: there was nothing to mask.
    populations : (n_states,) array
        Mean state probabilities without a mask.
    lagtime : int, frames
    scope : {"targets", "all"}
        Masked were pairs with a target's atom, or all pairs.
    element_mask : {"edges", "embedding"}
        How an element was masked.
    n_frames, n_targets, n_neighbors : int
        Frames looked at, of all trajectories; targets of the first one; M.
    stride : int, frames
    resampling : Resampling
        Blocks that the intervals are made of, in frames of the trajectories.
    """

    masks: tuple[Mask, ...]
    score: float
    score_interval: Interval
    masked_score: Float
    masked_score_interval: Interval
    score_drop: Float
    score_drop_interval: Interval
    changed: Float
    changed_interval: Interval
    changed_of_all: Float
    changed_of_all_interval: Interval
    total_variation: Float
    total_variation_interval: Interval
    masked_neighbors: Float
    populations: Float
    lagtime: int
    scope: str
    element_mask: str
    n_frames: int
    n_targets: int
    n_neighbors: int
    stride: int
    resampling: Resampling

    @property
    def n_states(self) -> int:
        return len(self.populations)

    @property
    def names(self) -> tuple[str, ...]:
        """The masks in words."""
        return tuple(str(mask) for mask in self.masks)

    def __repr__(self) -> str:
        return (
            f"MaskingImportance(masks={list(self.names)}, score={self.score:.4f}, "
            f"n_states={self.n_states}, lagtime={self.lagtime} frames, scope={self.scope!r}, "
            f"element_mask={self.element_mask!r}, n_frames={self.n_frames}, "
            f"n_targets={self.n_targets}, stride={self.stride}, "
            f"intervals={self.resampling.describe()!r})"
        )
