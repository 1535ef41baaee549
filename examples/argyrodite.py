"""Disorder lets lithium move slowly: the argyrodite Li6PS5Cl, from ab initio trajectories.

Run it with ``python examples/argyrodite.py FOLDER DATA [--small]``, DATA the folder with the
XDATCAR files of https://github.com/bjmorgan/data_argyrodite_disorder
(``Li6PS5Cl_50p_run1.XDATCAR.gz`` and so on; 0, 50 and 100% of the S and Cl sites are exchanged).
Runs of one crystal continue each other: they are joined, the last one tests, those before train.
The disordered crystal has a slow process, Li between cages around free S and around Cl; the ordered
ones are the control, and have none. It leaves a figure, a table and a report of the disordered one.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

import kgdyn
from kgdyn.koopman import KoopmanValidation, validate_koopman
from kgdyn.plots import plot_implied_timescales, plot_state_rdf, save_figures
from kgdyn.report import RunRecord, study_states, write_report
from kgdyn.training import TrainingSettings, best_restart, train_restarts

N_STATES = 2
N_NEIGHBORS = 20
LAGTIME = 10  # frames of 0.1 ps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--small", action="store_true", help="two runs of 50p, 1 epoch")
    arguments = parser.parse_args()
    crystals = ["50p"] if arguments.small else ["50p", "0p", "100p"]
    found: dict[str, dict[str, Any]] = {}
    results: dict[str, KoopmanValidation] = {}
    for crystal in crystals:
        folder = arguments.folder / crystal
        files = sorted(arguments.data.glob(f"Li6PS5Cl_{crystal}_run*.XDATCAR.gz"))
        if not files:
            raise SystemExit(f"{arguments.data}: there are no files of Li6PS5Cl_{crystal}")
        system: dict[str, Any] = {"targets": "element Li", "frame_interval": 0.1}
        used = files[-2:] if arguments.small else files
        run = kgdyn.open_trajectory(used, **system)
        n_train = run.n_frames - kgdyn.open_trajectory(used[-1], **system).n_frames
        first, test = run[:n_train], run[n_train:]
        train, validation = kgdyn.split_by_time(
            first,
            [0.6, 0.4] if arguments.small else [0.85, 0.15],  # the small one has 7 ps in all
            n_blocks=1 if arguments.small else 3,
        )
        model, restarts = train_restarts(
            train,
            validation,
            n_states=N_STATES,
            n_neighbors=N_NEIGHBORS,
            lagtime=LAGTIME,
            settings=TrainingSettings(
                epochs=1 if arguments.small else arguments.epochs, novelty=False
            ),
            folder=folder / "training",
        )
        chi = kgdyn.assign_states(model, test)
        kinetics = validate_koopman(chi, lagtime=LAGTIME, frame_interval=run.frame_interval)
        results[crystal] = kinetics
        found[crystal] = told(kinetics, test, chi)
        if crystal == "50p":
            findings = study_states(test, chi, lagtime=LAGTIME)
            record = RunRecord(
                folder,
                folder / "training" / "model.keras",
                config={"model": {"n_neighbors": N_NEIGHBORS, "lagtime": LAGTIME}},
                training={"test_start": n_train / run.n_frames},
                history=best_restart(restarts).history,
            )
            print("report:", write_report(findings, record, folder / "report"))
            rdf = findings.rdf
    (arguments.folder / "argyrodite.json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))
    figure = plt.figure(figsize=(12, 5.6), layout="constrained")
    upper, lower = figure.subfigures(2, 1)
    panels = upper.subplots(1, len(crystals), squeeze=False)[0]
    for panel, crystal in zip(panels, crystals, strict=True):
        plot_implied_timescales(results[crystal].timescales, panel)
        panel.set_title(f"{crystal.rstrip('p')}% of the sites exchanged")
    if rdf is not None:
        plot_state_rdf(rdf, lower.subplots(1, len(rdf.selections)))
    save_figures(arguments.folder / "argyrodite", figure, ["png", "pdf"], dpi=110)


def told(
    kinetics: KoopmanValidation, run: kgdyn.Trajectory, chi: NDArray[np.float32]
) -> dict[str, Any]:
    """Score, timescale, populations, and what the states have to do with the cages."""
    model = kinetics.model
    interval = model.timescales_interval
    return {
        "n_frames_of_test": run.n_frames,
        "vamp2_score": model.vamp2_score,
        "timescale_ps": model.timescales_ps().tolist(),
        "timescale_interval_ps": (
            None if interval is None else [interval.lower.tolist(), interval.upper.tolist()]
        ),
        "populations": model.populations.tolist(),
        "correlation_with_cages": cage_correlation(run, chi),
    }


def cage_correlation(run: kgdyn.Trajectory, chi: NDArray[np.float32]) -> float:
    """Correlation of a state with d(nearest S without P) - d(nearest Cl) of each Li.

    S is free where no P is nearer than 2.6 angstrom.
    """
    sulfur = np.flatnonzero(run.species == 16)
    chlorine = np.flatnonzero(run.species == 17)
    phosphorus = np.flatnonzero(run.species == 15)
    start = run.frame(0)
    bound = (distances(start, sulfur, phosphorus) < 2.6).any(axis=1)
    free = sulfur[~bound]
    coordinate = []
    frames = range(0, run.n_frames, max(1, run.n_frames // 200))
    for index in frames:
        frame = run.frame(index)
        near = [
            distances(frame, run.targets.atoms, atoms).min(axis=1) for atoms in (free, chlorine)
        ]
        coordinate.append(near[0] - near[1])
    state = chi[list(frames), :, 0].ravel()
    return float(np.corrcoef(np.ravel(coordinate), state)[0, 1])


def distances(frame: Any, some: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float64]:
    """(n, m) distances by the nearest image; the cell is nearly cubic."""
    steps = frame.positions[some][:, None].astype(float) - frame.positions[others]
    fractions = steps @ np.linalg.inv(frame.cell)
    result: NDArray[np.float64] = np.linalg.norm(
        (fractions - np.rint(fractions)) @ frame.cell, axis=2
    )
    return result


if __name__ == "__main__":
    main()
