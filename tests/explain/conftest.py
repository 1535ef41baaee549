"""Small systems, models with random weights, and the model written as a loop."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kgdyn.frames import TargetGroups
from kgdyn.graphs import PackedGraphs, pack_graphs
from kgdyn.trajectories import Trajectory, trajectory_from_arrays

M = 5


def gas(n_frames: int, rng: np.random.Generator) -> Trajectory:
    """Li, S and Cl at random in a periodic box; targets of one and of two atoms."""
    return trajectory_from_arrays(
        7.0 * rng.random((n_frames, 12, 3)),
        7.0 * np.eye(3),
        [3] * 4 + [16] * 6 + [17] * 2,
        frame_interval=0.5,
        targets=TargetGroups.from_groups([[0], [1, 4], [2]]),
    )


@pytest.fixture(scope="session")
def some_gas() -> Trajectory:
    return gas(12, np.random.default_rng(5))


@pytest.fixture(scope="session")
def random_model() -> Callable[..., Any]:
    """Function: a GDyNet none of whose weights is trivial; 2 states, 2 convolutions, M = 5."""

    def make(seed: int = 0, **options: Any) -> Any:
        import keras

        from kgdyn.models import GDyNet

        keras.utils.set_random_seed(seed)
        defaults = {
            "n_neighbors": M,
            "n_convolutions": 2,
            "n_features": 6,
            "radial_cutoff": 6.0,
            "lagtime": 2,
        }
        model = GDyNet(2, [3, 16, 17, 53], **{**defaults, **options})
        rng = np.random.default_rng(seed)
        for weight in model.weights:
            if weight.path.endswith("matrix"):
                weight.assign(np.array([[0.9, 0.1], [0.2, 0.8]] * 2)[: weight.shape[0]])
            elif weight.dtype == "float32":
                values = rng.normal(size=weight.shape)
                positive = weight.name in ("gamma", "moving_variance")
                # Outputs that are far from even: masks then change states, too.
                steep = weight.path.endswith("logits/kernel") and model.variant == "paper"
                scale = 4.0 if steep else 0.5
                weight.assign(np.abs(values) + 0.5 if positive else scale * values)
        return model

    return make


@pytest.fixture(scope="session")
def plain_model(random_model: Callable[..., Any]) -> Any:
    """One of them without options, for tests that leave its weights alone."""
    return random_model()


@pytest.fixture(scope="session")
def whole_graphs() -> Callable[[Trajectory], PackedGraphs]:
    """Function: graphs of all frames that are not cut down to what the targets see."""

    def make(trajectory: Trajectory) -> PackedGraphs:
        return pack_graphs(
            trajectory.positions,
            trajectory.cells,
            trajectory.pbc,
            trajectory.species,
            trajectory.targets,
            M,
        )

    return make


def _array(weight: Any) -> Any:
    return np.asarray(weight, np.float64)


def _normalization(norm: Any) -> Callable[[Any], Any]:
    """Batch normalization at inference."""
    if norm is None:
        return lambda values: values
    gain = _array(norm.gamma) / np.sqrt(_array(norm.moving_variance) + 1e-3)
    mean, beta = _array(norm.moving_mean), _array(norm.beta)
    return lambda values: gain * (values - mean) + beta


def _envelope(distances: Any) -> Any:
    x = distances / distances.max()
    return 1.0 - 28.0 * x**6 + 48.0 * x**7 - 21.0 * x**8


@pytest.fixture(scope="session")
def slow_model() -> Callable[..., Any]:
    """Function: attention and states of a model on whole graphs, atom by atom, in float64.

    Returns ``attention`` (n_convolutions, n_atoms_total, M) and ``states`` (n_targets_total,
    n_states).
    """

    def run(
        model: Any, graphs: PackedGraphs, masked: Any = None, hidden: Any = None, vector: Any = None
    ) -> Any:
        first = np.repeat(graphs.atom_splits[:-1], np.diff(graphs.atom_splits))
        neighbors = graphs.neighbors + first[:, None]
        distances = graphs.distances.astype(np.float64)
        place = {number: row for row, number in enumerate(model.elements)}
        nodes = _array(model.embedding.vectors)[[place[int(n)] for n in graphs.species]]
        if hidden is not None:
            nodes[hidden] = vector
        centers = 0.2 * np.arange(model.radial_basis.n_basis)
        attention = np.zeros((len(model.convolutions), *neighbors.shape))
        for number, layer in enumerate(model.convolutions):
            after = np.empty_like(nodes)
            to_neighbor, to_basis = (
                _array(layer.neighbor_attention)[:, 0],
                _array(layer.basis_attention)[:, 0],
            )
            kernels = layer.center_kernel, layer.neighbor_kernel, layer.basis_kernel, layer.bias
            of_center, of_neighbor, of_basis, bias = map(_array, kernels)
            norm, last_norm = _normalization(layer.message_norm), _normalization(layer.reduced_norm)
            for i in range(len(nodes)):
                weights = np.zeros(M)
                messages = np.zeros((M, nodes.shape[1]))
                envelope = _envelope(distances[i]) if model.envelope else np.ones(M)
                for k, j in enumerate(neighbors[i]):
                    if masked is not None and masked[i, k]:
                        continue
                    basis = np.exp(-(((distances[i, k] - centers) / 0.2) ** 2))
                    weights[k] = envelope[k] * np.exp(nodes[j] @ to_neighbor + basis @ to_basis)
                    message = nodes[i] @ of_center + nodes[j] @ of_neighbor + basis @ of_basis
                    messages[k] = np.maximum(norm(message + bias), 0.0)
                if weights.sum() > 0.0:
                    weights /= weights.sum()
                attention[number, i] = weights
                heard = weights @ messages
                if layer.reduction == "mean":
                    heard = heard / M
                after[i] = nodes[i] + last_norm(heard)
            nodes = np.maximum(after, 0.0) if layer.final_relu else after
        offsets = graphs.target_atom_splits
        frame = np.repeat(np.arange(graphs.n_frames), np.diff(graphs.target_splits))
        pooled = np.stack(
            [
                nodes[graphs.target_atoms[a:b] + graphs.atom_splits[f]].mean(axis=0)
                for a, b, f in zip(offsets[:-1], offsets[1:], frame, strict=True)
            ]
        )
        if model.pooling == "global":
            pooled = np.stack([pooled[frame == f].mean(axis=0) for f in range(graphs.n_frames)])
        for layer in model.head.hidden:
            pooled = np.maximum(pooled @ _array(layer.kernel) + _array(layer.bias), 0.0)
        logits = pooled @ _array(model.head.logits.kernel) + _array(model.head.logits.bias)
        chi = np.exp(logits - logits.max(axis=1, keepdims=True))
        chi /= chi.sum(axis=1, keepdims=True)
        return SimpleNamespace(attention=attention, states=chi @ _array(model.simplex_map.matrix))

    return run
