"""A monitor beside LAMMPS: the numbers of the dump of the same run, and how it comes and goes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kgdyn.integrations.lammps import StateMonitor
from kgdyn.integrations.lammps.frame_queue import QueueCounts
from numpy.testing import assert_allclose, assert_array_equal

from kgdyn.frames import TargetGroups
from kgdyn.koopman import estimate_koopman_model

pytestmark = pytest.mark.lammps

LI_S = ["Li", "S"]


def test_li_in_sulfur_live_and_from_its_dump(
    li_toy: Any, model: Any, recorder: Any, offline: Any, tmp_path: Path
) -> None:
    path, sink = tmp_path / "li.dump", recorder()
    engine = li_toy(path)
    monitor = StateMonitor(model, "element Li", LI_S, 20, sinks=[sink], lagtimes=(1, 3))
    with monitor.attach(engine):
        engine.command("run 310")  # ends off the grid
        monitor.run(290)
        engine.commands_string("run 200\nrun 200")
    assert (sink.closed, monitor.attached) == (1, False)
    steps, probabilities, chunk = offline(path)
    assert sink.steps == steps == list(range(0, 1001, 20))
    assert monitor.counts == QueueCounts(taken=51, done=51, dropped=0, waiting=0)
    assert_allclose(sink.state_probabilities, probabilities, rtol=0, atol=1e-6)
    assert np.ptp(probabilities) > 0.01
    assert_array_equal([frame.images for frame in sink.frames], chunk.images)
    assert [states.new_segment for states in sink.states] == [True] + 50 * [False]
    assert [frame.time for frame in sink.frames] == pytest.approx(np.arange(51) * 0.02)
    assert monitor.info.frame_interval == pytest.approx(0.02)
    assert monitor.newest.step == 1000
    live = monitor.statistics.koopman_model(3)
    same = [sink.state_probabilities.astype(np.float64)]
    expected = estimate_koopman_model(same, lagtime=3)
    assert_allclose(live.koopman_matrix, expected.koopman_matrix, rtol=0, atol=1e-10)


def test_a_tilted_box_that_breathes(
    tilted: Any, model: Any, recorder: Any, offline: Any, tmp_path: Path
) -> None:
    path, sink = tmp_path / "tilted.dump", recorder()
    engine = tilted(path)
    with StateMonitor(model, "element Li", LI_S, 20, sinks=[sink]).attach(engine):
        engine.command("run 400")
    engine.command("undump d")
    steps, probabilities, chunk = offline(path)
    assert sink.steps == steps == list(range(0, 401, 20))
    assert probabilities.shape[1] > 10
    assert_allclose(sink.state_probabilities, probabilities, rtol=0, atol=1e-6)
    cells = np.array([frame.cell for frame in sink.frames])
    assert_allclose(cells, chunk.cells, rtol=0, atol=1e-12)
    assert (np.ptp(cells, axis=0)[np.tril_indices(3)] > 0.01).all()


def test_attached_late_and_left_early(li_toy: Any, model: Any, recorder: Any) -> None:
    engine, sink = li_toy(), recorder()
    own = engine.command
    engine.command("run 130")
    monitor = StateMonitor(model, "element Li", LI_S, 50, sinks=[sink]).attach(engine)
    assert repr(monitor) == (
        "StateMonitor('LAMMPS', every=50, attached=True, done=0, dropped=0, waiting=0)"
    )
    engine.command("run 100")
    assert monitor.statistics.n_frames == 2  # waits for both
    monitor.detach()
    monitor.detach()
    engine.command("run 100")
    assert sink.steps == [150, 200]
    assert engine.command == own
    assert not engine.has_id("fix", "kgdyn_monitor")
    with pytest.raises(RuntimeError, match="must be attached to run"):
        monitor.run(1)


def test_a_minimization_gives_no_frames(tilted: Any, model: Any, recorder: Any) -> None:
    engine, sink = tilted(), recorder()
    engine.command("unfix move")
    with StateMonitor(model, "element Li", LI_S, 1, sinks=[sink]).attach(engine):
        engine.command("minimize 0 0 5 50")
        last = engine.extract_global("ntimestep")
        engine.commands_string("fix again all nve\nrun 2")
    assert last > 0
    assert sink.steps == [last, last + 1, last + 2]


def test_steps_set_back(li_toy: Any, model: Any, recorder: Any) -> None:
    engine, sink = li_toy(), recorder()
    options = {"sinks": [sink], "repeated": "new_segment"}
    with StateMonitor(model, "element Li", LI_S, 50, **options).attach(engine):
        engine.commands_string("run 100\nreset_timestep 0\nrun 100")
    assert sink.steps == [0, 50, 100, 0, 50, 100]
    assert [states.new_segment for states in sink.states] == [True, False, False] * 2
    with (
        pytest.raises(ValueError, match=r"step 0 came after step 100: .*repeated='new_segment'"),
        StateMonitor(model, "element Li", LI_S, 50).attach(engine),
    ):
        engine.commands_string("run 0\nreset_timestep 0\nrun 100")


def test_a_model_file_and_its_own_thread(
    li_toy: Any, model: Any, recorder: Any, tmp_path: Path
) -> None:
    model.save(tmp_path / "model.keras")
    threads = []
    sink = recorder(lambda frame: threads.append(threading.current_thread().name))
    monitor = StateMonitor(
        tmp_path / "model.keras", "element Li", LI_S, 50, sinks=[sink], n_threads=1
    )
    with monitor.attach(li_toy()):
        monitor.run(100)
    assert threads == ["kgdyn-analysis"] * 3
    with pytest.raises(FileNotFoundError, match="there is no such model file"):
        StateMonitor(tmp_path / "none.keras", "element Li", LI_S, 50).attach(li_toy())


@pytest.mark.parametrize(
    ("targets", "rows"),
    [
        ("element S", [1, 2, 3, 4]),
        ("type 1", [0]),
        ("index 2", [2]),
        ("id 2 4:5", [1, 3, 4]),
        ([0, 3], [0, 3]),
        (TargetGroups.from_groups([[0, 1], [2]]), [0, 1, 2]),
    ],
)
def test_targets(li_toy: Any, model: Any, targets: Any, rows: list[int]) -> None:
    with StateMonitor(model, targets, LI_S, 50).attach(li_toy()) as monitor:
        assert monitor.info.targets.atoms.tolist() == rows
        monitor.run(0)
        assert monitor.statistics.n_frames == 1


MOLECULES = """\
units real
atom_style molecular
region box block 0 12 0 12 0 12
create_box 2 box
create_atoms 1 single 1 1 1
create_atoms 2 single 2 1 1
create_atoms 1 single 5 5 5
create_atoms 2 single 6 5 5
create_atoms 2 single 9 9 9
mass 1 6.94
mass 2 32.06
set atom 1 mol 7
set atom 2 mol 7
set atom 3 mol 4
set atom 4 mol 4
pair_style zero 4.0
pair_coeff * *
"""


def test_whole_molecules_are_targets(start: Any, model: Any, li_toy: Any) -> None:
    engine = start(MOLECULES)
    options = {"groupby": "molecules"}
    with StateMonitor(model, "element Li", LI_S, 50, **options).attach(engine) as monitor:
        groups = monitor.info.targets
        assert groups.atoms.tolist() == [2, 3, 0, 1]
        assert groups.offsets.tolist() == [0, 2, 4]
        assert groups.description == "molecules of element Li"
        assert monitor.info.frame_interval == pytest.approx(50 * 1e-3)
    with pytest.raises(ValueError, match="atom of id 5 belongs to no molecule"):
        StateMonitor(model, "element S", LI_S, 50, **options).attach(engine)
    with pytest.raises(ValueError, match="needs an atom style with molecule ids"):
        StateMonitor(model, "element S", LI_S, 50, **options).attach(li_toy())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"every": 0}, ValueError, "every must be an integer of at least 1, received 0"),
        ({"every": 2.5}, ValueError, "every must be an integer of at least 1, received 2.5"),
        ({"n_threads": 0}, ValueError, "n_threads must be an integer of at least 1"),
        ({"write_back": "always"}, ValueError, "write_back must be False, True or 'wait'"),
        ({"when_full": "wait"}, ValueError, "when_full must be one of"),
        ({"sink": []}, TypeError, "no argument 'sink'; those of the analysis are .*'sinks'"),
    ],
)
def test_arguments(
    model: Any, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        StateMonitor(
            **{"model": model, "targets": "all", "elements": LI_S, "every": 1, **arguments}
        )


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"elements": ["S", "Li"]}, ValueError, "type 1 has mass 6.94 g/mol, but S has 32.06"),
        ({"elements": ["Li"]}, ValueError, "every LAMMPS type, 1 to 2"),
        ({"targets": "element K"}, ValueError, "LAMMPS: targets 'element K' matches no atom of 5"),
        ({"targets": "element ("}, ValueError, "LAMMPS: targets 'element [(]' is not understood"),
        ({"targets": "id 9"}, ValueError, "LAMMPS: targets 'id 9': no atom has id 9"),
        ({"targets": "id x"}, ValueError, "'id x' is not understood: ids are numbers"),
        ({"targets": [7]}, ValueError, "index 7 is outside of a frame of 5 atoms"),
        ({"targets": [0.5]}, TypeError, "targets must be a selection such as 'element Li'"),
        ({"groupby": "residues"}, ValueError, "groupby must be 'atoms' or 'molecules'"),
        ({"time_unit": 2.0}, ValueError, "time_unit is for units lj only: units metal"),
        (
            {"elements": ["K", "S"], "check_masses": False, "targets": "type 1"},
            ValueError,
            "LAMMPS: holds K, which the model never saw",
        ),
    ],
)
def test_what_does_not_fit_is_told_when_attaching(
    li_toy: Any, model: Any, arguments: Any, error: type[Exception], message: str
) -> None:
    engine = li_toy()
    given = {"targets": "element Li", "elements": LI_S, "every": 10, **arguments}
    with pytest.raises(error, match=message):
        StateMonitor(model, **given).attach(engine)
    engine.command("run 20")  # left as it was
    assert not engine.has_id("fix", "kgdyn_monitor")


def test_masses_may_be_left_unchecked(li_toy: Any, model: Any) -> None:
    options = {"check_masses": False}
    with StateMonitor(model, "type 1", ["S", "Li"], 10, **options).attach(li_toy()) as monitor:
        assert monitor.info.species.tolist() == [16, 3, 3, 3, 3]


def test_wrong_instances_and_second_times(
    li_toy: Any, start: Callable[..., Any], model: Any
) -> None:
    def new() -> StateMonitor:
        return StateMonitor(model, "element Li", LI_S, 10)

    with pytest.raises(TypeError, match=r"lmp must be a lammps.lammps, received str"):
        new().attach("in.lammps")
    with pytest.raises(ValueError, match="must have a box and atoms: attach after read_data"):
        new().attach(start("units metal"))
    closed = li_toy()
    closed.close()
    with pytest.raises(ValueError, match="received a LAMMPS instance that is closed"):
        new().attach(closed)
    with pytest.raises(RuntimeError, match=r"with monitor.attach"), new():
        pass
    with pytest.raises(RuntimeError, match="no analysis before attach"):
        new().statistics  # noqa: B018
    engine = li_toy()
    with new().attach(engine) as monitor:
        with pytest.raises(RuntimeError, match="attached before: make a new StateMonitor"):
            monitor.attach(li_toy())
        with pytest.raises(ValueError, match="a monitor is attached to this LAMMPS already"):
            new().attach(engine)
        with pytest.raises(ValueError, match="n_steps must be an integer of at least 0"):
            monitor.run(-1)
    with pytest.raises(RuntimeError, match="attached before"):
        monitor.attach(engine)


def test_lammps_closed_under_the_monitor(li_toy: Any, model: Any, recorder: Any) -> None:
    engine, sink = li_toy(), recorder()
    with StateMonitor(model, "element Li", LI_S, 10, sinks=[sink]).attach(engine):
        engine.command("run 30")
        engine.close()
    assert sink.steps == [0, 10, 20, 30]
    assert sink.closed == 1


def test_a_cleared_lammps(li_toy: Any, model: Any, recorder: Any) -> None:
    engine, sink = li_toy(), recorder()
    with StateMonitor(model, "element Li", LI_S, 10, sinks=[sink]).attach(engine):
        engine.commands_string("run 10\nclear")
    assert sink.steps == [0, 10]


def test_nothing_is_added_to_forces_and_pressure(tilted: Any, model: Any, recorder: Any) -> None:
    """Whatever the memory held that LAMMPS adds to the forces: nobody promises zeros there."""
    plain, watched = tilted(), tilted()
    plain.command("run 45")
    with StateMonitor(model, "element Li", LI_S, 20, sinks=[recorder()]).attach(watched):
        added = watched.numpy.fix_external_get_force("kgdyn_monitor")
        added[:] = 1e3
        watched.fix_external_set_virial_global("kgdyn_monitor", [1e6] * 6)
        watched.fix_external_set_energy_global("kgdyn_monitor", 1e6)
        watched.command("run 45")
        assert watched.get_thermo("pe") == pytest.approx(plain.get_thermo("pe"), rel=1e-9)
    n_atoms = plain.get_natoms()
    for name in ("x", "f"):
        found, expected = (
            np.array(engine.numpy.extract_atom(name))[:n_atoms][
                np.argsort(engine.numpy.extract_atom("id")[:n_atoms])
            ]
            for engine in (watched, plain)
        )
        assert_allclose(found, expected, rtol=1e-8, atol=1e-8)
    assert watched.get_thermo("press") == pytest.approx(plain.get_thermo("press"), rel=1e-6)
