"""Li in a frozen fcc lattice of sulfur: the toy system of the paper, with exact states.

Xie et al. 2019, Fig. 2: one lithium ion hops between the octahedral and the tetrahedral holes of
an fcc lattice of sulfur that does not move. The states are known by geometry: planes through
three neighbouring S atoms divide space into octahedra and tetrahedra without gaps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "LATTICE_CONSTANT",
    "LiInFccSulfur",
    "site_labels",
    "state_labels",
]

LATTICE_CONSTANT = 6.5  # angstrom

# Fractions of the cubic cell. S on the fcc points; holes halfway and at the quarters.
_SULFUR = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
_OCTAHEDRAL = np.array([[0.5, 0.5, 0.5], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]])
_TETRAHEDRAL = (
    np.stack(np.meshgrid(*[[0.25, 0.75]] * 3, indexing="ij"), axis=-1).reshape(-1, 3).astype(float)
)


@dataclass(frozen=True)
class LiInFccSulfur:
    """A recipe of the simulation; ``clean`` shows two states that are Markovian from 1 ps.

    Parameters
    ----------
    amplitude : float, eV
        Of the Born-Mayer repulsion between Li and S, A exp((sigma - r) / rho).
    damping : float, ps
        Of the Langevin thermostat on Li.
    temperature : float, K
    duration : float, ns
    frame_interval : float, ps
    seed : int
        Of the thermostat; from 1.

    Raises
    ------
    ValueError
        For a duration without a frame, a frame interval that is no multiple of the time step, or
        a seed below 1.
    """

    amplitude: float = 0.0058
    damping: float = 0.05
    temperature: float = 64.0
    duration: float = 60.0
    frame_interval: float = 0.1
    seed: int = 1

    timestep = 0.001  # ps
    hardness = 0.05  # rho, angstrom
    # Radius of the triangular window between two holes.
    contact = LATTICE_CONSTANT / np.sqrt(6.0)

    def __post_init__(self) -> None:
        steps = self.frame_interval / self.timestep
        if not (steps > 0.5 and abs(steps - round(steps)) < 1e-6 * steps):
            raise ValueError(
                f"frame_interval must be a multiple of the time step, {self.timestep} ps, "
                f"received {self.frame_interval}"
            )
        if self.n_frames < 1:
            raise ValueError(
                f"duration must hold at least one frame of {self.frame_interval} ps, received "
                f"{self.duration} ns"
            )
        if not 1 <= self.seed <= 900_000_000:
            raise ValueError(f"seed must be between 1 and 900,000,000, received {self.seed}")

    @property
    def steps_per_frame(self) -> int:
        return round(self.frame_interval / self.timestep)

    @property
    def n_frames(self) -> int:
        """Frames after the first, which is the start."""
        return int(self.duration * 1000.0 / self.frame_interval + 1e-6)

    @property
    def n_steps(self) -> int:
        return self.n_frames * self.steps_per_frame

    def input_script(self) -> str:
        """LAMMPS commands that set the system up: atom 1 is Li, atoms 2 to 5 are S."""
        a = LATTICE_CONSTANT
        atoms = "\n".join(
            f"create_atoms {kind} single {x * a} {y * a} {z * a} units box"
            for kind, (x, y, z) in [(1, _OCTAHEDRAL[0]), *((2, site) for site in _SULFUR)]
        )
        return f"""\
units metal
atom_style atomic
boundary p p p
region cell block 0 {a} 0 {a} 0 {a} units box
create_box 2 cell
{atoms}
mass 1 6.94
mass 2 32.06
group li type 1
group sulfur type 2
pair_style born 5.0
pair_modify shift yes
pair_coeff * * 0.0 {self.hardness} {self.contact} 0.0 0.0
pair_coeff 1 2 {self.amplitude} {self.hardness} {self.contact} 0.0 0.0
neigh_modify exclude group sulfur sulfur exclude group li li
velocity all set 0.0 0.0 0.0
timestep {self.timestep}
fix move li nve
fix bath li langevin {self.temperature} {self.temperature} {self.damping} {self.seed}
thermo 1000000
"""


def site_labels(positions: ArrayLike) -> NDArray[np.int8]:
    """Which of the 12 holes a point of the cubic cell lies in.

    A tetrahedral hole ends at the planes of its S3 triangles, a sqrt(3) / 12 = 0.938 angstrom
    from its centre; all else is octahedral.

    Parameters
    ----------
    positions : (..., 3) array, angstrom, wrapped or not.

    Returns
    -------
    (...) array of int8
        0 to 3: octahedral; 4 to 11: tetrahedral.
    """
    fractions = np.asarray(positions, dtype=np.float64) / LATTICE_CONSTANT
    fractions = fractions - np.floor(fractions)
    octant = np.minimum((fractions * 2.0).astype(int), 1)
    from_center = fractions - (0.25 + 0.5 * octant)
    tetrahedral = np.ones(fractions.shape[:-1], dtype=bool)
    # The four S of an octant stand at alternate corners. The face opposite to a corner has its
    # normal away from it: at most 1/12 of sqrt(3) a along -corner.
    parity = octant.sum(axis=-1) % 2
    corners = np.array([[-1, -1, -1], [1, 1, -1], [1, -1, 1], [-1, 1, 1]], dtype=np.float64)
    sign = np.where(parity == 0, 1.0, -1.0)[..., None]
    for corner in corners:
        distance = -(sign * corner * from_center).sum(axis=-1) / np.sqrt(3.0)
        tetrahedral &= distance < np.sqrt(3.0) / 12.0
    difference = fractions[..., None, :] - _OCTAHEDRAL
    difference -= np.round(difference)
    octahedral_site = (difference**2).sum(axis=-1).argmin(axis=-1)
    tetrahedral_site = 4 + octant[..., 0] * 4 + octant[..., 1] * 2 + octant[..., 2]
    sites: NDArray[np.int8] = np.where(tetrahedral, tetrahedral_site, octahedral_site).astype(
        np.int8
    )
    return sites


def state_labels(positions: ArrayLike) -> NDArray[np.int8]:
    """The true state of a point: 0 octahedral, 1 tetrahedral. Arguments as :func:`site_labels`."""
    return (site_labels(positions) >= 4).astype(np.int8)
