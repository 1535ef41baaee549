"""Attention by state, element and distance: known functions of distance, and a loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kgdyn.explain import NeighborAttention, neighbor_attention
from kgdyn.frames import TargetGroups
from kgdyn.graphs import PackedGraphs
from kgdyn.koopman import Resampling, one_hot
from kgdyn.trajectories import Trajectory, trajectory_from_arrays

# Few frames are enough for exact answers.
pytestmark = pytest.mark.filterwarnings("ignore:intervals rest on only")

Models = Callable[..., Any]
BLOCKS = Resampling(block_length=1)


def set_attention(model: Any, basis: Any, of_elements: Any = 0.0) -> None:
    """The logit of a neighbour is sum_t basis_t u_t(d), plus a number for its element."""
    vectors = np.zeros(model.embedding.vectors.shape)
    vectors[:, 0] = 1.0
    vectors[:, 1] = of_elements
    model.embedding.vectors.assign(vectors)
    for layer in model.convolutions:
        for kernel in (layer.center_kernel, layer.neighbor_kernel, layer.basis_kernel, layer.bias):
            kernel.assign(np.zeros(kernel.shape))  # nodes never change
        layer.neighbor_attention.assign(np.eye(layer.neighbor_attention.shape[0])[:, [1]])
        layer.basis_attention.assign(np.asarray(basis)[:, None])


def halves(trajectory: Trajectory) -> Any:
    """Certain states: the first half of the frames, and the second."""
    labels = np.arange(trajectory.n_frames) >= trajectory.n_frames // 2
    return one_hot(np.repeat(labels[:, None].astype(int), trajectory.n_targets, axis=1), 2)


def test_even_attention(random_model: Models, some_gas: Trajectory) -> None:
    """Each neighbour weighs 1/M, whatever it is."""
    model = random_model()
    set_attention(model, np.zeros(model.radial_basis.n_basis))
    found = neighbor_attention(model, some_gas, halves(some_gas), n_bins=6, resampling=BLOCKS)
    assert found.share.shape == (2, 2, 3, 6)
    assert found.elements == ("Li", "S", "Cl")
    assert found.edges[-1] == 6.0
    seen = np.broadcast_to(found.neighbors > 0.0, found.share.shape)
    assert 0.3 < seen.mean() < 1.0
    np.testing.assert_allclose(found.mean_weight[seen], 0.2, rtol=1e-6)
    assert np.isnan(found.mean_weight[~seen]).all()
    np.testing.assert_allclose(found.share, np.broadcast_to(found.even_share, found.share.shape))
    total = found.neighbors.sum(axis=(1, 2)) + found.neighbors_beyond.sum(axis=1)
    np.testing.assert_allclose(total, 5.0, rtol=1e-12)
    np.testing.assert_allclose(found.populations, 0.5)


def test_a_known_function_of_distance(random_model: Models) -> None:
    """A Li with S at 2.0, 2.6 and 3.4 and Cl at 3.4: alpha is the softmax that is written down."""
    frames = np.zeros((6, 5, 3))
    frames[:, 1, 0], frames[:, 2, 1], frames[:, 3, 2], frames[:, 4, 2] = 2.0, 2.6, 3.4, -3.4
    run = trajectory_from_arrays(
        frames,
        np.zeros((3, 3)),
        [3, 16, 16, 16, 17],
        frame_interval=1.0,
        targets=[0],
        pbc=False,
    )
    model = random_model(n_convolutions=3, n_neighbors=4)
    slopes = np.random.default_rng(3).normal(size=model.radial_basis.n_basis)
    set_attention(model, slopes, [0.0, 0.5, -0.7, 0.0])
    distances = np.array([2.0, 2.6, 3.4, 3.4])
    centers = 0.2 * np.arange(len(slopes))
    basis = np.exp(-(((distances[:, None] - centers) / 0.2) ** 2))
    alpha = np.exp(basis @ slopes + np.array([0.5, 0.5, 0.5, -0.7]))
    alpha /= alpha.sum()
    assert np.ptp(alpha) > 0.2
    found = neighbor_attention(
        model, run, halves(run), r_max=3.0, n_bins=6, resampling=Resampling(block_length=3)
    )
    for number in range(3):
        for state in range(2):
            share = found.share[number, state]
            np.testing.assert_allclose(share[1, [4, 5]], alpha[:2], rtol=1e-5)
            assert np.count_nonzero(share) == 2
            beyond = found.share_beyond[number, state]
            np.testing.assert_allclose(beyond, [0.0, *alpha[2:]], rtol=1e-5)
            np.testing.assert_allclose(found.mean_weight[number, state, 1, 4], alpha[0], rtol=1e-5)
    # Nothing varies: neither do the blocks.
    np.testing.assert_allclose(found.share_interval.lower, found.share, atol=1e-7)
    np.testing.assert_allclose(found.share_interval.upper, found.share, atol=1e-7)
    # The bin from 2.5 to 3 holds 2.6; half of it, half of that.
    np.testing.assert_allclose(
        found.share_within(1.0, 2.75)[0, 0], [0.0, alpha[0] + 0.5 * alpha[1], 0.0], rtol=1e-5
    )
    np.testing.assert_allclose(found.share_within(0.0, np.inf).sum(axis=2), 1.0, rtol=1e-6)


@pytest.mark.parametrize(
    "options",
    [{}, {"variant": "released", "envelope": True}, {"pooling": "global"}],
    ids=["paper", "released with envelope", "global"],
)
def test_against_the_loop(
    options: dict[str, Any],
    random_model: Models,
    slow_model: Callable[..., Any],
    whole_graphs: Callable[[Trajectory], PackedGraphs],
    some_gas: Trajectory,
) -> None:
    model, run = random_model(**options), some_gas[:3]
    slow = slow_model(model, whole_graphs(run))
    chi = slow.states.reshape(3, -1, 2)
    attention = np.zeros((2, 2, 3, 5))
    counts, atoms = np.zeros((2, 3, 5)), np.zeros(2)
    graphs = whole_graphs(run)
    for frame in range(3):
        for number, group in enumerate([[0], [1, 4], [2]]):
            weight = chi[frame, 0 if model.pooling == "global" else number]
            for atom in group:
                row = 12 * frame + atom
                atoms += weight
                for k in range(5):
                    element = [3, 16, 17].index(run.species[graphs.neighbors[row, k]])
                    column = min(int(graphs.distances[row, k] // 0.75), 4)
                    counts[:, element, column] += weight
                    attention[:, :, element, column] += slow.attention[:, row, k, None] * weight
    found = neighbor_attention(model, run, r_max=3.0, n_bins=4, resampling=BLOCKS)
    np.testing.assert_allclose(
        np.concatenate([found.share, found.share_beyond[..., None]], axis=3),
        attention / atoms[:, None, None],
        atol=2e-6,
    )
    with np.errstate(invalid="ignore"):
        means = (attention / counts)[..., :-1]
    np.testing.assert_allclose(found.mean_weight, means, atol=1e-5)
    np.testing.assert_allclose(
        found.neighbors, (counts / atoms[:, None, None])[..., :-1], atol=1e-5
    )
    # The states given are as good as those of the model.
    given = neighbor_attention(model, run, chi, r_max=3.0, n_bins=4, resampling=BLOCKS)
    np.testing.assert_allclose(given.share, found.share, atol=2e-6)


def test_stride_segments_and_batches(
    plain_model: Any, some_gas: Trajectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each second frame of each segment is what a trajectory of these frames is."""
    model = plain_model
    run = replace(some_gas, segment_offsets=np.array([0, 5, 12]))
    chosen = [0, 2, 4, 5, 7, 9, 11]
    alone = replace(
        some_gas,
        positions=some_gas.positions[chosen],
        cells=some_gas.cells[chosen],
        segment_offsets=np.array([0, 3, 7]),
    )
    expected = neighbor_attention(model, alone, resampling=Resampling(block_length=2))
    monkeypatch.setattr("kgdyn.explain._sample._ATOMS_PER_BATCH", 24)
    seen: list[tuple[int, int]] = []
    found = neighbor_attention(
        model,
        run,
        stride=2,
        resampling=Resampling(block_length=4),
        progress=lambda *state: seen.append(state),
    )
    assert seen[0] == (2, 14)
    assert seen[-1] == (14, 14)
    assert (found.stride, found.n_frames, found.resampling.block_length) == (2, 7, 4)
    for name in ("share", "mean_weight", "neighbors"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-6)
    np.testing.assert_allclose(found.share_interval.upper, expected.share_interval.upper, atol=1e-5)
    # Two trajectories are what two segments are.
    both = neighbor_attention(model, [alone[:3], alone[3:]], resampling=Resampling(block_length=2))
    np.testing.assert_allclose(both.share, expected.share, atol=1e-6)
    np.testing.assert_allclose(both.share_interval.lower, expected.share_interval.lower, atol=1e-5)


def test_the_interval_is_the_jackknife_of_blocks(plain_model: Any, some_gas: Trajectory) -> None:
    model = plain_model
    chi = halves(some_gas) * 0.0 + 0.5
    options: dict[str, Any] = {"r_max": 4.0, "n_bins": 1}
    with pytest.warns(RuntimeWarning, match="only 4 blocks"):
        found = neighbor_attention(
            model, some_gas, chi, resampling=Resampling(block_length=3), **options
        )
    parts = np.stack(
        [
            neighbor_attention(
                model, some_gas[a : a + 3], chi[a : a + 3], resampling=BLOCKS, **options
            ).share
            for a in range(0, 12, 3)
        ]
    )
    np.testing.assert_allclose(found.share, parts.mean(axis=0), atol=1e-7)
    # To first order half the width is t(n - 1) standard errors; more where few blocks carry it.
    error = parts.std(axis=0, ddof=1) / 2.0
    half = 0.5 * (found.share_interval.upper - found.share_interval.lower)
    assert (half > 3.0 * error * 0.9).all()


def test_what_it_says_of_itself(plain_model: Any, some_gas: Trajectory) -> None:
    found = neighbor_attention(plain_model, some_gas, resampling=BLOCKS)
    text = repr(found)
    assert text.startswith("NeighborAttention(n_convolutions=2, n_states=2, elements=['Li', 'S'")
    assert "r_max=6 angstrom, n_bins=40, n_frames=12, n_targets=3, stride=1" in text
    with pytest.raises(ValueError, match="read-only"):
        found.share[0] = 1.0
    with pytest.raises(ValueError, match=r"low must be below high, received 3.0 and 2.0"):
        found.share_within(3.0, 2.0)
    assert isinstance(found, NeighborAttention)


def test_blocks_are_chosen_from_the_states(plain_model: Any, some_gas: Trajectory) -> None:
    with pytest.warns(RuntimeWarning):
        found = neighbor_attention(plain_model, some_gas, lagtime=1)
    assert found.resampling.block_length >= 1
    assert np.isfinite(found.share_interval.upper).any()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"stride": 0}, ValueError, "stride must be at least 1, received 0"),
        ({"stride": 1.5}, TypeError, "stride must be a whole number, received 1.5"),
        ({"n_bins": 0}, ValueError, "n_bins must be at least 1, received 0"),
        ({"r_max": 0.0}, ValueError, "r_max must be a positive length in angstrom, received 0.0"),
        ({"lagtime": 0}, ValueError, "lagtime must be at least 1, received 0"),
        (
            {"state_probabilities": np.full((12, 2, 2), 0.5)},
            ValueError,
            r"must have shape \(n_frames, n_targets, n_states\) = \(12, 3, 2\), received \(12, 2",
        ),
        (
            {"state_probabilities": [np.full((12, 3, 2), 0.5)] * 2},
            ValueError,
            "one array for each trajectory, received 2 for 1",
        ),
    ],
)
def test_bad_arguments(
    options: Any, error: type, message: str, plain_model: Any, some_gas: Trajectory
) -> None:
    with pytest.raises(error, match=message):
        neighbor_attention(plain_model, some_gas, **options)


def test_other_bad_input(plain_model: Any, some_gas: Trajectory) -> None:
    model: Any = "model.keras"
    with pytest.raises(TypeError, match=r"model must be a kgdyn.GDyNet, received 'model.keras'"):
        neighbor_attention(model, some_gas)
    strange = replace(some_gas, species=np.full(12, 11, np.int32))
    with pytest.raises(ValueError, match="holds Na, which the model never saw"):
        neighbor_attention(plain_model, strange)
    positions = some_gas.positions.copy()
    positions[7, 3] = np.nan
    with pytest.raises(ValueError, match="frame 7: positions must be finite"):
        neighbor_attention(
            plain_model,
            replace(some_gas, positions=positions, targets=TargetGroups.from_indices([0])),
        )
