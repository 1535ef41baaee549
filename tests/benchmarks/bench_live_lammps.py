"""What a monitor costs a simulation: a 4,000-atom liquid, a frame every 100 steps.

    python tests/benchmarks/bench_live_lammps.py [--rounds 5] [--steps 2000] [--frames 10000]

Runs with and without the monitor alternate in one LAMMPS. Printed are

- the hand-over: CPU time of LAMMPS' thread inside of the callback, in % of that of the run
  (bound 0.5);
- the same from the outside: CPU time of LAMMPS' thread, monitored over plain;
- wall time, monitored over plain, where a core is spare for the analysis (bound 1.05);
- latency from a frame's hand-over to its states;
- resident memory while a small system hands over --frames frames.

LAMMPS runs in one thread, the analysis in one more.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import time
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

EVERY = 100
LIQUID = """\
units metal
atom_modify map array
lattice fcc 5.7
region box block 0 10 0 10 0 10
create_box 2 box
create_atoms 1 box
set group all type 2
set group all type/fraction 1 0.05 4711
mass 1 6.94
mass 2 32.06
pair_style lj/cut 8.5
pair_coeff * * 0.0104 3.4
neighbor 1.0 bin
neigh_modify every 5 delay 0 check yes
velocity all create 130.0 87287
timestep 0.002
fix move all nvt temp 110.0 110.0 0.2
thermo 1000000
run 500
"""


def resident_mib() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def timed(engine: Any, steps: int) -> tuple[float, float]:
    """Wall and CPU seconds of LAMMPS' thread."""
    wall, cpu = time.perf_counter(), time.thread_time()
    engine.command(f"run {steps}")
    return time.perf_counter() - wall, time.thread_time() - cpu


def monitored(engine: Any, model: Any, steps: int) -> tuple[float, float, float, Any]:
    """As `timed`, CPU seconds in the callback, and the analysis."""
    from kgdyn.integrations.lammps import StateMonitor

    monitor = StateMonitor(model, "element Li", ["Li", "S"], EVERY, n_threads=1)
    in_callback = 0.0
    on_step = monitor._on_step

    def counted(*arguments: Any) -> None:
        nonlocal in_callback
        start = time.thread_time()
        on_step(*arguments)
        in_callback += time.thread_time() - start

    monitor._on_step = counted  # type: ignore[method-assign]
    with monitor.attach(engine):
        wall, cpu = timed(engine, steps)
    return wall, cpu, in_callback, monitor


def costs(model: Any, rounds: int, steps: int) -> None:
    from kgdyn.integrations.lammps import new_lammps

    engine = new_lammps()
    engine.commands_string(LIQUID)
    monitored(engine, model, 3 * EVERY)  # compiles
    walls, cpus, shares, each, latencies = [], [], [], [], []
    for _ in range(rounds):
        plain = timed(engine, steps)
        wall, cpu, in_callback, monitor = monitored(engine, model, steps)
        walls.append(wall / plain[0])
        cpus.append(cpu / plain[1])
        shares.append(100 * in_callback / cpu)
        each.append(1e3 * in_callback / monitor.counts.done)
        latencies.append(1e3 * monitor.analysis.latency(0.5, 0.95, 1.0))
    engine.close()
    print(f"{rounds} rounds of {steps} steps, {1e3 * plain[0] * EVERY / steps:.0f} ms a frame")
    print(f"hand-over               {statistics.median(each):.3f} ms of CPU a frame")
    print(f"                        {statistics.median(shares):.2f} % of the run's CPU (bound 0.5)")
    print(f"CPU, monitored / plain  {statistics.median(cpus):.3f}  {rounded(cpus)}")
    print(f"wall, monitored / plain {statistics.median(walls):.3f}  {rounded(walls)} (bound 1.05)")
    middle, most, worst = (statistics.median(column) for column in zip(*latencies, strict=True))
    print(f"latency                 {middle:.0f} ms, 95% {most:.0f} ms, worst {worst:.0f} ms")


def rounded(values: list[float]) -> list[float]:
    return [round(value, 3) for value in values]


def memory(model: Any, n_frames: int) -> None:
    from kgdyn.integrations.lammps import StateMonitor, new_lammps

    from kgdyn.toys import LiInFccSulfur

    engine = new_lammps()
    engine.commands_string(LiInFccSulfur(temperature=600.0).input_script())
    print("resident memory (MiB) by frames:", end="", flush=True)
    with StateMonitor(model, "element Li", ["Li", "S"], 1).attach(engine) as monitor:
        for _ in range(10):
            engine.command(f"run {n_frames // 10}")
            done = monitor.statistics.n_frames
            print(f"  {done}: {resident_mib():.1f}", end="", flush=True)
    print()
    engine.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--frames", type=int, default=10_000)
    arguments = parser.parse_args()
    from kgdyn.models import GDyNet

    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}")
    costs(GDyNet(2, [3, 16], 20), arguments.rounds, arguments.steps)
    memory(GDyNet(2, [3, 16], 4, n_features=4, n_convolutions=1), arguments.frames)


if __name__ == "__main__":
    main()
