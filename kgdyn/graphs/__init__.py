"""Frame -> graph: the M nearest neighbours under PBC, packed for ragged batches.

Graphs speak of atoms and edges only, never of lag times or states.
"""

from kgdyn.graphs.nearest_neighbors import (
    NeighborList,
    batch_nearest_neighbors,
    nearest_neighbors,
)
from kgdyn.graphs.packed_graphs import PackedGraphs, concatenate_graphs, pack_graphs, take_graphs
from kgdyn.graphs.receptive_field import hop_distances

__all__ = [
    "NeighborList",
    "PackedGraphs",
    "batch_nearest_neighbors",
    "concatenate_graphs",
    "hop_distances",
    "nearest_neighbors",
    "pack_graphs",
    "take_graphs",
]
