"""Dumps written by hand: what they say, in all the clothes that LAMMPS gives it."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from dump_text import (
    EXPECTED,
    N_ATOMS,
    N_FRAMES,
    PATHS,
    TEXT,
    TYPES,
    Callable,
    Write,
    array,
    frame_text,
    read,
    unwrapped,
)
from numpy.testing import assert_allclose, assert_array_equal

from kgdyn.trajectories.lammps_dump import LAMMPSDump
from kgdyn.trajectories.source import FrameSource


def test_chunks_steps_and_facts(write: Write) -> None:
    source = LAMMPSDump(write(TEXT), elements=["Li", "S"], timestep=0.002)
    assert isinstance(source, FrameSource)
    assert_array_equal(source.species, np.array([3, 16])[np.array(TYPES) - 1])
    assert_array_equal(source.pbc, [True] * 3)
    assert_array_equal(source.atom_ids, np.arange(1, 6))
    assert source.n_frames == N_FRAMES
    assert_array_equal(source.steps, [0, 100, 200, 300])
    assert source.frame_interval == pytest.approx(0.2)
    chunks = list(source.chunks(3))
    assert [chunk.n_frames for chunk in chunks] == [3, 1]
    assert_allclose(array(chunks[1].times), [0.6], rtol=1e-12)
    assert_allclose(unwrapped(chunks[0]), EXPECTED[:3], rtol=0, atol=1e-12)
    assert chunks[0].positions.min() >= 0.0
    assert (chunks[0].positions < [10, 12, 11]).all()
    assert_array_equal(chunks[0].cells[0], np.diag([10.0, 12.0, 11.0]))


@pytest.mark.parametrize("packed", [False, True])
def test_start_in_the_middle(write: Write, packed: bool) -> None:
    path = write(gzip.compress(TEXT.encode()) if packed else TEXT)
    assert_allclose(unwrapped(read(path, start=2)), EXPECTED[2:], rtol=0, atol=1e-12)
    source = LAMMPSDump(path, elements=["Li", "S"])
    assert list(source.chunks(start=N_FRAMES)) == []
    with pytest.raises(ValueError, match=r"start must be a frame, received 5"):
        next(source.chunks(start=5))
    with pytest.raises(ValueError, match=r"frames_per_chunk must be at least 1, received 0"):
        next(source.chunks(0))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", " \n"),
        lambda text: text.replace("ITEM: TIMESTEP", "\n\nITEM: TIMESTEP"),
        lambda text: text.replace("\n", "\n \n"),
        lambda text: text + "\n\n",
        lambda text: text.replace(" 1 ", "\t 1   "),
        lambda text: "".join(frame_text(frame, "zu q id yu type xu") for frame in range(N_FRAMES)),
        lambda text: (
            frame_text(0) + "".join(frame_text(f, "zu q id yu type xu") for f in (1, 2, 3))
        ),
    ],
)
def test_same_data_in_other_clothes(
    write: Write, change: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for piece in (1 << 20, 64):
        monkeypatch.setattr("kgdyn.trajectories._dump_frames._PIECE", piece)
        chunk = read(write(change(TEXT)))
        assert_allclose(unwrapped(chunk), EXPECTED, rtol=0, atol=1e-12)


def test_without_ids_rows_are_atoms(write: Write) -> None:
    text = "".join(frame_text(0, "type xu yu zu", step=step) for step in (0, 5))
    path = write(text)
    chunk = read(path)
    order = np.random.default_rng(0).permutation(N_ATOMS)
    assert_allclose(unwrapped(chunk)[1], EXPECTED[0][order], rtol=0, atol=1e-12)
    assert_array_equal(LAMMPSDump(path, elements=["Li", "S"]).atom_ids, np.arange(1, 6))


def test_time_and_units_headers(write: Write) -> None:
    text = "".join(
        frame_text(
            frame,
            preamble=("ITEM: UNITS\nreal\n" if frame == 0 else "")
            + f"ITEM: TIME\n{50.0 * frame}\n",
        )
        for frame in range(N_FRAMES)
    )
    path = write(text)
    source = LAMMPSDump(path, elements=["Li", "S"])
    assert source.frame_interval == pytest.approx(0.05)  # fs to ps
    assert_allclose(array(read(path).times), 0.05 * np.arange(4), rtol=1e-12)
    assert_allclose(unwrapped(read(path)), EXPECTED, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match=r"timestep=0.001 ps makes 0.1 ps between frames, but the"):
        _ = LAMMPSDump(path, elements=["Li", "S"], timestep=0.001).frame_interval
    with pytest.raises(
        ValueError, match=r"frame 0, row 1: the file says units 'real', but 'metal'"
    ):
        LAMMPSDump(path, elements=["Li", "S"], units="metal")
    with pytest.raises(ValueError, match=r"frame 0, row 1: units must be one of .* 'realistic'"):
        LAMMPSDump(write(text.replace("real", "realistic")), elements=["Li", "S"])


@pytest.mark.parametrize(
    ("units", "length", "time"),
    [
        ("real", 1.0, 1e-3),
        ("metal", 1.0, 1.0),
        ("electron", 0.529177210903, 1e-3),
        ("nano", 10.0, 1e3),
        ("si", 1e10, 1e12),
        ("cgs", 1e8, 1e12),
        ("micro", 1e4, 1e6),
        ("lj", 1.0, None),
    ],
)
def test_units_of_length_and_time(
    write: Write, units: str, length: float, time: float | None
) -> None:
    text = "".join(
        frame_text(frame, "id type x y z", preamble=f"ITEM: TIME\n{frame * 2}\n")
        for frame in range(N_FRAMES)
    )
    path = write(text)
    chunk = read(path, units=units)
    assert_allclose(chunk.positions, EXPECTED * length, rtol=1e-12)
    assert_allclose(chunk.cells[0], np.diag([10, 12, 11]) * length, rtol=1e-12)
    interval = LAMMPSDump(path, elements=["Li", "S"], units=units).frame_interval
    assert interval == (None if time is None else pytest.approx(2 * time))
    scaled = read(write(text.replace("x y z", "xs ys zs")), units=units)
    expected = PATHS * [10, 12, 11] * length
    assert_allclose(scaled.positions, expected, rtol=1e-12)


def test_frame_interval_is_never_guessed(write: Write) -> None:
    path = write(TEXT)
    assert LAMMPSDump(path, elements=["Li", "S"]).frame_interval is None
    assert read(path).times is None
    given = LAMMPSDump(path, elements=["Li", "S"], frame_interval=0.5)
    assert given.frame_interval == 0.5
    irregular = "".join(frame_text(0, step=step) for step in (0, 10, 20, 20, 5, 15, 40))
    source = LAMMPSDump(write(irregular), elements=["Li", "S"], timestep=0.1)
    assert source.frame_interval == pytest.approx(1.0)
    assert_array_equal(source.steps, [0, 10, 20, 20, 5, 15, 40])  # restarts are not refused


def test_atom_at_the_far_face(write: Write) -> None:
    text = frame_text(0)
    line = next(line for line in text.split("\n") if line.startswith("3 1 "))
    chunk = read(write(text.replace(line, "3 1 9 0 -9")))
    assert_array_equal(chunk.positions[0, 2], [0, 0, 0])
    assert_array_equal(unwrapped(chunk)[0, 2], [10, 0, -11])
    tiny = read(write(text.replace(line, "3 1 -1e-17 -1e-17 0")))
    assert tiny.positions[0, 2, 1] < 12.0  # in float64, -1e-17 + 12 is 12
    stays = read(write(text.replace(line, "3 1 9 12 13").replace("xu yu zu", "x y z")))
    assert_array_equal(stays.positions[0, 2], [10, 12, 11])


def test_tilted_bounds_by_hand(write: Write) -> None:
    bounds = "ITEM: BOX BOUNDS xy xz yz pp pp pp\n-4 12 3\n-1 12 -2\n2 13 -1\n"
    cell = read(write(frame_text(0, box=bounds))).cells[0]
    # xlo = -4 - min(0, 3, -2, 1), xhi = 12 - max(0, 3, -2, 1), ylo = -1 - min(0, -1)
    assert_array_equal(cell, [[11, 0, 0], [3, 12, 0], [-2, -1, 11]])
    origin_free = unwrapped(read(write(frame_text(0, box=bounds))))[0]
    assert_allclose(origin_free, PATHS[0] - [-2, 0, 2], rtol=0, atol=1e-12)


def test_breathing_box_moves_no_scaled_atom(write: Write) -> None:
    boxes = ["ITEM: BOX BOUNDS pp pp pp\n" + f"{-d} {10 + d}\n" * 3 for d in (0.0, 0.5)]
    text = "".join(
        frame_text(0, "id type x y z", box=box, step=step).replace("x y z", "xs ys zs")
        for step, box in enumerate(boxes)
    )
    chunk = read(write(text))
    assert_allclose(chunk.positions[1], chunk.positions[0] * 1.1, rtol=1e-12)


@pytest.mark.parametrize("flags", ["ss ss ss", "pp ss ss"])
@pytest.mark.parametrize("kind", ["x y z", "xu yu zu"])
def test_bounds_that_follow_the_atoms_move_no_atom(write: Write, flags: str, kind: str) -> None:
    bounds = [f"ITEM: BOX BOUNDS {flags}\n-1 9\n{low} 12\n{low} 13\n" for low in (2, 3.5, -0.25)]
    text = "".join(frame_text(0, f"id type {kind}", box, step) for step, box in enumerate(bounds))
    chunk = read(write(text), units="nano")
    found = chunk.positions if kind == "x y z" else unwrapped(chunk)
    expected = 10.0 * np.broadcast_to(PATHS[0] - [-1, 2, 2], (3, N_ATOMS, 3))
    assert_allclose(found, expected, rtol=0, atol=1e-11)
    if kind == "xu yu zu":
        assert_array_equal(array(chunk.images)[..., 1:], 0)


def test_image_flags(write: Write) -> None:
    row = "1 1 0.5 1.5 2.5 -1 2 0"
    box = "ITEM: BOX BOUNDS pp pp ff\n0 10\n0 12\n0 11\n"
    head = frame_text(0, box=box).replace("ATOMS\n5", "ATOMS\n1").split("ITEM: ATOMS")[0]
    text = f"{head}ITEM: ATOMS id type x y z ix iy iz\n{row}\n"
    assert_allclose(unwrapped(read(write(text)))[0], [[-9.5, 25.5, 2.5]], rtol=1e-12)
    # The direction that is not periodic needs no flag; a periodic one does.
    without_z = text.replace(" iz", "").replace(" 2 0\n", " 2\n")
    assert_allclose(unwrapped(read(write(without_z)))[0], [[-9.5, 25.5, 2.5]], rtol=1e-12)
    assert read(write(text.replace("iy", "other"))).images is None
    with pytest.raises(ValueError, match=r"frame 0, row 10: column iy must be an integer"):
        read(write(text.replace(" 2 0\n", " 2.5 0\n")))


def test_old_dump_without_flags_of_periodicity(write: Write) -> None:
    path = write(TEXT.replace(" pp pp pp", ""))
    with pytest.raises(ValueError, match=r"does not say which directions are periodic; pass pbc="):
        LAMMPSDump(path, elements=["Li", "S"])
    assert_array_equal(
        LAMMPSDump(path, elements=["Li", "S"], pbc=[1, 1, 0]).pbc, [True, True, False]
    )
    with pytest.raises(ValueError, match=r"the file says pbc=\[True, True, True\], received"):
        LAMMPSDump(write(TEXT), elements=["Li", "S"], pbc=False)


def test_species_come_from_the_user_or_the_file(write: Write) -> None:
    path = write(TEXT)
    with pytest.raises(ValueError, match=r"no element column; pass elements="):
        LAMMPSDump(path)
    with pytest.raises(ValueError, match=r"elements must name every type, types are 1 to 2, rec"):
        LAMMPSDump(path, elements=["Li"])
    with pytest.raises(TypeError, match=r"elements must be a sequence .* received 'LiS'"):
        LAMMPSDump(path, elements="LiS")
    with pytest.raises(ValueError, match=r"types contradict the type column"):
        LAMMPSDump(path, elements=["Li", "S"], types=[1, 1, 1, 1, 1])
    assert_array_equal(LAMMPSDump(path, elements=[7, 1]).species, [7, 1, 7, 7, 1])
    bare = write(frame_text(0, "id xu yu zu"))
    with pytest.raises(ValueError, match=r"no type column; pass types="):
        LAMMPSDump(bare, elements=["Li", "S"])
    with pytest.raises(ValueError, match=r"types must have shape \(n_atoms,\) = \(5,\), rec"):
        LAMMPSDump(bare, elements=["Li", "S"], types=[1])
    assert_array_equal(
        LAMMPSDump(bare, elements=["Li", "S"], types=TYPES).species, [3, 16, 3, 3, 16]
    )


def test_arguments_are_checked(write: Write) -> None:
    path = write(TEXT)
    for options, message in [
        ({"timestep": 0.0}, "timestep must be a positive time in ps, received 0.0"),
        ({"frame_interval": np.nan}, "frame_interval must be a positive time in ps, received nan"),
        ({"frame_interval": 1.0, "timestep": 1.0}, "pass one of them, received 1.0 and 1.0"),
        ({"units": "SI"}, r"units must be one of \['cgs', .*\], received 'SI'"),
        ({"incomplete_last": "keep"}, "must be 'error' or 'drop', received 'keep'"),
    ]:
        with pytest.raises(ValueError, match=message):
            LAMMPSDump(path, elements=["Li", "S"], **options)  # type: ignore[arg-type]
