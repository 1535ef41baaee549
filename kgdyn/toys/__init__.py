"""Systems with exact answers, for tests, examples and the demo."""

from kgdyn.toys.coarse_polymer import CoarsePolymerElectrolyte, LennardJones
from kgdyn.toys.li_fcc_s import LiInFccSulfur, site_labels, state_labels
from kgdyn.toys.markov_chain import MarkovChain
from kgdyn.toys.silicon_interface import SiliconInterface
from kgdyn.toys.simulation_stage import SimulationRecipe, SimulationStage
from kgdyn.toys.switching_shell import SwitchingShell, four_state_chain
from kgdyn.toys.switching_walk import SwitchingWalk
from kgdyn.toys.two_processes import TwoProcesses
from kgdyn.toys.water_slab import WaterSlab

__all__ = [
    "CoarsePolymerElectrolyte",
    "LennardJones",
    "LiInFccSulfur",
    "MarkovChain",
    "SiliconInterface",
    "SimulationRecipe",
    "SimulationStage",
    "SwitchingShell",
    "SwitchingWalk",
    "TwoProcesses",
    "WaterSlab",
    "four_state_chain",
    "site_labels",
    "state_labels",
]
