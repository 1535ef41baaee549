"""The score of a training: the loss of its batches and the metric that chooses the best epoch."""

from __future__ import annotations

from typing import Any

from kgdyn.scores import VAMPLoss, VAMPScore

__all__ = ["SCORES", "loss_and_metric", "score_name"]

SCORES = ("VAMP1", "VAMP2", "VAMPE")


def score_name(score: str, reversible: bool = False) -> str:
    """Name of the metric in a history: "vamp2", "vamp2_reversible"; "val_vamp2" in validation."""
    return score.lower() + ("_reversible" if reversible else "")


def loss_and_metric(score: str, n_states: int, reversible: bool = False) -> tuple[Any, Any]:
    """Loss and metric of one of ``SCORES``; larger values of the metric are better."""
    name = score_name(score, reversible)
    return VAMPLoss(score, reversible), VAMPScore(n_states, score, reversible, name=name)
