"""Clusters as the viewer of the page takes them: atoms, bonds, colours, a legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.elements import element_name
from kgdyn.observables import Representative
from kgdyn.plots._spheres import bonds_of, contacts_of, element_colors, element_radii
from kgdyn.plots._style import state_color

__all__ = ["viewer_data"]

# A sphere is drawn with this share of its element's radius, so that bonds can be seen.
_SPHERE = 0.45
# Atoms farther than this times the radius are left out: whole chains reach through the cell, and
# in perspective would stand behind the eye.
_FARTHEST = 2.0
# Of the rim of a sphere.
_SHADE = 0.55


def viewer_data(
    representatives: tuple[Representative, ...],
    names: Mapping[int, str],
    first_frames: Sequence[int],
    radius: float,
) -> dict[str, Any]:
    """JSON for ``viewer.js``: structures of one state.

    Parameters
    ----------
    representatives : tuple of Representative, at least one, of one state
    names : mapping from atomic number to str
        What to call elements; their symbols where there is none.
    first_frames : sequence of int
        Of each trajectory in its source, which frames are numbered by.
    radius : float, angstrom
        What is seen at first; molecules may reach farther, up to twice as far.
    """
    counts: dict[str, int] = {}
    structures = []
    for item in reversed(representatives):  # the medoid first: it is what is usual
        counts[item.kind] = counts.get(item.kind, 0) + 1
        number = f" {counts[item.kind]}" if item.kind != "medoid" else ""
        structures.append(_structure(item, f"{item.kind}{number}", names, first_frames, radius))
    return {"color": state_color(representatives[0].state), "structures": structures}


def _structure(
    item: Representative,
    title: str,
    names: Mapping[int, str],
    first_frames: Sequence[int],
    radius: float,
) -> dict[str, Any]:
    cluster = item.cluster
    positions = np.asarray(cluster.positions, dtype=np.float64)
    species = cluster.species
    colors, radii = element_colors(species), element_radii(species)
    # The same lines as in the still picture: contacts of the target, and bonds.
    contacts = contacts_of(positions, radii, cluster.is_target)
    lines = np.concatenate([contacts, bonds_of(cluster, positions, radii, cluster.is_target)])
    shown = cluster.is_target | (np.linalg.norm(positions, axis=1) <= _FARTHEST * radius)
    lines = (np.cumsum(shown) - 1)[lines[shown[lines].all(axis=1)]]
    positions, species = positions[shown], species[shown]
    colors, radii, is_target = colors[shown], radii[shown], cluster.is_target[shown]
    atoms = [
        {
            "at": [round(float(x), 3) for x in positions[i]],
            "radius": round(_SPHERE * float(radii[i]), 3),
            "color": _hex(colors[i]),
            "dark": _hex(_SHADE * colors[i]),
            "target": bool(is_target[i]),
        }
        for i in range(len(species))
    ]
    first = {int(number): i for i, number in reversed(list(enumerate(species)))}
    legend = [(names.get(n, element_name(n)), _hex(colors[first[n]])) for n in sorted(first)]
    frame = first_frames[item.trajectory] + item.frame
    where = f"frame {frame}, target {item.target + 1}, p = {item.probability:.2f}"
    if item.trajectory:
        where = f"trajectory {item.trajectory + 1}, {where}"
    return {
        "title": title,
        "extent": round(min(float(np.linalg.norm(positions, axis=1).max()), radius) + 0.6, 3),
        "atoms": atoms,
        "bonds": lines.tolist(),
        "legend": [*legend, (where, "transparent")],
    }


def _hex(color: NDArray[np.float64]) -> str:
    return "#" + "".join(f"{round(255 * float(part)):02x}" for part in color)
