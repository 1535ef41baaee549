"""Do several trainings on the same data agree?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Scores of one validation set differ if they are this many standard errors apart; and by at
# least the second number, below which no process hides.
_STANDARD_ERRORS = 3.0
_SMALLEST = 0.01


@dataclass(frozen=True)
class Restarts:
    """Held-out scores of restarts.

    Attributes
    ----------
    scores : tuple of float, as given.
    tolerance : float
        Scores this far below the best count as lower.
    n_lower : int
    """

    scores: tuple[float, ...]
    tolerance: float
    n_lower: int

    @property
    def agree(self) -> bool:
        return self.n_lower == 0


def compare_restarts(scores: Sequence[float], standard_error: float) -> Restarts:
    """Compare scores, given the standard error of one of them.

    The same frames serve all restarts, so their differences vary less than each score: the
    tolerance of three standard errors is on the safe side.

    Raises
    ------
    ValueError
        For fewer than two scores, or one that is not finite.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise ValueError(
            f"restart_scores must be at least two finite numbers, received {list(scores)}"
        )
    tolerance = max(_STANDARD_ERRORS * standard_error, _SMALLEST)
    n_lower = int((values < values.max() - tolerance).sum())
    return Restarts(tuple(float(value) for value in values), float(tolerance), n_lower)
