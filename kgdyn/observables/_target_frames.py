"""Trajectories, the states of their targets and values of their atoms: checked, chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.elements import element_name, element_numbers
from kgdyn.frames import cell_volume, check_cell
from kgdyn.koopman import as_segments
from kgdyn.trajectories import Trajectory

__all__ = ["AtomValues", "Chunk", "TargetFrames", "atom_values", "target_frames"]

Float = NDArray[np.float64]
AtomValues = Mapping[str, float] | ArrayLike | Sequence[ArrayLike]
_CHUNK_BYTES = 2**23


class Chunk(NamedTuple):
    """Frames as the kernels take them: float64, contiguous, finite."""

    positions: Float  # (n_frames, n_atoms, 3)
    images: NDArray[np.int64]  # the same, or (n_frames, 0, 3)
    cells: Float  # (n_frames, 3, 3), completed along free directions
    inverses: Float
    volumes: Float  # (n_frames,) cubic angstrom; NaN where a direction is free
    weights: Float  # (n_frames, n_targets, n_states)


@dataclass(frozen=True)
class TargetFrames:
    """Trajectories with what belongs to each.

    ``states`` is one (n_frames, n_targets, n_states) array a trajectory, or None for one state
    that all targets are in. ``masses`` is one (n_atoms,) array a trajectory.
    """

    trajectories: tuple[Trajectory, ...]
    states: list[Float] | None
    masses: list[Float]
    centre: str

    @property
    def n_states(self) -> int:
        return 1 if self.states is None else self.states[0].shape[2]

    @property
    def n_frames(self) -> int:
        return sum(trajectory.n_frames for trajectory in self.trajectories)

    @property
    def n_targets(self) -> list[int]:
        return [trajectory.n_targets for trajectory in self.trajectories]

    @property
    def lengths(self) -> list[int]:
        """Frames of each segment."""
        return [int(n) for t in self.trajectories for n in np.diff(t.offsets)]

    @property
    def segments(self) -> list[Float] | None:
        """States, one array a gap-free segment."""
        if self.states is None:
            return None
        return [
            part
            for t, states in zip(self.trajectories, self.states, strict=True)
            for part in np.split(states, t.offsets[1:-1])
        ]

    def chunks(self, number: int, start: int, stop: int) -> Iterator[Chunk]:
        """Frames ``start`` to ``stop - 1`` of trajectory ``number``, about 8 MB at a time.

        Raises
        ------
        ValueError
            For positions that are not finite or a cell without volume, naming source and frame.
        """
        trajectory = self.trajectories[number]
        # Images only make molecules whole: of single atoms all images are looked at anyway.
        molecules = len(trajectory.targets.atoms) > trajectory.n_targets
        step = max(1, _CHUNK_BYTES // (24 * trajectory.n_atoms))
        for low in range(start, stop, step):
            high = min(low + step, stop)
            positions = np.array(trajectory.positions[low:high], dtype=np.float64, order="C")
            finite = np.isfinite(positions).all(axis=(1, 2))
            if not finite.all():
                trajectory.frame(low + int(np.argmin(finite)))  # says which atom
            given = np.array(trajectory.cells[low:high], dtype=np.float64, order="C")
            changed = np.any(given[1:] != given[:-1], axis=(1, 2))
            for index in [0, *(np.flatnonzero(changed) + 1).tolist()]:
                check_cell(given[index], trajectory.pbc, trajectory.where(low + index))
            cells = _completed(given, trajectory.pbc)
            volumes = np.full(len(cells), np.nan)
            if trajectory.pbc.all():
                volumes = np.array([cell_volume(cell) for cell in cells])
            images = np.zeros((len(cells), 0, 3), np.int64)
            if trajectory.images is not None and molecules:
                images = np.array(trajectory.images[low:high], dtype=np.int64, order="C")
            weights = np.ones((len(cells), trajectory.n_targets, 1))
            if self.states is not None:
                weights = np.array(self.states[number][low:high], order="C")
            inverses = np.asarray(np.linalg.inv(cells), dtype=np.float64)
            yield Chunk(positions, images, cells, inverses, volumes, weights)

    def targets(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Atoms and offsets of a trajectory's targets, as the kernels take them."""
        groups = self.trajectories[number].targets
        return np.array(groups.atoms), np.array(groups.offsets)


def target_frames(
    trajectories: Trajectory | Sequence[Trajectory],
    state_probabilities: ArrayLike | Sequence[ArrayLike] | None,
    masses: AtomValues | None = None,
) -> TargetFrames:
    """Trajectories and states that fit together.

    Parameters
    ----------
    trajectories : Trajectory, or a sequence of them
    state_probabilities : (n_frames, n_targets, n_states) array, or one a trajectory, or None
        All frames of a trajectory, whatever its segments. None: one state for all targets.
    masses : as for :func:`atom_values`, optional

    Raises
    ------
    ValueError
        For no trajectory, states of another shape, rows that do not sum to 1, or bad masses.
    TypeError
        For something that is no Trajectory.
    """
    given = (trajectories,) if isinstance(trajectories, Trajectory) else tuple(trajectories)
    if not given:
        raise ValueError("trajectories: at least one is needed, received none")
    for item in given:
        if not isinstance(item, Trajectory):
            raise TypeError(f"trajectories must be of type Trajectory, received {type(item)}")
    states = None
    if state_probabilities is not None:
        states = as_segments(state_probabilities)
        if len(states) != len(given):
            raise ValueError(
                "state_probabilities must be one array for each trajectory, received "
                f"{len(states)} for {len(given)}"
            )
        for trajectory, values in zip(given, states, strict=True):
            wanted = (trajectory.n_frames, trajectory.n_targets)
            if values.shape[:2] != wanted:
                raise ValueError(
                    f"{trajectory.source}: state_probabilities must have shape (n_frames, "
                    f"n_targets, n_states) = {(*wanted, values.shape[2])}, received {values.shape}"
                )
    single = all(len(t.targets.atoms) == t.n_targets for t in given)
    if masses is None:
        weights = [np.ones(t.n_atoms) for t in given]
        centre = "atom" if single else "mean of the atoms"
    else:
        weights = atom_values(given, masses, "masses")
        for trajectory, values in zip(given, weights, strict=True):
            least = values[trajectory.targets.atoms].min()
            if least <= 0.0:
                raise ValueError(f"masses of the atoms of targets must be positive, found {least}")
        centre = "atom" if single else "centre of mass"
    return TargetFrames(given, states, weights, centre)


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
        if not (isinstance(values, (list, tuple)) and np.ndim(values[0]) == 1):
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


def _completed(cells: Float, pbc: NDArray[np.bool_]) -> Float:
    """Rows of free directions replaced by unit vectors orthogonal to the periodic ones."""
    if pbc.all():
        return cells
    if not pbc.any():
        return np.broadcast_to(np.eye(3), cells.shape).copy()
    free = np.flatnonzero(~pbc)
    for cell in cells:
        _, _, rows = np.linalg.svd(cell[pbc], full_matrices=True)
        cell[free] = rows[int(pbc.sum()) :]
    return cells
