"""The verdict: it names what states miss, and is silent where they miss nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import kgdyn
from kgdyn.baselines import MissedProcessVerdict, missed_process_verdict
from kgdyn.koopman import estimate_koopman_model, one_hot
from kgdyn.toys import TwoProcesses
from kgdyn.trajectories import Trajectory

Toy = Callable[..., tuple[Trajectory, Any]]
Shared = Callable[[str], Path]
LAG = 5  # frames of 0.5 ps
TIMES = {"S": 30.0, "Cl": 7.5}


def softened(labels: NDArray[Any], n_states: int, wrong: float = 0.0) -> NDArray[Any]:
    """State probabilities that lie near the corners, a few of them at the wrong one."""
    rng = np.random.default_rng(7)
    noisy = np.where(rng.random(labels.shape) < wrong, rng.integers(0, n_states), labels)
    soft: NDArray[Any] = 0.9 * one_hot(noisy, n_states) + 0.1 / n_states
    return soft


def verdict_on(run: Trajectory, chi: Any, **arguments: Any) -> MissedProcessVerdict:
    return missed_process_verdict(chi, run, lagtime=LAG, **arguments)


def own_time(labels: NDArray[Any]) -> float:
    """Relaxation time that the true labels of one chain show in these very frames, ps."""
    values = labels - labels.mean()
    near, far = ((values[:-lag] * values[lag:]).mean() for lag in (LAG, 2 * LAG))
    return float(LAG * 0.5 / np.log(near / far))


def names_it(verdict: MissedProcessVerdict, element: str, labels: NDArray[Any]) -> None:
    """The first missing process is that of an element's distances, with its time."""
    process, true = verdict.missing[0], TIMES[element]
    assert process.elements == (element,)
    assert process.timescale_ps == pytest.approx(true, rel=0.3)
    assert process.timescale_ps == pytest.approx(
        own_time(labels[..., 0 if element == "S" else 1]), rel=0.06
    )
    low, high = process.timescale_interval_ps
    assert low < process.timescale_ps < high
    assert low < 1.15 * true
    assert high > 0.9 * true
    assert f"timescale about {process.timescale_ps:.3g} ps" in verdict.words[0]
    assert f"distance to {element} " in verdict.words[0]


def test_states_of_the_faster_process_missed_the_slower(two: tuple[Trajectory, Any]) -> None:
    run, labels = two
    verdict = verdict_on(run, softened(labels[..., 1], 2))
    assert (verdict.status, verdict.ok) == ("missed", False)
    assert verdict.words[0].startswith("a process was missed: ")
    names_it(verdict, "S", labels)
    assert len(verdict.missing) == 1
    assert verdict.explained[0] < 0.01
    assert verdict.difference_interval.upper < 0.0


def test_states_of_the_slower_process_leave_the_faster(two: tuple[Trajectory, Any]) -> None:
    """Two states can hold no more: said, and no fault of the training."""
    run, labels = two
    verdict = verdict_on(run, softened(labels[..., 0], 2))
    assert (verdict.status, verdict.ok) == ("more states", True)
    assert "train with more than 2 states" in verdict.words[0]
    names_it(verdict, "Cl", labels)


@pytest.mark.parametrize("n_states", [3, 4])
def test_more_states_that_hold_one_process_missed_the_other(
    two: tuple[Trajectory, Any], n_states: int
) -> None:
    """Slots for more were there: the others hold noise."""
    run, labels = two
    noise = np.random.default_rng(1).integers(0, n_states - 1, labels.shape[:2])
    verdict = verdict_on(run, softened(labels[..., 0] * (1 + noise), n_states))
    assert verdict.status == "missed"
    names_it(verdict, "Cl", labels)


def test_states_of_both_miss_nothing(two: tuple[Trajectory, Any]) -> None:
    run, labels = two
    verdict = verdict_on(run, softened(2 * labels[..., 0] + labels[..., 1], 4))
    assert (verdict.status, verdict.ok, verdict.missing) == ("complete", True, ())
    assert verdict.words[0] == "no process found by the linear method is missing."
    assert min(verdict.explained[:2]) > 0.8


def test_states_that_know_nothing_missed_both(two: tuple[Trajectory, Any]) -> None:
    run, labels = two
    noise = np.random.default_rng(3).dirichlet([1, 1], size=labels.shape[:2])
    verdict = verdict_on(run, noise)
    assert verdict.status == "missed"
    names_it(verdict, "S", labels)
    assert verdict.missing[1].elements == ("Cl",)
    assert re.search(r"Missed as well: timescale about [678]\.?\d* ps", verdict.words[0])


def test_a_mixture_of_processes_is_caught_by_its_score(two: tuple[Trajectory, Any]) -> None:
    """Half of each: what is left over is as slow as what is held, but two slots' worth is lost."""
    run, labels = two
    mixed = 0.1 + 0.4 * labels.sum(axis=-1)
    verdict = verdict_on(run, np.stack([mixed, 1.0 - mixed], axis=-1))
    assert verdict.status == "missed"
    assert 0.3 < verdict.explained[0] < 0.65
    names_it(verdict, "S", labels)


def test_states_less_sharp_than_the_distances(two: tuple[Trajectory, Any]) -> None:
    """The process is held, under noise: that is another thing than to have missed it."""
    run, labels = two
    rng = np.random.default_rng(5)
    noisy = np.where(rng.random(labels.shape[:2]) < 0.04, 1 - labels[..., 0], labels[..., 0])
    verdict = verdict_on(run, one_hot(noisy, 2), n_neighbors_per_element=4)
    assert verdict.explained[0] > 0.7
    assert verdict.difference_interval.upper < 0.0
    assert (verdict.status, verdict.ok) == ("below floor", True)
    assert "less sharply" in verdict.words[0]
    # Cl is not in two states either, and that is said.
    assert [process.elements for process in verdict.missing] == [("Cl",)]
    assert "With more than 2 states there is more to see: timescale about" in verdict.words[0]


SEEDS = [pytest.param(seed, marks=pytest.mark.slow if seed > 1 else ()) for seed in range(10)]


@pytest.mark.parametrize("seed", SEEDS)
def test_no_false_alarm_on_a_single_process(sample: Toy, seed: int) -> None:
    run, labels = sample(TwoProcesses((30.0, 0.0), n_targets=2), 2500, 100 + seed)
    sharp, blurred = one_hot(labels[..., 0], 2), softened(labels[..., 0], 2, wrong=0.02)
    for chi, allowed in ((sharp, {"complete"}), (blurred, {"complete", "below floor"})):
        verdict = verdict_on(run, chi, n_neighbors_per_element=4, seed=seed)
        assert verdict.status in allowed, verdict.words
        assert (verdict.ok, verdict.missing) == (True, ())


def test_below_the_floor_but_nothing_missed(sample: Toy) -> None:
    run, labels = sample(TwoProcesses((40.0, 0.0)), 4000, 11)
    rng = np.random.default_rng(5)
    noisy = np.where(rng.random(labels.shape[:2]) < 0.04, 1 - labels[..., 0], labels[..., 0])
    verdict = verdict_on(run, one_hot(noisy, 2))
    assert (verdict.status, verdict.ok, verdict.missing) == ("below floor", True, ())
    assert "less sharply" in verdict.words[0]


def test_nothing_slow(sample: Toy) -> None:
    run, labels = sample(TwoProcesses((3.0, 0.0)), 3000, 12)
    verdict = verdict_on(run, one_hot(labels[..., 0], 2))
    assert verdict.status == "nothing slow"
    assert verdict.slower_than_ps == 5.0  # two lag times; the process has 1.5 ps
    assert verdict.words[0].startswith("nothing slow: no process slower than 5 ps")


def test_scores_are_those_of_the_koopman_model(two: tuple[Trajectory, Any]) -> None:
    run, labels = two
    chi = softened(2 * labels[..., 0] + labels[..., 1], 4)
    verdict = verdict_on(run, chi)
    model = estimate_koopman_model(chi, lagtime=LAG, frame_interval=0.5)
    np.testing.assert_allclose(verdict.vamp2_score, model.vamp2_score, rtol=1e-8)
    score = 1.0 + (verdict.singular_values**2).sum()
    np.testing.assert_allclose(score, model.vamp2_score, rtol=1e-8)
    assert verdict.score_interval.lower < verdict.vamp2_score < verdict.score_interval.upper
    # Paired: the difference is known better than either.
    width = verdict.difference_interval.upper - verdict.difference_interval.lower
    assert width < verdict.score_interval.upper - verdict.score_interval.lower


def test_segments_and_targets_as_blocks(sample: Toy) -> None:
    from dataclasses import replace

    run, labels = sample(TwoProcesses((60.0, 15.0), n_targets=24), 240, 9)
    run = replace(run, segment_offsets=np.array([0, 90, 240]))
    chi = one_hot(labels[..., 1], 2)
    verdict = verdict_on(run, [chi[:90], chi[90:]], n_neighbors_per_element=4)
    assert verdict.blocks == "95% bootstrap over 24 groups of targets"
    assert verdict.status == "missed"
    assert verdict.missing[0].elements == ("S",)
    few = verdict_on(run, [chi[:90], chi[90:]], n_neighbors_per_element=4, by_target=False)
    assert few.blocks.endswith("blocks of time, shorter than two relaxation times: intervals are "
                               "too narrow")  # fmt: skip


@pytest.mark.parametrize(
    ("scores", "agree", "words"),
    [
        ([1.83, 1.835, 1.829], True, "3 restarts agree: scores 1.8290 to 1.8350."),
        ([1.83, 1.50, 1.829], False, "restarts disagree: 1 of 3 lie more than "),
    ],
)
def test_restarts(
    two: tuple[Trajectory, Any], scores: list[float], agree: bool, words: str
) -> None:
    run, labels = two
    chi = softened(2 * labels[..., 0] + labels[..., 1], 4)
    verdict = verdict_on(run, chi, restart_scores=scores)
    assert verdict.ok is agree
    assert verdict.words[-1].startswith(words)
    assert agree or verdict.words[-1].endswith("some missed a process.")


@pytest.mark.parametrize("scores", [[1.5], [1.5, float("nan")]])
def test_bad_restart_scores(two: tuple[Trajectory, Any], scores: list[float]) -> None:
    run, labels = two
    message = f"restart_scores must be at least two finite numbers, received {scores}"
    with pytest.raises(ValueError, match=re.escape(message)):
        verdict_on(run[:500], one_hot(labels[:500, :, 0], 2), restart_scores=scores)


def test_probabilities_of_other_frames(two: tuple[Trajectory, Any]) -> None:
    run, labels = two
    message = "frames and targets of the trajectories' segments, [(6000, 4)], received [(5999, 4)]"
    with pytest.raises(ValueError, match=re.escape(message)):
        verdict_on(run, one_hot(labels[1:, :, 0], 2))


# --- trained networks ---------------------------------------------------------------------------


def trained(run: Trajectory, n_states: int) -> Any:
    """A network trained until it has learned what it will."""
    from kgdyn.training import TrainingSettings

    parts = kgdyn.split_by_time(run, [0.8, 0.2])
    settings = TrainingSettings(epochs=5, batch_size=300, learning_rate=5e-3, seed=1)
    model, _ = kgdyn.train_gdynet(
        *parts,
        n_states=n_states,
        n_neighbors=8,
        lagtime=LAG,
        settings=settings,
        model_options={"n_convolutions": 1},
    )
    return model


@pytest.mark.slow
def test_a_trained_network_that_missed_a_process(
    sample: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where it was trained S never settled: a network that knows Cl only, with a fine CK test."""
    from kgdyn.cli._missed_processes import report_missed_processes
    from kgdyn.cli.validate import validate_states

    model = trained(sample(TwoProcesses((0.0, 15.0), n_targets=2), 2500, 20)[0], 2)
    run, labels = sample(TwoProcesses((60.0, 15.0), n_targets=2), 6000, 21)
    chi = kgdyn.assign_states(model, run)
    agreement = (chi.argmax(axis=-1) == labels[..., 1]).mean()
    assert max(agreement, 1.0 - agreement) > 0.95
    result = validate_states([chi], LAG, 0.5, tmp_path)
    assert result.ck.inside.mean() > 0.9
    capsys.readouterr()
    verdict = report_missed_processes([chi], [run], LAG, tmp_path / "koopman.json", [1.5, 1.8])
    assert verdict.status == "missed"
    names_it(verdict, "S", labels)
    printed = " ".join(capsys.readouterr().out.split())
    assert "Missed processes: a process was missed: timescale about" in printed
    assert "restarts disagree: 1 of 2" in printed
    values = json.loads((tmp_path / "koopman.json").read_text())
    assert values["missed_process"]["status"] == "missed"
    assert values["missed_process"]["missing"][0]["features"][0]["name"].startswith("distance to S")
    assert values["n_states"] == 2  # what was there is there


@pytest.mark.slow
def test_argyrodite(shared_data: Shared) -> None:
    """In the ordered crystal nothing is slow; in the disordered one noise missed the cages."""
    for name, n_runs in (("0p", 5), ("50p", 6)):
        path = shared_data(f"argyrodite/Li6PS5Cl_{name}_run{n_runs}.XDATCAR.gz")
        run = kgdyn.open_trajectory(path, targets="element Li", frame_interval=0.1)
        noise = np.random.default_rng(0).dirichlet([1, 1], size=(run.n_frames, 192))
        verdict = missed_process_verdict(noise, run, lagtime=10)
        if name == "0p":
            assert verdict.words[0].startswith("nothing slow: no process slower than 2 ps")
        else:
            assert verdict.status == "missed"
            assert verdict.missing[0].singular_value == pytest.approx(0.933, abs=0.01)
