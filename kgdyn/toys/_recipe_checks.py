"""What the recipes of simulations check, and how they turn times into steps."""

from __future__ import annotations

import numpy as np

__all__ = [
    "check_between",
    "check_length",
    "check_seed",
    "frames_of",
    "seeds_of",
    "steps_of",
]

_LARGEST_SEED = 900_000_000  # of LAMMPS' random numbers


def check_seed(seed: int) -> None:
    if not 1 <= seed <= _LARGEST_SEED:
        raise ValueError(f"seed must be between 1 and {_LARGEST_SEED:,}, received {seed}")


def check_length(duration: float, frame_interval: float, timestep: float) -> None:
    """A duration (ns) of at least one frame, frames (ps) of whole time steps (ps)."""
    steps = frame_interval / timestep
    if not (steps > 0.5 and abs(steps - round(steps)) < 1e-6 * steps):
        raise ValueError(
            f"frame_interval must be a multiple of the time step, {timestep} ps, received "
            f"{frame_interval}"
        )
    if not duration < np.inf or frames_of(duration, frame_interval) < 1:
        raise ValueError(
            f"duration must hold at least one frame of {frame_interval} ps, received {duration} ns"
        )


def check_between(name: str, value: float, low: float, unit: str, or_equal: bool = False) -> None:
    """A finite number above ``low``."""
    if not (np.isfinite(value) and (value > low or (or_equal and value == low))):
        rule = "at least" if or_equal else "above"
        raise ValueError(f"{name} must be {rule} {low:g} {unit}".rstrip() + f", received {value}")


def frames_of(duration: float, frame_interval: float) -> int:
    """Whole frames (ps) of a duration (ns)."""
    return int(duration * 1000.0 / frame_interval + 1e-6)


def steps_of(time: float, timestep: float) -> int:
    """Steps that make up a time, both in ps; a time that is not zero has at least one."""
    return max(round(time / timestep), int(time > 0.0))


def seeds_of(seed: int, count: int) -> list[int]:
    """Different seeds for the random numbers of one simulation."""
    generator = np.random.default_rng(seed)
    return [int(value) for value in generator.integers(1, _LARGEST_SEED, size=count)]
