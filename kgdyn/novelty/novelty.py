"""How far the surroundings of a target are from all that a model was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.elements import element_name
from kgdyn.graphs import PackedGraphs
from kgdyn.novelty.gaussians import Gaussians, fit_gaussians
from kgdyn.novelty.surroundings import Quantity, Surroundings

__all__ = ["Novelty", "novelty_of"]

Float = NDArray[np.float64]

_FORMAT = 1
N_CLUSTERS = 8
# Standard deviations that features are known to: a neighbour moved by a tenth of the step between
# two Gaussians changes a count by as much.
FLOOR = 0.06
# 1 is this quantile of the distances of held-out surroundings, times the margin.
QUANTILE, MARGIN = 0.999, 1.1
# Where their tail begins: what lies beyond is taken to fall off exponentially.
_TAIL = 0.98
# Rows for each feature of a cluster.
_ROWS_PER_FEATURE = 4


@dataclass(frozen=True, eq=False)
class Novelty:
    """The surroundings of a training as a few Gaussians, and the distance from them.

    Mahalanobis distances from the nearest of several Gaussians tell what a network never saw
    (Lee et al. 2018, arXiv:1807.03888). There they are of the network's features and of its
    classes; here of the surroundings themselves (`Surroundings`), since a network may map what it
    never saw onto what it knows, and of clusters of surroundings, since one state may hold many
    kinds of sites.

    Attributes
    ----------
    surroundings : Surroundings
    gaussians : Gaussians
    threshold : float
        The distance that `distances` gives as 1.
    lowest, highest : (n_features,) array of float64
        Of each feature in the training.
    """

    surroundings: Surroundings
    gaussians: Gaussians
    threshold: float
    lowest: Float
    highest: Float

    def features(self, graphs: PackedGraphs) -> Float:
        """(n_targets_total, n_features) what is looked at, see `Surroundings.quantities`."""
        return self.surroundings(graphs)

    def distances(self, graphs: PackedGraphs) -> NDArray[np.float32]:
        """(n_frames * n_targets,) distance of each target; above 1 the training has hardly any.

        Parameters
        ----------
        graphs : PackedGraphs
            With the model's ``n_neighbors``, whole or cut down to any number of hops.
        """
        return self.distances_of(self.features(graphs))

    def distances_of(self, features: Float) -> NDArray[np.float32]:
        """(n_rows,) the same for features."""
        found: NDArray[np.float32] = (self.gaussians.nearest(features) / self.threshold).astype(
            np.float32
        )
        return found

    def explain(self, graphs: PackedGraphs, row: int) -> str:
        """What is most unusual about a target, in words.

        Parameters
        ----------
        graphs : PackedGraphs
        row : int
            Of `distances`.

        Raises
        ------
        IndexError
            If there is no such row.
        """
        features = self.features(graphs)
        if not 0 <= row < len(features):
            raise IndexError(f"row must be in 0 to {len(features) - 1}, received {row}")
        values = features[row]
        nearest = self.gaussians.distances(values[None])[:, 0].argmin()
        deviations = self.gaussians.deviations[nearest]
        beyond = np.maximum(self.lowest - values, values - self.highest) / deviations
        quantities = self.surroundings.quantities
        if beyond.max() > 0.0:
            # The nearest distance says more than the counts that change with it.
            ranks = [
                excess * (3.0 if quantity.kind != "count" else 1.0)
                for excess, quantity in zip(beyond, quantities, strict=True)
            ]
            place = int(np.argmax(ranks))
            return self._beyond(quantities[place], values[place], place)
        mean = self.gaussians.means[nearest]
        place = int(np.argmax(np.abs(values - mean) / deviations))
        return f"an unusual combination, most of all {self._combined(place, values[place], mean)}"

    def _beyond(self, quantity: Quantity, value: float, place: int) -> str:
        """Of a value that the training never had."""
        low, high = self.lowest[place], self.highest[place]
        name, width = element_name(quantity.element), self.surroundings.width
        many = len(self.surroundings.target_elements) > 1
        of = f" of {element_name(quantity.of)}" if many else ""
        if quantity.kind == "atoms":
            return f"a target with {value:.0f} {name}: {low:.0f} to {high:.0f} in the training"
        if quantity.kind == "count":
            return (
                f"{value:.2f} {name} near {quantity.distance:.1f} angstrom{of}: "
                f"{low:.2f} to {high:.2f} in the training"
            )
        if value < low:
            never = f"never nearer than {low * width:.2f} in the training"
            if low * width >= self.surroundings.farthest:
                never = "never among the neighbours in the training"
            return f"{name} at {value * width:.2f} angstrom{of}: {never}"
        where = f"at {value * width:.2f} angstrom"
        if value * width >= self.surroundings.farthest:
            where = f"farther than {self.surroundings.farthest:.2f} angstrom"
        return f"nearest {name} {where}{of}: never farther than {high * width:.2f} in the training"

    def _combined(self, place: int, value: float, mean: Float) -> str:
        """Of a value that the training has, but not with the others."""
        quantity, usual = self.surroundings.quantities[place], mean[place]
        if quantity.kind == "nearest":
            width = self.surroundings.width
            return f"{quantity} at {value * width:.2f} angstrom, where {usual * width:.2f} is usual"
        return f"{value:.2f} {quantity}, where {usual:.2f} is usual"

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays, for a file."""
        return {
            "format": np.array(_FORMAT, np.int64),
            "elements": np.array(self.surroundings.elements, np.int64),
            "target_elements": np.array(self.surroundings.target_elements, np.int64),
            "centers": self.surroundings.centers,
            "means": self.gaussians.means,
            "whitening": self.gaussians.whitening,
            "deviations": self.gaussians.deviations,
            "threshold": np.array(self.threshold),
            "lowest": self.lowest,
            "highest": self.highest,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Novelty:
        """What `to_arrays` gave.

        Raises
        ------
        ValueError
            If an array is missing, of another shape or not finite, or the format is another.
        """
        try:
            found = {name: np.asarray(value) for name, value in arrays.items()}
            if int(found["format"]) != _FORMAT:
                raise ValueError(
                    f"is of format {int(found['format'])}, this kgdyn reads format {_FORMAT}"
                )
            result = cls(
                Surroundings(
                    tuple(int(number) for number in found["elements"]),
                    tuple(int(number) for number in found["target_elements"]),
                    found["centers"].astype(np.float64),
                ),
                Gaussians(
                    found["means"].astype(np.float64),
                    found["whitening"].astype(np.float64),
                    found["deviations"].astype(np.float64),
                ),
                float(found["threshold"]),
                found["lowest"].astype(np.float64),
                found["highest"].astype(np.float64),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the training distribution cannot be read: {error}") from error
        n = result.surroundings.n_features
        k = len(result.gaussians.means)
        for name, shape in {
            "means": (k, n),
            "whitening": (k, n, n),
            "deviations": (k, n),
            "lowest": (n,),
            "highest": (n,),
        }.items():
            if found[name].shape != shape:
                raise ValueError(
                    f"the training distribution cannot be read: {name} must have shape {shape}, "
                    f"received {found[name].shape}"
                )
        if not (np.isfinite(result.threshold) and result.threshold > 0.0):
            raise ValueError(
                "the training distribution cannot be read: the threshold must be positive, "
                f"received {result.threshold}"
            )
        return result


def novelty_of(
    surroundings: Surroundings,
    train: Float,
    held_out: Sequence[Float] | Float,
    n_clusters: int = N_CLUSTERS,
) -> Novelty:
    """Fit the Gaussians to the features of a training, and find the threshold.

    Parameters
    ----------
    surroundings : Surroundings
        That gave the features.
    train : (n_rows, n_features) array of float64
    held_out : (n_other_rows, n_features) array of float64
        That the Gaussians do not see. The threshold is 1.1 times the distance that 99.9% of them
        stay below, or would by the mean of the farthest 2%: frames in succession are alike, so
        that the very farthest are few events (and not less than that of 99.9% of ``train``).
    n_clusters : int
        At most; fewer where there are few rows.

    Raises
    ------
    ValueError
        If there are no rows, or rows of another length.
    """
    n = surroundings.n_features
    others = np.asarray(held_out, np.float64)
    for name, rows in (("train", train), ("held_out", others)):
        if rows.ndim != 2 or rows.shape[1] != n or not len(rows):
            raise ValueError(
                f"{name} must have shape (n_rows, {n}) with at least one row, received {rows.shape}"
            )
    most = max(1, min(n_clusters, len(train) // (_ROWS_PER_FEATURE * n)))
    gaussians = fit_gaussians(train, most, FLOOR)
    quantiles = [
        float(np.quantile(gaussians.nearest(train), QUANTILE)),
        _rare_distance(gaussians.nearest(others)),
    ]
    return Novelty(
        surroundings,
        gaussians,
        max(MARGIN * max(quantiles), FLOOR),
        train.min(axis=0),
        train.max(axis=0),
    )


def _rare_distance(distances: Float) -> float:
    """The quantile, counted or from an exponential tail, whichever is more."""
    start = float(np.quantile(distances, _TAIL))
    beyond = distances[distances > start] - start
    excess = float(beyond.mean()) if len(beyond) else 0.0
    by_tail = start + excess * float(np.log((1.0 - _TAIL) / (1.0 - QUANTILE)))
    return max(float(np.quantile(distances, QUANTILE)), by_tail)
