"""Which sites of a crystal touch each other, under periodic boundary conditions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["site_adjacency"]

# Sites nearer than this to each other are the same site, angstrom.
_SAME_SITE = 1e-3


def site_adjacency(
    positions: ArrayLike, cell: ArrayLike, cutoff: float, *, pbc: Sequence[bool] = (True,) * 3
) -> NDArray[np.int64]:
    """Count the periodic images of each site within a cut-off of each other site.

    Parameters
    ----------
    positions : (n_sites, 3) array, angstrom
        In the cell or out of it.
    cell : (3, 3) array, angstrom
        Rows are lattice vectors, which may be oblique.
    cutoff : float, angstrom
        To be put between two shells of distances. In fcc sulfur with a lattice constant a, an
        octahedral site is a sqrt(3) / 4 from its 8 tetrahedral ones, and these are a / 2 apart:
        0.45 a joins only sites of different states.
    pbc : three bool
        Along which lattice vectors the cell repeats.

    Returns
    -------
    (n_sites, n_sites) array of int, symmetric
        A site's own images count on the diagonal.

    Raises
    ------
    ValueError
        For other shapes, values that are not finite, a cell without volume, a cut-off that is not
        positive, or two sites at the same place.
    """
    sites = np.asarray(positions, dtype=np.float64)
    vectors = np.asarray(cell, dtype=np.float64)
    if sites.ndim != 2 or sites.shape[1] != 3 or len(sites) == 0:
        raise ValueError(f"positions must have shape (n_sites, 3), received {sites.shape}")
    if vectors.shape != (3, 3):
        raise ValueError(f"cell must have shape (3, 3), received {vectors.shape}")
    if not (np.isfinite(sites).all() and np.isfinite(vectors).all()):
        raise ValueError("positions and cell must be finite, received NaN or infinity")
    if not abs(np.linalg.det(vectors)) > 1e-9:
        raise ValueError(f"cell must have a volume, received {vectors.tolist()}")
    if not 0.0 < cutoff < np.inf:
        raise ValueError(f"cutoff must be a positive distance, received {cutoff}")
    periodic = np.asarray(pbc, dtype=bool)
    if periodic.shape != (3,):
        raise ValueError(f"pbc must be three truth values, received {pbc}")
    inverse = np.linalg.inv(vectors)
    fractions = sites @ inverse
    fractions -= np.floor(fractions) * periodic
    sites = fractions @ vectors
    # Planes of the cell are 1 / |column of the inverse| apart; wrapped sites span up to one cell.
    reach = np.ceil(cutoff * np.linalg.norm(inverse, axis=0)).astype(int) * periodic
    counts = np.zeros((len(sites), len(sites)), np.int64)
    steps = [range(-count, count + 1) for count in reach]
    for image in itertools.product(*steps):
        differences = sites[None, :] + np.array(image) @ vectors - sites[:, None]
        distances = np.linalg.norm(differences, axis=2)
        if image == (0, 0, 0):
            np.fill_diagonal(distances, np.inf)
        if (distances < _SAME_SITE).any():
            first, second = np.argwhere(distances < _SAME_SITE)[0]
            raise ValueError(
                f"positions: sites {first} and {second} are at the same place, "
                f"{distances[first, second]:.2g} angstrom apart"
            )
        counts += distances <= cutoff
    # A distance of just the cut-off may be rounded either way.
    return np.maximum(counts, counts.T)
