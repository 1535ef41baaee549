"""Make the pictures of docs/plots.md: make_plots.py POLYMER SILICON LITHIUM MODEL.

POLYMER is lithium in a coarse-grained polymer electrolyte. Its states are contact labels: no
anion near, one, or more; charges are those of the beads. SILICON is solid beside liquid. Its
states are labels too: by the correlation of q3 with the neighbours. LITHIUM is Li in fcc sulfur,
and MODEL the model.keras of `kgdyn demo`. The first three are npz files as gdynet writes them.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from kgdyn import load_model, open_trajectory, plots
from kgdyn.explain import masking_importance, neighbor_attention
from kgdyn.koopman import (
    ck_test,
    estimate_koopman_model,
    implied_timescales,
    one_hot,
    resampling_for,
)
from kgdyn.observables import (
    angular_distribution,
    charge_integral,
    compare_labels,
    coordination_numbers,
    region_kinetics,
    representative_frames,
    slab_regions,
    state_bond_order,
    state_profile,
    state_rdf,
    transition_conductivity,
    transition_diffusion,
    transition_msd,
)
from kgdyn.trajectories import trajectory_from_arrays

FOLDER = Path(__file__).with_name("plots")
GROUPS = {"EO": 8, "TFSI": 7}
LAG, EVERY = 20, 4
LARGEST = 38_000  # bytes


def figures(path: str) -> Iterator[tuple[str, Any]]:
    """The name of a picture and its axes."""
    held = np.load(path)
    frames = slice(None, None, EVERY)
    step = float(held["dt_ps"])
    species, chi = held["atom_types"], one_hot(held["state3"], 3)
    options = {"targets": held["target_index"]}
    run = trajectory_from_arrays(
        held["traj_coords"], held["lattices"], species, frame_interval=step, **options
    )
    sparse = trajectory_from_arrays(
        held["traj_coords"][frames], held["lattices"][frames], species,
        frame_interval=EVERY * step, **options,
    )  # fmt: skip
    few = chi[frames]
    near = {name: np.flatnonzero(species == number) for name, number in GROUPS.items()}

    rdf = state_rdf(sparse, few, selections=near, r_max=10.0, n_bins=100)
    yield "state_rdf", plots.plot_state_rdf(rdf)
    yield "running_coordination", plots.plot_running_coordination(rdf, r_max=6.0)
    counts = coordination_numbers(sparse, few, cutoffs={"EO": 3.4, "TFSI": 4.8}, selections=near)
    yield "coordination_numbers", plots.plot_coordination_numbers(counts)
    yield "coordination_distribution", plots.plot_coordination_distribution(counts)
    charge = charge_integral(sparse, few, charges=held["charges"], r_max=12.0, n_bins=120)
    yield "charge_integral", plots.plot_charge_integral(charge, radius=4.8)
    angles = angular_distribution(
        sparse, few, cutoffs={"EO": 3.4, "TFSI": 4.8}, selections=near, n_bins=45
    )
    yield "angular_distribution", plots.plot_angular_distribution(angles)
    lagtimes = [1, 2, 4, 7, 12, 20, 35, 60, 100, 170]
    msd = transition_msd(run, chi, lagtimes=lagtimes, remove_drift=True)
    yield "transition_msd", plots.plot_transition_msd(msd)
    yield "state_msd", plots.plot_state_msd(msd)
    diffusion = transition_diffusion(run, chi, lagtime=LAG, remove_drift=True)
    yield "transition_diffusion", plots.plot_transition_diffusion(diffusion)
    current = transition_conductivity(
        diffusion, charges=charge.at(4.8)[0], temperature=340.0, other_conductivity=0.05
    )
    yield "transition_conductivity", plots.plot_transition_conductivity(current)
    yield "conductivity", plots.plot_transition_conductivity(current, quantity="conductivity")
    yield "transference", plots.plot_transition_conductivity(current, quantity="transference")

    blocks = resampling_for(chi, LAG)
    model = estimate_koopman_model(chi, lagtime=LAG, frame_interval=step, resampling=blocks)
    yield "populations", plots.plot_populations(model)
    yield "koopman_matrix", plots.plot_koopman_matrix(model)
    yield "eigenvectors", plots.plot_eigenvectors(model)
    yield "residence_times", plots.plot_residence_times(model)
    times = implied_timescales(
        chi, lagtimes=[5, 10, 20, 40, 80], frame_interval=step, resampling=blocks
    )
    yield "implied_timescales", plots.plot_implied_timescales(times)
    test = ck_test(chi, lagtime=LAG, n_steps=4, frame_interval=step, resampling=blocks)
    yield "ck_test", plots.plot_ck_test(test)
    yield "state_sequence", plots.plot_state_sequence(chi[:500], step, targets=range(8))
    oxygens = np.clip(held["n_EO"].astype(int) - 4, 0, 2)
    agreement = compare_labels(chi, oxygens, names=["4 EO or less", "5 EO", "6 EO or more"])
    yield "label_agreement", plots.plot_label_agreement(agreement)
    found = representative_frames(sparse, few, radius=6.5, molecules=held["mol"], max_atoms=60)
    yield "representatives", plots.plot_representatives(found, reach=4.8)


def interface_figures(path: str) -> Iterator[tuple[str, Any]]:
    """The same, of the interface."""
    held = np.load(path)
    targets = held["target_index"]
    run = trajectory_from_arrays(
        held["traj_coords"], held["lattices"], held["atom_types"], targets=targets,
        frame_interval=float(held["dt_ps"]),
    )  # fmt: skip
    chi = one_hot(np.where(held["solid_q3"][:, targets], 0, 1), 2)
    profile = state_profile(run, chi, n_slabs=30)
    yield "state_profile", plots.plot_state_profile(profile)
    yield "state_profile_stacked", plots.plot_state_profile(profile, kind="stacked")
    yield "state_profile_density", plots.plot_state_profile(profile, kind="density")
    yield "states_in_cell", plots.plot_states_in_cell(run, chi, axis=1, most_points=2000)
    yield "states_in_3d", plots.plot_states_in_cell(run, chi, axis=None, most_points=700)
    order = state_bond_order(run[:200], chi[:200], degrees=(3, 6), n_neighbors=4)
    yield "bond_order", plots.plot_bond_order(order)
    regions = slab_regions(run, 2, [7.0, 15.0, 26.0])
    names = ["solid", "between", "liquid"]
    parts = region_kinetics(run, chi, regions, lagtime=20, names=names)
    yield "region_kinetics", plots.plot_region_kinetics(parts)


def explained_figures(path: str, model: str) -> Iterator[tuple[str, Any]]:
    """What a trained model looks at."""
    run = open_trajectory(path)[:20_000]
    learned = load_model(model)
    attention = neighbor_attention(learned, run, stride=10, r_max=7.0, n_bins=50)
    yield "attention", plots.plot_attention(attention, elements=["S"])
    shells = [0.0, 3.0, 3.5, 4.0, 4.75, 5.5]
    masking = masking_importance(learned, run, shells=shells, stride=10)
    yield "masking_importance", plots.plot_masking_importance(masking)


def main(
    polymer: str, silicon: str, lithium: str, model: str, folder: Path = FOLDER, dpi: float = 100.0
) -> None:
    warnings.simplefilter("ignore", RuntimeWarning)
    with plots.figure_style():
        every = chain(
            figures(polymer), interface_figures(silicon), explained_figures(lithium, model)
        )
        for name, axes in every:
            (file,) = plots.save_figures(folder / name, axes, ["png"], dpi=dpi)
            plt.close("all")
            with Image.open(file) as picture:
                plain = picture.convert("RGB")
            plain.save(file, optimize=True)
            if file.stat().st_size > LARGEST:
                # A third of the size: few colours are used. Small spots may lose theirs.
                plain.quantize(255, dither=Image.Dither.NONE).save(file, optimize=True)
            print(f"{file.stat().st_size / 1000:6.1f} kB  {name}")


if __name__ == "__main__":
    main(*sys.argv[1:5])
