"""Python of pages that takes a model, a run or a LAMMPS for granted: it runs, on small ones.

The model is built but not trained, the run is of some picoseconds, and numbers that cost time are
replaced by smaller ones. Nothing else of the pages is changed.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import kgdyn
from kgdyn.koopman import one_hot
from kgdyn.toys import CoarsePolymerElectrolyte, LiInFccSulfur, MarkovChain

ROOT = Path(__file__).resolve().parents[2]
# Patterns of what is written, and what runs.
SMALLER = {
    "README.md": {r"run 1000000\b": "run 1000"},
    "docs/live.md": {r"run 100000\b": "run 10000"},
    "docs/examples/monitor_polymer.md": {
        r"run \d{6,}\b": "run 20",
        r"dump states all custom \d{3,} ": "dump states all custom 10 ",
    },
}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.lammps,
    pytest.mark.filterwarnings("ignore:intervals rest on only:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:the data hold only:RuntimeWarning"),
]


@lru_cache
def untrained(elements: tuple[int, ...], n_states: int = 2, n_neighbors: int = 12) -> Any:
    """A model whose outputs depend on the surroundings all the same."""
    import keras

    keras.utils.set_random_seed(5)
    small = {"n_features": 4, "n_convolutions": 1}
    return kgdyn.GDyNet(n_states, elements, n_neighbors, **small, lagtime=10, frame_interval=0.1)


@pytest.fixture(scope="module")
def made(new_lammps: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that pages name: a run, the same as a store, and a model of it."""
    from kgdyn.integrations.lammps import simulate_li_fcc_s

    from kgdyn.cli.app import app

    folder: Path = tmp_path_factory.mktemp("made")
    # Hot, so that Li leaves its hole.
    topology, run = simulate_li_fcc_s(LiInFccSulfur(duration=0.04, temperature=600.0), folder)
    topology.rename(folder / "li.data")
    shutil.copy(run, folder / "run2.dcd")
    run = run.rename(folder / "run1.dcd")
    command = ["convert", str(run), "--topology", str(folder / "li.data"), "--elements", "Li,S"]
    command += ["--targets", "element Li", "--frame-interval", "0.1", "--quiet"]
    app([*command, "--output", str(folder / "run.store")], standalone_mode=False)
    model = untrained((3, 16))
    kgdyn.fit_novelty(model, kgdyn.open_trajectory(folder / "run.store"))
    model.save(folder / "model.keras")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, which the page may change, as working folder."""
    place = shutil.copytree(made, tmp_path / "work")
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def lammps_of(new_lammps: Callable[..., Any]) -> Iterator[Callable[[str], Any]]:
    """Function: a LAMMPS that has run these commands; closed at the end."""
    engines = []

    def start(commands: str) -> Any:
        engines.append(new_lammps())
        engines[-1].commands_string(commands)
        return engines[-1]

    yield start
    for engine in engines:
        engine.close()


def run_page(name: str, names: dict[str, Any], having: str = "") -> dict[str, Any]:
    """Run the Python blocks of a page that hold a text, in order; the names they leave."""
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = [b for b in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if having in b]
    assert blocks, name
    program = "\n".join(blocks)
    for written, smaller in SMALLER.get(name, {}).items():
        program, n_found = re.subn(written, smaller, program)
        assert n_found == 1, f"{name}: {written}"
    exec(compile(program, name, "exec"), names)
    return names


def test_readme_attaches_a_monitor(folder: Path, lammps_of: Callable[[str], Any]) -> None:
    lmp = lammps_of(LiInFccSulfur().input_script())
    names = run_page("README.md", {"lmp": lmp}, having="StateMonitor")
    assert names["monitor"].statistics.n_frames == 11
    assert lmp.get_natoms() == 5  # it goes on without the monitor


def test_live(
    folder: Path, lammps_of: Callable[[str], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    names = run_page("docs/live.md", {})
    names["lmp"].close()
    assert "KoopmanModel(n_states=2, lagtime=10 frames = 1 ps" in capsys.readouterr().out
    # What is read from the file is what the monitor knew.
    assert names["record"].n_frames == names["monitor"].statistics.n_frames == 101
    known = names["monitor"].statistics.koopman_model(10).koopman_matrix
    np.testing.assert_allclose(names["model"].koopman_matrix, known, rtol=0, atol=1e-5)


def test_states_in_the_dump_and_thermo_output_of_lammps(
    folder: Path, lammps_of: Callable[[str], Any]
) -> None:
    from kgdyn.integrations.lammps import StateMonitor

    text = (ROOT / "docs" / "live.md").read_text(encoding="utf-8")
    (commands,) = re.findall(r"^((?: {4}.*\n)*? {4}dump .*\n(?: {4}.*\n)*)", text, re.MULTILINE)
    lmp = lammps_of(LiInFccSulfur(temperature=600.0).input_script())
    monitor = StateMonitor("model.keras", "element Li", ["Li", "S"], 100, write_back="wait")
    with monitor.attach(lmp):
        lmp.commands_string(commands)
        lmp.command("run 1000")
        in_state_1 = lmp.last_thermo()["c_n"]
        lmp.command("undump colours")
    dump = (folder / "run.dump").read_text()
    assert dump.count("ITEM: ATOMS id type x y z i_kgdyn_state") == 2
    by_type = dict.fromkeys("12", "")
    for line in dump.rpartition("i_kgdyn_state")[2].split("\n")[1:6]:
        by_type[line.split()[1]] += line.split()[-1]
    assert by_type["2"] == "-1" * 4  # S is no target
    assert by_type["1"] in ("0", "1")
    assert 0.0 < in_state_1 < 1.0  # one Li: its probability


def test_selection(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All but the 27 trainings: tests/cli/test_select.py has some."""
    from kgdyn.selection import one_training

    chain = MarkovChain(np.array([[0.9, 0.1], [0.2, 0.8]]))

    def without_training(train: Any, validation: Any, folder: Path, **given: Any) -> Any:
        model = untrained((3, 16), given["n_states"], given["n_neighbors"])
        folder.mkdir(parents=True)
        model.save(folder / "model.keras")
        return model, [SimpleNamespace(score=1.0)]

    def two_states_and_noise(model: Any, trajectory: Any) -> Any:
        rng = np.random.default_rng(trajectory.n_frames)
        labels = chain.sample(trajectory.n_frames, 1, rng=rng)
        noise = rng.dirichlet(np.ones(model.n_states), labels.shape)
        return (0.95 * one_hot(labels, model.n_states) + 0.05 * noise).astype(np.float32)

    monkeypatch.setattr(one_training, "train_restarts", without_training)
    monkeypatch.setattr(one_training, "assign_states", two_states_and_noise)
    result = run_page("docs/selection.md", {})["result"]
    said = f"{result.verdict()} {result.n_states} {result.lagtime}\n"
    assert capsys.readouterr().out.endswith(said)
    assert len(result.candidates) == 12
    assert len(list((folder / "selected").glob("states-*/fold-*/restart-*/held_out.npy"))) == 27
    assert {"selection.csv", "selection.json"} <= {path.name for path in Path("selected").iterdir()}


def test_novelty(folder: Path) -> None:
    names = run_page("docs/novelty.md", {})
    novelty = names["novelty"]
    assert novelty.shape == (401, 1)
    assert np.median(novelty) < 1.0
    # The second block makes the model know a run; what it knows is in the file.
    again = kgdyn.assign_novelty(kgdyn.load_model("model.keras"), names["run"])
    np.testing.assert_array_equal(again, kgdyn.assign_novelty(names["model"], names["run"]))


def test_monitor_beside_a_polymer(folder: Path, lammps_of: Callable[[str], Any]) -> None:
    from kgdyn.integrations.lammps import StateMonitor

    from kgdyn.live import StatesFile

    system = CoarsePolymerElectrolyte(
        n_chains=4, chain_length=40, n_salt=8, box_length=25.0, push_off_time=2.0,
        annealing_time=0.04, cooling_time=0.04, equilibration_time=0.04,
        duration=1e-4, frame_interval=0.04,
    )  # fmt: skip
    lmp = lammps_of(system.input_script())
    for stage in system.preparation():
        lmp.commands_string(stage.commands)
        lmp.command(f"run {stage.n_steps}")
    lmp.commands_string(system.production().commands)
    given = {"StateMonitor": StateMonitor, "StatesFile": StatesFile, "lmp": lmp, "system": system}
    model = untrained((3, 7, 8))
    names = run_page("docs/examples/monitor_polymer.md", {**given, "model": model})
    record = kgdyn.read_states("states.h5")
    assert record.state_probabilities.shape == (3, 8, 2)
    assert names["monitor"].stop_reason is None
    # Rows of the dump are not sorted.
    last = (folder / "states.lammpstrj").read_text().rpartition("i_kgdyn_state")[2]
    shown = {int(row[0]): int(row[-1]) for row in map(str.split, last.splitlines()[1:])}
    states = [shown[atom + 1] for atom in record.targets.atoms]
    assert states == record.state_probabilities[-1].argmax(axis=-1).tolist()
    assert len(set(states)) == 2
