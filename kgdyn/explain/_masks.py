"""Which edges and atoms a mask is about."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.elements import element_name, element_numbers
from kgdyn.explain._forward import Batch
from kgdyn.explain._sample import Sample
from kgdyn.explain.masking_result import Mask

__all__ = ["edges_of_mask", "hidden_atoms", "make_masks", "mean_embedding"]

_SHELL_WIDTH = 0.5  # angstrom


def make_masks(
    sample: Sample,
    elements: Sequence[str | int] | None,
    shells: ArrayLike | None,
    combined: bool,
    by_embedding: bool = False,
) -> tuple[Mask, ...]:
    """All that are asked for: elements, then shells, then elements in shells.

    Parameters
    ----------
    sample : Sample
    elements : sequence of str or int, or None for all that occur
    shells : borders (n_shells + 1,) in angstrom, or None for shells of 0.5 angstrom
    combined : bool
    by_embedding : bool
        Elements are hidden, which cannot be done to atoms of targets.

    Raises
    ------
    ValueError
        For an element that the model does not know or that is named twice, one all of whose atoms
        are of targets (if they are hidden), borders that do not rise, or nothing to mask.
    """
    known = sample.model.elements
    bound = _only_in_targets(sample) if by_embedding else set()
    if elements is None:
        numbers = sorted({n for run in sample.trajectories for n in run.elements} - bound)
    else:
        numbers = element_numbers([elements] if isinstance(elements, str) else elements)
    strange = [element_name(n) for n in numbers if n not in known]
    if strange:
        raise ValueError(
            f"elements must be among those that the model knows, {[element_name(n) for n in known]}"
            f", received {strange}"
        )
    kept = [element_name(n) for n in numbers if n in bound]
    if kept:
        raise ValueError(
            'elements: with element_mask="embedding" atoms of targets keep their own, and all of '
            f'{", ".join(kept)} are of targets; use element_mask="edges"'
        )
    if len(set(numbers)) != len(numbers):
        raise ValueError(f"elements must be distinct, received {elements!r}")
    borders = _shells_of(sample) if shells is None else np.asarray(shells, np.float64).reshape(-1)
    rising = len(borders) != 1 and not np.isnan(borders).any() and (np.diff(borders) > 0.0).all()
    if not rising or (len(borders) and borders[0] < 0.0):
        raise ValueError(
            "shells must be rising borders in angstrom, at least two and none negative (or none at "
            f"all), received {shells!r}"
        )
    names = [element_name(number) for number in numbers]
    ranges = list(pairwise(borders.tolist()))
    masks = [Mask(name) for name in names] + [Mask(None, *span) for span in ranges]
    if combined:
        masks += [Mask(name, *span) for name in names for span in ranges]
    if not masks:
        raise ValueError("elements and shells: at least one is needed to mask, received none")
    return tuple(masks)


def _only_in_targets(sample: Sample) -> set[int]:
    """Elements that occur in targets, and nowhere else."""
    inside: set[int] = set()
    outside: set[int] = set()
    for run in sample.trajectories:
        own = np.zeros(run.n_atoms, np.bool_)
        own[run.targets.atoms] = True
        inside |= set(run.species[own].tolist())
        outside |= set(run.species[~own].tolist())
    return inside - outside


def _shells_of(sample: Sample) -> NDArray[np.float64]:
    """Multiples of 0.5 angstrom between the targets' nearest and farthest neighbour."""
    nearest, farthest = np.inf, 0.0
    for graphs in sample.describing_graphs():
        distances = graphs.distances[_target_rows(graphs)]
        nearest = min(nearest, float(distances.min()))
        farthest = max(farthest, float(distances.max()))
    first, last = np.floor(nearest / _SHELL_WIDTH) + 1.0, np.ceil(farthest / _SHELL_WIDTH) - 1.0
    inner = _SHELL_WIDTH * np.arange(first, last + 1.0)
    return np.concatenate([[0.0], inner, [np.inf]])


def mean_embedding(sample: Sample) -> NDArray[np.float64]:
    """(n_features,) mean vector of the neighbours of targets' atoms, each as often as it occurs."""
    import keras

    elements = sample.model.elements
    counts = np.zeros(len(elements))
    places = {number: place for place, number in enumerate(elements)}
    for graphs in sample.describing_graphs():
        first = np.repeat(graphs.atom_splits[:-1], np.diff(graphs.row_splits))
        neighbors = (graphs.neighbors + first[:, None])[_target_rows(graphs)]
        for number, count in zip(
            *np.unique(graphs.species[neighbors], return_counts=True), strict=True
        ):
            counts[places[int(number)]] += count
    vectors = np.asarray(keras.ops.convert_to_numpy(sample.model.embedding.vectors), np.float64)
    result: NDArray[np.float64] = counts @ vectors / counts.sum()
    return result


def _target_rows(graphs: Any) -> NDArray[np.int64]:
    """Rows of ``neighbors`` of the targets' atoms, of all frames."""
    of_frame = np.diff(graphs.target_atom_splits[graphs.target_splits])
    rows: NDArray[np.int64] = np.repeat(graphs.row_splits[:-1], of_frame) + graphs.target_atoms
    return rows


def edges_of_mask(mask: Mask, batch: Batch, scope: str) -> NDArray[np.bool_]:
    """(n_rows, M) which edges it takes away.

    With the scope "targets" a pair of a target's atom and a neighbour, in both directions: else
    the neighbour would hear of the distance, and tell.
    """
    flat = batch.flat
    found = (flat.distances >= mask.low) & (flat.distances < mask.high)
    is_other = np.ones(len(flat.species), np.bool_)
    if mask.element is not None:
        is_other = flat.species == _number(mask.element)
    centers = np.arange(len(flat.neighbors))
    if scope == "all":
        return np.asarray(found & is_other[flat.neighbors])
    target = batch.is_target
    outward = target[centers, None] & is_other[flat.neighbors]
    inward = target[flat.neighbors] & is_other[centers, None]
    return np.asarray(found & (outward | inward))


def hidden_atoms(mask: Mask, batch: Batch) -> NDArray[np.bool_]:
    """(n_atoms,) atoms of the element that are not of targets: what a target is, it knows."""
    return np.asarray((batch.flat.species == _number(str(mask.element))) & ~batch.is_target)


def _number(name: str) -> int:
    """Of an element, or of a bead ("type 130")."""
    return element_numbers([name.split()[-1]])[0]
