"""Tables of Koopman models and what tests them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from kgdyn.exports._tidy import Tidy, numbered
from kgdyn.koopman import (
    ChapmanKolmogorovTest,
    ImpliedTimescales,
    KoopmanModel,
    TransitionCounts,
    mean_first_passage_times,
    residence_times,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KOOPMAN_TABLES"]


def _koopman_model(result: KoopmanModel) -> pd.DataFrame:
    states = numbered(result.n_states)
    one: dict[str, Any] = {"state": states}
    pairs: dict[str, Any] = {"from_state": states, "to_state": states}
    processes = {"process": numbered(result.n_states - 1)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the table shows what is NaN
        times = result.timescales_ps()
        passage, residence = mean_first_passage_times(result), residence_times(result)
    table = Tidy(lagtime_ps=result.lagtime * result.frame_interval)
    for quantity, values, axes, name, unit in (
        ("koopman_matrix", result.koopman_matrix, pairs, "koopman_matrix", ""),
        ("timescale", times, processes, "timescales", "ps"),
        ("eigenvalue", result.eigenvalues.real, processes, "eigenvalues", ""),
        ("population", result.populations, one, "populations", ""),
        (
            "stationary_distribution",
            result.stationary_distribution,
            one,
            "stationary_distribution",
            "",
        ),
        ("residence_time", residence, one, "residence_times", "ps"),
        ("mean_first_passage_time", passage, pairs, "mean_first_passage_times", "ps"),
    ):
        interval = getattr(result, f"{name}_interval")
        table.add(quantity, values, axes, interval=interval, unit=unit)
    if np.any(result.eigenvalues.imag):
        table.add("eigenvalue_imaginary", result.eigenvalues.imag, processes)
    return table.add("vamp2_score", result.vamp2_score, {}).frame()


def _implied_timescales(result: ImpliedTimescales) -> pd.DataFrame:
    axes = {
        "lagtime_ps": result.lagtimes_ps,
        "process": numbered(result.timescales.shape[1]),
    }
    table = Tidy()
    return table.add(
        "timescale", result.timescales, axes, interval=result.interval, unit="ps"
    ).frame()


def _ck_test(result: ChapmanKolmogorovTest) -> pd.DataFrame:
    states = numbered(result.estimates.shape[1])
    axes = {"step": result.steps, "from_state": states, "to_state": states}
    interval = result.lagtime * result.frame_interval
    table = Tidy(lagtime_ps=interval)
    times = (result.steps * interval)[:, None, None]
    for quantity in ("prediction", "estimate", "state_prediction", "state_estimate"):
        table.add(
            quantity,
            getattr(result, f"{quantity}s"),
            axes,
            interval=getattr(result, f"{quantity}_interval"),
            time_ps=times,
        )
    for quantity in ("difference", "state_difference"):
        bounds = getattr(result, f"{quantity}_interval")
        if bounds is None:
            continue
        prefix = quantity.removesuffix("difference")
        values = getattr(result, f"{prefix}predictions") - getattr(result, f"{prefix}estimates")
        table.add(quantity, values, axes, interval=bounds, time_ps=times)
    return table.frame()


def _transition_counts(result: TransitionCounts) -> pd.DataFrame:
    states = numbered(len(result.counts))
    table = Tidy().add("transitions", result.counts, {"from_state": states, "to_state": states})
    return table.add("visitors", result.visitors, {"state": states}).frame()


KOOPMAN_TABLES: dict[type, Any] = {
    ChapmanKolmogorovTest: _ck_test,
    ImpliedTimescales: _implied_timescales,
    KoopmanModel: _koopman_model,
    TransitionCounts: _transition_counts,
}
