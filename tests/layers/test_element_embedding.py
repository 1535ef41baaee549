"""The vectors of elements, and NaN for those that the model does not know."""

from __future__ import annotations

import numpy as np
import pytest

from kgdyn.layers import ElementEmbedding


def test_each_element_has_its_row() -> None:
    layer = ElementEmbedding([16, 3, 8], 4)
    species = np.array([3, 8, 16, 16, 3], "int32")
    vectors = np.asarray(layer(species))
    np.testing.assert_array_equal(vectors, np.asarray(layer.vectors)[[1, 2, 0, 0, 1]])
    assert len(np.unique(vectors[:, 0])) == 3


@pytest.mark.parametrize("unknown", [-5, -1, 0, 1, 4, 15, 17, 18, 119, 2**31 - 1])
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_unknown_species_gives_nan_and_only_there(unknown: int, policy: str) -> None:
    layer = ElementEmbedding([3, 16], 4, dtype=policy)
    vectors = np.asarray(layer(np.array([3, unknown, 16], "int32")))
    np.testing.assert_array_equal(np.isnan(vectors).all(axis=1), [False, True, False])
    assert np.isfinite(vectors[[0, 2]]).all()


def test_bead_types_beyond_the_periodic_table() -> None:
    layer = ElementEmbedding([1, 500], 2)
    assert np.isfinite(np.asarray(layer(np.array([1, 500], "int32")))).all()


@pytest.mark.parametrize("elements", [[], [0, 3], [-1], [3, 16, 3]])
def test_elements_must_be_distinct_and_positive(elements: list[int]) -> None:
    with pytest.raises(ValueError, match=r"elements must be distinct positive ints, received \["):
        ElementEmbedding(elements, 4)


def test_at_least_one_feature() -> None:
    with pytest.raises(ValueError, match="n_features must be at least 1, received 0"):
        ElementEmbedding([3], 0)
