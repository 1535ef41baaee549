"""Results as tidy pandas tables: one row a value, with its interval and unit beside it."""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING, Any

from kgdyn.exports._koopman_tables import KOOPMAN_TABLES
from kgdyn.exports._structure_tables import STRUCTURE_TABLES
from kgdyn.exports._transport_tables import TRANSPORT_TABLES

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["to_dataframe"]


@singledispatch
def to_dataframe(result: Any) -> pd.DataFrame:
    """A result of :mod:`kgdyn.koopman` or :mod:`kgdyn.observables` as a tidy table.

    Columns are ``quantity``, then what numbers the rows, where it applies: ``state``,
    ``from_state``, ``to_state``, ``process`` (all from 1), ``selection``, ``radius_angstrom``,
    ``lagtime_ps`` and so on; and ``value``, ``lower`` and ``upper`` (its 95% interval, empty where
    there is none) and ``unit`` (empty for pure numbers). Cells that do not apply are empty.

    ``table[table.quantity == "rdf"].pivot(index="radius_angstrom", ...)`` takes one quantity out.
    Other types can be added with ``to_dataframe.register``.

    Parameters
    ----------
    result : KoopmanModel, ImpliedTimescales, ChapmanKolmogorovTest, StateRDF, ...

    Raises
    ------
    TypeError
        For any other type.
    """
    known = sorted(kind.__name__ for kind in to_dataframe.registry if kind is not object)
    raise TypeError(f"result must be one of {', '.join(known)}, received {type(result)}")


for _kind, _table in {**KOOPMAN_TABLES, **STRUCTURE_TABLES, **TRANSPORT_TABLES}.items():
    to_dataframe.register(_kind, _table)
