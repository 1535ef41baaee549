"""Time of kgdyn's dump reader against MDAnalysis', on the same dump of 4,000 atoms.

Runs alternate in one process, so that a busy machine slows both. Prints ratios and asserts
nothing about time: ``python tests/benchmarks/bench_dump_reader.py [n_frames] [n_rounds]``.
"""

from __future__ import annotations

import platform
import resource
import sys
import tempfile
import time
import tracemalloc
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import MDAnalysis
import numpy as np

from kgdyn.trajectories.lammps_dump import LAMMPSDump

N_ATOMS = 4000
LENGTH = 42.0


def write_dump(path: Path, n_frames: int, coordinates: str) -> None:
    """Write what LAMMPS would: ids out of order, numbers as %g."""
    rng = np.random.default_rng(0)
    positions = rng.uniform(0.0, LENGTH, (N_ATOMS, 3))
    types = rng.integers(1, 4, N_ATOMS)
    with open(path, "w") as file:
        for frame in range(n_frames):
            positions = (positions + rng.normal(0.0, 0.1, positions.shape)) % LENGTH
            file.write(f"ITEM: TIMESTEP\n{100 * frame}\nITEM: NUMBER OF ATOMS\n{N_ATOMS}\n")
            file.write("ITEM: BOX BOUNDS pp pp pp\n" + f"0.0 {LENGTH:.16e}\n" * 3)
            file.write(f"ITEM: ATOMS id type {coordinates}\n")
            rows = positions if coordinates == "x y z" else positions + 50.0 * LENGTH
            order = rng.permutation(N_ATOMS)
            file.writelines(
                f"{atom + 1} {types[atom]} {x:g} {y:g} {z:g}\n"
                for atom, (x, y, z) in zip(order.tolist(), rows[order].tolist(), strict=True)
            )


def read_kgdyn(path: Path) -> float:
    source = LAMMPSDump(path, elements=["Li", "P", "S"], timestep=0.001)
    return sum(float(chunk.positions[:, 0, 0].sum()) for chunk in source.chunks())


def read_mdanalysis(path: Path) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        universe = MDAnalysis.Universe(str(path), format="LAMMPSDUMP")
        return sum(float(frame.positions[0, 0]) for frame in universe.trajectory)


def alternate(first: Callable[[], object], second: Callable[[], object], n_rounds: int) -> None:
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(n_rounds):
        for call, spent in zip((first, second), times, strict=True):
            start = time.process_time()
            call()
            spent.append(time.process_time() - start)
    ratios = np.array(times[1]) / np.array(times[0])
    print(
        f"  CPU seconds: kgdyn {np.median(times[0]):.3f}, MDAnalysis {np.median(times[1]):.3f}; "
        f"ratio median {np.median(ratios):.1f}, lowest {ratios.min():.1f}"
    )


def peak_of_python(call: Callable[[], object]) -> float:
    """Largest memory held at once in MB, as tracemalloc sees it (numpy included)."""
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def main() -> None:
    n_frames = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    n_rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    print(
        f"Python {platform.python_version()}, numpy {np.__version__}, "
        f"MDAnalysis {MDAnalysis.__version__}, {platform.machine()}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for coordinates in ("x y z", "xu yu zu"):
            path = Path(folder) / "run.dump"
            write_dump(path, n_frames, coordinates)
            size = path.stat().st_size / 1e6
            print(f"{coordinates}: {n_frames} frames of {N_ATOMS} atoms, {size:.1f} MB")
            read_kgdyn(path)
            alternate(partial(read_kgdyn, path), partial(read_mdanalysis, path), n_rounds)
            peak = peak_of_python(partial(read_kgdyn, path))
            print(f"  largest memory held by kgdyn at once (chunks of 64): {peak:.0f} MB")
    print(f"peak of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB")


if __name__ == "__main__":
    main()
