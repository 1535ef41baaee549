"""A real polymer electrolyte (LiTFSI in a carbamate, PCFF+): live, and from the dump of its run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from kgdyn.integrations.lammps import StateMonitor
from numpy.testing import assert_allclose, assert_array_equal

import kgdyn
from kgdyn.training import TrainingSettings

pytestmark = [pytest.mark.lammps, pytest.mark.slow]

SETUP = """\
units real
atom_style full
pair_style lj/class2/coul/long 9.5
pair_modify mix sixthpower tail yes
bond_style class2
angle_style class2
dihedral_style class2
improper_style class2
special_bonds lj/coul 0 0 1
read_data {data}
kspace_style pppm 1e-4
neighbor 3.0 bin
timestep 1.0
fix heat all nvt temp 353 353 200
dump d all custom 5 {dump} id type x y z ix iy iz
dump_modify d sort id units yes time yes format float %.15g
"""


def test_a_few_steps_of_training_then_live(
    start: Any, recorder: Any, shared_data: Callable[[str], Path], tmp_path: Path
) -> None:
    """Elements are those of the masses: 23 of the 100 LAMMPS types have atoms."""
    data = shared_data("htp_md/9-0-246295613-0/relaxed.lmp")
    stored = shared_data("htp_md/9-0-246295613-0/traj.lammpstrj")
    options: dict[str, Any] = {"targets": "element Li", "elements": "masses"}
    known = kgdyn.open_trajectory(stored, topology=data, **options, timestep=0.002)
    assert known.n_targets == 50
    keras.utils.set_random_seed(0)
    model, _ = kgdyn.train_gdynet(
        known,
        known,
        n_states=2,
        n_neighbors=20,
        lagtime=1,
        settings=TrainingSettings(epochs=2, batch_size=3),
        model_options={"n_convolutions": 1, "n_features": 4},
    )
    dump, sink = tmp_path / "run.dump", recorder()
    engine = start(SETUP.format(data=data, dump=dump))
    with StateMonitor(model, every=5, sinks=[sink], on_novel="ignore", **options).attach(engine):
        engine.command("run 20")
    engine.command("undump d")
    chi = kgdyn.assign_states(model, kgdyn.open_trajectory(dump, topology=data, **options))
    assert sink.steps == [0, 5, 10, 15, 20]
    assert chi.shape == (5, 50, 2)
    assert np.ptp(chi[..., 0]) > 0.01
    # Positions of a trajectory are single precision: 4e-6 angstrom where they are unwrapped.
    assert_allclose(sink.state_probabilities, chi, rtol=0, atol=5e-5)
    assert_array_equal(sink.info.targets.atoms, known.targets.atoms)
    assert sink.info.frame_interval == pytest.approx(0.005)
