"""Cluster Nernst-Einstein conductivity: exact sums, units, charges and their errors."""

from __future__ import annotations

import numpy as np
import pytest

from kgdyn.koopman import Resampling, one_hot
from kgdyn.observables import (
    TransitionConductivity,
    transition_conductivity,
    transition_diffusion,
)
from kgdyn.observables._conductivity_formula import Formula
from kgdyn.toys import MarkovChain
from kgdyn.toys.switching_walk import SwitchingWalk
from kgdyn.trajectories import trajectory_from_arrays

CHAIN = MarkovChain(np.array([[0.9, 0.1], [0.2, 0.8]]))
WALK = SwitchingWalk(CHAIN, np.array([0.02, 0.1]))
BLOCKS = Resampling(block_length=100)


def diffusion_of(rng, walk=WALK, n_frames=3000, pbc=True, blocks=BLOCKS, states=None, **options):
    positions, hidden = walk.sample(n_frames, 8, rng=rng)
    trajectory = trajectory_from_arrays(
        positions, 20.0 * np.eye(3), [3] * 8, frame_interval=1.0, targets=range(8), pbc=pbc
    )
    chi = one_hot(hidden, 2) if states is None else states
    options = {"lagtime": 4, "resampling": blocks, **options}
    return transition_diffusion(trajectory, chi, **options)


def nernst_einstein(diffusion, charge=1.0, temperature=300.0, density=8 / 20.0**3):
    """In SI units, step by step."""
    per_volume = density / (1e-10) ** 3
    coefficient = diffusion * (1e-10) ** 2 / 1e-12
    thermal = 1.380649e-23 * temperature
    return per_volume * (charge * 1.602176634e-19) ** 2 * coefficient / thermal


@pytest.mark.parametrize("charge", [1.0, 2.0, -1.0])
def test_independent_ions_are_nernst_einstein(charge, rng) -> None:
    diffusion = diffusion_of(rng, estimate="ratio")
    found = transition_conductivity(
        diffusion, charges=[charge, charge], temperature=300.0, ion_charge=charge
    )
    assert isinstance(found, TransitionConductivity)
    expected = nernst_einstein(diffusion.total_diffusion, charge)
    assert found.total_conductivity == pytest.approx(expected, rel=1e-12)
    assert found.nernst_einstein_conductivity == pytest.approx(expected, rel=1e-12)
    assert found.percentages.sum() == pytest.approx(100.0, abs=1e-10)


def test_independent_ions_of_one_kind_are_nernst_einstein_by_slopes(rng) -> None:
    """States that all move alike: slopes add up as well, within the noise of the sample."""
    diffusion = diffusion_of(rng, SwitchingWalk(CHAIN, np.array([0.05, 0.05])), n_frames=20000)
    found = transition_conductivity(diffusion, charges=[1.0, 1.0], temperature=300.0)
    assert found.total_conductivity == pytest.approx(nernst_einstein(0.05), rel=0.03)
    ratio = found.total_conductivity / found.nernst_einstein_conductivity
    assert ratio == pytest.approx(1.0, abs=0.01)
    interval = found.total_conductivity_interval
    error = (interval.upper - interval.lower) / 4.0
    assert abs(found.total_conductivity - nernst_einstein(0.05)) < 3.5 * error


def test_a_number_by_hand() -> None:
    """One ion in 1,000 cubic angstrom, 300 K, D = 1e-10 m^2/s: 0.62 S/m."""
    expected = 1e27 * 1.602176634e-19**2 * 1e-10 / (1.380649e-23 * 300.0)
    assert expected == pytest.approx(0.619754, rel=1e-5)
    assert nernst_einstein(0.01, density=1e-3) == pytest.approx(expected, rel=1e-12)


def test_the_terms_of_the_formula(rng) -> None:
    diffusion = diffusion_of(rng)
    charges = np.array([0.9, -0.6])
    found = transition_conductivity(
        diffusion, charges=charges, temperature=400.0, other_conductivity=0.7, number_density=0.002
    )
    shares = diffusion.populations[:, None] * diffusion.koopman_matrix
    between = np.array([[0.9, 0.15], [0.15, -0.6]])
    expected = between * shares * nernst_einstein(diffusion.diffusion, 1.0, 400.0, 0.002)
    np.testing.assert_allclose(found.conductivity, expected, rtol=1e-12)
    np.testing.assert_allclose(found.transition_charges, between, rtol=1e-12)
    np.testing.assert_allclose(found.transition_shares, shares, rtol=1e-12)
    total = expected.sum()
    assert found.total_conductivity == pytest.approx(total, rel=1e-12)
    np.testing.assert_allclose(found.percentages, 100.0 * expected / total, rtol=1e-12)
    np.testing.assert_allclose(found.transference, expected / (total + 0.7), rtol=1e-12)
    assert found.transference_number == pytest.approx(total / (total + 0.7), rel=1e-12)
    assert found.conductivity[1, 1] < 0.0 < found.conductivity[0, 0]
    by_pairs = transition_conductivity(
        diffusion, charges=charges, temperature=400.0, number_density=0.002, shares="pairs"
    )
    np.testing.assert_allclose(by_pairs.conductivity, expected, rtol=1e-10)  # states are crisp
    assert by_pairs.transference is None


def test_intervals_come_from_the_blocks(rng) -> None:
    diffusion = diffusion_of(rng)
    found = transition_conductivity(
        diffusion, charges=[1.0, 0.5], temperature=300.0, other_conductivity=0.2
    )
    for name in ("conductivity", "percentages", "total_conductivity", "transference",
                 "transference_number", "nernst_einstein_conductivity"):  # fmt: skip
        interval, value = getattr(found, f"{name}_interval"), getattr(found, name)
        assert np.all(interval.lower < value), name
        assert np.all(value < interval.upper), name
    # Of nothing but a factor, the interval is that of the diffusion coefficient.
    factor = found.nernst_einstein_conductivity / diffusion.total_diffusion
    expected = diffusion.total_diffusion_interval.upper * factor
    np.testing.assert_allclose(found.nernst_einstein_conductivity_interval.upper, expected)
    drawn = diffusion_of(rng, blocks=Resampling(100, method="percentile"))
    other = transition_conductivity(drawn, charges=[1.0, 0.5], temperature=300.0)
    width = found.total_conductivity_interval.upper - found.total_conductivity_interval.lower
    again = other.total_conductivity_interval.upper - other.total_conductivity_interval.lower
    assert 0.5 < again / width < 2.0


def test_errors_of_charges_are_carried_on(rng) -> None:
    diffusion = diffusion_of(rng)
    options = {"charges": [1.0, 0.5], "temperature": 300.0}
    plain = transition_conductivity(diffusion, **options)
    same = transition_conductivity(diffusion, charge_errors=[0.0, 0.0], **options)
    np.testing.assert_allclose(
        same.conductivity_interval.upper, plain.conductivity_interval.upper, rtol=1e-12
    )
    found = transition_conductivity(diffusion, charge_errors=[0.2, 0.1], **options)
    # By hand: sigma_ij is linear in z_i and z_j.
    unit = plain.conductivity / plain.transition_charges
    charge_part = unit * np.array([[0.2, 0.5 * np.hypot(0.2, 0.1)], [0, 0.1]])
    charge_part[1, 0] = unit[1, 0] * 0.5 * np.hypot(0.2, 0.1)
    before = plain.conductivity_interval.upper - plain.conductivity
    after = found.conductivity_interval.upper - found.conductivity
    # Errors add in squares; what remains of the charges is a quantile of Student's t, near 2.
    quantile = np.sqrt(after**2 - before**2) / charge_part
    assert (quantile > 1.95).all()
    assert (quantile < 2.4).all()
    bounds = found.transition_charges_interval
    np.testing.assert_allclose(bounds.upper[0, 0], 1.0 + 1.96 * 0.2, rtol=1e-4)
    np.testing.assert_allclose(
        bounds.lower[0, 1], 0.75 - 1.96 * 0.5 * np.hypot(0.2, 0.1), rtol=1e-4
    )


def test_fuzzy_states_by_pairs_add_up(rng) -> None:
    states = rng.dirichlet([0.5, 0.5], size=(3000, 8))
    diffusion = diffusion_of(rng, states=states, estimate="ratio")
    options = {"charges": [1.0, 1.0], "temperature": 300.0}
    found = transition_conductivity(diffusion, shares="pairs", **options)
    assert found.total_conductivity == pytest.approx(found.nernst_einstein_conductivity, rel=1e-12)
    paper = transition_conductivity(diffusion, **options)
    shares = diffusion.populations[:, None] * diffusion.koopman_matrix
    np.testing.assert_allclose(paper.transition_shares, shares, rtol=1e-12)


def one_ion(*frames_in_state_1, n_frames=60):
    """One ion that moves evenly, mostly in state 0."""
    positions = np.zeros((n_frames, 1, 3))
    positions[:, 0, 0] = 0.1 * np.arange(float(n_frames))
    trajectory = trajectory_from_arrays(
        positions, 20.0 * np.eye(3), [3], frame_interval=1.0, targets=[0]
    )
    labels = np.zeros((n_frames, 1), dtype=int)
    labels[list(frames_in_state_1)] = 1
    return transition_diffusion(
        trajectory, one_hot(labels, 2), lagtime=3, half_window=1, resampling=Resampling(5)
    )


def test_transitions_never_seen_count_as_nothing() -> None:
    found = transition_conductivity(one_ion(20), charges=[1.0, 1.0], temperature=300.0)
    assert found.conductivity[1, 1] == 0.0
    assert np.isnan(found.conductivity_interval.upper[1, 1])
    assert found.percentages.sum() == pytest.approx(100.0)


def test_a_transition_without_a_slope_is_told() -> None:
    diffusion = one_ion(20, 23)  # 1 -> 1 over 3 frames, but not over 2 or 4
    assert np.isnan(diffusion.diffusion[1, 1])
    assert diffusion.shares[1, 1] > 0.0
    match = r"transitions 2 -> 2 \(states from 1\) were seen at the lag time"
    with pytest.warns(RuntimeWarning, match=match):
        found = transition_conductivity(diffusion, charges=[1.0, 1.0], temperature=300.0)
    assert np.isnan(found.conductivity[1, 1])
    assert np.nansum(found.percentages) == pytest.approx(100.0)


def test_it_is_read_only_and_says_what_it_is(rng) -> None:
    found = transition_conductivity(diffusion_of(rng), charges=[1.0, 0.5], temperature=300.0)
    assert "S/m" in repr(found)
    assert "temperature=300 K" in repr(found)
    for values in (found.conductivity, found.percentages, found.conductivity_interval.lower):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 1.0


def test_what_is_refused(rng) -> None:
    diffusion = diffusion_of(rng)

    def refused(match, given=diffusion, **options):
        options = {"charges": [1.0, 1.0], "temperature": 300.0, **options}
        with pytest.raises(ValueError, match=match):
            transition_conductivity(given, **options)

    refused("charges must be one finite number for each of 2 states", charges=[1.0])
    refused("charges must be one finite number", charges=[1.0, np.nan])
    refused("temperature must be positive, received 0", temperature=0.0)
    refused("ion_charge must be a number other than 0, received 0", ion_charge=0.0)
    refused("number_density must be positive, received -1", number_density=-1.0)
    refused("other_conductivity must not be negative, received -1", other_conductivity=-1.0)
    refused('shares must be "koopman" or "pairs", received \'all\'', shares="all")
    refused("charge_errors must not be negative", charge_errors=[0.1, -0.1])
    refused("charge_errors must be one finite number for each", charge_errors=[0.1])
    drawn = diffusion_of(rng, n_frames=1500, blocks=Resampling(100, method="percentile"))
    refused('charge_errors need a resampling with method="jackknife"', drawn,
            charge_errors=[0.1, 0.1])  # fmt: skip
    open_box = diffusion_of(rng, n_frames=1500, pbc=(True, True, False))
    refused("number_density is needed", open_box)
    alone = one_hot(np.zeros((1500, 8), dtype=int), 2)
    never = diffusion_of(rng, n_frames=1500, states=alone)
    refused("the Koopman matrix is not defined", never)
    found = transition_conductivity(never, charges=[1.0, 1.0], temperature=300.0, shares="pairs")
    assert found.percentages[0, 0] == pytest.approx(100.0)


def test_shares_of_a_total_that_may_be_zero_have_no_bounds(rng) -> None:
    """Charges of both signs that cancel: nobody knows which share a transition has."""
    diffusion = diffusion_of(rng, SwitchingWalk(CHAIN, np.array([0.05, 0.05])), n_frames=1500)
    zero = transition_conductivity(diffusion, charges=[1.0, 1.0], temperature=300.0)
    sums = zero.conductivity.sum(axis=1) + zero.conductivity.sum(axis=0)
    cancel = [1.0, -sums[0] / sums[1]]
    found = transition_conductivity(diffusion, charges=cancel, temperature=300.0)
    whole = found.total_conductivity_interval
    assert whole.lower < 0.0 < whole.upper
    assert np.isneginf(found.percentages_interval.lower).all()
    assert np.isposinf(found.percentages_interval.upper).all()


def test_bounds_of_shares_are_those_of_fieller(rng) -> None:
    """Of each bound p: sigma - p total lies just so many of its own errors from 0."""
    charges = np.array([0.9, 0.3])
    diffusion = diffusion_of(rng)
    found = transition_conductivity(diffusion, charges=charges, temperature=300.0)
    bounds = found.percentages_interval
    assert (bounds.lower < found.percentages).all()
    assert (bounds.upper > found.percentages).all()
    formula = Formula(diffusion, factor=1.0, ion_charge=1.0, other=None, shares="koopman")
    statistics = formula.statistics(charges)
    reach = BLOCKS.errors(diffusion.sums, statistics)["percentages"].reach()[0, 1]
    for share in (bounds.lower[0, 1] / 100.0, bounds.upper[0, 1] / 100.0):

        def rest(some, share=share):
            values = statistics(some)
            return {"it": values["conductivity"][:, 0, 1] - share * values["total_conductivity"]}

        left = BLOCKS.errors(diffusion.sums, rest)["it"]
        assert abs(left.estimate) / left.error == pytest.approx(reach, rel=1e-6)
