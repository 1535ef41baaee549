"""Peaks and minima of curves that are known, and what is said where there is none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kgdyn.koopman import Interval, Resampling
from kgdyn.observables import StateRDF, first_shells, state_rdf
from kgdyn.trajectories import trajectory_from_arrays

EDGES = np.linspace(0.0, 8.0, 401)
RADII = 0.5 * (EDGES[1:] + EDGES[:-1])
DENSITY = 0.02


def curve(*peaks: tuple[float, float, float], level: float = 1.0, rise: float = 5.0) -> Any:
    """Gaussians (position, height, width) on a step that rises to ``level``."""
    result = level / (1.0 + np.exp(-(RADII - rise) / 0.2))
    for position, height, width in peaks:
        result = result + height * np.exp(-0.5 * ((RADII - position) / width) ** 2)
    return result


def rdf_of(curves: Any, names: Any, populations: Any, error: Any = 0.01) -> StateRDF:
    """(n_states, n_selections, n_bins) curves as a result, with errors that are given."""
    values = np.asarray(curves, dtype=float)
    shells = 4.0 / 3.0 * np.pi * np.diff(EDGES**3)
    counts = (values * shells * DENSITY).cumsum(axis=-1)
    reach = 1.96 * np.broadcast_to(np.asarray(error), values.shape)
    return StateRDF(
        radii=RADII,
        edges=EDGES,
        rdf=values,
        rdf_interval=Interval(values - reach, values + reach),
        coordination=counts,
        coordination_interval=Interval(counts * 0.98, counts * 1.02),
        densities=np.full(values.shape[:2], DENSITY),
        populations=np.asarray(populations, dtype=float),
        selections=tuple(names),
        n_frames=100,
        n_targets=10,
        centre="atom",
        resampling=Resampling(10),
    )


def test_a_peak_and_its_minimum() -> None:
    """Two shells of 4 and of many; between them nothing."""
    height = 4.0 / (DENSITY * 4.0 * np.pi * 2.1**2 * 0.1 * np.sqrt(2.0 * np.pi))
    rdf = rdf_of(
        [[curve((2.1, height, 0.1))], [curve((2.6, 3.0, 0.2), rise=3.6)]], ["O"], [0.6, 0.4]
    )
    found = first_shells(rdf, smoothing=0.02)
    assert found.positions[0, 0] == pytest.approx(2.1, abs=0.02)
    assert found.heights[0, 0] == pytest.approx(height, rel=0.05)
    assert found.coordination[0, 0] == pytest.approx(4.0, rel=0.02)
    assert 2.5 < found.minima[0, 0] < 4.2
    interval = found.coordination_interval
    assert interval.lower[0, 0] == pytest.approx(0.98 * found.coordination[0, 0])
    assert interval.upper[0, 0] == pytest.approx(1.02 * found.coordination[0, 0])
    low = RADII[130:200][np.argmin(rdf.rdf[1, 0, 130:200])]
    assert found.minima[1, 0] == pytest.approx(low, abs=0.03)
    # Where the shell ends is where the running number is read: the edge behind the bin.
    place = int(np.searchsorted(EDGES, found.minima[1, 0] - 1e-9)) - 1
    assert found.coordination[1, 0] == rdf.coordination[1, 0, place]
    assert found.notes == (("",), ("",))
    # States are compared within one radius.
    at = int(np.searchsorted(EDGES, found.common_minima[0] - 1e-9)) - 1
    assert np.array_equal(found.common_coordination[:, 0], rdf.coordination[:, 0, at])
    smooth = first_shells(rdf, smoothing=0.1)
    assert smooth.positions[0, 0] == pytest.approx(2.1, abs=0.03)
    assert smooth.heights[0, 0] == pytest.approx(height / np.sqrt(2.0), rel=0.05)
    assert smooth.coordination[0, 0] == pytest.approx(4.0, rel=0.02)


def test_what_is_missing_is_said() -> None:
    rising = curve(level=0.9, rise=6.0)
    flat = np.ones_like(RADII)
    last = curve((5.0, 3.0, 0.4), level=0.0)
    rdf = rdf_of([[rising, flat, last]], ["A", "B", "C"], [1.0])
    found = first_shells(rdf)
    assert found.notes == (("no peak above 1", "no peak above 1", "no minimum after the peak"),)
    assert np.isnan(found.positions[0, :2]).all()
    assert found.positions[0, 2] == pytest.approx(5.0, abs=0.03)
    assert np.isnan(found.minima).all()
    assert np.isnan(found.coordination).all()
    assert np.isnan(found.common_minima).all()
    assert repr(found) == (
        "FirstShells(n_states=1, selections=['A', 'B', 'C'], shells found=0 of 3, "
        "smoothing=0.1 angstrom)"
    )
    nothing = first_shells(replace(rdf, rdf=np.full_like(rdf.rdf, np.nan)))
    assert nothing.notes == (("no g(r)",) * 3,)


def test_noise_makes_no_peak(rng: np.random.Generator) -> None:
    """An ideal gas, by its real intervals: nearly always nothing."""
    cell = 14.0 * np.eye(3)
    peaks = 0
    for _ in range(5):
        run = trajectory_from_arrays(
            rng.random((60, 60, 3)) @ cell, cell, [3] * 10 + [8] * 50, frame_interval=1.0,
            targets=range(10),
        )  # fmt: skip
        rdf = state_rdf(run, selections=["O"], r_max=7.0, n_bins=70, resampling=Resampling(3))
        peaks += first_shells(rdf).notes[0][0] == ""
    assert peaks <= 1


def test_a_peak_must_stand_out_of_its_error() -> None:
    small = curve((2.5, 0.8, 0.3), (3.5, -0.2, 0.3), level=1.0, rise=1.5)
    assert first_shells(rdf_of([[small]], ["O"], [1.0], 0.01)).notes == (("",),)
    assert first_shells(rdf_of([[small]], ["O"], [1.0], 2.0)).notes == (("no peak above 1",),)


@pytest.mark.filterwarnings("ignore:one block of data has no spread")
def test_lattice_shells_are_exact() -> None:
    """Face-centred cubic: 12 neighbours at a / sqrt(2), then 6 at a."""
    basis = 2.0 * np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]])
    run = trajectory_from_arrays(
        basis[None] + 0.7, 4.0 * np.eye(3), [13] * 4, frame_interval=1.0, targets=[0]
    )
    found = first_shells(state_rdf(run, r_max=4.5, n_bins=90, resampling=Resampling(1)))
    assert found.positions[0, 0] == pytest.approx(4.0 / np.sqrt(2.0), abs=0.05)
    assert found.coordination[0, 0] == pytest.approx(12.0)
    assert 3.0 < found.minima[0, 0] < 3.9


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r"smoothing must not be negative, .* received -1\.0"):
        first_shells(rdf_of([[curve()]], ["O"], [1.0]), smoothing=-1.0)
