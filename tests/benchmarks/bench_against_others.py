"""From a trajectory to states: kgdyn beside the layout of 2019 and deeptime's VAMPNet.

    python tests/benchmarks/bench_against_others.py [--quick] [--rounds N] [--search WAY]

Two systems from ../shared/data: lithium in fcc sulfur, five atoms, and silicon, crystal beside
melt, seven of its cells in a row: 4,032 atoms. There each target of one cell is a target once; all
332 of them, or 48. All ways begin with one file of the layout of gdynet's traj.npz, train two
states (four of silicon) on the same pairs of frames, end with the states of all frames, and run in
turn, each in a process of its own:

- kgdyn as its README shows;
- the layout of 2019: neighbours of all atoms by scipy's tree, frame by frame, dense arrays (N, M),
  gather, tile, concatenate, one dense layer; with ``--batch-norm`` also with the normalization of
  the code of 2019, whose running means need many more steps than all else here before held-out
  frames can be scored;
- deeptime's VAMPNet, its lobe three dense layers with as many weights as the others, on scaled
  features of each target: its wrapped coordinates, or sorted distances of neighbours.

Time runs from the start of the process, imports and all. "To the score" is when the VAMP-2 score of
held-out frames has come 95% of the way from 1 to the best known: that of the true sites, or for
silicon, whose truth nobody knows, of a longer training of kgdyn (on one cell, whose targets are the
same). A way that gets no better for 10 epochs stops, and is not run again. "Of processor" are the
seconds that all cores together worked for it until then: they hardly depend on what else a machine
does. "An epoch" is its median step, times the steps. "Graphs, arrays" is done before training by
all but kgdyn; kgdyn's is what the graphs of all frames cost once, which are part of its time to the
score.

States are compared with the true sites, and with q3, the bond order that people use to tell crystal
from melt, in the same frame: the mean over both labels of the share that is right. Numbers are
medians; in brackets how many times that of kgdyn, in the median round, the least and the largest.

``--search WAY`` tries learning rates and batch sizes. Nothing here fails because it is slow.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))  # also where kgdyn is not installed

from ways_to_states import WAYS, run_way

DATA = Path(__file__).resolve().parents[3] / "shared/data"
SHARE = 0.95  # of the way from 1 to the best known score
EPOCHS = 12  # of the training that tells the best known score of silicon
FIVE = "five atoms"
SILICON = {1: "4,032 atoms, 332 targets", 7: "4,032 atoms, 48 targets"}

Result = dict[str, Any]


@dataclass(frozen=True)
class System:
    """A file, what to learn from it, and labels to compare with."""

    name: str
    task: dict[str, Any]
    labels: NDArray[np.int64]  # (n_frames, n_targets)
    best: float | None  # VAMP-2 of the frames that validate; None: a longer training tells


@dataclass(frozen=True)
class Entry:
    """A row of the table."""

    name: str
    way: str
    features: str = ""
    rate: float | None = None  # instead of that in RATES


GRAPHS = [
    Entry("kgdyn", "kgdyn"),
    Entry("layout of 2019", "layout of 2019"),
]
NORMALIZED = Entry("the same, batch norm", "layout of 2019, batch norm")  # with --batch-norm
DISTANCES = [
    Entry("deeptime, 20 distances", "deeptime", "distances"),
    Entry("deeptime, 100 distances", "deeptime", "distances 100"),
]
ENTRIES = {
    SILICON[1]: [*GRAPHS, *DISTANCES],
    SILICON[7]: [*GRAPHS, *DISTANCES],
    FIVE: [
        *GRAPHS,
        Entry("deeptime, coordinates", "deeptime", "coordinates", 5e-4),  # lost at 5e-3
        Entry("deeptime, 12 distances", "deeptime", "distances"),
    ],
}
# Learning rate and pairs of frames a batch. All ways reach, or miss, the score soonest with these
# among the few that were tried; --search tries more.
RATES = {FIVE: (5e-3, 1024), SILICON[1]: (1e-3, 2), SILICON[7]: (1e-3, 4)}


def lithium(folder: Path, quick: bool) -> System:
    """Each tenth frame of 60 ns, 1 ps; lag time 10 ps."""
    from kgdyn.koopman import estimate_koopman_model, one_hot

    part = slice(None, 200_001 if quick else None, 10)
    with np.load(DATA / "li_fcc_s/LiS_fcc_clean_s1.npz") as data:
        arrays = {
            "traj_coords": data["traj_coords"][part],
            "lattices": data["lattices"][part],
            "atom_types": data["atom_types"],
            "target_index": data["target_index"],
        }
        labels = data["state2"][part].astype(np.int64)[:, None]
    np.savez(folder / "lithium.npz", **arrays)
    lagtime, n_shown = 10, round(0.7 * len(labels))
    best = estimate_koopman_model(one_hot(labels[n_shown:], 2), lagtime=lagtime).vamp2_score
    task = {
        "file": str(folder / "lithium.npz"),
        "frame_interval": 1.0,
        "lagtime": lagtime,
        "n_neighbors": 12,
        "n_states": 2,
        "n_shown": n_shown,
    }
    return System(FIVE, task, labels, best)


def silicon(folder: Path, cells: int, each: int = 1) -> System:
    """Each fifth frame of 1.2 ns; lag time 50 ps. Cells in a row move alike; targets differ.

    ``each``-th of the 332 targets of one cell only.
    """
    step, file = 5, str(folder / f"silicon_{cells}_{each}.npz")
    with np.load(DATA / "si_interface/Si_interface_SW.npz") as data:
        positions, lattices = data["traj_coords"][::step], data["lattices"][::step]
        targets, species = data["target_index"][::each], data["atom_types"]
        solid = data["solid_q3"][::step][:, targets]
    n_atoms = positions.shape[1]
    shift = np.arange(cells)[:, None, None] * np.array([1.0, 0.0, 0.0])
    moved = positions[:, None] + shift * np.diagonal(lattices, axis1=1, axis2=2)[:, None, None]
    np.savez(
        file,
        traj_coords=moved.reshape(len(positions), -1, 3).astype(np.float32),
        lattices=lattices * np.array([cells, 1.0, 1.0], np.float32)[:, None],
        atom_types=np.tile(species, cells),
        target_index=targets + n_atoms * (np.arange(len(targets)) % cells),
    )
    task = {
        "file": file,
        "frame_interval": float(step),
        "lagtime": 50 // step,
        "n_neighbors": 20,
        "n_states": 4,
        "n_shown": round(0.7 * len(positions)),
    }
    return System(SILICON[each], task, solid.astype(np.int64), None)


def run_once(system: System, entry: Entry, threshold: float, **changes: Any) -> Result:
    """In a process of its own, with what is asked of its states."""
    rate, batch = RATES[system.name]
    rate = changes.get("learning_rate", entry.rate or rate)
    task = {
        **system.task,
        "threshold": threshold,
        "features": entry.features,
        "learning_rate": rate,
        "batch_size": batch,
        **changes,
    }
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "states.npy"
        order = json.dumps({"way": entry.way, "task": task, "output": str(output)})
        done = subprocess.run(
            [sys.executable, __file__, "--one", order, "--started", repr(time.time())],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{entry.name} on {system.name} failed:\n{done.stderr[-4000:]}")
        result: Result = json.loads(done.stdout.splitlines()[-1])
        states = np.load(output).argmax(axis=-1)
    result["right"] = share_right(states, system.labels)
    reached = result["reached"]
    print(
        f"    {entry.name}: rate {rate:g}, {len(result['scores'])} epochs, score "
        f"{result['scores'][-1]:.3f}, "
        f"{'not reached' if reached is None else f'reached in {reached:.1f} s'}, "
        f"{result['processor']:.1f} s of processor",
        file=sys.stderr,
        flush=True,
    )
    return result


def share_right(states: NDArray[Any], labels: NDArray[Any]) -> float:
    """Each state stands for the label it holds more of: the mean share of labels that is right."""
    present = np.arange(int(states.max()) + 1)
    held = np.array(
        [np.mean(states[labels == label][:, None] == present, axis=0) for label in (0, 1)]
    )
    return float(held.max(axis=0).sum() / 2.0)


def make_system(name: str, folder: Path, quick: bool) -> System:
    """The training on one cell of silicon comes first of all: it also fills the disk's cache."""
    if name == FIVE:
        return lithium(folder, quick)
    each = next(step for step, title in SILICON.items() if title == name)
    return with_best(silicon(folder, 1 if quick else 7, each), silicon(folder, 1, each))


def with_best(system: System, cell: System) -> System:
    """The best known score, of training on one cell: its targets see what they see in a row."""
    longer = run_once(cell, GRAPHS[0], threshold=np.inf, most_epochs=EPOCHS)
    return replace(system, best=float(max(longer["scores"])))


def compare(system: System, entries: list[Entry], rounds: int) -> None:
    """The rows of one system."""
    threshold = wanted(system)
    frames = len(system.labels)
    print(
        f"\n{system.name}, {frames} frames, of which "
        f"{frames - system.task['n_shown']} validate: best known score {system.best:.3f}; wanted "
        f"{threshold:.3f}\n"
    )
    found: dict[str, list[Result]] = {entry.name: [] for entry in entries}
    for _ in range(rounds):
        for entry in entries:
            earlier = found[entry.name]
            if not earlier or earlier[-1]["reached"] is not None:
                earlier.append(run_once(system, entry, threshold))
    print_table(found)


def wanted(system: System) -> float:
    if system.best is None:
        raise ValueError(f"{system.name}: the best score must be known")
    return 1.0 + SHARE * (system.best - 1.0)


COLUMNS = {
    "ready": "imports, s",
    "arrays": "graphs, arrays, s",
    "epoch": "an epoch, s",
    "reached": "to the score, s",
    "processor": "of processor, s",
    "finished": "all states, s",
    "peak": "memory, MiB",
}


def print_table(found: dict[str, list[Result]]) -> None:
    titles = ["", *COLUMNS.values(), "epochs", "best score", "right, %", "weights"]
    print("| " + " | ".join(titles) + " |")
    print("|" + "---|" * len(titles), flush=True)
    reference = found[GRAPHS[0].name]
    for name, runs in found.items():
        cells = [name]
        for column in COLUMNS:
            cells.append(cell(column, runs, reference))
        middle = runs[len(runs) // 2]
        cells += [
            f"{np.median([len(run['scores']) for run in runs]):.0f}",
            f"{np.nanmax(np.concatenate([run['scores'] for run in runs])):.3f}",
            f"{100.0 * np.median([run['right'] for run in runs]):.1f}",
            str(middle["n_weights"]),
        ]
        print("| " + " | ".join(cells) + " |", flush=True)


def cell(column: str, runs: list[Result], reference: list[Result]) -> str:
    """Median, and its ratio to kgdyn in the same round."""
    if column in ("reached", "processor", "finished") and runs[-1]["reached"] is None:
        return f"not in {runs[-1]['trained']:.0f}" if column == "reached" else "-"
    values = np.array([run[column] for run in runs], dtype=float)
    digits = 2 if np.median(values) < 10.0 else 0
    text = f"{np.median(values):.{digits}f}"
    if runs is reference:
        return text
    if any(run[column] is None for run in reference):
        return text
    own = np.array([run[column] for run in reference], dtype=float)[: len(values)]
    ratios = values / own
    spread = f", {ratios.min():.2g} to {ratios.max():.2g}" if len(ratios) > 1 else ""
    return f"{text} ({np.median(ratios):.2g}{spread})"


def search(system: System, way: str) -> None:
    """Seconds and epochs to the score by learning rate and batch size."""
    threshold = wanted(system)
    entry = [entry for entry in ENTRIES[system.name] if entry.way == way][-1]
    print(f"\n{system.name}, {entry.name}: wanted {threshold:.3f}")
    for batch in (RATES[system.name][1], 2 * RATES[system.name][1]):
        for rate in (5e-4, 1e-3, 2e-3, 5e-3, 1e-2):
            run = run_once(system, entry, threshold, learning_rate=rate, batch_size=batch)
            reached = "not reached" if run["reached"] is None else f"{run['reached']:.1f} s"
            print(
                f"rate {rate:g}, {batch} pairs: {reached} in {len(run['scores'])} epochs of "
                f"{run['epoch']:.2f} s; best {np.nanmax(run['scores']):.3f}, "
                f"right {run['right']:.3f}",
                flush=True,
            )


def print_conditions() -> None:
    packages = ("kgdyn", "keras", "tensorflow", "numba", "numpy", "scipy", "deeptime", "torch")
    known = []
    for name in packages:
        try:
            known.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            known.append(f"no {name}")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"Python {platform.python_version()}, {', '.join(known)}")
    print(f"{platform.machine()}, {os.cpu_count()} cores, load before it began: {load}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="576 atoms of silicon, one round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=list(ENTRIES))
    parser.add_argument("--batch-norm", action="store_true", help="also as the code of 2019 has it")
    parser.add_argument("--search", choices=list(WAYS), metavar="WAY")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--started", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        order = json.loads(arguments.one)
        result = run_way(order["way"], order["task"], arguments.started, Path(order["output"]))
        print(json.dumps(result))
        return
    print_conditions()
    with tempfile.TemporaryDirectory() as folder:
        for name in ENTRIES:
            if arguments.only not in (None, name):
                continue
            system = make_system(name, Path(folder), arguments.quick)
            if arguments.search:
                search(system, arguments.search)
                continue
            entries = ENTRIES[system.name] + ([NORMALIZED] if arguments.batch_norm else [])
            compare(system, entries, 1 if arguments.quick else arguments.rounds)


if __name__ == "__main__":
    main()
