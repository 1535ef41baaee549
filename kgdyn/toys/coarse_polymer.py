"""A coarse-grained polymer electrolyte: chains of ethylene oxide beads, Li+ and TFSI-.

The kind of system of Xie et al. 2019, Fig. 4 (PEO and LiTFSI, one Li to twenty EO), with one bead
for a monomer and one for an anion. Li is bound by several EO at once and by anions, and hops when
these let go.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any

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

__all__ = ["CoarsePolymerElectrolyte", "LennardJones"]

_EO, _LI, _TFSI = 1, 2, 3  # LAMMPS types
_PUSH = 60.0  # kcal/mol, of the soft potential at its end
_COULOMB_CUTOFF = 12.0  # angstrom
_COULOMB_DAMPING = 0.15  # 1/angstrom


@dataclass(frozen=True)
class LennardJones:
    """A Lennard-Jones potential between two kinds of beads, shifted to zero at its cut-off.

    Parameters
    ----------
    depth : float, kcal/mol
    size : float, angstrom
    cutoff : float or None, angstrom
        None: at the minimum, 2^(1/6) size, which leaves the repulsion alone.
    """

    depth: float
    size: float
    cutoff: float | None = None

    def __post_init__(self) -> None:
        check_between("depth", self.depth, 0.0, "kcal/mol", or_equal=True)
        check_between("size", self.size, 0.0, "angstrom")
        if self.cutoff is not None:
            check_between("cutoff", self.cutoff, 0.0, "angstrom")

    @property
    def minimum(self) -> float:
        """Distance of the lowest energy, angstrom."""
        return float(2.0 ** (1.0 / 6.0) * self.size)

    @property
    def range(self) -> float:
        """The cut-off in use, angstrom."""
        return self.minimum if self.cutoff is None else self.cutoff


@dataclass(frozen=True)
class CoarsePolymerElectrolyte:
    """A recipe of the simulation; by default 10 chains of 50 beads and 25 LiTFSI.

    Beads come in this order: the chains, Li, TFSI.

    Parameters
    ----------
    n_chains, chain_length, n_salt : int
    box_length : float, angstrom
        Of the cube.
    temperature, annealing_temperature : float, K
    dielectric : float
        That divides the Coulomb energy of the ions.
    damping : float, ps
        Of the Langevin thermostat.
    bond_strength : float, kcal/mol/angstrom^2
        K of K (r - length)^2.
    bond_length : float, angstrom
    eo_eo, li_li, tfsi_tfsi, li_eo, eo_tfsi, li_tfsi : LennardJones
        Beside the Coulomb energy.
    masses : (3,) tuple of float, g/mol
        Of EO, Li, TFSI.
    push_off_time : float, ps
        Of a soft potential that grows from nothing and pulls overlapping beads apart, and again of
        the full one with limited steps.
    annealing_time, cooling_time, equilibration_time : float, ps
        At the annealing temperature; from there to ``temperature``; and there.
    duration : float, ns
        Of the production run.
    frame_interval : float, ps
    seed : int
        Of the start and the thermostat; from 1.

    Raises
    ------
    ValueError
        For a number outside of its range (naming it), a cell smaller than two cut-offs, a duration
        without a frame, or a frame interval that is no multiple of the time step.
    """

    n_chains: int = 10
    chain_length: int = 50
    n_salt: int = 25
    box_length: float = 33.8
    temperature: float = 340.0
    annealing_temperature: float = 700.0
    dielectric: float = 5.0
    damping: float = 0.1
    bond_strength: float = 20.0
    bond_length: float = 3.6
    eo_eo: LennardJones = LennardJones(0.45, 4.0)
    li_li: LennardJones = LennardJones(0.10, 2.5)
    tfsi_tfsi: LennardJones = LennardJones(0.45, 5.5)
    li_eo: LennardJones = LennardJones(6.0, 2.35, 6.0)
    eo_tfsi: LennardJones = LennardJones(0.40, 4.7, 7.0)
    li_tfsi: LennardJones = LennardJones(0.30, 3.6)
    masses: tuple[float, float, float] = (44.05, 6.94, 280.15)
    push_off_time: float = 20.0
    annealing_time: float = 200.0
    cooling_time: float = 200.0
    equilibration_time: float = 400.0
    duration: float = 80.0
    frame_interval: float = 20.0
    seed: int = 1

    name = "coarse_polymer"
    timestep = 0.004  # ps
    elements = ("O", "Li", "N")  # that stand for the LAMMPS types 1, 2, 3

    def __post_init__(self) -> None:
        for name in ("n_chains", "chain_length", "n_salt"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be an integer from 1, received {value!r}")
        for name, unit in (
            ("box_length", "angstrom"),
            ("temperature", "K"),
            ("annealing_temperature", "K"),
            ("dielectric", ""),
            ("damping", "ps"),
            ("bond_strength", "kcal/mol/angstrom^2"),
            ("bond_length", "angstrom"),
        ):
            check_between(name, getattr(self, name), 0.0, unit)
        for name in ("push_off_time", "annealing_time", "cooling_time", "equilibration_time"):
            check_between(name, getattr(self, name), 0.0, "ps", or_equal=True)
        if len(self.masses) != 3 or not all(np.isfinite(m) and m > 0.0 for m in self.masses):
            raise ValueError(f"masses must be three positive numbers, received {self.masses}")
        longest = max(_COULOMB_CUTOFF, *(pair.range for pair in self._pairs().values()))
        if self.box_length < 2.0 * longest:
            raise ValueError(
                f"box_length must be at least twice the longest cut-off, {2.0 * longest:g} "
                f"angstrom, received {self.box_length}"
            )
        check_length(self.duration, self.frame_interval, self.timestep)
        check_seed(self.seed)

    @classmethod
    def long_lived(cls, **changes: Any) -> CoarsePolymerElectrolyte:
        """The same electrolyte with surroundings that live long enough to be states.

        In the default one an anion stays at a Li for some 50 ps, and does not stand apart from
        those further out. Here the two attract each other at short range as well (10 kcal/mol at
        3.4 angstrom), which EO balances (12 instead of 6 kcal/mol) and a dielectric constant of 6:
        the first shell of anions ends at 4.9 angstrom in a gap, and a contact lives for 0.5 to
        1 ns. Equilibration is longer accordingly.

        Parameters
        ----------
        **changes
            Other arguments of the class.
        """
        chosen: dict[str, Any] = {
            "li_eo": LennardJones(12.0, 2.35, 6.0),
            "li_tfsi": LennardJones(10.0, 3.0, 6.5),
            "dielectric": 6.0,
            "annealing_time": 400.0,
            "cooling_time": 400.0,
            "equilibration_time": 2000.0,
        }
        return cls(**{**chosen, **changes})

    @property
    def n_beads(self) -> int:
        """All of them, ions included."""
        return self.n_chains * self.chain_length + 2 * self.n_salt

    @property
    def bead_types(self) -> NDArray[np.int64]:
        """(n_beads,) LAMMPS types: 1 EO, 2 Li, 3 TFSI."""
        sizes = [self.n_chains * self.chain_length, self.n_salt, self.n_salt]
        return np.repeat([_EO, _LI, _TFSI], sizes)

    @property
    def bead_names(self) -> NDArray[np.str_]:
        """(n_beads,) "EO", "Li" or "TFSI"."""
        return np.array(["EO", "Li", "TFSI"])[self.bead_types - 1]

    @property
    def charges(self) -> NDArray[np.float64]:
        """(n_beads,) in units of e."""
        return np.array([0.0, 1.0, -1.0])[self.bead_types - 1]

    @property
    def molecules(self) -> NDArray[np.int64]:
        """(n_beads,) from 1: the chains, then each ion."""
        chains = np.repeat(np.arange(1, self.n_chains + 1), self.chain_length)
        return np.concatenate([chains, self.n_chains + 1 + np.arange(2 * self.n_salt)])

    @property
    def bonds(self) -> NDArray[np.int64]:
        """(n_bonds, 2) beads, from 0."""
        inside = np.arange(self.n_chains * self.chain_length).reshape(self.n_chains, -1)
        return np.stack([inside[:, :-1].ravel(), inside[:, 1:].ravel()], axis=1)

    @property
    def steps_per_frame(self) -> int:
        return round(self.frame_interval / self.timestep)

    @property
    def n_frames(self) -> int:
        """Frames after the first, which is the start of the production run."""
        return frames_of(self.duration, self.frame_interval)

    def start(self) -> NDArray[np.float64]:
        """(n_beads, 3) angstrom, not wrapped: chains walk at random, ions stand anywhere."""
        generator = np.random.default_rng(self.seed)
        steps = generator.normal(size=(self.n_chains, self.chain_length, 3))
        steps *= self.bond_length / np.linalg.norm(steps, axis=-1, keepdims=True)
        steps[:, 0] = self.box_length * generator.random((self.n_chains, 3))
        ions = self.box_length * generator.random((2 * self.n_salt, 3))
        return np.concatenate([np.cumsum(steps, axis=1).reshape(-1, 3), ions])

    def input_script(self) -> str:
        """LAMMPS commands that place the beads; the potential comes with the stages."""
        length = self.box_length
        unwrapped = np.round(self.start(), 3)
        images = np.floor(unwrapped / length).astype(int)
        inside = unwrapped - images * length
        places = (
            f"create_atoms {kind} single {x:.4f} {y:.4f} {z:.4f} units box"
            for kind, (x, y, z) in zip(self.bead_types, inside, strict=True)
        )
        outside = (
            f"set atom {bead + 1} image {images[bead, 0]} {images[bead, 1]} {images[bead, 2]}"
            for bead in np.flatnonzero(images.any(axis=1))
        )
        molecules = (
            f"set atom {members[0] + 1}*{members[-1] + 1} mol {number}"
            for number in range(1, self.molecules[-1] + 1)
            for members in [np.flatnonzero(self.molecules == number)]
        )
        # The list of bonded neighbours is made once, with the last bond.
        last = len(self.bonds) - 1
        bonds = (
            f"create_bonds single/bond 1 {a + 1} {b + 1} special {'yes' if i == last else 'no'}"
            for i, (a, b) in enumerate(self.bonds)
        )
        mass_of = "\n".join(f"mass {kind} {mass}" for kind, mass in enumerate(self.masses, 1))
        return f"""\
units real
atom_style full
atom_modify map array
boundary p p p
region cell block 0 {length} 0 {length} 0 {length} units box
create_box 3 cell bond/types 1 extra/bond/per/atom 2 extra/special/per/atom 6
{mass_of}
special_bonds lj/coul 0.0 1.0 1.0
bond_style harmonic
bond_coeff 1 {self.bond_strength} {self.bond_length}
{chr(10).join(chain(places, outside, molecules, bonds))}
set type {_EO} charge 0.0
set type {_LI} charge 1.0
set type {_TFSI} charge -1.0
timestep {1000.0 * self.timestep:g}
thermo 1000000
"""

    def preparation(self) -> tuple[SimulationStage, ...]:
        """Pull the beads apart, anneal, cool, and equilibrate."""
        velocity_seed, *seeds = seeds_of(self.seed, 6)
        hot, cold = self.annealing_temperature, self.temperature
        pushes = "".join(
            f"pair_coeff {a} {b} 0.0 {pair.minimum}\n" for (a, b), pair in self._pairs().items()
        )
        softest = max(pair.minimum for pair in self._pairs().values())
        return (
            SimulationStage(
                "push-off",
                f"pair_style soft {softest}\n{pushes}"
                f"variable strength equal ramp(0.0,{_PUSH})\n"
                "fix grow all adapt 1 pair soft a * * v_strength\n"
                f"velocity all create {hot} {velocity_seed}\n"
                "fix move all nve/limit 0.1\n" + self._bath(hot, hot, seeds[0]),
                steps_of(self.push_off_time, self.timestep),
            ),
            SimulationStage(
                "full potential",
                f"unfix bath\nunfix grow\n{self._potential()}" + self._bath(hot, hot, seeds[1]),
                steps_of(self.push_off_time, self.timestep),
            ),
            SimulationStage(
                "annealing",
                "unfix bath\nunfix move\nfix move all nve\n" + self._bath(hot, hot, seeds[2]),
                steps_of(self.annealing_time, self.timestep),
            ),
            SimulationStage(
                "cooling",
                "unfix bath\n" + self._bath(hot, cold, seeds[3]),
                steps_of(self.cooling_time, self.timestep),
            ),
            SimulationStage(
                "equilibration",
                "unfix bath\n" + self._bath(cold, cold, seeds[4]),
                steps_of(self.equilibration_time, self.timestep),
            ),
        )

    def production(self) -> SimulationStage:
        """At constant temperature and volume; the thermostat of the equilibration goes on."""
        return SimulationStage("production", "", self.n_frames * self.steps_per_frame)

    def _bath(self, start: float, stop: float, seed: int) -> str:
        return f"fix bath all langevin {start} {stop} {1000.0 * self.damping:g} {seed}\n"

    def _potential(self) -> str:
        pairs = "".join(
            f"pair_coeff {a} {b} lj/cut {pair.depth} {pair.size} {pair.range}\n"
            for (a, b), pair in self._pairs().items()
        )
        ions = "".join(f"pair_coeff {pair} coul/dsf\n" for pair in ("2 2", "2 3", "3 3"))
        longest = max(pair.range for pair in self._pairs().values())
        # Only ions reach far: neighbours by type are found a third faster.
        return (
            "neighbor 2.0 multi\ncomm_modify mode multi\n"
            f"pair_style hybrid/overlay lj/cut {longest} "
            f"coul/dsf {_COULOMB_DAMPING} {_COULOMB_CUTOFF}\n"
            f"{pairs}{ions}pair_modify shift yes\ndielectric {self.dielectric}\n"
        )

    def _pairs(self) -> dict[tuple[int, int], LennardJones]:
        return {
            (_EO, _EO): self.eo_eo,
            (_LI, _LI): self.li_li,
            (_TFSI, _TFSI): self.tfsi_tfsi,
            (_EO, _LI): self.li_eo,
            (_EO, _TFSI): self.eo_tfsi,
            (_LI, _TFSI): self.li_tfsi,
        }
