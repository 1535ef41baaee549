"""A sentence a state, from results written by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kgdyn.explain import Mask, MaskingImportance, NeighborAttention, describe_importance
from kgdyn.koopman import Interval, Resampling

BLOCKS = Resampling(block_length=10)


def around(values: Any, width: float = 0.03) -> Interval:
    values = np.asarray(values, float)
    return Interval(values - width, values + width)


def attention_of(shares: Any, beyond: Any, neighbors: Any = None) -> NeighborAttention:
    """``shares`` (n_states, n_elements, n_bins) of both of two convolutions; bins of 0.5."""
    shares = np.asarray(shares, float)
    both = np.stack([shares, np.zeros_like(shares)])
    n_states, n_elements, n_bins = shares.shape
    edges = 0.5 * np.arange(n_bins + 1)
    counts = 4.0 * shares if neighbors is None else np.asarray(neighbors, float)
    return NeighborAttention(
        radii=0.5 * (edges[1:] + edges[:-1]),
        edges=edges,
        share=both,
        share_interval=around(both),
        share_beyond=np.stack([beyond, beyond]).astype(float),
        mean_weight=both,
        mean_weight_interval=around(both),
        neighbors=counts,
        neighbors_beyond=np.zeros((n_states, n_elements)),
        elements=("Li", "S")[:n_elements],
        populations=np.full(n_states, 1.0 / n_states),
        n_frames=100,
        n_targets=2,
        n_neighbors=4,
        stride=1,
        resampling=BLOCKS,
    )


def masking_of(
    masks: list[Mask], changed: Any, moved: Any = None, element_mask: str = "edges"
) -> MaskingImportance:
    changed = np.asarray(changed, float)
    moved = changed if moved is None else np.asarray(moved, float)
    drop = np.zeros(len(masks))
    return MaskingImportance(
        masks=tuple(masks),
        score=1.6,
        score_interval=around([1.6]),
        masked_score=1.6 - drop,
        masked_score_interval=around(drop),
        score_drop=drop,
        score_drop_interval=around(drop),
        changed=changed,
        changed_interval=around(changed),
        changed_of_all=drop,
        changed_of_all_interval=around(drop),
        total_variation=moved,
        total_variation_interval=around(moved),
        masked_neighbors=drop,
        populations=np.full(changed.shape[1], 1.0 / changed.shape[1]),
        lagtime=10,
        scope="targets",
        element_mask=element_mask,
        n_frames=100,
        n_targets=2,
        n_neighbors=4,
        stride=1,
        resampling=BLOCKS,
    )


SHELLS = [Mask(None, 0.0, 1.0), Mask(None, 1.0, 2.0), Mask(None, 2.0, np.inf)]
#  Li and S in bins of 0.5 up to 2.0; beyond: the rest of 1.
SHARES = [
    [[0.0, 0.0, 0.0, 0.0], [0.0, 0.1, 0.2, 0.41]],
    [[0.1, 0.0, 0.0, 0.0], [0.0, 0.5, 0.3, 0.1]],
]
BEYOND = [[0.0, 0.29], [0.0, 0.0]]


def test_masks_decide_and_attention_is_told() -> None:
    found = describe_importance(
        attention_of(SHARES, BEYOND),
        masking_of([Mask("S"), *SHELLS], [[1.0, 1.0], [0.2, 0.1], [0.43, 0.0], [0.1, 0.6]]),
    )
    assert found == (
        "state 1 is decided by S at 1.00-2.00 angstrom (61% of the attention of the first "
        "convolution; without this shell 43% (40-46%) of its frames change state)",
        "state 2 is decided by neighbours beyond 2.00 angstrom (0% of the attention of the first "
        "convolution; without this shell 60% (57-63%) of its frames change state)",
    )


def test_elements_in_shells_come_first() -> None:
    masks = [Mask("S"), *SHELLS, Mask("Li", 0.0, 1.0), Mask("S", 0.0, 1.0)]
    changed = [[1.0, 1.0], [0.9, 0.1], [0.43, 0.0], [0.1, 0.6], [0.2, 0.3], [0.1, 0.3]]
    moved = [*changed[:4], [0.2, 0.1], [0.1, 0.2]]
    found = describe_importance(attention_of(SHARES, BEYOND), masking_of(masks, changed, moved))
    assert found[0].startswith("state 1 is decided by Li below 1.00 angstrom (0% of the attention")
    # As many frames change: the one that moves the probabilities more.
    assert found[1].startswith("state 2 is decided by S below 1.00 angstrom (50% of the attention")


def test_masks_alone() -> None:
    found = describe_importance(masking=masking_of(SHELLS, [[0.2], [0.5], [0.1]]))
    assert found == (
        "state 1 is decided by neighbours at 1.00-2.00 angstrom (without this shell 50% (47-53%) "
        "of its frames change state)",
    )
    found = describe_importance(masking=masking_of([Mask("Li"), Mask("S")], [[0.2], [0.5]]))
    assert found == (
        "state 1 is decided by S (without them 50% (47-53%) of its frames change state)",
    )
    hidden = masking_of([Mask("Li"), Mask("S")], [[0.2], [0.5]], element_mask="embedding")
    assert describe_importance(masking=hidden) == (
        "state 1 is decided by S (where they cannot be told from others 50% (47-53%) of its "
        "frames change state)",
    )
    everything = masking_of([Mask()], [[0.7]])
    assert describe_importance(masking=everything)[0].startswith("state 1 is decided by its neigh")


def test_a_state_that_the_model_falls_back_to() -> None:
    found = describe_importance(
        attention_of(SHARES, BEYOND),
        masking_of(
            SHELLS, [[0.5, 0.0], [0.1, 0.01], [0.2, 0.0]], [[0.4, 0.3], [0.1] * 2, [0.0] * 2]
        ),
    )
    assert found[1] == (
        "state 2 stays the most probable under each mask; most depends on neighbours below 1.00 "
        "angstrom (60% of the attention of the first convolution; without this shell its "
        "probabilities move by 30% (27-33%))"
    )


def test_a_shell_is_called_by_the_element_that_it_holds() -> None:
    """By how many there are, not by what is attended to."""
    attention = attention_of(SHARES, BEYOND, neighbors=[[[0.0] * 4, [0.0, 0.0, 2.0, 2.0]]] * 2)
    found = describe_importance(attention, masking_of(SHELLS, [[0.1] * 2, [0.5] * 2, [0.2] * 2]))
    assert [" S at 1.00-2.00 angstrom" in text for text in found] == [True, True]


def test_attention_alone_is_no_proof() -> None:
    even = 4.0 * np.array(SHARES)
    even[0, 1, 3] = 1.2
    found = describe_importance(attention_of(SHARES, BEYOND, neighbors=even))
    assert found == (
        "state 1 attends most to S at 1.50-2.00 angstrom (41% of the attention of the first "
        "convolution, 30% if all neighbours weighed the same), which is no proof",
        "state 2 attends most to S at 0.50-1.50 angstrom (80% of the attention of the first "
        "convolution, 80% if all neighbours weighed the same), which is no proof",
    )
    far = attention_of(np.zeros((1, 2, 3)), [[0.0, 1.0]])
    assert describe_importance(far) == ("state 1 attends to neighbours beyond 1.50 angstrom only",)


def test_states_without_frames() -> None:
    nothing = np.full((3, 2), np.nan)
    nothing[:, 0] = 0.5
    found = describe_importance(masking=masking_of(SHELLS, nothing))
    assert found[1] == "state 2 is never the most probable one"
    shares = np.array(SHARES)
    shares[1] = np.nan
    assert describe_importance(attention_of(shares, BEYOND))[1] == "state 2 is never visited"


def test_bad_arguments() -> None:
    wrong: Any = "report"
    with pytest.raises(ValueError, match="at least one is needed, received neither"):
        describe_importance()
    with pytest.raises(TypeError, match="attention must be a NeighborAttention, received 'report'"):
        describe_importance(wrong)
    with pytest.raises(TypeError, match="masking must be a MaskingImportance, received 'report'"):
        describe_importance(None, wrong)
    with pytest.raises(ValueError, match="must be of the same states, received 2 and 1 of them"):
        describe_importance(attention_of(SHARES, BEYOND), masking_of(SHELLS, [[0.2], [0.5], [0.1]]))
