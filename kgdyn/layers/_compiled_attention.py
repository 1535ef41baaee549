"""Attention over neighbours straight from distances, compiled for processors: the fast path.

Several times as fast as the same mathematics in keras.ops, and in a small part of its memory:
nothing has the size of the edges times the features. Only TensorFlow on a processor, in float32,
outside of XLA; :mod:`kgdyn.layers._attend` is for all else, and the reference.
"""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from kgdyn._threads import share, usable_cores
from kgdyn.layers._radial_table import RadialTable

__all__ = ["attend_compiled", "compiled_attention_available"]

# Below this many edges a thread costs more than it saves.
_EDGES_WORTH_A_THREAD = 4096
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


def attend_compiled(
    from_neighbor: Any,
    neighbor_logit: Any,
    distances: Any,
    radial_table: RadialTable,
    neighbors: Any,
    shifts: Any,
    kernel: Any,
    attention_kernel: Any,
    from_center: Any,
) -> Any:
    """sum_j alpha_ij relu(m_ij), m_ij = from_neighbor_j + from_center_i + u(d_ij) kernel.

    alpha_i is the softmax of neighbor_logit_j + shifts_ij + u(d_ij) attention_kernel over the
    neighbours j, and u the radial basis of the table. Nothing flows back to distances and shifts.

    Parameters
    ----------
    from_neighbor : (n_atoms, n_features), neighbor_logit : (n_atoms,)
    distances : (n_rows, M), angstrom
    radial_table : RadialTable
    neighbors : (n_rows, M) int32, rows of ``from_neighbor``
    shifts : (n_rows, M) or None
    kernel : (n_basis, n_features), attention_kernel : (n_basis,)
    from_center : (n_rows, n_features)

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
    fixed = (
        tf.cast(distances, tf.float32),
        tf.constant(1.0 / radial_table.step, tf.float64),
        tf.cast(neighbors, tf.int32),
        tf.cast(shifts, tf.float32),
    )

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def attended(*weighted: Any) -> Any:
        result = tf.numpy_function(_forward, (*fixed, *weighted), tf.float32, stateful=False)
        result.set_shape(from_center.shape)

        def gradient(upstream: Any) -> Any:
            if isinstance(upstream, tf.IndexedSlices):  # only some rows were taken
                indices, shape = upstream.indices[:, None], tf.shape(from_center)
                upstream = tf.scatter_nd(tf.cast(indices, tf.int32), upstream.values, shape)
            found = tf.numpy_function(
                _backward, (*fixed, *weighted, upstream), [tf.float32] * 5, stateful=False
            )
            for part, of in zip(found, weighted, strict=True):
                part.set_shape(of.shape)
            return found

        return result, gradient

    # The gradient of these products brings that of a table back to its kernel.
    table = tf.matmul(radial_table.rows, _in_blocks(kernel))
    attention_table = tf.linalg.matvec(radial_table.rows, attention_kernel)
    weighted = (from_neighbor, neighbor_logit, table, attention_table, from_center)
    return attended(*map(tf.convert_to_tensor, weighted))


def _in_blocks(kernel: Any) -> Any:
    """(n_basis, n_features) in blocks of so many features: (n_blocks, n_basis, LANES)."""
    import tensorflow as tf

    from kgdyn.layers._compiled_kernels import LANES

    n_basis, n_features = kernel.shape
    n_blocks = -(-n_features // LANES)
    if n_blocks * LANES > n_features:
        kernel = tf.pad(kernel, [[0, 0], [0, n_blocks * LANES - n_features]])
    if n_blocks == 1:
        return kernel[None]
    return tf.transpose(tf.reshape(kernel, (n_basis, n_blocks, LANES)), (1, 0, 2))


def _forward(*arrays: NDArray[Any]) -> Array:
    from kgdyn.layers._compiled_kernels import attend_forward

    neighbors, from_neighbor, from_center = arrays[2], arrays[4], arrays[8]
    if neighbors.size and (neighbors.min() < 0 or neighbors.max() >= len(from_neighbor)):
        raise ValueError(
            f"neighbors must be from 0 to {len(from_neighbor) - 1}, received {neighbors.min()} to "
            f"{neighbors.max()}"
        )
    result = _empty(from_center.shape)
    inputs, parts = _kernel_inputs(*arrays), _parts(neighbors)
    share(len(parts), [(attend_forward, (part, *inputs, result.reshape(-1))) for part in parts])
    return result


def _backward(*arrays: NDArray[Any]) -> tuple[Array, ...]:
    from kgdyn.layers._compiled_kernels import attend_backward

    *arrays_forward, upstream = arrays
    neighbors, weighted, from_center = arrays[2], arrays[4:8], arrays[8]
    inputs, parts = _kernel_inputs(*arrays_forward), _parts(neighbors)
    to_center = _empty(from_center.shape)
    # Sums of their own for each part, added up in order: the same result each time.
    sums = [[_zeros(array.shape) for array in weighted] for _ in parts]
    given = np.ascontiguousarray(upstream).reshape(-1)
    share(
        len(parts),
        [
            (
                attend_backward,
                (
                    part,
                    *inputs,
                    given,
                    *(array.reshape(-1) for array in own),
                    to_center.reshape(-1),
                ),
            )
            for part, own in zip(parts, sums, strict=True)
        ],
    )
    for own in sums[1:]:
        for total, more in zip(sums[0], own, strict=True):
            total += more
    return (*sums[0], to_center)


def _zeros(shape: tuple[int, ...]) -> Array:
    result: Array = _empty(shape)
    result.fill(0.0)
    return result


def _empty(shape: tuple[int, ...], dtype: Any = np.float32) -> NDArray[Any]:
    """As numpy.empty, but aligned."""
    n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.empty(n_bytes + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    result: NDArray[Any] = raw[start : start + n_bytes].view(dtype).reshape(shape)
    return result


def _kernel_inputs(
    distances: NDArray[Any],
    scale: NDArray[Any],
    neighbors: NDArray[Any],
    shifts: NDArray[Any],
    from_neighbor: NDArray[Any],
    logits: NDArray[Any],
    table: NDArray[Any],
    attention_table: NDArray[Any],
    from_center: NDArray[Any],
) -> tuple[Any, ...]:
    """What both kernels take between their rows and their results."""
    return (
        from_neighbor.reshape(-1),
        logits,
        distances,
        float(scale),
        neighbors,
        shifts,
        table.reshape(-1),
        attention_table,
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
