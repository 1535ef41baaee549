"""What decides each state, in a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.explain.attention_result import NeighborAttention
from kgdyn.explain.masking_result import Mask, MaskingImportance
from kgdyn.koopman import Interval

__all__ = ["describe_importance"]

# Of the neighbours at some distance, for all of them to be called by the name of one element.
_NEARLY_ALL = 0.95
# Share of frames; below, a mask has shown nothing.
_MATTERS = 0.05


def describe_importance(
    attention: NeighborAttention | None = None, masking: MaskingImportance | None = None
) -> tuple[str, ...]:
    """One sentence a state: which neighbours decide it.

    Where there are masks, the one that takes most frames out of the state decides (elements in
    shells before shells, and shells before elements). A model that hears nothing falls back to
    some state, which then loses few frames under any mask: of that state, the mask that moves its
    probabilities most. Attention alone is told as what it is, no proof. Shares in brackets are 95%
    intervals.

    Parameters
    ----------
    attention : NeighborAttention, optional
    masking : MaskingImportance, optional

    Returns
    -------
    tuple of str
        "state 2 is decided by S at 2.20-2.60 angstrom (61% of the attention of the first
        convolution; without this shell 43% (40-46%) of its frames change state)"

    Raises
    ------
    TypeError
        If one is something else.
    ValueError
        If neither is given, or the numbers of states differ.
    """
    if attention is None and masking is None:
        raise ValueError("attention and masking: at least one is needed, received neither")
    for name, value, kind in (
        ("attention", attention, NeighborAttention),
        ("masking", masking, MaskingImportance),
    ):
        if value is not None and not isinstance(value, kind):
            raise TypeError(f"{name} must be a {kind.__name__}, received {value!r}")
    counts = [found.n_states for found in (attention, masking) if found is not None]
    if len(set(counts)) > 1:
        raise ValueError(
            "attention and masking must be of the same states, received "
            f"{counts[0]} and {counts[1]} of them"
        )
    return tuple(
        f"state {state + 1} {_of_state(state, attention, masking)}" for state in range(counts[0])
    )


def _of_state(
    state: int, attention: NeighborAttention | None, masking: MaskingImportance | None
) -> str:
    if masking is None:
        return _of_attention(state, attention)
    place = _decisive(state, masking)
    if place is None:
        return "is never the most probable one"
    mask, name = masking.masks[place], _name(masking.masks[place], state, attention)
    whole = mask.everywhere and mask.element is not None
    without = "without them" if mask.everywhere else "without this shell"
    if whole and masking.element_mask == "embedding":
        without = "where they cannot be told from others"
    told = "" if attention is None else f"{_share(mask, state, attention)}; "
    if masking.changed[place, state] >= _MATTERS:
        much = _with_interval(masking.changed, masking.changed_interval, place, state)
        return f"is decided by {name} ({told}{without} {much} of its frames change state)"
    much = _with_interval(masking.total_variation, masking.total_variation_interval, place, state)
    return (
        f"stays the most probable under each mask; most depends on {name} ({told}{without} its "
        f"probabilities move by {much})"
    )


def _decisive(state: int, masking: MaskingImportance) -> int | None:
    """Which mask takes most frames out of a state; None where it has none."""
    kinds = (
        [m.element is not None and not m.everywhere for m in masking.masks],
        [m.element is None and not m.everywhere for m in masking.masks],
        [m.everywhere for m in masking.masks],
    )
    chosen = np.flatnonzero(next(kind for kind in kinds if any(kind)))
    changed, moved = masking.changed[chosen, state], masking.total_variation[chosen, state]
    if np.isnan(changed).all():
        return None
    # Where no frame leaves the state, as where a model falls back to it: what moves it most.
    order = np.lexsort((moved, np.where(changed.max() < _MATTERS, 0.0, changed)))
    return int(chosen[order[-1]])


def _with_interval(values: Any, interval: Interval, place: int, state: int) -> str:
    lower, upper = (float(bound[place, state]) for bound in (interval.lower, interval.upper))
    told = _percent(float(values[place, state]))
    if np.isfinite([lower, upper]).all():
        told += f" ({100.0 * lower:.0f}-{_percent(upper)})"
    return told


def _name(mask: Mask, state: int, attention: NeighborAttention | None) -> str:
    if mask.element is not None:
        return str(mask)
    if mask.everywhere:
        return "its neighbours"
    if attention is not None:
        weight = _overlap(mask, attention)
        counts = attention.neighbors[state] @ weight
        if mask.high > attention.edges[-1]:
            counts = counts + attention.neighbors_beyond[state]
        first = int(np.argmax(counts))
        if counts.sum() > 0.0 and counts[first] >= _NEARLY_ALL * counts.sum():
            return str(mask._replace(element=attention.elements[first]))
    return str(mask._replace(element="neighbours"))


def _share(mask: Mask, state: int, attention: NeighborAttention) -> str:
    """Of the attention of the first convolution, what falls on what the mask takes."""
    shares = attention.share_within(mask.low, mask.high)[0, state]
    if mask.element is None:
        share = float(shares.sum())
    else:
        place = {name: place for place, name in enumerate(attention.elements)}.get(mask.element)
        share = 0.0 if place is None else float(shares[place])
    return f"{_percent(share)} of the attention of the first convolution"


def _of_attention(state: int, attention: NeighborAttention | None) -> str:
    if attention is None or np.isnan(attention.share[0, state]).all():
        return "is never visited"
    shares = attention.share[0, state]
    element, peak = (int(k) for k in np.unravel_index(np.argmax(shares), shares.shape))
    if shares[element, peak] <= 0.0:
        return f"attends to neighbours beyond {attention.edges[-1]:.2f} angstrom only"
    high = shares[element] >= 0.5 * shares[element, peak]
    first = last = peak
    while first > 0 and high[first - 1]:
        first -= 1
    while last + 1 < len(high) and high[last + 1]:
        last += 1
    mask = Mask(
        attention.elements[element],
        float(attention.edges[first]),
        float(attention.edges[last + 1]),
    )
    even = float(attention.even_share[state, element] @ _overlap(mask, attention))
    return (
        f"attends most to {mask} ({_share(mask, state, attention)}, {_percent(even)} if all "
        "neighbours weighed the same), which is no proof"
    )


def _overlap(mask: Mask, attention: NeighborAttention) -> NDArray[np.float64]:
    """(n_bins,) which part of each bin the mask covers."""
    lower, upper = attention.edges[:-1], attention.edges[1:]
    part = (np.minimum(upper, mask.high) - np.maximum(lower, mask.low)) / (upper - lower)
    return np.asarray(np.clip(part, 0.0, 1.0), np.float64)


def _percent(share: float) -> str:
    return f"{100.0 * share:.0f}%"
