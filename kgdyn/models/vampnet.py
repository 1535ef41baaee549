"""The plain VAMPnet that a GDyNet is compared with: coordinates in, states out, no graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kgdyn.layers import SimplexMap, StateHead
from kgdyn.models._state_model import StateModel, check_lag, needs_tensorflow

__all__ = ["COORDINATES", "VAMPNet"]

# How positions enter, and how many numbers each atom makes.
COORDINATES = {"cartesian": 3, "fractional": 3, "circular": 6}


@keras.saving.register_keras_serializable(package="kgdyn")
class VAMPNet(StateModel):
    """State probabilities of targets from where they are, by dense layers.

    Mardt et al., Nat. Commun. 9, 5 (2018), as Xie et al., Nat. Commun. 10, 2667 (2019) compare
    with: coordinates go through dense layers with relu into a softmax. Loss, training step, the
    simplex map at the end of `fit` and the file are those of `kgdyn.models.GDyNet`.

    Coordinates know no symmetry. Two sites that look the same are two places here, and where a
    coordinate is cut at the border of the cell, a site on it is two places, too. States are
    therefore regions of the cell: global dynamics, in which moves between like sites count.

    Args:
        n_states: Int, at least 2.
        n_target_atoms: Int, atoms of each target.
        others: Sequence of int, atoms whose coordinates enter beside those of the target, the
            same for all targets.
        coordinates: How positions enter. `"cartesian"`: wrapped into the cell, in angstrom,
            as they are. `"fractional"`: wrapped, in lengths of the cell. `"circular"`: sine and
            cosine of 2 pi times the fractional ones, which do not jump at the border of the cell.
        lagtime: Int, in frames, that the model is trained at.
        frame_interval: Float, ps between frames of the training data.
        targets: String, what the targets are.
        n_features: Int, width of the hidden layers.
        n_hidden: Int, at least 1, hidden dense layers.
        dropout: Float, share of hidden outputs dropped in training, all but the first layer's.
        weight_decay: Float, L2 penalty on all kernels but the first, see
            `kgdyn.layers.StateHead`.
        n_outputs: Int, columns of the softmax, at least `n_states`, see `kgdyn.models.GDyNet`.

    Call arguments:
        inputs: `(n_targets_total, n_inputs)` coordinates, as `kgdyn.training.target_coordinates`
            makes, or `{"t": ..., "lag": ...}` of two such arrays, as
            `kgdyn.training.coordinates_dataset` yields.
        training: Bool.

    Output: `(n_targets_total, n_states)` float32, rows sum to 1; for pairs
    `(n_targets_total, 2, n_outputs)`.

    The first layer is float32 under any policy: half precision would round coordinates to some
    0.01 angstrom. So are the last dense layer and the softmax, see `kgdyn.layers.StateHead`.

    Raises:
        ValueError: if an argument breaks its rule.
        NotImplementedError: for `fit` on another backend than TensorFlow.
    """

    def __init__(
        self,
        n_states: int,
        n_target_atoms: int = 1,
        others: Sequence[int] = (),
        coordinates: str = "cartesian",
        lagtime: int = 1,
        frame_interval: float | None = None,
        targets: str = "",
        n_features: int = 32,
        n_hidden: int = 3,
        dropout: float = 0.0,
        weight_decay: float = 0.0,
        n_outputs: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_lag(
            frame_interval,
            n_target_atoms=n_target_atoms,
            lagtime=lagtime,
            n_features=n_features,
            n_hidden=n_hidden,
        )
        if coordinates not in COORDINATES:
            raise ValueError(
                f"coordinates must be one of {tuple(COORDINATES)}, received {coordinates!r}"
            )
        atoms = [int(atom) for atom in others]
        if len(set(atoms)) < len(atoms) or min(atoms, default=0) < 0:
            raise ValueError(f"others must be distinct indices of atoms, received {list(others)}")
        self.n_states = int(n_states)
        self.n_target_atoms = int(n_target_atoms)
        self.others = atoms
        self.coordinates = coordinates
        self.lagtime = int(lagtime)
        self.frame_interval = None if frame_interval is None else float(frame_interval)
        self.targets = str(targets)
        self.n_features = int(n_features)
        self.n_hidden = int(n_hidden)
        self.dropout = float(dropout)
        self.weight_decay = float(weight_decay)

        self.first = keras.layers.Dense(n_features, "relu", dtype="float32", name="first")
        simplex_map = SimplexMap(n_states, n_outputs)
        self.n_outputs = simplex_map.n_outputs
        self.head = StateHead(
            self.n_outputs, n_hidden - 1, dropout, weight_decay, dtype=self.dtype_policy
        )
        self.simplex_map = simplex_map  # the last layer, also in the order of weights
        self.first.build((None, self.n_inputs))
        self.head.build((None, n_features))
        simplex_map.build((None, self.n_outputs))
        self.built = True

    @property
    def n_inputs(self) -> int:
        """Numbers that a target's row of coordinates has."""
        return COORDINATES[self.coordinates] * (self.n_target_atoms + len(self.others))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if not isinstance(inputs, dict):
            return self.read_out(self.first(inputs), training, mapped=True)
        needs_tensorflow("pairs", "call the model on the coordinates of frames")
        both = keras.ops.concatenate([inputs["t"], inputs["lag"]], axis=0)
        return self.as_pairs(self.read_out(self.first(both), training, mapped=self.maps_pairs))

    def states_of(self, coordinates: Any) -> np.ndarray[Any, Any]:
        """The same for `(..., n_inputs)` coordinates of any shape, as an array of numpy."""
        values = np.asarray(coordinates, np.float32)
        rows = keras.ops.convert_to_tensor(values.reshape(-1, self.n_inputs))
        chi: np.ndarray[Any, Any] = keras.ops.convert_to_numpy(self(rows, training=False))
        return chi.reshape(*values.shape[:-1], self.n_states)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "n_states": self.n_states,
            "n_target_atoms": self.n_target_atoms,
            "others": self.others,
            "coordinates": self.coordinates,
            "lagtime": self.lagtime,
            "frame_interval": self.frame_interval,
            "targets": self.targets,
            "n_features": self.n_features,
            "n_hidden": self.n_hidden,
            "dropout": self.dropout,
            "weight_decay": self.weight_decay,
            "n_outputs": self.n_outputs,
        }
