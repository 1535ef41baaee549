"""A film of water with vapour on both sides: rigid SPC/E molecules and their two surfaces.

Molecules, not atoms, are what one asks about here: which of them are at a surface, and for how
long. The model is that of Berendsen, Grigera and Straatsma, J. Phys. Chem. 91, 6269 (1987).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kgdyn.toys._recipe_checks import (
    check_between,
    check_length,
    check_seed,
    frames_of,
    seeds_of,
    steps_of,
)
from kgdyn.toys.simulation_stage import SimulationStage

__all__ = ["WaterSlab"]

_BOND = 1.0  # angstrom
_ANGLE = 109.47  # degrees
_CHARGE = 0.4238  # e, of H
_DEPTH, _SIZE = 0.1553, 3.166  # kcal/mol and angstrom, O-O
_CUTOFF = 9.0  # angstrom
_SPACING = 3.104  # angstrom, between molecules of liquid water on a cubic lattice


@dataclass(frozen=True)
class WaterSlab:
    """A recipe of the simulation; by default 216 molecules, a film of 18.6 angstrom along z.

    Atoms come molecule by molecule: O, H, H.

    Parameters
    ----------
    molecules : (3,) tuple of int
        Along x, y and z, of the lattice that it starts from.
    height : float, angstrom
        Of the cell along z, the vapour included.
    temperature : float, K
    thermostat_damping : float, ps
    settling_time : float, ps
        Before the production run, in which the lattice melts and the surfaces form.
    duration : float, ns
        Of the production run.
    frame_interval : float, ps
    seed : int
        Of the orientations at the start and of the velocities; from 1.

    Raises
    ------
    ValueError
        For a number outside of its range (naming it), a film narrower than two cut-offs, a cell
        without room for vapour, a duration without a frame, or a frame interval that is no
        multiple of the time step.
    """

    molecules: tuple[int, int, int] = (6, 6, 6)
    height: float = 56.0
    temperature: float = 300.0
    thermostat_damping: float = 0.1
    settling_time: float = 40.0
    duration: float = 0.3
    frame_interval: float = 0.5
    seed: int = 1

    name = "water_slab"
    timestep = 0.002  # ps
    elements = ("O", "H")  # of the LAMMPS types

    def __post_init__(self) -> None:
        if len(self.molecules) != 3 or not all(
            isinstance(count, int) and count >= 1 for count in self.molecules
        ):
            raise ValueError(f"molecules must be three integers from 1, received {self.molecules}")
        for name, unit in (("height", "angstrom"), ("temperature", "K")):
            check_between(name, getattr(self, name), 0.0, unit)
        check_between("thermostat_damping", self.thermostat_damping, 0.0, "ps")
        check_between("settling_time", self.settling_time, 0.0, "ps", or_equal=True)
        *across, thickness = self.lengths
        if min(across) < 2.0 * _CUTOFF:
            raise ValueError(
                f"molecules must make a film at least {2.0 * _CUTOFF:g} angstrom wide, two "
                f"cut-offs: 6 by 6 do, received {self.molecules}"
            )
        if self.height < thickness + _CUTOFF:
            raise ValueError(
                f"height must leave a cut-off of room beside the film, at least "
                f"{thickness + _CUTOFF:g} angstrom, received {self.height}"
            )
        check_length(self.duration, self.frame_interval, self.timestep)
        check_seed(self.seed)

    @property
    def n_molecules(self) -> int:
        return int(np.prod(self.molecules))

    @property
    def lengths(self) -> tuple[float, float, float]:
        """Of the film at the start, angstrom; the cell is as wide, and higher."""
        x, y, z = (_SPACING * count for count in self.molecules)
        return x, y, z

    @property
    def steps_per_frame(self) -> int:
        return round(self.frame_interval / self.timestep)

    @property
    def n_frames(self) -> int:
        """Frames after the first, which is the start of the production run."""
        return frames_of(self.duration, self.frame_interval)

    def start(self) -> NDArray[np.float64]:
        """(n_molecules, 3, 3) angstrom: O, H, H of each, turned at random; the film is centred."""
        generator = np.random.default_rng(self.seed)
        grids = np.meshgrid(*(np.arange(count) + 0.5 for count in self.molecules), indexing="ij")
        oxygen = _SPACING * np.stack(grids, axis=-1).reshape(-1, 3)
        oxygen[:, 2] += 0.5 * (self.height - self.lengths[2])
        first, second = np.moveaxis(generator.normal(size=(self.n_molecules, 2, 3)), 1, 0)
        first /= np.linalg.norm(first, axis=1, keepdims=True)
        second -= (second * first).sum(axis=1, keepdims=True) * first
        second /= np.linalg.norm(second, axis=1, keepdims=True)
        angle = np.radians(_ANGLE)
        hydrogens = _BOND * np.stack(
            [first, np.cos(angle) * first + np.sin(angle) * second], axis=1
        )
        return np.concatenate([oxygen[:, None], oxygen[:, None] + hydrogens], axis=1)

    def input_script(self) -> str:
        """LAMMPS commands that place the molecules, and the potential."""
        width, depth, _ = self.lengths
        atoms, molecules, bonds = [], [], []
        for number, places in enumerate(self.start()):
            oxygen = 3 * number + 1
            for kind, (x, y, z) in zip((1, 2, 2), places, strict=True):
                atoms.append(f"create_atoms {kind} single {x:.4f} {y:.4f} {z:.4f} units box")
            molecules.append(f"set atom {oxygen}*{oxygen + 2} mol {number + 1}")
            # The list of bonded neighbours is made once, with the last of them.
            last = "yes" if number == self.n_molecules - 1 else "no"
            bonds += [
                f"create_bonds single/bond 1 {oxygen} {oxygen + 1} special no",
                f"create_bonds single/bond 1 {oxygen} {oxygen + 2} special no",
                f"create_bonds single/angle 1 {oxygen + 1} {oxygen} {oxygen + 2} special {last}",
            ]
        lines = "\n".join([*atoms, *molecules, *bonds])
        return f"""\
units real
atom_style full
atom_modify map array
boundary p p p
region cell block 0 {width} 0 {depth} 0 {self.height} units box
create_box 2 cell bond/types 1 angle/types 1 extra/bond/per/atom 2 extra/angle/per/atom 1 \
extra/special/per/atom 2
mass 1 15.9994
mass 2 1.008
special_bonds lj/coul 0.0 0.0 0.0
pair_style lj/cut/coul/long {_CUTOFF}
pair_coeff * * 0.0 1.0
pair_coeff 1 1 {_DEPTH} {_SIZE}
kspace_style pppm 1.0e-4
bond_style harmonic
bond_coeff 1 600.0 {_BOND}
angle_style harmonic
angle_coeff 1 75.0 {_ANGLE}
neighbor 2.0 bin
neigh_modify every 2 delay 0 check yes
{lines}
set type 1 charge {-2.0 * _CHARGE}
set type 2 charge {_CHARGE}
timestep {1000.0 * self.timestep:g}
thermo 1000000
"""

    def preparation(self) -> tuple[SimulationStage, ...]:
        """Pull molecules apart while they bend, then make them rigid and let the film settle."""
        (velocity_seed,) = seeds_of(self.seed, 1)
        cold, damping = self.temperature, 1000.0 * self.thermostat_damping
        return (
            SimulationStage("minimization", "minimize 1.0e-4 1.0e-4 100 1000\n", 0),
            SimulationStage(
                "settling",
                "reset_timestep 0\n"
                "fix rigid all shake 1.0e-4 20 0 b 1 a 1\n"
                f"velocity all create {cold} {velocity_seed}\n"
                f"fix move all nvt temp {cold} {cold} {damping:g}\n"
                # The film stays where it is: the sum over the mesh does not hold it.
                "fix still all momentum 100 linear 0 0 1\n",
                steps_of(self.settling_time, self.timestep),
            ),
        )

    def production(self) -> SimulationStage:
        """At constant temperature and volume; the thermostat goes on."""
        return SimulationStage("production", "", self.n_frames * self.steps_per_frame)
