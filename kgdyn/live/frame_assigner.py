"""States of frames that come in batches from somewhere else, with the model compiled once."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.graphs import pack_graphs
from kgdyn.graphs.nearest_neighbors import check_n_neighbors
from kgdyn.live._compiled_call import compiled_call, receptive_field
from kgdyn.live.stream import StreamInfo

if TYPE_CHECKING:
    from kgdyn.models import GDyNet

__all__ = ["FrameAssigner"]


class FrameAssigner:
    """State probabilities of any frames of the same atoms, as :func:`kgdyn.assign_states` has them.

    :class:`kgdyn.live.LiveAnalysis` takes frames one by one and keeps statistics. This takes as
    many at a time as it is given, in any order, and keeps nothing.

    Parameters
    ----------
    model : GDyNet
    info : StreamInfo
        Atoms, periodic directions and targets.
    novelty : bool
        Whether to compare surroundings with those of the training too.
    n_threads : int
        Of the neighbour search.

    Attributes
    ----------
    n_rows : int
        Rows a frame: its targets, or 1 of a model with ``pooling="global"``.
    n_states : int

    Raises
    ------
    ValueError
        For an element that the model never saw, too few atoms, or ``novelty`` of a model that
        does not know its training's surroundings.
    """

    def __init__(
        self, model: GDyNet, info: StreamInfo, *, novelty: bool = False, n_threads: int = 1
    ) -> None:
        if n_threads < 1:
            raise ValueError(f"n_threads must be at least 1, received {n_threads}")
        self.model, self.n_threads = model, n_threads
        self._look_at(info, novelty)
        self._n_hops = receptive_field(model)
        self._predict = compiled_call(model)

    def for_atoms(self, info: StreamInfo, *, novelty: bool = False) -> FrameAssigner:
        """The same for other atoms or targets, without compiling the model again."""
        other = copy(self)
        other._look_at(info, novelty)
        return other

    def _look_at(self, info: StreamInfo, novelty: bool) -> None:
        from kgdyn.training import check_elements

        model = self.model
        stream: Any = info  # has what is asked of a trajectory: elements and source
        check_elements(model, stream)
        check_n_neighbors(model.n_neighbors, info.n_atoms, info.pbc, info.source)
        self._known = model.novelty if novelty else None
        if novelty and self._known is None:
            raise ValueError(
                "novelty: the model does not know the surroundings that it was trained on: "
                "kgdyn.training.fit_novelty(model, trajectories) tells it"
            )
        self.info = info
        self.n_rows = 1 if model.pooling == "global" else info.n_targets
        self.n_states = int(model.n_states)

    def __call__(
        self, positions: NDArray[Any], cells: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """State probabilities, and how far surroundings are from those of the training.

        Parameters
        ----------
        positions : (n_frames, n_atoms, 3) array of float, angstrom; finite.
        cells : (n_frames, 3, 3) array of float64, angstrom; rows are lattice vectors.

        Returns
        -------
        (n_frames, n_rows, n_states) array of float32; rows sum to 1
        (n_frames, n_targets) array of float32, or None
            See :meth:`kgdyn.novelty.Novelty.distances`.

        Raises
        ------
        ValueError
            For other shapes than these.
        """
        info = self.info
        n_frames = len(positions)
        if positions.shape != (n_frames, info.n_atoms, 3) or cells.shape != (n_frames, 3, 3):
            raise ValueError(
                f"{info.source}: positions and cells must have shapes (n_frames, {info.n_atoms}, "
                f"3) and (n_frames, 3, 3), received {positions.shape} and {cells.shape}"
            )
        graphs = pack_graphs(
            positions,
            cells,
            info.pbc,
            info.species,
            info.targets,
            self.model.n_neighbors,
            n_hops=self._n_hops,
            n_threads=self.n_threads,
            where=info.source,
        )
        states = self._predict(graphs).reshape(n_frames, self.n_rows, self.n_states)
        if self._known is None:
            return states, None
        return states, self._known.distances(graphs).reshape(n_frames, info.n_targets)
