"""Attention over neighbours straight from distances, compiled for processors: the fast path.

Several times as fast as the same mathematics in keras.ops, and in a small part of its memory:
of what has the size of the edges times the features only the messages are kept in training. Only
TensorFlow on a processor, in float32, outside of XLA; :mod:`kgdyn.layers._attend` is for all else,
and the reference.
"""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from kgdyn._threads import share, usable_cores
from kgdyn.layers.radial_basis import RadialBasis

__all__ = [
    "MOST_FEATURES",
    "Expansion",
    "attend_compiled",
    "compiled_attention_available",
    "expand_distances",
]

MOST_FEATURES = 1024
# Below this many edges a thread costs more than it saves.
_EDGES_WORTH_A_THREAD = 4096
# Messages of one layer beyond this many bytes are computed again for the gradient.
_MOST_BYTES_KEPT = 2**28
# What TensorFlow takes over without a copy begins at a multiple of this.
_ALIGNMENT = 64

Array = NDArray[np.float32]


@cache
def compiled_attention_available() -> bool:
    """Whether Keras runs on TensorFlow without accelerators, and numba can be imported."""
    if keras.backend.backend() != "tensorflow":
        return False
    try:
        from kgdyn.layers import _compiled_kernels  # noqa: F401
    except ImportError:
        return False
    import tensorflow as tf

    return {device.device_type for device in tf.config.list_logical_devices()} <= {"CPU"}


class Expansion(NamedTuple):
    """Distances in Gaussians, only those around each: about a quarter of the memory of all.

    ``windows`` (n_rows, 9, M) float32, ``first`` (n_rows, M) int32.
    """

    windows: Any
    first: Any

    def of_first_rows(self, n_rows: Any) -> Expansion:
        return Expansion(self.windows[:n_rows], self.first[:n_rows])


def expand_distances(distances: Any, radial_basis: RadialBasis) -> Expansion:
    """The Gaussians of a basis with equal spacing and width, (n_rows, M) distances in angstrom.

    Nothing flows back to the distances.
    """
    import tensorflow as tf

    n_basis, spacing = radial_basis.n_basis, radial_basis.spacing
    windows, first = tf.numpy_function(
        lambda given: _expand(given, spacing, n_basis),
        [tf.cast(distances, tf.float32)],
        [tf.float32, tf.int32],
        stateful=False,
    )
    n_rows, n_neighbors = distances.shape
    windows.set_shape((n_rows, None, n_neighbors))
    first.set_shape((n_rows, n_neighbors))
    return Expansion(windows, first)


def attend_compiled(
    from_neighbor: Any,
    neighbor_logit: Any,
    expansion: Expansion,
    neighbors: Any,
    shifts: Any,
    kernel: Any,
    attention_kernel: Any,
    from_center: Any,
    training: bool | None = None,
) -> Any:
    """sum_j alpha_ij relu(m_ij), m_ij = from_neighbor_j + from_center_i + u(d_ij) kernel.

    alpha_i is the softmax of neighbor_logit_j + shifts_ij + u(d_ij) attention_kernel over the
    neighbours j, and u the expanded distances. Nothing flows back to these and the shifts.

    Parameters
    ----------
    from_neighbor : (n_atoms, n_features), neighbor_logit : (n_atoms,)
    expansion : Expansion
    neighbors : (n_rows, M) int32, rows of ``from_neighbor``
    shifts : (n_rows, M) or None
    kernel : (n_basis, n_features), attention_kernel : (n_basis,)
    from_center : (n_rows, n_features)
    training : bool
        Keep the messages for the gradient, which is then faster.

    Returns
    -------
    (n_rows, n_features) float32

    Raises
    ------
    ValueError, in a graph tf.errors.InvalidArgumentError
        If a neighbour is no row of ``from_neighbor``.
    """
    import tensorflow as tf

    if shifts is None:
        shifts = tf.zeros(tf.shape(neighbors), tf.float32)
    fixed = (*expansion, tf.cast(neighbors, tf.int32), tf.cast(shifts, tf.float32))

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def attended(*weighted: Any) -> Any:
        result, *kept = tf.numpy_function(
            lambda *arrays: _forward(*arrays, keep=bool(training)),
            (*fixed, *weighted),
            [tf.float32] * 3,
            stateful=False,
        )
        result.set_shape(from_center.shape)

        def gradient(upstream: Any) -> Any:
            if isinstance(upstream, tf.IndexedSlices):  # only some rows were taken
                rows, shape = upstream.indices[:, None], tf.shape(from_center)
                upstream = tf.scatter_nd(tf.cast(rows, tf.int32), upstream.values, shape)
            found = tf.numpy_function(
                _backward, (*fixed, *weighted, *kept, upstream), [tf.float32] * 5, stateful=False
            )
            for part, of in zip(found, weighted, strict=True):
                part.set_shape(of.shape)
            return found

        return result, gradient

    weighted = (from_neighbor, neighbor_logit, kernel, attention_kernel, from_center)
    return attended(*map(tf.convert_to_tensor, weighted))


def _expand(distances: Array, spacing: float, n_basis: int) -> tuple[Array, NDArray[np.int32]]:
    from kgdyn.layers._compiled_kernels import WINDOW, expand

    n_rows, n_neighbors = distances.shape
    windows = _empty((n_rows, WINDOW, n_neighbors))
    first = _empty((n_rows, n_neighbors), np.int32)
    parts = _parts(distances)
    share(
        len(parts),
        [(expand, (part, distances, spacing, n_basis, windows, first)) for part in parts],
    )
    return windows, first


def _forward(*arrays: NDArray[Any], keep: bool = False) -> tuple[Array, Array, Array]:
    """The result, and messages and attention of all edges, which are empty where not kept."""
    from kgdyn.layers._compiled_kernels import attend_forward

    neighbors, from_neighbor, from_center = arrays[2], arrays[4], arrays[8]
    if neighbors.size and (neighbors.min() < 0 or neighbors.max() >= len(from_neighbor)):
        raise ValueError(
            f"neighbors must be from 0 to {len(from_neighbor) - 1}, received {neighbors.min()} to "
            f"{neighbors.max()}"
        )
    result, n_features = _empty(from_center.shape), from_center.shape[1]
    keep &= neighbors.size * n_features * result.itemsize <= _MOST_BYTES_KEPT
    n_kept = neighbors.size if keep else 0
    messages, attention = _empty((n_kept * n_features,)), _empty((n_kept,))
    inputs, parts = _kernel_inputs(*arrays), _parts(neighbors)
    share(
        len(parts),
        [
            (
                attend_forward,
                (
                    part,
                    *inputs,
                    result.reshape(-1),
                    *_of_part(part, neighbors, messages, attention, n_features),
                ),
            )
            for part in parts
        ],
    )
    return result, messages, attention


def _backward(*arrays: NDArray[Any]) -> tuple[Array, ...]:
    from kgdyn.layers._compiled_kernels import PITCH, REACH, attend_backward

    *arrays_forward, messages, attention, upstream = arrays
    neighbors, from_neighbor, kernel, from_center = arrays[2], arrays[4], arrays[6], arrays[8]
    n_basis, n_features = kernel.shape
    inputs, parts = _kernel_inputs(*arrays_forward), _parts(neighbors)
    to_center = _empty(from_center.shape)
    # Sums of their own for each part, added up in order: the same result each time.
    sizes = (from_neighbor.size, len(from_neighbor), (n_basis + 2 * REACH) * PITCH)
    sums = [[np.zeros(n, np.float32) for n in (*sizes, n_basis + 2 * REACH)] for _ in parts]
    given = np.ascontiguousarray(upstream).reshape(-1)
    share(
        len(parts),
        [
            (
                attend_backward,
                (
                    part,
                    *inputs,
                    *_of_part(part, neighbors, messages, attention, n_features),
                    given,
                    *own,
                    to_center.reshape(-1),
                ),
            )
            for part, own in zip(parts, sums, strict=True)
        ],
    )
    for own in sums[1:]:
        for total, more in zip(sums[0], own, strict=True):
            total += more
    to_neighbor, to_logit, to_kernel, to_attention = sums[0]
    inside = slice(REACH, REACH + n_basis)
    return (
        to_neighbor.reshape(from_neighbor.shape),
        to_logit,
        np.ascontiguousarray(to_kernel.reshape(-1, PITCH)[inside, :n_features]),
        to_attention[inside].copy(),
        to_center,
    )


def _of_part(
    rows: tuple[int, int],
    neighbors: NDArray[Any],
    messages: Array,
    attention: Array,
    n_features: int,
) -> tuple[Array, Array]:
    """The messages and attention of some rows; place for those of one row if none are kept."""
    n_neighbors = neighbors.shape[1]
    if attention.size == 0:
        return np.empty(n_neighbors * n_features, np.float32), np.empty(n_neighbors, np.float32)
    edges = slice(rows[0] * n_neighbors, rows[1] * n_neighbors)
    return messages[edges.start * n_features : edges.stop * n_features], attention[edges]


def _empty(shape: tuple[int, ...], dtype: Any = np.float32) -> NDArray[Any]:
    """As numpy.empty, but aligned."""
    n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.empty(n_bytes + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    result: NDArray[Any] = raw[start : start + n_bytes].view(dtype).reshape(shape)
    return result


def _kernel_inputs(
    windows: NDArray[Any],
    first: NDArray[Any],
    neighbors: NDArray[Any],
    shifts: NDArray[Any],
    from_neighbor: NDArray[Any],
    logits: NDArray[Any],
    kernel: NDArray[Any],
    attention_kernel: NDArray[Any],
    from_center: NDArray[Any],
) -> tuple[Any, ...]:
    """What both kernels take between their rows and their results."""
    from kgdyn.layers._compiled_kernels import REACH

    n_basis, n_features = kernel.shape
    padded = np.zeros((n_basis + 2 * REACH, n_features), np.float32)
    padded[REACH:-REACH] = kernel
    padded_attention = np.zeros(n_basis + 2 * REACH, np.float32)
    padded_attention[REACH:-REACH] = attention_kernel
    return (
        from_neighbor.reshape(-1),
        logits,
        windows,
        first,
        neighbors,
        shifts,
        padded.reshape(-1),
        padded_attention,
        from_center.reshape(-1),
    )


def _parts(neighbors: NDArray[Any]) -> list[tuple[int, int]]:
    """Rows that each thread takes; as many parts each time, for the sums depend on them."""
    n_threads = max(1, min(_threads(), neighbors.size // _EDGES_WORTH_A_THREAD))
    edges = [len(neighbors) * part // n_threads for part in range(n_threads + 1)]
    return list(itertools.pairwise(edges))


@cache
def _threads() -> int:
    """As many as TensorFlow was told to use inside of an operation, or all."""
    import tensorflow as tf

    return int(tf.config.threading.get_intra_op_parallelism_threads()) or usable_cores()
