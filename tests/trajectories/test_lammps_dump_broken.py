"""Dumps that are broken, cut or foreign: refused, naming file, frame and row."""

from __future__ import annotations

import gzip
import tracemalloc
import warnings

import numpy as np
import pytest
from dump_text import EXPECTED, LINES_OF_FRAME, TEXT, Write, frame_text, read, unwrapped
from numpy.testing import assert_allclose, assert_array_equal

import kgdyn.trajectories.lammps_dump as lammps_dump
from kgdyn.trajectories.lammps_dump import LAMMPSDump


def edited(row: int, old: str | None, new: str) -> str:
    """TEXT with a change in one row, counted from 1."""
    lines = TEXT.split("\n")
    lines[row - 1] = new if old is None else lines[row - 1].replace(old, new, 1)
    return "\n".join(lines)


ROW = 2 * LINES_OF_FRAME + 12  # an atom of frame 2
ATOM = TEXT.split("\n")[ROW - 1].split()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (edited(ROW, None, " ".join([*ATOM[:4], "nan"])), "column zu must be finite, rec.* 'nan'"),
        (edited(ROW, None, " ".join([*ATOM[:4], "-inf"])), "column zu must be finite, .* '-inf'"),
        (edited(ROW, None, " ".join([*ATOM[:4], "1e999"])), "column zu must be finite"),
        (edited(ROW, None, " ".join([*ATOM[:4], "1.5x"])), "zu must be a number, rec.* '1.5x'"),
        (edited(ROW, None, " ".join([*ATOM[:4], "1_5"])), "zu must be a number, received '1_5'"),
        (edited(ROW, None, " ".join([*ATOM[:4], "***"])), r"zu must be a number, .* '\*\*\*'"),
        (edited(ROW, None, " ".join([*ATOM[:4], "1.5.2"])), "zu must be a number, .* '1.5.2'"),
        (edited(ROW, None, " ".join([f"{ATOM[0]}.5", *ATOM[1:]])), "column id must be an integer"),
        (edited(ROW, None, "\0".join(ATOM)), "a row needs 5 columns"),
        (edited(ROW, None, " ".join(ATOM[:4]) + "\n" + ATOM[4]), "a row needs 5 columns"),
        (TEXT.replace(f" {ATOM[4]}\n", f"\n{ATOM[4]} "), "a row needs 5 columns"),
        (edited(ROW, None, " ".join(ATOM[:4])), r"a row needs 5 columns \(id type xu yu zu\)"),
        (edited(ROW, None, " ".join([*ATOM, "7"])), "a row needs 5 columns"),
        (edited(ROW, None, " ".join(["99", *ATOM[1:]])), "atom id 99 does not occur in the first"),
        (edited(ROW, None, f"{ATOM[0]} 7 1 1 1"), f"atom id {ATOM[0]} must keep its type .* '7'"),
        (edited(ROW, None, "0.2ITEM: TIMESTEP"), "a row needs 5 columns .* '0.2ITEM: TIMESTEP'"),
        (edited(ROW + 1, None, TEXT.split("\n")[ROW - 1]), f"atom id {ATOM[0]} stands twice"),
        (edited(2 * LINES_OF_FRAME + 6, None, "0 0"), "the cell has zero volume"),
        (edited(2 * LINES_OF_FRAME + 6, None, "0 nan"), "bounds of the box must be 2 finite num"),
        (edited(2 * LINES_OF_FRAME + 6, None, "0 -1"), "must not have a negative length, .*'0 -1'"),
        (edited(2 * LINES_OF_FRAME + 4, None, "6"), "number of atoms must stay 5, .* received 6"),
        (edited(2 * LINES_OF_FRAME + 4, None, "0"), "needs at least one atom, received 0"),
        (edited(2 * LINES_OF_FRAME + 2, None, "1.5"), "the step must be an integer, rec.* '1.5'"),
        (edited(2 * LINES_OF_FRAME + 5, "pp pp pp", "pp pp ff"), "periodicity must stay"),
        (edited(2 * LINES_OF_FRAME + 5, "pp pp pp", "abc pp pp pp"), "unknown form of ITEM: BOX"),
        (edited(2 * LINES_OF_FRAME + 9, "zu", "vz"), "a dump needs coordinates: columns x y z"),
        (edited(2 * LINES_OF_FRAME + 9, "id ", "mol "), "must be given as in the first frame"),
        (edited(2 * LINES_OF_FRAME + 3, "NUMBER OF ATOMS", "ENTRIES"), "a frame must start with"),
    ],
)
def test_broken_frame_is_named(write: Write, text: str, message: str) -> None:
    path = write(text)
    source = LAMMPSDump(path, elements=["Li", "S"])
    with pytest.raises(ValueError, match=rf"run\.dump, frame 2.*: .*{message}"):
        list(source.chunks())
    with pytest.raises(ValueError, match=message):
        list(LAMMPSDump(write(gzip.compress(text.encode())), elements=["Li", "S"]).chunks(2))


def test_the_row_is_the_line_of_the_file(write: Write) -> None:
    bad = " ".join([*ATOM[:4], "nan"])
    for text, row in [
        (edited(ROW, None, bad), ROW),
        ("\n\n" + edited(ROW, None, bad).replace("\n", "\r\n"), ROW + 2),
    ]:
        for name, content in [("a.dump", text.encode()), ("a.gz", gzip.compress(text.encode()))]:
            path = write(content, name)
            with pytest.raises(ValueError, match=rf"{name}, frame 2, row {row}: column zu"):
                read(path)


@pytest.mark.parametrize(
    "middle", ["ITEM: TIME\n3.5\n", "ITEM: UNITS\nmetal\nITEM: TIME\n3.5\n", "", "\n\n"]
)
def test_frame_cut_in_the_middle_of_the_file(write: Write, middle: str) -> None:
    whole = frame_text(1).split("\n")
    cut = "\n".join(whole[:-3]) + "\n"  # two atoms less
    path = write(frame_text(0) + cut + middle + frame_text(2))
    with pytest.raises(
        ValueError, match=r"frame 1, row .*: the frame ends after 3 of 5 atoms, and"
    ):
        read(path)
    more = write(frame_text(0) + frame_text(1) + whole[-2] + "\n" + middle + frame_text(2))
    with pytest.raises(ValueError, match=r"frame 1, row 29: a row more than the frame's 5 atoms"):
        read(more)


def test_a_row_too_many_and_one_too_few_do_not_cancel(write: Write) -> None:
    first, second = frame_text(0), frame_text(1)
    row = second.rstrip("\n").split("\n")[-1] + "\n"
    path = write(first + first + row + second[: -len(row)] + first)
    with pytest.raises(ValueError, match=r"frame 1, row .*: a row more than the frame's 5 atoms"):
        read(path)


def test_every_cut_of_the_last_frame_is_noticed(write: Write) -> None:
    """Whatever byte the file ends at, the whole frames come back, and only those."""
    preamble = "ITEM: UNITS\nmetal\nITEM: TIME\n0.5\n"
    first, second = frame_text(0), frame_text(1, preamble=preamble)
    for end in range(1, len(second)):
        path = write(first + second[:end])
        with pytest.raises(ValueError, match=r"frame 1, row .*incomplete_last='drop'"):
            read(path)
        with pytest.warns(UserWarning, match=r"frame 1: .*; this last frame is left out"):
            chunk = read(path, incomplete_last="drop")
        assert_allclose(unwrapped(chunk), EXPECTED[:1], rtol=0, atol=1e-12)
    assert read(write(first + second)).n_frames == 2


def test_messages_about_the_last_frame(write: Write) -> None:
    for cut, message in [
        (TEXT[:-1], "row 56: the file ends within a line, so that its last number may be cut"),
        (TEXT[: TEXT.rindex("\n", 0, -1) + 1], "row 56: the file ends after 4 of 5 atoms"),
        (TEXT[: TEXT.rindex("ITEM: BOX")], "row 47: the frame ends within its header"),
    ]:
        source = LAMMPSDump(write(cut), elements=["Li", "S"])
        with pytest.raises(ValueError, match=f"frame 3, {message}"):
            _ = source.n_frames
        dropped = LAMMPSDump(write(cut), elements=["Li", "S"], incomplete_last="drop")
        with pytest.warns(UserWarning, match=r"frame 3: ") as caught:
            n_frames = dropped.n_frames
        assert len(caught) == 1
        assert n_frames == 3
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # once is enough
            assert sum(chunk.n_frames for chunk in dropped.chunks()) == 3
    packed = gzip.compress(TEXT.encode())
    for n_bytes, frame in ((len(packed) - 6, 3), (len(packed) // 2, 1), (12, 0)):
        with pytest.raises(
            ValueError, match=f"frame {frame}, row .*: the compressed file is damaged or cut"
        ):
            read(write(packed[:n_bytes]))
    damaged = packed[:-8] + b"wrong" + packed[-3:]
    with pytest.raises(ValueError, match=r"the compressed file is damaged or cut .CRC"):
        read(write(damaged))
    path = write(TEXT.encode() + b"\0" * 50)
    with pytest.raises(ValueError, match=r"frame 3, row .*: the file ends within a line"):
        read(path)


def test_empty_and_foreign_files(write: Write) -> None:
    for content in ("", "\n \n", gzip.compress(b"")):
        with pytest.raises(ValueError, match=r"run\.dump: the file is empty"):
            LAMMPSDump(write(content), elements=["Li", "S"])
    with pytest.raises(ValueError, match=r"frame 0, row 1: a frame must start with ITEM: TIMESTEP"):
        LAMMPSDump(write("5\nargon\nAr 0 0 0\n"), elements=["Li", "S"])
    with pytest.raises(ValueError, match=r"frame 0, row 1: .*ITEM: TIMESTEP is missing"):
        LAMMPSDump(write("ITEM: ATOMS id type x y z\n1 1 0 0 0\n"), elements=["Li", "S"])


def test_first_frame_is_checked_at_once(write: Write) -> None:
    text = frame_text(0)
    rows = text.rstrip("\n").split("\n")[9:]
    for row, new, message in [
        (12, rows[0], "atom id . stands twice in the frame, as its atoms 1 and 3"),
        (12, "x 1 1 1 1", "column id must be a number, received 'x'"),
    ]:
        broken = text.replace(rows[2], new)
        with pytest.raises(ValueError, match=f"frame 0, row {row}: {message}"):
            LAMMPSDump(write(broken), elements=["Li", "S"])
    broken = text.replace("id type xu yu zu", "id type xu yu vz")
    with pytest.raises(ValueError, match=r"frame 0, row 9: a dump needs coordinates"):
        LAMMPSDump(write(broken), elements=["Li", "S"])


def test_element_that_changes_is_refused(write: Write) -> None:
    text = frame_text(0).replace("id type", "id element")
    text = text.replace(" 1 ", " Li ").replace(" 2 ", " S ")
    source = LAMMPSDump(write(text + text.replace(" S ", " Se ", 1)))
    with pytest.raises(ValueError, match=r"frame 1, row .*: atom id . must keep its element 'S'"):
        list(source.chunks())


@pytest.mark.parametrize("ids", [[20, 3, 5, 40, 9], [7, 10**9, 3, 2**40, 11], [1, 2, 3, 4, 6]])
def test_ids_with_gaps(write: Write, ids: list[int]) -> None:
    def renamed(frame: int) -> str:
        head, *rows = frame_text(frame).split("zu\n")
        named = [row.split(" ", 1) for row in rows[0].rstrip("\n").split("\n")]
        return head + "zu\n" + "".join(f"{ids[int(i) - 1]} {rest}\n" for i, rest in named)

    text = renamed(0) + renamed(1)
    path = write(text)
    assert_array_equal(LAMMPSDump(path, elements=["Li", "S"]).atom_ids, sorted(ids))
    assert_allclose(unwrapped(read(path)), EXPECTED[:2][:, np.argsort(ids)], rtol=0, atol=1e-12)
    for other in (ids[0] + 1, ids[0] - 1, 10**10, 1 if 1 not in ids else 5, ids[1]):
        changed = renamed(0) + renamed(1).replace(f"\n{ids[0]} ", f"\n{other} ")
        with pytest.raises(ValueError, match=f"frame 1, row .*: atom id ({other}|.*twice)"):
            read(write(changed))


@pytest.mark.parametrize("kind", ["xu yu zu", "xsu ysu zsu"])
def test_far_coordinates_with_six_digits_warn_once(write: Write, kind: str) -> None:
    def text(format_: str, far: float) -> str:
        row = f"1 1 {format_ % far} 0 0\n"
        head = frame_text(0).replace("ATOMS\n5", "ATOMS\n1").split("ITEM: ATOMS")[0]
        return (head + f"ITEM: ATOMS id type {kind}\n" + row) * 3

    far = 12345.678 if kind == "xu yu zu" else 1234.5678
    with pytest.warns(UserWarning, match=r"only good to 0.05 angstrom") as caught:
        read(write(text("%g", far)), per_chunk=1)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(write(text("%.10g", far)))
        read(write(text("%g", far / 2)))


@pytest.mark.parametrize("packed", [False, True])
def test_memory_does_not_grow_with_the_file(
    write: Write, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    monkeypatch.setattr("kgdyn.trajectories._dump_frames._PIECE", 4096)
    monkeypatch.setattr(lammps_dump, "_BYTES_AT_ONCE", 8192)
    peaks = []
    for n_frames in (50, 500, 2500):  # the first warms up
        text = (frame_text(1) * n_frames).encode()
        source = LAMMPSDump(write(gzip.compress(text) if packed else text), elements=["Li", "S"])
        tracemalloc.start()
        n_read = sum(chunk.n_frames for chunk in source.chunks(8))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert n_read == n_frames
    # tracemalloc itself sees some bytes a chunk stay that are given back (caches of numpy).
    assert peaks[2] - peaks[1] < 0.2 * 2000 * len(frame_text(1))
