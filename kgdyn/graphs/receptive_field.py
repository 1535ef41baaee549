"""Which atoms a target's features depend on, and through how many convolutions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["hop_distances"]


def hop_distances(
    neighbors: NDArray[np.int64], targets: NDArray[np.int64], n_hops: int
) -> NDArray[np.int32]:
    """Steps along the graph from the nearest target atom to every atom.

    With K convolutions, layer k needs only atoms within K - k hops of a target: what is farther
    than K hops is never seen.

    Parameters
    ----------
    neighbors : (n_frames, n_atoms, M) array of int
        Rows of the same frame that each atom receives messages from.
    targets : (n_target_atoms,) array of int
        The same in every frame.
    n_hops : int
        How far to look.

    Returns
    -------
    (n_frames, n_atoms) array of int32; ``n_hops + 1`` means farther than ``n_hops``.
    """
    n_frames, n_atoms, _ = neighbors.shape
    hops = np.full((n_frames, n_atoms), n_hops + 1, np.int32)
    hops[:, targets] = 0
    first_atom = (np.arange(n_frames) * n_atoms)[:, None]
    flat = hops.reshape(-1)  # a view: all frames' atoms in one array
    frame, atom = np.nonzero(hops == 0)
    for hop in range(1, n_hops + 1):
        reached = (neighbors[frame, atom] + first_atom[frame]).reshape(-1)
        met = np.zeros(len(flat), bool)
        met[reached] = True
        new = np.flatnonzero(met & (flat > hop))
        if len(new) == 0:
            break
        flat[new] = hop
        frame, atom = np.divmod(new, n_atoms)
    return hops
