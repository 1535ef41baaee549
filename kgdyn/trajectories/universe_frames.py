"""Frames of an MDAnalysis Universe that somebody else walks through, such as its AnalysisBase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from kgdyn.trajectories._universe_frames import UniverseFrames

__all__ = ["universe_frames"]


def universe_frames(
    universe: Any,
    *,
    elements: Sequence[str | int] | Mapping[str, str | int] | str | None = None,
    frame_interval: float | None = None,
    pbc: ArrayLike | None = None,
) -> UniverseFrames:
    """The frames of a Universe one at a time, as :func:`kgdyn.from_universe` reads them all.

    Parameters
    ----------
    universe : MDAnalysis.Universe
    elements, frame_interval, pbc
        As for :func:`kgdyn.from_universe`; ``elements="masses"`` takes them from the topology's.

    Returns
    -------
    UniverseFrames
        With ``species``, ``pbc`` and ``source``; ``targets(selection, groupby)`` makes
        :class:`kgdyn.TargetGroups` of a text or an AtomGroup; ``read(timestep)`` gives positions
        (n_atoms, 3) and cell (3, 3) of the Universe's current frame in angstrom;
        ``trajectory(frames, targets)`` reads some frames into memory. Can be pickled as the
        Universe can.

    Raises
    ------
    ValueError
        For unknown elements, and for files that are cut or zero-filled.
    """
    from kgdyn.trajectories._universe_frames import UniverseFrames

    return UniverseFrames(universe, elements=elements, frame_interval=frame_interval, pbc=pbc)
