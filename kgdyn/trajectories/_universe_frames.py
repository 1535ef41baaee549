"""Single frames of a Universe, with the cells that the whole trajectory would have."""

from __future__ import annotations

from typing import Any

import numpy as np
from MDAnalysis.coordinates.DCD import DCDReader
from MDAnalysis.lib.formats.libdcd import DCDFile
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import TargetGroups
from kgdyn.trajectories._dcd import dcd_cells
from kgdyn.trajectories.mdanalysis_source import UniverseSource
from kgdyn.trajectories.segments import segment_offsets
from kgdyn.trajectories.source import FrameChunk
from kgdyn.trajectories.targets import _GROUPINGS, _molecules, select_targets
from kgdyn.trajectories.trajectory import Trajectory

__all__ = ["UniverseFrames"]


class UniverseFrames(UniverseSource):
    """See :func:`kgdyn.trajectories.universe_frames`."""

    def targets(self, selection: Any, groupby: str = "atoms") -> TargetGroups:
        """Targets of a selection in words, or of an AtomGroup of this Universe, in its order.

        Raises
        ------
        ValueError
            As :func:`kgdyn.trajectories.select_targets`, and for an AtomGroup without atoms.
        """
        if isinstance(selection, str):
            return select_targets(self, selection, groupby)
        if groupby not in _GROUPINGS:
            raise ValueError(f"groupby must be one of {_GROUPINGS}, received {groupby!r}")
        if len(selection) == 0:
            raise ValueError(f"{self.source}: targets must be at least one atom, received none")
        description = f"{len(selection)} atoms of an AtomGroup"
        if groupby == "atoms":
            return TargetGroups.from_indices(selection.ix, description)
        groups = (
            [residue.atoms.ix for residue in selection.residues]
            if groupby == "residues"
            else _molecules(self.universe, selection, self.source)
        )
        return TargetGroups.from_groups(groups, f"{groupby} of {description}")

    def read(self, timestep: Any) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Positions (n_atoms, 3), a copy, and cell (3, 3) of the Universe's current frame.

        Raises
        ------
        ValueError
            Naming file and frame: for positions that are missing or not finite, or a box without
            volume.
        """
        frame = int(timestep.frame)
        if not timestep.has_positions:
            raise ValueError(f"{self.source}, frame {frame}: the frame holds no positions")
        positions = np.array(timestep.positions, dtype=np.float32)
        cell = self._exact_cell(timestep)
        self._check(FrameChunk(positions[None], cell[None]), frame)
        return positions, cell

    def trajectory(
        self, frames: ArrayLike, targets: TargetGroups, frame_interval: float | None = None
    ) -> Trajectory:
        """Some frames in memory, with a segment border wherever they skip more than usual.

        Parameters
        ----------
        frames : (n_frames,) array of int
            In rising order.
        targets : TargetGroups
        frame_interval : float, ps, optional
            Between frames in succession of the Universe, where its files do not tell.

        Raises
        ------
        ValueError
            Without frames, if they do not rise, or if nothing tells their interval.
        """
        numbers = np.asarray(frames, dtype=np.int64)
        if numbers.ndim != 1 or len(numbers) == 0 or np.any(np.diff(numbers) <= 0):
            raise ValueError(
                f"{self.source}: frames must be at least one, in rising order, received "
                f"{numbers.tolist()[:10]}"
            )
        interval = self.frame_interval if frame_interval is None else float(frame_interval)
        if interval is None:
            raise ValueError(
                f"{self.source}: frame_interval must be given in ps: the file does not tell the "
                "time between frames"
            )
        positions = np.empty((len(numbers), len(self.species), 3), np.float32)
        cells = np.empty((len(numbers), 3, 3))
        times = np.empty(len(numbers))
        reader = self.universe.trajectory
        kept = reader.frame
        try:
            for row, frame in enumerate(numbers.tolist()):
                timestep = reader[frame]
                positions[row], cells[row] = self.read(timestep)
                times[row] = timestep.time
        finally:
            reader[kept]
        jumps, counts = np.unique(np.diff(numbers), return_counts=True)
        interval *= int(jumps[counts.argmax()]) if len(jumps) else 1
        if self._times is not None:
            times = self._times[numbers]
        knows_time = self._hands_times and frame_interval is None
        offsets, _ = segment_offsets(
            numbers, times if knows_time else None, n_frames=len(numbers), frame_interval=interval
        )
        return Trajectory(
            positions,
            cells,
            self.pbc,
            self.species,
            targets,
            interval,
            segment_offsets=offsets,
            source=self.source,
        )

    def _exact_cell(self, timestep: Any) -> NDArray[np.float64]:
        """As in the file where that is known: MDAnalysis has lengths and angles in float32."""
        reader = self.universe.trajectory
        if not reader.transformations:
            if self._index is not None:
                cell: NDArray[np.float64] = self._index.cells[timestep.frame]
                return cell
            if type(reader) is DCDReader:
                frame = int(timestep.frame)
                with DCDFile(str(reader.filename)) as file:
                    block = file.readframes(frame, frame + 1, indices=np.zeros(1, np.int64))
                cell = dcd_cells(block.unitcell)[0]
                return cell
        return self._cell(timestep)
