"""The outside world -> frames: readers, the frame store, lagged pairs, splits.

Foreign objects stop here: what leaves this room is :class:`Trajectory`.
"""

from kgdyn.trajectories.dump_tail import DumpTail
from kgdyn.trajectories.frame_store import FrameStore
from kgdyn.trajectories.inspection import Inspection, cell_parameters, inspect_source
from kgdyn.trajectories.lagged_pairs import LaggedPairs, as_trajectories, lagged_pairs
from kgdyn.trajectories.open_source import SourceOptions, open_source
from kgdyn.trajectories.open_trajectory import (
    from_universe,
    load_source,
    open_trajectories,
    open_trajectory,
)
from kgdyn.trajectories.source import FrameChunk, FrameSource
from kgdyn.trajectories.splits import split_by_time, split_by_trajectory
from kgdyn.trajectories.targets import select_targets
from kgdyn.trajectories.topology import Topology, read_topology
from kgdyn.trajectories.trajectory import Trajectory, trajectory_from_arrays
from kgdyn.trajectories.universe_frames import universe_frames

__all__ = [
    "DumpTail",
    "FrameChunk",
    "FrameSource",
    "FrameStore",
    "Inspection",
    "LaggedPairs",
    "SourceOptions",
    "Topology",
    "Trajectory",
    "as_trajectories",
    "cell_parameters",
    "from_universe",
    "inspect_source",
    "lagged_pairs",
    "load_source",
    "open_source",
    "open_trajectories",
    "open_trajectory",
    "read_topology",
    "select_targets",
    "split_by_time",
    "split_by_trajectory",
    "trajectory_from_arrays",
    "universe_frames",
]
