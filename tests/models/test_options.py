"""The optional pieces of a GDyNet: envelope, pools, whole frames, dropout, decay, precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from kgdyn.frames import TargetGroups
from kgdyn.graphs import concatenate_graphs
from kgdyn.koopman import estimate_koopman_model
from kgdyn.models import GDyNet, flat_graph
from kgdyn.training import assign_states, pairs_dataset, to_ragged

Maker = Callable[..., Any]
Packer = Callable[..., Any]
M = 9
CELL = np.diag([9.0, 10.0, 11.0])
N_ATOMS = 30


def system(seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.random((N_ATOMS, 3)) @ CELL, rng.choice([3, 8, 16], N_ATOMS)


def random_model(**options: Any) -> GDyNet:
    """A model of which no weight is trivial."""
    keras.utils.set_random_seed(1)
    model = GDyNet(3, [3, 8, 16], M, **options)
    rng = np.random.default_rng(2)
    for weight in model.trainable_weights:
        weight.assign(np.asarray(weight) + 0.2 * rng.normal(size=weight.shape))
    return model


def states(model: GDyNet, graphs: Any) -> Any:
    return np.asarray(model(to_ragged(graphs), training=False))


# --- the envelope -------------------------------------------------------------------------------


def around_the_swap(graphs_of: Packer) -> tuple[Any, Any]:
    """Graphs just before and after the 10th nearest atom of atom 0 takes the place of the 9th."""
    positions, species = system()
    offsets = positions - positions[0]
    offsets -= np.round(offsets / np.diag(CELL)) * np.diag(CELL)
    lengths = np.linalg.norm(offsets, axis=1)
    ninth, tenth = np.argsort(lengths)[[M, M + 1]]
    found = []
    for gap in (2e-5, -2e-5):
        moved = positions.copy()
        moved[tenth] = positions[0] + offsets[tenth] * (lengths[ninth] + gap) / lengths[tenth]
        found.append(graphs_of(moved, CELL, species, TargetGroups.from_indices([0]), M))
    assert ninth in found[0].neighbors[0]
    assert tenth not in found[0].neighbors[0]
    assert ninth not in found[1].neighbors[0]
    assert tenth in found[1].neighbors[0]
    return found[0], found[1]


@pytest.mark.parametrize("variable_neighbors", [False, True])
@pytest.mark.parametrize("variant", ["paper", "released"])
def test_envelope_takes_away_the_jump(
    variant: str, variable_neighbors: bool, graphs_of: Packer
) -> None:
    before, after = around_the_swap(graphs_of)
    jumps = []
    for envelope in (False, True):
        model = random_model(
            envelope=envelope, variant=variant, variable_neighbors=variable_neighbors
        )
        jumps.append(np.abs(states(model, after) - states(model, before)).max())
    assert jumps[0] > {"paper": 1e-3, "released": 5e-4}[variant]
    assert jumps[1] < {"paper": 1e-5, "released": 5e-6}[variant]


def test_envelope_changes_the_states_and_has_no_weights(graphs_of: Packer) -> None:
    graphs, _ = around_the_swap(graphs_of)
    plain, enveloped = random_model(), random_model(envelope=True)
    assert len(plain.weights) == len(enveloped.weights)
    assert np.abs(states(plain, graphs) - states(enveloped, graphs)).max() > 1e-3


def test_compiled_convolution_knows_the_envelope(graphs_of: Packer) -> None:
    graphs, _ = around_the_swap(graphs_of)
    model = random_model(envelope=True, pooling="global")
    found = []
    for compiled in (False, True):
        model.compiled_convolution = compiled
        with tf.GradientTape() as tape:
            probabilities = model(to_ragged(graphs))
            first = probabilities[0, 0]
        gradients = tape.gradient(first, model.trainable_weights)
        found.append([probabilities, *map(tf.convert_to_tensor, gradients)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(other, one, rtol=0.0, atol=2e-6)


def test_perfect_crystal_with_the_shell_cut_exactly(graphs_of: Packer) -> None:
    """12 neighbours at one distance in fcc: all weigh the same, as without an envelope."""
    positions = np.array([[0, 0, 0], [0, 2, 2], [2, 0, 2], [2, 2, 0]], float)
    groups = TargetGroups.from_indices([0, 3])
    graphs = graphs_of(positions, 4.0 * np.eye(3), [16] * 4, groups, 12)
    found = []
    for envelope in (False, True):
        model = random_model(envelope=envelope)
        model.n_neighbors = 12
        found.append(states(model, graphs))
    np.testing.assert_allclose(found[1], found[0], rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("envelope", [False, True])
def test_gradient_is_finite_where_distances_are_equal(envelope: bool, graphs_of: Packer) -> None:
    positions = np.array([[0, 0, 0], [0, 2, 2], [2, 0, 2], [2, 2, 0]], float)
    graphs = graphs_of(
        positions, 4.0 * np.eye(3), [16, 3, 8, 16], TargetGroups.from_indices([0]), M
    )
    graph, model = flat_graph(graphs), random_model(envelope=envelope)
    model.compiled_convolution = False  # which gives distances no gradient
    distances = tf.constant(graph.distances)
    with tf.GradientTape() as tape:
        tape.watch(distances)
        first = model.call_flat(graph._replace(distances=distances))[0, 0]
    gradients = tape.gradient(first, [distances, *model.trainable_weights])
    assert all(np.isfinite(tf.convert_to_tensor(gradient)).all() for gradient in gradients)


# --- what is pooled -----------------------------------------------------------------------------


def test_reduction_is_as_the_variant_says_or_as_told() -> None:
    for variant, default in (("paper", "sum"), ("released", "mean")):
        assert {layer.reduction for layer in random_model(variant=variant).convolutions} == {
            default
        }
        for reduction in ("sum", "mean"):
            model = random_model(variant=variant, reduction=reduction)
            assert {layer.reduction for layer in model.convolutions} == {reduction}
            assert model.get_config()["reduction"] == reduction
    with pytest.raises(ValueError, match=r"reduction must be one of .*received 'max'"):
        random_model(reduction="max")


def test_global_states_are_those_of_all_targets_as_one(graphs_of: Packer) -> None:
    """The mean over targets of one atom each is the mean over the atoms of one target."""
    members = [4, 9, 2, 20]
    frames = [system(seed) for seed in range(3)]
    apart, joined = (
        concatenate_graphs([graphs_of(*frame[:1], CELL, frame[1], groups, M) for frame in frames])
        for groups in (
            TargetGroups.from_indices(members),
            TargetGroups.from_groups([members]),
        )
    )
    model, local = random_model(pooling="global"), random_model()
    found = states(model, apart)
    assert found.shape == (3, 3)
    assert np.ptp(found, axis=0).max() > 1e-3
    np.testing.assert_allclose(found, states(local, joined), rtol=0.0, atol=1e-6)


def test_global_pooling_weighs_targets_not_atoms(graphs_of: Packer) -> None:
    positions, species = system()
    graphs = [
        graphs_of(positions, CELL, species, TargetGroups.from_groups(groups), M)
        for groups in ([[4, 9, 2], [20]], [[20], [9, 2, 4]], [[4, 9], [2, 20]])
    ]
    model = random_model(pooling="global")
    first, same, other = (states(model, part) for part in graphs)
    np.testing.assert_allclose(same, first, rtol=0.0, atol=1e-6)
    assert np.abs(other - first).max() > 1e-4


@pytest.mark.slow
def test_global_states_of_pairs_and_trajectories(hopping: Any, small_model: Maker) -> None:
    """Trained, assigned and analysed; frames of one target are that target."""
    trajectory, chain = hopping
    model = small_model(pooling="global")
    pairs = pairs_dataset(
        trajectory.with_targets(TargetGroups.from_indices([0, 1])),
        lagtime=2,
        n_neighbors=3,
        batch_size=300,
        n_hops=1,
    )
    model.fit(pairs, epochs=10, verbose=0)
    chi = assign_states(model, trajectory.with_targets(TargetGroups.from_indices([0, 1])))
    assert chi.shape == (600, 1, 2)
    agreement = (chi[:, 0].argmax(axis=1) == chain).mean()
    assert max(agreement, 1.0 - agreement) > 0.98
    assert estimate_koopman_model(chi, lagtime=2, frame_interval=0.5).koopman_matrix.shape == (2, 2)
    local = small_model()
    local.set_weights(model.get_weights())
    np.testing.assert_allclose(
        assign_states(model, trajectory), assign_states(local, trajectory), rtol=0.0, atol=1e-6
    )


def test_target_pools(graphs_of: Packer) -> None:
    """Side by side in the order they are named, before a head as wide as all of them."""
    positions, species = system()
    groups = TargetGroups.from_groups([[4, 9, 2], [20], [0, 1, 2, 3, 4, 5]])
    graphs = graphs_of(positions, CELL, species, groups, M)
    model = random_model(target_pools=("sum", "mean", "max"), n_features=4)
    assert model.head.hidden[0].kernel.shape == (12, 12)
    plain = random_model(n_features=4)
    n_head = len(plain.head.weights) + 1  # and the simplex map
    plain.set_weights([*model.get_weights()[:-n_head], *plain.get_weights()[-n_head:]])
    vectors: list[Any] = []
    plain.target_pooling.call = lambda nodes, *args, **kwargs: vectors.append(nodes) or nodes[:3]
    states(plain, graphs)
    nodes = np.asarray(vectors[0], np.float64)
    slow = np.array(
        [
            [*nodes[group].sum(axis=0), *nodes[group].mean(axis=0), *nodes[group].max(axis=0)]
            for group in ([4, 9, 2], [20], [0, 1, 2, 3, 4, 5])
        ]
    )
    expected = model.simplex_map(model.head(slow.astype("float32")))
    np.testing.assert_allclose(states(model, graphs), expected, rtol=0.0, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "all"}, r"pooling must be one of \('targets', 'global'\), received 'all'"),
        ({"target_pools": ()}, r"pools must be distinct and of .*received \(\)"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, received 1.0"),
        ({"weight_decay": -1.0}, "weight_decay must be finite and not negative, received -1.0"),
    ],
)
def test_bad_option(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        random_model(**options)


# --- dropout and weight decay -------------------------------------------------------------------


@pytest.mark.slow
def test_dropout_trains_the_same_from_the_same_seed(hopping: Any, small_model: Maker) -> None:
    pairs = pairs_dataset(hopping[0][:200], lagtime=2, n_neighbors=3, batch_size=100, shuffle=False)
    weights = []
    for dropout in (0.3, 0.3, 0.0):
        model = small_model(dropout=dropout)
        model.fit(pairs, epochs=2, verbose=0, fix_states=False)
        weights.append(np.concatenate([np.ravel(weight) for weight in model.get_weights()]))
    np.testing.assert_array_equal(weights[0], weights[1])
    assert np.abs(weights[0] - weights[2]).max() > 1e-4


def test_weight_decay_is_added_to_the_loss(hopping: Any, small_model: Maker) -> None:
    pairs = pairs_dataset(hopping[0][:100], lagtime=2, n_neighbors=3, batch_size=98)
    plain, decayed = small_model(), small_model(weight_decay=0.01)
    decayed.set_weights(plain.get_weights())
    head = decayed.head
    squares = sum(np.sum(np.square(layer.kernel)) for layer in (*head.hidden, head.logits))
    losses = [
        model.evaluate(pairs, verbose=0, return_dict=True)["loss"] for model in (plain, decayed)
    ]
    assert losses[1] - losses[0] == pytest.approx(0.01 * squares, rel=1e-4)


@pytest.mark.slow
def test_a_little_weight_decay_trains(hopping: Any, small_model: Maker) -> None:
    pairs = pairs_dataset(hopping[0], lagtime=2, n_neighbors=3, batch_size=300)
    model = small_model(weight_decay=1e-3, dropout=0.1)
    model.fit(pairs, epochs=10, verbose=0)
    correlation = np.corrcoef(hopping[1][:-2], hopping[1][2:])[0, 1]
    score = model.evaluate(pairs, verbose=0, return_dict=True)["vamp2"]  # 1.56 of 1.58
    assert score == pytest.approx(1.0 + correlation**2, abs=0.04)


# --- files --------------------------------------------------------------------------------------

ALL_OPTIONS: dict[str, Any] = {
    "reduction": "mean",
    "dropout": 0.2,
    "weight_decay": 1e-3,
    "envelope": True,
    "pooling": "global",
    "target_pools": ["max", "mean"],
}


@pytest.mark.parametrize("variant", ["paper", pytest.param("released", marks=pytest.mark.slow)])
def test_options_survive_a_file(
    variant: str, hopping: Any, small_model: Maker, tmp_path: Any
) -> None:
    from kgdyn import load_model

    model = small_model(variant=variant, **ALL_OPTIONS)
    pairs = pairs_dataset(hopping[0][:100], lagtime=2, n_neighbors=3, batch_size=50, shuffle=False)
    model.fit(pairs, epochs=1, verbose=0, fix_states=False)
    model.save(tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras")
    assert again.get_config() == model.get_config()
    assert {name: model.get_config()[name] for name in ALL_OPTIONS} == ALL_OPTIONS
    np.testing.assert_array_equal(
        assign_states(again, hopping[0]), assign_states(model, hopping[0])
    )
    for one in (model, again):  # dropout too goes on as if nothing had happened
        one.fit(pairs, epochs=1, verbose=0, fix_states=False)
    for mine, theirs in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("options", [{"variant": "released"}, {"envelope": True}])
def test_xla_gives_the_same(options: dict[str, Any], graphs_of: Packer) -> None:
    positions, species = system()
    graph = flat_graph(graphs_of(positions, CELL, species, TargetGroups.from_indices([1, 5]), M))
    model = random_model(**options)
    model.compiled_convolution = False
    arrays = {name: value for name, value in graph._asdict().items() if value is not None}
    compiled = tf.function(lambda: model.call_flat(type(graph)(**arrays)), jit_compile=True)
    np.testing.assert_allclose(compiled(), model.call_flat(graph), rtol=0.0, atol=1e-6)


# --- precision ----------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_what_stays_in_full_precision(policy: str, graphs_of: Packer) -> None:
    """Distances, envelope, last dense layer, softmax and map; the convolutions are half."""
    positions, species = system()
    graphs = graphs_of(positions, CELL, species, TargetGroups.from_indices([1, 5]), M)
    model = random_model(dtype=policy, envelope=True)
    model.compiled_convolution = False
    seen: dict[str, list[str]] = {}

    def watch(layer: Any, name: str) -> None:
        call = layer.call

        def watched(value: Any, *args: Any, **kwargs: Any) -> Any:
            result = call(value, *args, **kwargs)
            seen[name] = [keras.backend.standardize_dtype(each.dtype) for each in (value, result)]
            return result

        layer.call = watched

    watched_layers = {
        "basis": model.radial_basis,
        "envelope": model.cutoff_envelope,
        "convolution": model.convolutions[-1],
        "logits": model.head.logits,
        "head": model.head,
        "map": model.simplex_map,
    }
    for name, layer in watched_layers.items():
        watch(layer, name)
    probabilities = model.predict_on_batch(to_ragged(graphs))
    half = model.compute_dtype
    assert half == {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}.get(policy, policy)
    assert seen == {
        "basis": ["float32", half],
        "envelope": ["float32", "float32"],
        "convolution": [half, half],
        "logits": ["float32", "float32"],
        "head": [half, "float64"],
        "map": ["float64", "float32"],
    }
    assert probabilities.dtype == np.float32


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_distances_near_six_angstrom_keep_their_digits(policy: str) -> None:
    """Rounded to half precision they would be off by 0.002 or 0.015 angstrom."""
    model = random_model(dtype=policy, envelope=True)
    exact = np.float32(np.linspace(5.9, 6.1, 401))
    centers = 0.2 * np.arange(41)
    expected = np.exp(-(((exact.astype(np.float64)[:, None] - centers) / 0.2) ** 2))
    found = tf.cast(model.radial_basis(exact[None]), "float64").numpy()[0]
    step = {"mixed_float16": 2.0**-11, "mixed_bfloat16": 2.0**-8}[policy]
    np.testing.assert_allclose(found, expected, rtol=1.01 * step, atol=1e-6)
    # What is in front of that last rounding is exact.
    keras_layer = type(model.radial_basis)(cutoff=8.0)
    np.testing.assert_allclose(keras_layer(exact), expected, rtol=0.0, atol=1e-6)
