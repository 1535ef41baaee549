"""Sums over the frames of several models side by side, which all matching follows from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.koopman.covariances import as_segments

Float = NDArray[np.float64]
Segments = ArrayLike | Sequence[ArrayLike]


@dataclass
class MemberSums:
    """Of all members side by side: what every match and agreement follows from."""

    moments: Float  # (n_members * n_states + 1) squared: products of all columns, and of 1
    together: Float  # (n_members, n_states, n_members, n_states) counts of hard assignments
    means: Float  # (n_members, n_states)


def parts_of(member: Segments) -> Sequence[ArrayLike]:
    if isinstance(member, np.ndarray):
        return [member]
    return list(member)  # type: ignore[arg-type]


def member_sums(members: Sequence[Segments]) -> MemberSums:
    """One pass over the frames, a segment at a time."""
    parts = [parts_of(member) for member in members]
    if len({len(part) for part in parts}) != 1:
        raise ValueError(
            f"members must have the same segments, received {[len(part) for part in parts]} of them"
        )
    count, moments, together = len(parts), np.zeros(0), np.zeros(0)
    for number in range(len(parts[0])):
        chunk = [as_segments([part[number]])[0] for part in parts]
        shapes = [values.shape for values in chunk]
        if len(set(shapes)) != 1:
            raise ValueError(
                "members must have the same frames, targets and number of states, received "
                f"shapes {shapes} in segment {number}"
            )
        n_states = shapes[0][2]
        columns = [values.reshape(-1, n_states) for values in chunk]
        everything = np.concatenate([*columns, np.ones((len(columns[0]), 1))], axis=1)
        assigned = np.concatenate([np.eye(n_states)[c.argmax(axis=1)] for c in columns], axis=1)
        if number == 0:
            moments = np.zeros((everything.shape[1],) * 2)
            together = np.zeros((assigned.shape[1],) * 2)
        if everything.shape[1] != len(moments):
            raise ValueError(
                "members must have the same number of states in all segments, received "
                f"{n_states} in segment {number}"
            )
        moments += everything.T @ everything
        together += assigned.T @ assigned
    n_states = len(together) // count
    means = moments[-1, :-1] / moments[-1, -1]
    shape = (count, n_states, count, n_states)
    return MemberSums(moments, together.reshape(shape), means.reshape(count, n_states))


def correlations(moments: Float, count: int) -> Float:
    """(n_members, n_members, n_states, n_states); 0 for a column that never changes."""
    means = moments[-1, :-1] / moments[-1, -1]
    covariance = moments[:-1, :-1] / moments[-1, -1] - np.outer(means, means)
    width = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    # Below this, relative to a mean, a variance is the rounding of its two terms.
    varies = width > 1e-7 * np.maximum(np.abs(means), 1e-7)
    scale = np.where(varies, 1.0 / np.where(varies, width, 1.0), 0.0)
    n_states = len(means) // count
    values = (covariance * scale[:, None] * scale).reshape(count, n_states, count, n_states)
    result: Float = values.transpose(0, 2, 1, 3)
    return result
