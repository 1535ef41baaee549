"""The training step against the layout of 2019: gather, tile, concatenate, one dense layer.

    python tests/benchmarks/bench_training_step.py [--quick] [--only steps|fit|growth]

The reference is written here from the description of the 2019 code. Both have the same weights, and
the gradients are compared before anything is timed. Methods take turns in one process; a table
gives medians and how many times as fast as the reference each is, and the peak memory that a fresh
process adds for it. Nothing here fails because it is slow.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[2]))  # also where kgdyn is not installed

import keras
import numpy as np
import tensorflow as tf

from kgdyn.frames import TargetGroups
from kgdyn.graphs import PackedGraphs, pack_graphs
from kgdyn.models import GDyNet
from kgdyn.models._disjoint_graph import FlatGraph, flatten_graphs
from kgdyn.scores import VAMP2Loss
from kgdyn.training.datasets import to_ragged

N_BASIS = 41
N_STATES = 4
MIB = 1024.0**2
Step = Callable[[], Any]


class Case(NamedTuple):
    """A batch of pairs of frames of a liquid, or of Li in a frozen cell of four S."""

    name: str
    n_atoms: int
    n_targets: int
    n_neighbors: int
    n_features: int
    n_pairs: int
    n_convolutions: int = 3


CASES = {
    "five": Case("5 atoms, 512 pairs", 5, 1, 12, 16, 512),
    "five-large": Case("5 atoms, 4,096 pairs", 5, 1, 12, 16, 4096),
    "liquid-16": Case("4,000 atoms, 50 targets, 16 features", 4000, 50, 20, 16, 4),
    "liquid-64": Case("4,000 atoms, 50 targets, 64 features", 4000, 50, 20, 64, 4),
}


def pack(case: Case, n_frames: int, n_hops: int | None) -> PackedGraphs:
    rng = np.random.default_rng(0)
    if case.n_atoms == 5:
        sites = 6.5 * np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5], [0, 0, 0]])
        positions = sites + rng.normal(size=(n_frames, 5, 3)) * 0.15
        positions[:, 4] = rng.uniform(size=(n_frames, 3)) * 6.5
        length, species, chosen = 6.5, np.array([16, 16, 16, 16, 3]), np.array([4])
    else:
        length = float(np.cbrt(case.n_atoms / 0.0535))
        edge = int(np.ceil(np.cbrt(case.n_atoms)))
        grid = np.stack(np.meshgrid(*[np.arange(edge)] * 3, indexing="ij"), -1).reshape(-1, 3)
        sites = grid[rng.permutation(len(grid))[: case.n_atoms]].astype(float)
        jitter = rng.normal(size=(n_frames, case.n_atoms, 3)) * 0.18
        positions = (sites + jitter) * length / edge
        species = rng.choice([3, 8, 16], case.n_atoms)
        chosen = np.sort(rng.permutation(case.n_atoms)[: case.n_targets])
    targets = TargetGroups(chosen, np.arange(len(chosen) + 1))
    cells = np.broadcast_to(length * np.eye(3), (n_frames, 3, 3))
    pbc = np.ones(3, dtype=bool)
    return pack_graphs(
        positions, cells, pbc, species.astype(np.int32), targets, case.n_neighbors, n_hops=n_hops
    )


def flat(graphs: PackedGraphs) -> FlatGraph:
    """All of a batch as one graph, its number of targets known."""
    graph = flatten_graphs(to_ragged(graphs), graphs.n_neighbors)
    return graph._replace(n_targets=len(graphs.target_atom_splits) - 1)


class Convolution2019(keras.layers.Layer):
    """One dense layer and one attention on z_ij = v_i ++ v_j ++ u_ij, made for every edge."""

    def __init__(self, batch_normalization: bool = False) -> None:
        super().__init__()
        norm = keras.layers.BatchNormalization
        self.norms = (norm(), norm()) if batch_normalization else None

    def build(self, nodes_shape: Any, neighbors_shape: Any, basis_shape: Any) -> None:
        n_features, n_inputs = nodes_shape[-1], 2 * nodes_shape[-1] + basis_shape[-1]
        self.kernel = self.add_weight(name="kernel", shape=(n_inputs, n_features))
        self.bias = self.add_weight(name="bias", shape=(n_features,), initializer="zeros")
        self.attention = self.add_weight(name="attention", shape=(n_inputs, 1))
        self.attention_bias = self.add_weight(name="attention_bias", shape=(1,))
        self.built = True

    def call(self, nodes: Any, neighbors: Any, basis: Any, training: bool = False) -> Any:
        gathered = tf.gather(nodes, neighbors)
        tiled = tf.tile(nodes[:, None, :], [1, neighbors.shape[1], 1])
        z = tf.concat([tiled, gathered, basis], axis=-1)
        messages = tf.tensordot(z, self.kernel, 1) + self.bias
        logits = tf.tensordot(z, self.attention, 1) + self.attention_bias
        if self.norms is not None:
            messages = self.norms[0](messages, training=training)
        reduced = tf.reduce_sum(tf.nn.softmax(logits, axis=1) * tf.nn.relu(messages), axis=1)
        if self.norms is None:
            return nodes + reduced
        return tf.nn.relu(nodes + self.norms[1](reduced, training=training))


class Network2019(keras.Model):
    """The 2019 network: all atoms in every layer, and all but the convolutions of a GDyNet."""

    def __init__(self, like: GDyNet, batch_normalization: bool = False) -> None:
        super().__init__()
        self.like = like
        self.convolutions = [Convolution2019(batch_normalization) for _ in like.convolutions]
        nodes, edges = (None, like.n_features), (None, like.n_neighbors)
        for own, other in zip(self.convolutions, like.convolutions, strict=True):
            own.build(nodes, edges, (*edges, N_BASIS))
            parts = (other.center_kernel, other.neighbor_kernel, other.basis_kernel)
            own.kernel.assign(np.concatenate([part.numpy() for part in parts]))
            unused = np.zeros((like.n_features, 1), np.float32)
            columns = (unused, other.neighbor_attention.numpy(), other.basis_attention.numpy())
            own.attention.assign(np.concatenate(columns))

    @property
    def weights_in_order(self) -> list[Any]:
        return [
            *self.like.embedding.trainable_weights,
            *(weight for layer in self.convolutions for weight in layer.trainable_weights),
            *self.like.head.trainable_weights,
        ]

    def call(self, inputs: Any, training: bool = False) -> Any:
        if isinstance(inputs, dict):
            first, second = (flatten_graphs(inputs[k], self.like.n_neighbors) for k in ("t", "lag"))
            both = [self.call_flat(graph, training) for graph in (first, second)]
            return tf.stack(both, axis=1)
        return self.call_flat(inputs, training)

    def call_flat(self, graph: FlatGraph, training: bool = False) -> Any:
        nodes = self.like.embedding(graph.species)
        basis = self.like.radial_basis(graph.distances)
        for convolution in self.convolutions:
            nodes = convolution(nodes, graph.neighbors, basis, training=training)
        pooled = self.like.target_pooling(
            nodes, graph.target_atoms, graph.target_of_atom, n_targets=graph.n_targets
        )
        return self.like.head(pooled)


def loss_of(probabilities: Any) -> Any:
    """Of the first half of the frames at t, the second at t + lagtime."""
    pairs = tf.reshape(probabilities, (2, -1, N_STATES))
    return VAMP2Loss()(None, tf.transpose(pairs, (1, 0, 2)))


def make_step(
    forward: Callable[[FlatGraph], Any],
    weights: list[Any],
    graph: FlatGraph,
    xla: bool = False,
    in_pieces: GDyNet | None = None,
) -> Step:
    """Loss, gradients and update by Adam, as one function of the graph.

    With ``in_pieces`` XLA compiles what stands around its convolutions, as its `fit` does.
    """
    piece = (lambda function: function) if in_pieces is None else in_pieces.in_xla
    optimizer = keras.optimizers.Adam(1e-9)  # the weights stay what they are
    optimizer.build(weights)

    @tf.function(jit_compile=xla, autograph=False)
    def step(*arrays: Any) -> Any:
        here = graph._replace(**dict(zip(names, arrays, strict=True)))
        with tf.GradientTape() as tape:
            loss = piece(loss_of)(forward(here))
        gradients = [tf.convert_to_tensor(part) for part in tape.gradient(loss, weights)]
        piece(lambda found: optimizer.apply(found, weights))(gradients)
        return loss

    names = [name for name, value in graph._asdict().items() if tf.is_tensor(value)]
    arrays = [getattr(graph, name) for name in names]
    return lambda: step(*arrays).numpy()


def make_steps(case: Case) -> dict[str, Step]:
    """The methods; the first is the reference."""
    keras.utils.set_random_seed(0)
    model = GDyNet(
        N_STATES,
        [3, 8, 16],
        case.n_neighbors,
        n_features=case.n_features,
        n_convolutions=case.n_convolutions,
    )
    reference = Network2019(model)
    whole = flat(pack(case, 2 * case.n_pairs, None))
    cut = flat(pack(case, 2 * case.n_pairs, case.n_convolutions))

    def in_keras_ops(graph: FlatGraph) -> Any:
        model.compiled_convolution = False
        try:
            return model.call_flat(graph, training=True)
        finally:
            model.compiled_convolution = True

    def compiled(graph: FlatGraph) -> Any:
        return model.call_flat(graph, training=True)

    check_gradients(reference, model, case)
    weights = model.trainable_weights
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    twin.compile(jit_compile=True)
    return {
        "2019": make_step(reference.call_flat, reference.weights_in_order, whole),
        "2019, XLA": make_step(reference.call_flat, reference.weights_in_order, whole, xla=True),
        "kgdyn": make_step(compiled, weights, cut),
        "kgdyn, XLA": make_step(
            lambda graph: twin.call_flat(graph, training=True),
            twin.trainable_weights,
            cut,
            in_pieces=twin,
        ),
        "keras.ops": make_step(in_keras_ops, weights, cut),
        "keras.ops, XLA": make_step(in_keras_ops, weights, cut, xla=True),
    }


def check_gradients(reference: Network2019, model: GDyNet, case: Case) -> None:
    """Print the largest difference of a gradient, relative to the largest of all.

    Of a fixed sum over the outputs: the score of an untrained network, whose states hardly differ,
    would magnify rounding. On few frames: among millions of relus some stand at zero to rounding.
    """
    few = 2 if case.n_atoms > 5 else 32
    whole = flat(pack(case, few, None))
    cut = flat(pack(case, few, case.n_convolutions))
    expected = dict(
        zip(
            (id(weight) for weight in reference.weights_in_order),
            tape_gradients(reference.call_flat, reference.weights_in_order, whole),
            strict=True,
        )
    )
    found = dict(
        zip(
            (id(weight) for weight in model.trainable_weights),
            tape_gradients(model.call_flat, model.trainable_weights, cut),
            strict=True,
        )
    )
    pairs = []
    f = model.n_features
    for old, new in zip(reference.convolutions, model.convolutions, strict=True):
        kernel, attention = expected[id(old.kernel)], expected[id(old.attention)]
        pairs += [
            (kernel[:f], found[id(new.center_kernel)]),
            (kernel[f : 2 * f], found[id(new.neighbor_kernel)]),
            (kernel[2 * f :], found[id(new.basis_kernel)]),
            (attention[f : 2 * f], found[id(new.neighbor_attention)]),
            (attention[2 * f :], found[id(new.basis_attention)]),
            (expected[id(old.bias)], found[id(new.bias)]),
        ]
    shared = [*model.embedding.trainable_weights, *model.head.trainable_weights]
    pairs += [(expected[id(weight)], found[id(weight)]) for weight in shared]
    largest = max(float(np.abs(a).max()) for a, _ in pairs)
    worst = max(float(np.abs(a - b).max()) / largest for a, b in pairs)
    print(f"gradients differ by at most {worst:.1e} of the largest", flush=True)


def tape_gradients(forward: Any, weights: list[Any], graph: FlatGraph) -> list[Any]:
    with tf.GradientTape() as tape:
        outputs = forward(graph)
        factors = tf.cos(tf.range(tf.size(outputs), dtype=outputs.dtype))
        loss = tf.reduce_sum(outputs * tf.reshape(factors, tf.shape(outputs)))
    found = tape.gradient(loss, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return [tf.convert_to_tensor(gradient).numpy() for gradient in found]


def alternating(steps: dict[str, Step], repeats: int) -> dict[str, tuple[float, float]]:
    """Median wall and processor seconds of each, called in turn; the first call compiles."""
    wall: dict[str, list[float]] = {name: [] for name in steps}
    processor: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(repeats + 2):
        for name, step in steps.items():
            start, used = time.perf_counter(), time.process_time()
            step()
            if number > 1:
                wall[name].append(time.perf_counter() - start)
                processor[name].append(time.process_time() - used)
    return {
        name: (float(np.median(wall[name])), float(np.median(processor[name]))) for name in steps
    }


def print_table(title: str, times: dict[str, tuple[float, float]], peaks: dict[str, float]) -> None:
    first = next(iter(times.values()))
    for name, (wall, processor) in times.items():
        peak = f"{peaks[name]:9.0f}" if name in peaks else f"{'':9}"
        print(
            f"{title:38} {name:18} {1e3 * wall:9.1f} {first[0] / wall:7.2f} "
            f"{1e3 * processor:9.1f} {first[1] / processor:7.2f} {peak}",
            flush=True,
        )


def peak_memory(case: str, method: str) -> float:
    """MiB that three steps add to a fresh process in which a small step already ran."""
    command = [sys.executable, __file__, "--peak", case, method]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def print_peak_memory(name: str, method: str) -> None:
    case = CASES[name]
    small = case._replace(n_pairs=2, n_atoms=min(case.n_atoms, 200), n_targets=1)
    make_steps(small)[method]()
    step = make_steps(case)[method]
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_resident()
    for _ in range(3):
        step()
    print(peak_resident() - before)


def peak_resident() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024.0


def compare_steps(quick: bool) -> None:
    for name, case in CASES.items():
        if quick and name == "five-large":
            continue
        steps = make_steps(case)
        times = alternating(steps, 3 if quick else 15)
        peaks = {} if quick else {method: peak_memory(name, method) for method in steps}
        print_table(case.name, times, peaks)


def compare_forward(quick: bool) -> None:
    """States of 50 targets in one frame of 4,000 atoms."""
    case = CASES["liquid-16"]
    model = GDyNet(N_STATES, [3, 8, 16], case.n_neighbors)
    reference = Network2019(model)
    whole, cut = flat(pack(case, 1, None)), flat(pack(case, 1, model.n_convolutions))
    old = tf.function(lambda: reference.call_flat(whole), autograph=False)
    new = tf.function(lambda: model.call_flat(cut), autograph=False)
    steps = {"2019": lambda: old().numpy(), "kgdyn": lambda: new().numpy()}
    print_table("forward, one frame of 4,000 atoms", alternating(steps, 5 if quick else 41), {})


def compare_fit(quick: bool) -> None:
    """Through `model.fit`: the 2019 architecture, batch normalization and all."""
    case = CASES["liquid-16"]
    model = GDyNet(N_STATES, [3, 8, 16], case.n_neighbors)
    released = GDyNet(N_STATES, [3, 8, 16], case.n_neighbors, variant="released")
    old = Network2019(released, batch_normalization=True)
    graphs = {h: [to_ragged(pack(case, case.n_pairs, h)) for _ in range(2)] for h in (None, 3)}
    steps = {}
    for name, network, n_hops in (
        ("2019", old, None),
        ("kgdyn, released", released, None),
        ("kgdyn, all atoms", model, None),
        ("kgdyn", model, 3),
    ):
        network.compile(keras.optimizers.Adam(1e-9), loss=VAMP2Loss())
        inputs = ({"t": graphs[n_hops][0], "lag": graphs[n_hops][1]},)
        batches = tf.data.Dataset.from_tensors(inputs).repeat(4).prefetch(2)
        options = {} if network is old else {"fix_states": False}
        steps[name] = lambda network=network, batches=batches, options=options: network.fit(
            batches, verbose=0, **options
        )
    print_table("fit, 4,000 atoms, four steps", alternating(steps, 2 if quick else 7), {})


def show_growth(quick: bool) -> None:
    """How the time of a step grows, with a straight line through it."""
    base = Case("", 2000, 2000, 20, 16, 1)
    series: dict[str, list[tuple[float, Case]]] = {
        "atoms": [(n, base._replace(n_atoms=n, n_targets=n)) for n in (1000, 2000, 4000, 8000)],
        "neighbours": [(m, base._replace(n_neighbors=m)) for m in (8, 16, 32, 64)],
        "convolutions": [(c, base._replace(n_convolutions=c)) for c in (1, 2, 4, 6)],
        "rows of reachable atoms, one target in 16,000": [
            (0, base._replace(n_atoms=16000, n_targets=n)) for n in (1, 4, 16, 64)
        ],
    }
    for name, points in series.items():
        sizes, steps = [], {}
        for size, case in points:
            model = GDyNet(
                N_STATES,
                [3, 8, 16],
                case.n_neighbors,
                n_features=case.n_features,
                n_convolutions=case.n_convolutions,
            )
            graph = flat(pack(case, 2 * case.n_pairs, case.n_convolutions))
            hops = np.zeros(1) if graph.hops is None else graph.hops.numpy()
            rows = sum(np.sum(hops < case.n_convolutions - k) for k in range(case.n_convolutions))
            sizes.append(float(size or rows))
            steps[f"{sizes[-1]:.0f}"] = make_step(model.call_flat, model.trainable_weights, graph)
        times = alternating(steps, 3 if quick else 15)
        seconds = [wall for wall, _ in times.values()]
        slope, start = np.polyfit(sizes, seconds, 1)
        residual = np.abs(np.polyval([slope, start], sizes) / seconds - 1.0).max()
        print(f"{name}: {1e3 * start:.1f} ms + {1e6 * slope:.2f} us each; off by {residual:.0%}")
        for size, wall in zip(sizes, seconds, strict=True):
            print(f"    {size:9.0f} {1e3 * wall:9.1f} ms", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repeats, no peak memory")
    parser.add_argument("--only", choices=["steps", "fit", "growth"])
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print_peak_memory(*arguments.peak)
        return
    packages = ("keras", "tensorflow", "numpy", "numba")
    found = ", ".join(f"{package} {version(package)}" for package in packages)
    print(
        f"python {platform.python_version()}, {found}; {platform.machine()}, {os.cpu_count()} cores"
    )
    if arguments.only in (None, "steps"):
        print(f"{'':38} {'':18} {'wall ms':>9} {'times':>7} {'cpu ms':>9} {'times':>7} {'MiB':>9}")
        compare_steps(arguments.quick)
        compare_forward(arguments.quick)
    if arguments.only in (None, "fit"):
        compare_fit(arguments.quick)
    if arguments.only in (None, "growth"):
        show_growth(arguments.quick)


if __name__ == "__main__":
    main()
