"""States as properties of LAMMPS' atoms, for its own dumps, computes and thermo output."""

from __future__ import annotations

from typing import Any

import numpy as np
from kgdyn.integrations.lammps.frame_capture import FrameCapture
from kgdyn.integrations.lammps.ranks import Ranks
from numpy.typing import NDArray

from kgdyn.frames import TargetGroups
from kgdyn.live import LiveStates

__all__ = ["StatesInLAMMPS"]

_FIX = "kgdyn_states"
_STATE, _PROBABILITY = "i_kgdyn_state", "d2_kgdyn_p"


class StatesInLAMMPS:
    """Two per-atom properties, kept by ``fix property/atom``, which move with the atoms.

    =====================  =====================================================================
    ``i_kgdyn_state``      the most probable state of the atom's target, from 0; -1 for atoms of
                           no target, and for all atoms before the first frame is done
    ``d2_kgdyn_p[k]``      the probability of state k, from 1 as LAMMPS counts; 0 for atoms of no
                           target, so that the sum over all atoms is the number in that state
    =====================  =====================================================================

    For example, once the monitor is attached::

        dump d all custom 100 run.dump id type x y z i_kgdyn_state
        compute p all property/atom d2_kgdyn_p[1]
        compute n all reduce sum c_p
        thermo_style custom step temp c_n

    Parameters
    ----------
    lmp : lammps.lammps
    capture : FrameCapture
    ranks : Ranks
    targets : TargetGroups or None
        Rows of the captured frames; None but on rank 0. An atom of several targets shows the
        last one's.
    n_states : int
    """

    def __init__(
        self,
        lmp: Any,
        capture: FrameCapture,
        ranks: Ranks,
        targets: TargetGroups | None,
        n_states: int,
    ) -> None:
        if lmp.has_id("fix", _FIX):
            lmp.command(f"unfix {_FIX}")  # of a monitor that was detached
        self._lmp, self._memory, self._ranks = lmp, capture.memory, ranks
        self._targets, self._n_states = targets, n_states
        self._ids = ranks.share(capture.ids if ranks.rank == 0 else None)
        self._shown: LiveStates | None = None
        self._state: NDArray[np.int32] | None = None
        self._probability = np.zeros((0, n_states))
        lmp.command(f"fix {_FIX} all property/atom {_STATE} {_PROBABILITY} {n_states}")
        state = self._memory.per_atom(_STATE, lmp.extract_setting("nlocal"), dtype="i4")
        if state is not None:
            state[:] = -1

    def show(self, newest: LiveStates | None, n_local: int) -> None:
        """Give LAMMPS' atoms the newest states; called in its callback, on all ranks.

        Parameters
        ----------
        newest : LiveStates or None
            Looked at on rank 0 only.
        n_local : int
            Atoms of this rank.
        """
        is_new = self._ranks.rank == 0 and newest is not None and newest is not self._shown
        if self._ranks.highest(int(is_new)) < 1:
            return
        table = self._ranks.share(self._of_atoms(newest) if newest is not None else None)
        self._shown = newest
        tags = self._memory.per_atom("id", n_local)
        state = self._memory.per_atom(_STATE, n_local, dtype="i4")
        probability = self._memory.per_atom(_PROBABILITY, n_local, self._n_states, "f8")
        if table is None or tags is None or state is None or probability is None:
            raise RuntimeError(f"write_back: LAMMPS' fix {_FIX} is gone")
        rows = np.searchsorted(self._ids, tags) if self._ids is not None else tags
        mine = table[np.minimum(rows, len(table) - 1)]
        state[:] = mine[:, 0]
        probability[:] = mine[:, 1:]

    def _of_atoms(self, states: LiveStates) -> NDArray[np.float64]:
        """(n_atoms, 1 + n_states): state and probabilities of each atom, in the frames' order."""
        table = np.zeros((0 if self._ids is None else len(self._ids), 1 + self._n_states))
        table[:, 0] = -1.0
        if self._targets is not None:
            probabilities = np.broadcast_to(
                states.state_probabilities, (self._targets.n_targets, self._n_states)
            )
            of_atom = np.repeat(probabilities, np.diff(self._targets.offsets), axis=0)
            table[self._targets.atoms, 0] = of_atom.argmax(axis=1)
            table[self._targets.atoms, 1:] = of_atom
        return table
