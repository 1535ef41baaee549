"""What a trained model cannot do without: elements and distances masked, one at a time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.explain._forward import Forward
from kgdyn.explain._masks import edges_of_mask, hidden_atoms, make_masks, mean_embedding
from kgdyn.explain._sample import (
    Progress,
    Rows,
    Sample,
    Steps,
    sample_frames,
    whole_number,
    within_simplex,
)
from kgdyn.explain._scores import score_sums, scores_of_sums
from kgdyn.explain.masking_result import Mask, MaskingImportance
from kgdyn.frames import readonly
from kgdyn.koopman import Covariances, Resampling
from kgdyn.observables._block_sums import BlockSums, block_intervals
from kgdyn.trajectories import Trajectory

if TYPE_CHECKING:
    from kgdyn.models import GDyNet

__all__ = ["masking_importance"]

Float = NDArray[np.float64]
States = list[NDArray[np.float32]]


def masking_importance(
    model: GDyNet,
    trajectories: Trajectory | Sequence[Trajectory],
    *,
    lagtime: int | None = None,
    elements: Sequence[str | int] | None = None,
    shells: ArrayLike | None = None,
    combined: bool = False,
    scope: Literal["targets", "all"] = "targets",
    element_mask: Literal["edges", "embedding"] = "edges",
    stride: int = 1,
    resampling: Resampling | None = None,
    progress: Progress | None = None,
) -> MaskingImportance:
    """Score and states of a model that is kept from seeing an element or a shell of neighbours.

    Masked edges lose their attention, and that of the other neighbours of the same atom grows in
    proportion, in every convolution; the model is not trained again. An atom that has no other
    neighbour hears nothing. Atoms are never taken out of the graph: then neighbours would step in
    that stand farther away than any in the training, and one would measure what the model makes of
    those. Masked neighbourhoods are strange to a model too, so that a small effect is a better
    proof than a large one.

    Two masks can each change little where either tells what the other does; an element and the
    shell that it stands in change the same frames.

    Parameters
    ----------
    model : GDyNet
        With all of its options.
    trajectories : Trajectory or sequence of Trajectory
        Not those of the training: a score on them says how well it is remembered.
    lagtime : int, frames, optional
        Of the score; the model's if not given.
    elements : sequence of str or int, optional
        Masked one by one; all that occur if not given, none for an empty one.
    shells : (n_shells + 1,) array, angstrom, optional
        Borders; each shell [a, b) is masked by itself. If not given, all distances, in steps of
        0.5 angstrom; none for an empty array. ``[0, numpy.inf]`` masks everything.
    combined : bool
        Also each element in each shell.
    scope : {"targets", "all"}
        Pairs of a target's atom and a neighbour, which neither of the two then sees; or edges
        between any atoms: the targets do not see the masked even at second hand.
    element_mask : {"edges", "embedding"}
        "edges": neighbours of the element are not heard. "embedding": they are, but not what they
        are: they begin as the mean embedding of the targets' neighbours (each element as often as
        it occurs). Atoms of targets keep theirs. For masks of whole elements only.
    stride : int, frames
        Use each ``stride``-th frame of each segment; a divisor of ``lagtime``.
    resampling : Resampling, optional
        Blocks of the intervals, in frames of the trajectories; chosen from the states if not given.
    progress : callable, optional
        Called with the frames done and the frames in all.

    Raises
    ------
    TypeError
        If the model is no GDyNet, or ``stride`` or ``lagtime`` no whole number.
    ValueError
        For an element that the model does not know, borders that do not rise, an unknown
        ``scope`` or ``element_mask``, a ``stride`` that does not divide ``lagtime``, a ``lagtime``
        longer than every segment, or a bad frame.

    Warns
    -----
    RuntimeWarning
        If there are fewer than 10 blocks, or blocks are short.

    Notes
    -----
    The states under each mask are kept until the end: 4 bytes times frames, targets, states and
    masks. The time is that of about one assignment without compilation for each mask.
    """
    sample = sample_frames(model, trajectories, stride)
    lagtime = whole_number("lagtime", model.lagtime if lagtime is None else lagtime)
    for name, value, allowed in (
        ("scope", scope, ("targets", "all")),
        ("element_mask", element_mask, ("edges", "embedding")),
    ):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {allowed}, received {value!r}")
    if lagtime % sample.stride:
        raise ValueError(f"stride must divide lagtime, {lagtime} frames, received {sample.stride}")
    if all(np.diff(run.offsets).max() <= lagtime for run in sample.trajectories):
        raise ValueError(
            f"lagtime must be shorter than the longest segment, received {lagtime} frames"
        )
    masks = make_masks(sample, elements, shells, combined, element_mask == "embedding")
    states, masked, taken = _states(sample, masks, scope, element_mask, progress)
    used = sample.resampling(states, resampling, lagtime)
    scores, score_bounds = _scores(sample, states, masked, used, lagtime // sample.stride)
    rows = sample.rows(used)
    shares, bounds = _changes(rows, states, masked, used)
    return MaskingImportance(
        masks=masks,
        score=float(scores["score"][0]),
        score_interval=score_bounds["score"],
        masked_score=readonly(scores["masked_score"]),
        masked_score_interval=score_bounds["masked_score"],
        score_drop=readonly(scores["score_drop"]),
        score_drop_interval=score_bounds["score_drop"],
        changed=readonly(shares["changed"]),
        changed_interval=bounds["changed"],
        changed_of_all=readonly(shares["changed_of_all"]),
        changed_of_all_interval=bounds["changed_of_all"],
        total_variation=readonly(shares["total_variation"]),
        total_variation_interval=bounds["total_variation"],
        masked_neighbors=readonly(taken),
        populations=readonly(shares["populations"]),
        lagtime=lagtime,
        scope=scope,
        element_mask=element_mask,
        n_frames=sample.n_frames,
        n_targets=sample.trajectories[0].n_targets,
        n_neighbors=model.n_neighbors,
        stride=sample.stride,
        resampling=sample.in_frames(used),
    )


def _states(
    sample: Sample,
    masks: tuple[Mask, ...],
    scope: str,
    element_mask: str,
    progress: Progress | None,
) -> tuple[States, list[States], Float]:
    """States without a mask, those under each, and neighbours masked per atom of a target."""
    forward, steps = Forward(sample.model), Steps(progress, sample.n_frames)
    by_embedding = [
        element_mask == "embedding" and mask.everywhere and mask.element is not None
        for mask in masks
    ]
    vector = mean_embedding(sample) if any(by_embedding) else None
    states, masked = sample.empty_states(), [sample.empty_states() for _ in masks]
    taken, n_atoms = np.zeros(len(masks)), 0
    for number, part, graphs in sample.batches():
        batch = forward.batch(graphs)
        atoms, shape = batch.flat.target_atoms, states[number][part].shape
        plain = forward.masked_states(batch).reshape(shape)
        states[number][part] = plain
        n_atoms += len(atoms)
        for place, mask in enumerate(masks):
            options: dict[str, Any]
            if by_embedding[place]:
                hidden = hidden_atoms(mask, batch)
                concerned = hidden[batch.flat.neighbors[atoms]]
                options = {"hidden": hidden, "vector": vector}
            else:
                hidden = edges_of_mask(mask, batch, scope)
                concerned = hidden[atoms]
                options = {"masked": hidden}
            taken[place] += concerned.sum()
            # Where there is nothing to mask, nothing may differ, not even by rounding.
            found = forward.masked_states(batch, **options) if hidden.any() else plain
            masked[place][number][part] = found.reshape(shape)
        steps.add(part.stop - part.start)
    return states, masked, taken / n_atoms


def _scores(
    sample: Sample, states: States, masked: list[States], used: Resampling, lagtime: int
) -> tuple[dict[str, Float], dict[str, Any]]:
    """All from the same blocks of pairs: intervals of differences are those of the differences."""
    kinds: list[Covariances] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # few blocks: said once, further on
        for some in (states, *masked):
            kinds.append(used.covariances(sample.segments(some), lagtime))

    def statistics(sums: dict[str, Float]) -> dict[str, Float]:
        scores = scores_of_sums(sums)
        return {
            "score": scores[:, :1],
            "masked_score": scores[:, 1:],
            "score_drop": scores[:, :1] - scores[:, 1:],
        }

    blocks = BlockSums(score_sums(kinds), kinds[0].block_of, kinds[0].target_of)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return block_intervals(used, blocks, statistics)


def _changes(
    rows: Rows, states: States, masked: list[States], used: Resampling
) -> tuple[dict[str, Float], dict[str, Any]]:
    """Shares of target-frames that change, and total variation, by mask and state."""
    n_states = states[0].shape[2]
    place = np.concatenate([part.reshape(-1) for part in rows.places])
    chi = np.concatenate([part.reshape(-1, n_states) for part in states])
    first = chi.argmax(axis=1)
    every = (rows.n_blocks, n_states)

    def counted(weights: Any = None) -> Any:
        """(n_blocks, n_states) of the rows, by their most probable state."""
        found = np.bincount(place * n_states + first, weights, rows.n_blocks * n_states)
        return found.reshape(every).astype(np.float64)

    def weighted(values: Any, weights: Any) -> Any:
        """(n_blocks, n_states) of the rows, weighted by the probabilities of the states."""
        found = [np.bincount(place, values * weights[:, s], rows.n_blocks) for s in range(n_states)]
        return np.stack(found, axis=1)

    inside = within_simplex(chi)
    changed, variation = [], []
    for some in masked:
        other = np.concatenate([part.reshape(-1, n_states) for part in some])
        changed.append(counted((other.argmax(axis=1) != first).astype(np.float64)))
        moved = 0.5 * np.abs(within_simplex(other) - inside).sum(axis=1)
        variation.append(weighted(moved, inside))
    sums = {
        "first": counted(),
        "weights": weighted(np.ones(len(chi)), chi),
        "inside": weighted(np.ones(len(chi)), inside),
        "changed": np.stack(changed, axis=1),
        "variation": np.stack(variation, axis=1),
    }

    def statistics(of: dict[str, Float]) -> dict[str, Float]:
        total = of["weights"].sum(axis=1, keepdims=True)
        return {
            "changed": of["changed"] / of["first"][:, None],
            "changed_of_all": of["changed"].sum(axis=2) / of["first"].sum(axis=1, keepdims=True),
            "total_variation": of["variation"] / of["inside"][:, None],
            "populations": of["weights"] / total,
        }

    return block_intervals(
        used,
        BlockSums(sums, rows.block_of, rows.target_of),
        statistics,
        {name: "probability" for name in ("changed", "changed_of_all", "total_variation")},
    )
