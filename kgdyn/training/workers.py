"""Which of several workers a process is."""

from __future__ import annotations

import json
import os
from typing import Any

__all__ = ["is_chief"]


def is_chief(strategy: Any = None) -> bool:
    """Whether this process is the one that writes files: always, if there is one only.

    Parameters
    ----------
    strategy : tf.distribute.Strategy, optional
        Asked who it is; TF_CONFIG if not given.
    """
    resolver = getattr(strategy, "cluster_resolver", None)
    if resolver is not None:
        task_type, task = resolver.task_type, resolver.task_id
        cluster = resolver.cluster_spec().as_dict()
    else:
        config = json.loads(os.environ.get("TF_CONFIG") or "{}")
        cluster, place = config.get("cluster", {}), config.get("task", {})
        task_type, task = place.get("type"), place.get("index")
    if not cluster or task_type is None:
        return True
    return bool(task_type == "chief" or ("chief" not in cluster and task == 0))
