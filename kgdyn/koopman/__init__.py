"""State probabilities -> Koopman model: K, timescales, CK test, each with 95% intervals.

NumPy only: works on any array of state probabilities, whichever model made them.
"""

from kgdyn.koopman.bootstrap import Resampling, resampling_for
from kgdyn.koopman.ck_test import ChapmanKolmogorovTest, ck_test
from kgdyn.koopman.convergence import Convergence
from kgdyn.koopman.correlation_times import correlation_time
from kgdyn.koopman.covariances import Covariances, as_segments, block_covariances
from kgdyn.koopman.crispness import Crispness, crispness
from kgdyn.koopman.crosscheck import (
    Comparison,
    Crosscheck,
    crosscheck,
    crosscheck_results,
)
from kgdyn.koopman.detailed_balance import DetailedBalance, detailed_balance
from kgdyn.koopman.eigenvectors import eigenvectors
from kgdyn.koopman.ensembles import Ensemble, ensemble_states, match_states
from kgdyn.koopman.implied_timescales import ImpliedTimescales, implied_timescales
from kgdyn.koopman.intervals import Interval
from kgdyn.koopman.koopman_model import KoopmanModel, estimate_koopman_model
from kgdyn.koopman.markov_labels import label_markov_model, one_hot
from kgdyn.koopman.passage_times import mean_first_passage_times, residence_times
from kgdyn.koopman.running_koopman import RunningKoopman
from kgdyn.koopman.simplex_map import fit_simplex_map
from kgdyn.koopman.site_adjacency import site_adjacency
from kgdyn.koopman.site_model import SiteModel, estimate_site_model, site_model
from kgdyn.koopman.to_deeptime import (
    discrete_trajectories,
    hard_assignments,
    transfer_operator_model,
)
from kgdyn.koopman.transition_counts import TransitionCounts, count_transitions
from kgdyn.koopman.validation import KoopmanValidation, validate_koopman

__all__ = [
    "ChapmanKolmogorovTest",
    "Comparison",
    "Convergence",
    "Covariances",
    "Crispness",
    "Crosscheck",
    "DetailedBalance",
    "Ensemble",
    "ImpliedTimescales",
    "Interval",
    "KoopmanModel",
    "KoopmanValidation",
    "Resampling",
    "RunningKoopman",
    "SiteModel",
    "TransitionCounts",
    "as_segments",
    "block_covariances",
    "ck_test",
    "correlation_time",
    "count_transitions",
    "crispness",
    "crosscheck",
    "crosscheck_results",
    "detailed_balance",
    "discrete_trajectories",
    "eigenvectors",
    "ensemble_states",
    "estimate_koopman_model",
    "estimate_site_model",
    "fit_simplex_map",
    "hard_assignments",
    "implied_timescales",
    "label_markov_model",
    "match_states",
    "mean_first_passage_times",
    "one_hot",
    "resampling_for",
    "residence_times",
    "site_adjacency",
    "site_model",
    "transfer_operator_model",
    "validate_koopman",
]
