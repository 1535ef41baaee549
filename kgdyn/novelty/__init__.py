"""How far the surroundings of a target are from those that a model was trained on."""

from kgdyn.novelty.gaussians import Gaussians, fit_gaussians
from kgdyn.novelty.novelty import Novelty, novelty_of
from kgdyn.novelty.surroundings import Quantity, Surroundings, surroundings_of

__all__ = [
    "Gaussians",
    "Novelty",
    "Quantity",
    "Surroundings",
    "fit_gaussians",
    "novelty_of",
    "surroundings_of",
]
