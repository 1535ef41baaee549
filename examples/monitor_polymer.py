"""Watch the solvation states of lithium in a polymer electrolyte while LAMMPS runs.

Run it with ``python examples/monitor_polymer.py FOLDER [--model FILE] [--small]``. Without a model
it simulates a run of the coarse-grained PEO/LiTFSI melt and trains one on it, as in
docs/examples/peo_litfsi.md. Then another melt is prepared, the monitor attached to it, and LAMMPS
runs until the slowest timescale is known well enough (``--until``), or for ``--longest`` ns. With
``--long-lived`` the melt is that of ``examples/polymer_electrolyte.py``, whose contacts live ten
times as long: give the model that it leaves in FOLDER/training/model.keras. It leaves

- ``states.h5``, the states of each frame, and ``states.lammpstrj``, LAMMPS' own dump with the state
  of each atom in the column ``i_kgdyn_state`` (from 0; -1 for what is no Li), to be coloured in
  OVITO or VMD;
- a figure: who is in which state, how the timescale became known, populations;
- ``live.json``: the numbers, and the largest difference of the live states from those that
  ``kgdyn.assign_states`` finds in the dump of the same run.

``--small`` takes a minute and shows only that all of it works.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from kgdyn.integrations.lammps import StateMonitor, new_lammps, simulate
from numpy.typing import NDArray

import kgdyn
from kgdyn.koopman import RunningKoopman
from kgdyn.live import CallbackSink, LiveFrame, LiveStates, RecordedStates, StatesFile
from kgdyn.models import GDyNet
from kgdyn.plots import plot_populations, plot_state_sequence, save_figures
from kgdyn.toys import CoarsePolymerElectrolyte
from kgdyn.training import TrainingSettings

# Of the model that is trained here.
N_STATES = 3
N_NEIGHBORS = 40
FRAME_INTERVAL = 4.0  # ps
LAG = 20.0  # ps
NS_TO_TRAIN = 8.0
READ_EVERY = 10  # frames between two readings of the timescale
SHOWN = 10  # Li in the figure
# LAMMPS writes these, and the state, a row an atom.
COLUMNS = "id type x y z ix iy iz i_kgdyn_state"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path, help="a model of Li in this melt; else it is trained")
    parser.add_argument("--long-lived", action="store_true", help="the other melt; needs --model")
    parser.add_argument("--until", default="timescale 1 < 25%", help="what ends the run")
    parser.add_argument("--longest", type=float, help="ns, if that is not met; 20 if not given")
    parser.add_argument("--seed", type=int, default=11, help="of the melt that is watched")
    parser.add_argument("--small", action="store_true", help="a small melt, some ps, 1 epoch")
    given = parser.parse_args()
    folder, small = given.folder, given.small
    if given.long_lived and given.model is None:
        parser.error("--long-lived needs the --model of examples/polymer_electrolyte.py")
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "states.h5").exists():
        parser.error(f"{folder} holds states of an earlier run: take another folder")
    model = kgdyn.load_model(given.model or trained_model(folder, small))

    # Another seed: a melt that the model has not seen, at the model's own frame interval.
    interval = model.frame_interval or FRAME_INTERVAL
    longest = given.longest or (0.08 if small else 20.0)
    options = {"duration": longest, "frame_interval": interval, "seed": given.seed}
    system = (
        CoarsePolymerElectrolyte.long_lived(**options)
        if given.long_lived
        else melt(small, **options)
    )
    curve: list[tuple[float, float, float, float]] = []

    def read_timescale(states: LiveStates, frame: LiveFrame, statistics: RunningKoopman) -> None:
        """What is known of the slowest process by now; NaN as long as there is nothing."""
        now = statistics.implied_timescales()
        bounds = now.interval
        slowest = (
            float(now.timescales[0, 0]),
            float(bounds.lower[0, 0]),
            float(bounds.upper[0, 0]),
        )
        curve.append((system.frame_interval * (statistics.n_frames - 1), *slowest))

    lmp = prepared(system)
    monitor = StateMonitor(
        model,
        "element Li",
        elements=system.elements,  # O for the bead of EO, N for that of TFSI:
        check_masses=False,  # their masses are those of the beads
        every=system.steps_per_frame,
        lagtimes=[model.lagtime * n for n in (1, 2, 3)],
        until=given.until,
        check_every=READ_EVERY,
        sinks=[StatesFile(folder / "states.h5"), CallbackSink(read_timescale, READ_EVERY)],
        write_back="wait",  # so that the dump shows the frame's own states, not the last one's
    )
    dump = folder / "states.lammpstrj"
    started = time.perf_counter()
    with monitor.attach(lmp):
        lmp.command(f'dump states all custom {monitor.every} "{dump}" {COLUMNS}')
        lmp.command("dump_modify states sort id units yes time yes format float %.9f")
        lmp.command(f"run {system.production().n_steps}")
    seconds = time.perf_counter() - started
    lmp.command("undump states")
    lmp.close()
    print("ended by:", monitor.stop_reason or f"its length, {longest:g} ns")

    live = kgdyn.read_states(folder / "states.h5")
    found = {
        **numbers(monitor.statistics, model.lagtime, given.until),
        "stop_reason": monitor.stop_reason,
        "n_frames": live.n_frames,
        "duration_ns": (live.n_frames - 1) * interval / 1000.0,
        "wall_seconds": seconds,
        "handover_seconds": monitor.handover_seconds,
        "latency_ms": (1000.0 * monitor.analysis.latency(0.5, 0.95)).tolist(),
        "share_of_novel": None if live.novelty is None else float((live.novelty > 1.0).mean()),
        **compared(live, model, dump, system),
    }
    (folder / "live.json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))
    draw(live, monitor.statistics, np.array(curve), folder / "monitor_polymer")


def melt(small: bool, **options: Any) -> CoarsePolymerElectrolyte:
    """The recipe of 25 Li, or for ``small`` one of 10 that takes seconds."""
    if not small:
        return CoarsePolymerElectrolyte(**options)
    size = {"n_chains": 4, "n_salt": 10, "box_length": 25.0, "push_off_time": 4.0}
    short = dict.fromkeys(("annealing_time", "cooling_time", "equilibration_time"), 2.0)
    return CoarsePolymerElectrolyte(**size, **short, **options)


def prepared(system: CoarsePolymerElectrolyte) -> Any:
    """A LAMMPS with the melt in equilibrium, as any script of one's own would make it."""
    lmp = new_lammps()
    lmp.commands_string(system.input_script())
    for stage in system.preparation():
        lmp.commands_string(stage.commands)
        lmp.command(f"run {stage.n_steps}")
    lmp.command("reset_timestep 0 time 0.0")
    lmp.commands_string(system.production().commands)
    return lmp


def trained_model(folder: Path, small: bool) -> Path:
    """A model of a run of its own; what FOLDER holds of it already is not done again."""
    interval = 0.4 if small else FRAME_INTERVAL
    duration = 0.08 if small else NS_TO_TRAIN
    system = melt(small, duration=duration, frame_interval=interval, seed=1)
    _, dump = simulate(system, folder)
    run = kgdyn.open_trajectory(dump, elements=system.elements, targets="element Li")
    train, validation = kgdyn.split_by_time(run, [0.75, 0.25])
    lag = 4.0 if small else LAG
    kgdyn.train_gdynet(
        train,
        validation,
        n_states=2 if small else N_STATES,
        n_neighbors=20 if small else N_NEIGHBORS,
        lagtime=round(lag / interval),
        settings=TrainingSettings(epochs=1 if small else 10),
        folder=folder / "training",
    )
    return folder / "training" / "model.keras"


def numbers(statistics: RunningKoopman, lagtime: int, until: str) -> dict[str, Any]:
    """Populations and timescales with their 95% intervals, as the monitor knew them at its end."""
    populations, times = statistics.populations(), statistics.implied_timescales()
    ck = statistics.ck_test(lagtime)
    # None where there is no number: JSON knows no NaN.
    return {
        "until": kgdyn.Convergence.parse(until).describe(statistics),
        "lagtime_ps": lagtime * float(statistics.frame_interval or 1.0),
        "populations": plain(statistics.mean_probabilities),
        "populations_interval": [plain(populations.lower), plain(populations.upper)],
        "timescales_ps": plain(times.timescales[0]),
        "timescales_interval_ps": [plain(times.interval.lower[0]), plain(times.interval.upper[0])],
        "ck_inside": [int(ck.inside.sum()), int(ck.inside.size)],
        "transitions_per_ns": statistics.transitions_per_ns,
    }


def plain(values: NDArray[np.float64]) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def compared(
    live: RecordedStates, model: GDyNet, dump: Path, system: CoarsePolymerElectrolyte
) -> dict[str, Any]:
    """The states as they were reported, beside those of the finished dump.

    ``open_trajectory`` keeps positions in single precision. Where the last neighbour that counts
    and the first that does not are as far as each other to some 1e-5 angstrom, they may then change
    places, and probabilities jump; so the dump is read in double precision as well.
    """
    steps, positions, colours = rows_of_dump(dump)
    run = kgdyn.open_trajectory(dump, elements=system.elements, targets="element Li")
    # A run that is ended may have its last frame in one of them only.
    both, ours, theirs = np.intersect1d(live.steps, steps, return_indices=True)
    reported = live.state_probabilities[ours]
    exact, single = (
        np.abs(reported - kgdyn.assign_states(model, read)[theirs]).max(axis=2)
        for read in (replace(run, positions=positions), run)
    )
    of_li = colours[theirs][:, live.targets.atoms]
    return {
        "frames_in_both": len(both),
        "largest_difference": float(exact.max()),
        "largest_difference_in_single_precision": float(single.max()),
        "changed_by_single_precision": float((single > 1e-3).mean()),
        "dump_shows_the_state": float((of_li == reported.argmax(axis=2)).mean()),
    }


def rows_of_dump(path: Path) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """(n_frames,) steps, (n_frames, n_atoms, 3) positions and (n_frames, n_atoms) states."""
    steps, rows = [], []
    with open(path, encoding="ascii") as lines:
        for line in lines:
            if line.startswith("ITEM: TIMESTEP"):
                steps.append(int(next(lines)))
            elif line.startswith("ITEM: NUMBER OF ATOMS"):
                n_atoms = int(next(lines))
            elif line.startswith("ITEM: ATOMS"):
                rows.append([next(lines).split() for _ in range(n_atoms)])
    table = np.array(rows, dtype=np.float64)  # sorted by id, columns as COLUMNS
    return np.array(steps), table[..., 2:5], table[..., -1].astype(np.int64)


def draw(
    live: RecordedStates, statistics: RunningKoopman, curve: NDArray[np.float64], stem: Path
) -> None:
    """Some Li over time; what was known of the timescale at each moment; populations."""
    figure = plt.figure(figsize=(10.5, 5.2), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=[1.1, 1.0])
    plot_state_sequence(
        live.state_probabilities,
        live.frame_interval or 1.0,
        upper.subplots(),
        targets=range(min(SHOWN, live.targets.n_targets)),
    )
    known, shares = lower.subplots(1, 2, width_ratios=[2.2, 1.0])
    times, values, low, high = curve.T
    known.plot(times, values, color="black", lw=1.4)
    known.fill_between(times, low, high, color="black", alpha=0.2, linewidth=0)
    known.set(xlabel="time of the simulation (ps)", ylabel="slowest timescale so far (ps)")
    known.set_xlim(0.0, times[-1])
    bounded = high[np.isfinite(high)]
    if bounded.size:
        # The first intervals know nothing, and reach beyond any axis.
        known.set_ylim(0.0, 1.6 * float(np.median(bounded)))
    plot_populations(statistics.koopman_model(), shares)
    save_figures(stem, figure, ["png", "pdf"], dpi=100)


if __name__ == "__main__":
    main()
