"""tf.data pipelines, callbacks, training in one call, and state assignment."""

from kgdyn.training.assign import assign_states, check_elements
from kgdyn.training.callbacks import ReportProgress
from kgdyn.training.datasets import frames_dataset, pairs_dataset, to_ragged
from kgdyn.training.train import TrainingSettings, train_gdynet

__all__ = [
    "ReportProgress",
    "TrainingSettings",
    "assign_states",
    "check_elements",
    "frames_dataset",
    "pairs_dataset",
    "to_ragged",
    "train_gdynet",
]
