"""Processes in sentences."""

from __future__ import annotations

import numpy as np
import pytest

from kgdyn.koopman import KoopmanModel
from kgdyn.report.words import process_sentences, states_text


def model_of(matrix: list[list[float]]) -> KoopmanModel:
    n_states = len(matrix)
    return KoopmanModel(
        np.array(matrix), 10, 0.1, 1000, np.full(n_states, 1.0 / n_states), 1.5
    )  # a lag time of 1 ps


def test_two_states() -> None:
    (sentence,) = process_sentences(model_of([[0.9, 0.1], [0.2, 0.8]]))
    time = -1.0 / np.log(0.7)
    assert sentence == (
        f"Process 1 relaxes in {time:.4g} ps: exchange between state 1 and state 2."
    )


def test_sides_have_shares() -> None:
    # State 3 exchanges with 1 and 2, which are the same to it but for their populations.
    matrix = [[0.98, 0.005, 0.015], [0.0, 0.98, 0.02], [0.03, 0.01, 0.96]]
    first, second = process_sentences(model_of(matrix))
    assert "relaxes in" in first
    assert "on one side and" in second
    flow = model_of(matrix).left_eigenvectors
    for number, sentence in enumerate((first, second)):
        sides = np.where(
            np.abs(flow[:, number]) < 0.05 * np.abs(flow[:, number]).max(), 0.0, flow[:, number]
        )
        for state in range(3):
            side = sides[np.sign(sides) == np.sign(sides[state])]
            share = abs(sides[state]) / np.abs(side).sum()
            if len(side) > 1 and sides[state] != 0.0:
                assert f"{state + 1} ({100 * share:.0f}%)" in sentence


def test_who_hardly_takes_part_is_not_named() -> None:
    matrix = [[0.9, 0.1, 0.0], [0.1, 0.9, 0.0], [0.0, 0.0, 1.0]]
    blend = 0.999 * np.array(matrix) + 0.001 * np.full((3, 3), 1.0 / 3.0)
    sentences = process_sentences(model_of(blend.tolist()))
    assert sentences[1].endswith("exchange between state 1 and state 2.")


@pytest.mark.filterwarnings("error")
def test_a_cycle_has_no_time() -> None:
    sentences = process_sentences(model_of([[0.1, 0.9, 0.0], [0.0, 0.1, 0.9], [0.9, 0.0, 0.1]]))
    assert len(sentences) == 2
    assert all("turns through states 1, 2 and 3" in text for text in sentences)
    assert all("no relaxation time" in text for text in sentences)


@pytest.mark.filterwarnings("error")
def test_a_negative_eigenvalue_has_no_time() -> None:
    (sentence,) = process_sentences(model_of([[0.1, 0.9], [0.9, 0.1]]))
    assert "has no relaxation time (eigenvalue -0.8)" in sentence


def test_names() -> None:
    assert states_text([0]) == "state 1"
    assert states_text([0, 2]) == "states 1 and 3"
    assert states_text([0, 1, 3]) == "states 1, 2 and 4"
