"""The model taken apart: the same as the model, and the same as a loop where edges are masked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kgdyn.explain._forward import Forward
from kgdyn.graphs import PackedGraphs, pack_graphs
from kgdyn.trajectories import Trajectory

OPTIONS: dict[str, dict[str, Any]] = {
    "paper": {},
    "released": {"variant": "released"},
    "envelope": {"envelope": True},
    "mean": {"reduction": "mean", "n_hidden": 2},
    "variable neighbours": {"variable_neighbors": True, "envelope": True},
    "whole frames": {"pooling": "global"},
    "pools": {"target_pools": ["mean", "max", "sum"]},
    "more outputs": {"n_outputs": 4},
}
IN_LOOP = ["paper", "released", "envelope", "mean", "whole frames"]

Models = Callable[..., Any]


def cut_graphs(trajectory: Trajectory, model: Any) -> PackedGraphs:
    return pack_graphs(
        trajectory.positions,
        trajectory.cells,
        trajectory.pbc,
        trajectory.species,
        trajectory.targets,
        model.n_neighbors,
        n_hops=model.n_convolutions,
    )


@pytest.mark.parametrize("name", OPTIONS)
def test_without_a_mask_it_is_the_model(
    name: str, random_model: Models, some_gas: Trajectory
) -> None:
    forward = Forward(random_model(**OPTIONS[name]))
    graphs = cut_graphs(some_gas, forward.model)
    expected = forward.states(graphs)
    assert np.ptp(expected, axis=0).min() > 1e-3
    found = forward.masked_states(forward.batch(graphs))
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=2e-6)


@pytest.mark.slow
def test_states_are_those_that_are_assigned(plain_model: Any, some_gas: Trajectory) -> None:
    from kgdyn.training import assign_states

    forward = Forward(plain_model)
    found = forward.states(cut_graphs(some_gas, forward.model)).reshape(12, 3, 2)
    np.testing.assert_allclose(found, assign_states(forward.model, some_gas), atol=2e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision(
    policy: str, random_model: Models, plain_model: Any, some_gas: Trajectory
) -> None:
    """Masked neighbours weigh nothing, and one that hears nobody is no NaN."""
    forward = Forward(random_model(dtype=policy))
    batch = forward.batch(cut_graphs(some_gas, forward.model))
    assert np.isfinite(forward.masked_states(batch)).all()
    masked = np.random.default_rng(0).random(batch.flat.neighbors.shape) < 0.5
    masked[batch.flat.target_atoms[:3]] = True
    exact = Forward(plain_model)
    np.testing.assert_allclose(
        forward.masked_states(batch, masked), exact.masked_states(batch, masked), atol=0.05
    )


@pytest.mark.parametrize("name", IN_LOOP)
def test_masked_edges_against_the_loop(
    name: str,
    random_model: Models,
    slow_model: Callable[..., Any],
    whole_graphs: Callable[[Trajectory], PackedGraphs],
    some_gas: Trajectory,
) -> None:
    forward = Forward(random_model(**OPTIONS[name]))
    graphs = whole_graphs(some_gas[:2])
    batch = forward.batch(graphs)
    masked = np.random.default_rng(1).random(graphs.neighbors.shape) < 0.5
    masked[0] = masked[4] = True  # one of the targets, and one of a target
    masked[:, -1] |= masked[:, 0]
    found = forward.masked_states(batch, masked)
    expected = slow_model(forward.model, graphs, masked).states
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=3e-6)
    assert np.abs(expected - slow_model(forward.model, graphs).states).max() > 1e-2


@pytest.mark.parametrize("name", IN_LOOP)
def test_attention_against_the_loop(
    name: str,
    random_model: Models,
    slow_model: Callable[..., Any],
    whole_graphs: Callable[[Trajectory], PackedGraphs],
    some_gas: Trajectory,
) -> None:
    forward = Forward(random_model(**OPTIONS[name]))
    graphs = whole_graphs(some_gas[:2])
    batch = forward.batch(graphs)
    found = forward.attention(batch)
    expected = slow_model(forward.model, graphs).attention
    assert found.shape == (2, 2 * 4, 5)
    np.testing.assert_allclose(found, expected[:, batch.flat.target_atoms], rtol=0.0, atol=2e-6)
    np.testing.assert_allclose(found.sum(axis=2), 1.0, rtol=0.0, atol=1e-6)
    # The graphs that are cut down give the same, with targets in another order.
    cut = forward.attention(forward.batch(cut_graphs(some_gas[:1], forward.model)))
    np.testing.assert_allclose(cut, found[:, :4], rtol=0.0, atol=2e-6)


def test_hidden_atoms_against_the_loop(
    plain_model: Any,
    slow_model: Callable[..., Any],
    whole_graphs: Callable[[Trajectory], PackedGraphs],
    some_gas: Trajectory,
) -> None:
    forward = Forward(plain_model)
    graphs = whole_graphs(some_gas[:2])
    hidden, vector = np.random.default_rng(2).random(len(graphs.species)) < 0.4, np.arange(6) / 6.0
    found = forward.masked_states(forward.batch(graphs), hidden=hidden, vector=vector)
    expected = slow_model(forward.model, graphs, hidden=hidden, vector=vector).states
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=3e-6)
