"""Everything that a report tells of held-out states, computed once, each piece by itself.

A piece that the data cannot give (too few frames for a lag time, no charges) is left out, and the
report says why; a warning belongs to the piece that gave it.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.baselines import MissedProcessVerdict, missed_process_verdict
from kgdyn.elements import element_name
from kgdyn.explain import MaskingImportance, NeighborAttention
from kgdyn.koopman import (
    Crispness,
    Interval,
    KoopmanValidation,
    crispness,
    one_hot,
    validate_koopman,
)
from kgdyn.observables import (
    ChargeIntegral,
    FirstShells,
    LabelAgreement,
    RepresentativeFrames,
    StateBondOrder,
    StateProfile,
    StateRDF,
    TransitionConductivity,
    TransitionDiffusion,
    TransitionMSD,
    charge_integral,
    compare_labels,
    first_shells,
    representative_frames,
    state_bond_order,
    state_profile,
    state_rdf,
    transition_conductivity,
    transition_diffusion,
    transition_msd,
)
from kgdyn.observables._inputs import atom_values, checked_states, checked_trajectories
from kgdyn.trajectories import Trajectory

__all__ = ["Findings", "Note", "Physics", "study_states"]

Float = NDArray[np.float64]
Progress = Callable[[int, int | None, str], None]
T = TypeVar("T")

_MSD_LAGTIMES = 12
_REPRESENTATIVES = 3
# Memberships below 0, summed over states, in the mean over frames: with more than this, sums
# weighted by memberships mean little.
_FAR_OUTSIDE = 0.1


@dataclass(frozen=True)
class Note:
    """Something that the reader has to know about a piece: ``left out`` or ``warning``."""

    piece: str
    kind: str
    text: str


@dataclass(frozen=True)
class Physics:
    """What a trajectory does not tell, and physics needs.

    Attributes
    ----------
    charges : mapping from elements, (n_atoms,) array, or None; elementary charges
    temperature : float or None, K
    ion_charge : float or None, elementary charges
        Of a target; the sum over its atoms' ``charges`` if None.
    charge_radius : float or None, angstrom
        Of the cluster that moves with a target. By default where the first shell of opposite charge
        ends.
    """

    charges: Any = None
    temperature: float | None = None
    ion_charge: float | None = None
    charge_radius: float | None = None


@dataclass(frozen=True, eq=False)
class Findings:
    """Results of :func:`study_states`; None where a piece was left out (``notes`` say why).

    ``by_assignment``: structure and transport go by the most probable state of each target and
    frame, because memberships lie far outside of [0, 1]; the Koopman model never does.
    """

    trajectories: tuple[Trajectory, ...]
    state_probabilities: tuple[NDArray[Any], ...]
    lagtime: int
    validation: KoopmanValidation
    crispness: Crispness
    names: Mapping[int, str]
    physics: Physics
    by_assignment: bool = False
    verdict: MissedProcessVerdict | None = None
    rdf: StateRDF | None = None
    shells: FirstShells | None = None
    charge: ChargeIntegral | None = None
    charge_radius: float | None = None
    representatives: RepresentativeFrames | None = None
    bond_order: StateBondOrder | None = None
    profile: StateProfile | None = None
    msd: TransitionMSD | None = None
    diffusion: TransitionDiffusion | None = None
    conductivity: TransitionConductivity | None = None
    agreement: LabelAgreement | None = None
    attention: NeighborAttention | None = None
    masking: MaskingImportance | None = None
    notes: tuple[Note, ...] = field(default=())

    @property
    def n_states(self) -> int:
        return self.validation.model.n_states

    @property
    def frame_interval(self) -> float:
        return self.trajectories[0].frame_interval

    @property
    def n_frames(self) -> int:
        return sum(trajectory.n_frames for trajectory in self.trajectories)


class _Pieces:
    """Computes pieces, and remembers what each had to say."""

    def __init__(self, progress: Progress | None, n_pieces: int) -> None:
        self.notes: list[Note] = []
        self._progress = progress
        self._n_pieces = n_pieces
        self._done = 0

    def compute(self, name: str, make: Callable[[], T]) -> T | None:
        if self._progress is not None:
            self._progress(self._done, self._n_pieces, name)
        self._done += 1
        with self._listening(name):
            try:
                return make()
            except ValueError as error:
                self.notes.append(Note(name, "left out", str(error)))
        return None

    def needed(self, name: str, make: Callable[[], T]) -> T:
        """As ``compute``, but an error is an error."""
        if self._progress is not None:
            self._progress(self._done, self._n_pieces, name)
        self._done += 1
        with self._listening(name):
            return make()

    @contextmanager
    def _listening(self, name: str) -> Iterator[None]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
        for warning in caught:
            if not issubclass(warning.category, (DeprecationWarning, PendingDeprecationWarning)):
                note = Note(name, "warning", str(warning.message))
                if note not in self.notes:
                    self.notes.append(note)


def study_states(
    trajectories: Trajectory | Sequence[Trajectory],
    state_probabilities: ArrayLike | Sequence[ArrayLike],
    *,
    lagtime: int,
    names: Mapping[int, str] | None = None,
    physics: Physics | None = None,
    axis: int | None = None,
    bond_order_neighbors: int | None = None,
    molecules: ArrayLike | Sequence[ArrayLike] | None = None,
    labels: Sequence[ArrayLike] | None = None,
    restart_scores: Sequence[float] | None = None,
    r_max: float = 10.0,
    floor: bool = True,
    attention: NeighborAttention | None = None,
    masking: MaskingImportance | None = None,
    progress: Progress | None = None,
) -> Findings:
    """Test the states of held-out frames, and say what they are made of and what they do.

    Parameters
    ----------
    trajectories : Trajectory, or a sequence of them
        Frames that the states were not trained on.
    state_probabilities : (n_frames, n_targets, n_states) array, or one a trajectory
    lagtime : int, frames.
    names : mapping from atomic number or bead type to str, optional
        What to call elements; their symbols if not given.
    physics : Physics, optional
        Charges and temperature.
    axis : {0, 1, 2}, optional
        Lattice vector to make a profile along.
    bond_order_neighbors : int, optional
        Local bond order of the targets from so many nearest atoms: 4 in silicon, 12 in fcc.
    molecules : (n_atoms,) array of int, or one a trajectory, optional
        Which molecule each atom belongs to, for whole molecules in drawings.
    labels : (n_frames, n_targets) array of int a trajectory, optional
        Known states or counts to compare with.
    restart_scores : sequence of float, optional
        Validation scores of restarts, for the verdict on missed processes.
    r_max : float, angstrom
        Of radial distributions.
    floor : bool
        Compare with a linear method.
    attention, masking : optional
        From :mod:`kgdyn.explain`.
    progress : callable, optional
        Called with pieces done, pieces in all and the name of the next.

    Raises
    ------
    ValueError
        If the Koopman model itself cannot be estimated.
    """
    runs = checked_trajectories(trajectories)
    parts = checked_states(runs, state_probabilities)
    physics = Physics() if physics is None else physics
    names = {} if names is None else dict(names)
    pieces = _Pieces(progress, n_pieces=11)
    interval = runs[0].frame_interval
    segments = [
        part[first:end]
        for run, part in zip(runs, parts, strict=True)
        for first, end in itertools.pairwise(run.offsets)
    ]
    validation = pieces.needed(
        "Koopman model",
        lambda: validate_koopman(segments, lagtime=lagtime, frame_interval=interval),
    )
    outside = float(np.mean([np.maximum(-part, 0.0).sum(axis=-1).mean() for part in parts]))
    by_assignment = outside > _FAR_OUTSIDE
    weights: list[NDArray[Any]] = parts
    if by_assignment:
        weights = [one_hot(part.argmax(axis=-1), part.shape[-1]) for part in parts]
        pieces.notes.append(
            Note(
                "structure and transport",
                "warning",
                f"memberships lie {outside:.2f} below 0 in the mean, because states overlap: what "
                "is weighted by states goes by the most probable state of each target and frame "
                "instead",
            )
        )
    verdict = None
    if floor:
        verdict = pieces.compute(
            "missed processes",
            lambda: missed_process_verdict(
                segments, runs, lagtime=lagtime, restart_scores=restart_scores
            ),
        )
    rdf = pieces.compute(
        "radial distributions", lambda: state_rdf(runs, weights, r_max=r_max, lagtime=lagtime)
    )
    shells = None
    if rdf is not None:
        rdf = _shown(rdf, names)
        shells = pieces.compute("first shells", lambda: first_shells(rdf))
    charge, radius = _charge(pieces, runs, weights, physics, rdf, lagtime, r_max)
    representatives = pieces.compute(
        "representative frames",
        lambda: representative_frames(
            runs, parts, n_per_state=_REPRESENTATIVES, molecules=molecules
        ),
    )
    order = None
    if bond_order_neighbors is not None:
        order = pieces.compute(
            "bond order",
            lambda: state_bond_order(
                runs, weights, n_neighbors=bond_order_neighbors, lagtime=lagtime
            ),
        )
    profile = None
    if axis is not None:
        profile = pieces.compute(
            "profile", lambda: state_profile(runs, weights, axis=axis, lagtime=lagtime)
        )
    lagtimes = _msd_lagtimes(lagtime, max(map(len, segments)))
    msd = pieces.compute(
        "mean square displacements",
        lambda: transition_msd(runs, weights, lagtimes=lagtimes),
    )
    diffusion = pieces.compute(
        "diffusion", lambda: transition_diffusion(runs, weights, lagtime=lagtime)
    )
    agreement = None
    if labels is not None:
        agreement = pieces.compute("known labels", lambda: compare_labels(weights, labels))
    return Findings(
        trajectories=runs,
        state_probabilities=tuple(parts),
        lagtime=lagtime,
        validation=validation,
        crispness=crispness(segments),
        by_assignment=by_assignment,
        names=names,
        physics=physics,
        verdict=verdict,
        rdf=rdf,
        shells=shells,
        charge=charge,
        charge_radius=radius,
        representatives=representatives,
        bond_order=order,
        profile=profile,
        msd=msd,
        diffusion=diffusion,
        conductivity=_conductivity(pieces, runs, physics, diffusion, charge, radius),
        agreement=agreement,
        attention=attention,
        masking=masking,
        notes=tuple(pieces.notes),
    )


def _shown(rdf: StateRDF, names: Mapping[int, str]) -> StateRDF:
    """With names, and without selections that hold the target alone."""
    table = {element_name(number): name for number, name in names.items()}
    kept = np.flatnonzero(np.nansum(rdf.densities, axis=0) > 0.0)
    if not kept.size:  # not periodic: there are no densities
        kept = np.arange(len(rdf.selections))

    def part(interval: Interval) -> Interval:
        return Interval(interval.lower[:, kept], interval.upper[:, kept])

    return replace(
        rdf,
        rdf=rdf.rdf[:, kept],
        rdf_interval=part(rdf.rdf_interval),
        coordination=rdf.coordination[:, kept],
        coordination_interval=part(rdf.coordination_interval),
        densities=rdf.densities[:, kept],
        selections=tuple(table.get(rdf.selections[k], rdf.selections[k]) for k in kept),
    )


def _msd_lagtimes(lagtime: int, longest: int) -> list[int]:
    """Evenly spaced in the logarithm, from 1 to ten lag times or a quarter of the data."""
    last = max(lagtime, min(10 * lagtime, longest // 4))
    found = np.unique(np.rint(np.geomspace(1, last, _MSD_LAGTIMES)).astype(int))
    return [int(lag) for lag in found]


def _atom_charges(run: Trajectory, charges: Any, number: int) -> Float:
    given = charges
    if isinstance(charges, (list, tuple)) and np.ndim(charges[0]) == 1:
        given = charges[number]
    return atom_values([run], given, "charges")[0]


def _charge(
    pieces: _Pieces,
    runs: tuple[Trajectory, ...],
    parts: list[NDArray[Any]],
    physics: Physics,
    rdf: StateRDF | None,
    lagtime: int,
    r_max: float,
) -> tuple[ChargeIntegral | None, float | None]:
    """The charge around targets, and how far what moves with them reaches."""
    if physics.charges is None:
        return None, None
    charge = pieces.compute(
        "charge",
        lambda: charge_integral(runs, parts, charges=physics.charges, r_max=r_max, lagtime=lagtime),
    )
    if charge is None or physics.charge_radius is not None:
        return charge, physics.charge_radius
    return charge, pieces.compute("cluster radius", lambda: _shell_of_counter_ions(runs, physics))


def _shell_of_counter_ions(runs: tuple[Trajectory, ...], physics: Physics) -> float:
    """First minimum of g(r) of all atoms of the opposite charge, over all states, in angstrom."""
    values = _atom_charges(runs[0], physics.charges, 0)
    own = float(values[runs[0].targets.atoms].sum() / runs[0].n_targets)
    opposite = np.flatnonzero(values * own < 0.0)
    if own == 0.0 or not opposite.size:
        raise ValueError("no atoms have a charge opposite to that of the targets: give a radius")
    rdf = state_rdf(runs, None, selections={"opposite": opposite})
    radius = float(first_shells(rdf).minima[0, 0])
    if not np.isfinite(radius):
        raise ValueError(
            "g(r) of the atoms of opposite charge has no first minimum: give a charge radius"
        )
    return radius


def _conductivity(
    pieces: _Pieces,
    runs: tuple[Trajectory, ...],
    physics: Physics,
    diffusion: TransitionDiffusion | None,
    charge: ChargeIntegral | None,
    radius: float | None,
) -> TransitionConductivity | None:
    if diffusion is None or charge is None or radius is None or physics.temperature is None:
        return None
    temperature = physics.temperature
    ion = physics.ion_charge
    if ion is None:
        ion = float(charge.target_charges.mean())
    values, interval = charge.at(radius)
    errors = (interval.upper - interval.lower) / (2.0 * 1.959963984540054)
    return pieces.compute(
        "conductivity",
        lambda: transition_conductivity(
            diffusion,
            charges=values,
            charge_errors=errors if np.isfinite(errors).all() else None,
            temperature=temperature,
            ion_charge=ion,
        ),
    )
