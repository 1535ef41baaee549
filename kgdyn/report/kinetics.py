"""The parts of a page on training and kinetics."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.koopman import Interval, mean_first_passage_times, residence_times
from kgdyn.plots import (
    plot_ck_test,
    plot_eigenvectors,
    plot_implied_timescales,
    plot_koopman_matrix,
    plot_populations,
    plot_training_curve,
)
from kgdyn.report.blocks import Block, Section, Table, Text
from kgdyn.report.figures import FigureFolder
from kgdyn.report.findings import Findings
from kgdyn.report.numbers import bracketed, percent, rounded
from kgdyn.report.run_record import RunRecord
from kgdyn.report.words import process_sentences

__all__ = ["kinetics_section", "matrix_rows", "training_section"]


def training_section(findings: Findings, record: RunRecord, figures: FigureFolder) -> Section:
    """How training went, what restarts gave, and whether a linear method finds more."""
    blocks: list[Block] = []
    score = next((name[4:] for name in record.history if name.startswith("val_vamp")), None)
    if score is not None:
        blocks.append(
            figures.draw(
                "training",
                "Score over the epochs of the training.",
                plot_training_curve,
                record.history,
                n_states=findings.n_states,
                score=score,
            )
        )
    restarts = record.training.get("restarts") or []
    if len(restarts) > 1:
        best = record.training.get("best_restart")
        key = next((k for k in restarts[0] if k.startswith("validation_")), "")
        blocks.append(
            Table(
                "Restarts: trainings from other weights",
                ("restart", "validation score", "best epoch", ""),
                tuple(
                    (
                        str(item.get("restart")),
                        rounded(float("nan") if item.get(key) is None else float(item[key])),
                        f"{item.get('best_epoch')} of {item.get('epochs')}",
                        "kept" if item.get("restart") == best else "",
                    )
                    for item in restarts
                ),
            )
        )
    if findings.verdict is not None:
        head, *rest = findings.verdict.words
        blocks.append(
            Text(
                f"Was a slow process missed? A linear method on the same frames says: {head}",
                tuple(rest),
                "words" if findings.verdict.ok else "warning",
            )
        )
    return Section("Training and its floor", tuple(blocks))


def kinetics_section(findings: Findings, figures: FigureFolder) -> Section:
    """Timescales, CK test, populations, K and its eigenvectors, residence and passage times."""
    validation = findings.validation
    model = validation.model
    blocks: list[Block] = [
        Text("What the slow processes are:", tuple(process_sentences(model)), "words"),
        figures.draw(
            "timescales",
            "Relaxation timescales over the lag time; below the grey line nothing can be seen.",
            plot_implied_timescales,
            validation.timescales,
        ),
        figures.draw(
            "populations",
            "Populations, and the equilibrium that K predicts.",
            plot_populations,
            model,
        ),
        figures.draw(
            "koopman_matrix",
            "Koopman matrix: what becomes of each state (rows) within the lag time.",
            plot_koopman_matrix,
            model,
        ),
        figures.draw(
            "eigenvectors",
            "Slow processes, projected on the states.",
            plot_eigenvectors,
            model,
        ),
        _times_table(findings),
        *_passage_times(findings),
        figures.draw(
            "ck_test",
            "Chapman-Kolmogorov test: K to the power n (lines) against K at n lag times (points).",
            plot_ck_test,
            validation.ck,
        ),
    ]
    return Section("Kinetics", tuple(blocks))


def _times_table(findings: Findings) -> Table:
    model = findings.validation.model
    shares = _bounds(model.populations, model.populations_interval)
    stay = _bounds(np.diag(model.koopman_matrix), _diagonal(model.koopman_matrix_interval))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        residence = _bounds(residence_times(model), model.residence_times_interval)
    events = findings.validation.transitions
    return Table(
        "States: population, probability to be there still after the lag time, mean residence "
        "time; how often targets entered and left them, and how many targets were ever there",
        (
            "state",
            "population",
            "K to itself",
            "residence time (ps)",
            "entered",
            "left",
            f"by targets (of {events.n_targets})",
        ),
        tuple(
            (
                f"state {i + 1}",
                percent(*shares[i]),
                bracketed(*stay[i]),
                bracketed(*residence[i]),
                f"{events.entered[i]:,}",
                f"{events.left[i]:,}",
                f"{events.visitors[i]:,}",
            )
            for i in range(model.n_states)
        ),
        tuple(range(model.n_states)),
    )


def _passage_times(findings: Findings) -> list[Block]:
    model = findings.validation.model
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        times = mean_first_passage_times(model)
    if not np.isfinite(times[~np.eye(model.n_states, dtype=bool)]).any():
        return [
            Text(
                "There are no first passage times: the Koopman matrix has elements below 0, which "
                "are no probabilities. States that overlap, or a lag time too short for them, do "
                "that."
            )
        ]
    return [
        Table(
            "Mean first passage times (ps), from the state of the row to that of the column",
            ("from", *(f"to state {j + 1}" for j in range(model.n_states))),
            matrix_rows(times, model.mean_first_passage_times_interval, skip_diagonal=True),
            tuple(range(model.n_states)),
        )
    ]


def matrix_rows(
    values: NDArray[Any], interval: Interval | None, *, skip_diagonal: bool = False
) -> tuple[tuple[str, ...], ...]:
    """Rows of a table of a (n_states, n_states) quantity with its intervals."""
    n_states = len(values)
    nothing = np.full(values.shape, np.nan)
    low, high = (nothing, nothing) if interval is None else (interval.lower, interval.upper)
    return tuple(
        (
            f"state {i + 1}",
            *(
                "" if skip_diagonal and i == j else bracketed(values[i, j], low[i, j], high[i, j])
                for j in range(n_states)
            ),
        )
        for i in range(n_states)
    )


def _diagonal(interval: Interval | None) -> Interval | None:
    return None if interval is None else Interval(np.diag(interval.lower), np.diag(interval.upper))


def _bounds(values: NDArray[Any], interval: Interval | None) -> list[tuple[float, float, float]]:
    if interval is None:
        return [(float(value), np.nan, np.nan) for value in values]
    found = zip(values, interval.lower, interval.upper, strict=True)
    return [(float(value), float(low), float(high)) for value, low, high in found]
