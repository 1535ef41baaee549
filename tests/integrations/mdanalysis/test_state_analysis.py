"""StateAnalysis gives what assign_states gives, on whatever backend, and refuses what it cannot."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kgdyn.integrations.mdanalysis import BackendSpawned, BackendSpawnedDask, StateAnalysis
from MDAnalysis.analysis.backends import BackendMultiprocessing
from MDAnalysis.analysis.results import ResultsGroup

import kgdyn

# TensorFlow and XLA round a float32 product as the batch has it.
TOLERANCE = 1e-6


def expected(model: Any, universe: Any, **options: Any) -> Any:
    targets = options.pop("targets", "element Li")
    run = kgdyn.from_universe(universe, targets, frame_interval=0.5, **options)
    return kgdyn.assign_states(model, run)


FORMATS = (".xtc", ".trr", ".dcd", ".ncdf")


@pytest.fixture(scope="module")
def references(universe: Callable[..., Any], from_file: Callable[[str], Any], model: Any) -> Any:
    """Of the Universe in memory ("") and of files of all formats, assigned in one go."""
    sources = {"": universe(), **{suffix: from_file(suffix) for suffix in FORMATS}}
    runs = [
        kgdyn.from_universe(made, "element Li", frame_interval=1.0) for made in sources.values()
    ]
    whole = kgdyn.trajectory_from_arrays(
        np.concatenate([run.positions for run in runs]),
        np.concatenate([run.cells for run in runs]),
        runs[0].species,
        frame_interval=1.0,
        targets=runs[0].targets,
    )
    return dict(zip(sources, np.split(kgdyn.assign_states(model, whole), len(runs)), strict=True))


@pytest.fixture
def wanted(references: Any) -> Any:
    """Of the Universe in memory."""
    return references[""]


@pytest.mark.parametrize("suffix", FORMATS)
def test_files_are_assigned_as_by_assign_states(
    suffix: str, from_file: Callable[[str], Any], references: Any, model_file: Path
) -> None:
    universe, wanted = from_file(suffix), references[suffix]
    analysis = StateAnalysis(universe.select_atoms("element Li"), model_file, batch_size=7)
    found = analysis.run().results
    assert found.state_probabilities.dtype == np.float32
    np.testing.assert_allclose(found.state_probabilities, wanted, rtol=0, atol=TOLERANCE)
    # The states do depend on what was read.
    assert np.ptp(wanted[..., 0]) > 1e-3
    np.testing.assert_array_equal(found.states, wanted.argmax(axis=2))
    np.testing.assert_allclose(found.populations, wanted.mean(axis=(0, 1)), atol=TOLERANCE)
    # Nothing is lost on the way: not even digits of the cell, which MDAnalysis rounds.
    run, whole = (
        analysis.trajectory(frame_interval=1.0),
        kgdyn.from_universe(universe, "element Li", frame_interval=1.0),
    )
    np.testing.assert_array_equal(run.positions, whole.positions)
    np.testing.assert_array_equal(run.cells, whole.cells)


def test_frames_and_times_follow_the_slice(
    universe: Callable[..., Any], model_file: Path, wanted: Any
) -> None:
    made = universe()
    analysis = StateAnalysis(made, model_file, select="element Li", batch_size=2)
    found = analysis.run(start=3, stop=20, step=4).results
    np.testing.assert_array_equal(found.frames, [3, 7, 11, 15, 19])
    np.testing.assert_allclose(found.times, 0.5 * found.frames, rtol=1e-12)
    np.testing.assert_allclose(found.state_probabilities, wanted[3:20:4], rtol=0, atol=TOLERANCE)
    # Any order, and the same frame twice; what the last run found is gone.
    found = analysis.run(frames=[8, 2, 2]).results
    np.testing.assert_allclose(found.state_probabilities, wanted[[8, 2, 2]], atol=TOLERANCE)
    mask = np.zeros(len(wanted), bool)
    mask[[1, 5]] = True
    found = analysis.run(frames=mask.tolist()).results
    np.testing.assert_allclose(found.state_probabilities, wanted[[1, 5]], rtol=0, atol=TOLERANCE)
    found = analysis.run(stop=0).results
    assert found.state_probabilities.shape == (0, 4, 3)
    assert np.isnan(found.populations).all()


def test_transformations_are_applied(
    from_file: Callable[[str], Any], model: Any, model_file: Path, references: Any
) -> None:
    universe = from_file(".xtc")

    def squeeze(timestep: Any) -> Any:
        timestep.dimensions = timestep.dimensions * np.array([0.9, 1, 1, 1, 1, 1], np.float32)
        return timestep

    universe.trajectory.add_transformations(squeeze)
    found = StateAnalysis(universe, model_file, select="element Li").run().results
    wanted = expected(model, universe)
    np.testing.assert_allclose(found.state_probabilities, wanted, rtol=0, atol=TOLERANCE)
    assert np.abs(wanted - references[".xtc"]).max() > 1e-4


def test_whole_residues_and_molecules(
    universe: Callable[..., Any], model: Any, model_file: Path
) -> None:
    made = universe(4)
    wanted = expected(model, made, groupby="residues")
    for groupby in ("residues", "molecules"):
        analysis = StateAnalysis(made.select_atoms("element Li"), model_file, groupby=groupby)
        assert [len(part) for part in np.split(analysis.targets.atoms, 4)] == [3, 3, 3, 3]
        found = analysis.run().results.state_probabilities
        np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE)


def test_targets_keep_the_order_of_their_atomgroup(
    universe: Callable[..., Any], model_file: Path, wanted: Any
) -> None:
    made = universe()
    analysis = StateAnalysis(made.atoms[[9, 0]], model_file)
    assert analysis.targets.atoms.tolist() == [9, 0]
    found = analysis.run().results.state_probabilities
    np.testing.assert_allclose(found, wanted[:, [3, 0]], rtol=0, atol=TOLERANCE)
    inside = StateAnalysis(made.select_atoms("index 0:5"), model_file, select="element Li")
    assert inside.targets.n_targets == len(made.select_atoms("index 0:5 and element Li"))


def test_elements_and_pbc_are_those_of_from_universe(
    universe: Callable[..., Any], model: Any, model_file: Path
) -> None:
    made = universe(3)
    made.del_TopologyAttr("elements")
    made.atoms.names = ["A", "B", "B"] * 4
    made.atoms.types = ["A", "B", "B"] * 4
    options = {"elements": {"A": "Li", "B": "S"}, "pbc": [True, True, False]}
    found = StateAnalysis(made.select_atoms("name A"), model_file, **options).run().results
    wanted = expected(model, made, targets="name A", **options)
    np.testing.assert_allclose(found.state_probabilities, wanted, rtol=0, atol=TOLERANCE)


def test_novelty_is_that_of_assign_novelty(universe: Callable[..., Any], model: Any) -> None:
    import keras

    from kgdyn.models import GDyNet
    from kgdyn.training import assign_novelty, fit_novelty

    made = universe()
    run = kgdyn.from_universe(made, "element Li", frame_interval=0.5)
    known = keras.models.clone_model(model)
    assert isinstance(known, GDyNet)
    fit_novelty(known, run)
    found = StateAnalysis(made, known, select="element Li", novelty=True, batch_size=5).run()
    wanted = assign_novelty(known, run)
    np.testing.assert_allclose(found.results.novelty, wanted, rtol=1e-5)
    with pytest.raises(ValueError, match="novelty: the model does not know the surroundings"):
        StateAnalysis(made, model, select="element Li", novelty=True).run()


def test_its_frames_go_on_to_observables(from_file: Callable[[str], Any], model_file: Path) -> None:
    from kgdyn.koopman import Resampling
    from kgdyn.observables import coordination_numbers

    universe = from_file(".xtc")
    analysis = StateAnalysis(universe, model_file, select="element Li")
    with pytest.raises(RuntimeError, match=r"needs run\(\) first"):
        analysis.trajectory()
    analysis.run(step=2)
    run = analysis.trajectory()
    whole = kgdyn.from_universe(universe, "element Li")
    np.testing.assert_array_equal(run.positions, whole.positions[::2])
    np.testing.assert_array_equal(run.cells, whole.cells[::2])
    assert run.frame_interval == pytest.approx(2 * whole.frame_interval)
    assert run.n_segments == 1
    found = coordination_numbers(
        run,
        analysis.results.state_probabilities,
        cutoffs=3.0,
        selections=["S"],
        resampling=Resampling(1),
    )
    assert np.isfinite(found.mean).all()
    # Where frames are left out there is a border that no lagged pair crosses.
    analysis.run(frames=[0, 1, 2, 5, 6, 7])
    assert analysis.trajectory().offsets.tolist() == [0, 3, 6]
    analysis.run(frames=[2, 1])
    with pytest.raises(ValueError, match="frames must be at least one, in rising order"):
        analysis.trajectory()
    timeless = StateAnalysis(from_file(".dcd"), model_file, select="element Li").run(stop=3)
    with pytest.raises(ValueError, match="frame_interval must be given in ps"):
        timeless.trajectory()
    assert timeless.trajectory(frame_interval=0.5).frame_interval == 0.5


def test_a_copy_that_was_sent_away_finds_the_same(
    from_file: Callable[[str], Any], model: Any, model_file: Path, references: Any
) -> None:
    universe, wanted = from_file(".xtc"), references[".xtc"]
    for given in (model_file, model_file.read_bytes(), model):
        analysis = StateAnalysis(universe, given, select="element Li")
        away = pickle.loads(pickle.dumps(analysis))
        assert away._model is None
        part = away._compute(np.array([[0, 4], [1, 5]]))
        found = part.results.state_probabilities
        np.testing.assert_allclose(found, wanted[4:6], rtol=0, atol=TOLERANCE)
        assert part.frames.tolist() == [4, 5]


def test_parts_are_joined_in_order(
    universe: Callable[..., Any], model_file: Path, wanted: Any
) -> None:
    """In one process: what backends do with parts that share an analysis."""
    made = universe()
    analysis = StateAnalysis(made, model_file, select="element Li", batch_size=3)
    found = analysis.run(n_parts=4).results
    np.testing.assert_allclose(found.state_probabilities, wanted, rtol=0, atol=TOLERANCE)
    np.testing.assert_array_equal(found.frames, np.arange(len(made.trajectory)))
    assert isinstance(analysis._get_aggregator(), ResultsGroup)


def test_no_worker_is_a_fork(universe: Callable[..., Any], model: Any) -> None:
    analysis = StateAnalysis(universe(2), model, select="element Li")
    assert StateAnalysis.get_supported_backends() == ("serial", "multiprocessing", "dask")
    assert analysis.parallelizable
    configure = analysis._configure_backend
    assert type(configure("multiprocessing", 2)) is BackendSpawned
    assert type(configure("dask", 2)) is BackendSpawnedDask
    theirs = BackendMultiprocessing(n_workers=2)
    assert type(configure(theirs, 2, unsupported_backend=True)) is BackendSpawned
    assert configure(BackendSpawned(3), 3).n_workers == 3


@pytest.mark.slow
@pytest.mark.long
def test_a_process_of_dask_finds_the_same(
    from_file: Callable[[str], Any], model_file: Path, references: Any
) -> None:
    """Multiprocessing and a cluster: test_page.py."""
    # TensorFlow is loaded and has worked here: a fork might hang.
    universe, wanted = from_file(".xtc"), references[".xtc"]
    analysis = StateAnalysis(universe, model_file, select="element Li", batch_size=5)
    found = analysis.run(backend="dask", n_workers=1, n_parts=2, step=2).results
    np.testing.assert_allclose(found.state_probabilities, wanted[::2], rtol=0, atol=TOLERANCE)
    np.testing.assert_array_equal(found.frames, np.arange(0, len(wanted), 2))
    assert found.populations.shape == (3,)


# --- what is refused ----------------------------------------------------------------------------


def test_models_that_are_none(universe: Callable[..., Any], tmp_path: Path) -> None:
    made = universe(2)
    with pytest.raises(FileNotFoundError, match="there is no such model file"):
        StateAnalysis(made, tmp_path / "none.keras", select="element Li")
    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(ValueError, match=r"text.keras: is not a .keras model file"):
        StateAnalysis(made, tmp_path / "text.keras", select="element Li")
    with pytest.raises(TypeError, match="model must be a path, bytes or a GDyNet"):
        StateAnalysis(made, 3, select="element Li")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^model: is not a .keras model file"):
        StateAnalysis(made, b"no model", select="element Li").run()


def test_atoms_that_are_none(universe: Callable[..., Any], model: Any) -> None:
    made = universe(2)
    with pytest.raises(TypeError, match="atomgroup must be an AtomGroup or Universe"):
        StateAnalysis("element Li", model)
    with pytest.raises(ValueError, match="select must say which atoms of a Universe"):
        StateAnalysis(made, model)
    with pytest.raises(TypeError, match="must be the same atoms in all frames"):
        StateAnalysis(made.select_atoms("prop x < 3", updating=True), model)
    with pytest.raises(ValueError, match="targets must be at least one atom, received none"):
        StateAnalysis(made.atoms[[]], model)
    with pytest.raises(ValueError, match="matches no atom"):
        StateAnalysis(made, model, select="element Au")
    with pytest.raises(ValueError, match="groupby must be one of"):
        StateAnalysis(made.atoms, model, groupby="segments")
    with pytest.raises(ValueError, match="batch_size must be at least 1, received 0"):
        StateAnalysis(made.atoms, model, batch_size=0)


def test_frames_that_cannot_be_assigned(universe: Callable[..., Any], model: Any) -> None:
    made = universe(3)
    with pytest.raises(ValueError, match="holds C, which the model never saw"):
        StateAnalysis(made.atoms[:1], model, elements=["Li", "C", "S"] * 4).run()
    made.trajectory.get_array()[1, 5, 2] = np.nan
    with pytest.raises(ValueError, match=r"frame 1: positions must be finite.* atom 5"):
        StateAnalysis(made.atoms[:1], model, batch_size=1).run()
