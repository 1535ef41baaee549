"""Systems with exact answers, for tests, examples and the demo."""

from kgdyn.toys.li_fcc_s import LiInFccSulfur, site_labels, state_labels

__all__ = ["LiInFccSulfur", "site_labels", "state_labels"]
