"""Do restarts agree on the states, with the truth and with each other?

Two systems whose states are known: lithium in a frozen fcc lattice of sulfur (60 ns, from
../shared/data; a few epochs on each fifth frame), and an atom whose neighbour jumps between four
distances. Each restart trains a network from another seed; its states are those of the mapped
outputs of the half of the frames that was not trained on. A restart reaches the score if that of
its held-out frames is within 3% (of what exceeds 1) of that of the true labels.

    python tests/benchmarks/bench_state_agreement.py [--quick] [--restarts N] [--system li|four]
        [--n-outputs N]

On two idle cores a restart takes less than a minute for Li, and half of that for the other.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).resolve().parents[3] / "shared/data/li_fcc_s/LiS_fcc_clean_s1.npz"


@dataclass(frozen=True)
class System:
    """Frames, true states and how to train on them."""

    name: str
    trajectory: Any
    labels: np.ndarray
    lagtime: int
    n_states: int
    n_neighbors: int
    stride: int
    epochs: int


def lithium(quick: bool) -> System:
    from kgdyn.frames import TargetGroups
    from kgdyn.trajectories import trajectory_from_arrays

    n_frames = 200_001 if quick else 600_001
    with np.load(DATA) as data:
        positions = data["traj_coords"][:n_frames]
        labels = data["state2"][:n_frames].astype(int)
        cell, species = data["lattices"][0], data["atom_types"]
        targets = TargetGroups.from_indices(data["target_index"])
    trajectory = trajectory_from_arrays(
        positions, cell, species, targets=targets, frame_interval=0.1
    )
    return System("Li in fcc S", trajectory, labels, 100, 2, 12, 5, 3 if quick else 8)


def four_states(quick: bool) -> System:
    from kgdyn.frames import TargetGroups
    from kgdyn.toys import SwitchingShell, four_state_chain
    from kgdyn.trajectories import trajectory_from_arrays

    shell = SwitchingShell(four_state_chain())
    rng = np.random.default_rng(3)
    positions, labels = shell.sample(40_000 if quick else 100_000, rng=rng)
    trajectory = trajectory_from_arrays(
        positions,
        shell.cell,
        shell.species,
        targets=TargetGroups.from_indices([0]),
        frame_interval=1.0,
    )
    return System("four states", trajectory, labels, 5, 4, 4, 1, 8 if quick else 12)


def true_score(system: System, held_out: slice) -> float:
    import kgdyn
    from kgdyn.koopman import one_hot

    return kgdyn.koopman.estimate_koopman_model(
        one_hot(system.labels[held_out, None], system.n_states), lagtime=system.lagtime
    ).vamp2_score


def train(system: System, seed: int, n_outputs: int | None) -> tuple[np.ndarray, float]:
    """State probabilities of the held-out half, and their VAMP-2 score there."""
    import keras

    import kgdyn

    keras.utils.set_random_seed(seed)
    half = system.trajectory.n_frames // 2
    shown, held_out = system.trajectory[:half], system.trajectory[half:]
    options: dict[str, Any] = {} if n_outputs is None else {"n_outputs": n_outputs}
    model = kgdyn.GDyNet(
        system.n_states,
        sorted({int(number) for number in system.trajectory.species}),
        system.n_neighbors,
        lagtime=system.lagtime,
        frame_interval=system.trajectory.frame_interval,
        **options,
    )
    model.compile(keras.optimizers.Adam(2e-3), loss=kgdyn.VAMP2Loss())
    pairs = kgdyn.pairs_dataset(
        [shown],
        lagtime=system.lagtime,
        n_neighbors=system.n_neighbors,
        batch_size=1024,
        stride=system.stride,
        seed=seed,
        n_hops=model.n_convolutions,
    )
    model.fit(pairs, epochs=system.epochs, verbose=0)
    probabilities = kgdyn.assign_states(model, held_out)
    scored = kgdyn.koopman.estimate_koopman_model(probabilities, lagtime=system.lagtime)
    return np.asarray(probabilities), scored.vamp2_score


def compare(system: System, n_restarts: int, n_outputs: int | None) -> None:
    from kgdyn.koopman import crispness, ensemble_states, match_states, one_hot

    half = slice(system.trajectory.n_frames // 2, None)
    truth = one_hot(system.labels[half, None], system.n_states)
    best = true_score(system, half)
    print(
        f"\n{system.name}: {system.trajectory.n_frames} frames, lag {system.lagtime} frames, "
        f"{system.epochs} epochs; VAMP-2 of the true labels {best:.4f}\n"
        "seed   VAMP-2  reaches   truth  truth, each state         clear      s",
        flush=True,
    )
    members, reached = [], []
    for seed in range(n_restarts):
        start = time.monotonic()
        probabilities, score = train(system, seed, n_outputs)
        mapped = probabilities[..., match_states(truth, probabilities)]
        right = mapped.argmax(-1) == truth.argmax(-1)
        labels = truth.argmax(-1)
        each = [right[labels == state].mean() for state in range(system.n_states)]
        reaches = score - 1.0 >= 0.97 * (best - 1.0)
        members.append(probabilities)
        reached.append(reaches)
        print(
            f"{seed:4d}  {score:7.4f}  {'yes' if reaches else 'no':>7}  {right.mean():6.4f}  "
            f"{' '.join(f'{value:.3f}' for value in each):<24}  "
            f"{crispness(probabilities).clear.min():6.3f} {time.monotonic() - start:6.0f}",
            flush=True,
        )
    good = [m for m in range(n_restarts) if reached[m]]
    print(f"{len(good)} of {n_restarts} reach the score", end="")
    if len(good) > 1:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            found = ensemble_states([members[m] for m in good])
        print(
            f"; these agree with each other in at least {100 * found.agreement.min():.2f}% of "
            f"frames (kappa {found.kappa.min():.3f}); outliers "
            f"{[good[m] for m in found.outliers]}; mean spread of probabilities "
            f"{np.mean([part.mean() for part in found.spread]):.4f}",
            end="",
        )
    print(flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer frames and epochs")
    parser.add_argument("--restarts", type=int, default=20)
    parser.add_argument("--system", choices=("li", "four", "both"), default="both")
    parser.add_argument("--n-outputs", type=int, help="columns of the network; states if not given")
    arguments = parser.parse_args()
    if arguments.system != "four":
        if DATA.is_file():
            compare(lithium(arguments.quick), arguments.restarts, arguments.n_outputs)
        else:
            print(f"{DATA.name} is not here: Li in fcc S is left out")
    if arguments.system != "li":
        compare(four_states(arguments.quick), arguments.restarts, arguments.n_outputs)


if __name__ == "__main__":
    main()
