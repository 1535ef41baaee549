"""State probabilities of a whole trajectory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

from kgdyn.frames import TargetGroups
from kgdyn.models import GDyNet
from kgdyn.training import assign_states, check_elements, frames_dataset
from kgdyn.trajectories import Trajectory

Hopping = Callable[..., Trajectory]


@pytest.fixture(scope="module")
def trajectory(hopping: Hopping) -> Trajectory:
    found = hopping(25, seed=1)
    return found.with_targets(TargetGroups.from_groups([[0], [1, 2], [3]]))


def model_of(**options: Any) -> GDyNet:
    keras.utils.set_random_seed(2)
    return GDyNet(3, [3, 16], 3, **options)


@pytest.mark.parametrize(
    "options",
    [{}, {"variant": "released"}, {"variable_neighbors": True, "envelope": True}],
    ids=["paper", "released", "variable neighbours"],
)
def test_equals_predict(options: dict[str, Any], trajectory: Trajectory) -> None:
    model = model_of(**options)
    chi = assign_states(model, trajectory, batch_size=7)
    assert chi.shape == (25, 3, 3)
    assert chi.dtype == np.float32
    predicted = model.predict(frames_dataset(trajectory, n_neighbors=3), verbose=0)
    assert np.ptp(chi[:, 0], axis=0).max() > 1e-4
    np.testing.assert_allclose(chi.reshape(-1, 3), predicted, rtol=0.0, atol=1e-6)
    np.testing.assert_allclose(chi.sum(axis=2), 1.0, rtol=0.0, atol=1e-6)


def test_global_pooling_has_one_row_a_frame(trajectory: Trajectory) -> None:
    model = model_of(pooling="global")
    chi = assign_states(model, trajectory, batch_size=7)
    assert chi.shape == (25, 1, 3)
    predicted = model.predict(frames_dataset(trajectory, n_neighbors=3), verbose=0)
    assert np.ptp(predicted, axis=0).max() > 1e-4
    np.testing.assert_allclose(chi[:, 0], predicted, rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("batch_size", [10, None])
def test_batch_size_does_not_matter(batch_size: int | None, trajectory: Trajectory) -> None:
    model = model_of()
    expected = assign_states(model, trajectory, batch_size=4)
    np.testing.assert_allclose(
        assign_states(model, trajectory, batch_size=batch_size), expected, rtol=0.0, atol=1e-6
    )


def test_progress(trajectory: Trajectory) -> None:
    seen: list[tuple[int, int]] = []
    assign_states(model_of(), trajectory, batch_size=10, progress=lambda *state: seen.append(state))
    assert seen == [(10, 25), (20, 25), (25, 25)]


def test_several_trajectories_are_refused(trajectory: Trajectory) -> None:
    with pytest.raises(TypeError, match=r"trajectory must be one kgdyn.Trajectory .*received list"):
        assign_states(model_of(), [trajectory])  # type: ignore[arg-type]


def test_unknown_element(trajectory: Trajectory) -> None:
    strange = replace(trajectory, species=np.array([3, 16, 11, 500], np.int32))
    message = r"hopping 1: holds Na, type 500, which the model never saw; it knows Li, S"
    with pytest.raises(ValueError, match=message):
        assign_states(model_of(), strange)
    with pytest.raises(ValueError, match=message):
        check_elements(model_of(), strange)


def test_fewer_elements_than_the_model_knows(trajectory: Trajectory) -> None:
    check_elements(model_of(), replace(trajectory, species=np.array([16] * 4, np.int32)))


def test_bad_frame_is_a_value_error(trajectory: Trajectory) -> None:
    positions = trajectory.positions.copy()
    positions[13, 2, 0] = np.inf
    bad = replace(trajectory, positions=positions)
    with pytest.raises(ValueError, match=r"hopping 1, frame 13: positions must be finite"):
        assign_states(model_of(), bad, batch_size=5)


def test_too_few_atoms(trajectory: Trajectory) -> None:
    small = replace(
        trajectory,
        positions=trajectory.positions[:, :3],
        species=trajectory.species[:3],
        targets=TargetGroups.from_indices([0]),
    )
    with pytest.raises(ValueError, match=r"n_neighbors=3 needs more than 3 atoms .* received 3"):
        assign_states(model_of(), small)
