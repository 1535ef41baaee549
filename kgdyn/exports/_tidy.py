"""Arrays with named axes as rows of a tidy table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from kgdyn.koopman import Interval

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Tidy", "numbered"]

Axes = Mapping[str, Any]  # labels along the axis: a sequence or array
_LAST = ("value", "lower", "upper", "unit")


def numbered(count: int) -> range:
    """1, 2, ... ``count``: what people see of states and processes."""
    return range(1, count + 1)


class Tidy:
    """A table that grows by one array after the other.

    Parameters
    ----------
    **constants
        Columns that are the same in all rows.
    """

    def __init__(self, **constants: Any) -> None:
        self._constants = constants
        self._parts: list[pd.DataFrame] = []

    def add(
        self,
        quantity: str,
        values: ArrayLike | None,
        axes: Axes,
        *,
        interval: Interval | None = None,
        unit: str = "",
        **more: ArrayLike,
    ) -> Tidy:
        """One row for each element.

        Parameters
        ----------
        quantity : str
        values : array of real numbers
            Nothing is added for None.
        axes : mapping from column to labels
            One a dimension of ``values``, in order.
        interval : Interval, optional
            Of ``values``; empty cells if not given.
        unit : str
        **more
            Further columns, arrays that broadcast against ``values``.
        """
        import pandas as pd

        if values is None:
            return self
        array = np.asarray(values, dtype=np.float64)
        columns: dict[str, Any] = {"quantity": [quantity] * array.size}
        places = [place.ravel() for place in np.indices(array.shape)]
        for (name, labels), place in zip(axes.items(), places, strict=True):
            columns[name] = np.asarray(labels)[place]
        for name, extra in more.items():
            columns[name] = np.broadcast_to(np.asarray(extra), array.shape).ravel()
        columns["value"] = array.ravel()
        nothing = np.full(array.shape, np.nan)
        columns["lower"] = (nothing if interval is None else np.asarray(interval.lower)).ravel()
        columns["upper"] = (nothing if interval is None else np.asarray(interval.upper)).ravel()
        columns["unit"] = [unit] * array.size
        self._parts.append(pd.DataFrame(columns))
        return self

    def frame(self) -> pd.DataFrame:
        """All rows; cells of columns that a quantity does not have are empty."""
        import pandas as pd

        parts = [part for part in self._parts if len(part)]
        if not parts:
            parts = self._parts[:1]
        whole = {name for part in parts for name in part if part[name].dtype.kind in "iu"}
        names = list(dict.fromkeys(name for part in parts for name in part if name not in _LAST))
        # Missing numbers would make floats of integers.
        kinds = dict.fromkeys(sorted(whole - set(_LAST)), "Int64")
        parts = [
            part.astype({name: kind for name, kind in kinds.items() if name in part})
            for part in parts
        ]
        table = pd.concat(parts, ignore_index=True)[[*names, *_LAST]]
        for place, (name, value) in enumerate(self._constants.items(), start=1):
            table.insert(place, name, value)
        complete = [name for name in kinds if not table[name].isna().any()]
        return table.astype(dict.fromkeys(complete, "int64"))
