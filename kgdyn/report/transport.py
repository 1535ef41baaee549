"""The part of a page on motion and conduction."""

from __future__ import annotations

import numpy as np

from kgdyn.koopman import Interval
from kgdyn.plots import (
    plot_charge_integral,
    plot_transition_conductivity,
    plot_transition_diffusion,
    plot_transition_msd,
)
from kgdyn.report.blocks import Block, Section, Table, Text
from kgdyn.report.figures import FigureFolder
from kgdyn.report.findings import Findings
from kgdyn.report.kinetics import matrix_rows
from kgdyn.report.numbers import bracketed, duration, percent

__all__ = ["transport_section"]


def transport_section(findings: Findings, figures: FigureFolder) -> Section | None:
    """Diffusion and conduction by transition, with every number of both tables."""
    blocks: list[Block] = []
    if findings.msd is not None:
        blocks.append(
            figures.draw(
                "msd",
                "Mean square displacement of targets that go from one state to another.",
                plot_transition_msd,
                findings.msd,
            )
        )
    blocks += _diffusion(findings, figures)
    if findings.charge is not None:
        blocks += _charge(findings, figures)
    blocks += _conduction(findings, figures)
    return Section("Motion and conduction", tuple(blocks)) if blocks else None


def _diffusion(findings: Findings, figures: FigureFolder) -> list[Block]:
    found = findings.diffusion
    if found is None:
        return []
    lag = duration(found.lagtime * found.frame_interval)
    n_states = found.n_states
    header = ("from", *(f"to state {j + 1}" for j in range(n_states)))
    states = tuple(range(n_states))
    whole = found.total_diffusion_interval
    own = found.state_diffusion_interval
    total = bracketed(found.total_diffusion, float(whole.lower), float(whole.upper))
    return [
        figures.draw(
            "diffusion",
            f"Diffusion coefficients by transition at {lag}.",
            plot_transition_diffusion,
            found,
        ),
        Table(
            f"D from state to state at {lag} (square angstrom per ps = 1e-4 cm²/s); the whole: "
            f"{total}",
            (*header, "wherever they end"),
            tuple(
                (*row, bracketed(found.state_diffusion[i], own.lower[i], own.upper[i]))
                for i, row in enumerate(matrix_rows(found.diffusion, found.diffusion_interval))
            ),
            states,
        ),
    ]


def _charge(findings: Findings, figures: FigureFolder) -> list[Block]:
    charge = findings.charge
    if charge is None:
        return []
    blocks: list[Block] = [
        figures.draw(
            "charge",
            "Charge within a distance of targets of each state, their own included.",
            plot_charge_integral,
            charge,
        )
    ]
    if findings.charge_radius is not None:
        values, interval = charge.at(findings.charge_radius)
        blocks.append(
            Table(
                f"Charge of the cluster within {findings.charge_radius:.2f} angstrom (elementary "
                "charges)",
                ("state", "charge"),
                tuple(
                    (f"state {i + 1}", bracketed(*found))
                    for i, found in enumerate(
                        zip(values, interval.lower, interval.upper, strict=True)
                    )
                ),
                tuple(range(len(values))),
            )
        )
    return blocks


def _conduction(findings: Findings, figures: FigureFolder) -> list[Block]:
    found = findings.conductivity
    if found is None:
        wanted = []
        if findings.physics.charges is None:
            wanted.append("charges")
        if findings.physics.temperature is None:
            wanted.append("a temperature")
        if not wanted or findings.diffusion is None:
            return []
        return [Text(f"Conductivities are not here: {' and '.join(wanted)} have to be given.")]
    total, independent = found.total_conductivity_interval, found.nernst_einstein_conductivity
    alone = found.nernst_einstein_conductivity_interval
    states = tuple(range(found.n_states))
    header = ("from", *(f"to state {j + 1}" for j in range(found.n_states)))
    with np.errstate(invalid="ignore"):
        shares, of_shares = found.percentages / 100.0, found.percentages_interval
    charges = matrix_rows(found.transition_charges, found.transition_charges_interval)
    return [
        figures.draw(
            "conductivity",
            "Share of each transition in the conductivity (cluster Nernst-Einstein formula).",
            plot_transition_conductivity,
            found,
        ),
        Table(
            f"Conductivity at {found.temperature:g} K (S/m): in all "
            f"{bracketed(found.total_conductivity, float(total.lower), float(total.upper))}; of "
            "independent ions "
            f"{bracketed(independent, float(alone.lower), float(alone.upper))}",
            header,
            matrix_rows(found.conductivity, found.conductivity_interval),
            states,
        ),
        Table(
            "Share of each transition; they sum to 100%",
            header,
            _percent_rows(shares, of_shares),
            states,
        ),
        Table("Mean charge of both states (elementary charges)", header, charges, states),
    ]


def _percent_rows(shares: np.ndarray, interval: Interval) -> tuple[tuple[str, ...], ...]:  # type: ignore[type-arg]
    low, high = interval.lower / 100.0, interval.upper / 100.0
    n_states = len(shares)
    return tuple(
        (
            f"state {i + 1}",
            *(percent(shares[i, j], low[i, j], high[i, j]) for j in range(n_states)),
        )
        for i in range(n_states)
    )
