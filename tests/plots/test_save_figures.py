"""Figures are written whole, in all formats, with text as text."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from kgdyn.plots import figure_style, save_figures


def drawn() -> plt.Axes:
    _, ax = plt.subplots(figsize=(2.0, 1.5))
    ax.plot([0.0, 1.0], [0.0, 1.0])
    ax.set_xlabel("r (Å)")
    return ax


def test_all_formats(tmp_path: Path) -> None:
    ax = drawn()
    before = dict(mpl.rcParams)
    paths = save_figures(tmp_path / "new" / "g_0.5", ax, dpi=100)
    assert dict(mpl.rcParams) == before
    assert [path.name for path in paths] == ["g_0.5.png", "g_0.5.pdf", "g_0.5.svg"]
    assert sorted((tmp_path / "new").iterdir()) == sorted(paths)
    png, pdf, svg = (path.read_bytes() for path in paths)
    assert png.startswith(b"\x89PNG")
    assert int.from_bytes(png[16:20], "big") == 200
    assert pdf.startswith(b"%PDF")
    assert b"/Type3" not in pdf
    assert "r (Å)" in svg.decode()
    assert b"<text" in svg
    # The same figure, the same bytes; and the figure is still open.
    again = save_figures(tmp_path / "again", ax.figure, dpi=100)
    assert [path.read_bytes() for path in again] == [png, pdf, svg]
    assert plt.fignum_exists(ax.figure.number)


def test_some_formats_of_an_array_of_axes(tmp_path: Path) -> None:
    _, axes = plt.subplots(1, 2)
    (path,) = save_figures(str(tmp_path / "two"), axes, ["svg"])
    assert path == tmp_path / "two.svg"


def test_refuses_other_formats(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"formats must be some of .*received \['jpeg'\]"):
        save_figures(tmp_path / "a", drawn(), ["jpeg"])
    with pytest.raises(ValueError, match=r"formats must be some of .*received \[\]"):
        save_figures(tmp_path / "a", drawn(), [])
    with pytest.raises(ValueError, match=r"without the suffix of a format, received .*a\.png"):
        save_figures(tmp_path / "a.png", drawn())
    assert not list(tmp_path.iterdir())


def test_a_figure_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = save_figures(tmp_path / "a", drawn(), ["png"])
    old = path.read_bytes()
    ax = drawn()

    def fails(file: Path, **_: object) -> None:
        Path(file).write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(ax.figure, "savefig", fails)
    with pytest.raises(OSError, match="no space left"):
        save_figures(tmp_path / "a", ax, ["png"])
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_style_ends_with_its_context() -> None:
    before = dict(mpl.rcParams)
    with figure_style():
        assert mpl.rcParams["svg.fonttype"] == "none"
        assert mpl.rcParams["pdf.fonttype"] == 42
        np.testing.assert_allclose(drawn().xaxis.label.get_size(), 9.0)
    assert dict(mpl.rcParams) == before
