"""Numba kernels of attention over neighbours: radial function, messages, softmax and sum.

What the layers in keras.ops do in twenty passes over all edges is done here atom by atom, from
distances alone: nothing of the size of the edges is written to memory, and the gradient computes
again what it needs. Moving messages to memory and back takes longer than making them.

Written for the compiler's vector instructions: arrays are flat, the innermost loops run over
features, indices are unsigned, because numba otherwise asks of each whether it counts from the
end, and no two arrays overlap, which it is told. Tables stand in blocks of ``LANES`` features, so
that the distance of their rows is a constant, and seen not to overlap either.

Importing this file imports numba. The kernels release the GIL and check nothing.
"""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np
from numba.core.compiler import Compiler

__all__ = ["LANES", "attend_backward", "attend_forward"]

LANES = 16


class _DistinctArrays(Compiler):  # type: ignore[misc]
    """Take the arrays that a function is given as distinct: without it each loop first asks."""

    def define_pipelines(self) -> Any:
        self.state.flags.noalias = True
        return super().define_pipelines()  # type: ignore[no-untyped-call]


_njit: Any = functools.partial(
    numba.njit, nogil=True, error_model="numpy", cache=True, pipeline_class=_DistinctArrays
)
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
_HALF, _ONE, _ZERO = _f(0.5), _f(1.0), _f(0.0)
_LANES = _u(LANES)


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
def locate(row: Any, distances: Any, scale: Any, last: Any, shares: Any, first: Any) -> None:
    """Where in a table the distances of one atom are.

    Parameters
    ----------
    distances : (n_rows, M) float32, angstrom
    scale : float64, places per angstrom
    last : float64, the last place but one
    shares : (4 * M,), first : (M,), to be filled
        Of each distance, how much of the value and slope at the place before it, and of those at
        the next; and the row of the first of these four.
    """
    n_neighbors = _u(distances.shape[1])
    for m in range(n_neighbors):
        scaled = np.float64(distances[row, m]) * scale
        if scaled < 0.0:  # no distance, but no place outside of the table either
            scaled = 0.0
        # Beyond the end also what is not a number, which stays so in the result.
        before = np.floor(scaled) if scaled < last else last
        first[m] = np.int32(2.0 * before)
        shares[m] = _f(min(scaled - before, 1.0))
    for m in range(n_neighbors):
        past = shares[m]
        left = _ONE - past
        shares[m] = (_ONE + past + past) * left * left
        shares[m + n_neighbors] = past * left * left
        shares[m + _u(2) * n_neighbors] = past * past * (_ONE + left + left)
        shares[m + _u(3) * n_neighbors] = -past * past * left


@_fast
def attend_row(
    row: Any,
    node_features: Any,
    node_logits: Any,
    distances: Any,
    scale: Any,
    neighbors: Any,
    shifts: Any,
    table: Any,
    attention_table: Any,
    centers: Any,
    shares: Any,
    first: Any,
    messages: Any,
    attention: Any,
) -> None:
    """Messages (M, width), attention (M,), and where distances are, of one atom."""
    n_neighbors, block = _u(neighbors.shape[1]), _LANES * _u(len(attention_table))
    width = _u(len(centers)) // _u(max(1, len(neighbors)))
    locate(row, distances, scale, np.float64(len(attention_table) // 2 - 2), shares, first)
    largest = _f(-3e38)
    for m in range(n_neighbors):
        j, base = _u(neighbors[row, m]), _u(first[m])
        s0, s1 = shares[m], shares[m + n_neighbors]
        s2, s3 = shares[m + _u(2) * n_neighbors], shares[m + _u(3) * n_neighbors]
        logit = node_logits[j] + shifts[row, m]
        logit += s0 * attention_table[base] + s1 * attention_table[base + _u(1)]
        logit += s2 * attention_table[base + _u(2)] + s3 * attention_table[base + _u(3)]
        attention[m] = logit
        largest = max(largest, logit)
        done, at = _u(0), base * _LANES
        while done < width:
            node, center, out = j * width + done, row * width + done, m * width + done
            for q in range(min(_LANES, width - done)):
                messages[out + q] = max(
                    _ZERO,
                    node_features[node + q]
                    + centers[center + q]
                    + s0 * table[at + q]
                    + s1 * table[at + _LANES + q]
                    + s2 * table[at + _u(2 * LANES) + q]
                    + s3 * table[at + _u(3 * LANES) + q],
                )
            done += _LANES
            at += block
    for m in range(n_neighbors):
        attention[m] = exponential(attention[m] - largest)
    total = _ZERO
    for m in range(n_neighbors):
        total += attention[m]
    for m in range(n_neighbors):
        attention[m] /= total


@_fast
def attend_forward(
    rows: Any,
    node_features: Any,
    node_logits: Any,
    distances: Any,
    scale: Any,
    neighbors: Any,
    shifts: Any,
    table: Any,
    attention_table: Any,
    centers: Any,
    result: Any,
) -> None:
    """sum_j alpha_ij relu(m_ij) of the atoms ``rows[0]`` to ``rows[1]``.

    Parameters
    ----------
    node_features, node_logits : (n_atoms * width,), (n_atoms,) float32
        Products of neighbours.
    distances : (n_rows, M) float32, angstrom; scale : float64, places of the table per angstrom
    neighbors, shifts : (n_rows, M) int32, float32
        Rows of nodes; what is added to each logit.
    table, attention_table : (n_blocks * n * LANES,), (n,) float32
        Value, slope, value, slope ... of the radial function at place after place; of features in
        blocks, the last one filled up.
    centers : (n_rows * width,) float32
    result : (n_rows * width,), to be filled
    """
    n_neighbors = _u(neighbors.shape[1])
    width = _u(len(centers)) // _u(max(1, len(neighbors)))
    shares, first = np.empty(_u(4) * n_neighbors, np.float32), np.empty(n_neighbors, np.int32)
    messages = np.empty(n_neighbors * width, np.float32)
    attention = np.empty(n_neighbors, np.float32)
    for row in range(_u(rows[0]), _u(rows[1])):
        attend_row(
            row,
            node_features,
            node_logits,
            distances,
            scale,
            neighbors,
            shifts,
            table,
            attention_table,
            centers,
            shares,
            first,
            messages,
            attention,
        )
        for q in range(width):
            result[row * width + q] = _ZERO
        for m in range(n_neighbors):
            weight = attention[m]
            for q in range(width):
                result[row * width + q] += weight * messages[m * width + q]


@_fast
def attend_backward(
    rows: Any,
    node_features: Any,
    node_logits: Any,
    distances: Any,
    scale: Any,
    neighbors: Any,
    shifts: Any,
    table: Any,
    attention_table: Any,
    centers: Any,
    upstream: Any,
    to_features: Any,
    to_logits: Any,
    to_table: Any,
    to_attention_table: Any,
    to_centers: Any,
) -> None:
    """The gradient of :func:`attend_forward`: sets ``to_centers``, adds to the four before it.

    ``upstream`` and ``to_centers`` are (n_rows * width,); the others have the shapes of what they
    are the gradients of.
    """
    n_neighbors, block = _u(neighbors.shape[1]), _LANES * _u(len(attention_table))
    width = _u(len(centers)) // _u(max(1, len(neighbors)))
    shares, first = np.empty(_u(4) * n_neighbors, np.float32), np.empty(n_neighbors, np.int32)
    messages = np.empty(n_neighbors * width, np.float32)
    attention, to_attention = np.empty(n_neighbors, np.float32), np.empty(n_neighbors, np.float32)
    for row in range(_u(rows[0]), _u(rows[1])):
        attend_row(
            row,
            node_features,
            node_logits,
            distances,
            scale,
            neighbors,
            shifts,
            table,
            attention_table,
            centers,
            shares,
            first,
            messages,
            attention,
        )
        mean = _ZERO
        for m in range(n_neighbors):
            product = _ZERO
            for q in range(width):
                product += messages[m * width + q] * upstream[row * width + q]
            to_attention[m] = product
            mean += attention[m] * product
        for q in range(width):
            to_centers[row * width + q] = _ZERO
        for m in range(n_neighbors):
            j, base = _u(neighbors[row, m]), _u(first[m])
            s0, s1 = shares[m], shares[m + n_neighbors]
            s2, s3 = shares[m + _u(2) * n_neighbors], shares[m + _u(3) * n_neighbors]
            weight = attention[m]
            to_logit = weight * (to_attention[m] - mean)
            to_logits[j] += to_logit
            to_attention_table[base] += s0 * to_logit
            to_attention_table[base + _u(1)] += s1 * to_logit
            to_attention_table[base + _u(2)] += s2 * to_logit
            to_attention_table[base + _u(3)] += s3 * to_logit
            done, at = _u(0), base * _LANES
            while done < width:
                node, center, out = j * width + done, row * width + done, m * width + done
                for q in range(min(_LANES, width - done)):
                    value = weight * upstream[center + q] if messages[out + q] > _ZERO else _ZERO
                    to_centers[center + q] += value
                    to_features[node + q] += value
                    to_table[at + q] += s0 * value
                    to_table[at + _LANES + q] += s1 * value
                    to_table[at + _u(2 * LANES) + q] += s2 * value
                    to_table[at + _u(3 * LANES) + q] += s3 * value
                done += _LANES
                at += block
