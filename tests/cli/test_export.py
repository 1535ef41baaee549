"""``kgdyn export`` writes what its ending says, from a model or from states on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner, Result

from kgdyn import open_trajectory
from kgdyn.cli.export import export


@pytest.fixture
def run() -> Callable[..., Result]:
    app = typer.Typer()
    app.command()(export)

    def call(*arguments: str | Path | int) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return call


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    """``run.lammpstrj`` of ten frames, Li, S, Li; ``chi.npy`` and ``chi.h5`` of its two Li."""
    from kgdyn.cli._files import write_array

    text = ""
    for frame in range(10):
        rows = "".join(
            f"{atom} {kind} {x:.4f} {y:.4f} {z:.4f}\n"
            for atom, (kind, (x, y, z)) in enumerate(
                zip((1, 2, 1), 5.0 * rng.random((3, 3)), strict=True), start=1
            )
        )
        text += (
            f"ITEM: TIMESTEP\n{100 * frame}\nITEM: NUMBER OF ATOMS\n3\n"
            f"ITEM: BOX BOUNDS pp pp pp\n0 5\n0 5\n0 5\nITEM: ATOMS id type x y z\n{rows}"
        )
    (tmp_path / "run.lammpstrj").write_text(text)
    chi = rng.dirichlet([1.0, 1.0], (10, 2))
    write_array(tmp_path / "chi.npy", chi, {})
    write_array(tmp_path / "chi.h5", chi, {})
    return tmp_path


@pytest.fixture
def options(folder: Path) -> list[str | Path]:
    return [
        *(folder / "run.lammpstrj", "--elements", "Li,S", "--timestep", "0.001"),
        *("--targets", "element Li"),
    ]


def test_every_format(folder: Path, options: list[str | Path], run: Callable[..., Result]) -> None:
    chi = np.load(folder / "chi.npy")
    for name, source in (
        ("out.extxyz", "chi.npy"),
        ("out.xyz", "chi.h5"),
        ("out.lammpstrj.gz", "chi.h5"),
        ("out.pdb", "chi.npy"),
        ("out.csv", "chi.npy"),
    ):
        arguments = [*options, "--states", folder / source, "--output", folder / name]
        done = run(*arguments, "--every", 3, "-q")
        assert done.exit_code == 0, done.output
        assert done.output == ""
    frames = ase.io.read(folder / "out.extxyz", index=":")
    assert [atoms.info["frame"] for atoms in frames] == [0, 3, 6, 9]
    assert [atoms.info["time_ps"] for atoms in frames] == pytest.approx([0.0, 0.3, 0.6, 0.9])
    found = np.array([atoms.arrays["state_probabilities"][[0, 2]] for atoms in frames])
    np.testing.assert_allclose(found, chi[::3], atol=1e-7)
    assert (folder / "out.xyz").read_text() == (folder / "out.extxyz").read_text()
    dump = open_trajectory(folder / "out.lammpstrj.gz", targets="element Li", timestep=0.1)
    assert dump.n_frames == 4
    assert dump.frame_interval == pytest.approx(0.3)
    assert len(ase.io.read(folder / "out.pdb", index=":")) == 4
    table = pd.read_csv(folder / "out.csv")
    np.testing.assert_allclose(table.probability, chi[::3].ravel())


def test_states_of_a_model(
    folder: Path, options: list[str | Path], run: Callable[..., Result]
) -> None:
    from kgdyn import GDyNet, assign_states

    model = GDyNet(2, [3, 16], 4, n_features=4, n_convolutions=1)
    trajectory = open_trajectory(
        folder / "run.lammpstrj", targets="element Li", elements=["Li", "S"], timestep=0.001
    )
    wanted = assign_states(model, trajectory)
    model.save(folder / "model.keras")
    arguments = [*options, "--model", folder / "model.keras", "--output", folder / "out.pdb"]
    done = run(*arguments, "--state", 2)
    assert done.exit_code == 0, done.output
    assert "10 frames, 2 targets, 2 states" in " ".join(done.output.split())
    read = ase.io.read(folder / "out.pdb", index=":")
    found = np.array([atoms.arrays["bfactor"][[0, 2]] for atoms in read])
    np.testing.assert_allclose(found, wanted[..., 1], atol=0.0051)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "out.gro", "--states", "chi.npy"], "output must end in .extxyz, .pdb"),
        (["--output", "out.gz", "--states", "chi.npy"], "output must end in .extxyz, .pdb"),
        (["--output", "out.csv"], "exactly one of --model and --states must be given"),
        (
            ["--output", "out.csv", "--states", "chi.npy", "--model", "m.keras"],
            "exactly one of --model and --states",
        ),
        (["--output", "out.csv", "--states", "chi.txt"], "states must end in .npy, .h5 or .hdf5"),
        (["--output", "out.csv", "--states", "no.npy"], "no.npy: there is no such file"),
        (["--output", "out.csv", "--states", "other.h5"], "holds no data set 'state_prob"),
        (["--output", "out.csv", "--states", "short.npy"], "must have shape (n_frames"),
        (["--output", "out.csv", "--states", "chi.npy", "--every", "0"], "every must be at least"),
        (["--output", "out.csv", "--states", "chi.npy", "--state", "1"], "state is for .pdb files"),
    ],
)
def test_what_is_refused(
    arguments: list[str],
    message: str,
    folder: Path,
    options: list[str | Path],
    run: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import h5py

    monkeypatch.chdir(folder)
    h5py.File("other.h5", "w").close()
    np.save("short.npy", np.full((3, 2, 2), 0.5))
    done = run(*options, *arguments)
    assert done.exit_code == 1
    assert message in " ".join(done.output.split())
    assert not list(folder.glob("out*"))
