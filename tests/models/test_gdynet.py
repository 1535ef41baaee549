"""What a GDyNet promises before any training: symmetries, batches, precision, arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from kgdyn.frames import TargetGroups
from kgdyn.graphs.packed_graphs import concatenate_graphs
from kgdyn.models import GDyNet, flat_graph
from kgdyn.models._disjoint_graph import flatten_graphs
from kgdyn.training import to_ragged

ATOL = 1e-5  # of state probabilities in float32
M = 9
N_ATOMS = 26
CELLS = {
    "orthogonal": np.diag([8.0, 9.0, 10.0]),
    "triclinic": np.array([[8.0, 0.0, 0.0], [3.0, 9.0, 0.0], [-2.5, 2.0, 10.0]]),
    "left-handed": np.array([[0.0, 9.0, 1.0], [8.0, 0.0, 0.0], [0.0, 2.0, 10.0]]),
}
GROUPS = {
    "atoms": TargetGroups.from_indices([4, 0, 25, 7, 13, 1, 2, 3]),
    "groups": TargetGroups.from_groups([[4, 9, 2], [0], [25, 24], [2, 7, 11, 1, 20, 21]]),
}
Packer = Callable[..., Any]


def liquid(cell: Any, seed: int = 0, n_atoms: int = N_ATOMS) -> tuple[Any, Any]:
    """Positions without order, and species of three elements."""
    rng = np.random.default_rng(seed)
    return rng.random((n_atoms, 3)) @ cell, rng.choice([3, 8, 16], n_atoms)


def random_model(n_states: int = 3, **options: Any) -> GDyNet:
    """A model of which no weight is trivial."""
    keras.utils.set_random_seed(1)
    model = GDyNet(n_states, [3, 8, 16], M, **options)
    rng = np.random.default_rng(2)
    for weight in model.trainable_weights:
        weight.assign(np.asarray(weight) + 0.2 * rng.normal(size=weight.shape))
    mixing = rng.dirichlet(np.ones(n_states), n_states)
    model.simplex_map.set_matrix(0.8 * np.eye(n_states) + 0.2 * mixing)
    return model


def states(model: GDyNet, graphs: Any) -> Any:
    """The mean-free part too must agree, so outputs must differ between targets."""
    probabilities = np.asarray(model(to_ragged(graphs), training=False))
    assert np.ptp(probabilities, axis=0).max() > 0.01
    return probabilities


@pytest.fixture(
    params=[
        {"variant": "paper"},
        {"variant": "released"},
        {"envelope": True, "target_pools": ("max", "mean")},
    ],
    ids=["paper", "released", "options"],
    scope="module",
)
def model(request: pytest.FixtureRequest) -> GDyNet:
    return random_model(**request.param)


@pytest.fixture(params=CELLS.values(), ids=CELLS.keys())
def cell(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=GROUPS.values(), ids=GROUPS.keys())
def groups(request: pytest.FixtureRequest) -> TargetGroups:
    return request.param  # type: ignore[no-any-return]


def test_output(model: GDyNet, cell: Any, groups: TargetGroups, graphs_of: Packer) -> None:
    probabilities = states(model, graphs_of(*liquid(cell)[:1], cell, liquid(cell)[1], groups, M))
    assert probabilities.shape == (groups.n_targets, 3)
    assert probabilities.dtype == np.float32
    assert probabilities.min() >= 0.0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=0.0, atol=1e-6)


def test_permutation_of_atoms(
    model: GDyNet, cell: Any, groups: TargetGroups, graphs_of: Packer, rng: np.random.Generator
) -> None:
    positions, species = liquid(cell)
    order = rng.permutation(N_ATOMS)
    moved = TargetGroups(np.argsort(order)[groups.atoms], groups.offsets)
    np.testing.assert_allclose(
        states(model, graphs_of(positions[order], cell, species[order], moved, M)),
        states(model, graphs_of(positions, cell, species, groups, M)),
        rtol=0.0,
        atol=ATOL,
    )


def test_translation(
    model: GDyNet, cell: Any, groups: TargetGroups, graphs_of: Packer, rng: np.random.Generator
) -> None:
    positions, species = liquid(cell)
    shift = rng.normal(scale=20.0, size=3)
    np.testing.assert_allclose(
        states(model, graphs_of(positions + shift, cell, species, groups, M)),
        states(model, graphs_of(positions, cell, species, groups, M)),
        rtol=0.0,
        atol=ATOL,
    )


@pytest.mark.parametrize("mirror", [False, True])
def test_rotation_of_cell_and_atoms(
    mirror: bool,
    model: GDyNet,
    cell: Any,
    groups: TargetGroups,
    graphs_of: Packer,
    rng: np.random.Generator,
) -> None:
    positions, species = liquid(cell)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    if (np.linalg.det(rotation) < 0.0) != mirror:
        rotation[:, 0] *= -1.0
    np.testing.assert_allclose(
        states(model, graphs_of(positions @ rotation, cell @ rotation, species, groups, M)),
        states(model, graphs_of(positions, cell, species, groups, M)),
        rtol=0.0,
        atol=ATOL,
    )


def test_wrapping_by_several_cells(
    model: GDyNet, cell: Any, groups: TargetGroups, graphs_of: Packer, rng: np.random.Generator
) -> None:
    positions, species = liquid(cell)
    far = positions + rng.integers(-7, 8, (N_ATOMS, 3)) @ cell
    np.testing.assert_allclose(
        states(model, graphs_of(far, cell, species, groups, M)),
        states(model, graphs_of(positions, cell, species, groups, M)),
        rtol=0.0,
        atol=ATOL,
    )


def test_another_cell_of_the_same_lattice(
    model: GDyNet, cell: Any, groups: TargetGroups, graphs_of: Packer
) -> None:
    positions, species = liquid(cell)
    other = np.array([[1, 0, 0], [2, 1, 0], [-1, 1, 1]]) @ cell
    np.testing.assert_allclose(
        states(model, graphs_of(positions, other, species, groups, M)),
        states(model, graphs_of(positions, cell, species, groups, M)),
        rtol=0.0,
        atol=ATOL,
    )


@pytest.mark.parametrize("n_atoms", [N_ATOMS, 3])
def test_replication_of_the_cell(
    n_atoms: int, model: GDyNet, cell: Any, groups: TargetGroups, graphs_of: Packer
) -> None:
    """Also where the cell is smaller than the M-th distance: 3 atoms have 9 neighbours."""
    small = cell if n_atoms == N_ATOMS else 0.45 * cell
    positions, species = liquid(small, n_atoms=n_atoms)
    if n_atoms < N_ATOMS:
        groups = TargetGroups.from_groups([[0], [1, 2], [0, 1, 2]])
    twice = TargetGroups(
        np.concatenate([groups.atoms, groups.atoms + n_atoms]),
        np.concatenate([groups.offsets, groups.offsets[1:] + len(groups.atoms)]),
    )
    expected = states(model, graphs_of(positions, small, species, groups, M))
    replicated = graphs_of(
        np.concatenate([positions, positions + small[0]]),
        np.diag([2.0, 1.0, 1.0]) @ small,
        np.concatenate([species, species]),
        twice,
        M,
    )
    np.testing.assert_allclose(
        states(model, replicated), np.concatenate([expected, expected]), rtol=0.0, atol=ATOL
    )


def test_what_must_change_the_states_does(model: GDyNet, graphs_of: Packer) -> None:
    """The model is not constant: a moved atom, another element and another target show."""
    cell, groups = CELLS["orthogonal"], GROUPS["groups"]
    positions, species = liquid(cell)
    expected = states(model, graphs_of(positions, cell, species, groups, M))
    moved, other = positions.copy(), species.copy()
    moved[0] += 0.3
    other[0] = 8 if other[0] != 8 else 3
    for changed in (
        (moved, cell, species),
        (positions, cell, other),
        (positions * 1.02, cell * 1.02, species),
    ):
        difference = states(model, graphs_of(*changed, groups, M)) - expected
        assert np.abs(difference[1]).max() > 1e-4


def test_frame_alone_as_in_a_batch(model: GDyNet, graphs_of: Packer) -> None:
    """Frames of other atom numbers, cells and targets in one batch leave each other alone."""
    parts = [
        graphs_of(positions, CELLS[name], species, GROUPS[kind], M)
        for name, kind, (positions, species) in (
            ("orthogonal", "atoms", liquid(CELLS["orthogonal"], 1, 31)),
            ("triclinic", "groups", liquid(CELLS["triclinic"], 2, 26)),
            ("triclinic", "atoms", liquid(CELLS["triclinic"], 3, 40)),
        )
    ]
    alone = np.concatenate([states(model, part) for part in parts])
    np.testing.assert_allclose(states(model, concatenate_graphs(parts)), alone, rtol=0.0, atol=ATOL)
    again = states(model, concatenate_graphs(parts[::-1]))
    np.testing.assert_allclose(again[-8:], alone[:8], rtol=0.0, atol=ATOL)


@pytest.mark.parametrize("variable_neighbors", [False, True])
def test_pairs_give_both_single_outputs(variable_neighbors: bool, graphs_of: Packer) -> None:
    model = random_model(variable_neighbors=variable_neighbors)
    cell, groups = CELLS["triclinic"], GROUPS["groups"]
    frames = np.stack([liquid(cell, seed)[0] for seed in range(4)])
    species = liquid(cell)[1]
    first = graphs_of(frames[:2], cell, species, groups, M)
    second = graphs_of(frames[2:], cell, species, groups, M)
    pairs = np.asarray(model({"t": to_ragged(first), "lag": to_ragged(second)}, training=False))
    assert pairs.shape == (2 * groups.n_targets, 2, 3)
    np.testing.assert_allclose(pairs[:, 0], states(model, first), rtol=0.0, atol=ATOL)
    np.testing.assert_allclose(pairs[:, 1], states(model, second), rtol=0.0, atol=ATOL)


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_variable_neighbors_equal_uniform(variant: str, graphs_of: Packer) -> None:
    cell = CELLS["triclinic"]
    positions, species = liquid(cell)
    graphs = graphs_of(positions, cell, species, GROUPS["groups"], M)
    uniform = random_model(variant=variant)
    variable = random_model(variant=variant, variable_neighbors=True)
    variable.set_weights(uniform.get_weights())
    np.testing.assert_allclose(
        states(variable, graphs), states(uniform, graphs), rtol=0.0, atol=ATOL
    )


def test_few_and_no_neighbors() -> None:
    """Three atoms, the first alone; the second and third see each other only."""
    model = random_model(variable_neighbors=True)

    def frames(neighbors: list[Any], distances: list[Any]) -> dict[str, Any]:
        return {
            "species": tf.ragged.constant([[3, 8, 16]], dtype=tf.int32),
            "neighbors": tf.ragged.constant([neighbors], dtype=tf.int32, ragged_rank=2),
            "distances": tf.ragged.constant([distances], dtype=tf.float32, ragged_rank=2),
            "targets": tf.ragged.constant([[[0], [1], [2]]], dtype=tf.int32, ragged_rank=2),
        }

    lonely = np.asarray(model(frames([[], [2], [1]], [[], [2.0], [2.0]]), training=False))
    assert np.isfinite(lonely).all()
    # What an atom without neighbours gives is its element, through the head.
    vector = model.embedding(np.array([3], "int32"))
    expected = np.asarray(model.simplex_map(model.head(vector)))
    np.testing.assert_allclose(lonely[:1], expected, rtol=0.0, atol=ATOL)
    nearer = np.asarray(model(frames([[], [2], [1]], [[], [1.5], [1.5]]), training=False))
    np.testing.assert_allclose(nearer[0], lonely[0], rtol=0.0, atol=ATOL)
    assert np.abs(nearer[1:] - lonely[1:]).max(axis=1).min() > 1e-4
    # A neighbour listed twice counts as one: attention is a mean.
    twice = np.asarray(model(frames([[], [2, 2], [1]], [[], [2.0, 2.0], [2.0]]), training=False))
    np.testing.assert_allclose(twice, lonely, rtol=0.0, atol=ATOL)


def test_more_convolutions_see_farther() -> None:
    """A chain 0 - 1 - 2: two convolutions carry atom 2 to atom 0, one does not."""
    for n_convolutions, sees in ((1, False), (2, True)):
        model = random_model(variable_neighbors=True, n_convolutions=n_convolutions)
        outputs = [
            np.asarray(
                model(
                    {
                        "species": tf.ragged.constant([[3, 8, last]], dtype=tf.int32),
                        "neighbors": tf.ragged.constant([[[1], [2], []]], dtype=tf.int32),
                        "distances": tf.ragged.constant([[[2.0], [2.5], []]], dtype=tf.float32),
                        "targets": tf.ragged.constant([[[0]]], dtype=tf.int32),
                    },
                    training=False,
                )
            )
            for last in (8, 16)
        ]
        assert (np.abs(outputs[0] - outputs[1]).max() > 1e-5) == sees


def test_unknown_element_gives_nan_around_it_only(graphs_of: Packer) -> None:
    cell = CELLS["orthogonal"]
    positions, species = liquid(cell)
    model = random_model()
    parts = [
        graphs_of(positions, cell, kinds, GROUPS["atoms"], M)
        for kinds in (species, np.where(np.arange(N_ATOMS) == 4, 11, species))
    ]
    probabilities = np.asarray(model(to_ragged(concatenate_graphs(parts)), training=False))
    assert np.isfinite(probabilities[:8]).all()
    assert np.isnan(probabilities[8]).all()  # the atom itself


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_is_close(policy: str, graphs_of: Packer) -> None:
    cell = CELLS["orthogonal"]
    positions, species = liquid(cell)
    graphs = graphs_of(positions, cell, species, GROUPS["atoms"], M)
    exact, half = random_model(), random_model(dtype=policy)
    half.set_weights(exact.get_weights())
    probabilities = states(half, graphs)
    assert half.convolutions[0].compute_dtype != "float32"
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=0.0, atol=1e-6)
    atol = {"mixed_float16": 3e-3, "mixed_bfloat16": 3e-2}[policy]
    np.testing.assert_allclose(probabilities, states(exact, graphs), rtol=0.0, atol=atol)


@pytest.mark.parametrize("n_states", [2, 4])
def test_number_of_states(n_states: int, graphs_of: Packer) -> None:
    cell = CELLS["orthogonal"]
    positions, species = liquid(cell)
    graphs = graphs_of(positions, cell, species, GROUPS["atoms"], M)
    probabilities = np.asarray(random_model(n_states)(to_ragged(graphs), training=False))
    assert probabilities.shape == (8, n_states)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=0.0, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [{}, {"variant": "released"}, {"envelope": True, "target_pools": ("sum", "max")}],
    ids=["paper", "released", "options"],
)
@pytest.mark.parametrize("n_hops", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", ["atoms", "groups"])
def test_receptive_field_is_enough(
    kind: str, n_hops: int, options: dict[str, Any], graphs_of: Packer
) -> None:
    """Graphs cut down to as many hops as convolutions, or more; frames of other sizes in one."""
    model = random_model(**options, n_convolutions=min(n_hops, 3))
    systems = [
        (*liquid(3.0 * CELLS[name], seed, n_atoms), 3.0 * CELLS[name])
        for name, seed, n_atoms in (("orthogonal", 1, 260), ("triclinic", 2, 190))
    ]
    groups = GROUPS[kind]
    whole, cut = (
        concatenate_graphs(
            [
                graphs_of(positions, cell, species, groups, 4, n_hops=hops)
                for positions, species, cell in systems
            ]
        )
        for hops in (None, n_hops)
    )
    model.n_neighbors = 4
    if n_hops < 3:
        assert len(cut.species) < 0.8 * len(whole.species)
    np.testing.assert_allclose(states(model, cut), states(model, whole), rtol=0.0, atol=ATOL)


@pytest.mark.parametrize("n_hops", [None, 2])
@pytest.mark.parametrize("variable_neighbors", [False, True])
def test_flat_graph_is_what_ragged_tensors_become(
    variable_neighbors: bool, n_hops: int | None, graphs_of: Packer
) -> None:
    """Frames of other sizes, targets of several atoms; atoms of one hop stay in order."""
    graphs = concatenate_graphs(
        [
            graphs_of(
                *liquid(CELLS[name], seed, n_atoms)[:1],
                CELLS[name],
                liquid(CELLS[name], seed, n_atoms)[1],
                GROUPS[kind],
                4,
                n_hops=n_hops,
            )
            for name, kind, seed, n_atoms in (
                ("orthogonal", "atoms", 1, 60),
                ("triclinic", "groups", 2, 40),
            )
        ]
    )
    if variable_neighbors and n_hops is not None:
        with pytest.raises(ValueError, match="hops: graphs with different numbers of neighbours"):
            flat_graph(graphs, variable_neighbors)
        return
    arrays = flat_graph(graphs, variable_neighbors)
    tensors = flatten_graphs(to_ragged(graphs), None if variable_neighbors else 4)
    for name, array, tensor in zip(arrays._fields, arrays, tensors, strict=True):
        if array is None:
            assert tensor is None, name
            continue
        np.testing.assert_array_equal(array, np.asarray(tensor), err_msg=name)
        assert isinstance(array, int) or array.dtype == np.asarray(tensor).dtype, name
    assert (arrays.hops is None) == (n_hops is None)


def test_config_round_trip(graphs_of: Packer) -> None:
    model = random_model(
        lagtime=7,
        frame_interval=0.25,
        targets="type Li",
        n_features=5,
        n_convolutions=2,
        n_hidden=2,
        radial_cutoff=4.0,
        variant="released",
        variable_neighbors=True,
        dtype="mixed_bfloat16",
    )
    again = GDyNet.from_config(model.get_config())
    again.set_weights(model.get_weights())
    assert again.get_config() == model.get_config()
    cell = CELLS["orthogonal"]
    positions, species = liquid(cell)
    graphs = graphs_of(positions, cell, species, GROUPS["atoms"], M)
    np.testing.assert_array_equal(states(again, graphs), states(model, graphs))


def test_eager_equals_graph(model: GDyNet, graphs_of: Packer) -> None:
    cell = CELLS["orthogonal"]
    positions, species = liquid(cell)
    inputs = to_ragged(graphs_of(positions, cell, species, GROUPS["groups"], M))
    np.testing.assert_allclose(
        model.predict_on_batch(inputs), model(inputs, training=False), rtol=0.0, atol=ATOL
    )


def test_xla_only_where_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras' own choice on a machine with an accelerator is XLA, which recompiles each shape."""
    devices = [*tf.config.list_physical_devices(), tf.config.PhysicalDevice("accelerator", "GPU")]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda *kinds: devices)
    plain, model = keras.Sequential([keras.layers.Dense(2)]), random_model()
    plain.compile("adam", loss="mse")
    model.compile("adam", loss="mse")
    assert plain.jit_compile
    assert not model.jit_compile
    model.compile("adam", loss="mse", jit_compile=True)
    assert model.jit_compile


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("n_states", 1, "n_states must be at least 2, received 1"),
        ("elements", [], r"elements must be distinct positive ints, received \[\]"),
        ("elements", [3, 3], r"elements must be distinct positive ints, received \[3, 3\]"),
        ("n_neighbors", 0, "n_neighbors must be at least 1, received 0"),
        ("lagtime", 0, "lagtime must be at least 1, received 0"),
        ("frame_interval", 0.0, "frame_interval must be a positive time in ps, received 0.0"),
        ("frame_interval", float("nan"), "frame_interval must be a positive time .*nan"),
        ("n_features", 0, "n_features must be at least 1, received 0"),
        ("n_convolutions", 0, "n_convolutions must be at least 1, received 0"),
        ("n_hidden", -1, "n_hidden must not be negative, received -1"),
        ("radial_cutoff", 0.0, "cutoff must be a positive length in angstrom, received 0.0"),
        ("variant", "2019", r"variant must be one of .*received '2019'"),
    ],
)
def test_bad_argument(argument: str, value: Any, message: str) -> None:
    arguments = {"n_states": 2, "elements": [3, 16], "n_neighbors": 4, argument: value}
    with pytest.raises(ValueError, match=message):
        GDyNet(**arguments)
