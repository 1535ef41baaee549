"""The figure of a training shows its history."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from kgdyn.plots import plot_training_curve

HISTORY = {"vamp2": [1.2, 1.5, 1.6], "val_vamp2": [1.1, 1.4, 1.45], "learning_rate": [1, 1, 1]}


def test_lines_are_the_scores() -> None:
    ax = plot_training_curve(HISTORY)
    training, validation = ax.lines
    for line, name in ((training, "vamp2"), (validation, "val_vamp2")):
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
        np.testing.assert_allclose(line.get_ydata(), HISTORY[name], rtol=1e-12)
    assert training.get_marker() != validation.get_marker()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "VAMP-2 score")
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts[0].startswith("training")
    assert texts[1:] == ["validation"]


def test_the_loss_of_the_batches_is_the_training_score() -> None:
    ax = plot_training_curve({**HISTORY, "loss": [-1.3, -1.55, -1.65]})
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [1.3, 1.55, 1.65], rtol=1e-12)
    np.testing.assert_allclose(ax.lines[1].get_ydata(), HISTORY["val_vamp2"], rtol=1e-12)
    assert ax.get_legend().get_texts()[0].get_text() == "training, mean of batches"


def test_without_validation() -> None:
    ax = plot_training_curve({"vamp2": [1.2, 1.5]})
    assert len(ax.lines) == 1


def test_a_validation_that_was_interrupted() -> None:
    ax = plot_training_curve({"vamp2": [1.2, 1.5, 1.6], "loss": [-1.2, -1.5], "val_vamp2": [1.1]})
    assert [list(line.get_xdata()) for line in ax.lines] == [[1, 2], [1]]
    assert ax.get_xlim() == (0.5, 3.5)


@pytest.mark.parametrize(
    ("score", "label"), [("vamp1", "VAMP-1 score"), ("vampe_reversible", "VAMP-E score")]
)
def test_other_scores(score: str, label: str) -> None:
    ax = plot_training_curve({score: [1.2, 1.5], f"val_{score}": [1.1, 1.2]}, score=score)
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), [1.1, 1.2])
    assert ax.get_ylabel() == label


@pytest.mark.parametrize("n_states", [2, 4])
def test_maximum_is_a_line_inside(n_states: int) -> None:
    ax = plot_training_curve(HISTORY, n_states=n_states)
    np.testing.assert_array_equal(ax.lines[2].get_ydata(), [n_states, n_states])
    assert ax.get_ylim()[1] > n_states
    ax.figure.canvas.draw()
    (text,) = ax.texts
    box, frame = text.get_window_extent(), ax.get_window_extent()
    assert box.y1 < frame.y1
    assert box.x1 < frame.x1


@pytest.mark.parametrize("n_epochs", [1, 2, 40])
def test_ticks_are_whole_epochs(n_epochs: int) -> None:
    ax = plot_training_curve({"vamp2": np.linspace(1.0, 1.5, n_epochs).tolist()})
    ticks = np.array(ax.get_xticks())
    np.testing.assert_array_equal(ticks, np.round(ticks))


def test_undefined_scores_do_not_crash() -> None:
    ax = plot_training_curve({"vamp2": [1.2, np.nan, 1.3]}, n_states=2)
    ax.figure.canvas.draw()


def test_draws_into_the_given_axes() -> None:
    _, ax = plt.subplots()
    assert plot_training_curve(HISTORY, ax) is ax
    assert plot_training_curve(HISTORY) is not ax


def test_refuses_a_history_without_the_score() -> None:
    with pytest.raises(ValueError, match=r"entry 'vamp2'.*received \['loss'\]"):
        plot_training_curve({"loss": [1.0]})
