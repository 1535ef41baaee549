"""The surroundings of a training, found at its end and compared with others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kgdyn.frames import TargetGroups
from kgdyn.models import GDyNet, load_model
from kgdyn.training import (
    TrainingSettings,
    assign_novelty,
    assign_states,
    fit_novelty,
    novelty,
    train_gdynet,
)
from kgdyn.trajectories import Trajectory, split_by_time, trajectory_from_arrays

Hopping = Callable[..., Trajectory]


def network(**options: Any) -> GDyNet:
    defaults: dict[str, Any] = {"n_neighbors": 3, "n_convolutions": 1, "n_features": 4}
    return GDyNet(2, [3, 16], **{**defaults, **options})


def equal(first: Any, other: Any) -> bool:
    mine, theirs = first.to_arrays(), other.to_arrays()
    return all(np.array_equal(mine[name], theirs[name]) for name in mine)


def test_fit_and_assign(hopping: Hopping) -> None:
    model = network()
    with pytest.raises(ValueError, match=r"fit_novelty\(model, trajectories\) tells it"):
        assign_novelty(model, hopping(5, seed=1))
    found = fit_novelty(model, hopping(1500, seed=1), hopping(700, seed=2))
    assert equal(found, model.novelty)
    fresh = hopping(1000, seed=3)
    done: list[tuple[int, int]] = []
    values = assign_novelty(
        model, fresh, batch_size=300, progress=lambda *state: done.append(state)
    )
    assert done == [(300, 1000), (600, 1000), (900, 1000), (1000, 1000)]
    assert values.shape == (1000, 1)
    assert values.dtype == np.float32
    assert (values > 1.0).mean() < 0.005
    np.testing.assert_array_equal(values, assign_novelty(model, fresh))
    positions = fresh.positions.copy()
    positions[500:, 1, 0] = 0.8
    changed = assign_novelty(model, replace(fresh, positions=positions))
    np.testing.assert_array_equal(changed[:500], values[:500])
    assert changed[500:].min() > 2.0


def test_a_fifth_is_held_out(hopping: Hopping) -> None:
    whole = hopping(1000, seed=1)
    parts = split_by_time(whole, [0.8, 0.2], n_blocks=10)
    assert equal(fit_novelty(network(), whole), fit_novelty(network(), *parts))
    short = hopping(3, seed=1)
    assert equal(fit_novelty(network(), short), fit_novelty(network(), short, short))


def many_targets(n_frames: int, rng: np.random.Generator) -> Trajectory:
    positions = rng.random((n_frames, 12, 3)) * 8.0
    targets = TargetGroups(np.arange(12), np.array([0, 1, 2, 4, 8, 12]))
    species = np.tile([3, 16], 6)
    return trajectory_from_arrays(
        positions, 8.0 * np.eye(3), species, frame_interval=1.0, targets=targets
    )


def test_samples_are_bounded_and_spread(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"_MOST_FRAMES": 60, "_MOST_ROWS": 100, "_ATOMS_PER_BATCH": 120}.items():
        monkeypatch.setattr(novelty, name, value)
    parts = [many_targets(30, rng), many_targets(170, rng)]
    sample = novelty._Sample(parts, 3)
    frames = list(zip(sample.which.tolist(), sample.frames.tolist(), strict=True))
    assert len(frames) == len(set(frames)) == 60
    assert frames[0] == (0, 0)
    assert frames[-1] == (1, 169)
    assert sum(which == 0 for which, _ in frames) == 9  # 30 of 200 frames
    taken = np.concatenate([rows + 5 * 10 * k for k, (_, rows) in enumerate(sample)])
    assert len(taken) == 100
    assert set((taken % 5).tolist()) == {0, 1, 2, 3, 4}
    monkeypatch.setattr(novelty, "_MOST_ATOMS", 12 * 55)
    assert len(novelty._Sample(parts, 3).frames) == 55


@pytest.mark.parametrize(
    "options",
    [{"pooling": "global"}, {"variable_neighbors": True}, {"target_pools": ["mean", "max"]}],
)
def test_one_number_a_target_whatever_the_model(
    options: dict[str, Any], rng: np.random.Generator
) -> None:
    """It is the surroundings' own: options of the network change nothing."""
    trajectory = many_targets(80, rng)
    model, plain = network(**options), network()
    assert equal(fit_novelty(model, trajectory), fit_novelty(plain, trajectory))
    values = assign_novelty(model, trajectory)
    assert values.shape == (80, 5)
    assert (values < 1.0).mean() > 0.98


def test_bad_frames(hopping: Hopping) -> None:
    """Left out of the fit: a training may never have met them. Not left out where assigned."""
    good = hopping(300, seed=1)
    positions = good.positions.copy()
    positions[[7, 8, 299], 0] = np.nan
    bad = replace(good, positions=positions)
    keep = np.delete(np.arange(300), [7, 8, 299])
    model = network()
    found = fit_novelty(model, bad, bad)
    kept = replace(
        good, positions=good.positions[keep], cells=good.cells[keep], segment_offsets=None
    )
    assert equal(found, fit_novelty(network(), kept, kept))
    with pytest.raises(ValueError, match="hopping 1, frame 7: positions must be finite"):
        assign_novelty(model, bad)
    with pytest.raises(ValueError, match="hopping 1: no frame is finite"):
        fit_novelty(model, replace(good, positions=np.full_like(positions, np.nan)))


def test_unknown_element(hopping: Hopping) -> None:
    strange = replace(hopping(20, seed=2), species=np.array([3, 16, 16, 11], np.int32))
    model = network()
    with pytest.raises(ValueError, match="hopping 2: holds Na, which the model never saw"):
        fit_novelty(model, strange)
    fit_novelty(model, hopping(50, seed=1))
    with pytest.raises(ValueError, match="hopping 2: holds Na, which the model never saw"):
        assign_novelty(model, strange)


@pytest.mark.slow
def test_at_the_end_of_a_training(hopping: Hopping, tmp_path: Path) -> None:
    """In the model and its file, the same when resumed; the weights are those without."""
    data = hopping(300, seed=1), hopping(150, seed=2)
    sizes: dict[str, Any] = {"n_states": 2, "n_neighbors": 3, "lagtime": 2}
    sizes["model_options"] = {"n_convolutions": 1, "n_features": 4}

    def train(**options: Any) -> Any:
        settings = TrainingSettings(epochs=1, batch_size=300, novelty=options.pop("novelty", True))
        return train_gdynet(*data, settings=settings, **sizes, **options)[0]

    model = train(folder=tmp_path)
    expected = fit_novelty(network(), *data)
    for found in (model, load_model(tmp_path / "model.keras"), train(folder=tmp_path)):
        assert equal(found.novelty, expected)
    plain = train(novelty=False)
    assert plain.novelty is None
    for mine, theirs in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    test = hopping(50, seed=3)
    np.testing.assert_array_equal(assign_states(model, test), assign_states(plain, test))


@pytest.mark.slow
def test_li_in_sulfur(shared_data: Callable[[str], Path]) -> None:
    """The second half of a simulation is known by the first; a changed lattice is not."""
    with np.load(shared_data("li_fcc_s") / "LiS_fcc_clean_s1.npz") as archive:
        positions, cells = archive["traj_coords"][::10], archive["lattices"][::10]
        species = archive["atom_types"]
    whole = trajectory_from_arrays(
        positions.astype(np.float64), cells, species, frame_interval=1.0, targets=[0]
    )
    train, validation, test = split_by_time(whole, [0.4, 0.1, 0.5])
    model = network(n_neighbors=12)
    fit_novelty(model, train, validation)
    assert (assign_novelty(model, test[0]) > 1.0).mean() < 0.003
    some = test[0][:500]
    larger = replace(some, positions=1.05 * some.positions, cells=1.05 * some.cells)
    assert assign_novelty(model, larger).min() > 1.2
