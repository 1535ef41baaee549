"""What the states mean: structure, motion and transport of targets, weighted by their states."""

from kgdyn.observables.angular_distribution import AngularDistribution, angular_distribution
from kgdyn.observables.bond_order import BondOrder, bond_order
from kgdyn.observables.charge_integral import ChargeIntegral, charge_integral
from kgdyn.observables.compare_labels import LabelAgreement, compare_labels
from kgdyn.observables.coordination_numbers import (
    CoordinationNumbers,
    coordination_numbers,
    neighbor_counts,
)
from kgdyn.observables.describe_states import describe_states
from kgdyn.observables.first_shells import FirstShells, first_shells
from kgdyn.observables.region_kinetics import RegionKinetics, region_kinetics
from kgdyn.observables.representative_frames import (
    Cluster,
    Representative,
    RepresentativeFrames,
    representative_frames,
)
from kgdyn.observables.slab_regions import slab_regions
from kgdyn.observables.state_bond_order import StateBondOrder, state_bond_order
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
    "BondOrder",
    "ChargeIntegral",
    "Cluster",
    "CoordinationNumbers",
    "FirstShells",
    "LabelAgreement",
    "RegionKinetics",
    "Representative",
    "RepresentativeFrames",
    "StateBondOrder",
    "StateProfile",
    "StateRDF",
    "TransitionConductivity",
    "TransitionDiffusion",
    "TransitionMSD",
    "angular_distribution",
    "bond_order",
    "charge_integral",
    "compare_labels",
    "coordination_numbers",
    "describe_states",
    "first_shells",
    "neighbor_counts",
    "region_kinetics",
    "representative_frames",
    "slab_regions",
    "state_bond_order",
    "state_profile",
    "state_rdf",
    "transition_conductivity",
    "transition_diffusion",
    "transition_msd",
]
