"""Crystal, melt and the interface between them, found in silicon without labels.

Run it with ``python examples/silicon_interface.py FOLDER [--data FILE] [--small]``. It
simulates 6 ns of Stillinger-Weber silicon with LAMMPS (an hour on a free core; ``--data`` takes a
trajectory that is there already), learns four states from the surroundings of atoms, and compares
them with q3, the bond order that people use to tell crystal from melt. It leaves a figure, a table
and a report. ``--small`` takes a minute and shows only that all of it works.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from kgdyn.integrations.lammps import simulate
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

import kgdyn
from kgdyn.frames import TargetGroups
from kgdyn.koopman import one_hot, validate_koopman
from kgdyn.observables import bond_order, slab_regions, state_bond_order, state_profile
from kgdyn.plots import (
    plot_bond_order,
    plot_ck_test,
    plot_eigenvectors,
    plot_implied_timescales,
    plot_state_profile,
    plot_state_sequence,
    save_figures,
)
from kgdyn.report import RunRecord, study_states, write_report
from kgdyn.toys import SiliconInterface
from kgdyn.training import TrainingSettings, best_restart, train_restarts

N_STATES = 4
N_NEIGHBORS = 20
LAG = 50.0  # ps
SOLID = -0.55  # q3's correlation with the four nearest, mean of five frames; melt: about -0.3
SLABS = 24
STEADY = 25.0  # ps: over which the place of the interface is a mean
TRAINED = 0.6  # of the run; the rest is the test


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--data", type=Path, help="a gdynet .npz, or a LAMMPS dump, instead of a simulation"
    )
    parser.add_argument("--duration", type=float, default=6.0, help="ns to simulate")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="a crystal of 96 atoms, 1 epoch")
    arguments = parser.parse_args()
    folder = arguments.folder
    run = opened(arguments.data, folder, arguments.small, arguments.duration)
    lagtime = max(1, round((1.0 if arguments.small else LAG) / run.frame_interval))

    first, test = (part[0] for part in kgdyn.split_by_time(run, [TRAINED, 1.0 - TRAINED]))
    n_blocks = max(1, min(5, int(0.25 * first.n_frames / (3 * lagtime))))
    train, validation = kgdyn.split_by_time(first, [0.75, 0.25], n_blocks=n_blocks)
    small = {"epochs": 1, "restarts": 1}
    full = {"epochs": arguments.epochs, "restarts": arguments.restarts}
    model, restarts = train_restarts(
        train,
        validation,
        n_states=N_STATES,
        n_neighbors=N_NEIGHBORS,
        lagtime=lagtime,
        settings=TrainingSettings(**(small if arguments.small else full), novelty=False),
        folder=folder / "training",
    )
    scores = [restart.score for restart in restarts]
    print("validation VAMP-2 of the restarts:", ", ".join(f"{score:.3f}" for score in scores))

    chi = kgdyn.assign_states(model, test)
    states = chi.argmax(axis=2)
    everywhere = solid_by_q3(test)
    solid = everywhere[:, test.targets.atoms]
    found = compared(
        states, solid, in_bulk(test, everywhere, max(1, round(STEADY / run.frame_interval)))
    )
    found["validation_scores"] = scores
    kinetics = validate_koopman(chi, lagtime=lagtime, frame_interval=run.frame_interval)
    inside = kinetics.ck.inside
    found["ck_inside"] = [int(inside.sum()), int(inside.size)]
    found["timescales_ps"] = kinetics.model.timescales_ps().tolist()
    (folder / "silicon.json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))

    hard = one_hot(states, N_STATES)
    order = state_bond_order(test, hard, (3,), n_neighbors=4, lagtime=lagtime)
    profile = state_profile(
        around_crystal(test, everywhere), hard, axis=2, n_slabs=SLABS, lagtime=lagtime
    )
    draw(test, chi, profile, order, kinetics, folder / "silicon_interface")

    best = best_restart(restarts)
    findings = study_states(
        test,
        chi,
        lagtime=lagtime,
        axis=2,
        bond_order_neighbors=4,
        labels=[solid.astype(int)],
        restart_scores=scores if len(scores) > 1 else None,
    )
    record = RunRecord(
        folder,
        folder / "training" / "model.keras",
        config={"model": {"n_neighbors": N_NEIGHBORS, "lagtime": lagtime}},
        training={"test_start": TRAINED},
        history=best.history,
    )
    print("report:", write_report(findings, record, folder / "report"))


def opened(data: Path | None, folder: Path, small: bool, duration: float) -> kgdyn.Trajectory:
    """The trajectory: given, simulated before, or simulated now."""
    if data is not None and data.suffix == ".npz":
        return kgdyn.open_trajectory(data)
    if data is not None:
        return kgdyn.open_trajectory(data, elements=["Si"], targets="all")
    short = {"cells": (1, 1, 6), "melting_time": 2.0, "cooling_time": 2.0, "settling_time": 2.0}
    system = (
        SiliconInterface(duration=0.03, frame_interval=0.25, **short)
        if small
        else SiliconInterface(duration=duration, frame_interval=5.0)
    )
    _, dump = simulate(system, folder)
    return kgdyn.open_trajectory(dump, elements=["Si"], targets="all")


def solid_by_q3(run: kgdyn.Trajectory) -> NDArray[np.bool_]:
    """(n_frames, n_atoms): whether the mean of q3 over five frames is that of a crystal."""
    order = bond_order(run, (3,), n_neighbors=4, atoms="all").of(3, "correlation")
    result: NDArray[np.bool_] = uniform_filter1d(order, 5, axis=0) < SOLID
    return result


def in_bulk(run: kgdyn.Trajectory, solid: NDArray[np.bool_], n_mean: int) -> NDArray[np.bool_]:
    """(n_frames, n_targets): no interface near.

    The slab of the target and two slabs on either side are at least 80% crystal, or at least 80%
    melt, in the mean over some frames: the interface moves.
    """
    everyone = run.with_targets(TargetGroups.from_indices(range(run.n_atoms)))
    edges = np.linspace(0.0, 1.0, SLABS + 1)[:-1]
    slab = slab_regions(everyone, 2, edges, fractional=True)
    share = np.zeros((run.n_frames, SLABS))
    for k in range(SLABS):
        inside = slab == k
        share[:, k] = (solid & inside).sum(axis=1) / np.maximum(inside.sum(axis=1), 1)
    share = uniform_filter1d(share, n_mean, axis=0)
    near = np.stack([np.roll(share, shift, axis=1) for shift in (-2, -1, 0, 1, 2)])
    bulk = (near > 0.8).all(axis=0) | (near < 0.2).all(axis=0)
    result: NDArray[np.bool_] = bulk[np.arange(run.n_frames)[:, None], slab[:, run.targets.atoms]]
    return result


def around_crystal(run: kgdyn.Trajectory, solid: NDArray[np.bool_]) -> kgdyn.Trajectory:
    """The same frames, each moved along z so that the crystal's middle is the cell's.

    A crystal that melts on one side and grows on the other wanders through the cell.
    """
    length = run.cells[:, 2, 2]
    turned = np.exp(2j * np.pi * run.positions[..., 2] / length[:, None])
    middle = np.angle((turned * solid).sum(axis=1)) / (2.0 * np.pi) * length
    positions = np.array(run.positions)
    positions[..., 2] = (positions[..., 2] + (0.5 * length - middle)[:, None]) % length[:, None]
    return replace(run, positions=positions, images=None)


def compared(
    states: NDArray[np.int64], solid: NDArray[np.bool_], bulk: NDArray[np.bool_]
) -> dict[str, object]:
    """Of each state, how much is crystal by q3 and how much is far from the interface."""
    is_state = [states == k for k in range(N_STATES)]
    crystal = [float(solid[own].mean()) if own.any() else 0.0 for own in is_state]
    agrees = (np.array(crystal) > 0.5)[states] == solid
    return {
        "share": [float(own.mean()) for own in is_state],
        "crystal_by_q3": crystal,
        "in_bulk": [float(bulk[own].mean()) if own.any() else 0.0 for own in is_state],
        "agreement_with_q3": float(agrees.mean()),
        "agreement_with_q3_in_bulk": float(agrees[bulk].mean()) if bulk.any() else None,
        "share_of_bulk": float(bulk.mean()),
    }


def draw(run, chi, profile, order, kinetics, stem) -> None:  # type: ignore[no-untyped-def]
    """One figure of six, after Fig. 3 of Xie et al. 2019."""
    figure = plt.figure(figsize=(15, 7.6), layout="constrained")
    upper, lower = figure.subfigures(2, 1)
    places, bonds, sequence = upper.subfigures(1, 3, width_ratios=[1.1, 1.0, 1.2])
    times, processes, steps = lower.subfigures(1, 3, width_ratios=[0.8, 1.5, 1.2])
    axes = places.subplots()
    plot_state_profile(profile, axes)
    axes.set_xlabel("position along z, the crystal in the middle (angstrom)")
    plot_bond_order(order, [bonds.subplots()])
    plot_state_sequence(chi, run.frame_interval, sequence.subplots(), targets=range(0, 30))
    plot_implied_timescales(kinetics.timescales, times.subplots())
    plot_eigenvectors(kinetics.model, processes.subplots(1, N_STATES - 1, sharey=True))
    plot_ck_test(kinetics.ck, steps.subplots(N_STATES, N_STATES, sharex=True, sharey=True))
    save_figures(stem, figure, ["png", "pdf"], dpi=110)


if __name__ == "__main__":
    main()
