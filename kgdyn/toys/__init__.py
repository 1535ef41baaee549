"""Systems with exact answers, for tests, examples and the demo."""

from kgdyn.toys.li_fcc_s import LiInFccSulfur, site_labels, state_labels
from kgdyn.toys.markov_chain import MarkovChain
from kgdyn.toys.switching_shell import SwitchingShell, four_state_chain
from kgdyn.toys.switching_walk import SwitchingWalk
from kgdyn.toys.two_processes import TwoProcesses

__all__ = [
    "LiInFccSulfur",
    "MarkovChain",
    "SwitchingShell",
    "SwitchingWalk",
    "TwoProcesses",
    "four_state_chain",
    "site_labels",
    "state_labels",
]
