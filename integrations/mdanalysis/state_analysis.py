"""States of every target in every frame, as an :class:`MDAnalysis.analysis.base.AnalysisBase`."""

from __future__ import annotations

import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from kgdyn.integrations.mdanalysis.backends import (
    BackendDaskClient,
    BackendSpawned,
    BackendSpawnedDask,
    cores_each,
)
from MDAnalysis.analysis.backends import BackendBase, BackendDask, BackendMultiprocessing
from MDAnalysis.analysis.base import AnalysisBase
from MDAnalysis.analysis.results import Results, ResultsGroup
from MDAnalysis.core.groups import AtomGroup, UpdatingAtomGroup
from MDAnalysis.core.universe import Universe
from numpy.typing import ArrayLike, NDArray

from kgdyn.trajectories import Trajectory, universe_frames

if TYPE_CHECKING:
    from kgdyn.live import FrameAssigner
    from kgdyn.models import GDyNet

__all__ = ["StateAnalysis"]

_ATOMS_PER_BATCH = 10_000


class StateAnalysis(AnalysisBase):  # type: ignore[misc]
    """State probabilities of targets, frame by frame: what :func:`kgdyn.assign_states` finds.

    Frames are collected and given to the network about 10,000 atoms at a time: one by one, small
    systems would wait for TensorFlow's calls more than for its work. The model is kept as the bytes
    of its file and loaded by each worker, which makes the analysis cheap to send to others.

    Parameters
    ----------
    atomgroup : AtomGroup or Universe
        The target atoms; or a Universe, with ``select``. The graphs are of all its atoms.
    model : path, bytes of a ``.keras`` file, or GDyNet
    select : str, optional
        A selection in MDAnalysis' language, in ``atomgroup``.
    groupby : "atoms", "residues" or "molecules"
        What one target is: each atom, or the whole residue or molecule of each.
    elements : mapping or sequence, optional
        Where the topology does not know them, as for :func:`kgdyn.from_universe`.
    pbc : bool or (3,) sequence of bool, optional
        If not given: periodic in all directions if the first frame has a box, else in none.
    novelty : bool
        Also how far surroundings are from those of the training, if the model knows them.
    batch_size : int, optional
        Frames at once.
    verbose : bool
        A progress bar, with ``backend="serial"``.

    Attributes
    ----------
    results.state_probabilities : (n_frames, n_targets, n_states) array of float32; rows sum to 1
        One row a frame of a model with ``pooling="global"``.
    results.states : (n_frames, n_targets) array of int
        The most probable state, from 0; what is shown to people is numbered from 1.
    results.populations : (n_states,) array of float64
        Mean state probabilities; NaN without frames.
    results.novelty : (n_frames, n_targets) array of float32, with ``novelty=True``
        See :meth:`kgdyn.novelty.Novelty.distances`.
    results.frames, results.times : (n_frames,) arrays
        Frame numbers, and times in ps as MDAnalysis has them: for formats without times, DCD among
        them, these may be frame numbers times a default.
    targets : TargetGroups

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        For a model that is none, targets that are none, or unknown elements.
    """

    _analysis_algorithm_is_parallelizable = True

    @classmethod
    def get_supported_backends(cls) -> tuple[str, ...]:
        """Names for ``run(backend=...)``; all workers are new processes, never forks."""
        return ("serial", "multiprocessing", "dask")

    def __init__(
        self,
        atomgroup: Any,
        model: str | PathLike[str] | bytes | GDyNet,
        *,
        select: str | None = None,
        groupby: str = "atoms",
        elements: Sequence[str | int] | Mapping[str, str | int] | str | None = None,
        pbc: ArrayLike | None = None,
        novelty: bool = False,
        batch_size: int | None = None,
        verbose: bool = False,
    ) -> None:
        if not isinstance(atomgroup, (AtomGroup, Universe)):
            raise TypeError(f"atomgroup must be an AtomGroup or Universe, received {atomgroup!r}")
        if isinstance(atomgroup, UpdatingAtomGroup):
            raise TypeError("atomgroup must be the same atoms in all frames, received an updating")
        universe = atomgroup.universe
        if isinstance(atomgroup, Universe) and select is None:
            raise ValueError('select must say which atoms of a Universe, such as "element Li"')
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, received {batch_size}")
        super().__init__(universe.trajectory, verbose=verbose)
        self.universe = universe
        self._frames_of = universe_frames(universe, elements=elements, pbc=pbc)
        if isinstance(atomgroup, Universe) or select is None:
            wanted = atomgroup if select is None else select
        else:
            wanted = atomgroup.select_atoms(select)
        self.targets = self._frames_of.targets(wanted, groupby)
        self.novelty = bool(novelty)
        n_atoms = len(universe.atoms)
        self.batch_size = batch_size or max(1, _ATOMS_PER_BATCH // n_atoms)
        self._model_bytes, self._model_name = _bytes_of(model)
        self._model: Any = None if isinstance(model, (str, PathLike, bytes)) else model
        self._n_threads = cores_each(1)
        # Shared by all parts in this process: compiling the model takes longer than a batch.
        self._compiled: list[FrameAssigner] = []
        self._waiting: list[tuple[NDArray[np.float32], NDArray[np.float64]]] = []

    def trajectory(self, frame_interval: float | None = None) -> Trajectory:
        """The analysed frames in memory, for :mod:`kgdyn.observables` and the like.

        ``state_rdf(analysis.trajectory(), analysis.results.state_probabilities)``.

        Parameters
        ----------
        frame_interval : float, ps, optional
            Between frames in succession of the Universe, where its files do not tell (DCD).

        Raises
        ------
        ValueError
            If frames were not analysed in rising order, or nothing tells their interval.
        RuntimeError
            Before :meth:`run`.
        """
        if "frames" not in self.results:
            raise RuntimeError("StateAnalysis.trajectory() needs run() first")
        return self._frames_of.trajectory(self.results.frames, self.targets, frame_interval)

    # --- what AnalysisBase calls ----------------------------------------------------------------

    def _configure_backend(
        self, backend: Any, n_workers: int, unsupported_backend: bool = False
    ) -> BackendBase:
        own = isinstance(backend, (BackendSpawned, BackendSpawnedDask, BackendDaskClient))
        found = super()._configure_backend(
            backend=backend, n_workers=n_workers, unsupported_backend=unsupported_backend or own
        )
        if not own and isinstance(found, BackendMultiprocessing):
            found = BackendSpawned(found.n_workers)
        elif not own and isinstance(found, BackendDask):
            found = BackendSpawnedDask(found.n_workers)
        # Workers elsewhere have cores that nobody here knows of.
        local = not isinstance(found, BackendDaskClient)
        self._n_threads = cores_each(getattr(found, "n_workers", 1)) if local else 1
        return found

    def _compute(self, *args: Any, **kwargs: Any) -> StateAnalysis:
        # Each part of the frames gets an analysis of its own, also where parts share a process:
        # AnalysisBase keeps results in the object that it returns.
        part = object.__new__(type(self))
        part.__dict__.update(self.__dict__)
        found: StateAnalysis = super(StateAnalysis, part)._compute(*args, **kwargs)
        return found

    def _prepare(self) -> None:
        if not self._compiled:
            self._compiled.append(self._new_assigner())
        assign = self._compiled[0]
        assign.n_threads = self._n_threads
        shape = (self.n_frames, assign.n_rows, assign.n_states)
        self.results = Results(state_probabilities=np.empty(shape, np.float32))
        if self.novelty:
            self.results.novelty = np.empty((self.n_frames, self.targets.n_targets), np.float32)
        self._waiting = []

    def _single_frame(self) -> None:
        self._waiting.append(self._frames_of.read(self._ts))
        is_last = self._frame_index == self.n_frames - 1
        if is_last or len(self._waiting) == self.batch_size:
            self._assign_waiting()

    def _assign_waiting(self) -> None:
        positions, cells = (np.stack(part) for part in zip(*self._waiting, strict=True))
        self._waiting = []
        states, novelty = self._compiled[0](positions, cells)
        stop = self._frame_index + 1
        rows = slice(stop - len(states), stop)
        self.results.state_probabilities[rows] = states
        if novelty is not None:
            self.results.novelty[rows] = novelty

    def _get_aggregator(self) -> ResultsGroup:
        names = ("state_probabilities", "novelty")
        return ResultsGroup({name: ResultsGroup.ndarray_vstack for name in names})

    def _conclude(self) -> None:
        found = self.results.state_probabilities
        self.results.states = found.argmax(axis=2)
        self.results.populations = (
            found.mean(axis=(0, 1), dtype=np.float64)
            if len(found)
            else np.full(found.shape[2], np.nan)
        )
        self.results.frames, self.results.times = self.frames, self.times

    # --- the model ------------------------------------------------------------------------------

    def _new_assigner(self) -> FrameAssigner:
        from kgdyn.live import FrameAssigner, StreamInfo

        frames = self._frames_of
        info = StreamInfo(frames.source, frames.species, frames.pbc, self.targets)
        if self._model is not None:
            return FrameAssigner(self._model, info, novelty=self.novelty)
        model, compiled = _loaded(self._model_bytes, self._model_name)
        if not compiled:
            compiled.append(FrameAssigner(model, info))
        return compiled[0].for_atoms(info, novelty=self.novelty)

    def __getstate__(self) -> dict[str, Any]:
        """What other processes get: neither Keras objects nor frames."""
        state = dict(self.__dict__)
        state.update(_model=None, _compiled=[], _waiting=[])
        return state

    def __repr__(self) -> str:
        return (
            f"StateAnalysis({self._frames_of.source!r}, {self.targets!r}, "
            f"model={self._model_name!r})"
        )


def _bytes_of(model: Any) -> tuple[bytes, str]:
    """The content of a model file, and what messages call it."""
    if isinstance(model, (str, PathLike)):
        path = Path(model)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: there is no such model file")
        if not zipfile.is_zipfile(path):
            raise ValueError(f"{path}: is not a .keras model file")
        return path.read_bytes(), fspath(path)
    if isinstance(model, bytes):
        return model, "model"
    if "kgdyn.models" in sys.modules:  # else nobody can have one
        from kgdyn.models import GDyNet

        if isinstance(model, GDyNet):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "model.keras"
                model.save(path)
                return path.read_bytes(), model.name
    raise TypeError(f"model must be a path, bytes or a GDyNet, received {type(model)}")


@lru_cache(maxsize=2)
def _loaded(content: bytes, name: str) -> tuple[GDyNet, list[FrameAssigner]]:
    """The model of these bytes, and a list for what it was compiled to.

    Kept, since a worker may get many parts of the frames one after the other.
    """
    from kgdyn.models import load_model

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        path.write_bytes(content)
        try:
            return load_model(path), []
        except ValueError as error:
            raise ValueError(str(error).replace(str(path), name)) from error
