"""The toy of two processes: what it says of itself is what its samples show."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from kgdyn.toys import TwoProcesses


def test_labels_relax_as_the_timescales_say(rng: np.random.Generator) -> None:
    toy = TwoProcesses((20.0, 5.0), (0.5, 0.3), n_targets=40)
    _, labels = toy.sample(5000, rng=rng)
    assert labels.shape == (5000, 40, 2)
    np.testing.assert_allclose(labels.mean(axis=(0, 1)), [0.5, 0.3], atol=0.02)
    for process, time in enumerate(toy.timescales):
        np.testing.assert_allclose(toy.chain(process).timescales, [time], rtol=1e-10)
        values = labels[..., process] - labels[..., process].mean()
        found = (values[:-5] * values[5:]).mean() / values.var()
        assert found == pytest.approx(np.exp(-5.0 / time), rel=0.03)


def test_a_timescale_of_zero_is_no_process(rng: np.random.Generator) -> None:
    _, labels = TwoProcesses((20.0, 0.0), n_targets=40).sample(2000, rng=rng)
    values = labels[..., 1] - 0.5
    assert abs((values[:-1] * values[1:]).mean() / 0.25) < 0.02


def test_distances_follow_the_labels(rng: np.random.Generator) -> None:
    toy = TwoProcesses(n_targets=3, noise=0.0)
    positions, labels = toy.sample(50, rng=rng)
    assert positions.shape == (50, len(toy.species), 3)
    atoms = positions.reshape(50, 3, 9, 3).astype(float)
    distances = np.linalg.norm(atoms[:, :, 1:] - atoms[:, :, :1], axis=-1)
    for first, process, (narrow, wide) in ((0, 0, (2.4, 2.9)), (4, 1, (3.4, 4.0))):
        expected = np.where(labels[..., process] == 1, wide, narrow)
        for atom in range(first, first + 4):
            np.testing.assert_allclose(distances[..., atom], expected, atol=1e-5)
    assert toy.species[toy.targets].tolist() == [3, 3, 3]
    assert positions.min() > 0.0
    assert (positions < np.diag(toy.cell)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"timescales": (-1.0, 1.0)}, "timescales must not be negative, received (-1.0, 1.0)"),
        ({"populations": (0.5, 1.0)}, "populations must lie between 0 and 1, received (0.5, 1.0)"),
        ({"n_targets": 0}, "n_targets must be at least 1, received 0"),
    ],
)
def test_bad_arguments(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        TwoProcesses(**arguments)
