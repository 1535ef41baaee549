"""What the page's viewer gets of a structure."""

from __future__ import annotations

import numpy as np
import pytest

from kgdyn.observables import Cluster, Representative
from kgdyn.report.structures import viewer_data


def medoid(positions: np.ndarray, species: list[int]) -> Representative:
    own = np.arange(len(species)) == 0
    molecules = np.where(own, 0, 1)
    atoms = np.arange(len(species))
    cluster = Cluster(positions, np.array(species, np.int32), atoms, own, molecules, ())
    return Representative(0, "medoid", 0, 12, 3, 0.9, cluster)


def test_a_chain_that_reaches_far_is_cut_and_its_bonds_with_it() -> None:
    """Li beside a chain of 60 beads, of which most are behind the eye of the viewer."""
    along = 1.5 * np.arange(60) - 1.5
    chain = np.column_stack([np.full(60, 2.0), np.zeros(60), -along])
    item = medoid(np.concatenate([np.zeros((1, 3)), chain]), [3] + [6] * 60)
    (structure,) = viewer_data((item,), {6: "EO"}, [100], radius=6.0)["structures"]
    places = np.array([atom["at"] for atom in structure["atoms"]])
    assert len(places) == 1 + np.sum(np.hypot(2.0, along) <= 12.0) == 10
    assert [atom["target"] for atom in structure["atoms"]] == [True] + [False] * 9
    bonds = {tuple(sorted(pair)) for pair in structure["bonds"]}
    assert bonds >= {(i, i + 1) for i in range(1, 9)}
    assert max(max(pair) for pair in bonds) == 9
    # In the perspective of viewer.js every atom is in front of the eye.
    assert (1.0 + 0.18 * places[:, 2] / structure["extent"]).min() > 0.5
    assert structure["extent"] == pytest.approx(6.6)
    assert [name for name, _ in structure["legend"]][:2] == ["Li", "EO"]
    assert structure["legend"][-1][0] == "frame 112, target 4, p = 0.90"


def test_a_target_is_never_cut() -> None:
    item = medoid(np.array([[30.0, 0.0, 0.0], [1.0, 0.0, 0.0]]), [3, 8])
    (structure,) = viewer_data((item,), {}, [0], radius=6.0)["structures"]
    assert [atom["target"] for atom in structure["atoms"]] == [True, False]
