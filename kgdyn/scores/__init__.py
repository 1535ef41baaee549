"""VAMP scores: the pure function, the loss that trains and the metric of a whole epoch."""

from kgdyn.scores.vamp2_loss import VAMP2Loss
from kgdyn.scores.vamp2_metric import VAMP2Score
from kgdyn.scores.vamp2_score import vamp2_score

__all__ = ["VAMP2Loss", "VAMP2Score", "vamp2_score"]
