"""Following a dump while it is written: in odd pieces, replaced, cut, started again."""

from __future__ import annotations

import gc
import gzip
import io
import os
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dump_text import N_ATOMS, TEXT, TYPES, Write, frame_text, read
from numpy.testing import assert_array_equal

from kgdyn.trajectories import DumpTail, read_topology, select_targets
from kgdyn.trajectories.source import FrameChunk, FrameSource

Action = Callable[[], object]


class Writer:
    """At each look of the follower, the next thing that happens to the file."""

    def __init__(self, actions: Iterable[Action]) -> None:
        self._actions = iter(actions)

    def __call__(self) -> bool:
        action = next(self._actions, None)
        if action is not None:
            action()
        return action is None


def appended(path: Path, pieces: Iterable[bytes]) -> Iterator[Action]:
    for piece in pieces:

        def append(piece: bytes = piece) -> None:
            with path.open("ab") as file:
                file.write(piece)

        yield append


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def follow(path: Path, actions: Iterable[Action], **options: Any) -> list[FrameChunk]:
    if "topology" not in options:
        options.setdefault("elements", ["Li", "S"])
    with DumpTail(path, poll=1e-4, until=Writer(actions), **options) as tail:
        return list(tail)


def assert_same_frames(found: list[FrameChunk], expected: FrameChunk) -> None:
    """To the bit."""
    assert len(found) == expected.n_frames
    for name in ("positions", "cells", "steps", "times", "images"):
        parts, whole = [getattr(chunk, name) for chunk in found], getattr(expected, name)
        assert (whole is None) == all(part is None for part in parts)
        if whole is not None:
            assert_array_equal(np.concatenate(parts), whole)
            assert parts[0].dtype == whole.dtype


def steps(found: list[FrameChunk]) -> list[int]:
    return [int(chunk.steps[0]) for chunk in found if chunk.steps is not None]


# --- growth -------------------------------------------------------------------------------------

PREAMBLED = "".join(
    frame_text(frame, preamble=f"ITEM: UNITS\nmetal\nITEM: TIME\n{0.25 * frame}\n")
    for frame in range(4)
)
WRAPPED = "".join(frame_text(frame, "id x y z type").replace("\n", "\r\n") for frame in range(4))
BLANK = "\n\n" + TEXT.replace("\n5 ", "\n \n5 ").replace("ITEM", "\nITEM")


@pytest.mark.parametrize("text", [TEXT, PREAMBLED, WRAPPED, BLANK])
@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
@pytest.mark.parametrize("packed", [False, True])
def test_frames_equal_those_of_the_finished_file(
    tmp_path: Path, text: str, size: int, packed: bool
) -> None:
    data = gzip.compress(text.encode()) if packed else text.encode()
    path = tmp_path / "run.dump"
    found = follow(path, appended(path, cut(data, size)))
    assert_same_frames(found, read(path))


def test_a_frame_comes_with_its_last_line_end_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "run.dump"
    first, second = frame_text(0).encode(), frame_text(1).encode()
    seen: list[int] = []
    with DumpTail(
        path,
        elements=["Li", "S"],
        poll=1e-4,
        until=Writer(
            [
                *appended(path, [first[:-1]]),
                lambda: seen.append(tail.n_read),
                *appended(path, [first[-1:] + second[:-1]]),
                lambda: seen.append(tail.n_read),
                *appended(path, [second[-1:]]),
            ]
        ),
    ) as tail:
        assert len(list(tail)) == 2
    assert seen == [0, 1]


def test_gzip_members_still_being_written(tmp_path: Path) -> None:
    path = tmp_path / "run.dump.gz"
    buffer = io.BytesIO()
    pieces = []
    for half in (TEXT[: len(TEXT) // 2], TEXT[len(TEXT) // 2 :]):  # two members, flushed within
        with gzip.GzipFile(fileobj=buffer, mode="wb") as file:
            for line in half.splitlines(keepends=True):
                file.write(line.encode())
                file.flush()
    pieces = cut(buffer.getvalue(), 13)
    looked: list[int] = []

    def actions() -> Iterator[Action]:
        for number, action in enumerate(appended(path, pieces)):
            yield action
            if number == len(pieces) // 2:
                yield lambda: looked.append(tail.n_read)

    with DumpTail(path, elements=["Li", "S"], poll=1e-4, until=Writer(actions())) as tail:
        found = list(tail)
    assert_same_frames(found, read(path))
    assert looked == [2]  # as far as it can be decompressed, not only at a member's end


def test_no_byte_is_read_twice_and_memory_stays_flat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.dump"
    text = frame_text(0).encode() * 5
    n_bytes = 0
    pread = os.pread

    def counted(file: int, size: int, offset: int) -> bytes:
        nonlocal n_bytes
        data = pread(file, size, offset)
        if size > 4096:  # else the look at what stands in front of the place
            n_bytes += len(data)
        return data

    monkeypatch.setattr(os, "pread", counted)
    writer = Writer(appended(path, [text] * 100))
    tail = DumpTail(path, elements=["Li", "S"], poll=1e-4, until=writer)
    tracemalloc.start()
    try:
        used = []
        for frame, _ in enumerate(tail):
            if frame in (100, 499):
                gc.collect()
                used.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert n_bytes == path.stat().st_size == 100 * len(text)
    assert used[1] < used[0] + 30_000  # a quarter of the text


# --- what is known before the frames ------------------------------------------------------------


def test_facts_wait_for_the_first_frame(tmp_path: Path) -> None:
    path = tmp_path / "run.dump"
    with DumpTail(
        path,
        elements=["Li", "S"],
        timestep=0.002,
        poll=1e-4,
        until=Writer(appended(path, cut(TEXT.encode(), 50))),
    ) as tail:
        assert isinstance(tail, FrameSource)
        assert tail.species.tolist() == [3 if kind == 1 else 16 for kind in TYPES]
        assert tail.pbc.all()
        assert tail.atom_ids.tolist() == [1, 2, 3, 4, 5]
        assert tail.type_labels == tuple(map(str, TYPES))
        assert select_targets(tail, "type 1").atoms.tolist() == [0, 2, 3]
        assert (tail.n_frames, tail.steps_per_frame) == (None, 100)
        assert tail.frame_interval == pytest.approx(0.2, rel=1e-12)
        found = list(tail.chunks())
    assert_same_frames(found, read(path, timestep=0.002))


def test_the_frame_interval_is_the_users_the_files_or_unknown(write: Write) -> None:
    def interval(text: str, **options: Any) -> float | None:
        with DumpTail(write(text), elements=["Li", "S"], once=True, **options) as tail:
            return tail.frame_interval

    assert interval(TEXT) is None
    assert interval(TEXT, frame_interval=3.0) == 3.0
    assert interval(PREAMBLED) == pytest.approx(0.25, rel=1e-12)
    assert interval(frame_text(0), timestep=0.002) is None
    odd = "".join(frame_text(frame, step=step) for frame, step in enumerate((50, 100, 200, 300)))
    assert interval(odd, timestep=0.002) == pytest.approx(0.2, rel=1e-12)
    back = frame_text(0, step=500) + frame_text(1, step=100)
    assert interval(back, timestep=0.002) is None


def test_a_topology_gives_elements_and_checks_them(tmp_path: Path, write: Write) -> None:
    atoms = [f"{i + 1} {kind} 1.0 1.0 {i}.0" for i, kind in enumerate(TYPES)]
    lines = ["data", "", "5 atoms", "2 atom types", "0 10 xlo xhi", "0 12 ylo yhi", "0 11 zlo zhi"]
    lines += ["", "Masses", "", "1 6.94", "2 32.06", "", "Atoms # atomic", "", *atoms, ""]
    (tmp_path / "system.data").write_text("\n".join(lines))
    topology = read_topology(tmp_path / "system.data", ["Li", "S"])
    assert topology.n_atoms == N_ATOMS
    found = follow(write(TEXT), [], topology=topology)
    assert_same_frames(found, read(write(TEXT)))
    with DumpTail(write(TEXT), topology=topology, once=True) as tail:
        assert tail.universe is topology.universe
        assert select_targets(tail, "mass 6 to 7").n_targets == 3
        assert select_targets(tail, "element S").atoms.tolist() == [1, 4]
    with pytest.raises(ValueError, match=r"run\.dump: .* are not the 5 of .*system\.data"):
        follow(write(TEXT.replace("\n4 1 ", "\n4 2 ")), [], topology=topology)
    with pytest.raises(FileNotFoundError, match=r"none\.data: there is no such file"):
        read_topology(tmp_path / "none.data")


# --- ends ---------------------------------------------------------------------------------------


def test_once_reads_what_is_there(write: Write, tmp_path: Path) -> None:
    path = write(TEXT + frame_text(3, step=400)[:-20])
    with pytest.warns(UserWarning, match=r"run\.dump, frame 4: nothing more is written") as (
        caught
    ):
        found = list(DumpTail(path, elements=["Li", "S"], once=True))
    assert steps(found) == [0, 100, 200, 300]
    assert "this frame is left out" in str(caught[0].message)
    with pytest.raises(FileNotFoundError, match=r"none\.dump: there is no such file"):
        next(DumpTail(tmp_path / "none.dump", elements=["Li", "S"], once=True))
    with pytest.raises(ValueError, match="no complete frame has come: the file is empty or too"):
        _ = DumpTail(write(""), elements=["Li", "S"], once=True).species


def test_idle_timeout_ends_also_without_a_file(write: Write, tmp_path: Path) -> None:
    options: dict[str, Any] = {"elements": ["Li", "S"], "poll": 1e-3, "idle_timeout": 0.05}
    assert list(DumpTail(tmp_path / "none.dump", **options)) == []
    with pytest.raises(ValueError, match="no complete frame has come: there is no such file"):
        _ = DumpTail(tmp_path / "none.dump", **options).species
    assert len(list(DumpTail(write(TEXT), **options))) == 4


def test_stop_from_another_thread(write: Write) -> None:
    tail = DumpTail(write(TEXT), elements=["Li", "S"], poll=30.0)
    found: list[FrameChunk] = []
    thread = threading.Thread(target=lambda: found.extend(tail), daemon=True)
    thread.start()
    limit = time.monotonic() + 60.0
    while len(found) < 4 and time.monotonic() < limit and tail.n_read < 4:
        time.sleep(0.01)
    tail.stop()
    thread.join(timeout=25.0)  # less than a poll
    assert not thread.is_alive()


def test_it_begins_behind_a_step(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(TEXT)
    with DumpTail(path, elements=["Li", "S"], once=True, timestep=0.001, after_step=100) as tail:
        assert tail.frame_interval == pytest.approx(0.1)
        assert steps(list(tail)) == [200, 300]
        assert tail.n_read == 4


# --- what happens to files ----------------------------------------------------------------------


def test_a_late_start_reads_from_the_start(write: Write) -> None:
    path = write(TEXT)
    text = frame_text(3, step=400).encode()
    assert steps(follow(path, appended(path, [text]))) == [0, 100, 200, 300, 400]


def test_a_restart_that_appends_hands_on_steps_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "run.dump"
    again = "".join(frame_text(frame) for frame in (2, 3))
    found = follow(path, appended(path, cut((TEXT + again).encode(), 40)))
    assert steps(found) == [0, 100, 200, 300, 200, 300]
    assert_same_frames(found, read(path))


@pytest.mark.parametrize("preamble", ["", "ITEM: UNITS\nmetal\nITEM: TIME\n3.5\n"])
@pytest.mark.parametrize("size", [1, 1000])
def test_wherever_a_killed_run_left_a_frame_the_restart_is_read(
    tmp_path: Path, preamble: str, size: int
) -> None:
    first, half, after = (frame_text(frame, preamble=preamble) for frame in range(3))
    begin = len(preamble) + len("ITEM: TIMESTEP\n")
    for end in range(begin, len(half), 17 if size == 1 else 1):
        path = tmp_path / f"{end}.dump"
        pieces = cut((half[:end] + after).encode(), size)
        with pytest.warns(UserWarning, match=r"dump, frame 1: the frame ends .* left out"):
            found = follow(path, appended(path, [first.encode(), *pieces]))
        assert steps(found) == [0, 200]
        expected = tmp_path / "expected.dump"
        expected.write_text(first + after)
        assert_same_frames(found, read(expected))


@pytest.fixture
def other() -> str:
    """Another run of the same atoms: other numbers, as many bytes or more."""
    shift = np.random.default_rng(11).normal(0.0, 5.0, (6, N_ATOMS, 3)).round(4)
    parts = []
    for frame in range(6):
        rows = [f"{i + 1} {TYPES[i]} {' '.join(map(str, shift[frame, i]))}" for i in range(N_ATOMS)]
        parts.append("\n".join([*frame_text(0, step=1000 + frame).split("\n")[:9], *rows, ""]))
    return "".join(parts)


def test_a_file_written_anew_is_read_from_its_start(tmp_path: Path, other: str) -> None:
    path = tmp_path / "run.dump"
    actions = [
        *appended(path, [TEXT.encode()]),
        lambda: path.write_text(other[:300]),  # shorter, the same inode
        *appended(path, [other[300:].encode()]),
    ]
    found = follow(path, actions)
    assert steps(found) == [0, 100, 200, 300, *range(1000, 1006)]
    assert_same_frames(found[4:], read(path))


def test_a_file_written_anew_and_longer_at_once_is_noticed(tmp_path: Path, other: str) -> None:
    path = tmp_path / "run.dump"
    half = TEXT[: len(TEXT) - 30]
    longer = other + other
    assert len(longer) > len(TEXT)
    actions = [*appended(path, [half.encode()]), lambda: path.write_text(longer)]
    with pytest.warns(UserWarning, match=r"frame 3: another file has taken its place: .* left out"):
        found = follow(path, actions)
    assert steps(found) == [0, 100, 200, *range(1000, 1006), *range(1000, 1006)]


def test_a_rotated_file_is_read_to_its_end_before_the_new_one(tmp_path: Path, other: str) -> None:
    path, moved = tmp_path / "run.dump", tmp_path / "run.dump.1"

    def rotate() -> None:
        path.rename(moved)
        with moved.open("a") as file:
            file.write(TEXT[600:])
        path.write_text(other[:200])

    actions = [
        *appended(path, [TEXT[:600].encode()]),
        rotate,
        *appended(path, [other[200:].encode()]),
    ]
    assert steps(follow(path, actions)) == [0, 100, 200, 300, *range(1000, 1006)]


def test_a_copy_that_goes_on_is_read_on(tmp_path: Path) -> None:
    """rsync writes a new file and renames it."""
    path, temporary = tmp_path / "run.dump", tmp_path / ".run.dump.xyz"

    def copied(n_bytes: int) -> Action:
        def copy() -> None:
            temporary.write_text(TEXT[:n_bytes])
            temporary.replace(path)

        return copy

    found = follow(path, [copied(n_bytes) for n_bytes in (0, 3, 500, 501, len(TEXT))])
    assert steps(found) == [0, 100, 200, 300]


def test_a_file_that_is_away_for_a_while(tmp_path: Path) -> None:
    path, away = tmp_path / "run.dump", tmp_path / "away"
    actions = [
        *appended(path, [TEXT[:600].encode()]),
        lambda: path.rename(away),
        lambda: None,
        lambda: away.rename(path),
        *appended(path, [TEXT[600:].encode()]),
    ]
    assert steps(follow(path, actions)) == [0, 100, 200, 300]


def test_a_series_of_files_is_read_in_the_order_of_numbers(tmp_path: Path) -> None:
    """One a snapshot; the folder comes later; a file is written in two pieces."""
    folder = tmp_path / "frames"

    def write(step: int, part: slice) -> Action:
        def append() -> None:
            folder.mkdir(exist_ok=True)
            with (folder / f"dump.{step}.lammpstrj").open("a") as file:
                file.write(frame_text(step % 4, step=step)[part])

        return append

    whole, first, rest = slice(None), slice(50), slice(50, None)
    batch = [write(step, whole) for step in (1000, 900, 200)]
    actions = [
        lambda: None,
        lambda: [action() for action in batch],
        write(1100, first),
        write(1100, rest),
        write(10000, whole),
    ]
    found = follow(folder / "dump.*.lammpstrj", actions)
    assert steps(found) == [200, 900, 1000, 1100, 10000]
    last = read(folder / "dump.10000.lammpstrj")
    assert_array_equal(found[-1].positions, last.positions)


# --- what is refused ----------------------------------------------------------------------------


def test_a_changing_number_of_atoms_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.dump"
    fewer = frame_text(2).replace("\n5\n", "\n4\n", 1).split("\n")
    text = frame_text(0) + frame_text(1) + "\n".join(fewer[:13]) + "\n" + frame_text(3)
    with pytest.raises(
        ValueError, match=r"run\.dump, frame 2, row 31: the number of atoms must stay 5.* rec.* 4"
    ):
        follow(path, appended(path, cut(text.encode(), 40)))


def test_another_file_must_hold_the_same_atoms_and_columns(tmp_path: Path) -> None:
    (tmp_path / "a.0.dump").write_text(frame_text(0))
    (tmp_path / "a.1.dump").write_text(frame_text(1, "type xu yu zu"))
    with pytest.raises(ValueError, match=r"a\.1\.dump, frame 0, row 9: coordinates, .* as in"):
        follow(tmp_path / "a.*.dump", [])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (" 1 ", " 7 ", "must keep its type"),
        ("ITEM: NUMBER OF ATOMS", "ITEM: ENTRIES", ", row 31: a frame must start with"),
        ("\nITEM: ATOMS id", "\nnonsense\nITEM: ATOMS id", "a frame must start with ITEM"),
        ("0 12", "0 nan", "bounds of the box must be 2 finite"),
        ("ITEM: TIMESTEP\n2", "row too many\nITEM: TIMESTEP\n2", "a frame must start.*row too m"),
    ],
)
@pytest.mark.parametrize("size", [11, 10_000])
def test_a_broken_frame_is_refused_with_its_row(
    tmp_path: Path, old: str, new: str, message: str, size: int
) -> None:
    path = tmp_path / "run.dump"
    text = frame_text(0) + frame_text(1) + frame_text(2).replace(old, new, 1) + frame_text(3)
    with pytest.raises(ValueError, match=rf"run\.dump, frame 2.*{message}"):
        follow(path, appended(path, cut(text.encode(), size)))


def test_a_damaged_compressed_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.dump.gz"
    data = bytearray(gzip.compress(TEXT.encode()))
    data[-6] ^= 255
    with pytest.raises(
        ValueError, match=r"gz, frame 0: the compressed file is damaged .*incorrect data check"
    ):
        follow(path, appended(path, [bytes(data)]))


def test_what_is_no_dump_is_refused_early(write: Write) -> None:
    with pytest.raises(ValueError, match=r"frame 0, row 1: a frame must start with ITEM: TIMESTEP"):
        follow(write("Atoms. Timestep: 0\n"), [])
    with pytest.raises(ValueError, match=r"frame 0, row 1: the frame ends within its header"):
        follow(write("ITEM: TIMESTEP" + " " * 70_000), [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"poll": 0.0}, "poll must be a positive time in seconds, received 0.0"),
        ({"idle_timeout": -1.0}, "idle_timeout must be a positive time in seconds"),
        ({"timestep": 0.0}, "timestep must be a positive time in ps"),
        ({"units": "imperial"}, "units must be one of"),
        ({"path": "dump.%.lammpstrj"}, "a dump with % is one piece for each processor"),
        ({"path": "run*/a.*.dump"}, r"\* may only stand in the name of the file"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], message: str) -> None:
    path = options.pop("path", "run.dump")
    with pytest.raises(ValueError, match=message):
        DumpTail(path, **options)
