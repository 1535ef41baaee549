"""Fig. 2 of the paper: a GDyNet and a plain VAMPnet on lithium in fcc sulfur, beside the truth.

Run it with ``python examples/paper_figure_2.py FOLDER [--small]``. It simulates 200 ns with LAMMPS
(four minutes on a free core), trains on the first half, and tests on the second. FOLDER keeps the
simulation and the models, which are used again:

- a GDyNet with two states, and a plain VAMPnet with two states on the same coordinates: their
  timescales over lag times, their Chapman-Kolmogorov tests, and where their states are in the cell;
- the matrix between the twelve sites of the cell, from the GDyNet's two states, beside the
  transitions counted on the true sites, and beside a plain VAMPnet with eight states.

It ends in ``figure.png`` and a table of the paper's numbers and these, ``table.csv`` and
``table.json``. ``--small`` takes a minute and shows only that all of it works.

Xie, France-Lanord, Wang, Shao-Horn and Grossman, Nat. Commun. 10, 2667 (2019).
"""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import matplotlib.pyplot as plt
import numpy as np
from kgdyn.integrations.lammps import simulate_li_fcc_s
from matplotlib.colors import LogNorm
from matplotlib.ticker import NullLocator

import kgdyn
from kgdyn.koopman import (
    Interval,
    Resampling,
    as_segments,
    ck_test,
    estimate_koopman_model,
    estimate_site_model,
    implied_timescales,
    one_hot,
    resampling_for,
    site_adjacency,
)
from kgdyn.models import VAMPNet, load_model
from kgdyn.plots import plot_ck_test, plot_implied_timescales, plot_states_in_cell
from kgdyn.toys import LiInFccSulfur, site_labels, state_labels
from kgdyn.training import coordinates_dataset

LAGTIME = 100  # frames of 0.1 ps
STEP = 5  # each fifth frame is tested
LAG = LAGTIME // STEP
LAGS = [1, 2, 4, 10, 20, 40, 80]  # of those
EDGE = 6.5  # angstrom
OCTAHEDRAL = np.array([[0.5, 0.5, 0.5], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]])
TETRAHEDRAL = np.stack(np.meshgrid(*[[0.25, 0.75]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--small", action="store_true", help="a hot run of 6 ns, few epochs")
    arguments = parser.parse_args()
    folder, small = arguments.folder, arguments.small

    # In the short run it is hot, so that lithium comes to all sites.
    run = simulated(folder, *((6.0, 150.0) if small else (200.0, 64.0)))
    # The first half trains and validates, in alternating blocks; the second half tests.
    first, (test,) = kgdyn.split_by_time(run, [0.5, 0.5])
    train, validation = kgdyn.split_by_time(first, [0.8, 0.2], n_blocks=10)
    test = replace(
        test,
        positions=test.positions[::STEP],
        cells=test.cells[::STEP],
        segment_offsets=None,
        frame_interval=STEP * test.frame_interval,
    )

    models = {
        "GDyNet": lambda: train_gdynet(run, train, validation, small),
        "VAMPNet": lambda: train_vampnet(2, train, validation, small),
        "eight": lambda: train_vampnet(8, train, validation, small),
    }
    chi = {}
    for name, make in models.items():
        path = folder / f"{name}.keras"
        if not path.is_file():
            make().save(path)
        kind = kgdyn.GDyNet if name == "GDyNet" else VAMPNet
        chi[name] = kgdyn.assign_states(load_model(path, kind), test)

    # The same blocks of time, long beside the slowest moves, make all intervals.
    sites = site_labels(test.positions[:, 0])
    chi["true"] = one_hot(state_labels(test.positions[:, 0]), 2)
    chi["sites"] = one_hot(sites, 12)
    errors = {
        "frame_interval": test.frame_interval,
        "resampling": resampling_for(chi["sites"], LAG),
    }
    at_lag = {
        name: estimate_koopman_model(values, lagtime=LAG, **errors) for name, values in chi.items()
    }
    two = ("GDyNet", "VAMPNet", "true")
    lagtimes = [lag for lag in LAGS if lag <= len(sites) // 20]
    over_lags = {name: implied_timescales(chi[name], lagtimes=lagtimes, **errors) for name in two}
    ck = {name: ck_test(chi[name], lagtime=LAG, n_steps=5, **errors) for name in two}

    # Twelve sites from two states: sites touch where they are nearer than 0.45 of the cell.
    places = EDGE * np.concatenate([OCTAHEDRAL, TETRAHEDRAL])
    adjacency = site_adjacency(places, EDGE * np.eye(3), cutoff=0.45 * EDGE)
    site_states = np.repeat([0, 1], [4, 8])  # the more populated state comes first
    local = {
        name: estimate_site_model(chi[name], site_states, adjacency, lagtime=LAG, **errors)
        for name in ("GDyNet", "true")
    }
    octahedral = mean_of_three_slowest(chi["sites"], **errors)

    table = make_table(chi, at_lag, ck, local, octahedral)
    write_table(table, folder)
    figure = draw(test, chi, over_lags, ck, local, at_lag, octahedral)
    figure.savefig(folder / "figure.png", dpi=85)
    figure.savefig(folder / "figure.pdf")


def simulated(folder: Path, duration: float, temperature: float) -> kgdyn.Trajectory:
    """The set of parameters whose timescales are the paper's, which does not print its own."""
    system = LiInFccSulfur(
        amplitude=0.0020, damping=0.008, temperature=temperature, duration=duration, seed=1
    )
    topology, coordinates = simulate_li_fcc_s(system, folder)
    return kgdyn.open_trajectory(
        coordinates,
        topology=topology,
        elements=["Li", "S"],
        targets="type 1",
        frame_interval=system.frame_interval,
    )


def fit(model: Any, pairs: Any, held_out: Any, epochs: int) -> None:
    """Train, keep the weights of the best epoch, and fix the states on them."""
    model.compile(
        keras.optimizers.Adam(2e-3),
        loss=kgdyn.VAMP2Loss(),
        metrics=[kgdyn.VAMP2Score(model.n_states)],
    )
    best = keras.callbacks.EarlyStopping(
        "val_vamp2", mode="max", patience=epochs, restore_best_weights=True
    )
    model.fit(pairs, validation_data=held_out, epochs=epochs, callbacks=[best], verbose=2)


def train_gdynet(run: kgdyn.Trajectory, train: Any, validation: Any, small: bool) -> kgdyn.GDyNet:
    keras.utils.set_random_seed(0)
    model = kgdyn.GDyNet(
        n_states=2,
        elements=run.elements,
        n_neighbors=12,
        lagtime=LAGTIME,
        frame_interval=run.frame_interval,
        targets="Li",
    )
    lag = {"lagtime": LAGTIME, "n_neighbors": 12, "stride": 5}
    pairs = kgdyn.pairs_dataset(train, **lag)
    held_out = kgdyn.pairs_dataset(validation, shuffle=False, **lag)
    fit(model, pairs, held_out, 2 if small else 8)
    return model


def train_vampnet(n_states: int, train: Any, validation: Any, small: bool) -> VAMPNet:
    """From the wrapped Cartesian coordinates of lithium, as they are."""
    keras.utils.set_random_seed(0)
    model = VAMPNet(n_states, lagtime=LAGTIME, frame_interval=0.1, targets="Li", n_features=64)
    lag = {"lagtime": LAGTIME, "stride": 4}
    held_out = coordinates_dataset(validation, shuffle=False, **lag)
    fit(model, coordinates_dataset(train, **lag), held_out, 2 if small else 20)
    return model


def mean_of_three_slowest(
    chi: Any, resampling: Resampling, frame_interval: float
) -> tuple[float, Interval]:
    """The time of the mean of the three largest eigenvalues, which symmetry makes equal.

    Counted, they differ by chance, and the slowest alone is the largest of three: too long.
    """

    def time_of(blocks: Any) -> Any:
        matrices = np.linalg.pinv(blocks.cov_00) @ blocks.cov_0t
        eigenvalues = np.sort(np.linalg.eigvals(matrices).real, axis=-1)
        return -LAG * frame_interval / np.log(eigenvalues[:, -4:-1].mean(axis=1))

    blocks = resampling.covariances(as_segments(chi), LAG)
    return float(time_of(blocks.combined())[0]), resampling.interval(blocks, time_of, "log")


def make_table(
    chi: Any, at_lag: Any, ck: Any, local: Any, octahedral: tuple[float, Interval]
) -> list[dict[str, Any]]:
    """Rows of: what it is, the paper's number, and ours with its 95% interval."""

    def row(name: str, paper: float | None, value: float, bounds: Any = None) -> dict[str, Any]:
        lower, upper = (None, None) if bounds is None else (
            float(np.ravel(bounds.lower)[0]), float(np.ravel(bounds.upper)[0]),
        )  # fmt: skip
        return {"quantity": name, "paper": paper, "ours": float(value),
                "lower": lower, "upper": upper}  # fmt: skip

    def slowest(name: str, model: Any, paper: float | None) -> dict[str, Any]:
        return row(name, paper, model.timescales_ps(1)[0], model.timescales_interval)

    def tetrahedral(name: str) -> dict[str, Any]:
        model = at_lag[name]
        bounds = model.populations_interval
        share = Interval(100 * bounds.lower[1:], 100 * bounds.upper[1:])
        label = "true sites" if name == "true" else name
        return row(f"share of tetrahedral, {label} (%)", None, 100 * model.populations[1], share)

    truth = chi["true"].reshape(-1, 2).argmax(axis=1)

    def right(name: str) -> float:
        same = chi[name][:, 0].argmax(axis=1) == truth
        return float(100.0 * np.mean([same[truth == state].mean() for state in (0, 1)]))

    rows = [
        slowest("two states, true sites (ps)", at_lag["true"], None),
        slowest("two states, GDyNet (ps)", at_lag["GDyNet"], 42.3),
        slowest("two states, VAMPNet (ps)", at_lag["VAMPNet"], 236.0),
        row(
            "VAMPNet / GDyNet", 236.0 / 42.3,
            at_lag["VAMPNet"].timescales_ps(1)[0] / at_lag["GDyNet"].timescales_ps(1)[0],
        ),
        tetrahedral("true"), tetrahedral("GDyNet"),
        row("frames in the right state, GDyNet (%)", None, right("GDyNet")),
        row("frames in the right state, VAMPNet (%)", None, right("VAMPNet")),
    ]  # fmt: skip
    for name in ("true", "GDyNet", "VAMPNet"):
        label = "true sites" if name == "true" else name
        # At one lag time both are the same number.
        share = 100.0 * ck[name].agrees[1:].mean()
        rows.append(row(f"CK, elements that agree at n = 2 to 5, {label} (%)", None, share))
        rows.append(row(f"CK, largest difference, {label}", None, ck[name].largest_difference))
    return [
        *rows,
        slowest("twelve sites, from the GDyNet's two states (ps)", local["GDyNet"], 531.0),
        slowest("twelve sites, from the true two states (ps)", local["true"], None),
        row("twelve sites counted, mean of the three slowest (ps)", None, *octahedral),
        slowest("twelve sites counted, slowest (ps)", at_lag["sites"], None),
        slowest("eight states, VAMPNet (ps)", at_lag["eight"], 528.0),
    ]


def write_table(table: list[dict[str, Any]], folder: Path) -> None:
    with open(folder / "table.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    known = [
        {name: None if value != value else value for name, value in line.items()} for line in table
    ]
    (folder / "table.json").write_text(json.dumps(known, indent=1, allow_nan=False) + "\n")
    print(f"{'':55}{'paper':>9}{'here':>9}   95% interval")
    for line in table:
        paper = "" if line["paper"] is None else f"{line['paper']:.4g}"
        bounds = "" if line["lower"] is None else f"{line['lower']:.4g} to {line['upper']:.4g}"
        print(f"{line['quantity']:55}{paper:>9}{line['ours']:9.4g}   {bounds}")


def draw(
    test: kgdyn.Trajectory,
    chi: Any,
    over_lags: Any,
    ck: Any,
    local: Any,
    at_lag: Any,
    octahedral: tuple[float, Interval],
) -> Any:
    """Above the two networks in a row each, below the twelve sites."""
    figure = plt.figure(figsize=(11.5, 10.5), layout="constrained")
    rows = figure.subfigures(3, 1, height_ratios=[1.0, 1.0, 0.95])
    for part, name, letters in zip(rows, ("GDyNet", "VAMPNet"), ("abc", "def"), strict=False):
        cell, times, steps = part.subfigures(1, 3, width_ratios=[0.95, 1.0, 1.2])
        ax = cell.subplots(subplot_kw={"projection": "3d"})
        plot_states_in_cell(test, chi[name], ax, axis=None, background=["S"], most_points=2500)
        cell.suptitle(f"{letters[0]}  {name}: most probable state", x=0.02, ha="left")
        ax = times.subplots()
        plot_implied_timescales(over_lags[name], ax, reference=over_lags["true"])
        ax.set(ylim=(15, 900), yticks=[20, 50, 100, 200, 500], xticks=[0.5, 1, 2, 5, 10, 20, 40])
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter("{x:g}")
            axis.set_minor_locator(NullLocator())
        times.suptitle(f"{letters[1]}  {name}: timescale", x=0.02, ha="left")
        panels = plot_ck_test(ck[name], steps.subplots(2, 2, sharex=True))
        steps.legends[0].remove()  # the title says it
        for ax in panels.flat:
            # Each on a scale of its own: moves between states are rare.
            ax.set(ylim=(None, None), xticks=[10, 20, 30, 40, 50])
            ax.relim()
            ax.autoscale(axis="y")
        title = f"{letters[2]}  {name}: K(τ)$^n$ (lines) and K(nτ) (points)"
        steps.suptitle(title, x=0.02, ha="left")
    matrices, times = rows[2].subfigures(1, 2, width_ratios=[1.9, 1.0])
    both = {
        "g  sites, from the GDyNet's states": local["GDyNet"].transition_matrix,
        "h  sites, counted": at_lag["sites"].koopman_matrix,
    }
    panels = matrices.subplots(1, 2, sharey=True)
    for ax, (title, matrix) in zip(panels, both.items(), strict=True):
        mesh = ax.pcolormesh(np.clip(matrix, 1e-4, 1.0), cmap="viridis", norm=LogNorm(1e-3, 1.0))
        ax.set(aspect="equal", xlabel="to site", xticks=np.arange(12) + 0.5, ylim=(12, 0),
               yticks=np.arange(12) + 0.5)  # fmt: skip
        names = [f"{'O' if k < 4 else 'T'}{k + 1 if k < 4 else k - 3}" for k in range(12)]
        ax.set_xticklabels(names, fontsize="x-small")
        ax.set_yticklabels(names, fontsize="x-small")
        ax.set_title(title, loc="left", fontsize="medium")
    panels[0].set_ylabel("from site")
    matrices.colorbar(mesh, ax=panels, shrink=0.8, label="probability after 10 ps")
    draw_slowest(times.subplots(), local, at_lag, octahedral)
    return figure


def draw_slowest(ax: Any, local: Any, at_lag: Any, octahedral: tuple[float, Interval]) -> None:
    """The slowest time between sites, by all ways, beside the paper's."""
    lines = [
        ("from GDyNet's\ntwo states", local["GDyNet"], 531.0),
        ("from the true\ntwo states", local["true"], None),
        ("counted,\nslowest", at_lag["sites"], None),
        ("counted, mean\nof three", octahedral, None),
        ("VAMPNet,\neight states", at_lag["eight"], 528.0),
    ]
    for place, (_, found, paper) in enumerate(lines):
        if isinstance(found, tuple):
            value, bounds = found
        else:
            value, bounds = found.timescales_ps(1)[0], found.timescales_interval
        low, high = float(np.ravel(bounds.lower)[0]), float(np.ravel(bounds.upper)[0])
        ax.plot([low, high], [place, place], "-", color="#0072B2", lw=1.5)
        ax.plot([value], [place], "o", color="#0072B2", label="here, 95%" if place == 0 else None)
        if paper is not None:
            label = "paper" if place == 0 else None
            ax.plot([paper], [place], "x", color="#D55E00", ms=8, mew=2, label=label)
    ax.set(xlabel="slowest timescale (ps)", yticks=range(len(lines)), xlim=(0, None))
    ax.set_yticklabels([name for name, _, _ in lines])
    ax.set_ylim(len(lines) - 0.5, -0.5)
    ax.set_title("i  moves between sites", loc="left", fontsize="medium")
    ax.legend(frameon=False, loc="upper left")


if __name__ == "__main__":
    main()
