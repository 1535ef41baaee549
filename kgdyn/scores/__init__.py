"""VAMP scores: the pure function, the loss that trains and the metric of a whole epoch."""

from kgdyn.scores.held_out_vamp_e import held_out_vamp_e
from kgdyn.scores.vamp_loss import VAMP2Loss, VAMPLoss
from kgdyn.scores.vamp_metric import VAMP2Score, VAMPScore
from kgdyn.scores.vamp_score import vamp2_score, vamp_score

__all__ = [
    "VAMP2Loss",
    "VAMP2Score",
    "VAMPLoss",
    "VAMPScore",
    "held_out_vamp_e",
    "vamp2_score",
    "vamp_score",
]
