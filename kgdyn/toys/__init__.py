"""Systems with exact answers, for tests, examples and the demo."""

from kgdyn.toys.li_fcc_s import LiInFccSulfur, site_labels, state_labels
from kgdyn.toys.markov_chain import MarkovChain

__all__ = ["LiInFccSulfur", "MarkovChain", "site_labels", "state_labels"]
