"""What observables are given, checked: trajectories, states of targets, values of atoms."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.elements import element_name, element_numbers
from kgdyn.trajectories import Trajectory

__all__ = [
    "AtomValues",
    "atom_masses",
    "atom_values",
    "checked_lagtime",
    "checked_rows",
    "checked_states",
    "checked_trajectories",
]

Float = NDArray[np.float64]
AtomValues = Mapping[str, float] | ArrayLike | Sequence[ArrayLike]

_ROW_TOLERANCE = 1e-4


def checked_trajectories(
    trajectories: Trajectory | Sequence[Trajectory],
) -> tuple[Trajectory, ...]:
    """One or several trajectories as a tuple.

    Raises
    ------
    ValueError
        For none.
    TypeError
        For something that is no Trajectory.
    """
    given = (trajectories,) if isinstance(trajectories, Trajectory) else tuple(trajectories)
    if not given:
        raise ValueError("trajectories: at least one is needed, received none")
    for item in given:
        if not isinstance(item, Trajectory):
            raise TypeError(f"trajectories must be of type Trajectory, received {type(item)}")
    return given


def checked_states(
    trajectories: Sequence[Trajectory], state_probabilities: ArrayLike | Sequence[ArrayLike]
) -> list[NDArray[Any]]:
    """One (n_frames, n_targets, n_states) array for each trajectory, perhaps a memory map.

    Only shapes are looked at: :func:`checked_rows` checks what it reads.

    Parameters
    ----------
    trajectories : sequence of Trajectory
    state_probabilities : (n_frames, n_targets, n_states) array, or a sequence of one a trajectory
        The axis of targets may be missing where there is one.

    Raises
    ------
    ValueError
        For another number of arrays than trajectories, shapes that do not fit, or different
        numbers of states.
    """
    found: list[NDArray[Any]] = []
    given = _one_each(state_probabilities)
    if len(given) != len(trajectories):
        raise ValueError(
            "state_probabilities must be one array for each trajectory, received "
            f"{len(given)} for {len(trajectories)}"
        )
    for trajectory, values in zip(trajectories, given, strict=True):
        array = values if isinstance(values, np.ndarray) else np.asarray(values)
        if array.ndim == 2 and trajectory.n_targets == 1:
            array = array[:, None, :]
        wanted = (trajectory.n_frames, trajectory.n_targets)
        if array.ndim != 3 or array.shape[:2] != wanted or array.shape[2] < 2:
            raise ValueError(
                f"{trajectory.source}: state_probabilities must have shape (n_frames, n_targets, "
                f"n_states) = ({wanted[0]}, {wanted[1]}, at least 2), received {array.shape}"
            )
        if found and array.shape[2] != found[0].shape[2]:
            raise ValueError(
                f"{trajectory.source}: state_probabilities must have the same number of states for "
                f"all trajectories, received {array.shape[2]} after {found[0].shape[2]}"
            )
        found.append(array)
    return found


def checked_rows(
    trajectory: Trajectory, state_probabilities: NDArray[Any], start: int, stop: int
) -> Float:
    """(n, n_targets, n_states) states of frames ``start`` to ``stop - 1``: a copy, float64.

    Raises
    ------
    ValueError
        For a row that does not sum to 1, or NaN, naming source, frame and target.
    """
    found = np.array(state_probabilities[start:stop], dtype=np.float64, order="C")
    bad = ~(np.abs(found.sum(axis=2) - 1.0) <= _ROW_TOLERANCE)  # also NaN
    if bad.any():
        frame, target = np.argwhere(bad)[0].tolist()
        raise ValueError(
            f"{trajectory.where(start + frame)}: rows of state_probabilities must sum to 1, "
            f"received {found[frame, target].tolist()} for target {target}"
        )
    return found


def atom_values(trajectories: Sequence[Trajectory], values: AtomValues, name: str) -> list[Float]:
    """One (n_atoms,) array for each trajectory.

    Parameters
    ----------
    trajectories : sequence of Trajectory
    values : mapping from elements to numbers, (n_atoms,) array, or a list of one array a trajectory
        The mapping must hold every element that occurs.
    name : str
        Of the argument, for messages.

    Raises
    ------
    ValueError
        For a missing element, another shape or values that are not finite.
    """
    result: list[Float] = []
    if isinstance(values, Mapping):
        of_number = dict(zip(element_numbers(values), values.values(), strict=True))
        for trajectory in trajectories:
            missing = [element_name(n) for n in trajectory.elements if n not in of_number]
            if missing:
                raise ValueError(
                    f"{name} must have a value for every element of {trajectory.source}, "
                    f"received none for {missing}"
                )
            table = np.zeros(max(of_number) + 1)
            table[list(of_number)] = list(of_number.values())
            result.append(table[trajectory.species])
    else:
        several: Any = values
        if not (isinstance(values, (list, tuple)) and values and np.ndim(values[0]) == 1):
            several = [values] * len(trajectories)
        if len(several) != len(trajectories):
            raise ValueError(
                f"{name} must be one array for each trajectory, received {len(several)} for "
                f"{len(trajectories)}"
            )
        for trajectory, given in zip(trajectories, several, strict=True):
            array = np.array(given, dtype=np.float64)
            if array.shape != (trajectory.n_atoms,):
                raise ValueError(
                    f"{name} must have shape (n_atoms,) = ({trajectory.n_atoms},) for "
                    f"{trajectory.source}, received {array.shape}"
                )
            result.append(array)
    for array in result:
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite, received {array[~np.isfinite(array)][0]}")
    return result


def atom_masses(
    trajectories: Sequence[Trajectory], masses: AtomValues | None
) -> list[Float] | list[None]:
    """One (n_atoms,) array of masses for each trajectory, or None where there are none.

    Raises
    ------
    ValueError
        As :func:`atom_values`, and for masses that are not positive.
    """
    if masses is None:
        return [None] * len(trajectories)
    found = atom_values(trajectories, masses, "masses")
    for values in found:
        if values.min() <= 0.0:
            raise ValueError(f"masses must be positive, received {values.min()}")
    return found


def checked_lagtime(name: str, value: Any) -> int:
    """A whole number of frames, at least 1.

    Raises
    ------
    TypeError
        If it is not an integer.
    ValueError
        If it is below 1.
    """
    try:
        found = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number of frames, received {value!r}") from None
    if found < 1:
        raise ValueError(f"{name} must be at least 1 frame, received {found}")
    return found


def _one_each(state_probabilities: Any) -> list[Any]:
    """A list of arrays from one array, nested lists of numbers, or a list of arrays."""
    if isinstance(state_probabilities, np.ndarray):
        return [state_probabilities] if state_probabilities.ndim <= 3 else list(state_probabilities)
    parts = list(state_probabilities)
    if parts and not isinstance(parts[0], np.ndarray) and np.ndim(parts[0]) < 3:
        return [np.asarray(parts)]
    return parts
