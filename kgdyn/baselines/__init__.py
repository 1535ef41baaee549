"""A linear method beside the network: the score it must reach, the processes it must not miss."""

from kgdyn.baselines._processes import LinearProcess
from kgdyn.baselines.linear_floor import LinearFloor, linear_vamp_floor
from kgdyn.baselines.linear_vamp import LinearVAMP, fit_linear_vamp
from kgdyn.baselines.missed_process import MissedProcessVerdict, missed_process_verdict
from kgdyn.baselines.neighbor_distances import (
    NeighborDistances,
    neighbor_distance_features,
    neighbor_distances_for,
)

__all__ = [
    "LinearFloor",
    "LinearProcess",
    "LinearVAMP",
    "MissedProcessVerdict",
    "NeighborDistances",
    "fit_linear_vamp",
    "linear_vamp_floor",
    "missed_process_verdict",
    "neighbor_distance_features",
    "neighbor_distances_for",
]
