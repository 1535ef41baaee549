"""The on-disk frame store: any source, streamed once, as memory-mapped arrays.

Several trajectories of any length, atom number and composition live in one folder::

    store/
      manifest.json          what is in it: units, sources, sizes, segments, checksums
      trajectory-0000/
        positions.npy        (n_frames, n_atoms, 3) float32, angstrom
        cells.npy            (n_frames, 3, 3) float64, angstrom; rows are lattice vectors
        steps.npy            (n_frames,) int64              where the source knows them
        times.npy            (n_frames,) float64, ps        where the source knows them
        images.npy           (n_frames, n_atoms, 3) int16 or int32    where it knows them
        species.npy          (n_atoms,) int32
        target_atoms.npy     (n_target_atoms,) int64
        target_offsets.npy   (n_targets + 1,) int64

Every array is a plain ``.npy`` file. A conversion holds one chunk in memory, however long the
trajectory; a training run maps the arrays and holds what it looks at.

Precision: positions are stored as they come, wrapped or not, in float32. Up to 1024 angstrom
that is within 3.1e-5 angstrom. Where a source gives float64, an atom beyond 1024 angstrom is
first wrapped along the periodic directions, in float64, and the shift goes into ``images``. For
a source without images the shift is not kept: graphs do not notice, but displacements of that
atom do, and the manifest's ``first_wrapped`` names the first such frame.

Crashes: a conversion that was killed leaves a store that ``open`` refuses, saying so; opened
with ``writable=True``, ``append(source, ..., resume=True)`` goes on at the last checkpoint and
ends with the same bytes as a conversion that was never interrupted.
"""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.frames import TargetGroups
from kgdyn.trajectories._store_arrays import find_damage, load_readonly
from kgdyn.trajectories._store_entries import (
    check_request,
    entry_for,
    how_to_go_on,
    unfinished_entry,
)
from kgdyn.trajectories._store_manifest import (
    MANIFEST,
    manifest_checksum,
    new_manifest,
    read_manifest,
    store_lock,
    write_manifest,
)
from kgdyn.trajectories._store_writer import Conversion
from kgdyn.trajectories.segments import Finding, segment_offsets
from kgdyn.trajectories.source import FrameSource
from kgdyn.trajectories.trajectory import Trajectory

__all__ = ["FrameStore"]


class FrameStore:
    """A folder of trajectories; made by ``create`` or ``open``.

    Examples
    --------
    >>> store = FrameStore.create("frames")                             # doctest: +SKIP
    >>> store.append(source, targets=TargetGroups.from_indices([0, 1])) # doctest: +SKIP
    >>> FrameStore.open("frames").trajectories()                        # doctest: +SKIP
    [Trajectory(n_frames=500, ...)]
    """

    def __init__(self, path: Path, manifest: dict[str, Any], writable: bool) -> None:
        self.path = path
        self.writable = writable
        self._manifest = manifest

    @classmethod
    def create(cls, path: str | os.PathLike[str], *, creator: str | None = None) -> FrameStore:
        """Make an empty store in a folder that is empty or not there yet.

        Parameters
        ----------
        path : path of the folder.
        creator : str, optional
            Program and version for the manifest; this package's if not given.

        Raises
        ------
        ValueError
            If something is there already.
        """
        folder = Path(path)
        if (folder / MANIFEST).exists():
            raise ValueError(
                f"{folder}: already holds a frame store; FrameStore.open(path, writable=True) "
                "opens it for more trajectories"
            )
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ValueError(f"{folder}: must be an empty folder or not exist")
        folder.mkdir(parents=True, exist_ok=True)
        manifest = new_manifest(creator)
        write_manifest(folder, manifest)
        return cls(folder, manifest, writable=True)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, writable: bool = False) -> FrameStore:
        """Open a store, to read it (any number of processes may) or to add to it.

        Raises
        ------
        ValueError
            If the folder is no store, of another format version, or, unless ``writable``, holds
            a trajectory whose conversion was interrupted.
        """
        folder = Path(path)
        manifest = read_manifest(folder)
        unfinished = unfinished_entry(manifest)
        if unfinished is not None and not writable:
            raise ValueError(f"{folder}: {how_to_go_on(unfinished)}")
        return cls(folder, manifest, writable)

    def append(
        self,
        source: FrameSource,
        *,
        targets: TargetGroups,
        frame_interval: float | None = None,
        name: str | None = None,
        resume: bool = False,
        progress: Callable[[int, int | None], None] | None = None,
        frames_per_chunk: int | None = None,
        checkpoint_seconds: float = 5.0,
    ) -> None:
        """Stream a source into the store as its next trajectory.

        Parameters
        ----------
        source : FrameSource
            ``chunks(frames_per_chunk, start=n)`` is used to resume where it offers that, and
            ``files`` (paths) identify it where it has them, else ``source``.
        targets : TargetGroups
        frame_interval : float, ps, optional
            Overrides what the source says. Needed where neither it nor its times can tell.
        name : str, optional
            What the store and its messages call the trajectory; the source's file name if not
            given. Must be new.
        resume : bool
            Continue an interrupted conversion of the same source. Where none was interrupted
            this is a new trajectory, or nothing if these very files are stored already, so a
            script that converts several sources may simply be run again.
        progress : callable, optional
            Called with the number of frames done and of all frames (None if not known).
        frames_per_chunk : int, optional
            At most 64 and about 8 MB if not given.
        checkpoint_seconds : float
            How much work an interruption may cost.

        Raises
        ------
        ValueError
            For a broken frame (naming source, frame and atom), a source that ends early, a name
            that is taken, targets outside of the frame, an interval that is not known, or an
            interrupted conversion in the way.
        OSError
            If the disk is full; the frames before are kept.
        """
        if not self.writable:
            raise ValueError(
                f"{self.path}: is open to read; FrameStore.open(path, writable=True) to append"
            )
        check_request(source, targets, frame_interval, frames_per_chunk)
        with store_lock(self.path):
            self._manifest = read_manifest(self.path)
            entry = entry_for(self.path, self._manifest, source, name, resume)
            if entry["complete"]:
                self._check_targets(entry, targets)
                return
            conversion = Conversion(self.path, self._manifest, entry, source)
            conversion.run(targets, frame_interval, progress, frames_per_chunk, checkpoint_seconds)

    def trajectories(self) -> list[Trajectory]:
        """All trajectories, their positions and cells as read-only memory maps."""
        return [self._trajectory(index) for index in range(len(self))]

    def images(self, index: int) -> NDArray[Any] | None:
        """(n_frames, n_atoms, 3) memory map of int16 or int32, or None if not known.

        ``positions + images @ cell`` of a frame are its unwrapped positions.
        """
        return self._array(index, "images")

    def steps(self, index: int) -> NDArray[np.int64] | None:
        """(n_frames,) memory map of simulation steps, or None if not known."""
        return self._array(index, "steps")

    def times(self, index: int) -> NDArray[np.float64] | None:
        """(n_frames,) memory map of times in ps, or None if not known."""
        return self._array(index, "times")

    def findings(self, index: int) -> list[Finding]:
        """What is irregular in the steps and times of a trajectory."""
        entry = self._entry(index)
        return segment_offsets(
            self.steps(index),
            self.times(index),
            n_frames=entry["n_frames"],
            frame_interval=entry["frame_interval"],
        )[1]

    def verify(self) -> None:
        """Read everything and compare it with the checksums.

        Raises
        ------
        ValueError
            Naming every damaged file.
        """
        problems = []
        if self._manifest.get("crc32") != manifest_checksum(self._manifest):
            problems.append(f"{MANIFEST}: was changed by hand or damaged")
        for entry in self._manifest["trajectories"]:
            if not entry["complete"]:
                problems.append(f"{entry['folder']}: {how_to_go_on(entry)}")
                continue
            for file, record in entry["arrays"].items():
                problem = find_damage(self.path / entry["folder"] / file, record)
                if problem:
                    problems.append(f"{entry['folder']}/{file}: {problem}")
        if problems:
            raise ValueError(f"{self.path}: is damaged: " + "; ".join(problems))

    def discard_incomplete(self) -> None:
        """Remove a trajectory whose conversion was interrupted, if there is one."""
        if not self.writable:
            raise ValueError(
                f"{self.path}: is open to read; FrameStore.open(path, writable=True) to discard"
            )
        with store_lock(self.path):
            self._manifest = read_manifest(self.path)
            entry = unfinished_entry(self._manifest)
            if entry is None:
                return
            shutil.rmtree(self.path / entry["folder"], ignore_errors=True)
            self._manifest["trajectories"].remove(entry)
            write_manifest(self.path, self._manifest)

    @property
    def manifest(self) -> dict[str, Any]:
        """A copy of the manifest."""
        return copy.deepcopy(self._manifest)

    def __len__(self) -> int:
        return len(self._manifest["trajectories"])

    def __repr__(self) -> str:
        names = [entry["name"] for entry in self._manifest["trajectories"]]
        return f"FrameStore({str(self.path)!r}, trajectories={names})"

    def _entry(self, index: int) -> dict[str, Any]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.path}: trajectory {index} of {len(self)}")
        entry: dict[str, Any] = self._manifest["trajectories"][index]
        if not entry["complete"]:
            raise ValueError(f"{self.path}: {how_to_go_on(entry)}")
        return entry

    def _array(self, index: int, quantity: str) -> NDArray[Any] | None:
        entry = self._entry(index)
        file = f"{quantity}.npy"
        if file not in entry["arrays"]:
            return None
        return load_readonly(self.path / entry["folder"] / file, entry["arrays"][file])

    def _required(self, index: int, quantity: str) -> NDArray[Any]:
        array = self._array(index, quantity)
        if array is None:
            raise ValueError(f"{self.path}: trajectory {index} has no {quantity}; it is damaged")
        return array

    def _targets(self, index: int) -> TargetGroups:
        return TargetGroups(
            np.array(self._required(index, "target_atoms")),
            np.array(self._required(index, "target_offsets")),
            self._entry(index)["targets"]["description"],
        )

    def _trajectory(self, index: int) -> Trajectory:
        entry = self._entry(index)
        return Trajectory(
            self._required(index, "positions"),
            self._required(index, "cells"),
            np.asarray(entry["pbc"], dtype=bool),
            np.array(self._required(index, "species")),
            self._targets(index),
            entry["frame_interval"],
            segment_offsets=np.asarray(entry["segment_offsets"], dtype=np.int64),
            images=self.images(index),
            source=entry["name"],
        )

    def _check_targets(self, entry: dict[str, Any], targets: TargetGroups) -> None:
        stored = self._targets(self._manifest["trajectories"].index(entry))
        if not (
            np.array_equal(stored.atoms, targets.atoms)
            and np.array_equal(stored.offsets, targets.offsets)
        ):
            raise ValueError(
                f"{self.path}: already holds {entry['name']!r} with other targets ({stored}), "
                f"received {targets}; name= must give another name"
            )
