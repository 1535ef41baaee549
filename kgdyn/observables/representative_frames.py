"""Frames that show what each state looks like, cut out around the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import readonly
from kgdyn.observables._clusters import Cluster, cut_out_cluster, descriptor
from kgdyn.observables._frame_choice import Choice, choose_highest, sample_states
from kgdyn.observables._inputs import (
    AtomValues,
    atom_masses,
    checked_states,
    checked_trajectories,
)
from kgdyn.observables._surroundings import TargetFrame, target_frame
from kgdyn.trajectories import Trajectory

__all__ = ["Cluster", "Representative", "RepresentativeFrames", "representative_frames"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Kind = Literal["highest probability", "medoid"]


@dataclass(frozen=True, eq=False)
class Representative:
    """A target in one frame, with its surroundings.

    Attributes
    ----------
    state : int, from 0
    kind : {"highest probability", "medoid"}
    trajectory, frame, target : int, from 0
    probability : float
        Of the state.
    cluster : Cluster
    """

    state: int
    kind: Kind
    trajectory: int
    frame: int
    target: int
    probability: float
    cluster: Cluster


@dataclass(frozen=True, eq=False, repr=False)
class RepresentativeFrames:
    """What :func:`representative_frames` returns.

    Attributes
    ----------
    representatives : tuple of Representative
        By state; of each the most probable ones by falling probability, then the medoid.
    populations : (n_states,) array
        Mean state probabilities.
    spread : (n_states,) array, angstrom
        Mean distance of the medoid to the rest of its sample: the root mean square difference of
        the distances that describe surroundings. NaN without a medoid.
    sample_sizes : (n_states,) array of int
        How many surroundings the medoid was chosen from.
    radius : float, angstrom
    n_nearest, n_sample, max_atoms, seed : int
        As they were given.
    descriptor : str
        What surroundings were compared by.
    """

    representatives: tuple[Representative, ...]
    populations: Float
    spread: Float
    sample_sizes: Int
    radius: float
    n_nearest: int
    n_sample: int
    max_atoms: int
    seed: int
    descriptor: str

    @property
    def n_states(self) -> int:
        return len(self.populations)

    def of(self, state: int, kind: Kind | None = None) -> tuple[Representative, ...]:
        """Those of one state (from 0), and of one kind if it is given."""
        if not 0 <= state < self.n_states:
            raise ValueError(f"state must be from 0 to {self.n_states - 1}, received {state}")
        return tuple(
            item
            for item in self.representatives
            if item.state == state and kind in (None, item.kind)
        )

    def medoid(self, state: int) -> Representative | None:
        """The medoid of a state, None for a state that is never visited."""
        found = self.of(state, "medoid")
        return found[0] if found else None

    def __repr__(self) -> str:
        counts = [len(self.of(state)) for state in range(self.n_states)]
        return (
            f"RepresentativeFrames(n_states={self.n_states}, frames of each state={counts}, "
            f"radius={self.radius:g} angstrom, n_sample={self.n_sample}, seed={self.seed})"
        )


def representative_frames(
    trajectories: Trajectory | Sequence[Trajectory],
    state_probabilities: ArrayLike | Sequence[ArrayLike],
    *,
    n_per_state: int = 3,
    radius: float = 6.0,
    molecules: ArrayLike | Sequence[ArrayLike] | None = None,
    masses: AtomValues | None = None,
    max_atoms: int = 500,
    n_sample: int = 200,
    n_nearest: int = 12,
    seed: int = 0,
) -> RepresentativeFrames:
    """Frames of highest probability of each state, and its medoid.

    The first is the most probable one. The others are at least 0.95 times as probable where there
    are such, and of other targets and other twentieths of the time as far as possible, never of the
    same visit if there is another. A state that saturates has many frames of the same probability:
    which of them come is an accident, and they may lie far from what is usual. That is what the
    medoid is for: of a random sample of the state's frames the one with the smallest mean distance
    to all others. Surroundings are compared by the distances of the nearest atoms of each element
    to the target's centre, sorted; atoms beyond ``radius`` count as at ``radius``. That depends on
    no rotation, translation or order of atoms.

    Parameters
    ----------
    trajectories : Trajectory, or a sequence of them
    state_probabilities : (n_frames, n_targets, n_states) array, or one a trajectory
    n_per_state : int
        Frames of highest probability; fewer come where a state has fewer.
    radius : float, angstrom
        Atoms nearer to the target's centre than this are cut out, in any periodic image.
    molecules : (n_atoms,) array of int, or a list of one a trajectory, optional
        Molecule of each atom. The rest of each molecule comes along: placed by the images of the
        trajectory where it has them, else each atom beside the atom of its molecule that is
        nearest.
    masses : mapping from elements, (n_atoms,) array, or one array a trajectory, optional
        The centre of a target of several atoms is that of mass; without, the mean of positions.
    max_atoms : int
        Molecules are cut where they would make a cluster larger (``cut_molecules``). All atoms
        within the radius come, however many they are.
    n_sample : int
        Surroundings that the medoid is chosen from, drawn with the probability of the state among
        those frames where it is the most probable one. 0: no medoid.
    n_nearest : int
        Atoms of each element that are compared.
    seed : int
        Of the sample.

    Raises
    ------
    TypeError, ValueError
        For arguments that break these rules, or a bad frame (naming source and frame).
    """
    runs = checked_trajectories(trajectories)
    states = checked_states(runs, state_probabilities)
    weights = atom_masses(runs, masses)
    names = _molecule_lists(runs, molecules)
    for name, value, least in (
        ("n_per_state", n_per_state, 0),
        ("n_sample", n_sample, 0),
        ("n_nearest", n_nearest, 1),
        ("max_atoms", max_atoms, 1),
    ):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, received {value}")
    if not (np.isfinite(radius) and radius > 0.0):
        raise ValueError(f"radius must be a positive distance in angstrom, received {radius}")

    def seen_from(choice: Choice) -> TargetFrame:
        run = runs[choice.trajectory]
        return target_frame(run, choice.frame, choice.target, weights[choice.trajectory])

    def cut_out(state: int, kind: Kind, choice: Choice) -> Representative:
        run = runs[choice.trajectory]
        cluster = cut_out_cluster(
            run, choice.frame, seen_from(choice), radius, names[choice.trajectory], max_atoms
        )
        return Representative(
            state,
            kind,
            choice.trajectory,
            choice.frame,
            choice.target,
            choice.probability,
            cluster,
        )

    populations, samples = sample_states(runs, states, n_sample, np.random.default_rng(seed))
    highest = choose_highest(runs, states, n_per_state)
    elements = sorted({number for run in runs for number in run.elements})
    found: list[Representative] = []
    spread = np.full(len(populations), np.nan)
    for state, (most_probable, sample) in enumerate(zip(highest, samples, strict=True)):
        found += [cut_out(state, "highest probability", choice) for choice in most_probable]
        if not sample:
            continue
        rows = np.array(
            [
                descriptor(seen_from(choice), runs[choice.trajectory].species, elements,
                            radius, n_nearest)
                for choice in sample
            ]
        )  # fmt: skip
        apart = np.sqrt(((rows[:, None, :] - rows[None, :, :]) ** 2).mean(axis=2))
        means = apart.sum(axis=1) / max(len(rows) - 1, 1)
        middle = int(np.argmin(means))
        spread[state] = means[middle]
        found.append(cut_out(state, "medoid", sample[middle]))
    return RepresentativeFrames(
        representatives=tuple(found),
        populations=readonly(populations),
        spread=readonly(spread),
        sample_sizes=readonly([len(sample) for sample in samples], np.int64),
        radius=float(radius),
        n_nearest=n_nearest,
        n_sample=n_sample,
        max_atoms=max_atoms,
        seed=seed,
        descriptor=f"sorted distances of the {n_nearest} nearest atoms of each element, up to "
        f"{radius:g} angstrom",
    )


def _molecule_lists(runs: Sequence[Trajectory], molecules: object) -> list[Int | None]:
    if molecules is None:
        return [None] * len(runs)
    several: list[object] = (
        list(molecules)
        if isinstance(molecules, (list, tuple)) and molecules and np.ndim(molecules[0]) == 1
        else [molecules] * len(runs)
    )
    if len(several) != len(runs):
        raise ValueError(
            f"molecules must be one array for each trajectory, received {len(several)} for "
            f"{len(runs)}"
        )
    found: list[Int | None] = []
    for run, given in zip(runs, several, strict=True):
        array = np.asarray(given)
        if array.shape != (run.n_atoms,) or array.dtype.kind not in "iu":
            raise ValueError(
                f"{run.source}: molecules must be integers of shape (n_atoms,) = "
                f"({run.n_atoms},), received {array.dtype} of shape {array.shape}"
            )
        found.append(array.astype(np.int64))
    return found
