"""Targets whose surroundings the model never saw: the alarm, and the frames kept for retraining."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kgdyn.elements import NUMBER_OF_SYMBOL, element_name
from kgdyn.live._appended_text import AppendedText
from kgdyn.live.stream import LiveFrame, StreamInfo

__all__ = ["NovelFrames", "NoveltyAlarm", "warn_of_novelty"]


class NoveltyAlarm:
    """Counts, for each target, frames in succession whose novelty exceeds 1.

    Parameters
    ----------
    n_targets, n_frames : int
        A target has an alarm in the ``n_frames``-th such frame and in those that follow.
    """

    def __init__(self, n_targets: int, n_frames: int) -> None:
        self.n_frames = n_frames
        self._counts = np.zeros(n_targets, np.int64)

    def update(self, novelty: NDArray[np.float32], new_segment: bool) -> tuple[int, ...]:
        """Targets with an alarm; a new segment begins the counts anew. NaN counts as above 1."""
        if new_segment:
            self._counts[:] = 0
        self._counts = np.where(novelty <= 1.0, 0, self._counts + 1)
        return tuple(int(target) for target in np.flatnonzero(self._counts >= self.n_frames))


class NovelFrames:
    """An extended XYZ file of frames, appended to; :func:`kgdyn.open_trajectory` reads it.

    Each frame is written at once and flushed. The comment line has the step, the time in ps and
    the targets. A frame that an earlier run left half written is cut off.

    Parameters
    ----------
    path : Path
    info : StreamInfo
    limit : int
        Frames in the file at most.

    Raises
    ------
    ValueError
        If the file holds frames of another number of atoms.
    """

    def __init__(self, path: Path, info: StreamInfo, limit: int) -> None:
        self.path, self.info, self.limit = path, info, limit
        path.parent.mkdir(parents=True, exist_ok=True)
        self.n_saved = self._cut_to_whole_frames()
        self._file = AppendedText(path)
        species = [int(number) for number in info.species]
        # A bead beyond the periodic table is given as elements={"bead500": 500} when it is read.
        names = {n: element_name(n) for n in set(species)}
        self._labels = [names[n] if names[n] in NUMBER_OF_SYMBOL else f"bead{n}" for n in species]

    def save(self, frame: LiveFrame, targets: tuple[int, ...]) -> bool:
        """Append a frame; False if the limit is reached."""
        if self.n_saved >= self.limit:
            return False
        text = io.StringIO()
        lattice = " ".join(repr(float(value)) for value in np.ravel(frame.cell))
        pbc = " ".join("T" if periodic else "F" for periodic in self.info.pbc)
        time = "" if frame.time is None else f" time={float(frame.time)!r}"
        text.write(
            f"{self.info.n_atoms}\n"
            f'Lattice="{lattice}" Properties=species:S:1:pos:R:3 pbc="{pbc}" step={frame.step}'
            f'{time} novel_targets="{" ".join(map(str, targets))}"\n'
        )
        for label, (x, y, z) in zip(self._labels, frame.positions.tolist(), strict=True):
            text.write(f"{label} {x!r} {y!r} {z!r}\n")
        self._file.write(text.getvalue())
        self.n_saved += 1
        return True

    def close(self) -> None:
        self._file.close()

    def _cut_to_whole_frames(self) -> int:
        """Frames in the file, which is cut behind the last whole one."""
        if not self.path.exists():
            return 0
        rows = self.info.n_atoms + 2
        n_rows = 0
        with self.path.open("rb+") as file:
            for line in file:
                if n_rows % rows == 0 and line.strip() != str(self.info.n_atoms).encode():
                    raise ValueError(
                        f"{self.path}, row {n_rows + 1}: expected a frame of "
                        f"{self.info.n_atoms} atoms to append to, received {line.strip()[:40]!r}"
                    )
                if not line.endswith(b"\n"):
                    break
                n_rows += 1
            whole = n_rows // rows
            file.seek(0)
            for _ in range(whole * rows):
                file.readline()
            file.truncate(file.tell())
        return whole


def warn_of_novelty(where: str, targets: tuple[int, ...], n_frames: int, why: str) -> None:
    """One RuntimeWarning when an alarm begins."""
    shown = ", ".join(map(str, targets[:5])) + (" ..." if len(targets) > 5 else "")
    warnings.warn(
        f"{where}: for {n_frames} frames the surroundings of {len(targets)} of the targets "
        f"(counted from 0: {shown}) have been unlike those of the training, and their states may "
        f"mean nothing. {why}",
        RuntimeWarning,
        stacklevel=4,
    )
