"""Frames of a running simulation over a socket: IMD version 3, of LAMMPS, GROMACS or NAMD.

In LAMMPS: ``fix live all imd 8888 version 3 unwrap on trate 100 nowait off velocities no forces
no``. Following the dump (:class:`kgdyn.trajectories.DumpTail`) is the sturdier way: whatever
happens to the follower, the simulation does not notice. Here the two hang on one socket. What
is known of LAMMPS' ``fix imd`` of July 2025, and what to do about it:

- It must run with ``nowait off``: with ``nowait on``, version 3 crashes when no client is
  connected. Then LAMMPS waits for a client at its first step; and after a client has left, until
  one comes back. For the same reason it is never asked here to go on without a client.
- A client that is killed (SIGKILL) leaves LAMMPS in an endless loop: end the follower with Ctrl-C
  or SIGTERM, and it takes its leave.
- LAMMPS waits for a client that is slow, and nothing is dropped. Clients that buffer frames and
  pause the simulation lose what is buffered when it ends; here frames are read one by one, in the
  thread that asks for them, and all that were sent arrive.
- Lengths and times come in LAMMPS' units, not in angstrom and ps as the protocol has it: say
  ``units``.
- Only with ``unwrap on`` is it known which periodic image an atom is in; that costs float32 digits
  (5e-5 angstrom near the cell).
- It loses 16 bytes of memory for each atom, field and frame: switch velocities and forces off.
- One client at a time.
"""

from __future__ import annotations

import time
import warnings
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
from kgdyn.integrations.lammps.units import unit_scale
from numpy.typing import ArrayLike, NDArray

from kgdyn.trajectories import FrameChunk, Topology

__all__ = ["IMDFrames"]

_BETWEEN_CALLS = 0.25  # s, while nobody listens
_HELP = "IMD needs imdclient: pip install imdclient"


class IMDFrames:
    """An iterator of :class:`kgdyn.trajectories.FrameChunk`, one frame each.

    Positions are those of the simulation (where its box does not begin at 0, neither do they),
    wrapped and with images if the simulation sends unwrapped ones.

    Parameters
    ----------
    address : str
        ``"imd://host:port"``.
    topology : Topology
        From :func:`kgdyn.trajectories.read_topology`: the atoms in the order of their ids.
    units : str
        LAMMPS' unit style; "metal" is the protocol's angstrom and ps. Lengths of "lj" are left
        as they are, and times are not known.
    timestep : float, ps, optional
        Of one step: then time = step * timestep.
    frame_interval : float, ps, optional
        Found from the first two frames if not given.
    pbc : (3,) array of bool
        The protocol does not tell.
    connect_timeout : float, s
        How long to call while nobody listens.
    timeout : float, s
        The longest wait for a frame; then the simulation is taken to have ended.

    Attributes
    ----------
    source : str, the address.
    species, pbc, universe, type_labels
        Of the topology.
    ended_because : str
        Once the frames have come to an end.

    Raises
    ------
    ImportError
        If imdclient is not installed.
    ConnectionError
        If nobody listens, or listens but does not answer.
    ValueError
        For wrong arguments; a simulation with other atoms, without a box, positions or times.
    """

    def __init__(
        self,
        address: str,
        *,
        topology: Topology,
        units: str = "metal",
        timestep: float | None = None,
        frame_interval: float | None = None,
        pbc: ArrayLike = True,
        connect_timeout: float = 60.0,
        timeout: float = 600.0,
    ) -> None:
        for name, value in (
            ("timestep", timestep),
            ("frame_interval", frame_interval),
            ("connect_timeout", connect_timeout),
            ("timeout", timeout),
        ):
            if value is not None and not (np.isfinite(value) and value > 0.0):
                raise ValueError(f"{name} must be a positive time, received {value}")
        host, port = _host_and_port(address)
        self.source = address
        self.topology = topology
        self.species, self.universe = topology.species, topology.universe
        self.type_labels = topology.type_labels
        self.pbc: NDArray[np.bool_] = np.array(np.broadcast_to(np.asarray(pbc, bool), (3,)))
        self.ended_because = ""
        self._scale = unit_scale(units)
        self._timestep, self._frame_interval = timestep, frame_interval
        self._held: deque[FrameChunk] = deque()
        self._first: list[FrameChunk] = []
        self._stopped = False
        self._timeout = timeout
        self._client = self._connected(host, port, connect_timeout)
        try:
            self._unwrapped = self._check(self._client.get_imdsessioninfo())
        except ValueError:
            self.close()
            raise

    @property
    def n_frames(self) -> int | None:
        """Nobody knows."""
        return None

    @property
    def steps_per_frame(self) -> int | None:
        """Steps between the first two frames, for which it waits; None if there are fewer."""
        while len(self._first) < 2:
            chunk = self._receive()
            if chunk is None:
                return None
            self._held.append(chunk)
        steps = [int(chunk.steps[0]) for chunk in self._first if chunk.steps is not None]
        return steps[1] - steps[0] if steps[1] > steps[0] else None

    @property
    def frame_interval(self) -> float | None:
        """Time between the first two frames in ps, for which it waits."""
        if self._frame_interval is not None:
            return self._frame_interval
        steps = self.steps_per_frame
        if steps is None:
            return None
        if self._timestep is not None:
            return steps * self._timestep
        times = [chunk.times[0] for chunk in self._first if chunk.times is not None]
        return float(times[1] - times[0]) if len(times) == 2 and times[1] > times[0] else None

    def __iter__(self) -> Iterator[FrameChunk]:
        return self

    def __next__(self) -> FrameChunk:
        chunk = self._held.popleft() if self._held else self._receive()
        if chunk is None:
            raise StopIteration
        return chunk

    def chunks(self, frames_per_chunk: int = 1) -> Iterator[FrameChunk]:
        """The frames one by one."""
        yield from self

    def stop(self) -> None:
        """Take leave of the simulation; may be called from another thread or a signal handler."""
        self._stopped = True
        self._client.stop()

    def close(self) -> None:
        """As ``stop``; may be called twice."""
        if not self._stopped:
            self.stop()

    def __enter__(self) -> IMDFrames:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _connected(self, host: str, port: int, connect_timeout: float) -> Any:
        try:
            from imdclient.IMDClient import IMDClient  # type: ignore[import-untyped]
        except ImportError as error:
            raise ImportError(f"{_HELP} ({error})") from error
        begun = time.monotonic()
        while True:
            with warnings.catch_warnings():
                # It leaves its socket to the garbage collection when nobody answers.
                warnings.simplefilter("ignore", ResourceWarning)
                try:
                    # With threads of its own it would need the main thread, for its signal
                    # handlers, and lose what is in its buffer when the simulation ends.
                    return IMDClient(
                        host,
                        port,
                        self.topology.n_atoms,
                        multithreaded=False,
                        timeout=self._timeout,
                    )
                except ConnectionRefusedError:
                    reason = ""
                except ConnectionError as error:
                    reason = str(error)
            if reason:
                raise ConnectionError(
                    f"{self.source}: no answer ({reason}); a simulation talks to one client at a "
                    "time"
                )
            if time.monotonic() - begun > connect_timeout:
                raise ConnectionError(
                    f"{self.source}: nobody has listened for {connect_timeout:g} s; LAMMPS does "
                    "when a run with fix imd begins"
                )
            time.sleep(_BETWEEN_CALLS)

    def _check(self, session: Any) -> bool:
        """Whether positions come unwrapped."""
        if session.version != 3:
            raise ValueError(
                f"{self.source}: version 3 of IMD is needed (fix imd ... version 3), received "
                f"version {session.version}"
            )
        missing = [name for name in ("time", "box", "positions") if not getattr(session, name)]
        if missing:
            raise ValueError(
                f"{self.source}: the simulation must send time, box and positions (coordinates), "
                f"it does not send {' and '.join(missing)}"
            )
        return not session.wrapped_coords

    def _receive(self) -> FrameChunk | None:
        """The next frame; None at the end."""
        if self._stopped:
            return None
        try:
            frame = self._client.get_imdframe()
        except EOFError as error:
            waited = isinstance(_root(error), TimeoutError)
            reason = f"no frame came for {self._timeout:g} s" if waited else "the simulation ended"
            self.ended_because = "stopped" if self._stopped else reason
            self._stopped = True
            return None
        except RuntimeError as error:
            self.close()
            raise ValueError(
                f"{self.source}: what was received is not a frame of the {self.topology.n_atoms} "
                f"atoms of {self.topology.source}: {_root(error)}"
            ) from error
        chunk = self._chunk(frame)
        if len(self._first) < 2:
            self._first.append(chunk)
        return chunk

    def _chunk(self, frame: Any) -> FrameChunk:
        length, unit = self._scale.length, self._scale.time
        positions = length * np.asarray(frame.positions, np.float64)
        cell = length * np.asarray(frame.box, np.float64)
        images = None
        if self._unwrapped and self.pbc.any():
            shifts = np.floor(positions @ np.linalg.inv(cell))
            shifts[:, ~self.pbc] = 0.0
            positions -= shifts @ cell
            images = shifts.astype(np.int32)[None]
        now = frame.step * self._timestep if self._timestep is not None else None
        if now is None and unit is not None:
            now = frame.time * unit
        times = None if now is None else np.array([now])
        return FrameChunk(positions[None], cell[None], np.array([frame.step]), times, images)

    def __repr__(self) -> str:
        return f"IMDFrames({self.source!r}, n_atoms={self.topology.n_atoms})"


def _host_and_port(address: str) -> tuple[str, int]:
    host, colon, port = address.removeprefix("imd://").rpartition(":")
    if not address.startswith("imd://") or not colon or not host or not port.isdecimal():
        raise ValueError(f"address must be imd://host:port, received {address!r}")
    return host, int(port)


def _root(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error
