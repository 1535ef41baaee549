"""Which atoms are counted around targets, and how often each: the channels of the kernels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.elements import element_name, element_numbers
from kgdyn.trajectories import Trajectory

__all__ = ["Channels", "Selections", "channels_of", "select_atoms"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Selections = Mapping[str, ArrayLike] | Iterable[str | int] | None


class Channels(NamedTuple):
    """Of one trajectory; see ``_compiled_structure`` for the first three."""

    first_channel: Int  # (n_atoms + 1,)
    channels: Int
    shares: Float
    atoms: Int  # those in any channel
    totals: Float  # (n_channels,) sum of the shares of all atoms
    own: Float  # (n_targets, n_channels) sum of the shares of a target's own atoms


def select_atoms(
    trajectories: Sequence[Trajectory], selections: Selections
) -> tuple[tuple[str, ...], list[list[Int]]]:
    """Names of selections, and the atoms of each in each trajectory.

    Parameters
    ----------
    trajectories : sequence of Trajectory
    selections : mapping from names to atom indices, or elements, or None
        None: every element that occurs. Indices count from 0 and hold for all trajectories.

    Raises
    ------
    ValueError
        For no selection, an element that does not occur, an empty selection, or indices that are
        no integers, stand twice or lie outside of the frames.
    """
    if isinstance(selections, Mapping):
        names = tuple(str(name) for name in selections)
        lists = [_indices(name, values) for name, values in selections.items()]
        for trajectory in trajectories:
            for name, atoms in zip(names, lists, strict=True):
                if atoms.max() >= trajectory.n_atoms:
                    raise ValueError(
                        f"selections: {name!r} has index {atoms.max()}, outside of the "
                        f"{trajectory.n_atoms} atoms of {trajectory.source} (counted from 0)"
                    )
        found = [lists for _ in trajectories]
    else:
        present = sorted({n for trajectory in trajectories for n in trajectory.elements})
        if isinstance(selections, (str, int)):
            selections = [selections]
        numbers = present if selections is None else element_numbers(selections)
        for number in numbers:
            if number not in present:
                raise ValueError(
                    f"selections: {element_name(number)} does not occur, only "
                    f"{[element_name(n) for n in present]}"
                )
        names = tuple(element_name(number) for number in numbers)
        found = [[np.flatnonzero(t.species == n) for n in numbers] for t in trajectories]
    if not names or len(set(names)) != len(names):
        raise ValueError(f"selections: at least one is needed, each once, received {list(names)}")
    return names, found


def channels_of(
    trajectory: Trajectory, lists: Sequence[Int], shares: Sequence[Float] | None = None
) -> Channels:
    """Channels that hold the given atoms.

    Parameters
    ----------
    trajectory : Trajectory
    lists : sequence of arrays of int
        Atoms of each channel.
    shares : sequence of arrays of float, optional
        How much each of these atoms counts; 1 if not given.
    """
    n_atoms, n_channels = trajectory.n_atoms, len(lists)
    weights = [np.ones(len(atoms)) for atoms in lists] if shares is None else list(shares)
    table = np.zeros((n_atoms, n_channels))
    for channel, (atoms, values) in enumerate(zip(lists, weights, strict=True)):
        table[atoms, channel] = values
    inside = table != 0.0
    rows, channels = np.nonzero(inside)
    targets = trajectory.targets
    own = np.add.reduceat(table[targets.atoms], targets.offsets[:-1], axis=0)
    return Channels(
        np.concatenate([[0], np.cumsum(inside.sum(axis=1))]).astype(np.int64),
        channels.astype(np.int64),
        table[rows, channels],
        np.flatnonzero(inside.any(axis=1)),
        table.sum(axis=0),
        own,
    )


def _indices(name: Any, values: ArrayLike) -> Int:
    atoms = np.asarray(values)
    if atoms.ndim != 1 or atoms.size == 0 or atoms.dtype.kind not in "iu":
        raise ValueError(
            f"selections: {name!r} must be a list of atom indices, at least one, received "
            f"{atoms.dtype} of shape {atoms.shape}"
        )
    if atoms.min() < 0 or len(np.unique(atoms)) != len(atoms):
        raise ValueError(
            f"selections: indices of {name!r} must not be negative and stand only once, received "
            f"{atoms.tolist()[:10]}"
        )
    return atoms.astype(np.int64)
