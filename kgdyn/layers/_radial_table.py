"""Functions of a distance that a radial basis makes, as tables between whose rows one interpolates.

A product of a basis with weights is a smooth function of one number. Its values and slopes at
places a sixteenth of a width apart, joined by cubics, give it to 6e-7 of each weight near by, or
1.3e-6 of the largest where centres are a width apart: with the numbers of two places instead of
all Gaussians around a distance, and no basis in memory.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from kgdyn.layers.radial_basis import RadialBasis

__all__ = ["RadialTable", "radial_table"]

# The error of a cubic between places h apart is h^4 / 384 times the fourth derivative, which is at
# most 12 for a Gaussian of width 1.
_PLACES_PER_WIDTH = 16
# Beyond the last centre by this many widths a Gaussian is 1.4e-11.
_WIDTHS_BEYOND = 5


class RadialTable(NamedTuple):
    """``rows @ weights`` is the table of the function ``basis(d) @ weights``.

    Attributes
    ----------
    rows : (2 n_places, n_basis) float32, array or tensor
        For each place the basis, then its derivative times ``step``.
    step : float, angstrom
        From place to place; the first is at 0.
    """

    rows: Any
    step: float


def radial_table(basis: RadialBasis) -> RadialTable:
    """The table of a basis, made once."""
    return _table(basis.n_basis, basis.spacing, basis.width)


@cache
def _table(n_basis: int, spacing: float, width: float) -> RadialTable:
    centers = spacing * np.arange(n_basis)
    step = width / _PLACES_PER_WIDTH
    last = centers[-1] + _WIDTHS_BEYOND * width
    places = step * np.arange(int(np.ceil(last / step)) + 2)
    offset = (places[:, None] - centers) / width
    values = np.exp(-(offset**2))
    slopes = -2.0 * offset * values * (step / width)
    rows = np.stack([values, slopes], axis=1).reshape(-1, n_basis).astype(np.float32)
    rows.flags.writeable = False
    return RadialTable(rows, step)
