"""Numba kernels of attention over neighbours: expansion in Gaussians, messages, softmax and sum.

What the layers in keras.ops do in twenty passes over all edges is done here atom by atom. Of the
Gaussians of a distance only those around it are touched: the others are below 2e-9. Messages and
attention are kept for the gradient, or computed again where memory is short.

Written for the compiler's vector instructions: arrays are flat, the innermost loops run over
features, and indices are unsigned, because numba otherwise asks of each whether it counts from the
end. Rows of the kernel's gradient stand ``PITCH`` apart, a constant, so that the compiler sees that
they do not overlap.

Importing this file imports numba. The kernels release the GIL and check nothing.
"""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np

__all__ = ["PITCH", "REACH", "WINDOW", "attend_backward", "attend_forward", "expand"]

# Gaussians at each side of the nearest one; the next are at most exp(-4.5^2) = 1.6e-9.
REACH = 4
# More features than this have no place. No power of two: rows would share lines of the cache.
PITCH = 1040
WINDOW = 2 * REACH + 1

_njit: Any = functools.partial(numba.njit, nogil=True, error_model="numpy", cache=True)
_exact: Any = functools.partial(_njit, fastmath={"contract"})
_fast: Any = functools.partial(_njit, fastmath={"contract", "reassoc", "nsz", "arcp"})

_f = np.float32
_u = np.uint64
_LOG2E = _f(1.0 / np.log(2.0))
# ln 2 in two parts, the first of few digits: multiples of it are exact.
_LN2_HIGH = _f(0.693145751953125)
_LN2_LOW = _f(np.log(2.0) - 0.693145751953125)
_T2, _T3, _T4, _T5, _T6, _T7 = (_f(1.0 / x) for x in (2, 6, 24, 120, 720, 5040))
_LEAST = _f(-87.0)
_DECAY_1, _DECAY_2, _DECAY_3, _DECAY_4 = (_f(np.exp(-float(k * k))) for k in (1, 2, 3, 4))
_HALF, _ONE, _TWO, _ZERO = _f(0.5), _f(1.0), _f(2.0), _f(0.0)
_PITCH = _u(PITCH)
# At this many spacings from the last centre nothing is left of it.
_FAR = 8.0
_SMALLEST = _f(1e-30)


@_exact
def exponential(x: Any) -> Any:
    """exp in float32 to two units in the last place, for x <= 88; loops over it become vectors."""
    x = max(x, _LEAST)
    power = np.floor(x * _LOG2E + _HALF)
    x = (x - power * _LN2_HIGH) - power * _LN2_LOW
    series = _T2 + x * (_T3 + x * (_T4 + x * (_T5 + x * (_T6 + x * _T7))))
    scale = np.int32((np.int32(power) + np.int32(127)) << np.int32(23)).view(np.float32)
    return (_ONE + (x + x * x * series)) * scale


@_exact
def _kept(value: Any) -> Any:
    """Nothing below 1e-30: arithmetic on the smallest numbers takes a hundred times as long."""
    return _ZERO if value < _SMALLEST else value


@_exact
def expand(rows: Any, distances: Any, spacing: Any, n_basis: Any, windows: Any, first: Any) -> None:
    """Gaussians around each distance of the rows ``rows[0]`` to ``rows[1]``.

    With t the distance from the nearest centre, exp(-(t - k s)^2 / s^2) is
    exp(-t^2 / s^2) exp(2 t / s)^k exp(-k^2): two exponentials for all.

    Parameters
    ----------
    distances : (n_rows, M) float32, angstrom
    spacing : float64, angstrom, also the width of the Gaussians; n_basis : int
    windows : (n_rows, WINDOW, M) float32, first : (n_rows, M) int32, to be filled
        Gaussians ``first`` - REACH to ``first`` + REACH, nothing where there are none.
    """
    n_neighbors, last = _u(distances.shape[1]), np.float64(n_basis - 1)
    for row in range(_u(rows[0]), _u(rows[1])):
        for m in range(n_neighbors):
            scaled = np.float64(distances[row, m]) / spacing
            # Beyond the last centre also what is not a number, which stays so in the result.
            nearest = max(np.floor(scaled + 0.5), 0.0) if scaled < last else last
            offset = _f(min(scaled - nearest, _FAR))
            first[row, m] = np.int32(nearest)
            windows[row, 0, m] = -offset * offset
            windows[row, 1, m] = _TWO * offset
        for m in range(n_neighbors):
            windows[row, 0, m] = exponential(windows[row, 0, m])
            windows[row, 1, m] = exponential(windows[row, 1, m])
        for m in range(n_neighbors):
            middle, up = windows[row, 0, m], windows[row, 1, m]
            down = _ONE / up
            up_2, down_2 = up * up, down * down
            windows[row, 0, m] = _kept(middle * down_2 * down_2 * _DECAY_4)
            windows[row, 1, m] = _kept(middle * down_2 * down * _DECAY_3)
            windows[row, 2, m] = _kept(middle * down_2 * _DECAY_2)
            windows[row, 3, m] = _kept(middle * down * _DECAY_1)
            windows[row, 4, m] = middle
            windows[row, 5, m] = _kept(middle * up * _DECAY_1)
            windows[row, 6, m] = _kept(middle * up_2 * _DECAY_2)
            windows[row, 7, m] = _kept(middle * up_2 * up * _DECAY_3)
            windows[row, 8, m] = _kept(middle * up_2 * up_2 * _DECAY_4)


@_fast
def attend_row(
    row: Any,
    node_features: Any,
    node_logits: Any,
    windows: Any,
    first: Any,
    neighbors: Any,
    shifts: Any,
    kernel: Any,
    attention_kernel: Any,
    centers: Any,
    place: Any,
    messages: Any,
    attention: Any,
) -> None:
    """Messages (M, width) and attention (M,) of one atom, written to the ``place``-th places."""
    n_neighbors = _u(neighbors.shape[1])
    n_rows = _u(len(attention_kernel))
    width = _u(len(kernel)) // n_rows
    largest = _f(-3e38)
    start = place * n_neighbors
    for m in range(n_neighbors):
        j, base = _u(neighbors[row, m]), _u(first[row, m])
        g0, g1, g2 = windows[row, 0, m], windows[row, 1, m], windows[row, 2, m]
        g3, g4, g5 = windows[row, 3, m], windows[row, 4, m], windows[row, 5, m]
        g6, g7, g8 = windows[row, 6, m], windows[row, 7, m], windows[row, 8, m]
        logit = node_logits[j] + shifts[row, m]
        for k in range(_u(WINDOW)):
            logit += windows[row, k, m] * attention_kernel[base + k]
        attention[start + m] = logit
        largest = max(largest, logit)
        node, center, out, at = j * width, row * width, (start + m) * width, base * width
        for q in range(width):
            messages[out + q] = max(
                _ZERO,
                node_features[node + q]
                + centers[center + q]
                + g0 * kernel[at + _u(0) * width + q]
                + g1 * kernel[at + _u(1) * width + q]
                + g2 * kernel[at + _u(2) * width + q]
                + g3 * kernel[at + _u(3) * width + q]
                + g4 * kernel[at + _u(4) * width + q]
                + g5 * kernel[at + _u(5) * width + q]
                + g6 * kernel[at + _u(6) * width + q]
                + g7 * kernel[at + _u(7) * width + q]
                + g8 * kernel[at + _u(8) * width + q],
            )
    for m in range(n_neighbors):
        attention[start + m] = exponential(attention[start + m] - largest)
    total = _ZERO
    for m in range(n_neighbors):
        total += attention[start + m]
    for m in range(n_neighbors):
        attention[start + m] /= total


@_fast
def attend_forward(
    rows: Any,
    node_features: Any,
    node_logits: Any,
    windows: Any,
    first: Any,
    neighbors: Any,
    shifts: Any,
    kernel: Any,
    attention_kernel: Any,
    centers: Any,
    result: Any,
    messages: Any,
    attention: Any,
) -> None:
    """sum_j alpha_ij relu(m_ij) of the atoms ``rows[0]`` to ``rows[1]``.

    Parameters
    ----------
    node_features, node_logits : (n_atoms * width,), (n_atoms,) float32
        Products of neighbours.
    windows, first : (n_rows, WINDOW, M) float32, (n_rows, M) int32
        As :func:`expand` makes them.
    neighbors, shifts : (n_rows, M) int32, float32
        Rows of nodes; what is added to each logit.
    kernel : (n * width,), attention_kernel : (n,), n = n_basis + 2 REACH, float32
        Products of Gaussians, with ``REACH`` rows of zeros at both ends.
    centers : (n_rows * width,) float32
    result : (n_rows * width,), to be filled
    messages, attention : (n * M * width,), (n * M,) float32, to be filled
        With n the number of rows here, or 1: then they are not kept.
    """
    n_neighbors = _u(neighbors.shape[1])
    width = _u(len(centers)) // _u(max(1, len(neighbors)))
    kept = _u(len(attention) > n_neighbors)
    for row in range(_u(rows[0]), _u(rows[1])):
        place = kept * (row - _u(rows[0]))
        attend_row(
            row,
            node_features,
            node_logits,
            windows,
            first,
            neighbors,
            shifts,
            kernel,
            attention_kernel,
            centers,
            place,
            messages,
            attention,
        )
        for q in range(width):
            result[row * width + q] = _ZERO
        start = place * n_neighbors
        for m in range(n_neighbors):
            weight, out = attention[start + m], (start + m) * width
            for q in range(width):
                result[row * width + q] += weight * messages[out + q]


@_fast
def attend_backward(
    rows: Any,
    node_features: Any,
    node_logits: Any,
    windows: Any,
    first: Any,
    neighbors: Any,
    shifts: Any,
    kernel: Any,
    attention_kernel: Any,
    centers: Any,
    messages: Any,
    attention: Any,
    upstream: Any,
    to_features: Any,
    to_logits: Any,
    to_kernel: Any,
    to_attention_kernel: Any,
    to_centers: Any,
) -> None:
    """The gradient of :func:`attend_forward`: sets ``to_centers``, adds to the four before it.

    ``messages`` and ``attention`` are those that it kept, or of one row, to be computed again.
    ``upstream`` and ``to_centers`` are (n_rows * width,), ``to_kernel`` is (n * PITCH,); the others
    have the shapes of what they are the gradients of.
    """
    n_neighbors = _u(neighbors.shape[1])
    width = _u(len(centers)) // _u(max(1, len(neighbors)))
    kept = len(attention) > n_neighbors
    to_attention, to_message = np.empty(n_neighbors, np.float32), np.empty(width, np.float32)
    for row in range(_u(rows[0]), _u(rows[1])):
        place = _u(kept) * (row - _u(rows[0]))
        if not kept:
            attend_row(
                row,
                node_features,
                node_logits,
                windows,
                first,
                neighbors,
                shifts,
                kernel,
                attention_kernel,
                centers,
                place,
                messages,
                attention,
            )
        start = place * n_neighbors
        mean = _ZERO
        for m in range(n_neighbors):
            product = _ZERO
            for q in range(width):
                product += messages[(start + m) * width + q] * upstream[row * width + q]
            to_attention[m] = product
            mean += attention[start + m] * product
        for q in range(width):
            to_centers[row * width + q] = _ZERO
        for m in range(n_neighbors):
            j, base = _u(neighbors[row, m]), _u(first[row, m])
            g0, g1, g2 = windows[row, 0, m], windows[row, 1, m], windows[row, 2, m]
            g3, g4, g5 = windows[row, 3, m], windows[row, 4, m], windows[row, 5, m]
            g6, g7, g8 = windows[row, 6, m], windows[row, 7, m], windows[row, 8, m]
            weight = attention[start + m]
            to_logit = weight * (to_attention[m] - mean)
            to_logits[j] += to_logit
            for k in range(_u(WINDOW)):
                to_attention_kernel[base + k] += windows[row, k, m] * to_logit
            node, center, out, to = j * width, row * width, (start + m) * width, base * _PITCH
            for q in range(width):
                to_message[q] = (
                    weight * upstream[center + q] if messages[out + q] > _ZERO else _ZERO
                )
            for q in range(width):
                to_centers[center + q] += to_message[q]
            for q in range(width):
                to_features[node + q] += to_message[q]
            for q in range(width):
                value = to_message[q]
                to_kernel[to + _u(0 * PITCH) + q] += g0 * value
                to_kernel[to + _u(1 * PITCH) + q] += g1 * value
                to_kernel[to + _u(2 * PITCH) + q] += g2 * value
                to_kernel[to + _u(3 * PITCH) + q] += g3 * value
                to_kernel[to + _u(4 * PITCH) + q] += g4 * value
                to_kernel[to + _u(5 * PITCH) + q] += g5 * value
                to_kernel[to + _u(6 * PITCH) + q] += g6 * value
                to_kernel[to + _u(7 * PITCH) + q] += g7 * value
                to_kernel[to + _u(8 * PITCH) + q] += g8 * value
