"""Solvation states of lithium in a polymer electrolyte, and what each conducts.

Run it with ``python examples/polymer_electrolyte.py FOLDER [--runs 5] [--duration 15] [--small]``.
It simulates several independent runs of a coarse-grained PEO/LiTFSI melt with LAMMPS (about a
quarter of an hour each; finished ones in FOLDER are used again), learns states of Li on the first
two, and looks at the others, each by itself: error bars are those of independent runs. It compares
the states with the contacts that everybody counts, and leaves a figure, a table and a report.
``--small`` takes two minutes and shows only that all of it works.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from kgdyn.integrations.lammps import simulate
from numpy.typing import NDArray
from scipy.stats import t as student

import kgdyn
from kgdyn.koopman import one_hot, validate_koopman
from kgdyn.observables import (
    charge_integral,
    neighbor_counts,
    transition_conductivity,
    transition_diffusion,
)
from kgdyn.plots import (
    plot_charge_integral,
    plot_ck_test,
    plot_implied_timescales,
    plot_state_rdf,
    plot_transition_conductivity,
    save_figures,
    state_color,
    state_marker,
)
from kgdyn.report import Physics, RunRecord, study_states, write_report
from kgdyn.toys import CoarsePolymerElectrolyte
from kgdyn.training import TrainingSettings, best_restart, train_restarts

N_NEIGHBORS = 20  # as Xie et al. 2019
NAMES = {8: "EO", 3: "Li", 7: "TFSI"}  # what the elements stand for
N_TRAINED = 2
SETTLED = 0.1  # of each run, left out
# 50 Li are few: the usual network, four convolutions and no dropout, learns them by heart.
OPTIONS = {"n_convolutions": 2, "dropout": 0.2}
CHARGES = {8: 0.0, 3: 1.0, 7: -1.0}
CONTACT = {"EO": 3.8, "TFSI": 4.9}  # angstrom, where the first shells end


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=5, help="the first two train, the others test")
    parser.add_argument("--duration", type=float, default=15.0, help="of each run, ns")
    parser.add_argument("--n-states", type=int, default=4)
    parser.add_argument("--lagtime", type=float, default=200.0, help="ps")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="tiny runs, 2 states, 1 epoch")
    given = parser.parse_args()
    if given.small:
        given.n_states, given.lagtime, given.epochs, given.restarts = 2, 20.0, 1, 1
    if given.runs < N_TRAINED + 2:
        parser.error(f"--runs must be at least {N_TRAINED + 2}: error bars take two that test")
    systems = [system_of(seed, given) for seed in range(1, given.runs + 1)]
    runs = [opened(system, given.folder / f"run{system.seed}") for system in systems]
    # Surroundings that are left of the start, and never come again, would be learned as a state.
    runs = [run[round(SETTLED * run.n_frames) :] for run in runs]
    lagtime = round(given.lagtime / runs[0].frame_interval)
    others = runs[N_TRAINED:]

    n_blocks = max(1, min(5, int(0.2 * runs[0].n_frames / (3 * lagtime))))
    train, validation = kgdyn.split_by_time(runs[:N_TRAINED], [0.8, 0.2], n_blocks=n_blocks)
    model, restarts = train_restarts(
        train,
        validation,
        n_states=given.n_states,
        n_neighbors=N_NEIGHBORS,
        lagtime=lagtime,
        settings=TrainingSettings(epochs=given.epochs, restarts=given.restarts, stride=2),
        model_options=OPTIONS,
        folder=given.folder / "training",
    )
    chi = [kgdyn.assign_states(model, run) for run in others]
    scores = [restart.score for restart in restarts]
    print("validation VAMP-2 of the restarts:", ", ".join(f"{score:.3f}" for score in scores))

    temperature = systems[0].temperature
    contacts = [neighbor_counts(run, cutoffs=CONTACT, selections=beads(run)) for run in others]
    each = [
        found_in(run, part, counts, lagtime, temperature)
        for run, part, counts in zip(others, chi, contacts, strict=True)
    ]
    table = {name: over_runs([one[name] for one in each]) for name in each[0]}
    kinetics = validate_koopman(chi, lagtime=lagtime, frame_interval=runs[0].frame_interval)
    inside = kinetics.ck.inside
    found = {
        "lagtime_ps": lagtime * runs[0].frame_interval,
        "validation_scores": scores,
        "timescales_ps": kinetics.model.timescales_ps().tolist(),
        "ck_inside": [int(inside.sum()), int(inside.size)],
        "ck_agrees": int(kinetics.ck.agrees.sum()),
        **{name: told(*value) for name, value in table.items()},
    }
    (given.folder / "polymer.json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))

    findings = study_states(
        others,
        chi,
        lagtime=lagtime,
        names=NAMES,
        physics=Physics(CHARGES, temperature, charge_radius=CONTACT["TFSI"]),
        molecules=systems[0].molecules,
        labels=[counts[:, :, 1] for counts in contacts],
        restart_scores=scores if len(scores) > 1 else None,
    )
    draw(findings, kinetics, table, given.folder / "polymer_electrolyte")
    record = RunRecord(
        given.folder,
        given.folder / "training" / "model.keras",
        config={"model": {"n_neighbors": N_NEIGHBORS, "lagtime": lagtime, **OPTIONS}},
        history=best_restart(restarts).history,
        tested_on_others=True,
    )
    print("report:", write_report(findings, record, given.folder / "report"))


def system_of(seed: int, given: argparse.Namespace) -> CoarsePolymerElectrolyte:
    """Each seed is another start, another melt and another noise."""
    if not given.small:
        return CoarsePolymerElectrolyte.long_lived(
            duration=given.duration, frame_interval=10.0, seed=seed
        )
    short = dict.fromkeys(("annealing_time", "cooling_time", "equilibration_time"), 4.0)
    return CoarsePolymerElectrolyte(duration=0.4, frame_interval=4.0, seed=seed, **short)


def opened(system: CoarsePolymerElectrolyte, folder: Path) -> kgdyn.Trajectory:
    """The run: simulated before, or simulated now."""
    topology, dump = simulate(system, folder)
    return kgdyn.open_trajectory(
        dump, topology=topology, elements=system.elements, targets="element Li"
    )


def beads(run: kgdyn.Trajectory) -> dict[str, NDArray[np.intp]]:
    return {name: np.flatnonzero(run.species == z) for z, name in NAMES.items() if name in CONTACT}


def found_in(
    run: kgdyn.Trajectory,
    chi: NDArray[np.float32],
    counts: NDArray[np.int64],
    lagtime: int,
    temperature: float,
) -> dict[str, NDArray[np.float64]]:
    """Of one run: how often each state is there, what touches Li in it, what it conducts."""
    states = chi.argmax(axis=2)
    hard = one_hot(states, chi.shape[2])
    own = [states == k for k in range(chi.shape[2])]
    charge = charge_integral(run, hard, charges=CHARGES, lagtime=lagtime)
    charges, _ = charge.at(CONTACT["TFSI"])
    unseen = [k + 1 for k in range(chi.shape[2]) if not own[k].any()]
    if unseen:
        raise SystemExit(f"{run.source}: states {unseen} are never the most probable: use fewer")
    diffusion = transition_diffusion(run, hard, lagtime=lagtime)
    conductivity = transition_conductivity(diffusion, charges=charges, temperature=temperature)
    model = kgdyn.estimate_koopman_model(chi, lagtime=lagtime, frame_interval=run.frame_interval)
    return {
        "populations": np.array([one.mean() for one in own]),
        "EO within 3.8 angstrom": np.array([counts[:, :, 0][one].mean() for one in own]),
        "TFSI within 4.9 angstrom": np.array([counts[:, :, 1][one].mean() for one in own]),
        "with no TFSI": np.array([(counts[:, :, 1][one] == 0).mean() for one in own]),
        "charge within 4.9 angstrom": charges,
        "timescales in the run, ps": np.real(model.timescales_ps()),
        "D of a state, angstrom^2/ps": diffusion.state_diffusion,
        "D_ij, angstrom^2/ps": diffusion.diffusion,
        "D, angstrom^2/ps": np.array(diffusion.total_diffusion),
        "sigma_ij, % of all": conductivity.percentages,
        "sigma, S/m": np.array(conductivity.total_conductivity),
        "sigma if Li moved alone, S/m": np.array(conductivity.nernst_einstein_conductivity),
    }


def over_runs(
    values: list[NDArray[np.float64]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and half of the 95% interval (Student's t) over independent runs."""
    stack = np.array(values, dtype=float)
    half = student.ppf(0.975, len(stack) - 1) / np.sqrt(len(stack)) * stack.std(axis=0, ddof=1)
    return stack.mean(axis=0), half


def told(mean: NDArray[np.float64], half: NDArray[np.float64]) -> dict[str, Any]:
    def plain(values: NDArray[np.float64]) -> Any:
        return json.loads(json.dumps(np.round(values, 5).tolist()).replace("NaN", "null"))

    return {"mean": plain(mean), "half of the 95% interval": plain(half)}


def draw(findings: Any, kinetics: Any, table: dict[str, Any], stem: Path) -> None:
    """One figure, after Fig. 4 of Xie et al. 2019."""
    figure = plt.figure(figsize=(15, 8.2), layout="constrained")
    upper, lower = figure.subfigures(2, 1)
    radial, charge, share = upper.subfigures(1, 3, width_ratios=[1.9, 1.0, 0.9])
    times, steps, current = lower.subfigures(1, 3, width_ratios=[0.9, 1.3, 1.2])
    plot_state_rdf(findings.rdf, radial.subplots(1, 2), selections=["EO", "TFSI"])
    plot_charge_integral(findings.charge, charge.subplots(), radius=findings.charge_radius)
    plot_shares(table["populations"], table["TFSI within 4.9 angstrom"], share.subplots())
    plot_implied_timescales(kinetics.timescales, times.subplots())
    n = findings.n_states
    plot_ck_test(kinetics.ck, steps.subplots(n, n, sharex=True, sharey=True))
    plot_transition_conductivity(findings.conductivity, current.subplots())
    save_figures(stem, figure, ["png", "pdf"], dpi=110)


def plot_shares(populations: Any, contacts: Any, ax: Any) -> None:
    """Shares of the states against the anions that touch Li, bars over independent runs."""
    for k, (share, wide) in enumerate(zip(*populations, strict=True)):
        ax.errorbar(
            contacts[0][k],
            100.0 * share,
            xerr=contacts[1][k],
            yerr=100.0 * wide,
            fmt=state_marker(k),
            color=state_color(k),
            label=f"state {k + 1}",
        )
    ax.set_xlabel("TFSI within 4.9 angstrom of Li")
    ax.set_ylabel("population (%)")
    ax.set_ylim(bottom=0.0)
    ax.legend(frameon=False)


if __name__ == "__main__":
    main()
