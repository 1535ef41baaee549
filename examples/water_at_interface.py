"""Molecules as targets: which water molecules of a film are at its surface, and for how long.

Run it with ``python examples/water_at_interface.py FOLDER [--data DATA] [--small]``. It simulates a
film of 216 SPC/E molecules with vapour on both sides with LAMMPS (ten minutes of a core), learns
two states of whole molecules from their surroundings, and looks where along the normal of the film
they are, how long they last, and what diffusion alone would say. It leaves a figure, a table and a
report. ``--data`` takes a trajectory that is there instead: a folder with ``airwater.gro`` and
``airwater.trr``, the film of the tests of MAICoS (https://www.maicos-analysis.org), a frame each
20 ps. ``--small`` takes a minute and shows only that all of it works.
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

import kgdyn
from kgdyn.koopman import KoopmanValidation, residence_times, validate_koopman
from kgdyn.observables import StateProfile, state_profile
from kgdyn.plots import (
    plot_ck_test,
    plot_implied_timescales,
    plot_populations,
    plot_state_profile,
    plot_state_sequence,
    save_figures,
)
from kgdyn.report import RunRecord, study_states, write_report
from kgdyn.toys import WaterSlab
from kgdyn.training import TrainingSettings, best_restart, train_restarts

N_NEIGHBORS = 20  # atoms, of each atom
LAG = 5.0  # ps, or a frame where frames are farther apart
TRAINED = 0.6  # of the run; the rest is the test
SLABS = 56
NEAR = 4.0  # angstrom from where the density is half of that within: "at a surface"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, help="a folder with airwater.gro and airwater.trr")
    parser.add_argument("--n-states", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="a run of 4 ps, 1 epoch")
    given = parser.parse_args()
    folder = given.folder
    if given.small:
        given.epochs, given.restarts = 1, 1
    run = opened(given.data, folder, given.small)
    lagtime = max(1, round((0.4 if given.small else LAG) / run.frame_interval))

    first, (test,) = kgdyn.split_by_time(run, [TRAINED, 1.0 - TRAINED])
    n_blocks = max(1, min(5, int(0.25 * first[0].n_frames / (3 * lagtime))))
    train, validation = kgdyn.split_by_time(first, [0.75, 0.25], n_blocks=n_blocks)
    model, restarts = train_restarts(
        train,
        validation,
        n_states=given.n_states,
        n_neighbors=N_NEIGHBORS,
        lagtime=lagtime,
        settings=TrainingSettings(epochs=given.epochs, restarts=given.restarts, novelty=False),
        folder=folder / "training",
    )
    scores = [restart.score for restart in restarts]
    print("validation VAMP-2 of the restarts:", ", ".join(f"{score:.3f}" for score in scores))

    chi = kgdyn.assign_states(model, test)
    kinetics = validate_koopman(chi, lagtime=lagtime, frame_interval=run.frame_interval)
    profile = state_profile(test, chi, axis=2, n_slabs=SLABS, lagtime=lagtime)
    found = {
        "n_molecules": run.n_targets,
        "n_frames_of_test": test.n_frames,
        "lagtime_ps": lagtime * run.frame_interval,
        "validation_scores": scores,
        **told(kinetics),
        **film(test, chi, profile, lagtime),
    }
    (folder / "water.json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))
    draw(chi, run.frame_interval, profile, kinetics, folder / "water_at_interface")

    findings = study_states(
        test,
        chi,
        lagtime=lagtime,
        axis=2,
        molecules=np.repeat(np.arange(run.n_targets), 3),
        restart_scores=scores if len(scores) > 1 else None,
    )
    record = RunRecord(
        folder,
        folder / "training" / "model.keras",
        config={"model": {"n_neighbors": N_NEIGHBORS, "lagtime": lagtime}},
        training={"test_start": TRAINED},
        history=best_restart(restarts).history,
    )
    print("report:", write_report(findings, record, folder / "report"))


def opened(data: Path | None, folder: Path, small: bool) -> kgdyn.Trajectory:
    """The film: given, simulated before, or simulated now. A target is a molecule."""
    if data is not None:
        return kgdyn.open_trajectory(
            data / "airwater.trr",
            topology=data / "airwater.gro",
            elements={"OW": "O", "HW1": "H", "HW2": "H"},
            targets="name OW",
            groupby="molecules",
        )
    system = (
        WaterSlab(settling_time=1.0, duration=0.004, frame_interval=0.1) if small else WaterSlab()
    )
    topology, dump = simulate(system, folder)
    return kgdyn.open_trajectory(
        dump,
        topology=topology,  # which knows what is a molecule
        elements=system.elements,
        targets="element O",
        groupby="molecules",
    )


def told(kinetics: KoopmanValidation) -> dict[str, Any]:
    """Score, timescale, populations and residence times with their 95% intervals."""
    model = kinetics.model
    result: dict[str, Any] = {"vamp2_score": model.vamp2_score}
    for name, values in (
        ("timescales_ps", model.timescales_ps()),
        ("populations", model.populations),
        ("residence_times_ps", residence_times(model)),
    ):
        bounds = getattr(model, name.replace("_ps", "") + "_interval")
        result[name] = values.tolist()
        result[f"{name}_interval"] = [bounds.lower.tolist(), bounds.upper.tolist()]
    inside = kinetics.ck.inside
    result["ck_inside"] = [int(inside.sum()), int(inside.size)]
    return result


def film(
    run: kgdyn.Trajectory, chi: NDArray[np.float32], profile: StateProfile, lagtime: int
) -> dict[str, Any]:
    """Where each state is, and how long diffusion across the film would take.

    States know surroundings, not places: both surfaces are one state. What relaxes slowest is then
    the difference between the middle and both surfaces, which diffusion across a film of thickness
    L, through which no molecule leaves, does in L^2 / (4 pi^2 D).
    """
    oxygen = run.positions[:, run.targets.atoms[::3]].astype(np.float64)
    width, depth, height = run.cells[0].diagonal().astype(float)
    # The mean on a circle: the film may lie across the border of the cell.
    angles = 2.0 * np.pi * oxygen[..., 2] / height
    middle = height / (2.0 * np.pi) * np.angle(np.exp(1j * angles).mean())

    def away(z: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.abs(z - middle - height * np.rint((z - middle) / height))

    from_middle = away(oxygen[..., 2])
    inside = profile.density.sum(axis=0)[away(profile.positions) < 4.0].mean()
    thickness = run.n_targets / (width * depth * float(inside))
    diffusion = diffusion_along(run, oxygen, lagtime)
    states = chi.argmax(axis=2)
    own = [states == k for k in range(chi.shape[2])]
    places = [float(from_middle[one].mean()) if one.any() else 0.0 for one in own]
    at_surface = from_middle > 0.5 * thickness - NEAR
    surface = chi[..., int(np.argmax(places))]
    return {
        "angstrom_from_the_middle": places,
        f"within_{NEAR:g}_angstrom_of_a_surface": [
            float(at_surface[one].mean()) if one.any() else None for one in own
        ],
        "correlation_with_place": float(np.corrcoef(surface.ravel(), from_middle.ravel())[0, 1]),
        "thickness_angstrom": thickness,
        "diffusion_angstrom2_per_ps": diffusion,
        "time_of_diffusion_across_ps": thickness**2 / (4.0 * np.pi**2 * diffusion),
    }


def diffusion_along(run: kgdyn.Trajectory, oxygen: NDArray[np.float64], lagtime: int) -> float:
    """In the plane of the film: slope of the squared displacements, from one lag time to two."""
    widths = run.cells[0].diagonal()[:2]
    steps = np.diff(oxygen[..., :2], axis=0)
    paths = np.cumsum(steps - widths * np.rint(steps / widths), axis=0)

    def squares(n_frames: int) -> float:
        return float(((paths[n_frames:] - paths[:-n_frames]) ** 2).sum(axis=2).mean())

    slope = (squares(2 * lagtime) - squares(lagtime)) / (lagtime * run.frame_interval)
    return slope / 4.0


def draw(
    chi: NDArray[np.float32],
    frame_interval: float,
    profile: StateProfile,
    kinetics: KoopmanValidation,
    stem: Path,
) -> None:
    """Where the states are, thirty molecules over time, populations, timescales, CK test."""
    figure = plt.figure(figsize=(13, 7.0), layout="constrained")
    upper, lower = figure.subfigures(2, 1)
    density, sequence = upper.subfigures(1, 2, width_ratios=[1.0, 1.2])
    shares, times, steps = lower.subfigures(1, 3, width_ratios=[0.7, 1.0, 1.4])
    plot_state_profile(profile, density.subplots(), kind="density")
    plot_state_sequence(chi, frame_interval, sequence.subplots(), targets=range(30))
    plot_populations(kinetics.model, shares.subplots())
    plot_implied_timescales(kinetics.timescales, times.subplots())
    n = chi.shape[2]
    plot_ck_test(kinetics.ck, steps.subplots(n, n, sharex=True, sharey=True))
    save_figures(stem, figure, ["png", "pdf"], dpi=100)


if __name__ == "__main__":
    main()
