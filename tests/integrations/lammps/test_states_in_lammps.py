"""States given back to LAMMPS' atoms: its dumps and thermo output show them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kgdyn.integrations.lammps import StateMonitor
from numpy.testing import assert_allclose, assert_array_equal

pytestmark = pytest.mark.lammps

COLORED = (
    "dump c all custom 20 {path} id type i_kgdyn_state d2_kgdyn_p[1] d2_kgdyn_p[2]\n"
    "dump_modify c format float %.12g"
)


def rows_of(path: Path) -> tuple[list[int], np.ndarray[Any, Any], bool]:
    """Steps, (n_frames, n_atoms, 5) in order of ids, and whether atoms moved in memory."""
    parts = path.read_text().split("ITEM: TIMESTEP\n")[1:]
    tables = [np.loadtxt(part.splitlines()[8:]) for part in parts]
    moved = any(not np.array_equal(table[:, 0], tables[0][:, 0]) for table in tables)
    ordered = np.array([table[np.argsort(table[:, 0])] for table in tables])
    return [int(part.splitlines()[0]) for part in parts], ordered, moved


def test_waiting_a_dump_shows_each_steps_own_states(
    tilted: Any, model: Any, recorder: Any, tmp_path: Path
) -> None:
    path, sink = tmp_path / "colored.dump", recorder()
    engine = tilted(temperature=1500.0)  # atoms migrate and are sorted
    monitor = StateMonitor(model, "element Li", ["Li", "S"], 20, sinks=[sink], write_back="wait")
    with monitor.attach(engine):
        engine.commands_string(COLORED.format(path=path))
        engine.commands_string(
            "compute p all property/atom d2_kgdyn_p[1]\ncompute n all reduce sum c_p\n"
            "thermo 20\nthermo_style custom step c_n"
        )
        engine.command("run 400")
        in_first = engine.last_thermo()["c_n"]
    engine.commands_string("run 0\nundump c\nthermo_style one\nuncompute n\nuncompute p")
    steps, rows, moved = rows_of(path)
    assert moved
    assert steps[:-1] == sink.steps[:-1] == list(range(0, 400, 20))
    targets = monitor.info.targets.atoms
    others = np.setdiff1d(np.arange(32), targets)
    probabilities = sink.state_probabilities
    assert_allclose(rows[:21, targets, 3:], probabilities, rtol=0, atol=1e-6)
    assert_array_equal(rows[:21, targets, 2], probabilities.argmax(axis=2))
    assert (rows[:, others, 2] == -1).all()
    assert (rows[:, others, 3:] == 0).all()
    assert np.ptp(rows[:21, targets, 3]) > 0.01
    assert in_first == pytest.approx(probabilities[-1, :, 0].sum(), rel=1e-5)


def test_without_waiting_states_follow_and_stay_after_detaching(
    tilted: Any, model: Any, recorder: Any, tmp_path: Path
) -> None:
    path, sink = tmp_path / "colored.dump", recorder()
    engine = tilted(temperature=1500.0)
    monitor = StateMonitor(model, "element Li", ["Li", "S"], 20, sinks=[sink], write_back=True)
    with monitor.attach(engine):
        engine.commands_string(COLORED.format(path=path))
        engine.command("run 200")
    engine.command("run 20")  # with the dump still at work
    engine.command("undump c")
    steps, rows, _ = rows_of(path)
    assert steps == list(range(0, 221, 20))
    targets = monitor.info.targets.atoms
    assert (rows[0, :, 2] == -1).all()  # none is done before the first frame
    shown = rows[:-1, targets]
    of_frames = sink.state_probabilities
    for frame in shown[1:]:
        lags = np.abs(frame[None, :, 3:] - of_frames).max(axis=(1, 2))
        assert lags.min() < 1e-6 or (frame[:, 2] == -1).all()
    assert_allclose(rows[-1, targets, 3:], of_frames[-1], rtol=0, atol=1e-6)
    # Another monitor takes their place.
    with StateMonitor(model, "id 1", ["Li", "S"], 20, write_back="wait").attach(engine) as second:
        second.run(20)
        state = engine.numpy.extract_atom("i_kgdyn_state")[:32]
        ids = engine.numpy.extract_atom("id")[:32]
        assert (state[ids != 1] == -1).all()
        assert state[ids == 1][0] == second.newest.state_probabilities[0].argmax()


def test_all_atoms_of_a_molecule_show_its_state(tilted: Any, model: Any) -> None:
    from kgdyn.frames import TargetGroups

    groups = TargetGroups.from_groups([[3, 4, 5], [9]])
    engine = tilted()
    with StateMonitor(model, groups, ["Li", "S"], 20, write_back="wait").attach(engine) as monitor:
        monitor.run(0)
        ids = engine.numpy.extract_atom("id")[:32]
        shown = engine.numpy.extract_atom("d2_kgdyn_p")[:32][np.argsort(ids)]
        expected = monitor.newest.state_probabilities
    assert_allclose(shown[[3, 4, 5]], expected[[0, 0, 0]], rtol=0, atol=1e-7)
    assert_allclose(shown[9], expected[1], rtol=0, atol=1e-7)
    assert (shown[[2, 6, 8, 10]] == 0).all()
