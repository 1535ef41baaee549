"""The top of the page: what was learned from what, and whether it can be believed."""

from __future__ import annotations

import warnings
from collections import Counter

import numpy as np

from kgdyn.baselines import MissedProcessVerdict
from kgdyn.elements import element_name
from kgdyn.report.blocks import Card, Section, Text
from kgdyn.report.findings import Findings
from kgdyn.report.numbers import bracketed, duration
from kgdyn.report.run_record import RunRecord
from kgdyn.trajectories import Trajectory

__all__ = ["cards", "summary", "title", "warnings_section"]

# Fewer independent blocks than this make intervals that say little.
_FEW_BLOCKS = 10.0


def title(findings: Findings) -> str:
    """``"2 states of Li in Li, S"``."""
    run = findings.trajectories[0]
    everything = ", ".join(_name(number, findings) for number in run.elements)
    return f"{findings.n_states} states of {_target_name(run, findings)} among {everything}"


def summary(findings: Findings, record: RunRecord) -> list[str]:
    """A few sentences for a reader who has seen nothing of the run."""
    run = findings.trajectories[0]
    model = record.config.get("model", {})
    lag = findings.lagtime * findings.frame_interval
    sources = list(dict.fromkeys(part.source for part in findings.trajectories))
    named = ", ".join(source.replace("\\", "/").rsplit("/", 1)[-1] for source in sources)
    length = findings.n_frames * findings.frame_interval
    neighbors = model.get("n_neighbors")
    around = f" {neighbors}" if neighbors else ""
    sentences = [
        f"A graph dynamical network looked at the{around} nearest atoms around "
        f"{_targets(run, findings)}, and learned {findings.n_states} states "
        f"whose exchange is slow: at a lag time of {duration(lag)} they keep as much of the "
        "memory of the motion as it could find (VAMP-2 score).",
        f"All numbers are of {findings.n_frames:,} frames of {named}, "
        f"{duration(findings.frame_interval)} apart ({duration(length)} in all)"
        + (
            f", {record.unseen}."
            if record.unseen
            else ". Training saw some or all of these frames."
        ),
    ]
    return sentences


def cards(findings: Findings) -> list[Card]:
    """The numbers to look at first, with a verdict where there is one."""
    model, ck = findings.validation.model, findings.validation.ck
    verdict = findings.verdict
    found = []
    if verdict is not None:
        score = verdict.score_interval
        found.append(
            Card(
                f"VAMP-2 score (at most {findings.n_states})",
                bracketed(verdict.vamp2_score, float(score.lower), float(score.upper)),
                _beside_floor(verdict),
                "warning" if verdict.status in ("missed", "below floor") else "good",
            )
        )
    else:
        found.append(
            Card(f"VAMP-2 score (at most {findings.n_states})", f"{model.vamp2_score:.4f}")
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        time = float(model.timescales_ps()[0])
    interval = model.timescales_interval
    bounds = (np.nan, np.nan)
    if interval is not None:
        bounds = float(interval.lower[0]), float(interval.upper[0])
    lag = findings.lagtime * findings.frame_interval
    slow = np.isfinite(time) and time > lag
    found.append(
        Card(
            "Slowest process",
            f"{bracketed(time, *bounds)} ps" if np.isfinite(time) else "none",
            f"lag time {duration(lag)}" + ("" if slow else ": not slower than the lag time"),
            "plain" if slow else "warning",
        )
    )
    inside, total = int(ck.inside.sum()), ck.inside.size
    found.append(
        Card(
            "Chapman-Kolmogorov test",
            f"{inside} of {total} inside",
            f"predictions for {duration(lag)} to {duration(len(ck.steps) * lag)}; largest "
            f"difference {ck.largest_difference:.3f}",
            "good" if inside >= 0.9 * total else "warning",
        )
    )
    found.append(_crispness_card(findings))
    blocks = model.independent_blocks
    if blocks is not None:
        few = blocks < _FEW_BLOCKS
        found.append(
            Card(
                "Independent blocks of data",
                f"{blocks:.0f}",
                "intervals are too narrow: a longer run is needed" if few else "for the intervals",
                "warning" if few else "good",
            )
        )
    return found


def _crispness_card(findings: Findings) -> Card:
    crisp = findings.crispness
    overlaps = [
        f"state {state + 1} overlaps with state {crisp.neighbors[state] + 1}"
        for state in np.flatnonzero(crisp.overlapping)
        if np.isfinite(crisp.clear[state])
    ]
    note = "; ".join(overlaps) + ": means over many frames hold, single frames say little"
    return Card(
        "Crispness (1: every frame is clear)",
        f"{crisp.total:.2f}",
        note if overlaps else "a single frame tells the state",
        "warning" if overlaps else "good",
    )


def _beside_floor(verdict: MissedProcessVerdict) -> str:
    difference = verdict.vamp2_score - verdict.floor_score
    low, high = verdict.difference_interval.lower, verdict.difference_interval.upper
    side, sign = ("above", 1.0) if difference >= 0.0 else ("below", -1.0)
    bounds = sorted((sign * float(low), sign * float(high)))
    return (
        f"{side} the {verdict.floor_score:.3f} of a linear method by "
        f"{bracketed(abs(difference), *bounds)}"
    )


def warnings_section(findings: Findings) -> Section | None:
    """What was doubtful, and what is not in the report; None if there is nothing."""
    items = []
    verdict = findings.verdict
    if verdict is not None and verdict.status == "missed":
        items.append(f"Missed processes: {verdict.words[0]}")
    elif verdict is not None and not verdict.ok:
        items.append(f"Training: {verdict.words[-1]}")  # that restarts disagree
    if findings.validation.transitions.note:
        items.append(f"Few events: {findings.validation.transitions.note}")
    doubts = Counter((note.text, note.kind) for note in findings.notes)
    for text, kind in doubts:
        pieces = [n.piece for n in findings.notes if (n.text, n.kind) == (text, kind)]
        where = ", ".join(dict.fromkeys(pieces))
        verb = " is left out" if kind == "left out" else ""
        items.append(f"{where[:1].upper()}{where[1:]}{verb}: {text}")
    if not items:
        return None
    return Section("Warnings", (Text("", tuple(items), "warning"),))


def _name(number: int, findings: Findings) -> str:
    return findings.names.get(number, element_name(number))


def _targets(run: Trajectory, findings: Findings) -> str:
    name = _target_name(run, findings)
    return f"a {name}" if run.n_targets == 1 else f"each of {run.n_targets} {name}"


def _target_name(run: Trajectory, findings: Findings) -> str:
    """``"Li"``, or ``"molecules (H, O)"``."""
    kinds = [_name(int(n), findings) for n in np.unique(run.species[run.targets.atoms])]
    if len(run.targets.atoms) == run.n_targets:
        return " and ".join(kinds)
    return f"groups of atoms ({', '.join(kinds)})"
