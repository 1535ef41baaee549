"""Frames read in LAMMPS' callback: order, images, cell, units, and what must not change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kgdyn.integrations.lammps.frame_capture import FrameCapture
from kgdyn.integrations.lammps.lammps_memory import unpacked_images
from kgdyn.integrations.lammps.ranks import Ranks
from kgdyn.integrations.lammps.units import unit_scale
from numpy.testing import assert_allclose, assert_array_equal

from kgdyn.trajectories import SourceOptions, open_source

pytestmark = pytest.mark.lammps

# Ideal atoms with gaps in their ids, fast enough to leave a small cell often.
GAS = """\
units {units}
atom_modify map array sort 1 {one}
{box}
create_box 2 r
create_atoms 1 random 12 4711 NULL
create_atoms 2 random 8 815 NULL
mass 1 1.0
mass 2 2.0
pair_style zero {two}
pair_coeff * *
neighbor {skin} bin
group gone id 3 7 {gone}
delete_atoms group gone compress no
"""


def gas(units: str = "metal", one: float = 1.0, box: str = "", gone: str = "") -> str:
    box = box or "boundary p p p\nregion r prism -3 5 1 7 0.5 8 2.0 -1.5 1.2"
    return GAS.format(units=units, one=one, two=2 * one, skin=0.3 * one, box=box, gone=gone)


def captured(engine: Any, every: int, scale: Any = None) -> tuple[list[Any], list[Any], Any]:
    """Frames and errors of a callback each ``every`` steps, filled as LAMMPS runs."""
    scale = scale or unit_scale(engine.extract_global("units"))
    capture = FrameCapture(engine, Ranks(), scale)
    frames: list[Any] = []
    errors: list[Any] = []

    def called(_: Any, step: int, n_local: int, *__: Any) -> None:
        try:
            if not frames or step > frames[-1].step:
                frames.append(capture.take(step, n_local))
        except ValueError as error:
            errors.append(str(error))

    engine.command(f"fix look all external pf/callback {every} 1")
    engine.set_fix_external_callback("look", called, None)
    return frames, errors, capture


MIXED = "boundary p m s\nregion r block -3 5 1 7 0.5 8"
MIXED_TILTED = "boundary p p m\nregion r prism -3 5 1 7 0.5 8 2.0 0.0 0.0"
MOVES = "velocity all create 30000.0 12345 loop geom\ntimestep 0.01\nfix move all nve"
BREATHES = (
    "velocity all create 30000.0 12345 loop geom\ntimestep 0.005\n"
    "fix move all npt temp 30000 30000 0.1 tri 10000 50000 0.1"
)


@pytest.mark.parametrize(
    ("box", "motion"), [("", MOVES), ("", BREATHES), (MIXED, MOVES), (MIXED_TILTED, MOVES)]
)
def test_frames_are_those_of_a_dump(
    start: Callable[..., Any], tmp_path: Path, box: str, motion: str
) -> None:
    engine = start(gas(box=box), motion)
    frames, errors, capture = captured(engine, 10)
    path = tmp_path / "run.dump"
    engine.commands_string(
        f"dump d all custom 10 {path} id type x y z ix iy iz\n"
        "dump_modify d format float %.17g time yes units yes\nrun 35\nrun 60"
    )
    engine.command("undump d")
    assert not errors
    source = open_source(path, SourceOptions(elements=["H", "He"]))
    (chunk,) = source.chunks(1000)
    assert [frame.step for frame in frames] == chunk.steps.tolist() == list(range(0, 91, 10))
    assert_array_equal(capture.ids, source.atom_ids)
    assert len(capture.ids) == 18
    assert capture.ids[-1] == 20
    for frame, positions, cell, images, time in zip(
        frames, chunk.positions, chunk.cells, chunk.images, chunk.times, strict=True
    ):
        assert_allclose(frame.positions, positions, rtol=0, atol=1e-12)
        assert_allclose(frame.cell, cell, rtol=0, atol=1e-12)
        assert_array_equal(frame.images, images)
        assert frame.time == pytest.approx(time, rel=1e-12)
    assert np.ptp([frame.images for frame in frames], axis=0).max() > 2
    cell_moves = np.ptp([frame.cell for frame in frames], axis=0).max() > 0.05
    assert cell_moves == (box != "" or motion is BREATHES)
    assert not np.array_equal(capture._order, np.arange(18))  # rows do come out of order


@pytest.mark.parametrize(
    ("units", "one", "scale"),
    [
        ("real", 1.0, unit_scale("real")),
        ("si", 1e-10, unit_scale("si")),
        ("cgs", 1e-8, unit_scale("cgs")),
        ("electron", 1.0, unit_scale("electron")),
        ("nano", 0.1, unit_scale("nano")),
        ("micro", 1e-4, unit_scale("micro")),
        ("lj", 1.0, unit_scale("lj", 3.4, 2.0)),
    ],
)
def test_angstrom_and_ps_in_all_units(
    start: Callable[..., Any], units: str, one: float, scale: Any
) -> None:
    box = " ".join(f"{value * one}" for value in (-3, 5, 1, 7, 0.5, 8))
    engine = start(gas(units, one, box=f"region r block {box}"), "timestep 0.5")
    frames, errors, _ = captured(engine, 2, scale)
    engine.command("run 2")
    assert not errors
    length = one * scale.length
    assert_allclose(frames[1].cell, np.diag([8.0, 6.0, 7.5]) * length, rtol=1e-12, atol=0)
    by_hand = np.zeros((18, 3))
    tags = engine.numpy.extract_atom("id")[:18]
    places = engine.numpy.extract_atom("x")[:18] - np.array([-3, 1, 0.5]) * one
    by_hand[np.searchsorted(np.sort(tags), tags)] = places * scale.length
    assert_allclose(frames[1].positions, by_hand, rtol=1e-12, atol=1e-12 * length)
    assert frames[1].time == pytest.approx(2 * 0.5 * scale.time, rel=1e-12)


def test_lost_and_created_atoms_are_named(start: Callable[..., Any]) -> None:
    engine = start(gas())
    _, errors, _ = captured(engine, 1)
    engine.commands_string("run 1\ngroup two id 5 12\ndelete_atoms group two compress no\nrun 1")
    assert errors == [
        "step 2: the atoms must stay the same while they are followed; lost: id 5, 12 "
        "(18 atoms at the start, 16 now)"
    ] or errors[-1].endswith("lost: id 5, 12 (18 atoms at the start, 16 now)")
    engine.commands_string("create_atoms 1 single 0 2 2\ncreate_atoms 1 single 1 2 2\nrun 1")
    assert "lost: id 5, 12, created: id 21, 22 (18 atoms" in errors[-1]


def test_ids_with_wide_gaps(start: Callable[..., Any]) -> None:
    engine = start(gas(gone="1:20"))
    places = [0.0, 2.0, 3.0, 1.0, 3.0, 3.0, 0.5, 4.0, 5.0]
    engine.create_atoms(3, [90001, 5000, 70000], [1, 2, 1], places)
    frames, errors, capture = captured(engine, 1)
    engine.command("run 1")
    assert capture.ids.tolist() == [5000, 70000, 90001]
    assert capture.types.tolist() == [2, 1, 1]
    assert len(capture._row_of_id) == 0  # a search, not a table
    assert not errors
    assert len(frames) == 2
    origin = np.array([-3, 1, 0.5])
    expected = np.reshape(places, (3, 3))[[1, 2, 0]] - origin
    assert_allclose(frames[0].positions, expected, rtol=0, atol=1e-12)
    assert capture.rows_of(np.array([5000, 6000, 90001, 99999])).tolist() == [0, -1, 2, -1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("set atom 5 type 2", "step 2: types must stay the same .* id 5 had type 1, has now 2"),
        ("timestep 0.25", "step 2: the time step changed from 0.001 to 0.25: frames would not"),
        (
            "change_box all boundary p p f",
            r"step 2: periodicity must stay \[True, True, True\], is now \[True, True, False\]",
        ),
    ],
)
def test_what_must_not_change(start: Callable[..., Any], change: str, message: str) -> None:
    engine = start(gas(box="region r block -3 5 1 7 0.5 8"))
    _, errors, _ = captured(engine, 2)
    engine.commands_string(f"run 1\n{change}\nrun 1")
    (error,) = errors
    with pytest.raises(ValueError, match=message):
        raise ValueError(error)


@pytest.mark.parametrize(("n_bits", "kind"), [(10, np.int32), (21, np.int64)])
def test_image_flags_of_either_width(n_bits: int, kind: Any) -> None:
    rng = np.random.default_rng(3)
    half = 1 << (n_bits - 1)
    flags = rng.integers(-half, half, size=(50, 3))
    flags[0], flags[1] = -half, half - 1
    packed = sum((flags[:, axis] + half) << (axis * n_bits) for axis in range(3))
    assert_array_equal(unpacked_images(packed.astype(kind), n_bits), flags)


def test_image_flags_are_packed_as_lammps_does(start: Callable[..., Any]) -> None:
    engine = start(gas(), "set atom 5 image -3 4 -500")
    packed = np.array([engine.encode_image_flags(-3, 4, -500)], np.int32)
    assert unpacked_images(packed, 10).tolist() == [[-3, 4, -500]]
    frames, _, capture = captured(engine, 1)
    engine.command("run 0")
    assert frames[0].images[np.searchsorted(capture.ids, 5)].tolist() == [-3, 4, -500]


def test_atoms_without_ids(start: Callable[..., Any]) -> None:
    engine = start(
        "units metal\natom_modify id no\nregion r block 0 5 0 5 0 5\ncreate_box 1 r\n"
        "create_atoms 1 random 5 99 NULL\nmass 1 1.0"
    )
    with pytest.raises(ValueError, match="atoms must have ids of their own"):
        FrameCapture(engine, Ranks(), unit_scale("metal"))
