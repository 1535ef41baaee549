"""Three ways from a trajectory in a file to the states of its targets, each with its own clock.

Used by ``bench_against_others.py``, which runs each in a process of its own: kgdyn as its README
shows; the layout of 2019, dense arrays of all atoms that scipy makes; and deeptime's VAMPNet with
a lobe of torch on features of each target. All train for the same VAMP-2 score on the same pairs,
and stop when held-out frames reach a given one.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MIB = 1024.0**2
PATIENCE = 10  # epochs without a better score


@dataclass(frozen=True)
class Task:
    """What to learn from which file, and when it is learned."""

    file: str  # of the layout of gdynet's traj.npz
    frame_interval: float  # ps
    lagtime: int  # frames
    n_neighbors: int
    n_states: int
    n_shown: int  # frames that train; the others validate
    threshold: float  # VAMP-2 score of the frames that validate
    learning_rate: float
    batch_size: int  # pairs of frames
    features: str = ""  # of deeptime's lobe
    n_features: int = 16  # of a network on graphs
    most_epochs: int = 200
    most_seconds: float = 900.0


@dataclass
class Clock:
    """Seconds since the process was started, and its peak of anonymous memory."""

    started: float  # time.time() of whoever started it
    task: Task
    ready: float = 0.0  # all is imported
    arrays: float = 0.0  # seconds from the file to what the network takes
    scores: list[float] = field(default_factory=list)
    reached: float | None = None  # the score
    processor: float = 0.0  # seconds of processor until then, on all cores
    trained: float = 0.0
    finished: float = 0.0  # states of all frames are there
    steps: list[float] = field(default_factory=list)  # when each step of training ended
    n_weights: int = 0
    peak: float = 0.0  # MiB
    _done: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        """Pages of files can be dropped at any time and do not count."""
        while True:
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("RssAnon:"):
                    self.peak = max(self.peak, int(line.split()[1]) / 1024.0)
            if self._done.wait(0.02):
                return

    def now(self) -> float:
        return time.time() - self.started

    def is_enough(self, score: float) -> bool:
        """Note the score of an epoch; whether to stop."""
        self.scores.append(score)
        if self.reached is None and score >= self.task.threshold:
            self.reached = self.now()
        self.processor = time.process_time()
        if not np.isfinite(score):  # its weights are lost
            return True
        stale = len(self.scores) - 1 - int(np.argmax(self.scores)) >= PATIENCE
        too_long = self.now() > self.task.most_seconds
        return (
            self.reached is not None
            or stale
            or too_long
            or len(self.scores) >= self.task.most_epochs
        )

    def step(self) -> None:
        self.steps.append(time.perf_counter())

    def finish(self) -> None:
        self.finished = self.now()
        self._done.set()
        self._watcher.join()

    def result(self) -> dict[str, Any]:
        names = ("ready", "arrays", "scores", "reached", "processor", "trained", "finished")
        found = {name: getattr(self, name) for name in (*names, "n_weights", "peak")}
        # A median: without the first step, which compiles, and what lies between epochs.
        n_steps = len(self.steps) // len(self.scores)
        return {**found, "epoch": n_steps * float(np.median(np.diff(self.steps)))}


@dataclass(frozen=True)
class Raw:
    """The arrays of the file."""

    positions: NDArray[np.float32]  # (n_frames, n_atoms, 3)
    edges: NDArray[np.float64]  # (n_frames, 3) of rectangular cells
    species: NDArray[np.int64]  # (n_atoms,)
    targets: NDArray[np.int64]  # (n_targets,)


def read_raw(file: str) -> Raw:
    with np.load(file) as data:
        cells = data["lattices"].astype(np.float64)
        edges = np.diagonal(cells, axis1=1, axis2=2)
        if np.abs(cells - edges[:, None] * np.eye(3)).max() > 1e-6:
            raise ValueError(f"{file}: these ways are written for rectangular cells")
        return Raw(data["traj_coords"], edges, data["atom_types"], data["target_index"])


def scipy_neighbors(
    positions: NDArray[Any], edges: NDArray[np.float64], n_neighbors: int, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """M nearest neighbours of some atoms of one frame with scipy's tree: (n_rows, M) each.

    Large cells by the tree's own period, small ones by a copy of the atoms in each cell around.
    """
    from scipy.spatial import cKDTree

    inside = positions.astype(np.float64) % edges
    if edges.min() > 12.0:  # angstrom: of each atom only its nearest image is a neighbour
        tree = cKDTree(inside, boxsize=edges)
        distances, found = tree.query(inside[rows], n_neighbors + 1)
    else:
        shifts = np.stack(np.meshgrid(*[[0, -1, 1]] * 3, indexing="ij"), -1).reshape(-1, 1, 3)
        tree = cKDTree((inside + shifts * edges).reshape(-1, 3))
        distances, found = tree.query(inside[rows], n_neighbors + 1)
        found %= len(inside)
    return found[:, 1:], distances[:, 1:]  # the first is the atom itself


def by_kgdyn(task: Task, clock: Clock) -> NDArray[np.float32]:
    """As in the README."""
    import keras

    import kgdyn

    clock.ready = clock.now()
    run = kgdyn.open_trajectory(task.file, frame_interval=task.frame_interval)
    shown, held_out = run[: task.n_shown], run[task.n_shown :]
    model = new_gdynet(task, run.elements)
    options: dict[str, Any] = {
        "lagtime": task.lagtime,
        "n_neighbors": task.n_neighbors,
        "n_hops": model.n_convolutions,
    }
    pairs = kgdyn.pairs_dataset([shown], batch_size=task.batch_size, **options)
    validation = kgdyn.pairs_dataset(
        [held_out], batch_size=task.batch_size, shuffle=False, **options
    )
    model.compile(
        keras.optimizers.Adam(task.learning_rate),
        loss=kgdyn.VAMP2Loss(),
        metrics=[kgdyn.VAMP2Score(task.n_states)],
    )

    class Follow(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            clock.step()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.stop_training = clock.is_enough(logs["val_vamp2"])

    model.fit(
        pairs,
        validation_data=validation,
        epochs=task.most_epochs,
        callbacks=[Follow()],
        verbose=0,
    )
    clock.trained = clock.now()
    chi = kgdyn.assign_states(model, run)
    clock.finish()
    clock.n_weights = int(sum(np.prod(weight.shape) for weight in model.trainable_weights))
    # No step of its own here: what the graphs of all frames cost, made once.
    frames = kgdyn.training.frames_dataset(
        run, n_neighbors=task.n_neighbors, n_hops=model.n_convolutions, batch_size=64
    )
    clock.arrays = seconds_of(lambda: sum(1 for _ in frames))
    return np.asarray(chi)


def new_gdynet(task: Task, elements: Any) -> Any:
    import keras

    import kgdyn

    keras.utils.set_random_seed(0)
    return kgdyn.GDyNet(
        task.n_states, elements, task.n_neighbors, lagtime=task.lagtime, n_features=task.n_features
    )


def by_layout_2019(
    task: Task, clock: Clock, batch_normalization: bool = False
) -> NDArray[np.float32]:
    """Arrays (N, M) of all frames and all atoms first; the network of bench_training_step."""
    import keras
    import tensorflow as tf

    import kgdyn
    from kgdyn.koopman import estimate_koopman_model

    clock.ready = clock.now()
    begin = time.perf_counter()
    raw = read_raw(task.file)
    arrays = dense_arrays(raw, task.n_neighbors)
    clock.arrays = time.perf_counter() - begin
    network = dense_network(task, raw, batch_normalization)
    network.compile(keras.optimizers.Adam(task.learning_rate), loss=kgdyn.VAMP2Loss())

    first = np.arange(task.n_shown - task.lagtime)
    rng = np.random.default_rng(0)

    def batches() -> Iterator[Any]:
        order = rng.permutation(first)
        for start in range(0, len(order), task.batch_size):
            part = order[start : start + task.batch_size]
            both = np.concatenate([part, part + task.lagtime])
            yield tuple(array[both] for array in arrays)

    shape = (None, *arrays[0].shape[1:])
    spec = (tf.TensorSpec(shape, tf.int32), tf.TensorSpec(shape, tf.float32))
    pairs = tf.data.Dataset.from_generator(batches, output_signature=spec)
    pairs = pairs.map(lambda *inputs: (inputs,)).prefetch(2)
    frames_of = tf.function(network.states_of_frames, reduce_retracing=True)

    def states(start: int) -> NDArray[np.float32]:
        """Each frame once; frames are paired afterwards."""
        parts = [
            frames_of(*(array[k : k + 2 * task.batch_size] for array in arrays)).numpy()
            for k in range(start, len(arrays[0]), 2 * task.batch_size)
        ]
        return np.concatenate(parts).reshape(-1, len(raw.targets), task.n_states)

    class Follow(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            clock.step()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            scored = estimate_koopman_model(states(task.n_shown), lagtime=task.lagtime)
            self.model.stop_training = clock.is_enough(scored.vamp2_score)

    network.fit(pairs, epochs=task.most_epochs, callbacks=[Follow()], verbose=0)
    clock.trained = clock.now()
    chi = states(0)
    clock.finish()
    clock.n_weights = int(sum(np.prod(weight.shape) for weight in network.weights_in_order))
    return chi


def by_layout_2019_normalized(task: Task, clock: Clock) -> NDArray[np.float32]:
    """The same with batch normalization in each convolution, as the 2019 code has."""
    return by_layout_2019(task, clock, batch_normalization=True)


def dense_arrays(raw: Raw, n_neighbors: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Neighbours and distances, (n_frames, n_atoms, M) each, frame by frame."""
    shape = (*raw.positions.shape[:2], n_neighbors)
    neighbors, distances = np.empty(shape, np.int32), np.empty(shape, np.float32)
    every = np.arange(shape[1])
    for frame, (positions, edges) in enumerate(zip(raw.positions, raw.edges, strict=True)):
        neighbors[frame], distances[frame] = scipy_neighbors(positions, edges, n_neighbors, every)
    return neighbors, distances


def dense_network(task: Task, raw: Raw, batch_normalization: bool) -> Any:
    """`Network2019` on batches of dense arrays."""
    import tensorflow as tf
    from bench_training_step import Network2019

    from kgdyn.models import FlatGraph

    n_atoms, n_targets = len(raw.species), len(raw.targets)

    class DenseNetwork(Network2019):
        def call(self, inputs: Any, training: bool = False) -> Any:
            probabilities = self.states_of_frames(*inputs, training=training)
            pairs = tf.reshape(probabilities, (2, -1, task.n_states))
            return tf.transpose(pairs, (1, 0, 2))

        def states_of_frames(self, neighbors: Any, distances: Any, training: bool = False) -> Any:
            n_frames = tf.shape(neighbors)[0]
            first = n_atoms * tf.range(n_frames)
            rows = n_frames * n_targets
            graph = FlatGraph(
                species=tf.tile(tf.constant(raw.species, tf.int32), [n_frames]),
                neighbors=tf.reshape(neighbors + first[:, None, None], (-1, task.n_neighbors)),
                distances=tf.reshape(distances, (-1, task.n_neighbors)),
                target_atoms=tf.reshape(tf.constant(raw.targets, tf.int32) + first[:, None], [-1]),
                target_of_atom=tf.range(rows),
                n_targets=rows,
            )
            return self.call_flat(graph, training=training)

    like = new_gdynet(task, sorted({int(number) for number in raw.species}))
    return DenseNetwork(like, batch_normalization)


def by_deeptime(task: Task, clock: Clock) -> NDArray[np.float32]:
    """A lobe of three hidden layers, with as many weights as the network on graphs."""
    import torch
    from deeptime.decomposition.deep import VAMPNet
    from deeptime.util.data import TimeLaggedDataset
    from torch.utils.data import BatchSampler, DataLoader, RandomSampler

    clock.ready = clock.now()
    # For layers as small as these one thread is the fastest, and on a busy machine by far.
    torch.set_num_threads(1)
    torch.manual_seed(0)
    begin = time.perf_counter()
    raw = read_raw(task.file)
    features = features_of_targets(raw, task.features, task.n_neighbors)
    shown = features[: task.n_shown]
    features -= shown.mean(axis=(0, 1))
    features /= shown.std(axis=(0, 1))
    clock.arrays = time.perf_counter() - begin

    n_inputs, n_states = features.shape[-1], task.n_states
    enough = weights_of_gdynet(task, len(set(raw.species.tolist())))
    width = next(w for w in range(1, 10_000) if lobe_weights(n_inputs, w, n_states) >= enough)
    layers: list[Any] = []
    for size in (n_inputs, width, width):
        layers += [torch.nn.Linear(size, width), torch.nn.ELU()]
    lobe = torch.nn.Sequential(*layers, torch.nn.Linear(width, n_states), torch.nn.Softmax(dim=-1))
    estimator = VAMPNet(lobe, learning_rate=task.learning_rate)

    def pairs(frames: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return (
            frames[: -task.lagtime].reshape(-1, n_inputs),
            frames[task.lagtime :].reshape(-1, n_inputs),
        )

    dataset = TimeLaggedDataset(*pairs(shown))
    # A batch in one slice. With ``batch_size=`` the loader takes pair by pair, many times as slow.
    sampler = BatchSampler(RandomSampler(dataset), task.batch_size * features.shape[1], False)
    loader = DataLoader(dataset, sampler=sampler, batch_size=None)
    validation = tuple(map(torch.from_numpy, pairs(features[task.n_shown :])))
    while True:
        estimator.fit(loader, n_epochs=1, train_score_callback=lambda *_: clock.step())
        if clock.is_enough(float(estimator.validate(validation))):
            break
    clock.trained = clock.now()
    model = estimator.fetch_model()
    with torch.no_grad():
        chi = model.transform(features.reshape(-1, n_inputs)).reshape(*features.shape[:2], -1)
    clock.finish()
    clock.n_weights = sum(part.numel() for part in lobe.parameters())
    return np.asarray(chi)


def lobe_weights(n_inputs: int, width: int, n_states: int) -> int:
    return n_inputs * width + 2 * width**2 + 3 * width + (width + 1) * n_states


def weights_of_gdynet(task: Task, n_elements: int, n_basis: int = 41) -> int:
    """Trainable weights of `kgdyn.GDyNet` with its usual depth, without importing it."""
    f = task.n_features
    convolution = (2 * f + n_basis + 1) * f + f + n_basis
    return n_elements * f + 3 * convolution + (f + 1) * f + (f + 1) * task.n_states


def features_of_targets(raw: Raw, kind: str, n_neighbors: int) -> NDArray[np.float32]:
    """(n_frames, n_targets, n_inputs) of deeptime's lobe.

    ``coordinates``: the target's own, wrapped into the cell; ``distances``: of its M nearest
    neighbours, sorted; ``distances 100``: of the 100 nearest.
    """
    if kind == "coordinates":
        return (raw.positions[:, raw.targets] % raw.edges[:, None]).astype(np.float32)
    count = 100 if kind == "distances 100" else n_neighbors
    features = np.empty((len(raw.positions), len(raw.targets), count), np.float32)
    for frame, (positions, edges) in enumerate(zip(raw.positions, raw.edges, strict=True)):
        features[frame] = scipy_neighbors(positions, edges, count, raw.targets)[1]
    return features


def seconds_of(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


WAYS: dict[str, Callable[[Task, Clock], NDArray[np.float32]]] = {
    "kgdyn": by_kgdyn,
    "layout of 2019": by_layout_2019,
    "layout of 2019, batch norm": by_layout_2019_normalized,
    "deeptime": by_deeptime,
}


def run_way(way: str, task: dict[str, Any], started: float, output: Path) -> dict[str, Any]:
    """In this process; states go to a file, times are given back."""
    known = Task(**task)
    clock = Clock(started, known)
    chi = WAYS[way](known, clock)
    np.save(output, np.asarray(chi, np.float32))
    return {"way": way, "task": asdict(known), **clock.result()}
