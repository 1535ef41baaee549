"""States beside the solvation shells that the package solvation-analysis finds.

Its ``Solute.solvation_data`` is a pandas table with one row for each pair of a solute and a solvent
in its shell, indexed by ``frame`` (of the MDAnalysis Universe), ``solute_ix`` (residue),
``solute_atom_ix`` and ``solvent_atom_ix`` (atoms, from 0), with columns ``distance``, ``solute``,
``solvent`` and ``solvent_ix``. That layout is all that is used here: the package itself is not
needed.

>>> solute.run()  # doctest: +SKIP
>>> table = with_states(solute.solvation_data, trajectory, chi)  # doctest: +SKIP
>>> table[table.state == 2].groupby("solvent").distance.mean()  # doctest: +SKIP
>>> shell_shares(solute.solvation_data, trajectory, chi)  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.exports._atom_states import AtomStates
from kgdyn.trajectories import Trajectory

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["shell_shares", "with_states"]

Float = NDArray[np.float64]
_FRAME, _ATOM, _SOLVENT = "frame", "solute_atom_ix", "solvent"
_ROW_TOLERANCE = 1e-4


def with_states(
    solvation_data: pd.DataFrame,
    trajectory: Trajectory,
    state_probabilities: ArrayLike,
    *,
    frames: Iterable[int] | None = None,
) -> pd.DataFrame:
    """The table with columns ``state`` (the most probable one, from 1) and ``state_probability``.

    Solutes without any solvent in their shell have no row in the table, and none afterwards.

    Parameters
    ----------
    solvation_data : pandas.DataFrame
        ``Solute.solvation_data`` of solvation-analysis; left as it is.
    trajectory : Trajectory
        Its targets hold the solute atoms, by the same indices.
    state_probabilities : (n_frames, n_targets, n_states) array; rows sum to 1.
    frames : iterable of int, optional
        Number of each row of ``state_probabilities`` in the Universe that was analysed: if not
        given, the trajectory's own, from its ``first_frame`` on.

    Raises
    ------
    ValueError
        For a table of another layout, shapes that do not fit, solute atoms that are in no target,
        or frames without states.
    """
    rows, targets, values = _matched(solvation_data, trajectory, state_probabilities, frames)
    probabilities = values[rows, targets]
    return solvation_data.assign(
        state=probabilities.argmax(axis=1) + 1, state_probability=probabilities.max(axis=1)
    )


def shell_shares(
    solvation_data: pd.DataFrame,
    trajectory: Trajectory,
    state_probabilities: ArrayLike,
    *,
    frames: Iterable[int] | None = None,
) -> pd.DataFrame:
    """Which shells targets of each state have: what ``Speciation`` counts, for each state.

    Parameters
    ----------
    solvation_data, trajectory, state_probabilities, frames
        As for :func:`with_states`. All frames with states must have been analysed: those without a
        solvent near a target count as an empty shell.

    Returns
    -------
    pandas.DataFrame
        ``state`` (from 1), a column for each solvent with its number of molecules in the shell, and
        ``share``: the mean probability of such a shell for a target in that state. Shares of a
        state sum to 1, the largest first; NaN for a state that is never visited.

    Raises
    ------
    ValueError
        As :func:`with_states`.
    """
    import pandas as pd

    rows, targets, values = _matched(solvation_data, trajectory, state_probabilities, frames)
    names = sorted(map(str, solvation_data[_SOLVENT].unique()))
    kinds = pd.Index(names).get_indexer(solvation_data[_SOLVENT].astype(str))
    counts = np.zeros((*values.shape[:2], len(names)), dtype=np.int64)
    np.add.at(counts, (rows, targets, kinds), 1)
    shells, which = np.unique(counts.reshape(-1, len(names)), axis=0, return_inverse=True)
    weights = values.reshape(-1, values.shape[2])
    sums = np.zeros((len(shells), values.shape[2]))
    np.add.at(sums, which.ravel(), weights)
    with np.errstate(invalid="ignore"):
        shares = sums / weights.sum(axis=0)
    parts = []
    for state in range(values.shape[2]):
        part = pd.DataFrame(shells, columns=names)
        part.insert(0, "state", state + 1)
        parts.append(part.assign(share=shares[:, state]).sort_values("share", ascending=False))
    return pd.concat(parts, ignore_index=True)


def _matched(
    solvation_data: pd.DataFrame,
    trajectory: Trajectory,
    state_probabilities: ArrayLike,
    frames: Iterable[int] | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64], Float]:
    """Row and target of the probabilities for each row of the table, and the probabilities."""
    states = AtomStates.of(trajectory, state_probabilities)
    names = list(getattr(solvation_data.index, "names", []))
    if _FRAME not in names or _ATOM not in names or _SOLVENT not in solvation_data.columns:
        raise ValueError(
            f"solvation_data must have {_FRAME!r} and {_ATOM!r} in its index and a column "
            f"{_SOLVENT!r}, as solvation-analysis makes it, received index {names} and columns "
            f"{list(solvation_data.columns)}"
        )
    wanted: Any = trajectory.first_frame + np.arange(trajectory.n_frames)
    if frames is not None:
        wanted = np.array(list(frames), dtype=np.int64)
        if len(wanted) != trajectory.n_frames or len(np.unique(wanted)) != len(wanted):
            raise ValueError(
                "frames must be one number for each row of state_probabilities, each once: "
                f"{trajectory.n_frames}, received {len(wanted)}"
            )
    order = np.argsort(wanted)
    numbers = solvation_data.index.get_level_values(_FRAME).to_numpy().astype(np.int64)
    place = np.minimum(np.searchsorted(wanted, numbers, sorter=order), len(wanted) - 1)
    rows = order[place]
    missing = np.unique(numbers[wanted[rows] != numbers])
    if len(missing):
        raise ValueError(
            f"solvation_data: frames {missing.tolist()[:10]} have no states; frames= tells which "
            "of the Universe's frames the rows of state_probabilities are"
        )
    atoms = solvation_data.index.get_level_values(_ATOM).to_numpy().astype(np.int64)
    target_of = states.target_of_atom()
    inside = (atoms >= 0) & (atoms < len(target_of))
    targets = np.where(inside, target_of[np.where(inside, atoms, 0)], -1)
    strange = np.unique(atoms[targets < 0])
    if len(strange):
        raise ValueError(
            f"solvation_data: solute atoms {strange.tolist()[:10]} are in no target of "
            f"{trajectory.source}"
        )
    values = np.asarray(states.state_probabilities, dtype=np.float64)
    values = np.broadcast_to(values, (len(values), trajectory.n_targets, states.n_states))
    bad = ~(np.abs(values.sum(axis=2) - 1.0) <= _ROW_TOLERANCE)
    if bad.any():
        raise ValueError("rows of state_probabilities must sum to 1, received some that do not")
    return rows, targets, values
