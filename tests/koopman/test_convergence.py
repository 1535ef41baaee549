"""Conditions in words, when they are met, and what is said of them."""

from __future__ import annotations

import numpy as np
import pytest

from kgdyn.koopman import Convergence, RunningKoopman, one_hot
from kgdyn.toys import MarkovChain

CHAIN = MarkovChain(np.array([[0.95, 0.05], [0.1, 0.9]]))


@pytest.fixture(scope="module")
def statistics() -> RunningKoopman:
    found = RunningKoopman(2, 2, (1, 4), frame_interval=0.5)
    found.extend(one_hot(CHAIN.sample(6000, 2, rng=np.random.default_rng(3)), 2))
    return found


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("timescale 1 < 10%", ("timescale 1", 0.1, True, None)),
        ("  timescale  2<2.5 % ", ("timescale 2", 0.025, True, None)),
        ("timescale 1 at 20 < 5 ps", ("timescale 1", 5.0, False, 20)),
        ("timescale 1 < 5", ("timescale 1", 5.0, False, None)),
        ("population 1 < 0.01", ("population 1", 0.01, False, None)),
        ("population 3 < 5%", ("population 3", 0.05, True, None)),
        ("koopman_matrix 1 2 at 4 < 1e-3", ("koopman_matrix 1 2", 1e-3, False, 4)),
    ],
)
def test_parse(words: str, expected: tuple[str, float, bool, int | None]) -> None:
    found = Convergence.parse(words)
    assert (found.quantity, found.relative, found.lagtime) == (expected[0], *expected[2:])
    np.testing.assert_allclose(found.bound, expected[1], rtol=1e-12, atol=0)


def test_timescales_are_relative_unless_said_otherwise() -> None:
    assert Convergence("timescale 1", 0.1) == Convergence.parse("timescale 1 < 10%")
    assert Convergence("population 1", 0.1) == Convergence.parse("population 1 < 0.1")
    assert Convergence("timescale 1", 3.0, relative=False) == Convergence.parse("timescale 1 < 3ps")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("timescale 1", "condition must be like"),
        ("timescale 1 > 10%", "condition must be like"),
        ("timescale 1 < ten", "condition must be like"),
        ("timescale 1 < 1e", "condition must be like"),
        ("timescale < 1%", "condition must be like"),
        ("population 1 < 3 ps", "condition: only timescales are in ps"),
        ("score 1 < 3", "quantity must be like"),
        ("timescale 1 2 < 3", "quantity must be like"),
        ("koopman_matrix 1 < 3", "quantity must be like"),
        ("population 0 < 0.01", "states and timescales are counted from 1"),
        ("timescale 1 < 0%", "bound must be a positive number, received 0"),
    ],
)
def test_refuses_words(words: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Convergence.parse(words)


@pytest.mark.parametrize(
    ("quantity", "name", "place", "relative"),
    [
        ("timescale 1", "timescales", (0,), True),
        ("population 2", "populations", (1,), False),
        ("koopman_matrix 2 1", "koopman_matrix", (1, 0), False),
        ("koopman_matrix 2 1", "koopman_matrix", (1, 0), True),
    ],
)
def test_met_at_the_half_width(
    statistics: RunningKoopman, quantity: str, name: str, place: tuple[int, ...], relative: bool
) -> None:
    model = statistics.koopman_model(4)
    bounds = getattr(model, f"{name}_interval")
    if name == "populations":
        bounds = statistics.populations()
    value = {
        "timescales": model.timescales_ps(),
        "populations": statistics.mean_probabilities,
        "koopman_matrix": model.koopman_matrix,
    }[name][place]
    half = 0.5 * (bounds.upper[place] - bounds.lower[place]) / (value if relative else 1.0)
    assert Convergence(quantity, 1.001 * half, relative, lagtime=4).met(statistics)
    assert not Convergence(quantity, 0.999 * half, relative, lagtime=4).met(statistics)


def test_describe(statistics: RunningKoopman) -> None:
    model = statistics.koopman_model()
    value = model.timescales_ps()[0]
    interval = model.timescales_interval
    assert interval is not None
    lower, upper = interval.lower[0], interval.upper[0]
    said = Convergence.parse("timescale 1 < 10%").describe(statistics)
    assert said == (
        f"timescale 1: {value:.3f} ps [{lower:.3f}, {upper:.3f}], half width "
        f"{50 * (upper - lower) / value:.1f}% (bound 10%)"
    )
    said = Convergence.parse("population 1 at 4 < 0.02").describe(statistics)
    assert said.startswith(f"population 1: {statistics.mean_probabilities[0]:.4f} [")
    assert said.endswith(" (bound 0.02)")
    assert (
        Convergence.parse("timescale 1 at 4 < 2 ps")
        .describe(statistics)
        .startswith("timescale 1 at 4 frames: ")
    )


def test_too_little_data_is_never_enough() -> None:
    """Early on, intervals can be narrow by chance: 20 times over, none stops the run."""
    condition = Convergence.parse("population 1 < 5")  # met by any interval
    for seed in range(20):
        chi = one_hot(CHAIN.sample(60, 1, rng=np.random.default_rng(seed)), 2)
        statistics = RunningKoopman(2, 1, [1])
        for frame in chi:
            statistics.update(frame)
            if statistics.n_frames in (1, 2, 3, 10, 30, 60):
                assert not condition.met(statistics)
        said = condition.describe(statistics)
        assert said.startswith("population 1: ")
        assert "wanted" in said or "not independent" in said or "not known yet" in said


def test_a_process_faster_than_the_lag_time_is_not_known() -> None:
    """However narrow its interval: nothing was resolved, so that nothing has converged."""
    fast = MarkovChain(np.array([[0.55, 0.45], [0.4, 0.6]]))  # 0.53 frames
    found = RunningKoopman(2, 2, (1, 4), frame_interval=0.5)
    found.extend(one_hot(fast.sample(40_000, 2, rng=np.random.default_rng(3)), 2))
    condition = Convergence("timescale 1", 0.9)
    assert not condition.met(found)
    said = condition.describe(found)
    assert said.startswith("timescale 1: not known yet, the process is not slower than the lag")
    assert "(0.26" in said or "(0.27" in said
    assert said.endswith(" of 0.5)")
    assert Convergence("population 1", 0.1).met(found)  # which asks nothing of the speed


def test_says_what_is_missing() -> None:
    statistics = RunningKoopman(2, 1, [1], frame_interval=1.0)
    condition = Convergence("timescale 1", 0.1)
    assert condition.describe(statistics) == (
        "timescale 1: not known yet, no two frames of a segment are 1 frames apart yet, of 0 frames"
    )
    statistics.extend(one_hot(np.arange(40)[:, None] % 2, 2))
    assert not condition.met(statistics)
    assert "its eigenvalue is negative, complex or 1" in condition.describe(statistics)


def test_stops_a_run_once_its_bound_is_met() -> None:
    rng = np.random.default_rng(5)
    statistics = RunningKoopman(2, 3, [1])
    condition = Convergence.parse("timescale 1 < 8%")
    for _ in range(100):
        statistics.extend(one_hot(CHAIN.sample(500, 3, rng=rng), 2))
        if condition.met(statistics):
            break
    assert 2000 <= statistics.n_frames <= 20_000
    said = condition.describe(statistics)
    assert " frames [" in said
    assert said.endswith("(bound 8%)")


def test_refuses_what_the_statistics_do_not_have(statistics: RunningKoopman) -> None:
    with pytest.raises(ValueError, match="there are only 1, received 'timescale 2'"):
        Convergence("timescale 2", 0.1).met(statistics)
    with pytest.raises(ValueError, match=r"lagtime must be one of \[1, 4\], received 3"):
        Convergence("timescale 1", 0.1, lagtime=3).describe(statistics)
