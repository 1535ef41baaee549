"""tf.data pipelines, callbacks, training in one call, and state assignment."""

from kgdyn.training.assign import assign_states, check_elements
from kgdyn.training.callbacks import ReportProgress
from kgdyn.training.coordinates import coordinates_dataset, target_coordinates
from kgdyn.training.datasets import frames_dataset, pairs_dataset, to_ragged
from kgdyn.training.event_file import WriteEvents
from kgdyn.training.novelty import assign_novelty, fit_novelty
from kgdyn.training.position import Position
from kgdyn.training.restarts import Restart, best_restart
from kgdyn.training.run_folder import checkpoints_in, clear_run
from kgdyn.training.settings import TrainingSettings
from kgdyn.training.train import train_gdynet, train_restarts
from kgdyn.training.workers import is_chief

__all__ = [
    "Position",
    "ReportProgress",
    "Restart",
    "TrainingSettings",
    "WriteEvents",
    "assign_novelty",
    "assign_states",
    "best_restart",
    "check_elements",
    "checkpoints_in",
    "clear_run",
    "coordinates_dataset",
    "fit_novelty",
    "frames_dataset",
    "is_chief",
    "pairs_dataset",
    "target_coordinates",
    "to_ragged",
    "train_gdynet",
    "train_restarts",
]
