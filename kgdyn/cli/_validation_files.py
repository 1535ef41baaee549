"""Tables and figures of a validation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from kgdyn.cli._files import save_figure, write_csv, write_json
from kgdyn.koopman import Crosscheck, Interval
from kgdyn.plots import plot_ck_test, plot_implied_timescales, plot_populations

__all__ = [
    "Validation",
    "print_crosscheck",
    "print_table",
    "write_crosscheck",
    "write_validation",
]


@dataclass(frozen=True)
class Validation:
    """What a validation found; the last three where true states are known."""

    model: Any
    timescales: Any
    ck: Any
    transitions: Any
    assigned: np.ndarray[Any, Any] | None
    true_model: Any
    true_timescales: Any


def write_validation(result: Validation, folder: Path) -> None:
    """``koopman.json``, ``timescales.csv``, ``ck_test.csv`` and a figure of each."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "koopman.json", _summary(result))
    times, ck = result.timescales, result.ck
    n_processes = times.timescales.shape[1]
    columns = [f"{kind}_{i + 1}" for i in range(n_processes) for kind in ("t", "lower", "upper")]
    bounds = [times.timescales, times.interval.lower, times.interval.upper]
    write_csv(
        folder / "timescales.csv",
        ["lagtime_frames", "lagtime_ps", *(f"{name}_ps" for name in columns)],
        [
            [
                int(lag),
                f"{ps:g}",
                *(f"{bound[row, i]:.6g}" for i in range(n_processes) for bound in bounds),
            ]
            for row, (lag, ps) in enumerate(zip(times.lagtimes, times.lagtimes_ps, strict=True))
        ],
    )
    rows = [
        [
            int(n),
            f"{int(n) * ck.lagtime * ck.frame_interval:g}",
            i + 1,
            j + 1,
            f"{ck.predictions[k, i, j]:.8g}",
            f"{ck.estimates[k, i, j]:.8g}",
            f"{ck.estimate_interval.lower[k, i, j]:.8g}",
            f"{ck.estimate_interval.upper[k, i, j]:.8g}",
            bool(ck.inside[k, i, j]),
            f"{ck.state_predictions[k, i, j]:.8g}",
            f"{ck.state_estimates[k, i, j]:.8g}",
            f"{ck.state_estimate_interval.lower[k, i, j]:.8g}",
            f"{ck.state_estimate_interval.upper[k, i, j]:.8g}",
            bool(ck.state_inside[k, i, j]),
        ]
        for k, n in enumerate(ck.steps)
        for i in range(ck.predictions.shape[1])
        for j in range(ck.predictions.shape[2])
    ]
    header = ["n", "time_ps", "from", "to", "predicted", "estimated", "lower", "upper", "inside"]
    header += [f"states_{name}" for name in header[4:]]
    write_csv(folder / "ck_test.csv", header, rows)
    save_figure(
        folder / "timescales.png",
        plot_implied_timescales(times, reference=result.true_timescales),
    )
    save_figure(folder / "ck_test.png", plot_ck_test(ck))
    save_figure(folder / "populations.png", plot_populations(result.model))


def print_table(result: Validation, console: Console) -> None:
    """The learned model, beside the true one where it is known."""
    model, ck = result.model, result.ck
    known = result.true_model is not None
    table = Table(title="Koopman model of the test frames", title_justify="left")
    table.add_column("")
    table.add_column("learned", justify="right")
    table.add_column("95% interval", justify="right")
    if known:
        table.add_column("true sites", justify="right")

    def add(name: str, value: float, low: float, high: float, true: float, form: str) -> None:
        cells = [name, format(value, form), f"{low:{form}} to {high:{form}}"]
        table.add_row(*cells, *([format(true, form)] if known else []))

    lag = model.lagtime * model.frame_interval
    times = model.timescales_ps()
    true_times = result.true_model.timescales() * model.frame_interval if known else times
    for i, value in enumerate(times):
        low, high = model.timescales_interval.lower[i], model.timescales_interval.upper[i]
        true = true_times[i] if i < len(true_times) else np.nan
        add(f"timescale {i + 1} at lag {lag:g} ps (ps)", value, low, high, true, ".2f")
    true_matrix, shares = model.koopman_matrix, model.populations
    if known:
        true_matrix, shares = _over_all_states(result.true_model, model.n_states)
    for i, value in enumerate(model.populations):
        low, high = model.populations_interval.lower[i], model.populations_interval.upper[i]
        add(f"population of state {i + 1}", value, low, high, shares[i], ".4f")
    interval: Interval = model.koopman_matrix_interval
    for i in range(model.n_states):
        for j in range(model.n_states):
            value, low, high = (
                source[i, j] for source in (model.koopman_matrix, interval.lower, interval.upper)
            )
            add(f"K {i + 1} -> {j + 1}", value, low, high, true_matrix[i, j], ".4f")
    console.print(table)
    console.print(
        f"VAMP-2 {model.vamp2_score:.4f} of at most {model.n_states} (the constant counted)"
    )
    console.print(
        f"CK test at {lag:g} ps, n = 1..{len(ck.steps)}: {int(ck.inside.sum())} of "
        f"{ck.inside.size} predictions inside the 95% intervals of the estimates, "
        f"{int(ck.agrees.sum())} with a difference that its own interval allows; largest "
        f"difference {ck.largest_difference:.4f}"
    )
    console.print(
        f"of probabilities from state to state: {int(ck.state_inside.sum())} of "
        f"{ck.state_inside.size} inside"
    )
    console.print(f"intervals: {model.resampling.describe()}")
    if result.assigned is not None:
        for state, row in enumerate(result.assigned):
            share = f"{100 * row[state]:.3f}%" if np.isfinite(row[state]) else "there are none"
            console.print(f"frames of true state {state + 1} assigned rightly: {share}")


def write_crosscheck(check: Crosscheck, folder: Path) -> None:
    """``crosscheck.json`` with every value, ``crosscheck.csv`` with where they differ most."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {
        "ok": check.ok,
        "lagtime_frames": check.lagtime,
        "frame_interval_ps": check.frame_interval,
        "singular_value_timescales_ps": check.singular_value_timescales,
        "comparisons": [
            {
                "quantity": item.quantity,
                "kgdyn": _real_pairs(item.ours),
                "deeptime": _real_pairs(item.deeptimes),
                "largest_difference": item.difference,
                "bound": item.bound,
                "ok": item.ok,
            }
            for item in check.comparisons
        ],
    }
    write_json(folder / "crosscheck.json", values)
    write_csv(
        folder / "crosscheck.csv",
        ["quantity", "kgdyn", "deeptime", "largest_difference", "bound", "ok"],
        [
            [
                item.quantity,
                *(_number(value, 12) for value in item.worst),
                f"{item.difference:.3e}",
                f"{item.bound:.3e}",
                item.ok,
            ]
            for item in check.comparisons
        ],
    )


def print_crosscheck(check: Crosscheck, console: Console) -> None:
    """Each quantity where kgdyn and deeptime differ most."""
    table = Table(title="Beside deeptime, where both differ most", title_justify="left")
    table.add_column("")
    for name in ("kgdyn", "deeptime", "difference", "bound", ""):
        table.add_column(name, justify="right")
    for item in check.comparisons:
        ours, deeptimes = (_number(value, 6) for value in item.worst)
        verdict = "ok" if item.ok else "[bold red]exceeded[/]"
        numbers = f"{item.difference:.1e}", f"{item.bound:.0e}"
        table.add_row(item.quantity, ours, deeptimes, *numbers, verdict)
    console.print(table)
    times = ", ".join(f"{value:.2f}" for value in check.singular_value_timescales)
    console.print(
        f"timescales of deeptime's VAMP model: {times} ps, from singular values; they are no "
        "eigenvalue timescales unless K is reversible, and are not compared",
        highlight=False,
    )


def _number(value: Any, digits: int) -> str:
    """Without an imaginary part of zero."""
    return format(value if np.imag(value) else np.real(value), f".{digits}g")


def _real_pairs(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """JSON has no complex numbers: a last axis of real and imaginary part."""
    if np.iscomplexobj(values):
        return np.stack([values.real, values.imag], axis=-1)
    return values


def _summary(result: Validation) -> dict[str, Any]:
    model, ck = result.model, result.ck
    values: dict[str, Any] = {
        "n_states": model.n_states,
        "n_pairs": model.n_pairs,
        "lagtime_frames": model.lagtime,
        "frame_interval_ps": model.frame_interval,
        "lagtime_ps": model.lagtime * model.frame_interval,
        "vamp2_score": model.vamp2_score,
        "koopman_matrix": model.koopman_matrix,
        "koopman_matrix_interval": _bounds(model.koopman_matrix_interval),
        "stationary_distribution": model.stationary_distribution,
        "stationary_distribution_interval": _bounds(model.stationary_distribution_interval),
        "populations": model.populations,
        "populations_interval": _bounds(model.populations_interval),
        "timescales_ps": model.timescales_ps(),
        "timescales_interval_ps": _bounds(model.timescales_interval),
        "eigenvalues": _real_pairs(model.eigenvalues),
        "eigenvalues_interval": _bounds(model.eigenvalues_interval),
        "mean_first_passage_times_interval_ps": _bounds(model.mean_first_passage_times_interval),
        "residence_times_interval_ps": _bounds(model.residence_times_interval),
        "estimator": model.estimator,
        "intervals": model.resampling.describe(),
        "block_length_frames": model.resampling.block_length,
        "independent_blocks": model.independent_blocks,
        "ck_inside": int(ck.inside.sum()),
        "ck_agree": int(ck.agrees.sum()),
        "ck_elements": ck.inside.size,
        "ck_largest_difference": ck.largest_difference,
        "ck_states_inside": int(ck.state_inside.sum()),
        "transition_counts": result.transitions.counts,
        "visitors": result.transitions.visitors,
    }
    if result.true_model is not None:
        matrix, shares = _over_all_states(result.true_model, model.n_states)
        values["true"] = {
            "transition_matrix": matrix,
            "stationary_distribution": shares,
            "timescales_ps": result.true_model.timescales() * model.frame_interval,
            "assigned": result.assigned,
        }
    return values


def _over_all_states(true_model: Any, n_states: int) -> tuple[Any, Any]:
    """Transition matrix and populations of true states; NaN and 0 for those that no label has."""
    visited = np.asarray(true_model.count_model.state_symbols)
    matrix, shares = np.full((n_states, n_states), np.nan), np.zeros(n_states)
    matrix[np.ix_(visited, visited)] = true_model.transition_matrix
    shares[visited] = true_model.stationary_distribution
    return matrix, shares


def _bounds(interval: Interval) -> list[Any]:
    return [interval.lower, interval.upper]
