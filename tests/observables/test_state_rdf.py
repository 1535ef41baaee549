"""Radial distribution functions: ideal gas, a slow loop, MDAnalysis, intervals, messages."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kgdyn.frames import TargetGroups
from kgdyn.koopman import Resampling
from kgdyn.observables.state_rdf import state_rdf
from kgdyn.trajectories import Trajectory, trajectory_from_arrays

Float = NDArray[np.float64]
CELLS = {
    "orthogonal": np.diag([9.0, 10.0, 12.0]),
    "triclinic": np.array([[9.0, 0.0, 0.0], [4.0, 8.0, 0.0], [-3.0, 3.5, 9.0]]),
}
BLOCK = Resampling(block_length=1)

pytestmark = pytest.mark.filterwarnings("ignore:intervals rest on only")


def gas(
    rng: np.random.Generator, cell: Float, n_frames: int = 40, n_atoms: int = 90, n_targets: int = 6
) -> Trajectory:
    """Independent frames of atoms without order: oxygen, and the targets, which are lithium."""
    positions = rng.random((n_frames, n_atoms, 3)) @ cell
    species = np.where(np.arange(n_atoms) < n_targets, 3, 8)
    return trajectory_from_arrays(
        positions, cell, species, frame_interval=1.0, targets=range(n_targets)
    )


def any_states(rng: np.random.Generator, trajectory: Trajectory, n_states: int = 3) -> Float:
    return rng.dirichlet(np.ones(n_states), (trajectory.n_frames, trajectory.n_targets))


def slow_rdf(
    trajectory: Trajectory, states: Float, lists: list[list[int]], r_max: float, n_bins: int
) -> tuple[Float, Float]:
    """g and running coordination, one distance after the other, all images up to +-4."""
    n_states, edges = states.shape[2], np.linspace(0.0, r_max, n_bins + 1)
    counts = np.zeros((n_states, len(lists), n_bins))
    ideal = np.zeros((n_states, len(lists)))
    shifts = list(itertools.product(range(-4, 5), repeat=3))
    for frame, (positions, cell) in enumerate(
        zip(trajectory.positions, trajectory.cells, strict=True)
    ):
        copies = np.array(shifts) @ cell
        positions = positions - np.floor(positions @ np.linalg.inv(cell)) @ cell
        for target in range(trajectory.n_targets):
            low, high = trajectory.targets.offsets[target : target + 2]
            own = trajectory.targets.atoms[low:high]
            whole = []
            for atom in own:
                vectors = positions[atom] + copies - positions[own[0]]
                whole.append(positions[own[0]] + vectors[np.argmin((vectors**2).sum(axis=1))])
            centre = np.mean(whole, axis=0)
            for a, atoms in enumerate(lists):
                others = len(set(atoms) - set(own.tolist()))
                volume = abs(np.linalg.det(cell))
                ideal[:, a] += states[frame, target] * others / volume
                for atom in atoms:
                    places = positions[atom] + copies
                    if atom in own:
                        itself = whole[own.tolist().index(atom)]
                        places = places[np.linalg.norm(places - itself, axis=1) > 1e-6]
                    distances = np.linalg.norm(places - centre, axis=1)
                    found = np.histogram(distances[distances < r_max], edges)[0]
                    counts[:, a] += states[frame, target, :, None] * found
    shells = 4.0 / 3.0 * np.pi * np.diff(edges**3)
    weights = states.sum(axis=(0, 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        rdf = counts / ideal[:, :, None] / shells
    return rdf, counts.cumsum(axis=-1) / weights[:, None, None]


# --- exact answers ------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", CELLS)
def test_an_ideal_gas_has_g_of_one(shape: str, rng: np.random.Generator) -> None:
    """Also beyond the whole cell, where only all images together fill a shell."""
    trajectory = gas(rng, CELLS[shape], n_frames=100)
    found = state_rdf(trajectory, any_states(rng, trajectory), r_max=20.0, n_bins=20)
    oxygen = found.of("O")
    assert np.abs(oxygen[:, 4:] - 1.0).max() < 0.02
    assert np.abs(oxygen - 1.0)[:, 1:4].max() < 0.25
    inside = found.rdf_interval.contains(np.ones(1))[:, 1]
    assert inside.mean() > 0.85
    assert found.densities[:, 1] == pytest.approx(84 / np.linalg.det(CELLS[shape]), rel=1e-12)
    volume = 4.0 / 3.0 * np.pi * found.edges[-1] ** 3
    assert found.coordination[:, 1, -1] == pytest.approx(volume * found.densities[:, 1], rel=0.005)


def test_targets_among_themselves_have_g_of_one(rng: np.random.Generator) -> None:
    """The target itself is neither counted nor part of the density."""
    cell = CELLS["triclinic"]
    trajectory = gas(rng, cell, n_frames=400, n_atoms=6)
    found = state_rdf(trajectory, r_max=8.0, n_bins=4, resampling=Resampling(20))
    assert found.densities[0, 0] == pytest.approx(5 / np.linalg.det(cell), rel=1e-12)
    assert found.of("Li")[0] == pytest.approx(np.ones(4), abs=0.05)


def test_an_ideal_gas_that_breathes_has_g_of_one(rng: np.random.Generator) -> None:
    """Cells that change a lot, and a state that prefers small ones."""
    scale = rng.uniform(0.7, 1.3, 400)
    cells = CELLS["triclinic"] * scale[:, None, None]
    positions = rng.random((400, 60, 3)) @ cells
    species = np.where(np.arange(60) < 4, 3, 8)
    trajectory = trajectory_from_arrays(
        positions, cells, species, frame_interval=1.0, targets=range(4)
    )
    states = np.zeros((400, 4, 2))
    states[..., 0] = (1.3 - scale[:, None]) / 0.6
    states[..., 1] = 1.0 - states[..., 0]
    found = state_rdf(
        trajectory, states, selections=["O"], r_max=10.0, n_bins=5, resampling=Resampling(20)
    )
    assert found.rdf[:, 0, 1:] == pytest.approx(np.ones((2, 4)), abs=0.04)
    assert found.densities[0, 0] > 1.2 * found.densities[1, 0]


# --- the slow loop ------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", CELLS)
def test_it_is_the_slow_loop(shape: str, rng: np.random.Generator) -> None:
    """Cells that change, unwrapped atoms, selections that overlap, distances beyond a cell."""
    cells = CELLS[shape] * rng.uniform(0.9, 1.1, (4, 1, 1))
    positions = (rng.random((4, 7, 3)) * 5.0 - 2.0) @ cells
    trajectory = trajectory_from_arrays(
        positions, cells, [3, 3, 8, 8, 8, 16, 16], frame_interval=1.0, targets=[0, 1]
    )
    states = any_states(rng, trajectory)
    selections = {"metal": [0, 1], "some": [1, 3, 5], "all": list(range(7))}
    found = state_rdf(
        trajectory, states, selections=selections, r_max=13.0, n_bins=26, resampling=BLOCK
    )
    rdf, coordination = slow_rdf(trajectory, states, list(selections.values()), 13.0, 26)
    np.testing.assert_allclose(found.rdf, rdf, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.coordination, coordination, rtol=1e-9, atol=1e-12)
    assert found.selections == ("metal", "some", "all")


@pytest.mark.parametrize("shape", CELLS)
def test_molecules_are_made_whole(shape: str, rng: np.random.Generator) -> None:
    """Molecules that lie across borders; their own atoms do not count, those of others do."""
    cells = np.broadcast_to(CELLS[shape], (3, 3, 3))
    middles = rng.random((3, 2, 1, 3)) @ cells[:, None]
    positions = (middles + rng.uniform(-1.2, 1.2, (3, 2, 3, 3))).reshape(3, 6, 3)
    positions = np.concatenate([positions, rng.random((3, 3, 3)) @ cells], axis=1)
    unwrapped = positions
    shifts = -np.floor(positions @ np.linalg.inv(CELLS[shape]))
    positions = positions + shifts @ CELLS[shape]
    targets = TargetGroups.from_groups([[0, 1, 2], [3, 4, 5]])
    species = [8, 1, 1, 8, 1, 1, 16, 16, 16]
    trajectory = trajectory_from_arrays(
        positions, cells, species, frame_interval=1.0, targets=targets
    )
    states = any_states(rng, trajectory)
    lists = [np.flatnonzero(np.array(species) == n).tolist() for n in (1, 8, 16)]
    rdf, coordination = slow_rdf(trajectory, states, lists, 11.0, 22)
    settings: dict[str, Any] = {"r_max": 11.0, "n_bins": 22, "resampling": BLOCK}
    with_images = Trajectory(
        **{**vars(trajectory), "images": -shifts.astype(int)}  # as LAMMPS writes them
    )
    as_they_came = trajectory_from_arrays(
        unwrapped, cells, species, frame_interval=1.0, targets=targets
    )
    for some in (trajectory, with_images, as_they_came):
        found = state_rdf(some, states, **settings)
        assert found.centre == "mean of the atoms"
        np.testing.assert_allclose(found.rdf, rdf, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found.coordination, coordination, rtol=1e-9, atol=1e-12)


def test_a_molecule_longer_than_half_of_the_cell_needs_images() -> None:
    """Its own atoms are found by the images they are given in; the centre lies between them."""
    cell = np.diag([10.0, 10.0, 10.0])
    positions = np.array([[[1.0, 5.0, 5.0], [8.0, 5.0, 5.0], [4.5, 6.0, 5.0]]])
    targets = TargetGroups.from_groups([[0, 1]])
    trajectory = trajectory_from_arrays(
        positions, cell, [8, 8, 3], frame_interval=1.0, targets=targets
    )
    whole = Trajectory(**{**vars(trajectory), "images": np.zeros((1, 3, 3), int)})
    settings: dict[str, Any] = {"selections": ["Li"], "r_max": 1.5, "n_bins": 1}
    with pytest.warns(RuntimeWarning, match="one block of data has no spread"):
        assert state_rdf(whole, **settings).coordination == pytest.approx(1.0)
    with pytest.warns(RuntimeWarning, match="one block of data has no spread"):
        found = state_rdf(trajectory, **settings)
    assert found.coordination == pytest.approx(0.0)  # the centre is then at 9.5
    assert np.isnan(found.rdf_interval.lower).all()


def test_distances_are_from_the_centre_of_mass_if_masses_are_given() -> None:
    positions = np.array([[[9.5, 5.0, 5.0], [0.5, 5.0, 5.0], [9.75, 6.0, 5.0]]])
    targets = TargetGroups.from_groups([[0, 1]])
    trajectory = trajectory_from_arrays(
        positions, np.eye(3) * 10.0, [8, 1, 3], frame_interval=1.0, targets=targets
    )
    settings: dict[str, Any] = {"selections": ["Li"], "r_max": 2.0, "n_bins": 200}
    for masses in ({"O": 3.0, "H": 1.0, "Li": 7.0}, [3.0, 1.0, 7.0]):
        with pytest.warns(RuntimeWarning, match="one block"):
            found = state_rdf(trajectory, masses=masses, **settings)
        assert found.centre == "centre of mass"
        assert np.argmax(found.rdf[0, 0] > 0.0) == 100  # the centre is at 9.75: 1.0 away
    with pytest.warns(RuntimeWarning, match="one block"):
        found = state_rdf(trajectory, **settings)
    assert np.argmax(found.rdf[0, 0] > 0.0) == int(np.hypot(0.25, 1.0) * 100)


# --- MDAnalysis ---------------------------------------------------------------------------------


@pytest.mark.parametrize("angles", [(90.0, 90.0, 90.0), (75.0, 80.0, 100.0)])
@pytest.mark.parametrize("same", [False, True])
def test_equal_weights_give_the_rdf_of_mdanalysis(
    angles: tuple[float, ...], same: bool, rng: np.random.Generator
) -> None:
    mda = pytest.importorskip("MDAnalysis")
    from MDAnalysis.analysis.rdf import InterRDF
    from MDAnalysis.lib.mdamath import triclinic_vectors

    box = np.array([16.0, 18.0, 20.0, *angles], dtype=np.float32)
    cell = triclinic_vectors(box).astype(np.float64)
    positions = (rng.random((6, 150, 3)) @ cell).astype(np.float32)
    universe = mda.Universe.empty(150, trajectory=True)
    universe.load_new(positions, dimensions=np.tile(box, (6, 1)))
    first, second = universe.atoms[:50], universe.atoms[: 50 if same else 150]
    block = (1, 1) if same else None
    if not same:
        second = universe.atoms[50:]
    theirs = InterRDF(first, second, nbins=30, range=(0.0, 6.0), exclusion_block=block).run()
    trajectory = trajectory_from_arrays(
        positions, cell, np.full(150, 8), frame_interval=1.0, targets=range(50)
    )
    found = state_rdf(
        trajectory, selections={"B": second.indices}, r_max=6.0, n_bins=30, resampling=BLOCK
    )
    np.testing.assert_allclose(found.rdf[0, 0], theirs.results.rdf, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found.radii, theirs.results.bins, rtol=1e-12)


# --- data of all kinds --------------------------------------------------------------------------


def test_trajectories_and_segments_add_up(rng: np.random.Generator) -> None:
    """Two trajectories with a gap are as their frames in one; threads change nothing."""
    whole = gas(rng, CELLS["triclinic"], n_frames=30)
    states = any_states(rng, whole)
    one = state_rdf(whole, states, resampling=BLOCK, n_threads=1)
    parts = [whole[:10], whole[10:]]
    parts[1] = Trajectory(**{**vars(parts[1]), "segment_offsets": np.array([0, 5, 20])})
    two = state_rdf(parts, [states[:10], states[10:]], resampling=BLOCK, n_threads=3)
    np.testing.assert_allclose(two.rdf, one.rdf, rtol=1e-12)
    np.testing.assert_allclose(two.rdf_interval.lower, one.rdf_interval.lower, rtol=1e-9)
    np.testing.assert_allclose(two.populations, states.mean(axis=(0, 1)), rtol=1e-12)


def test_trajectories_of_other_elements_share_one_result(rng: np.random.Generator) -> None:
    first = gas(rng, CELLS["orthogonal"], n_frames=10)
    second = gas(rng, CELLS["triclinic"], n_frames=10, n_atoms=40, n_targets=3)
    second = Trajectory(**{**vars(second), "species": np.where(second.species == 8, 16, 3)})
    found = state_rdf([first, second], resampling=BLOCK)
    assert found.selections == ("Li", "O", "S")
    alone = state_rdf(first, resampling=BLOCK)
    np.testing.assert_allclose(found.of("O")[0], alone.of("O")[0], rtol=1e-12)
    assert found.coordination[0, 1, -1] == pytest.approx(2 / 3 * alone.coordination[0, 1, -1])


def test_a_memory_map_is_read_chunk_by_chunk(
    rng: np.random.Generator, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = gas(rng, CELLS["triclinic"], n_frames=12)
    path = tmp_path / "positions.npy"
    np.save(path, whole.positions.astype(np.float32))
    mapped = Trajectory(**{**vars(whole), "positions": np.load(path, mmap_mode="r")})
    one = state_rdf(mapped, r_max=12.0, resampling=BLOCK)
    monkeypatch.setattr("kgdyn.observables._target_frames._CHUNK_BYTES", 3 * 24 * 90)
    two = state_rdf(mapped, r_max=12.0, resampling=BLOCK)
    np.testing.assert_allclose(two.rdf, one.rdf, rtol=1e-12)


def test_free_directions_have_coordination_but_no_density(rng: np.random.Generator) -> None:
    positions = rng.random((5, 30, 3)) * 8.0
    cell = np.diag([8.0, 8.0, 0.0])
    trajectory = trajectory_from_arrays(
        positions, cell, np.full(30, 8), frame_interval=1.0, targets=[0], pbc=[True, True, False]
    )
    with pytest.warns(RuntimeWarning, match="a direction is not periodic"):
        found = state_rdf(trajectory, r_max=4.0, n_bins=8, resampling=BLOCK)
    assert np.isnan(found.rdf).all()
    tall = trajectory_from_arrays(
        positions, np.diag([8.0, 8.0, 30.0]), np.full(30, 8), frame_interval=1.0, targets=[0]
    )
    same = state_rdf(tall, r_max=4.0, n_bins=8, resampling=BLOCK)
    np.testing.assert_allclose(found.coordination, same.coordination, rtol=1e-12)


def test_a_state_that_is_never_visited_is_nan(rng: np.random.Generator) -> None:
    trajectory = gas(rng, CELLS["orthogonal"])
    states = np.zeros((40, 6, 2))
    states[..., 0] = 1.0
    found = state_rdf(trajectory, states, resampling=BLOCK)
    assert np.isnan(found.rdf[1]).all()
    assert np.isnan(found.coordination[1]).all()
    assert np.isfinite(found.rdf[0]).all()
    assert found.populations.tolist() == [1.0, 0.0]


def test_a_lone_target_has_no_rdf_with_itself(rng: np.random.Generator) -> None:
    """But its images are its coordination: six in a cube."""
    positions = rng.random((12, 1, 3)) * 4.0
    trajectory = trajectory_from_arrays(
        positions, np.eye(3) * 4.0, [3], frame_interval=1.0, targets=[0]
    )
    found = state_rdf(trajectory, r_max=5.0, n_bins=1, resampling=Resampling(1))
    assert np.isnan(found.rdf).all()
    assert found.coordination.tolist() == [[[6.0]]]


# --- intervals ----------------------------------------------------------------------------------


def covered(
    resampling: Resampling | None, n_runs: int, n_frames: int = 40, n_targets: int = 8
) -> Float:
    """How often the interval of an ideal gas holds 1, of each state and bin."""
    inside = []
    for seed in range(n_runs):
        rng = np.random.default_rng(seed)
        trajectory = gas(rng, CELLS["triclinic"], n_frames, n_atoms=60, n_targets=n_targets)
        states = any_states(rng, trajectory, 2)
        found = state_rdf(
            trajectory,
            states,
            selections=["O"],
            r_max=7.0,
            n_bins=4,
            resampling=resampling,
            n_threads=1,
        )
        inside.append(found.rdf_interval.contains(np.ones(1))[:, 0, 1:])
    return np.mean(inside, axis=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "resampling",
    [Resampling(2), Resampling(2, two_way=True), Resampling(1, by_target=True), None],
    ids=["time", "both", "targets", "automatic"],
)
@pytest.mark.filterwarnings("ignore:the data hold only")
def test_intervals_of_an_ideal_gas_hold_one(resampling: Resampling | None) -> None:
    """Of 120 runs and six bins, which are hardly correlated: 95% +- 0.8%."""
    by_target = resampling is not None and resampling.by_target
    share = covered(resampling, 120, 20 if by_target else 40, 20 if by_target else 8)
    assert 0.925 < share.mean() < 0.985, share


def test_intervals_narrow_with_the_data(rng: np.random.Generator) -> None:
    widths = []
    for n_frames in (50, 800):
        trajectory = gas(rng, CELLS["orthogonal"], n_frames, n_atoms=40)
        found = state_rdf(
            trajectory,
            selections=["O"],
            r_max=6.0,
            n_bins=3,
            resampling=Resampling(n_frames // 25),
        )
        widths.append(found.rdf_interval.upper - found.rdf_interval.lower)
    assert (widths[0] / widths[1]).mean() == pytest.approx(4.0, rel=0.35)


def test_few_frames_are_resampled_by_target(rng: np.random.Generator) -> None:
    trajectory = gas(rng, CELLS["orthogonal"], n_frames=1, n_targets=20)
    found = state_rdf(trajectory)
    assert found.resampling.by_target
    assert np.isfinite(found.rdf_interval.upper).all()


# --- what it is and what it refuses --------------------------------------------------------------


def test_results_are_read_only_and_say_what_they_are(rng: np.random.Generator) -> None:
    trajectory = gas(rng, CELLS["orthogonal"])
    found = state_rdf(trajectory, any_states(rng, trajectory), resampling=BLOCK)
    assert repr(found) == (
        "StateRDF(n_states=3, selections=['Li', 'O'], r_max=10 angstrom, n_bins=200, "
        "n_frames=40, n_targets=6, centre='atom', "
        "intervals='95% jackknife over time blocks of 1 frames')"
    )
    for values in (found.rdf, found.radii, found.coordination, found.rdf_interval.lower):
        with pytest.raises(ValueError, match="read-only"):
            values[...] = 0.0
    with pytest.raises(ValueError, match=r"selection must be one of \['Li', 'O'\], received 'N'"):
        found.of("N")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"r_max": 0.0}, "r_max must be a positive distance in angstrom, received 0.0"),
        ({"r_max": np.inf}, "r_max must be a positive distance in angstrom, received inf"),
        ({"n_bins": 0}, "n_bins must be at least 1, received 0"),
        ({"n_threads": 0}, "n_threads must be at least 1, received 0"),
        ({"selections": ["N"]}, r"selections: N does not occur, only \['Li', 'O'\]"),
        ({"selections": []}, r"selections: at least one is needed, each once, received \[\]"),
        ({"selections": ["O", "O"]}, "selections: at least one is needed, each once"),
        ({"selections": {"a": []}}, "selections: 'a' must be a list of atom indices"),
        ({"selections": {"a": [0.5]}}, "'a' must be a list of atom indices, .* float64"),
        ({"selections": {"a": [1, 1]}}, "indices of 'a' must not be negative and stand only once"),
        ({"selections": {"a": [90]}}, "selections: 'a' has index 90, outside of the 90 atoms"),
        ({"masses": np.ones(3)}, r"masses must have shape \(n_atoms,\) = \(90,\) for arrays"),
        ({"masses": {"O": 16.0}}, r"masses must have a value for every element .* \['Li'\]"),
        ({"masses": np.zeros(90)}, "masses of the atoms of targets must be positive, found 0.0"),
        ({"masses": [np.ones(90)] * 2}, "masses must be one array for each trajectory, received 2"),
        ({"masses": np.full(90, np.nan)}, "masses must be finite, received nan"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], message: str, rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=message):
        state_rdf(gas(rng, CELLS["orthogonal"]), **changes)


def test_bad_states_and_frames(rng: np.random.Generator) -> None:
    trajectory = gas(rng, CELLS["orthogonal"])
    states = any_states(rng, trajectory)
    with pytest.raises(ValueError, match=r"arrays: state_probabilities must have shape .* \(40, 6"):
        state_rdf(trajectory, states[:-1])
    with pytest.raises(ValueError, match="state_probabilities must be one array for each traj"):
        state_rdf([trajectory, trajectory], states)
    with pytest.raises(ValueError, match="rows of state_probabilities must sum to 1"):
        state_rdf(trajectory, 0.5 * states)
    with pytest.raises(ValueError, match="trajectories: at least one is needed, received none"):
        state_rdf([])
    with pytest.raises(TypeError, match="trajectories must be of type Trajectory, received"):
        state_rdf([states])  # type: ignore[list-item]
    positions = trajectory.positions.copy()
    positions[7, 3] = np.nan
    broken = Trajectory(**{**vars(trajectory), "positions": positions})
    with pytest.raises(ValueError, match="arrays, frame 7: positions must be finite"):
        state_rdf(broken)
    cells = trajectory.cells.copy()
    cells[9] = 0.0
    broken = Trajectory(**{**vars(trajectory), "cells": cells})
    with pytest.raises(ValueError, match="arrays, frame 9: the cell has zero volume"):
        state_rdf(broken)
