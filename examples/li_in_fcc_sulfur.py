"""Find the two sites of a lithium ion in a sulfur lattice, in Python: what `kgdyn demo` does.

Run it with ``python examples/li_in_fcc_sulfur.py FOLDER [--small]``. It simulates with LAMMPS
(unless FOLDER holds the simulation already), trains with ``model.fit``, and draws one figure of
four: training, timescales, populations and the Chapman-Kolmogorov test. ``--small`` takes a
minute and shows only that all of it works.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
import matplotlib.pyplot as plt
from kgdyn.integrations.lammps import simulate_li_fcc_s

import kgdyn
from kgdyn.koopman import resampling_for
from kgdyn.plots import (
    plot_ck_test,
    plot_implied_timescales,
    plot_populations,
    plot_training_curve,
)
from kgdyn.toys import LiInFccSulfur, state_labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--small", action="store_true", help="a run of 2 ns, 2 epochs")
    arguments = parser.parse_args()
    system = LiInFccSulfur(duration=2.0 if arguments.small else 60.0, seed=1)

    topology, coordinates = simulate_li_fcc_s(system, arguments.folder)
    run = kgdyn.open_trajectory(
        coordinates,
        topology=topology,
        elements=["Li", "S"],
        targets="type 1",
        frame_interval=system.frame_interval,
    )

    # The first half trains and validates, in alternating blocks; the second half tests.
    first, test = kgdyn.split_by_time(run, [0.5, 0.5])
    train, validation = kgdyn.split_by_time(first, [0.8, 0.2], n_blocks=10)

    keras.utils.set_random_seed(0)
    lag = {"lagtime": 100, "n_neighbors": 12, "stride": 2 if arguments.small else 5}
    model = kgdyn.GDyNet(
        n_states=2,
        elements=run.elements,
        n_neighbors=12,
        lagtime=100,
        frame_interval=run.frame_interval,
        targets="Li",
    )
    model.compile(
        keras.optimizers.Adam(2e-3), loss=kgdyn.VAMP2Loss(), metrics=[kgdyn.VAMP2Score(2)]
    )
    history = model.fit(
        kgdyn.pairs_dataset(train, **lag),
        validation_data=kgdyn.pairs_dataset(validation, **lag),
        epochs=2 if arguments.small else 8,
        verbose=2,
    )
    model.save(arguments.folder / "model.keras")

    chi = kgdyn.assign_states(model, test[0])
    errors = {"frame_interval": run.frame_interval, "resampling": resampling_for(chi, 100)}
    koopman = kgdyn.estimate_koopman_model(chi, lagtime=100, **errors)
    timescales = kgdyn.implied_timescales(chi, lagtimes=[1, 2, 5, 10, 20, 50, 100, 200], **errors)
    ck = kgdyn.ck_test(chi, lagtime=100, n_steps=5, **errors)
    truth = state_labels(test[0].positions[:, 0])
    agreement = (chi[:, 0].argmax(axis=1) == truth).mean()
    print(koopman)
    print(f"{100 * agreement:.2f}% of the test frames stand where the model says")

    true_timescales = kgdyn.implied_timescales(
        kgdyn.koopman.one_hot(truth, 2),
        lagtimes=timescales.lagtimes.tolist(),
        frame_interval=run.frame_interval,
    )
    figure = plt.figure(figsize=(14, 3.4), layout="constrained")
    curve, times, shares, steps = figure.subfigures(1, 4, width_ratios=[1, 1.05, 0.8, 1.25])
    plot_training_curve(history.history, curve.subplots(), n_states=2)
    plot_implied_timescales(timescales, times.subplots(), reference=true_timescales)
    plot_populations(koopman, shares.subplots())
    plot_ck_test(ck, steps.subplots(2, 2, sharex=True))
    figure.savefig(arguments.folder / "figure.png", dpi=110)


if __name__ == "__main__":
    main()
