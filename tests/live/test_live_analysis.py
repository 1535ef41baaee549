"""Frames to states: the numbers of assign_states, segments, repetitions, alarms, errors."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kgdyn import assign_states
from kgdyn.frames import TargetGroups
from kgdyn.koopman import Convergence, estimate_koopman_model
from kgdyn.live import CallbackSink, LiveAnalysis, LiveFrame, StatesFile, StreamInfo, read_states
from kgdyn.models import GDyNet
from kgdyn.trajectories import Trajectory

Make = Callable[..., Any]

LAGS = (1, 2, 5)


def followed(analysis: LiveAnalysis, frames: list[LiveFrame]) -> list[Any]:
    return [analysis.process(frame) for frame in frames]


@pytest.mark.parametrize(
    "options",
    [
        {"n_convolutions": 2},
        {"variant": "released", "n_states": 3, "n_outputs": 4},
        {"variable_neighbors": True, "envelope": True},
        {"pooling": "global", "target_pools": ("mean", "max")},
    ],
    ids=["paper", "released", "variable neighbours", "global"],
)
def test_equals_assign_states(
    options: dict[str, Any], liquid: Trajectory, model_of: Make, stream_of: Make, frame_of: Make
) -> None:
    model = model_of(**options)
    expected = assign_states(model, liquid)
    with LiveAnalysis(model, stream_of(liquid), lagtimes=LAGS) as analysis:
        found = followed(analysis, [frame_of(liquid, i) for i in range(14)])
    chi = np.stack([states.state_probabilities for states in found])
    assert chi.dtype == np.float32
    assert np.ptp(expected, axis=0).max() > 1e-3
    np.testing.assert_allclose(chi, expected, rtol=0.0, atol=1e-6)
    assert [states.new_segment for states in found] == [True] + [False] * 13
    assert analysis.n_frames == analysis.statistics.n_frames == 14
    assert analysis.statistics.n_targets == expected.shape[1]


def test_all_atoms_as_targets(
    liquid: Trajectory, model: GDyNet, stream_of: Make, frame_of: Make
) -> None:
    """Nothing is cut down then."""
    whole = liquid.with_targets(TargetGroups.from_indices(range(30)))
    analysis = LiveAnalysis(model, stream_of(whole))
    found = analysis.process(frame_of(whole, 3))
    np.testing.assert_allclose(
        found.state_probabilities, assign_states(model, whole[3:4])[0], rtol=0.0, atol=1e-6
    )


def test_wrapping_and_images_do_not_matter(
    liquid: Trajectory, analysis_of: Make, frame_of: Make
) -> None:
    frame = frame_of(liquid, 2)
    fractions = frame.positions @ np.linalg.inv(frame.cell)
    wrapped = (fractions - np.floor(fractions)) @ frame.cell
    first, second = followed(
        analysis_of(), [frame, replace(frame, positions=wrapped, step=30, images=None)]
    )
    np.testing.assert_allclose(
        first.state_probabilities, second.state_probabilities, rtol=0.0, atol=1e-6
    )


def test_the_model_is_traced_once(
    model_of: Make, liquid: Trajectory, stream_of: Make, frame_of: Make
) -> None:
    """Also where receptive fields differ in size from frame to frame."""
    model, traces = model_of(), []
    call = model.call_flat

    def counted(graph: Any, **options: Any) -> Any:
        traces.append(1)
        return call(graph, **options)

    model.call_flat = counted
    followed(LiveAnalysis(model, stream_of(liquid)), [frame_of(liquid, i) for i in range(14)])
    assert len(traces) == 1


# --- segments -----------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [10, None])
def test_a_frame_at_another_distance_starts_a_segment(
    known: int | None, liquid: Trajectory, analysis_of: Make, frame_of: Make
) -> None:
    analysis = analysis_of(stream={"steps_per_frame": known})
    steps = [100, 110, 120, 140, 150, 155, 165, 2000]
    found = followed(analysis, [frame_of(liquid, i, s) for i, s in enumerate(steps)])
    starts = [states.step for states in found if states.new_segment]
    assert starts == [100, 140, 155, 2000]
    assert analysis.statistics.n_segments == 4


def test_statistics_are_those_of_the_segments(
    liquid: Trajectory, analysis_of: Make, frame_of: Make
) -> None:
    analysis = analysis_of()
    indices = [0, 1, 2, 3, 4, 6, 7, 8, 10, 11, 12, 13]  # two frames were dropped
    followed(analysis, [frame_of(liquid, i) for i in indices])
    chi = assign_states(analysis.model, liquid)
    offline = estimate_koopman_model(
        [chi[0:5], chi[6:9], chi[10:14]], lagtime=2, frame_interval=0.5
    )
    live = analysis.statistics.koopman_model(2)
    np.testing.assert_allclose(live.koopman_matrix, offline.koopman_matrix, rtol=0.0, atol=1e-3)
    assert live.n_pairs == offline.n_pairs == 3 * (3 + 1 + 2)
    assert live.frame_interval == 0.5


def test_repetitions_are_skipped(liquid: Trajectory, analysis_of: Make, frame_of: Make) -> None:
    """A simulation that dies at step 40 and goes on from its restart file of step 20."""
    analysis = analysis_of()
    order = [0, 1, 2, 3, 4, 2, 3, 4, 5, 6]
    found = followed(analysis, [frame_of(liquid, i) for i in order])
    assert [states.step for states in found if states is not None] == [10 * i for i in range(7)]
    assert [k for k, states in enumerate(found) if states is None] == [5, 6, 7]
    assert (analysis.n_frames, analysis.n_skipped, analysis.last_step) == (7, 3, 60)
    assert analysis.statistics.n_segments == 1


def test_a_simulation_that_came_another_way_starts_a_segment(
    liquid: Trajectory, analysis_of: Make, frame_of: Make
) -> None:
    analysis = analysis_of()
    frames = [frame_of(liquid, i) for i in range(5)]
    frames += [frame_of(liquid, 9, 30), frame_of(liquid, 10, 40), frame_of(liquid, 11, 50)]
    found = followed(analysis, frames)
    assert found[5] is found[6] is None
    assert found[7].new_segment
    assert not analysis.process(frame_of(liquid, 12, 60)).new_segment


def test_steps_that_were_set_back_on_purpose(
    liquid: Trajectory, analysis_of: Make, frame_of: Make
) -> None:
    analysis = analysis_of(repeated="new_segment")
    found = followed(analysis, [frame_of(liquid, i, 10 * (i % 4)) for i in range(8)])
    assert [states.new_segment for states in found] == [True, False, False, False] * 2
    assert analysis.n_skipped == 0


# --- going on after a restart ---------------------------------------------------------------------


def test_goes_on_with_a_file_of_states(
    tmp_path: Path, liquid: Trajectory, analysis_of: Make, frame_of: Make
) -> None:
    path = tmp_path / "states.h5"
    with analysis_of(sinks=[StatesFile(path)], stream={"steps_per_frame": None}) as first:
        followed(first, [frame_of(liquid, i) for i in (0, 1, 2, 4, 5)])
    seen: list[int] = []
    sinks = [CallbackSink(lambda states, frame, statistics: seen.append(states.step))]
    with analysis_of(sinks=[*sinks, StatesFile(path)], stream={"steps_per_frame": None}) as second:
        assert second.last_step == 50
        assert second.statistics.n_frames == 5
        followed(second, [frame_of(liquid, i) for i in range(9)])
    assert seen == [60, 70, 80]
    assert (second.n_frames, second.n_skipped) == (3, 6)
    record = read_states(path)
    assert record.steps.tolist() == [0, 10, 20, 40, 50, 60, 70, 80]
    assert record.segment_starts.tolist() == [True, False, False, True] + [False] * 4
    offline = estimate_koopman_model(record.segments, lagtime=1, frame_interval=0.5)
    live = second.statistics.koopman_model(1)
    np.testing.assert_allclose(live.koopman_matrix, offline.koopman_matrix, rtol=0.0, atol=1e-10)
    np.testing.assert_allclose(live.populations, offline.populations, rtol=0.0, atol=1e-10)
    expected = assign_states(second.model, liquid)[[0, 1, 2, 4, 5, 6, 7, 8]]
    np.testing.assert_allclose(record.state_probabilities, expected, rtol=0.0, atol=1e-6)


def test_a_file_of_another_model(
    tmp_path: Path, liquid: Trajectory, analysis_of: Make, model_of: Make, frame_of: Make
) -> None:
    path = tmp_path / "states.h5"
    with analysis_of(sinks=[StatesFile(path)]) as first:
        first.process(frame_of(liquid, 0))
    other = model_of()
    other.head.set_weights([1.001 * weight for weight in other.head.get_weights()])
    closed: list[bool] = []
    sink: Any = CallbackSink(print)
    sink.close = lambda: closed.append(True)
    with pytest.raises(ValueError, match=r"states\.h5: holds states of the model with digest"):
        analysis_of(model=other, sinks=[sink, StatesFile(path)])
    with analysis_of(sinks=[sink, StatesFile(path)]):  # the file is free again
        assert closed == []
    assert closed == [True]


def test_the_digest_of_a_model_is_that_of_its_file(
    tmp_path: Path, model: GDyNet, liquid: Trajectory, analysis_of: Make
) -> None:
    from kgdyn import load_model

    model.save(tmp_path / "model.keras")
    again = analysis_of(model=load_model(tmp_path / "model.keras"))
    assert again.info.model_digest == analysis_of().info.model_digest
    assert len(again.info.model_digest) == 64


# --- what is refused ------------------------------------------------------------------------------


def test_bad_frames(liquid: Trajectory, analysis_of: Make, frame_of: Make) -> None:
    analysis = analysis_of()
    good = frame_of(liquid, 3)
    positions = good.positions.copy()
    positions[7, 1] = np.nan
    flat = good.cell.copy()
    flat[2] = flat[1]
    cases = [
        ({"positions": positions}, r"liquid, step 30: positions must be finite, .* for atom 7 "),
        ({"positions": positions[:29]}, r"liquid, step 30: positions must have .*\(29, 3\)"),
        ({"cell": flat}, r"liquid, step 30: the cell has zero volume"),
        ({"cell": np.eye(2)}, r"liquid, step 30: cell must have shape \(3, 3\)"),
        ({"cell": np.full((3, 3), np.inf)}, r"liquid, step 30: the cell must be finite"),
    ]
    for change, message in cases:
        with pytest.raises(ValueError, match=message):
            analysis.process(replace(good, **change))
    assert analysis.statistics.n_frames == 0
    assert analysis.process(good).new_segment


def test_unknown_element(liquid: Trajectory, analysis_of: Make) -> None:
    species = liquid.species.copy()
    species[4] = 11
    info = StreamInfo("in.run", species, liquid.pbc, liquid.targets)
    with pytest.raises(ValueError, match=r"in\.run: holds Na, which the model never saw"):
        analysis_of(info=info)


def test_too_few_atoms(analysis_of: Make) -> None:
    info = StreamInfo("in.run", [3, 16], False, TargetGroups.from_indices([0]))
    with pytest.raises(ValueError, match=r"in\.run.*n_neighbors=5 needs more than 5 atoms"):
        analysis_of(info=info)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_novel": "shout"}, "on_novel must be one of .* received 'shout'"),
        ({"on_novel": "save"}, "needs a novel_file"),
        ({"repeated": "keep"}, "repeated must be one of .* received 'keep'"),
        ({"check_every": 0}, "check_every must be at least 1, received 0"),
        ({"novel_frames": 0}, "novel_frames must be at least 1, received 0"),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str, analysis_of: Make) -> None:
    with pytest.raises(ValueError, match=message):
        analysis_of(**options)


def test_after_close(liquid: Trajectory, analysis_of: Make, frame_of: Make) -> None:
    analysis = analysis_of()
    analysis.close()
    analysis.close()
    with pytest.raises(RuntimeError, match="liquid: this analysis is closed"):
        analysis.process(frame_of(liquid, 0))


# --- sinks, latency, convergence ------------------------------------------------------------------


def test_an_error_of_a_callback_has_its_own_traceback(
    liquid: Trajectory, analysis_of: Make, frame_of: Make
) -> None:
    def fails(states: Any, frame: Any, statistics: Any) -> None:
        raise KeyError("of the user")

    with pytest.raises(KeyError, match="of the user") as caught:
        analysis_of(sinks=[CallbackSink(fails)]).process(frame_of(liquid, 0))
    assert caught.traceback[-1].name == "fails"


def test_all_sinks_are_closed(liquid: Trajectory, analysis_of: Make) -> None:
    closed: list[str] = []

    def sink(name: str, fails: bool = False) -> Any:
        def close() -> None:
            closed.append(name)
            if fails:
                raise OSError(f"{name} cannot be closed")

        return SimpleNamespace(open=lambda *_: None, write=lambda *_: None, close=close)

    analysis = analysis_of(sinks=[sink("a"), sink("b", True), sink("c", True)])
    with pytest.raises(OSError, match="cannot be closed"):
        analysis.close()
    assert sorted(closed) == ["a", "b", "c"]


def test_latency(liquid: Trajectory, analysis_of: Make, frame_of: Make) -> None:
    analysis = analysis_of()
    assert np.isnan(analysis.latency()).all()
    frame = frame_of(liquid, 0)
    found = followed(analysis, [replace(frame, received=frame.received - 5.0)])
    followed(analysis, [frame_of(liquid, 1)])
    assert found[0].latency > 5.0
    assert analysis.latency(1.0)[0] == found[0].latency
    assert analysis.latency(0.0)[0] < found[0].latency


def test_until(liquid: Trajectory, analysis_of: Make, frame_of: Make) -> None:
    asked: list[int] = []

    def met(statistics: Any) -> bool:
        asked.append(statistics.n_frames)
        return statistics.n_frames >= 8

    analysis = analysis_of(until=SimpleNamespace(met=met), check_every=4)
    flags = []
    for i in range(14):
        analysis.process(frame_of(liquid, i))
        flags.append(analysis.converged)
    assert asked == [4, 8]
    assert flags == [False] * 7 + [True] * 7


def test_until_in_words(analysis_of: Make) -> None:
    assert analysis_of(until="timescale 1 < 10%").until == Convergence("timescale 1", 0.1)


# --- another backend ------------------------------------------------------------------------------

ON_JAX = """
import sys
sys.modules["tensorflow"] = None  # an import of it raises
import numpy as np
import kgdyn
from kgdyn.frames import TargetGroups
from kgdyn.live import LiveAnalysis, LiveFrame, StreamInfo
folder = sys.argv[1]
with np.load(folder + "/liquid.npz") as file:
    system = {name: file[name] for name in file.files}
targets = TargetGroups(system["atoms"], system["offsets"])
info = StreamInfo("liquid", system["species"], True, targets, 0.5, 10)
analysis = LiveAnalysis(kgdyn.load_model(folder + "/model.keras"), info)
frames = zip(system["positions"], system["cells"])
found = [analysis.process(LiveFrame(x, cell, 10 * i)) for i, (x, cell) in enumerate(frames)]
np.save(folder + "/chi.npy", np.stack([states.state_probabilities for states in found]))
print(analysis.info.model_digest)
"""


@pytest.mark.slow
def test_on_jax(
    tmp_path: Path, model: GDyNet, liquid: Trajectory, analysis_of: Make, request: Any
) -> None:
    if importlib.util.find_spec("jax") is None:
        if request.config.getoption("--require-all"):
            pytest.fail("--require-all: JAX is not installed")
        pytest.skip("JAX is not installed")
    model.save(tmp_path / "model.keras")
    np.savez(
        tmp_path / "liquid.npz",
        positions=liquid.positions,
        cells=liquid.cells,
        species=liquid.species,
        atoms=liquid.targets.atoms,
        offsets=liquid.targets.offsets,
    )
    done = subprocess.run(
        [sys.executable, "-c", ON_JAX, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() == analysis_of().info.model_digest
    expected = assign_states(model, liquid)
    np.testing.assert_allclose(np.load(tmp_path / "chi.npy"), expected, rtol=0.0, atol=2e-6)
