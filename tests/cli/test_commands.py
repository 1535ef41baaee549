"""The commands on a small trajectory, in the order in which a user needs them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import Result

Command = Callable[..., Result]


@pytest.fixture(scope="module")
def trained(hopping: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder that ``kgdyn train`` made."""
    from typer.testing import CliRunner

    from kgdyn.cli.app import app

    folder = tmp_path_factory.mktemp("run")
    result = CliRunner().invoke(
        app,
        [
            "train",
            str(hopping),
            "--output",
            str(folder),
            *["--lagtime", "1", "--n-states", "2", "--n-neighbors", "12"],
            *["--epochs", "5", "--batch-size", "256", "-q"],
        ],
    )
    assert result.exit_code == 0, result.output
    return folder


def test_train_leaves_model_history_and_figure(trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    files = {"model.keras", "history.csv", "training.json", "training.png", "config.toml"}
    assert names == files | {"checkpoints", "logs"}
    record = json.loads((trained / "training.json").read_text())
    assert record["test_start"] == pytest.approx(0.85)
    assert 1.3 < record["validation_vamp2"] <= 2.0
    header, *rows = (trained / "history.csv").read_text().splitlines()
    assert header.split(",")[0] == "epoch"
    assert "val_vamp2" in header
    assert len(rows) == 5


@pytest.mark.parametrize("suffix", ["npy", "h5"])
def test_assign_writes_state_probabilities(
    kgdyn_command: Command, hopping: Path, trained: Path, tmp_path: Path, suffix: str
) -> None:
    output = tmp_path / f"chi.{suffix}"
    result = kgdyn_command(
        "assign", hopping, "--model", trained / "model.keras", "--output", output, "-q"
    )
    assert result.exit_code == 0, result.output
    if suffix == "npy":
        values = np.load(output)
    else:
        with h5py.File(output) as file:
            values = file["state_probabilities"][:]
            assert file["state_probabilities"].attrs["frame_interval_ps"] == 0.5
    assert values.shape == (6000, 1, 2)
    np.testing.assert_allclose(values.sum(axis=-1), 1.0, atol=1e-5)
    with np.load(hopping) as archive:
        true = archive["true"]
    assert (values[:, 0].argmax(axis=1) == true).mean() > 0.99


def test_assign_tells_what_the_training_never_had(
    kgdyn_command: Command, hopping: Path, trained: Path, tmp_path: Path
) -> None:
    """One frame with the Li near an S."""
    with np.load(hopping) as archive:
        arrays = {name: archive[name][:200] for name in archive if archive[name].ndim > 1}
        arrays |= {name: archive[name] for name in ("atom_types", "target_index", "dt_ps")}
    arrays["traj_coords"][77, 0] = arrays["traj_coords"][77, 1] + np.float32([0.9, 0.0, 0.0])
    np.savez(tmp_path / "near.npz", **arrays)
    output = tmp_path / "novelty.npy"
    result = kgdyn_command(
        *("assign", tmp_path / "near.npz", "--model", trained / "model.keras"),
        *("--output", tmp_path / "chi.npy", "--novelty", output),
    )
    assert result.exit_code == 0, result.output
    values = np.load(output)
    assert values.shape == (200, 1)
    assert values[77] > 1.0
    assert (values > 1.0).mean() < 0.03
    said = " ".join(result.output.split())
    assert "frame 77, target 0 (counted from 0): S at 0.90 angstrom: never nearer than" in said


def test_validate_uses_what_training_left_and_compares_with_labels(
    kgdyn_command: Command, hopping: Path, trained: Path, tmp_path: Path
) -> None:
    result = kgdyn_command(
        *["validate", hopping, "--model", trained / "model.keras", "--output", tmp_path],
        *["--labels", f"{hopping}:true"],
    )
    assert result.exit_code == 0, result.output
    assert "85%" in result.output
    found = json.loads((tmp_path / "koopman.json").read_text())
    assert found["n_pairs"] == 899
    # 900 frames, and a chain with eigenvalue 0.7: 0.5 ps / -ln 0.7 = 1.40 ps.
    assert found["timescales_ps"][0] == pytest.approx(found["true"]["timescales_ps"][0], rel=0.03)
    assert min(np.diag(found["true"]["assigned"])) > 0.99
    lower, upper = found["timescales_interval_ps"]
    assert lower[0] < found["timescales_ps"][0] < upper[0]
    names = {path.name for path in tmp_path.iterdir()}
    tables = {"koopman.json", "timescales.csv", "ck_test.csv"}
    assert names == tables | {"timescales.png", "ck_test.png", "populations.png"}
    rows = (tmp_path / "ck_test.csv").read_text().splitlines()
    assert len(rows) == 1 + 5 * 4


def test_a_store_is_converted_inspected_and_trained_from(
    kgdyn_command: Command, hopping: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    for _ in range(2):  # the second time there is nothing left to do
        result = kgdyn_command("convert", hopping, "--output", store, "-q")
        assert result.exit_code == 0, result.output
    result = kgdyn_command("inspect", store, "-q")
    assert result.exit_code == 0, result.output
    assert "1 (target_index of the file)" in result.output
    assert "5: 1 Li, 4 S" in result.output
    result = kgdyn_command(
        *["train", store, "--output", tmp_path / "run", "--lagtime", 1, "--n-states", 2],
        *["--n-neighbors", 12, "--epochs", 1, "--batch-size", 256, "-q"],
    )
    assert result.exit_code == 0, result.output
    assert (tmp_path / "run" / "model.keras").is_file()


def test_inspect_shows_types_of_a_dump_without_elements(
    kgdyn_command: Command, tmp_path: Path
) -> None:
    dump = tmp_path / "run.lammpstrj"
    frames = []
    for step in (0, 10, 20, 15, 25):
        frames.append(
            f"ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS pp pp ff\n"
            "0 5\n0 5\n0 5\nITEM: ATOMS id type x y z\n1 2 1.0 1.0 1.0\n2 1 2.0 2.0 2.0\n"
        )
    dump.write_text("".join(frames))
    result = kgdyn_command("inspect", dump, "-q", "--timestep", 0.001)
    assert result.exit_code == 0, result.output
    assert "1 type 1, 1 type 2" in result.output
    assert "0.01 ps" in result.output
    assert "xy-" in result.output
    assert "2, of 2 to 3 frames" in result.output
    result = kgdyn_command("inspect", dump, "-q", "--elements", "Li,S")
    assert "1 Li, 1 S" in result.output
    assert "not known: give" in result.output


def training(path: str, lagtime: int) -> list[str]:
    fixed = "--n-states 2 --n-neighbors 4 --output {folder}/r"
    return ["train", path, *fixed.split(), "--lagtime", str(lagtime)]


BAD: dict[str, tuple[list[str], str]] = {
    "no such file": (["inspect", "nothing.npz"], "nothing.npz: there is no such file"),
    "unknown format": (["inspect", "{folder}/strange.xyzw"], "the format is not known"),
    "cut dump": (["inspect", "{folder}/cut.lammpstrj", "--elements", "Li"], "frame 0.*"),
    "selection that matches nothing": (
        ["convert", "{hopping}", "--output", "{folder}/s", "--targets", "element Au"],
        "'element Au' matches no atom of 5",
    ),
    "nonsense selection": (
        ["convert", "{hopping}", "--output", "{folder}/s", "--targets", "elephant Au"],
        "is not understood",
    ),
    "lag time longer than the trajectory": (
        training("{hopping}", 9999),
        "lagtime must be shorter than the longest segment",
    ),
    "NaN position": (
        training("{folder}/nan.npz", 1),
        r"nan\.npz, frame 7: positions must be finite",
    ),
    "flat cell": (
        training("{folder}/flat.npz", 1),
        r"flat\.npz, frame 3: the cell has zero volume",
    ),
    "no model": (
        ["assign", "{hopping}", "--model", "{folder}/none.keras", "--output", "{folder}/c.npy"],
        "there is no such model file",
    ),
    "not a model": (
        ["assign", "{hopping}", "--model", "{hopping}", "--output", "{folder}/c.npy"],
        "is not a .keras model file",
    ),
    "unknown element": (
        ["assign", "{folder}/gold.npz", "--model", "{model}", "--output", "{folder}/c.npy"],
        "holds Au, which the model never saw; it knows Li, S",
    ),
    "output of another kind": (
        ["assign", "{hopping}", "--model", "{model}", "--output", "{folder}/c.txt"],
        "output must end in .npy",
    ),
    "novelty of another kind": (
        [
            *("assign", "{hopping}", "--model", "{model}", "--output", "{folder}/c.npy"),
            *("--novelty", "{folder}/n.csv"),
        ],
        "novelty must end in .npy, received",
    ),
    "labels that are not there": (
        [
            "validate",
            "{hopping}",
            "--model",
            "{model}",
            "--output",
            "{folder}/v",
            "--labels",
            "{hopping}:nothing",
        ],
        "holds no array 'nothing'",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_line(
    kgdyn_command: Command, hopping: Path, trained: Path, tmp_path: Path, case: str
) -> None:
    with np.load(hopping) as archive:
        arrays = dict(archive)
    bad = arrays["traj_coords"].copy()
    bad[7, 2, 1] = np.nan
    np.savez(tmp_path / "nan.npz", **{**arrays, "traj_coords": bad})
    cells = arrays["lattices"].copy()
    cells[3, 2] = cells[3, 1]
    np.savez(tmp_path / "flat.npz", **{**arrays, "lattices": cells})
    np.savez(tmp_path / "gold.npz", **{**arrays, "atom_types": np.array([3, 16, 16, 16, 79])})
    (tmp_path / "strange.xyzw").write_text("?")
    (tmp_path / "cut.lammpstrj").write_text(
        "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n1\nITEM: BOX BOUNDS pp pp pp\n0 5\n0 5\n0 5\n"
        "ITEM: ATOMS id type x y z\n1 1 1.0 2.0 3"
    )
    places = {"folder": tmp_path, "hopping": hopping, "model": trained / "model.keras"}
    arguments, message = BAD[case]
    result = kgdyn_command(*[argument.format(**places) for argument in arguments], "-q")
    assert result.exit_code == 1, result.output
    text = " ".join(result.output.split())
    assert "error:" in text
    assert "Traceback" not in text
    assert re.search(message, text), text
    assert not (tmp_path / "c.npy").exists()


def test_too_few_atoms_without_periodicity(kgdyn_command: Command, tmp_path: Path) -> None:
    frames = "".join(
        f'3\nProperties=species:S:1:pos:R:3 pbc="F F F"\nLi 0 0 {i}.1\nS 1 0 0\nS 0 2 0\n'
        for i in range(9)
    )
    (tmp_path / "cluster.extxyz").write_text(frames)
    result = kgdyn_command(
        *["train", tmp_path / "cluster.extxyz", "--targets", "element Li", "--frame-interval", 1],
        *["--output", tmp_path / "r", "--lagtime", 1, "--n-states", 2, "--n-neighbors", 3],
        *["--train-fraction", 0.6, "--validation-fraction", 0.4, "-q"],
    )
    assert result.exit_code == 1
    assert "n_neighbors=3 needs more than 3 atoms" in " ".join(result.output.split())
    assert "Traceback" not in result.output
