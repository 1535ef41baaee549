"""Masks whose effect is known: none at all, everything, and one computed in a loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kgdyn.explain import Mask, MaskingImportance, masking_importance
from kgdyn.explain._scores import score_sums, scores_of_sums
from kgdyn.frames import TargetGroups
from kgdyn.graphs import PackedGraphs
from kgdyn.koopman import Resampling, block_covariances
from kgdyn.toys import MarkovChain, SwitchingShell
from kgdyn.trajectories import Trajectory, trajectory_from_arrays

# Few frames are enough for exact answers.
pytestmark = pytest.mark.filterwarnings("ignore:intervals rest on only")

Models = Callable[..., Any]
BLOCKS = Resampling(block_length=3)


@pytest.fixture(scope="module")
def shell() -> Trajectory:
    """A Li whose first S is at 2.0 or 3.0 angstrom, three S beyond, and a Cl that nobody sees."""
    toy = SwitchingShell(MarkovChain(np.array([[0.9, 0.1], [0.2, 0.8]])), 2.0, 1.0, 0.02)
    positions, _ = toy.sample(300, rng=np.random.default_rng(4))
    far = np.full((300, 1, 3), 1.0)
    return trajectory_from_arrays(
        np.concatenate([positions, far], axis=1),
        toy.cell,
        [*toy.species.tolist(), 17],
        frame_interval=1.0,
        targets=[0],
    )


def knows_the_nearest(model: Any) -> Any:
    """State 2 is what has a neighbour near 2.0 angstrom: the first feature then becomes large.

    Attention is even, so that the feature is 1/M of the relu of the Gaussian around 2.0.
    """
    for weight in model.weights:
        if not weight.path.endswith("matrix"):
            weight.assign(np.zeros(weight.shape))
    for layer in model.convolutions:
        kernel = np.zeros(layer.basis_kernel.shape)
        kernel[10, 0] = 1.0  # the Gaussian at 2.0
        layer.basis_kernel.assign(kernel)
    (hidden,) = model.head.hidden
    hidden.kernel.assign(np.eye(hidden.kernel.shape[0]))
    logits = np.zeros(model.head.logits.kernel.shape)
    logits[0, 1] = 400.0
    model.head.logits.kernel.assign(logits)
    model.head.logits.bias.assign([0.0, -20.0])
    model.simplex_map.set_matrix(np.eye(2))
    return model


def test_the_shell_that_decides(random_model: Models, shell: Trajectory) -> None:
    model = knows_the_nearest(random_model(n_convolutions=1, n_neighbors=4))
    found = masking_importance(
        model, shell, lagtime=1, shells=[1.5, 2.5, 3.5, 9.0], resampling=Resampling(20)
    )
    assert found.names == (
        "Li", "S", "Cl", "1.50-2.50 angstrom", "2.50-3.50 angstrom", "3.50-9.00 angstrom",
    )  # fmt: skip
    share = found.populations[1]
    assert 0.2 < share < 0.8
    # Where the S stands at 2.0 the state needs it, and Cl, Li and the shells beyond do nothing.
    np.testing.assert_allclose(found.changed[[1, 3]], [[0.0, 1.0]] * 2, atol=1e-9)
    np.testing.assert_allclose(found.changed_of_all[[1, 3]], share, rtol=1e-4)
    np.testing.assert_allclose(found.total_variation[[1, 3], 1], 1.0, atol=1e-4)
    np.testing.assert_allclose(found.masked_score[[1, 3]], 1.0, rtol=0.0, atol=0.0)
    np.testing.assert_allclose(found.score_drop[[1, 3]], found.score - 1.0)
    assert found.score > 1.3
    np.testing.assert_allclose(found.masked_neighbors, [0, 4, 0, share, 1 - share, 3], rtol=1e-4)
    # The others stand at 4 angstrom and more: of them the model knows nothing, and of 3.0 neither.
    np.testing.assert_allclose(found.changed[[4, 5]], 0.0, atol=1e-9)
    np.testing.assert_allclose(found.score_drop[[4, 5]], 0.0, atol=1e-3)


def test_what_is_not_seen_changes_nothing(random_model: Models, shell: Trajectory) -> None:
    """Exactly: not a bit of it."""
    model = random_model(n_convolutions=1, n_neighbors=4)
    found = masking_importance(
        model, shell, lagtime=1, elements=["Cl", 53], shells=[0.0, 1.2], resampling=Resampling(20)
    )
    for name in ("score_drop", "changed", "changed_of_all", "total_variation", "masked_neighbors"):
        assert not np.nan_to_num(getattr(found, name)).any(), name
    assert (found.masked_score == found.score).all()
    for bounds in (found.score_drop_interval, found.total_variation_interval):
        assert not bounds.lower.any()
        assert not bounds.upper.any()
    assert found.names == ("Cl", "I", "below 1.20 angstrom")


@pytest.mark.parametrize(
    ("scope", "options"),
    [
        ("targets", {}),
        ("all", {}),
        ("targets", {"variant": "released", "envelope": True}),
        ("targets", {"pooling": "global"}),
    ],
    ids=["paper", "all edges", "released with envelope", "global"],
)
def test_everything_masked_is_constant(
    scope: Any, options: dict[str, Any], random_model: Models, some_gas: Trajectory
) -> None:
    alike = some_gas.with_targets(TargetGroups.from_indices([0, 2, 3]))
    model = random_model(**options)
    found = masking_importance(
        model, alike, elements=[], shells=[0.0, np.inf], scope=scope, resampling=BLOCKS
    )
    assert found.names == ("everything",)
    assert found.masked_neighbors.tolist() == [5.0]
    assert found.masked_score.tolist() == [1.0]
    assert found.masked_score_interval.lower.tolist() == [1.0]
    assert np.nanmax(found.total_variation) > 1e-3


@pytest.mark.parametrize("scope", ["targets", "all"])
@pytest.mark.parametrize("mask", [Mask("S"), Mask(None, 1.5, 2.4), Mask("Li", 1.0, 3.0)], ids=str)
def test_against_the_loop(
    scope: Any,
    mask: Mask,
    plain_model: Any,
    slow_model: Callable[..., Any],
    whole_graphs: Callable[[Trajectory], PackedGraphs],
    some_gas: Trajectory,
) -> None:
    model, run = plain_model, some_gas[:4]
    graphs = whole_graphs(run)
    targets = {0, 1, 4, 2}
    masked = np.zeros(graphs.neighbors.shape, bool)
    kind = {"Li": 3, "S": 16, None: None}[mask.element]
    for row, neighbors in enumerate(graphs.neighbors):
        i = row % 12
        for k, j in enumerate(neighbors.tolist()):
            outward = kind is None or run.species[j] == kind
            inward = kind is None or run.species[i] == kind
            hit = outward if scope == "all" else (
                (i in targets and outward) or (j in targets and inward)
            )  # fmt: skip
            masked[row, k] = hit and mask.low <= graphs.distances[row, k] < mask.high
    chi = slow_model(model, graphs).states.reshape(4, 3, 2)
    other = slow_model(model, graphs, masked).states.reshape(4, 3, 2)
    asked: dict[str, Any] = {
        "elements": [] if mask.element is None else [mask.element],
        "shells": [] if mask.everywhere else [mask.low, mask.high],
        "combined": mask.element is not None and not mask.everywhere,
    }
    found = masking_importance(
        model, run, lagtime=1, scope=scope, resampling=Resampling(block_length=1), **asked
    )
    place = found.masks.index(mask)
    first, second = chi.argmax(axis=2), other.argmax(axis=2)
    for state in range(2):
        mine = first == state
        if mine.any():
            expected = (second[mine] != state).mean()
            assert found.changed[place, state] == pytest.approx(expected, abs=1e-12)
        else:
            assert np.isnan(found.changed[place, state])
        moved = 0.5 * np.abs(chi - other).sum(axis=2)
        expected = (chi[..., state] * moved).sum() / chi[..., state].sum()
        assert found.total_variation[place, state] == pytest.approx(expected, rel=1e-4)
    assert found.changed_of_all[place] == pytest.approx((first != second).mean())
    rows = [12 * frame + atom for frame in range(4) for atom in sorted(targets)]
    assert found.masked_neighbors[place] == pytest.approx(masked[rows].sum(axis=1).mean())
    from kgdyn.scores import vamp2_score

    for values, score in ((chi, found.score), (other, found.masked_score[place])):
        expected = vamp2_score(values[:-1].reshape(-1, 2), values[1:].reshape(-1, 2))
        assert score == pytest.approx(float(expected), rel=1e-5)
    assert found.score_drop[place] == pytest.approx(found.score - found.masked_score[place])
    assert np.abs(chi - other).max() > 0.01


def test_a_hidden_element_has_the_mean_embedding(
    random_model: Models, some_gas: Trajectory
) -> None:
    """As in a model whose embedding of that element is the mean of what the targets see."""
    from kgdyn.graphs import pack_graphs

    model, other = random_model(), random_model()
    run = some_gas.with_targets(TargetGroups.from_indices([0, 1]))
    graphs = pack_graphs(run.positions, run.cells, run.pbc, run.species, run.targets, 5)
    rows = [12 * frame + atom for frame in range(12) for atom in (0, 1)]
    seen = run.species[graphs.neighbors[rows]]
    vectors = np.array(model.embedding.vectors)
    shares = [(seen == number).mean() for number in (3, 16, 17, 53)]
    vectors[1] = shares @ vectors
    other.embedding.vectors.assign(vectors)
    options: dict[str, Any] = {"shells": [], "resampling": BLOCKS}
    found = masking_importance(model, run, elements=["S"], element_mask="embedding", **options)
    expected = masking_importance(other, run, elements=["I"], **options)
    assert found.masked_score[0] == pytest.approx(expected.score, rel=1e-5)
    assert abs(found.score_drop[0]) > 1e-4
    assert found.masked_neighbors[0] == pytest.approx((seen == 16).mean() * 5)
    # Li is also what targets are, but not all of it.
    found = masking_importance(model, run, element_mask="embedding", **options)
    assert found.names == ("Li", "S", "Cl")
    assert found.masked_neighbors[0] == pytest.approx(
        np.isin(graphs.neighbors[rows], [2, 3]).mean() * 5
    )
    all_li = some_gas.with_targets(TargetGroups.from_indices([0, 1, 2, 3]))
    found = masking_importance(model, all_li, element_mask="embedding", **options)
    assert found.names == ("S", "Cl")
    with pytest.raises(ValueError, match=r"all of Li are of targets; use element_mask=\"edges\""):
        masking_importance(model, all_li, elements=["Li"], element_mask="embedding", **options)


def test_stride_segments_and_batches(
    plain_model: Any, some_gas: Trajectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = plain_model
    run = replace(some_gas, segment_offsets=np.array([0, 5, 12]))
    chosen = [0, 2, 4, 5, 7, 9, 11]
    alone = [
        replace(
            some_gas, positions=some_gas.positions[part], cells=some_gas.cells[part],
            segment_offsets=None,
        )
        for part in (chosen[:3], chosen[3:])
    ]  # fmt: skip
    options: dict[str, Any] = {"elements": ["S"], "shells": [1.0, 2.0]}
    expected = masking_importance(
        model, alone, lagtime=1, resampling=Resampling(block_length=2), **options
    )
    monkeypatch.setattr("kgdyn.explain._sample._ATOMS_PER_BATCH", 24)
    seen: list[tuple[int, int]] = []
    found = masking_importance(
        model,
        run,
        lagtime=2,
        stride=2,
        resampling=Resampling(block_length=4),
        progress=lambda *state: seen.append(state),
        **options,
    )
    assert seen == [(2, 7), (4, 7), (6, 7), (7, 7)]
    assert (found.n_frames, found.lagtime, found.resampling.block_length) == (7, 2, 4)
    for name in ("masked_score", "score_drop", "changed", "total_variation"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-5)
    np.testing.assert_allclose(
        found.score_drop_interval.upper, expected.score_drop_interval.upper, atol=1e-3
    )


def test_default_masks_and_blocks(random_model: Models, shell: Trajectory) -> None:
    model = random_model(n_convolutions=1, n_neighbors=4, lagtime=1)
    found = masking_importance(model, shell, combined=True)
    shells = [mask for mask in found.masks if mask.element is None]
    assert shells[0] == Mask(None, 0.0, 2.0)
    assert shells[1] == Mask(None, 2.0, 2.5)
    assert shells[-1] == Mask(None, 4.5, np.inf)
    assert len(found.masks) == 3 + len(shells) + 3 * len(shells)
    assert found.names[-1] == "Cl beyond 4.50 angstrom"
    # Each neighbour is in one of the shells.
    alone = found.masked_neighbors[3 : 3 + len(shells)]
    assert alone.sum() == pytest.approx(4.0)
    assert found.lagtime == 1
    assert found.resampling.block_length >= 5
    text = repr(found)
    assert text.startswith("MaskingImportance(masks=['Li', 'S', 'Cl', 'below 2.00 angstrom'")
    assert "lagtime=1 frames, scope='targets', element_mask='edges', n_frames=300" in text
    with pytest.raises(ValueError, match="read-only"):
        found.score_drop[0] = 1.0
    assert isinstance(found, MaskingImportance)


def test_scores_of_states_that_hardly_vary() -> None:
    """Exactly 1 for constants, rounded or not; else what vamp2_score gives."""
    from kgdyn.scores import vamp2_score

    rng = np.random.default_rng(0)
    chi = rng.dirichlet([1.0, 2.0, 3.0], size=(40, 2))
    chi[1:] = 0.5 * chi[1:] + 0.5 * chi[:-1]
    constant = np.broadcast_to([0.2, 0.3, 0.5], chi.shape)
    rounded = constant + 1e-7 * rng.normal(size=(40, 2, 1)) * np.array([1.0, -2.0, 1.0])
    sums = score_sums(
        [block_covariances([np.array(some)], 1).combined() for some in (chi, constant, rounded)]
    )
    found = scores_of_sums(sums)[0]
    expected = float(vamp2_score(chi[:-1].reshape(-1, 3), chi[1:].reshape(-1, 3)))
    np.testing.assert_allclose(found, [expected, 1.0, 1.0], rtol=1e-9)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"scope": "both"}, ValueError, r"scope must be one of \('targets', 'all'\), received 'bo"),
        ({"element_mask": "x"}, ValueError, r"element_mask must be one of \('edges', 'embedding'"),
        ({"lagtime": 3, "stride": 2}, ValueError, "stride must divide lagtime, 3 frames, receiv"),
        ({"lagtime": 12}, ValueError, "shorter than the longest segment, received 12 frames"),
        ({"lagtime": 1.0}, TypeError, "lagtime must be a whole number, received 1.0"),
        ({"elements": ["Na"]}, ValueError, r"that the model knows, \['Li', 'S', 'Cl', 'I'\], rec"),
        ({"elements": ["S", 16]}, ValueError, r"elements must be distinct, received \['S', 16\]"),
        ({"elements": ["Xx"]}, ValueError, "elements must be chemical symbols"),
        ({"shells": [2.0, 1.0]}, ValueError, r"rising borders in angstrom.* received \[2.0, 1.0\]"),
        ({"shells": [2.0]}, ValueError, "shells must be rising borders"),
        ({"shells": [-1.0, 2.0]}, ValueError, "none negative"),
        ({"elements": [], "shells": []}, ValueError, "at least one is needed to mask, received no"),
    ],
)
def test_bad_arguments(
    options: Any, error: type, message: str, plain_model: Any, some_gas: Trajectory
) -> None:
    with pytest.raises(error, match=message):
        masking_importance(plain_model, some_gas, **options)


@pytest.mark.parametrize(
    ("mask", "name"),
    [
        (Mask(), "everything"),
        (Mask("S"), "S"),
        (Mask(None, 1.0, 2.0), "1.00-2.00 angstrom"),
        (Mask(None, 0.0, 2.0), "below 2.00 angstrom"),
        (Mask("type 130", 3.0), "type 130 beyond 3.00 angstrom"),
        (Mask("S", 2.2, 2.6), "S at 2.20-2.60 angstrom"),
    ],
)
def test_names_of_masks(mask: Mask, name: str) -> None:
    assert str(mask) == name
