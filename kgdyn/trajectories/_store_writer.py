"""One trajectory's conversion: streaming, checkpoints, going on after an interruption."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.frames import TargetGroups
from kgdyn.trajectories._store_arrays import HEADER_BYTES, ArrayWriter, write_array
from kgdyn.trajectories._store_frames import Columns, FrameColumns, chunks_from
from kgdyn.trajectories._store_manifest import sync_folder, write_manifest
from kgdyn.trajectories.segments import interval_from_times, segment_offsets
from kgdyn.trajectories.source import FrameSource

__all__ = ["Conversion"]

_CHUNK_BYTES = 8 << 20
_MOST_FRAMES_PER_CHUNK = 64
_DTYPES = {"positions": "<f4", "cells": "<f8", "steps": "<i8", "times": "<f8"}

Progress = Callable[[int, int | None], None]


class Conversion:
    """Streams one source into one folder of a store.

    Nothing counts until a checkpoint has made it durable: the arrays are synced first, then the
    manifest, with the number of frames and the checksums so far, replaces the old one. What
    lies behind the last checkpoint after a crash is cut off and read again.

    Parameters
    ----------
    store : Path
    manifest : dict
        Of the store; contains ``entry``.
    entry : dict
        Of this trajectory; updated in place.
    source : FrameSource
    """

    def __init__(
        self, store: Path, manifest: dict[str, Any], entry: dict[str, Any], source: FrameSource
    ) -> None:
        self.store, self.manifest, self.entry, self.source = store, manifest, entry, source
        self.folder = store / entry["folder"]
        self._arrays: dict[str, ArrayWriter] = {}
        self._committed = {key: entry[key] for key in ("n_frames", "first_wrapped", "arrays")}

    def run(
        self,
        targets: TargetGroups,
        frame_interval: float | None,
        progress: Progress | None,
        frames_per_chunk: int | None,
        checkpoint_seconds: float,
    ) -> None:
        """Convert what is not stored yet; on failure keep what is, for a later run."""
        if frames_per_chunk is None:
            per_chunk = _CHUNK_BYTES // (24 * len(self.source.species))
            frames_per_chunk = max(1, min(_MOST_FRAMES_PER_CHUNK, per_chunk))
        try:
            with self._writing():
                self._open()
            self._stream(frame_interval, progress, frames_per_chunk, checkpoint_seconds)
            self._checkpoint()
            self._complete(targets, frame_interval)
        except BaseException as error:
            # As good as it gets: whatever stopped the conversion may also stop the checkpoint.
            with suppress(OSError):
                if self._committed["n_frames"] or not isinstance(error, (ValueError, TypeError)):
                    self._checkpoint()
                else:
                    self._withdraw()
            raise
        finally:
            for array in self._arrays.values():
                array.close()

    def _open(self) -> None:
        if self.entry["n_frames"] == 0:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir()
            return
        for name, record in self.entry["arrays"].items():
            path, shape = self.folder / name, tuple(record["shape"][1:])
            self._arrays[path.stem] = ArrayWriter(path, record["dtype"], shape, record)

    def _stream(
        self,
        frame_interval: float | None,
        progress: Progress | None,
        frames_per_chunk: int,
        checkpoint_seconds: float,
    ) -> None:
        n_stored = int(self.entry["n_frames"])
        start = max(n_stored - 1, 0)
        seen = FrameColumns(self.source, self.entry["name"], start)
        seen.first_wrapped = self.entry["first_wrapped"]
        last_checkpoint = time.monotonic()
        for chunk in chunks_from(self.source, frames_per_chunk, start):
            if chunk.n_frames == 0:
                continue
            first = seen.n_frames
            columns = seen.convert(chunk)
            if n_stored and first == start:  # the last stored frame, read once more
                self._check_overlap(columns)
                columns = {name: column[1:] for name, column in columns.items()}
            elif not n_stored and first == 0:
                self._check_interval(columns, frame_interval)
            self._append(columns, seen.first_wrapped)
            if time.monotonic() - last_checkpoint >= checkpoint_seconds:
                self._checkpoint()
                last_checkpoint = time.monotonic()
            if progress is not None:
                progress(seen.n_frames, self.source.n_frames)
        self._check_count(seen.n_frames if seen.n_frames > start else 0, n_stored)

    def _append(self, columns: Columns, first_wrapped: int | None) -> None:
        if not len(columns["positions"]):
            return
        if "images" in columns:
            columns["images"] = self._narrow(columns["images"])
        with self._writing():
            if not self._arrays:
                for name, column in columns.items():
                    dtype = _DTYPES.get(name, column.dtype)
                    path = self.folder / f"{name}.npy"
                    self._arrays[name] = ArrayWriter(path, dtype, column.shape[1:])
            images = self._arrays.get("images")
            if images and columns["images"].dtype.itemsize > images.dtype.itemsize:
                images.widen(columns["images"].dtype)
            for name, column in columns.items():
                self._arrays[name].append(column)
        self._committed = {
            "n_frames": self._arrays["positions"].n_rows,
            "first_wrapped": first_wrapped,
            "arrays": {array.path.name: array.record() for array in self._arrays.values()},
        }

    def _narrow(self, images: NDArray[Any]) -> NDArray[Any]:
        """Images as int16, or as int32 from where they no longer fit."""
        low, high = int(images.min()), int(images.max())
        for dtype in (np.int16, np.int32):
            if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
                return images.astype(dtype)
        raise ValueError(
            f"{self.entry['name']}: images must fit into 32 bits, received {low} to {high}"
        )

    def _checkpoint(self) -> None:
        with self._writing():
            for array in self._arrays.values():
                array.sync()
            self.entry.update(self._committed)
            write_manifest(self.store, self.manifest)

    def _complete(self, targets: TargetGroups, frame_interval: float | None) -> None:
        n_frames, name = int(self.entry["n_frames"]), self.entry["name"]
        steps, times = (self._read(quantity, n_frames) for quantity in ("steps", "times"))
        interval = self.source.frame_interval if frame_interval is None else frame_interval
        if interval is None and times is not None:
            offsets, _ = segment_offsets(steps, times)
            interval = interval_from_times(times, offsets)
        if interval is None:
            raise ValueError(
                f"{name}: the times of its {n_frames} frames do not tell the frame interval; "
                "append(..., frame_interval=..., resume=True) with the interval in ps"
            )
        offsets, _ = segment_offsets(
            steps, times, n_frames=n_frames, frame_interval=float(interval)
        )
        small = {
            "species": np.asarray(self.source.species, dtype="<i4"),
            "target_atoms": targets.atoms.astype("<i8"),
            "target_offsets": targets.offsets.astype("<i8"),
        }
        with self._writing():
            records = {array.path.name: array.finish() for array in self._arrays.values()}
            for quantity, values in small.items():
                path = self.folder / f"{quantity}.npy"
                records[path.name] = write_array(path, values)
            sync_folder(self.folder)
            self.entry.update(
                complete=True,
                frame_interval=float(interval),
                segment_offsets=offsets.tolist(),
                targets={"n_targets": targets.n_targets, "description": targets.description},
                arrays=records,
            )
            try:
                write_manifest(self.store, self.manifest)
            except BaseException:
                self.entry.update(self._committed, complete=False)
                raise

    def _read(self, quantity: str, n_frames: int) -> NDArray[Any] | None:
        array = self._arrays.get(quantity)
        if array is None:
            return None
        return np.fromfile(array.path, array.dtype, count=n_frames, offset=HEADER_BYTES)

    def _withdraw(self) -> None:
        """Leave the store as it was before a source of which not one frame is good."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.manifest["trajectories"].remove(self.entry)
        write_manifest(self.store, self.manifest)

    def _check_overlap(self, columns: Columns) -> None:
        name, n_stored = self.entry["name"], int(self.entry["n_frames"])
        if set(columns) != set(self._arrays):
            raise ValueError(
                f"{name}: holds {sorted(columns)}, but the {n_stored} frames stored before the "
                f"interruption hold {sorted(self._arrays)}; the source must be the same"
            )
        for quantity in ("positions", "cells"):
            array, column = self._arrays[quantity], columns[quantity][:1]
            offset = HEADER_BYTES + (n_stored - 1) * column.nbytes
            stored = np.fromfile(array.path, array.dtype, count=column.size, offset=offset)
            if not np.array_equal(stored, column.ravel()):
                raise ValueError(
                    f"{name}, frame {n_stored - 1}: {quantity} differ from those stored before "
                    "the interruption; the source must be the same"
                )

    def _check_interval(self, columns: Columns, frame_interval: float | None) -> None:
        if frame_interval is None and self.source.frame_interval is None and "times" not in columns:
            raise ValueError(
                f"{self.entry['name']}: the source cannot tell the time between frames, "
                "frame_interval must be given in ps"
            )

    def _check_count(self, n_frames: int, n_stored: int) -> None:
        name, expected = self.entry["name"], self.source.n_frames
        if n_frames == 0 and n_stored == 0:
            raise ValueError(f"{name}: holds no frame")
        if n_frames < n_stored:
            raise ValueError(
                f"{name}: ended before frame {n_stored - 1}, which was stored before the "
                "interruption; the source must be the same"
            )
        if expected is not None and n_frames != expected:
            raise ValueError(
                f"{name}: gave {n_frames} frames, expected {expected}; the file may be cut short"
            )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Say what an OSError while writing means for the store."""
        try:
            yield
        except OSError as error:
            n_frames = self._committed["n_frames"]
            raise OSError(
                error.errno,
                f"cannot write to {self.folder}: {error.strerror}. The store is incomplete, "
                f"{n_frames} frames of {self.entry['name']} are kept; make room and call "
                "append(..., resume=True)",
            ) from error
