"""Crystal and melt of silicon side by side, in equilibrium: the interface of Stillinger-Weber.

The kind of system of Xie et al. 2019, Fig. 3, with one element: a crystal whose middle was melted,
with {110} faces against the melt along z. At constant enthalpy coexistence regulates its own
temperature: freezing gives off heat and stops itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kgdyn.toys._recipe_checks import (
    check_between,
    check_length,
    check_seed,
    frames_of,
    seeds_of,
    steps_of,
)
from kgdyn.toys.simulation_stage import SimulationStage

__all__ = ["SiliconInterface"]

_ATOMS_PER_CELL = 16  # of the box a, sqrt(2) a, sqrt(2) a, twice the cubic cell


@dataclass(frozen=True)
class SiliconInterface:
    """A recipe of the simulation; by default 576 atoms, 16.4 x 15.5 angstrom, 46 along z.

    Parameters
    ----------
    cells : (3,) tuple of int
        Repeats along x (001), y (1-10) and z (110), each of a, sqrt(2) a and sqrt(2) a.
    lattice_constant : float, angstrom
        a; x and y keep it, z follows the pressure.
    temperature : float, K
        At which crystal and melt are prepared; Stillinger-Weber silicon melts at 1691 K.
    melting_temperature : float, K
        That the middle is melted at.
    undercooling_temperature : float, K
        That the melt is cooled to before the crystal may move.
    melted : (2,) tuple of float
        Where along z the crystal is melted, as fractions of the box.
    melting_time, cooling_time, settling_time : float, ps
        Melting at constant temperature; cooling; both phases at ``temperature`` and no pressure
        along z.
    duration : float, ns
        Of the production run, at constant enthalpy.
    frame_interval : float, ps
    seed : int
        Of the velocities; from 1.

    Raises
    ------
    ValueError
        For a number outside of its range (naming it), a duration without a frame, or a frame
        interval that is no multiple of the time step.
    """

    cells: tuple[int, int, int] = (3, 2, 6)
    lattice_constant: float = 5.4655
    temperature: float = 1690.0
    melting_temperature: float = 4000.0
    undercooling_temperature: float = 1800.0
    melted: tuple[float, float] = (0.25, 0.75)
    melting_time: float = 7.5
    cooling_time: float = 10.0
    settling_time: float = 25.0
    duration: float = 25.0
    frame_interval: float = 5.0
    seed: int = 1

    name = "silicon_interface"
    timestep = 0.0025  # ps
    thermostat_damping = 0.1  # ps
    barostat_damping = 1.0  # ps
    elements = ("Si",)  # of the LAMMPS types

    def __post_init__(self) -> None:
        if len(self.cells) != 3 or not all(
            isinstance(count, int) and count >= 1 for count in self.cells
        ):
            raise ValueError(f"cells must be three integers from 1, received {self.cells}")
        for name, unit in (
            ("lattice_constant", "angstrom"),
            ("temperature", "K"),
            ("melting_temperature", "K"),
            ("undercooling_temperature", "K"),
        ):
            check_between(name, getattr(self, name), 0.0, unit)
        for name in ("melting_time", "cooling_time", "settling_time"):
            check_between(name, getattr(self, name), 0.0, "ps", or_equal=True)
        if len(self.melted) != 2 or not 0.0 <= self.melted[0] < self.melted[1] <= 1.0:
            raise ValueError(
                f"melted must be two ascending fractions from 0 to 1, received {self.melted}"
            )
        check_length(self.duration, self.frame_interval, self.timestep)
        check_seed(self.seed)

    @property
    def n_atoms(self) -> int:
        return _ATOMS_PER_CELL * int(np.prod(self.cells))

    @property
    def box_lengths(self) -> tuple[float, float, float]:
        """Of the crystal before it is melted, angstrom."""
        x, y, z = self.cells
        diagonal = np.sqrt(2.0) * self.lattice_constant
        return x * self.lattice_constant, float(y * diagonal), float(z * diagonal)

    @property
    def steps_per_frame(self) -> int:
        return round(self.frame_interval / self.timestep)

    @property
    def n_frames(self) -> int:
        """Frames after the first, which is the start of the production run."""
        return frames_of(self.duration, self.frame_interval)

    def input_script(self) -> str:
        """LAMMPS commands that set the crystal up; the potential is the ``Si.sw`` of LAMMPS."""
        x, y, z = self.cells
        low, high = (fraction * self.box_lengths[2] for fraction in self.melted)
        return f"""\
units metal
atom_style atomic
boundary p p p
lattice diamond {self.lattice_constant} orient x 0 0 1 orient y 1 -1 0 orient z 1 1 0
region cell block 0 {x} 0 {y} 0 {z}
create_box 1 cell
create_atoms 1 box
mass 1 28.0855
region middle block INF INF INF INF {low} {high} units box
group melt region middle
group crystal subtract all melt
pair_style sw
pair_coeff * * Si.sw Si
timestep {self.timestep}
thermo 1000000
"""

    def preparation(self) -> tuple[SimulationStage, ...]:
        """Melt the middle beside a crystal at rest, cool it, and settle both at no pressure."""
        melting_seed, crystal_seed = seeds_of(self.seed, 2)
        hot, cool, both = self.melting_temperature, self.undercooling_temperature, self.temperature
        thermal, slow = self.thermostat_damping, self.barostat_damping
        # The crystal's atoms start in their places: half of their heat goes into vibrations.
        return (
            SimulationStage(
                "melting",
                f"velocity melt create {hot} {melting_seed}\n"
                f"fix bath melt nvt temp {hot} {hot} {thermal}\n",
                steps_of(self.melting_time, self.timestep),
            ),
            SimulationStage(
                "cooling",
                f"unfix bath\nfix bath melt nvt temp {hot} {cool} {thermal}\n",
                steps_of(self.cooling_time, self.timestep),
            ),
            SimulationStage(
                "settling",
                f"unfix bath\nvelocity crystal create {2.0 * both} {crystal_seed}\n"
                f"velocity all zero linear\n"
                f"fix bath all npt temp {both} {both} {thermal} z 0 0 {slow}\n",
                steps_of(self.settling_time, self.timestep),
            ),
        )

    def production(self) -> SimulationStage:
        """At constant enthalpy, the box free along z."""
        return SimulationStage(
            "production",
            "unfix bath\nvelocity all zero linear\n"
            f"fix move all nph z 0 0 {self.barostat_damping}\n",
            self.n_frames * self.steps_per_frame,
        )
