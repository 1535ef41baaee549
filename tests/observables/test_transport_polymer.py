"""Transport of lithium in a polymer: real frames, wrapped or not; contact labels as states."""

from __future__ import annotations

import numpy as np
import pytest

from kgdyn.koopman import one_hot
from kgdyn.observables import transition_conductivity, transition_diffusion, transition_msd
from kgdyn.trajectories import trajectory_from_arrays

LABELS = 3
# Li+, and what of it is left with one anion and with two.
CHARGES = (1.0, 0.0, -1.0)


@pytest.fixture(scope="module")
def polymer(shared_data):
    """Function: the trajectory of one of its arrays of coordinates; and the contact labels."""
    held = np.load(shared_data("peo_litfsi/PEO_LiTFSI_CG.npz"))

    def trajectory(name):
        return trajectory_from_arrays(
            held[name], held["lattices"], held["atom_types"], targets=held["target_index"],
            frame_interval=float(held["dt_ps"]),
        )  # fmt: skip

    return trajectory, one_hot(held["state3"], LABELS)


@pytest.mark.filterwarnings("ignore:the data hold only")
@pytest.mark.filterwarnings("ignore:intervals rest on only")
def test_wrapped_and_unwrapped_coordinates_agree(polymer) -> None:
    trajectory, chi = polymer
    wrapped, unwrapped = trajectory("traj_coords"), trajectory("unwrapped")
    assert np.abs(unwrapped.positions - wrapped.positions).max() > 30.0
    options = {"lagtimes": [1, 10, 50], "remove_drift": True}
    one = transition_msd(wrapped, chi, **options)
    two = transition_msd(unwrapped, chi, unwrap="none", **options)
    # Both are stored as float32, to 4e-6 angstrom; the first displacements are of 1 angstrom.
    np.testing.assert_allclose(one.total_msd, two.total_msd, rtol=1e-6)
    np.testing.assert_allclose(one.msd, two.msd, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:the data hold only")
@pytest.mark.filterwarnings("ignore:intervals rest on only")
def test_the_table_of_transitions_is_complete(polymer) -> None:
    trajectory, chi = polymer
    diffusion = transition_diffusion(trajectory("traj_coords"), chi, lagtime=10, remove_drift=True)
    found = transition_conductivity(
        diffusion, charges=CHARGES, temperature=340.0, charge_errors=[0.05, 0.05, 0.05]
    )
    for value, interval in (
        (diffusion.diffusion, diffusion.diffusion_interval),
        (found.conductivity, found.conductivity_interval),
        (found.percentages, found.percentages_interval),
    ):
        assert value.shape == (LABELS, LABELS)
        assert np.isfinite(value).all()
        assert (interval.lower <= value).all()
        assert (value <= interval.upper).all()
    assert found.number_density == pytest.approx(25 / 33.8**3, rel=1e-4)
    assert found.percentages.sum() == pytest.approx(100.0, abs=1e-9)
    # Lithium in this polymer: about 1e-9 m^2/s or below at a lag time of 40 ps, and S/m of that.
    assert 1e-3 < diffusion.total_diffusion < 1.0
