"""States as an analysis of MDAnalysis: serial, over processes, with dask, over several machines."""

from kgdyn.integrations.mdanalysis.backends import (
    BackendDaskClient,
    BackendSpawned,
    BackendSpawnedDask,
)
from kgdyn.integrations.mdanalysis.state_analysis import StateAnalysis

__all__ = ["BackendDaskClient", "BackendSpawned", "BackendSpawnedDask", "StateAnalysis"]
