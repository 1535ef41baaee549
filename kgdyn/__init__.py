"""kgdyn learns what atoms do: states and their kinetics from molecular dynamics.

Data flows one way, a room each:

    trajectories -> frames -> graphs -> state probabilities -> Koopman model -> observables
    -> figures and reports

=================  ================================================================
``frames``         the vocabulary: Frame, TargetGroups; names, shapes, units
``trajectories``   the outside world -> frames; the frame store; lagged pairs; splits
``graphs``         frame -> M-nearest-neighbour graph under PBC, packed for batches
``layers``         Keras layers of the network
``models``         GDyNet, a plain VAMPNet; loading a model
``scores``         VAMP-1, VAMP-2, VAMP-E: function, loss, metric
``training``       tf.data pipelines, training in one call, state assignment
``selection``      number of states and lag time, chosen on held-out data
``novelty``        how far a surrounding is from those of the training
``live``           frames as they come: states, running statistics, outputs
``baselines``      a linear method beside the network: the floor, missed processes
``koopman``        Koopman matrix, timescales, CK test, errors; the simplex map
``observables``    structure, places, diffusion and conduction of the states
``explain``        which neighbours decide a state: attention, masks
``plots``          one function a figure
``exports``        states in files of other tools; results as tables
``report``         one page that tells what a training found
``toys``           systems with exact answers
``cli``            the ``kgdyn`` command
``integrations``   bridges to LAMMPS as it runs, and to MDAnalysis
=================  ================================================================

Names below are imported when first used: ``import kgdyn`` loads no TensorFlow, MDAnalysis,
deeptime, lammps or matplotlib.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Frame": "frames",
    "TargetGroups": "frames",
    "Trajectory": "trajectories",
    "from_universe": "trajectories",
    "lagged_pairs": "trajectories",
    "open_trajectories": "trajectories",
    "open_trajectory": "trajectories",
    "split_by_time": "trajectories",
    "split_by_trajectory": "trajectories",
    "trajectory_from_arrays": "trajectories",
    "GDyNet": "models",
    "VAMPNet": "models",
    "load_model": "models",
    "VAMP2Loss": "scores",
    "VAMP2Score": "scores",
    "VAMPLoss": "scores",
    "VAMPScore": "scores",
    "held_out_vamp_e": "scores",
    "vamp2_score": "scores",
    "vamp_score": "scores",
    "assign_novelty": "training",
    "assign_states": "training",
    "coordinates_dataset": "training",
    "fit_novelty": "training",
    "frames_dataset": "training",
    "pairs_dataset": "training",
    "train_gdynet": "training",
    "select_model": "selection",
    "LiveAnalysis": "live",
    "StatesFile": "live",
    "read_states": "live",
    "linear_vamp_floor": "baselines",
    "missed_process_verdict": "baselines",
    "neighbor_distance_features": "baselines",
    "Convergence": "koopman",
    "Resampling": "koopman",
    "RunningKoopman": "koopman",
    "ck_test": "koopman",
    "estimate_koopman_model": "koopman",
    "implied_timescales": "koopman",
}

_ROOMS = (
    "baselines",
    "elements",
    "explain",
    "exports",
    "frames",
    "graphs",
    "koopman",
    "layers",
    "live",
    "models",
    "novelty",
    "observables",
    "plots",
    "report",
    "scores",
    "selection",
    "toys",
    "training",
    "trajectories",
)

__all__ = ["__version__", *_HOME]

if TYPE_CHECKING:
    from kgdyn.baselines import (
        linear_vamp_floor,
        missed_process_verdict,
        neighbor_distance_features,
    )
    from kgdyn.frames import Frame, TargetGroups
    from kgdyn.koopman import (
        Convergence,
        Resampling,
        RunningKoopman,
        ck_test,
        estimate_koopman_model,
        implied_timescales,
    )
    from kgdyn.live import LiveAnalysis, StatesFile, read_states
    from kgdyn.models import GDyNet, VAMPNet
    from kgdyn.models.load_model import load_model
    from kgdyn.scores import (
        VAMP2Loss,
        VAMP2Score,
        VAMPLoss,
        VAMPScore,
        held_out_vamp_e,
        vamp2_score,
        vamp_score,
    )
    from kgdyn.selection import select_model
    from kgdyn.training import (
        assign_novelty,
        assign_states,
        coordinates_dataset,
        fit_novelty,
        frames_dataset,
        pairs_dataset,
        train_gdynet,
    )
    from kgdyn.trajectories import (
        Trajectory,
        from_universe,
        lagged_pairs,
        open_trajectories,
        open_trajectory,
        split_by_time,
        split_by_trajectory,
        trajectory_from_arrays,
    )


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"kgdyn.{name}")
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'kgdyn' has no attribute {name!r}")
    return getattr(importlib.import_module(f"kgdyn.{home}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
