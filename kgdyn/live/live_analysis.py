"""From frames of a running simulation to states, statistics and whoever listens."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from kgdyn.frames import TargetGroups, check_cell, readonly
from kgdyn.graphs import PackedGraphs, pack_graphs
from kgdyn.koopman import RunningKoopman
from kgdyn.live._compiled_call import compiled_call, model_digest, receptive_field
from kgdyn.live._novel_frames import NovelFrames, NoveltyAlarm, warn_of_novelty
from kgdyn.live._segments import Place, SegmentTracker
from kgdyn.live.stream import LiveFrame, LiveStates, Sink, StreamInfo

if TYPE_CHECKING:
    from kgdyn.koopman import Convergence
    from kgdyn.models import GDyNet

__all__ = ["LiveAnalysis"]

_LATENCIES = 1000
_ON_NOVEL = ("ignore", "warn", "save")
_REPEATED = ("skip", "new_segment")


class LiveAnalysis:
    """The states of each frame as it comes, as :func:`kgdyn.assign_states` finds them later.

    Graphs, model and numbers are those of ``kgdyn.assign_states`` on a dump of the same run. A
    frame whose step is not ``steps_per_frame`` after the last one starts a new segment; a frame at
    or before the last step is a restart's repetition and is skipped, so that nothing is counted
    twice. Where the repetition of the last frame has other states than the frame had, the
    simulation has come another way, and the next frame starts a new segment.

    Parameters
    ----------
    model : GDyNet
    info : StreamInfo
    lagtimes : sequence of int, frames
        Of the running statistics.
    sinks : sequence of Sink
        Told of each frame, and closed by :meth:`close`. They are opened here: a
        :class:`kgdyn.live.StatesFile` of an earlier run is gone on with.
    until : Convergence or str, optional
        When the statistics are good enough, for example ``"timescale 1 < 10%"``.
    check_every : int
        Frames between two looks at ``until``.
    on_novel : {"warn", "ignore", "save"}
        Of surroundings that the model never saw (a model that knows its training's): a
        RuntimeWarning when an alarm begins; or the warning and the frame, appended to
        ``novel_file``.
    novel_frames : int
        A target has an alarm when its novelty exceeds 1 in as many frames in succession.
    novel_file : path, optional
        Extended XYZ.
    most_novel_frames : int
        In that file.
    repeated : {"skip", "new_segment"}
        What frames at or before the last step are: "new_segment" for a simulation whose steps
        were set back on purpose.
    n_threads : int
        Of the neighbour search. The simulation needs the other cores.

    Attributes
    ----------
    statistics : RunningKoopman
    converged : bool
        ``until`` was met.
    n_frames, n_skipped : int
        Frames analysed here, and those skipped as repetitions.
    n_novel_saved : int
        Frames in ``novel_file``.
    info : StreamInfo

    Raises
    ------
    ValueError
        For an element that the model never saw, too few atoms, or an argument that breaks its
        rule; and what the sinks' ``open`` raise.
    """

    def __init__(
        self,
        model: GDyNet,
        info: StreamInfo,
        *,
        lagtimes: Sequence[int] = (1, 2, 5, 10, 20, 50),
        sinks: Sequence[Sink] = (),
        until: Convergence | str | None = None,
        check_every: int = 100,
        on_novel: Literal["ignore", "warn", "save"] = "warn",
        novel_frames: int = 3,
        novel_file: str | PathLike[str] | None = None,
        most_novel_frames: int = 1000,
        repeated: Literal["skip", "new_segment"] = "skip",
        n_threads: int = 1,
    ) -> None:
        _check_choice("on_novel", on_novel, _ON_NOVEL)
        _check_choice("repeated", repeated, _REPEATED)
        for name, value in (
            ("check_every", check_every),
            ("novel_frames", novel_frames),
            ("most_novel_frames", most_novel_frames),
            ("n_threads", n_threads),
        ):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, received {value}")
        if on_novel == "save" and novel_file is None:
            raise ValueError('on_novel="save" needs a novel_file, received None')
        _check_model(model, info)
        self.model = model
        self.info = replace(info, model_digest=model_digest(model))
        self.until = _convergence(until)
        self.check_every, self.on_novel, self.n_threads = check_every, on_novel, n_threads
        self.n_rows = 1 if model.pooling == "global" else info.n_targets
        self.statistics = RunningKoopman(
            model.n_states, self.n_rows, lagtimes, frame_interval=info.frame_interval
        )
        self.converged = False
        self.n_frames = self.n_skipped = 0
        self._latencies: deque[float] = deque(maxlen=_LATENCIES)
        self._n_hops = receptive_field(model)
        self._predict = compiled_call(model)
        self._warm_up()
        self._known = model.novelty
        self._alarm = NoveltyAlarm(info.n_targets, novel_frames)
        self._alarmed = False
        self._tracker = SegmentTracker(info.steps_per_frame, repeated)
        self._closed = False
        self._novel: NovelFrames | None = None
        # What is gone on with is written last: no other sink then lacks a frame that it has.
        self._sinks = sorted(sinks, key=lambda sink: hasattr(sink, "last_states"))
        self._opened: list[Sink] = []
        try:
            self._open_sinks()
            if on_novel == "save" and novel_file is not None:
                self._novel = NovelFrames(Path(novel_file), self.info, most_novel_frames)
        except BaseException:
            self.close()
            raise

    def _open_sinks(self) -> None:
        for sink in reversed(self._sinks):
            sink.open(self.info, self.model.n_states, self.statistics)
            self._opened.append(sink)
            last: LiveStates | None = getattr(sink, "last_states", None)
            if last is not None:
                interval = getattr(sink, "steps_per_frame", None)
                self._tracker.resume(last.step, last.state_probabilities, interval)

    @property
    def last_step(self) -> int | None:
        """Of the last frame that was analysed, also by an earlier run; None before any."""
        return self._tracker.last_step

    @property
    def n_novel_saved(self) -> int:
        return 0 if self._novel is None else self._novel.n_saved

    def process(self, frame: LiveFrame) -> LiveStates | None:
        """The states of a frame, after all sinks have been told of them.

        Returns
        -------
        LiveStates, or None if the frame was skipped as a repetition.

        Raises
        ------
        ValueError
            Naming source and step: for positions that are not finite, a cell without volume,
            another number of atoms.
        RuntimeError
            After :meth:`close`.
        Exception
            Whatever a sink raises. The analysis has then ended; :meth:`close` it.
        """
        if self._closed:
            raise RuntimeError(f"{self.info.source}: this analysis is closed")
        place = self._tracker.place(frame.step)
        if place is Place.REPEATED:
            self.n_skipped += 1
            if self._tracker.is_last(frame.step):
                self._tracker.compare(self._predict(self._graphs(frame)))
            return None
        graphs = self._graphs(frame)
        probabilities = readonly(self._predict(graphs))
        new_segment = place is Place.NEW_SEGMENT
        novelty, alarms = self._novelty(graphs, new_segment)
        latency = perf_counter() - frame.received
        states = LiveStates(
            probabilities, frame.step, frame.time, new_segment, novelty, latency, alarms
        )
        self.statistics.update(probabilities, new_segment=new_segment)
        self._tracker.record(frame.step, probabilities)
        self.n_frames += 1
        self._latencies.append(latency)
        if alarms and self._novel is not None:
            self._novel.save(frame, alarms)
        self._tell_of_alarms(states, graphs)
        for sink in self._sinks:
            sink.write(states, frame, self.statistics)
        self._look_at_convergence()
        return states

    def latency(self, *quantiles: float) -> NDArray[np.float64]:
        """Quantiles, in s, over the last 1000 frames; NaN before the first.

        Parameters
        ----------
        quantiles : float
            From 0 to 1; the median, 95% and the largest if none is given.
        """
        wanted = quantiles or (0.5, 0.95, 1.0)
        if not self._latencies:
            return np.full(len(wanted), np.nan)
        found: NDArray[np.float64] = np.quantile(np.array(self._latencies), wanted)
        return found

    def close(self) -> None:
        """Close all sinks, also if one of them fails; may be called twice.

        Raises
        ------
        Exception
            The first that a sink raised.
        """
        self._closed = True
        first: BaseException | None = None
        closing: list[Any] = [*self._opened, *([] if self._novel is None else [self._novel])]
        self._opened = []
        for sink in closing:
            try:
                sink.close()
            except Exception as error:  # the others must be closed all the same
                first = first or error
        if first is not None:
            raise first

    def __enter__(self) -> LiveAnalysis:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return (
            f"LiveAnalysis({self.info.source!r}, n_targets={self.info.n_targets}, "
            f"n_frames={self.n_frames}, n_skipped={self.n_skipped})"
        )

    def _warm_up(self) -> None:
        """Compile before the simulation runs: seconds, in which a queue would fill."""
        info, model = self.info, self.model
        n_atoms = model.n_neighbors + 2
        graphs = pack_graphs(
            np.random.default_rng(0).random((1, n_atoms, 3)),
            3.0 * np.eye(3)[None],
            info.pbc,
            np.repeat(info.species[:1], n_atoms),
            TargetGroups.from_indices([0]),
            model.n_neighbors,
            n_hops=self._n_hops,
            n_threads=self.n_threads,
        )
        self._predict(graphs)

    def _graphs(self, frame: LiveFrame) -> PackedGraphs:
        info = self.info
        where = f"{info.source}, step {frame.step}"
        positions = np.asarray(frame.positions, np.float64)
        cell = np.asarray(frame.cell, np.float64)
        if positions.shape != (info.n_atoms, 3):
            raise ValueError(
                f"{where}: positions must have shape (n_atoms, 3) = ({info.n_atoms}, 3), received "
                f"{positions.shape}: atoms must not come or go"
            )
        if cell.shape != (3, 3):
            raise ValueError(f"{where}: cell must have shape (3, 3), received {cell.shape}")
        bad = ~np.isfinite(positions).all(axis=1)
        if bad.any():
            atom = int(np.argmax(bad))
            raise ValueError(
                f"{where}: positions must be finite, received {positions[atom].tolist()} for atom "
                f"{atom} (counted from 0)"
            )
        check_cell(cell, info.pbc, where)
        return pack_graphs(
            positions[None],
            cell[None],
            info.pbc,
            info.species,
            info.targets,
            self.model.n_neighbors,
            n_hops=self._n_hops,
            n_threads=self.n_threads,
            where=where,
        )

    def _novelty(
        self, graphs: PackedGraphs, new_segment: bool
    ) -> tuple[NDArray[np.float32] | None, tuple[int, ...]]:
        if self._known is None:
            return None, ()
        found = readonly(self._known.distances(graphs), np.float32)
        return found, self._alarm.update(found, new_segment)

    def _tell_of_alarms(self, states: LiveStates, graphs: PackedGraphs) -> None:
        begun = bool(states.alarms) and not self._alarmed
        self._alarmed = bool(states.alarms)
        if not begun or self._known is None or states.novelty is None or self.on_novel == "ignore":
            return
        worst = states.alarms[int(np.argmax(states.novelty[list(states.alarms)]))]
        warn_of_novelty(
            f"{self.info.source}, step {states.step}",
            states.alarms,
            self._alarm.n_frames,
            f"Target {worst}: {self._known.explain(graphs, worst)}",
        )

    def _look_at_convergence(self) -> None:
        if self.until is None or self.converged or self.statistics.n_frames % self.check_every:
            return
        self.converged = bool(self.until.met(self.statistics))


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {choices}, received {value!r}")


def _check_model(model: GDyNet, info: StreamInfo) -> None:
    """Elements that the model knows, atoms enough for its graphs."""
    from kgdyn.graphs.nearest_neighbors import check_n_neighbors
    from kgdyn.training import check_elements

    stream: Any = info  # has what is asked of a trajectory: elements and source
    check_elements(model, stream)
    check_n_neighbors(model.n_neighbors, info.n_atoms, info.pbc, info.source)


def _convergence(until: Convergence | str | None) -> Convergence | None:
    if not isinstance(until, str):
        return until
    from kgdyn.koopman import Convergence

    return Convergence.parse(until)
