"""Extended XYZ as ASE and this package read it back."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest

import kgdyn
from kgdyn.exports import write_extxyz
from kgdyn.frames import TargetGroups

GENERAL = [[3.0, 4.0, 0.5], [-2.0, 3.5, 1.0], [0.5, -1.0, 6.5]]
Make = Callable[..., Any]


def test_ase_reads_what_was_written(
    make: Make, states: Any, expected_states: Any, tmp_path: Path
) -> None:
    run = make(GENERAL, pbc=[True, True, False])
    write_extxyz(tmp_path / "run.extxyz", run, states)
    read = ase.io.read(tmp_path / "run.extxyz", index=":")
    assert len(read) == 4
    for number, atoms in enumerate(read):
        np.testing.assert_array_equal(atoms.numbers, run.species)
        np.testing.assert_allclose(atoms.positions, run.positions[number], rtol=0, atol=1e-7)
        np.testing.assert_allclose(atoms.cell[:], run.cells[number], rtol=1e-12)
        assert atoms.pbc.tolist() == [True, True, False]
        assert atoms.info["time_ps"] == pytest.approx(0.5 * number)
        assert atoms.info["frame"] == number
        np.testing.assert_array_equal(atoms.arrays["state"], expected_states[number])
        found = atoms.arrays["state_probabilities"]
        assert not found[1].any()  # in no target
        np.testing.assert_allclose(found[0], states[number, 0], atol=1e-8)
        np.testing.assert_allclose(found[[2, 3]], states[number, [1, 1]], atol=1e-8)
        np.testing.assert_allclose(atoms.arrays["state_probability"], found.max(axis=1))


def test_this_package_reads_it(make: Make, states: Any, tmp_path: Path) -> None:
    run = make()
    write_extxyz(tmp_path / "run.extxyz.gz", run[1:], states[1:], frames=[2, 0])
    with gzip.open(tmp_path / "run.extxyz.gz", "rt") as file:
        assert file.readline() == "5\n"
        assert "frame=3" in file.readline()
    read = kgdyn.open_trajectory(
        tmp_path / "run.extxyz.gz", targets="element Li", frame_interval=0.5
    )
    np.testing.assert_allclose(read.positions, run.positions[[3, 1]], rtol=0, atol=1e-7)
    np.testing.assert_array_equal(read.species, run.species)


def test_global_states_are_those_of_all_targets(make: Make, states: Any, tmp_path: Path) -> None:
    done = []
    write_extxyz(
        tmp_path / "run.extxyz",
        make(),
        states[:, :1],
        frames=slice(0, None, 2),
        progress=lambda *counts: done.append(counts),
    )
    first, second = ase.io.read(tmp_path / "run.extxyz", index=":")
    state = 1 + int(states[0, 0].argmax())
    assert first.arrays["state"].tolist() == [state, 0, state, state, state]
    assert second.info["frame"] == 2
    assert done == [(1, 2), (2, 2)]


def test_beads_have_numbers_for_names(make: Make, states: Any, tmp_path: Path) -> None:
    run = make(species=np.array([3, 130, 8, 1, 3]))
    write_extxyz(tmp_path / "run.extxyz", run, states)
    names = [line.split()[0] for line in (tmp_path / "run.extxyz").read_text().splitlines()[2:7]]
    assert names == ["Li", "130", "O", "H", "Li"]


def test_of_an_atom_in_several_targets_the_first_counts(
    make: Make, states: Any, tmp_path: Path
) -> None:
    run = make(targets=TargetGroups.from_groups([[0], [0, 1], [1]]))
    write_extxyz(tmp_path / "run.extxyz", run, states)
    found = ase.io.read(tmp_path / "run.extxyz", index=0).arrays["state_probabilities"]
    np.testing.assert_allclose(found[:2], states[0, :2], atol=1e-8)


def test_what_is_refused_leaves_no_file(make: Make, states: Any, tmp_path: Path) -> None:
    run, path = make(), tmp_path / "run.extxyz"
    with pytest.raises(ValueError, match=r"\(n_frames, n_targets, n_states\) = \(4, 3, n_states\)"):
        write_extxyz(path, run, states[:, :2])
    with pytest.raises(ValueError, match=r"toy: frames must be from 0 to 3, received \[1, 4\]"):
        write_extxyz(path, run, states, frames=[1, 4])
    with pytest.raises(ValueError, match="frames must be from 0 to 3"):
        write_extxyz(path, run, states, frames=[-1])
    bad = states.copy()
    bad[2, 1, 0] += 0.01
    with pytest.raises(ValueError, match=r"toy, frame 2: rows of state_prob.* for target 1"):
        write_extxyz(path, run, bad)
    bad[2, 1, 0] = np.nan
    with pytest.raises(ValueError, match="toy, frame 2: rows"):
        write_extxyz(path, run, bad)
    assert list(tmp_path.iterdir()) == []
    write_extxyz(path, run, states)
    before = path.read_text()
    with pytest.raises(ValueError, match="toy, frame 2: rows"):
        write_extxyz(path, run, bad)
    assert path.read_text() == before
