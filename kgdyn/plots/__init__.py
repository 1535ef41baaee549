"""One function a figure: takes results and ``ax``, returns ``ax``. States keep their colours."""

from kgdyn.plots._style import figure_style, state_color, state_hatch, state_marker
from kgdyn.plots.angular_distribution import plot_angular_distribution
from kgdyn.plots.attention import plot_attention
from kgdyn.plots.bond_order import plot_bond_order
from kgdyn.plots.charge_integral import plot_charge_integral
from kgdyn.plots.ck_test import plot_ck_test
from kgdyn.plots.coordination_numbers import (
    plot_coordination_distribution,
    plot_coordination_numbers,
)
from kgdyn.plots.eigenvectors import plot_eigenvectors
from kgdyn.plots.implied_timescales import plot_implied_timescales
from kgdyn.plots.koopman_matrix import plot_koopman_matrix
from kgdyn.plots.label_agreement import plot_label_agreement
from kgdyn.plots.masking_importance import plot_masking_importance
from kgdyn.plots.populations import plot_populations
from kgdyn.plots.region_kinetics import plot_region_kinetics
from kgdyn.plots.representatives import plot_representatives
from kgdyn.plots.residence_times import plot_residence_times
from kgdyn.plots.running_coordination import plot_running_coordination
from kgdyn.plots.save_figures import save_figures
from kgdyn.plots.selection import plot_selection
from kgdyn.plots.state_profile import plot_state_profile
from kgdyn.plots.state_rdf import plot_state_rdf
from kgdyn.plots.state_sequence import plot_state_sequence
from kgdyn.plots.states_in_cell import plot_states_in_cell
from kgdyn.plots.training_curve import plot_training_curve
from kgdyn.plots.transition_conductivity import plot_transition_conductivity
from kgdyn.plots.transition_diffusion import plot_transition_diffusion
from kgdyn.plots.transition_msd import plot_state_msd, plot_transition_msd

__all__ = [
    "figure_style",
    "plot_angular_distribution",
    "plot_attention",
    "plot_bond_order",
    "plot_charge_integral",
    "plot_ck_test",
    "plot_coordination_distribution",
    "plot_coordination_numbers",
    "plot_eigenvectors",
    "plot_implied_timescales",
    "plot_koopman_matrix",
    "plot_label_agreement",
    "plot_masking_importance",
    "plot_populations",
    "plot_region_kinetics",
    "plot_representatives",
    "plot_residence_times",
    "plot_running_coordination",
    "plot_selection",
    "plot_state_msd",
    "plot_state_profile",
    "plot_state_rdf",
    "plot_state_sequence",
    "plot_states_in_cell",
    "plot_training_curve",
    "plot_transition_conductivity",
    "plot_transition_diffusion",
    "plot_transition_msd",
    "save_figures",
    "state_color",
    "state_hatch",
    "state_marker",
]
