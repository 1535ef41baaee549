"""States on disk, frame by frame: what was reported is there, whatever ends the run."""

from __future__ import annotations

import errno
import itertools
import re
from os import PathLike
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from kgdyn.live._file_lock import FileLock
from kgdyn.live._hdf5_flags import clear_flags, end_of_file, open_to_read
from kgdyn.live._reserved_space import ReservedSpace
from kgdyn.live._states_layout import (
    check_layout,
    check_stream,
    create,
    row_and_chunk_bytes,
    whole_rows,
)
from kgdyn.live.stream import LiveFrame, LiveStates, StreamInfo

if TYPE_CHECKING:
    from kgdyn.koopman import RunningKoopman

__all__ = ["StatesFile"]

# Kept free for what HDF5 writes about the rows, on top of the rows.
_SPARE_BYTES = 32_768
_COLUMNS = ("time", "segment_start", "state_probabilities", "novelty", "step")


class StatesFile:
    """An HDF5 file that grows by a row a frame; :func:`kgdyn.live.read_states` reads it back.

    Others may read it while it is written (HDF5's single writer, many readers). A writer that is
    killed, even with SIGKILL, loses nothing that it had written. Opened again, by a run with the
    same model and targets, the file is gone on with: a row that was half written is cut off, and
    the statistics begin with all frames that are in it.

    Parameters
    ----------
    path : path
        Of a new file, or one to go on with.
    flush_interval_ms : float
        Frames may be held in memory for as many milliseconds and are then written together, when
        the next frame comes; 0 writes each at once (about half a millisecond).

    Attributes
    ----------
    last_states : LiveStates or None
        The last frame that was in the file when it was opened.
    steps_per_frame : int or None
        Between the frames that were in it.

    Raises
    ------
    ValueError
        In ``open``: if the file is something else, or was begun with another model, other targets
        or another system; says which.
    OSError
        In ``open``, if another process is writing the file. In ``write``, if the disk is full;
        what was written before is readable.
    """

    def __init__(self, path: str | PathLike[str], *, flush_interval_ms: float = 0.0) -> None:
        if not flush_interval_ms >= 0.0:
            raise ValueError(
                f"flush_interval_ms must not be negative, received {flush_interval_ms}"
            )
        self.path = Path(path)
        self.flush_interval_ms = float(flush_interval_ms)
        self.last_states: LiveStates | None = None
        self.steps_per_frame: int | None = None
        self._file: Any = None
        self._lock: FileLock | None = None
        self._waiting: list[LiveStates] = []
        self._n_written = 0
        self._written_at = 0.0
        self._columns: dict[str, Any] = {}
        self._row_bytes = self._chunk_bytes = 0
        self._space: ReservedSpace | None = None
        self._broken = False

    def open(self, info: StreamInfo, n_states: int, statistics: RunningKoopman) -> None:
        if self._lock is not None:
            raise ValueError(f"{self.path}: this StatesFile is open already")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.path)
        try:
            self._open(info, n_states, statistics)
        except BaseException:
            self._broken = True
            self.close()
            raise

    def _open(self, info: StreamInfo, n_states: int, statistics: RunningKoopman) -> None:
        import h5py

        self._waiting, self._broken = [], False
        self.last_states = self.steps_per_frame = None
        if not self.path.exists():
            create(self.path, info, statistics.n_targets, n_states)
        with open_to_read(self.path) as file:  # a file that is refused stays as it is
            check_layout(file, self.path)
            check_stream(file, self.path, info, statistics.n_targets, n_states)
        clear_flags(self.path)
        try:
            # Locked by this class, which a killed process cannot leave locked.
            self._file = h5py.File(self.path, "r+", libver="latest", locking=False)
        except OSError as error:
            raise ValueError(f"{self.path}: is not an HDF5 file, or damaged ({error})") from error
        self._columns = {name: self._file[name] for name in _COLUMNS}
        self._n_written = whole_rows(self._file)
        for column in self._columns.values():
            if len(column) > self._n_written:
                column.resize(self._n_written, axis=0)
        self._row_bytes, self._chunk_bytes = row_and_chunk_bytes(self._file)
        if self._n_written:
            self._replay(statistics)
        self._file.swmr_mode = True
        self._space = ReservedSpace(self.path)
        self._written_at = monotonic()

    def _replay(self, statistics: RunningKoopman) -> None:
        """Add the frames of an earlier run to the statistics."""
        if statistics.n_frames:
            raise ValueError(
                f"{self.path}: holds {self._n_written} frames, and the statistics have "
                f"{statistics.n_frames} already: give one StatesFile"
            )
        starts = self._columns["segment_start"][:]
        borders = [0, *(np.flatnonzero(starts[1:]) + 1), self._n_written]
        chi = self._columns["state_probabilities"]
        parts: list[Any] = [_Rows(chi, int(a), int(b)) for a, b in itertools.pairwise(borders)]
        statistics.extend(parts)
        time = float(self._columns["time"][-1])
        steps = self._columns["step"]
        self.last_states = LiveStates(
            chi[-1], int(steps[-1]), None if np.isnan(time) else time, bool(starts[-1])
        )
        self.steps_per_frame = int(self._file.attrs["steps_per_frame"]) or None
        follows = np.flatnonzero(~starts[1:])
        if self.steps_per_frame is None and len(follows):
            self.steps_per_frame = int(np.diff(steps[follows[0] : follows[0] + 2])[0])

    def write(self, states: LiveStates, frame: LiveFrame, statistics: RunningKoopman) -> None:
        if self._file is None or self._broken:
            raise OSError(f"{self.path}: is not open")
        if states.step < 0:
            raise ValueError(f"{self.path}: step must not be negative, received {states.step}")
        self._waiting.append(states)
        if 1000.0 * (monotonic() - self._written_at) >= self.flush_interval_ms:
            self.flush()

    def flush(self) -> None:
        """Write what is held in memory."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            try:
                self._append(waiting)
            except (OSError, RuntimeError) as error:  # h5py raises either
                self._broken = True
                raise self._explained(error, len(waiting)) from error
        self._written_at = monotonic()

    def _append(self, rows: list[LiveStates]) -> None:
        first, last = self._n_written, self._n_written + len(rows)
        values: dict[str, Any] = {
            "time": [np.nan if row.time is None else row.time for row in rows],
            "segment_start": [row.new_segment for row in rows],
            "state_probabilities": np.stack([row.state_probabilities for row in rows]),
            "novelty": None,
            "step": [row.step for row in rows],
        }
        if any(row.novelty is not None for row in rows):
            unknown = np.full(self._columns["novelty"].shape[1], np.nan, np.float32)
            values["novelty"] = [unknown if row.novelty is None else row.novelty for row in rows]
        needed = len(rows) * self._row_bytes + 2 * self._chunk_bytes + _SPARE_BYTES
        if self._space is not None:
            self._space.reserve(self._file.id.get_filesize() + needed)
        for name, column in self._columns.items():
            if values[name] is None:
                continue
            if name == "step":  # whoever sees a step sees the whole row
                self._file.flush()
            _append_rows(column, first, values[name])
        self._columns["step"].flush()
        self._n_written = last

    def _explained(self, error: Exception, n_lost: int) -> OSError:
        number = getattr(error, "errno", None)
        if number is None and (found := re.search(r"errno = (\d+)", str(error))):
            number = int(found[1])
        reason = "the disk is full" if number == errno.ENOSPC else str(error)
        message = (
            f"{self.path}: cannot be written: {reason}; the {self._n_written} frames before are "
            f"in the file and readable, {n_lost} are not"
        )
        return OSError(number or errno.EIO, message)

    def close(self) -> None:
        """Write what is held in memory and let others write; may be called twice."""
        try:
            if self._file is not None and not self._broken:
                self.flush()
        finally:
            file, self._file, self._columns = self._file, None, {}
            space, self._space = self._space, None
            lock, self._lock = self._lock, None
            try:
                if file is not None:
                    file.close()
                if space is not None:
                    space.release(end_of_file(self.path))
            finally:
                if lock is not None:
                    lock.release()

    def __repr__(self) -> str:
        return f"StatesFile({str(self.path)!r})"


def _append_rows(column: Any, first: int, values: Any) -> None:
    """As ``resize`` and ``column[first:] = values``, in a quarter of the time."""
    from h5py import h5s

    rows = np.ascontiguousarray(values, column.dtype)
    column.id.set_extent((first + len(rows), *rows.shape[1:]))
    place = column.id.get_space()
    place.select_hyperslab((first, *[0] * (rows.ndim - 1)), rows.shape)
    column.id.write(h5s.create_simple(rows.shape), place, rows)


class _Rows:
    """Some rows of a column, read when they are asked for."""

    def __init__(self, column: Any, first: int, last: int) -> None:
        self._column, self._first = column, first
        self.shape = (last - first, *column.shape[1:])

    def __getitem__(self, rows: slice) -> Any:
        first, last, _ = rows.indices(self.shape[0])
        return self._column[self._first + first : self._first + last]
