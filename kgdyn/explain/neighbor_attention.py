"""Which neighbours a trained model attends to, state by state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.elements import element_name
from kgdyn.explain._forward import Batch, Forward
from kgdyn.explain._sample import (
    Progress,
    Rows,
    Sample,
    Steps,
    sample_frames,
    whole_number,
    within_simplex,
)
from kgdyn.explain.attention_result import NeighborAttention
from kgdyn.frames import readonly
from kgdyn.koopman import Interval, Resampling
from kgdyn.observables._block_sums import BlockSums, block_intervals
from kgdyn.trajectories import Trajectory

if TYPE_CHECKING:
    from kgdyn.models import GDyNet

__all__ = ["neighbor_attention"]

Float = NDArray[np.float64]


def neighbor_attention(
    model: GDyNet,
    trajectories: Trajectory | Sequence[Trajectory],
    state_probabilities: ArrayLike | Sequence[ArrayLike] | None = None,
    *,
    stride: int = 1,
    r_max: float | None = None,
    n_bins: int = 40,
    resampling: Resampling | None = None,
    lagtime: int | None = None,
    progress: Progress | None = None,
) -> NeighborAttention:
    """Attention weights of the targets' atoms, by state, element, distance and convolution.

    alpha_ij of Xie et al. 2019 (Methods), the weight of neighbour j in what atom i
    hears, averaged over atoms i of targets with the probabilities of the target's states as
    weights (those below 0, which a model's last map may give, count as 0). What an atom hears at
    second hand, from its neighbours' neighbours, has no alpha of its own here.

    A large weight is no proof that the state depends on that neighbour: the message that it weighs
    may be zero, and other weights may give the same states (Jain and Wallace, NAACL 2019,
    arXiv:1902.10186). :func:`masking_importance` asks that directly.

    Parameters
    ----------
    model : GDyNet
        With all of its options.
    trajectories : Trajectory or sequence of Trajectory
    state_probabilities : (n_frames, n_targets, n_states) array, or one a trajectory, optional
        Of all frames, as :func:`kgdyn.assign_states` gives them; the model's own if not given.
    stride : int, frames
        Look at each ``stride``-th frame of each segment.
    r_max : float, angstrom, optional
        End of the last bin; the ``radial_cutoff`` of the model if not given.
    n_bins : int
    resampling : Resampling, optional
        Blocks of the intervals, in frames of the trajectories; chosen from the states if not given.
    lagtime : int, frames, optional
        For that choice; the model's if not given.
    progress : callable, optional
        Called with the frames done and the frames to do; they count twice where states have to be
        assigned first.

    Raises
    ------
    TypeError
        If the model is no GDyNet, or ``stride``, ``n_bins`` or ``lagtime`` no whole number.
    ValueError
        For an element that the model never saw, states of another shape, an ``r_max`` that is not
        positive, numbers below 1, or a bad frame.

    Warns
    -----
    RuntimeWarning
        If there are fewer than 10 blocks, or blocks are short.
    """
    sample = sample_frames(model, trajectories, stride)
    n_bins = whole_number("n_bins", n_bins)
    lagtime = whole_number("lagtime", model.lagtime if lagtime is None else lagtime)
    reach = model.radial_cutoff if r_max is None else float(r_max)
    if not (np.isfinite(reach) and reach > 0.0):
        raise ValueError(f"r_max must be a positive length in angstrom, received {r_max}")
    edges = np.linspace(0.0, reach, n_bins + 1)
    steps = Steps(progress, sample.n_frames * (1 if state_probabilities is not None else 2))
    forward = Forward(model)
    if state_probabilities is None:
        states = sample.empty_states()
        for number, part, graphs in sample.batches():
            states[number][part] = forward.states(graphs).reshape(states[number][part].shape)
            steps.add(part.stop - part.start)
    else:
        states = sample.states_of(state_probabilities)
    used = sample.resampling(states, resampling, lagtime)
    rows = sample.rows(used)
    sums = _Sums(sample, rows, edges)
    for number, part, graphs in sample.batches():
        batch = forward.batch(graphs)
        sums.add(batch, forward.attention(batch), rows.places[number][part], states[number][part])
        steps.add(part.stop - part.start)

    def statistics(of: dict[str, Float]) -> dict[str, Float]:
        atoms = of["atoms"][:, :, None, None]  # samples, states
        return {
            "neighbors": of["edges"] / atoms,
            "share": of["attention"] / atoms[:, None],
            "mean_weight": of["attention"] / of["edges"][:, None],
        }

    found, intervals = block_intervals(
        used,
        BlockSums(sums.arrays, rows.block_of, rows.target_of),
        statistics,
        {"share": "probability", "mean_weight": "probability"},
    )
    weights = np.concatenate([part.reshape(-1, model.n_states) for part in states])
    return NeighborAttention(
        radii=readonly(0.5 * (edges[1:] + edges[:-1])),
        edges=readonly(edges),
        share=readonly(found["share"][..., :-1]),
        share_interval=_inside(intervals["share"]),
        share_beyond=readonly(found["share"][..., -1]),
        mean_weight=readonly(found["mean_weight"][..., :-1]),
        mean_weight_interval=_inside(intervals["mean_weight"]),
        neighbors=readonly(found["neighbors"][..., :-1]),
        neighbors_beyond=readonly(found["neighbors"][..., -1]),
        elements=tuple(element_name(number) for number in sums.elements),
        populations=readonly(weights.mean(axis=0, dtype=np.float64)),
        n_frames=sample.n_frames,
        n_targets=sample.trajectories[0].n_targets,
        n_neighbors=model.n_neighbors,
        stride=sample.stride,
        resampling=sample.in_frames(used),
    )


class _Sums:
    """Sums over the edges of targets' atoms, a row a block; the last bin is all that lies beyond.

    ``attention`` (n_blocks, n_convolutions, n_states, n_elements, n_bins + 1), ``edges`` the same
    without convolutions, ``atoms`` (n_blocks, n_states).
    """

    def __init__(self, sample: Sample, rows: Rows, edges: Float) -> None:
        self.elements = sorted({n for run in sample.trajectories for n in run.elements})
        self.edges = edges
        model = sample.model
        shape = (model.n_states, len(self.elements), len(edges))
        self.arrays: dict[str, Float] = {
            "attention": np.zeros((rows.n_blocks, model.n_convolutions, *shape)),
            "edges": np.zeros((rows.n_blocks, *shape)),
            "atoms": np.zeros((rows.n_blocks, model.n_states)),
        }

    def add(self, batch: Batch, attention: NDArray[np.float32], places: Any, states: Any) -> None:
        """``places`` (n_frames, n_rows) and ``states`` (n_frames, n_rows, n_states) of a batch."""
        flat, atoms = batch.flat, batch.flat.target_atoms
        # States are of targets, or one of each whole frame.
        owner = flat.target_of_atom
        if places.size != flat.n_targets:
            owner = flat.frame_of_target[owner]
        row = places.reshape(-1)[owner]
        weights = within_simplex(states.reshape(places.size, -1))[owner]
        elements = np.searchsorted(self.elements, flat.species[flat.neighbors[atoms]])
        bins = np.searchsorted(self.edges, flat.distances[atoms], side="right") - 1
        _, _, n_elements, n_columns = self.arrays["edges"].shape
        cell = (row[:, None] * n_elements + elements) * n_columns + bins
        shape = (len(self.arrays["atoms"]), n_elements, n_columns)

        def summed(values: Any) -> Any:
            of_cells = np.bincount(cell.reshape(-1), values.reshape(-1), int(np.prod(shape)))
            return of_cells.reshape(shape)

        for state in range(weights.shape[1]):
            weight = weights[:, state]
            self.arrays["atoms"][:, state] += np.bincount(row, weight, shape[0])
            self.arrays["edges"][:, state] += summed(np.broadcast_to(weight[:, None], cell.shape))
            for number, alpha in enumerate(attention):
                self.arrays["attention"][:, number, state] += summed(weight[:, None] * alpha)


def _inside(interval: Interval) -> Interval:
    """Without what lies beyond the last bin."""
    return Interval(readonly(interval.lower[..., :-1]), readonly(interval.upper[..., :-1]))
