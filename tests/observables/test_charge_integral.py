"""Charge around targets: lattices counted by hand, a slow sum, messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kgdyn.frames import TargetGroups
from kgdyn.koopman import Resampling
from kgdyn.observables.charge_integral import charge_integral
from kgdyn.observables.state_rdf import state_rdf
from kgdyn.trajectories import Trajectory, trajectory_from_arrays

BLOCK = Resampling(block_length=1)
# Of rock salt, in units of half the edge squared: 1, 2, 3, 4, 5, 6, 8, 9 neighbours and their sign.
SHELLS = {1: -6, 2: 12, 3: -8, 4: 6, 5: -24, 6: 24, 8: 12, 9: -30}
EDGE = 5.64

pytestmark = pytest.mark.filterwarnings("ignore:intervals rest on only")


def rock_salt(primitive: bool) -> Trajectory:
    """Two equal frames; sodium (11) is the target."""
    if primitive:
        cell = 0.5 * EDGE * np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
        positions = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]) @ cell
        species = [11, 17]
    else:
        cell = np.eye(3) * EDGE
        sites = np.array([[0, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1]]) * 0.5
        positions = np.concatenate([sites, sites + 0.5]) % 1.0 @ cell
        species = [11] * 4 + [17] * 4
    return trajectory_from_arrays(
        np.stack([positions + 0.3, positions - 40.0]),
        cell,
        species,
        frame_interval=1.0,
        targets=np.flatnonzero(np.array(species) == 11),
        source="rock salt",
    )


def expected(radius: float) -> int:
    square = (radius / (0.5 * EDGE)) ** 2
    return sum(charge for shell, charge in SHELLS.items() if shell < square)


@pytest.mark.parametrize("primitive", [False, True])
def test_rock_salt_is_counted_by_hand(primitive: bool) -> None:
    """Up to three half edges, beyond the whole cell of either form."""
    salt = rock_salt(primitive)
    charges = {"Na": 1.0, "Cl": -1.0}
    found = charge_integral(salt, charges=charges, r_max=8.6, n_bins=43, resampling=BLOCK)
    alone = charge_integral(
        salt, charges=charges, r_max=8.6, n_bins=43, resampling=BLOCK, include_target=False
    )
    by_hand = np.array([expected(radius) for radius in found.radii])
    assert set(by_hand) == {0, -6, 6, -2, 4, -20, 16, -14}
    np.testing.assert_allclose(found.charge[0], 1.0 + by_hand, atol=1e-12)
    np.testing.assert_allclose(alone.charge[0], by_hand, atol=1e-12)
    np.testing.assert_allclose(found.charge_interval.lower, found.charge, atol=1e-12)
    assert found.target_charges.tolist() == [1.0]
    value, bounds = found.at(3.1)
    assert value.tolist() == pytest.approx([-5.0])
    assert bounds.upper.tolist() == pytest.approx([-5.0])
    assert found.at(2.9)[0].tolist() == pytest.approx([-2.0])  # half way between 2.8 and 3.0
    assert found.at(0.0)[0].tolist() == [1.0]


def test_charges_are_weighted_by_states(rng: np.random.Generator) -> None:
    """The sum over elements of charge times the coordination number, and the target's own."""
    cell = np.array([[9.0, 0.0, 0.0], [4.0, 8.0, 0.0], [-3.0, 3.5, 9.0]])
    species = np.array([3] * 4 + [8] * 20 + [16] * 6)
    trajectory = trajectory_from_arrays(
        rng.random((20, 30, 3)) @ cell, cell, species, frame_interval=1.0, targets=range(4)
    )
    states = rng.dirichlet(np.ones(3), (20, 4))
    charges = rng.normal(size=30)
    charges[[3, 9]] = 0.0
    settings: dict[str, Any] = {"r_max": 11.0, "n_bins": 22, "resampling": Resampling(2)}
    found = charge_integral(trajectory, states, charges=charges, **settings)
    around = state_rdf(
        trajectory, states, selections={str(n): [n] for n in range(30)}, **settings
    ).coordination
    own = np.einsum("ftk,t->k", states, charges[:4]) / states.sum(axis=(0, 1))
    np.testing.assert_allclose(found.target_charges, own, rtol=1e-12)
    np.testing.assert_allclose(found.charge[:, 0], own, rtol=1e-12)
    np.testing.assert_allclose(
        found.charge[:, 1:], own[:, None] + np.einsum("sab,a->sb", around, charges), atol=1e-9
    )
    inside = (found.charge_interval.lower < found.charge)[:, 1:]
    assert inside.all()


def test_molecules_bring_their_whole_charge() -> None:
    """And its atoms, across the border of the cell, are not counted again."""
    positions = np.array([[[9.5, 5.0, 5.0], [0.5, 5.0, 5.0], [2.0, 5.0, 5.0]]] * 2)
    trajectory = trajectory_from_arrays(
        positions,
        np.eye(3) * 10.0,
        [8, 1, 3],
        frame_interval=1.0,
        targets=TargetGroups.from_groups([[0, 1]]),
    )
    found = charge_integral(
        trajectory, charges=[-0.8, 0.3, 1.0], r_max=3.0, n_bins=3, resampling=BLOCK
    )
    np.testing.assert_allclose(found.charge, [[-0.5, -0.5, -0.5, 0.5]], atol=1e-12)
    assert found.centre == "mean of the atoms"


def test_it_says_what_it_is() -> None:
    found = charge_integral(
        rock_salt(True), charges=[1.0, -1.0], r_max=3.0, n_bins=3, resampling=BLOCK
    )
    assert repr(found) == (
        "ChargeIntegral(n_states=1, r_max=3 angstrom, n_radii=4, include_target=True, n_frames=2, "
        "n_targets=1, centre='atom', intervals='95% jackknife over time blocks of 1 frames')"
    )
    with pytest.raises(ValueError, match="read-only"):
        found.charge[...] = 0.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"charges": {"Na": 1.0}}, r"charges must have a value for every element .* \['Cl'\]"),
        ({"charges": [1.0]}, r"charges must have shape \(n_atoms,\) = \(2,\) for rock salt"),
        ({"charges": [0.0, 0.0]}, "charges must not all be zero"),
        ({"charges": [np.nan, 0.0]}, "charges must be finite, received nan"),
        ({"r_max": -1.0}, "r_max must be a positive distance"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], message: str) -> None:
    settings = {"charges": [1.0, -1.0], "resampling": BLOCK} | changes
    with pytest.raises(ValueError, match=message):
        charge_integral(rock_salt(True), **settings)


def test_a_radius_beyond_the_last_is_refused() -> None:
    found = charge_integral(
        rock_salt(True), charges=[1.0, -1.0], r_max=3.0, n_bins=3, resampling=BLOCK
    )
    with pytest.raises(ValueError, match=r"radius must be from 0 to 3 angstrom, received 3\.1"):
        found.at(3.1)
