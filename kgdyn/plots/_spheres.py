"""Clusters of atoms as drawings: spheres and sticks, shaded by depth, in the plane of the paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.elements import element_name

if TYPE_CHECKING:
    from kgdyn.observables._clusters import Cluster

__all__ = [
    "best_view",
    "bonds_of",
    "contacts_of",
    "draw_cluster",
    "element_colors",
    "element_radii",
]

Float = NDArray[np.float64]

# Atoms are drawn this much smaller than their covalent radii, so that one sees between them.
_SHRINK = 0.55
# Two atoms are bound below this multiple of the sum of covalent radii.
_BOND = 1.2
# Neighbours of the target: as far as this times the nearest one, or the sum of radii.
_CONTACT = 1.3
# How much of its colour the farthest atom loses.
_FOG = 0.6
# Bead types beyond the periodic table.
_BEADS = ("#8DA0CB", "#FC8D62", "#66C2A5", "#E78AC3", "#A6D854", "#FFD92F", "#E5C494", "#B3B3B3")


def element_colors(species: NDArray[Any]) -> Float:
    """(n, 3) colours as Jmol draws elements; others for bead types."""
    from ase.data.colors import jmol_colors
    from matplotlib.colors import to_rgb

    return np.array(
        [
            jmol_colors[number] if number < len(jmol_colors) else to_rgb(_BEADS[number % 8])
            for number in np.asarray(species).tolist()
        ],
        dtype=np.float64,
    ).reshape(-1, 3)


def element_radii(species: NDArray[Any]) -> Float:
    """(n,) covalent radii in angstrom; 1 for bead types."""
    from ase.data import covalent_radii

    return np.array(
        [
            covalent_radii[number] if number < len(covalent_radii) else 1.0
            for number in np.asarray(species).tolist()
        ],
        dtype=np.float64,
    )


def best_view(
    positions: Float, sizes: Float | None = None, named: NDArray[np.int64] | None = None
) -> Float:
    """(3, 3) rotation: rows are right, up and towards the eye.

    The same atoms turned round are seen alike: directions are tried in the frame of the principal
    axes, whose signs are fixed by the third moments.

    Parameters
    ----------
    positions : (n, 3) array, angstrom
    sizes : (n,) array, optional
        Radii of spheres. Of 120 directions the one is taken from which the named atoms are covered
        least; without, the flattest side is seen.
    named : (n_named,) array of int, optional
        All if not given.
    """
    chosen = np.arange(len(positions)) if named is None else named
    centred = positions[chosen] - positions[chosen].mean(axis=0)
    _, _, axes = np.linalg.svd(np.vstack([centred, 1e-6 * np.eye(3)]), full_matrices=False)
    for row in axes[:2]:
        moment = float(((centred @ row) ** 3).sum())
        row *= -1.0 if moment < 0.0 else 1.0
    axes[2] = np.cross(axes[0], axes[1])
    if sizes is None:
        return axes
    best, least = axes, np.inf
    for towards in _directions(120):
        view = _looking_along(towards) @ axes
        seen = positions @ view.T
        away = np.linalg.norm(seen[chosen, None, :2] - seen[:, :2], axis=2)
        covered = np.clip(1.0 - away / (sizes[chosen][:, None] + sizes), 0.0, 1.0)
        covered *= seen[chosen, 2][:, None] < seen[:, 2]
        if covered.sum() < least - 1e-9:
            best, least = view, float(covered.sum())
    return best


def _directions(n: int) -> Float:
    """(n, 3) unit vectors, evenly spread over the sphere, beginning at the third axis."""
    height = 1.0 - 2.0 * np.arange(n) / (n - 1)
    turn = np.arange(n) * np.pi * (3.0 - np.sqrt(5.0))
    width = np.sqrt(np.clip(1.0 - height**2, 0.0, 1.0))
    return np.column_stack([width * np.cos(turn), width * np.sin(turn), height])


def _looking_along(towards: Float) -> Float:
    """Rotation whose third row is ``towards``, and whose second is near the second axis."""
    up = np.array([0.0, 1.0, 0.0]) if abs(towards[1]) < 0.95 else np.array([0.0, 0.0, 1.0])
    right = np.cross(up, towards)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(towards, right), towards])


def draw_cluster(ax: Any, cluster: Cluster, reach: float | None, half_width: float) -> set[int]:
    """Draw a cluster around its target, as far as ``half_width``; return its elements' numbers.

    Lines go from the target to its neighbours within ``reach`` angstrom (dashed), and between
    atoms that are bound.
    """
    from matplotlib.patches import Circle

    species = np.asarray(cluster.species)
    radii, colors = element_radii(species), element_colors(species)
    own = np.asarray(cluster.is_target, dtype=np.bool_)
    positions = np.asarray(cluster.positions, dtype=np.float64)
    contacts = contacts_of(positions, radii, own, reach)
    around = np.unique(contacts) if len(contacts) else np.arange(len(positions))
    near = np.flatnonzero(np.linalg.norm(positions, axis=1) < half_width)
    names = np.searchsorted(near, np.intersect1d(around, near)).astype(np.int64)
    seen = positions @ best_view(positions[near], _SHRINK * radii[near], names).T
    depth = seen[:, 2]
    # Atoms of whole molecules may be far away: those that are near decide what is pale.
    span = 2.0 * half_width
    fog = _FOG * np.clip((half_width - depth) / span, 0.0, 1.0)
    named = set(around.tolist()) if len(contacts) else set()
    for pairs, style in ((bonds_of(cluster, positions, radii, own), "-"), (contacts, (0, (3, 2)))):
        for one, other in pairs.tolist():
            # From surface to surface, so that no line lies over a sphere that it ends at.
            way = seen[other] - seen[one]
            unit = way / max(float(np.linalg.norm(way)), 1e-9)
            start = seen[one] + _SHRINK * radii[one] * unit
            end = seen[other] - _SHRINK * radii[other] * unit
            grey = 0.35 + 0.25 * (fog[one] + fog[other])
            ax.plot(
                [start[0], end[0]],
                [start[1], end[1]],
                color=str(grey),
                linewidth=1.6 if style == "-" else 1.0,
                linestyle=style,
                zorder=10.0 + 0.5 * (depth[one] + depth[other]) / span,
            )
    for atom in np.argsort(depth).tolist():
        size = _SHRINK * radii[atom]
        place = (seen[atom, 0], seen[atom, 1])
        order = 10.0 + depth[atom] / span
        face = (1.0 - fog[atom]) * colors[atom] + fog[atom]
        edge = str(0.75 * fog[atom])
        width = 1.6 if own[atom] else 0.5
        ax.add_patch(Circle(place, size, facecolor=face, edgecolor=edge, lw=width, zorder=order))
        light = 0.5 * face + 0.5
        spot = (place[0] - 0.3 * size, place[1] + 0.3 * size)
        ax.add_patch(Circle(spot, 0.32 * size, facecolor=light, lw=0, zorder=order + 1e-4))
        if atom in named:
            dark = float(face @ [0.299, 0.587, 0.114]) < 0.5
            ax.text(
                *place, element_name(int(species[atom])).removeprefix("type "),
                ha="center", va="center", fontsize=6.0, color="white" if dark else "black",
                zorder=order + 2e-4, clip_on=True,
            )  # fmt: skip
    limits = (-half_width, half_width)
    ax.set(aspect="equal", xticks=[], yticks=[], xlim=limits, ylim=limits)
    return set(species[(np.abs(seen[:, :2]) < half_width).all(axis=1)].tolist())


def contacts_of(
    positions: Float, radii: Float, own: NDArray[np.bool_], reach: float | None = None
) -> NDArray[np.int64]:
    """(n, 2) atoms of the target and their neighbours.

    Within ``reach`` angstrom; if not given, 1.3 times the sum of covalent radii, or 1.3 times the
    distance of the nearest neighbour where that is more.
    """
    targets, others = np.flatnonzero(own), np.flatnonzero(~own)
    if not (targets.size and others.size):
        return np.zeros((0, 2), np.int64)
    away = np.linalg.norm(positions[others] - positions[targets][:, None], axis=2)
    if reach is None:
        bound = _CONTACT * (radii[targets][:, None] + radii[others])
        limit = np.maximum(bound, _CONTACT * away.min())
    else:
        limit = np.full(away.shape, reach)
    first, second = np.nonzero(away < limit)
    return np.column_stack([targets[first], others[second]]).astype(np.int64)


def bonds_of(
    cluster: Cluster, positions: Float, radii: Float, own: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """(n, 2) pairs of atoms that are bound, of one molecule where molecules are known."""
    away = np.linalg.norm(positions[:, None] - positions, axis=2)
    bound = away < _BOND * (radii[:, None] + radii)
    # Two of the same kind: both of the target, or neither.
    bound &= own[:, None] == own
    if cluster.molecules is not None:
        names = np.asarray(cluster.molecules)
        bound &= names[:, None] == names
    first, second = np.nonzero(np.triu(bound, 1))
    return np.column_stack([first, second]).astype(np.int64)
