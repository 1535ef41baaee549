"""Words for states: what is said of known curves, and that nothing is said where nothing is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kgdyn.koopman import Interval, Resampling, one_hot
from kgdyn.observables import (
    ChargeIntegral,
    StateRDF,
    charge_integral,
    describe_states,
    state_bond_order,
    state_rdf,
)
from kgdyn.trajectories import Trajectory, trajectory_from_arrays

EDGES = np.linspace(0.0, 6.0, 121)
RADII = 0.5 * (EDGES[1:] + EDGES[:-1])


def rdf_of(numbers: Any, populations: Any, names: Any = ("O", "TFSI"), error: float = 0.05) -> Any:
    """Shells of ``numbers[state][selection]`` atoms at 2.1, and a second, equal one at 4.5."""
    density = 0.02
    shells = 4.0 / 3.0 * np.pi * np.diff(EDGES**3)
    first = np.exp(-0.5 * ((RADII - 2.1) / 0.1) ** 2)
    second = np.exp(-0.5 * ((RADII - 4.5) / 0.3) ** 2)
    counts = np.asarray(numbers)[..., None] * first / first.sum() + 10.0 * second / second.sum()
    running = counts.cumsum(axis=-1)
    values = counts / (density * shells)
    return StateRDF(
        radii=RADII,
        edges=EDGES,
        rdf=values,
        rdf_interval=Interval(0.99 * values, 1.01 * values),
        coordination=running,
        coordination_interval=Interval(running - error, running + error),
        densities=np.full(values.shape[:2], density),
        populations=np.asarray(populations, dtype=float),
        selections=tuple(names),
        n_frames=100,
        n_targets=10,
        centre="atom",
        resampling=Resampling(10),
    )


def charge_of(values: Any, error: float = 0.05) -> ChargeIntegral:
    radii = np.linspace(0.0, 6.0, 61)
    charge = np.broadcast_to(np.asarray(values, dtype=float)[:, None], (len(values), 61)).copy()
    return ChargeIntegral(
        radii=radii,
        charge=charge,
        charge_interval=Interval(charge - error, charge + error),
        target_charges=np.ones(len(values)),
        populations=np.full(len(values), 1.0 / len(values)),
        include_target=True,
        n_frames=100,
        n_targets=10,
        centre="atom",
        resampling=Resampling(10),
    )


def test_sentences_of_three_states() -> None:
    rdf = rdf_of([[4.1, 0.9], [4.1, 1.9], [5.2, 0.9]], [0.6, 0.27, 0.004])
    first, second, third = describe_states(rdf)
    assert first.startswith(
        "state 1 (60%): 4.1 O at 2.08 angstrom (shell to 2.90), 0.9 TFSI at 2.08 angstrom (shell "
    )
    assert first.endswith("; fewer O than state 3, fewer TFSI than state 2")
    assert second.endswith("; fewer O than state 3, more TFSI than all others")
    assert third.startswith("state 3 (0.4%): 5.2 O")
    assert third.endswith("; more O than all others, fewer TFSI than state 2")


def test_nothing_differs_within_the_intervals() -> None:
    numbers = [[4.1, 0.9], [4.4, 1.0]]
    for sentence in describe_states(rdf_of(numbers, [0.5, 0.5], error=0.2)):
        assert sentence.endswith("; nothing that sets it apart from others beyond the intervals")
    # Differences that are certain, and not worth a word.
    close = rdf_of([[4.1, 0.9], [4.15, 0.9]], [0.5, 0.5], error=0.001)
    assert describe_states(close)[0].endswith("beyond the intervals")
    assert describe_states(close, smallest=0.01)[0].endswith("; fewer O than state 2")
    assert describe_states(close, smallest=0.01)[1].endswith("; more O than state 1")


def test_charge_of_the_cluster() -> None:
    rdf = rdf_of([[4.0, 1.0], [4.0, 1.0]], [0.5, 0.5])
    first, second = describe_states(rdf, charge=charge_of([0.26, -0.64]))
    assert "charge +0.26 within " in first
    assert "charge +0.00 within " in describe_states(rdf, charge=charge_of([-0.001, 0.5]))[0]
    assert first.endswith("; a more positive surrounding than state 2")
    assert second.endswith("; a more negative surrounding than state 1")
    assert (
        "within 5 angstrom"
        in describe_states(rdf, charge=charge_of([0.0, 0.0]), charge_radius=5.0)[0]
    )
    with pytest.raises(ValueError, match="radius must be from 0 to 6 angstrom, received 7"):
        describe_states(rdf, charge=charge_of([0.0, 0.0]), charge_radius=7.0)
    with pytest.raises(ValueError, match="charge must be of the 2 states of rdf, received 3"):
        describe_states(rdf, charge=charge_of([0.0, 0.0, 0.0]))


def two_surroundings(rng: np.random.Generator) -> tuple[Trajectory, np.ndarray]:
    """Si in the middle of four or of six S; free anywhere else."""
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 2.2 / np.sqrt(3.0)
    axes = 2.2 * np.concatenate([np.eye(3), -np.eye(3)])
    far = np.array([[6.0, 6.0, 6.0], [6.0, 6.0, -6.0]])
    labels = np.repeat([0, 1, 0, 1, 0, 1, 0, 1, 0, 1], 8)
    positions = np.zeros((80, 7, 3))
    for frame, label in enumerate(labels):
        positions[frame, 1:] = axes if label else np.concatenate([corners, far])
    positions += 0.05 * rng.normal(size=positions.shape)
    # A second shell, so that the first has an end.
    outer = rng.normal(size=(80, 60, 3))
    outer *= rng.uniform(4.0, 6.9, (80, 60, 1)) / np.linalg.norm(outer, axis=2)[..., None]
    positions = np.concatenate([positions, outer], axis=1)
    run = trajectory_from_arrays(
        positions + 3.0, 14.0 * np.eye(3), [14] + [16] * 66, frame_interval=1.0, targets=[0]
    )
    return run, one_hot(labels, 2)


@pytest.mark.filterwarnings("ignore:intervals rest on only")
def test_from_a_trajectory(rng: np.random.Generator) -> None:
    run, states = two_surroundings(rng)
    scheme = Resampling(8)
    rdf = state_rdf(run, states, selections=["S"], r_max=6.0, n_bins=60, resampling=scheme)
    charge = charge_integral(
        run, states, charges={"Si": 4.0, "S": -1.0}, r_max=6.0, n_bins=60, resampling=scheme
    )
    order = state_bond_order(run, states, (3,), cutoff=3.2, resampling=scheme)
    first, second = describe_states(rdf, charge=charge, bond_order=order)
    assert first.startswith("state 1 (50%): 4.0 S at 2.")
    assert "charge +0.00 within" in first
    assert "fewer S than state 2, a more positive surrounding than state 2" in first
    assert second.startswith("state 2 (50%): 6.0 S at 2.")
    assert "charge -2.00 within" in second
    assert "q3 correlation" in second


def test_states_without_frames_or_density() -> None:
    rdf = rdf_of([[4.0, 1.0], [4.0, 1.0]], [1.0, 0.0])
    assert describe_states(rdf)[1] == "state 2 (0%): never visited"
    missing = StateRDF(**{**vars(rdf), "rdf": np.full_like(rdf.rdf, np.nan)})
    assert describe_states(missing)[0] == (
        "state 1 (100%): O: no g(r), TFSI: no g(r); not compared with others, as there are no "
        "intervals"
    )
    alone = describe_states(rdf_of([[4.0, 1.0]], [1.0]))
    assert len(alone) == 1
    assert alone[0].endswith("angstrom (shell to 2.85)")
