"""The parts of a page on what states are: structure, places, what decides, known labels."""

from __future__ import annotations

import numpy as np

from kgdyn.observables import describe_states
from kgdyn.plots import (
    plot_attention,
    plot_bond_order,
    plot_label_agreement,
    plot_masking_importance,
    plot_representatives,
    plot_state_profile,
    plot_state_rdf,
    plot_state_sequence,
    plot_states_in_cell,
)
from kgdyn.report.blocks import Block, Section, Structures, Table, Text
from kgdyn.report.figures import FigureFolder
from kgdyn.report.findings import Findings
from kgdyn.report.numbers import bracketed, percent
from kgdyn.report.structures import viewer_data

__all__ = ["deciding_section", "place_section", "state_sections"]

_ROWS_OF_SEQUENCE = 40
# States are fixed by a linear map: single values leave 0 to 1 where states overlap.
_BEYOND = 1.05


def state_sections(findings: Findings, figures: FigureFolder) -> list[Section]:
    """What states have around them, compared; then each state by itself."""
    blocks: list[Block] = []
    sentences: list[str] = []
    if findings.rdf is not None and findings.shells is not None:
        sentences = describe_states(
            findings.rdf,
            charge=findings.charge,
            bond_order=findings.bond_order,
            shells=findings.shells,
            charge_radius=findings.charge_radius,
        )
        blocks += [
            figures.draw(
                "rdf",
                "What stands around targets of each state, by element (radial distribution).",
                plot_state_rdf,
                findings.rdf,
                wide=True,
            ),
            _shell_table(findings),
        ]
    if findings.bond_order is not None:
        blocks.append(
            figures.draw(
                "bond_order",
                "Local bond order of the targets of each state.",
                plot_bond_order,
                findings.bond_order,
                wide=True,
            )
        )
    if findings.representatives is not None:
        blocks.append(
            figures.draw(
                "representatives",
                "The usual surroundings of each state (medoids); below they can be turned.",
                plot_representatives,
                findings.representatives,
                wide=True,
            )
        )
    found = [Section("Structure of the states", tuple(blocks))] if blocks else []
    return found + [_one_state(findings, figures, i, sentences) for i in range(findings.n_states)]


def _one_state(
    findings: Findings, figures: FigureFolder, state: int, sentences: list[str]
) -> Section:
    model = findings.validation.model
    interval = model.populations_interval
    low, high = (
        (np.nan, np.nan)
        if interval is None
        else (float(interval.lower[state]), float(interval.upper[state]))
    )
    share = percent(float(model.populations[state]), low, high)
    blocks: list[Block] = []
    representatives = findings.representatives
    if representatives is not None and representatives.of(state):
        extreme = max(item.probability for item in representatives.of(state)) > _BEYOND
        beyond = " A p above 1 is more extreme than the mean of the state." if extreme else ""
        blocks.append(
            Structures(
                f"state-{state + 1}",
                f"State {state + 1}: its medoid and its most probable frames; the target has a rim "
                f"in the colour of the state.{beyond}",
                viewer_data(
                    representatives.of(state),
                    findings.names,
                    [run.first_frame for run in findings.trajectories],
                    representatives.radius,
                ),
            )
        )
    else:
        blocks.append(Text("There is no frame to show."))
    often = ""
    if findings.by_assignment and findings.rdf is not None:
        often = f", the most probable state in {100.0 * findings.rdf.populations[state]:.1f}%"
    blocks.append(Text(f"Population {share}{often}."))
    if state < len(sentences):
        blocks.append(Text(sentences[state], kind="words"))
    return Section(f"State {state + 1}", tuple(blocks), state)


def _shell_table(findings: Findings) -> Table:
    rdf, shells = findings.rdf, findings.shells
    if rdf is None or shells is None:
        raise ValueError("rdf and shells are needed")
    rows, states = [], []
    for i in range(findings.n_states):
        for k, name in enumerate(rdf.selections):
            peak, height = float(shells.positions[i, k]), float(shells.heights[i, k])
            if not np.isfinite(peak):
                continue
            number = bracketed(
                float(shells.coordination[i, k]),
                float(shells.coordination_interval.lower[i, k]),
                float(shells.coordination_interval.upper[i, k]),
            )
            end = float(shells.minima[i, k])
            rows.append(
                (
                    f"state {i + 1}",
                    name,
                    f"{peak:.2f}",
                    f"{height:.2f}",
                    f"{end:.2f}" if np.isfinite(end) else "no minimum",
                    number if np.isfinite(end) else "",
                )
            )
            states.append(i)
    return Table(
        "First shells (distances in angstrom)",
        ("state", "neighbours", "peak at", "g there", "shell ends at", "neighbours in it"),
        tuple(rows),
        tuple(states),
    )


def place_section(findings: Findings, figures: FigureFolder) -> Section:
    """Where and when targets are in which state."""
    first, chi = findings.trajectories[0], findings.state_probabilities[0]
    end = int(first.offsets[1])
    targets = range(min(first.n_targets, _ROWS_OF_SEQUENCE))
    part = f" (the first {len(targets)} targets)" if len(targets) < first.n_targets else ""
    blocks: list[Block] = [
        figures.draw(
            "sequence",
            f"The most probable state of each target over time{part}.",
            plot_state_sequence,
            chi[:end],
            first.frame_interval,
            targets=list(targets),
            wide=True,
        ),
        figures.draw(
            "places",
            "Where targets were, by state.",
            plot_states_in_cell,
            first,
            chi,
        ),
    ]
    if findings.profile is not None:
        blocks.append(
            figures.draw(
                "profile",
                "Shares of the states along the chosen axis.",
                plot_state_profile,
                findings.profile,
            )
        )
    if findings.agreement is not None:
        blocks += _agreement(findings, figures)
    return Section("Where and when", tuple(blocks))


def _agreement(findings: Findings, figures: FigureFolder) -> list[Block]:
    found = findings.agreement
    if found is None:
        return []
    return [
        figures.draw(
            "agreement",
            "Learned states (rows) and known labels (columns), in percent of all.",
            plot_label_agreement,
            found,
        ),
        Text(found.sentence(), kind="words"),
    ]


def deciding_section(findings: Findings, figures: FigureFolder) -> Section | None:
    """What the network attends to, and what it cannot do without."""
    from kgdyn.explain import describe_importance

    blocks: list[Block] = []
    attention, masking = findings.attention, findings.masking
    if attention is not None or masking is not None:
        blocks.append(Text("", tuple(describe_importance(attention, masking)), "words"))
    if masking is not None:
        blocks.append(
            figures.draw(
                "masking",
                "What becomes of the score and of the states when the network cannot see a part.",
                plot_masking_importance,
                masking,
                wide=True,
            )
        )
    if attention is not None:
        blocks.append(
            figures.draw(
                "attention",
                "Attention of the targets on their neighbours. It is no proof of importance: what "
                "masking shows is sturdier.",
                plot_attention,
                attention,
                wide=True,
            )
        )
    return Section("What decides a state", tuple(blocks)) if blocks else None
