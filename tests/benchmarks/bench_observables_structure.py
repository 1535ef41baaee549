"""How fast state-weighted distribution functions are: cell lists against other ways.

    python tests/benchmarks/bench_observables_structure.py [--quick | --long]

kgdyn counts all elements for all states at once; the others one pair of groups, without states:
MDAnalysis' InterRDF, scipy's periodic tree, and a compiled loop over all atoms (which finds nothing
beyond half of the cell). All on one thread, one call of each in turn; the table gives medians of
processor time, in milliseconds a frame, and their ratio to kgdyn. Few frames make what kgdyn does
once a call, the intervals, weigh more: ``--long`` is one call of kgdyn and of MDAnalysis each over
1,000 frames of 4,000 atoms. Nothing here fails because it is slow.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from scipy.spatial import cKDTree

sys.path.insert(0, str(Path(__file__).parents[2]))  # also where kgdyn is not installed

from kgdyn.koopman import Resampling
from kgdyn.observables.state_rdf import state_rdf
from kgdyn.trajectories import trajectory_from_arrays

N_STATES, DENSITY, N_BINS = 4, 0.1, 200


@numba.njit
def loop_over_all(positions: Any, n_targets: int, edge: float, reach: float, counts: Any) -> None:
    for target in range(n_targets):
        for atom in range(n_targets, len(positions)):
            square = 0.0
            for c in range(3):
                step = positions[atom, c] - positions[target, c]
                step -= edge * np.rint(step / edge)
                square += step * step
            if square < reach * reach:
                counts[int(np.sqrt(square) / reach * len(counts))] += 1


class System:
    """Targets are lithium, the rest four other elements in equal parts."""

    def __init__(self, n_atoms: int, n_targets: int, n_frames: int, reach: float) -> None:
        rng = np.random.default_rng(0)
        self.edge = float(np.cbrt(n_atoms / DENSITY))
        self.reach, self.n_targets, self.n_frames = reach, n_targets, n_frames
        self.positions = (rng.random((n_frames, n_atoms, 3)) * self.edge).astype(np.float32)
        species = np.array([6, 7, 8, 9])[np.arange(n_atoms) % 4]
        species[:n_targets] = 3
        cell = np.eye(3) * self.edge
        self.trajectory = trajectory_from_arrays(
            self.positions, cell, species, frame_interval=1.0, targets=range(n_targets)
        )
        self.states = rng.dirichlet(np.ones(N_STATES), (n_frames, n_targets))

    def kgdyn(self) -> None:
        state_rdf(
            self.trajectory,
            self.states,
            r_max=self.reach,
            n_bins=N_BINS,
            resampling=Resampling(max(1, self.n_frames // 10)),
            n_threads=1,
        )

    def mdanalysis(self) -> None:
        import MDAnalysis
        from MDAnalysis.analysis.rdf import InterRDF

        universe = MDAnalysis.Universe.empty(self.positions.shape[1], trajectory=True)
        box = np.array([self.edge] * 3 + [90.0] * 3, dtype=np.float32)
        universe.load_new(self.positions, dimensions=np.tile(box, (self.n_frames, 1)))
        first, second = universe.atoms[: self.n_targets], universe.atoms[self.n_targets :]
        InterRDF(first, second, nbins=N_BINS, range=(0.0, self.reach)).run()

    def tree(self) -> None:
        counts = np.zeros(N_BINS)
        for positions in self.positions.astype(np.float64) % self.edge:
            tree = cKDTree(positions[self.n_targets :], boxsize=self.edge)
            targets = cKDTree(positions[: self.n_targets], boxsize=self.edge)
            found = targets.sparse_distance_matrix(tree, self.reach, output_type="ndarray")["v"]
            counts += np.histogram(found, N_BINS, (0.0, self.reach))[0]

    def loop(self) -> None:
        counts = np.zeros(N_BINS)
        for positions in self.positions.astype(np.float64):
            loop_over_all(positions, self.n_targets, self.edge, self.reach, counts)


def median(call: Callable[[], None], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        call()
        times.append(time.process_time() - begin)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few frames, one repetition")
    parser.add_argument("--long", action="store_true", help="1,000 frames of 4,000 atoms, once")
    options = parser.parse_args()
    quick = options.quick
    warnings.simplefilter("ignore", RuntimeWarning)
    small = System(500, 5, 10, 5.0)  # compiles
    small.kgdyn()
    small.loop()
    if options.long:
        system = System(4_000, 100, 1_000, 10.0)
        ours, theirs = (median(call, 1) for call in (system.kgdyn, system.mdanalysis))
        print(
            "1,000 frames of 4,000 atoms, 100 targets, up to 10 angstrom, processor time: kgdyn "
            f"{ours:.2f} s (4 states, 5 elements), MDAnalysis {theirs:.2f} s (one pair, no "
            f"states), {theirs / ours:.1f} times"
        )
        return
    names = ("kgdyn", "mdanalysis", "tree", "loop")
    print(f"{N_STATES} states, 5 elements, {N_BINS} bins; ms a frame (ratio to kgdyn)")
    print(f"{'atoms':>7} {'targets':>7} {'r_max':>5}" + "".join(f"{name:>18}" for name in names))
    for n_atoms, n_targets, reach in (
        (1_000, 50, 10.0),
        (4_000, 100, 10.0),
        (4_000, 500, 10.0),
        (4_000, 100, 6.0),
        (20_000, 500, 10.0),
        (100_000, 100, 10.0),
        (100_000, 500, 10.0),
    ):
        n_frames = max(2, (60_000 if quick else 400_000) // n_atoms)
        system = System(n_atoms, n_targets, n_frames, reach)
        found = [median(getattr(system, name), 1 if quick else 3) for name in names]
        cells = [f"{1e3 * t / n_frames:10.2f} ({t / found[0]:4.1f})" for t in found]
        print(f"{n_atoms:7} {n_targets:7} {reach:5.1f}" + "".join(f"{c:>18}" for c in cells))


if __name__ == "__main__":
    main()
