"""One function a figure: takes results and ``ax``, returns ``ax``. States keep their colours."""

from kgdyn.plots.ck_test import plot_ck_test
from kgdyn.plots.implied_timescales import plot_implied_timescales
from kgdyn.plots.populations import plot_populations
from kgdyn.plots.selection import plot_selection
from kgdyn.plots.training_curve import plot_training_curve

__all__ = [
    "plot_ck_test",
    "plot_implied_timescales",
    "plot_populations",
    "plot_selection",
    "plot_training_curve",
]
