"""Number of states and lag time, chosen on held-out data."""

from kgdyn.selection.decision import Candidate, Decision, Drift, Gain, decide
from kgdyn.selection.folds import Fold, make_folds
from kgdyn.selection.plan import SelectionPlan, Task
from kgdyn.selection.result import HeldOut, Selection, StatesScore, write_selection
from kgdyn.selection.select import clear_selection, select_model

__all__ = [
    "Candidate",
    "Decision",
    "Drift",
    "Fold",
    "Gain",
    "HeldOut",
    "Selection",
    "SelectionPlan",
    "StatesScore",
    "Task",
    "clear_selection",
    "decide",
    "make_folds",
    "select_model",
    "write_selection",
]
