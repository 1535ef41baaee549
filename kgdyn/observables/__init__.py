"""What the states mean: structure, motion and transport of targets, weighted by their states."""

from kgdyn.observables.angular_distribution import AngularDistribution, angular_distribution
from kgdyn.observables.charge_integral import ChargeIntegral, charge_integral
from kgdyn.observables.coordination_numbers import (
    CoordinationNumbers,
    coordination_numbers,
    neighbor_counts,
)
from kgdyn.observables.state_profile import StateProfile, state_profile
from kgdyn.observables.state_rdf import StateRDF, state_rdf
from kgdyn.observables.transition_conductivity import (
    TransitionConductivity,
    transition_conductivity,
)
from kgdyn.observables.transition_diffusion import TransitionDiffusion, transition_diffusion
from kgdyn.observables.transition_msd import TransitionMSD, transition_msd

__all__ = [
    "AngularDistribution",
    "ChargeIntegral",
    "CoordinationNumbers",
    "StateProfile",
    "StateRDF",
    "TransitionConductivity",
    "TransitionDiffusion",
    "TransitionMSD",
    "angular_distribution",
    "charge_integral",
    "coordination_numbers",
    "neighbor_counts",
    "state_profile",
    "state_rdf",
    "transition_conductivity",
    "transition_diffusion",
    "transition_msd",
]
