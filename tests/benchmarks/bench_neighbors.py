"""How fast the M nearest neighbours are found: compiled, tree, brute force, radius search.

    python tests/benchmarks/bench_neighbors.py [--quick]

All methods run in one process, one call of each in turn, and the table gives medians and their
ratios to the compiled search on one thread. Only ratios mean something on a shared machine; the
last lines say what two threads give there at best. Nothing here fails because it is slow.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))  # also where kgdyn is not installed

from kgdyn.graphs._brute_force import brute_force
from kgdyn.graphs._cell_tree import tree_search
from kgdyn.graphs._compiled import compiled_available, compiled_search
from kgdyn.graphs._lattice import Wrapped, wrap

Method = Callable[[], Any]
RADIUS_SEARCH = "vesin, best radius"


class System:
    """Frames, and the methods that can search them."""

    def __init__(self, positions: Any, cell: Any, pbc: Any, n_neighbors: int) -> None:
        self.pbc: NDArray[np.bool_] = np.array(pbc, dtype=bool)
        cells = np.broadcast_to(np.asarray(cell, dtype=np.float64), (len(positions), 3, 3))
        self.cell = cells[0]
        self.wrapped: Wrapped = wrap(positions, cells, self.pbc)
        self.n_neighbors = n_neighbors
        self.n_frames, self.n_atoms = self.wrapped.positions.shape[:2]

    def compiled(self, n_threads: int = 1) -> Any:
        rows = np.arange(self.n_atoms)
        return compiled_search(self.wrapped, self.pbc, self.n_neighbors, rows, n_threads)

    def tree(self) -> Any:
        wrapped, rows = self.wrapped, np.arange(self.n_atoms)
        found = [
            tree_search(
                wrapped.positions[frame],
                wrapped.fractions[frame],
                wrapped.cells[frame],
                wrapped.heights[frame],
                self.pbc,
                self.n_neighbors,
                rows,
            )
            for frame in range(self.n_frames)
        ]
        return tuple(np.stack(parts) for parts in zip(*found, strict=True))

    def brute_force(self) -> Any:
        return brute_force(self.wrapped, self.pbc, self.n_neighbors)

    def methods(self, vesin: Any) -> dict[str, Method]:
        """The methods that suit the size; the first is the unit."""
        methods: dict[str, Method] = {
            "compiled": self.compiled,
            "compiled, 2 threads": lambda: self.compiled(2),
        }
        if self.n_atoms < 25:
            return methods | {"brute force (numpy)": self.brute_force}
        methods["tree (scipy)"] = self.tree
        if vesin is not None:
            radius = float(self.compiled()[1][..., -1].max()) * (1.0 + 1e-12)
            search = vesin.NeighborList(cutoff=radius, full_list=True)
            methods[RADIUS_SEARCH] = lambda: search.compute(
                points=self.wrapped.positions[0],
                box=self.cell,
                periodic=self.pbc,
                quantities="ijdS",
            )
        return methods


def liquid(n_atoms: int, density: float = 0.0535) -> tuple[Any, float]:
    """Atoms that keep apart: a grid with some holes, jittered. Positions and edge, angstrom."""
    rng = np.random.default_rng(0)
    edge = int(np.ceil(np.cbrt(n_atoms)))
    length = float(np.cbrt(n_atoms / density))
    grid = np.stack(np.meshgrid(*[np.arange(edge)] * 3, indexing="ij"), -1).reshape(-1, 3)
    sites = grid[rng.permutation(len(grid))[:n_atoms]] + rng.normal(size=(n_atoms, 3)) * 0.18
    return sites * length / edge, length


def liquid_system(n_atoms: int) -> System:
    positions, length = liquid(n_atoms)
    return System(positions[None], length * np.eye(3), [True] * 3, 20)


def sheared_system() -> System:
    positions, length = liquid(4000)
    shear = np.array([[1.0, 0, 0], [3.0, 1, 0], [-2.0, 1.5, 1]])
    return System(positions[None], length * shear, [True] * 3, 20)


def vapour_system() -> System:
    """A slab, and twelve atoms 8 to 20 angstrom above it."""
    positions, length = liquid(4000)
    rng = np.random.default_rng(1)
    positions[:12] = rng.uniform(size=(12, 3)) * [length, length, 12.0] + [0, 0, length + 8.0]
    return System(positions[None], np.diag([length, length, 0.0]), [True, True, False], 20)


def five_atom_system(n_frames: int) -> System:
    """Li in fcc S, in many frames."""
    sites = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5], [0, 0, 0]])
    rng = np.random.default_rng(2)
    positions = 6.5 * sites + rng.normal(size=(n_frames, 5, 3)) * 0.15
    positions[:, 4] = rng.uniform(size=(n_frames, 3)) * 6.5
    return System(positions, 6.5 * np.eye(3), [True] * 3, 12)


SYSTEMS: dict[str, Callable[[], System]] = {
    "liquid, 4,000 atoms": lambda: liquid_system(4000),
    "liquid, 20,000 atoms": lambda: liquid_system(20000),
    "liquid, 4,000, sheared cell": sheared_system,
    "slab and vapour, 4,000": vapour_system,
    "five atoms, 512 frames": lambda: five_atom_system(512),
    "five atoms, 4,096 frames": lambda: five_atom_system(4096),
}


def alternating_medians(methods: dict[str, Method], repeats: int) -> dict[str, float]:
    """Seconds a call. A method slower than a second is called only three times."""
    times: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(repeats + 1):
        for name, method in methods.items():
            if len(times[name]) > 3 and np.median(times[name]) > 1.0:
                continue
            start = time.perf_counter()
            method()
            times[name].append(time.perf_counter() - start)
    return {name: float(np.median(values[1:])) for name, values in times.items()}


def deviation(system: System, found: Any) -> float:
    """Largest difference of distances from a path without numba, angstrom."""
    small = system.n_atoms < 25
    reference = system.brute_force() if small else system.tree()
    return float(np.abs(found[1] - reference[1]).max())


def peak_memory(system: str, method: str) -> float:
    """MiB that one call adds to the peak of a fresh process."""
    command = [sys.executable, __file__, "--peak", system, method]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def print_peak_memory(name: str, method: str) -> None:
    """The child of :func:`peak_memory`: warm up with few atoms, then one call."""
    vesin = optional_vesin()
    small = five_atom_system(1) if name.startswith("five") else liquid_system(200)
    small.methods(vesin)[method]()
    call = SYSTEMS[name]().methods(None if method != RADIUS_SEARCH else vesin)[method]
    try:
        # The peak of ``getrusage`` would be that of the process this one was started from.
        Path("/proc/self/clear_refs").write_text("5")
        before = peak_resident()
        call()
        print(peak_resident() - before)
    except OSError:
        print("nan")  # only Linux tells


def peak_resident() -> float:
    """Largest resident memory since it was last reset, MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(line for line in lines if line.startswith("VmHWM:"))
    return float(peak.split()[1]) / 1024.0


def two_threads_at_best(system: System, repeats: int) -> float:
    """Searches a second of two threads, each busy with its own frames, to those of one."""
    times: dict[str, list[float]] = {"alone": [], "both": []}
    with ThreadPoolExecutor(2) as pool:
        for _ in range(repeats):
            for name, n_threads in (("alone", 1), ("both", 2)):
                start = time.perf_counter()
                list(pool.map(lambda _: system.compiled(), range(n_threads)))
                times[name].append(time.perf_counter() - start)
    return float(2.0 * np.median(times["alone"]) / np.median(times["both"]))


def optional_vesin() -> Any:
    try:
        import vesin
    except ImportError:
        return None
    return vesin


def print_versions() -> None:
    found = [f"python {platform.python_version()}"]
    for package in ("numpy", "scipy", "numba", "vesin"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} missing")
    print(", ".join(found) + f"; {platform.machine()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repeats, no peak memory")
    parser.add_argument("--peak", nargs=2, metavar=("SYSTEM", "METHOD"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print_peak_memory(*arguments.peak)
        return
    print_versions()
    if not compiled_available():
        print("numba is missing: there is nothing to compare")
        return
    vesin = optional_vesin()
    if vesin is None:
        print("vesin is missing: no radius search below")
    start = time.perf_counter()
    liquid_system(100).compiled()
    print(
        f"first call (compiling, or loading what was compiled): {time.perf_counter() - start:.1f} s"
    )
    header = f"{'system':28} {'method':22} {'ms':>9} {'ratio':>7} {'peak MiB':>9}"
    print(header)
    print("-" * len(header))
    for name, build in SYSTEMS.items():
        system = build()
        methods = system.methods(vesin)
        medians = alternating_medians(methods, 3 if arguments.quick else 15)
        for method, seconds in medians.items():
            ratio = seconds / medians["compiled"]
            peak = "" if arguments.quick else f"{peak_memory(name, method):9.1f}"
            print(f"{name:28} {method:22} {1e3 * seconds:9.2f} {ratio:7.2f} {peak}")
        print(f"{name:28} largest deviation {deviation(system, system.compiled()):.1e} angstrom")
    for n_atoms in (4000, 20000):
        best = two_threads_at_best(liquid_system(n_atoms), 5 if arguments.quick else 41)
        print(
            f"two threads at best, independent searches of {n_atoms:,} atoms: {best:.2f} times one"
        )


if __name__ == "__main__":
    main()
