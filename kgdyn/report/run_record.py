"""What the folder of a training says of itself: settings, data, scores, restarts."""

from __future__ import annotations

import csv
import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

__all__ = ["RunRecord", "read_run"]


@dataclass(frozen=True, eq=False)
class RunRecord:
    """A finished training.

    Attributes
    ----------
    folder : Path
    model : Path
        ``model.keras`` in it.
    config : dict
        Tables ``data``, ``model`` and ``training`` of ``config.toml``; empty if it is not there.
    training : dict
        Content of ``training.json``.
    history : dict of lists of float
        Columns of ``history.csv``; empty if it is not there.
    tested_from : float, optional
        The fraction of each trajectory after which the report begins; where the training ended, if
        not given.
    tested_on_others : bool
        The report is of trajectories that the training had nothing of.
    """

    folder: Path
    model: Path
    config: dict[str, dict[str, Any]] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    history: dict[str, list[float]] = field(default_factory=dict)
    tested_from: float | None = None
    tested_on_others: bool = False

    def tested_on(self, sources: Sequence[str], start: float) -> RunRecord:
        """This record with a word of which frames the report is of.

        Trajectories are told apart by the names of their files, wherever these lie: one of a name
        that the training had is taken as the training's own.
        """
        trained = {Path(name).name for name in self.training.get("trajectories", [])}
        others = bool(trained) and not trained & {Path(name).name for name in sources}
        return replace(self, tested_from=start, tested_on_others=others)

    @property
    def unseen(self) -> str | None:
        """Which frames the report is of, in words, if training saw none of them; else None."""
        if self.tested_on_others:
            return "none of which training saw"
        start = self.test_start if self.tested_from is None else self.tested_from
        if 0.0 < self.test_start <= start < 1.0:
            return f"the part after the first {100 * start:g}%, which training did not see"
        return None

    @property
    def test_start(self) -> float:
        """The fraction of each trajectory that training used, from its start."""
        return float(self.training.get("test_start", 0.0))

    @property
    def restart_scores(self) -> list[float] | None:
        """Validation scores of the restarts; None for a single training."""
        names = [restart for restart in self.training.get("restarts", []) if restart]
        scores = [
            float(value)
            for restart in names
            for key, value in restart.items()
            if key.startswith("validation_") and value is not None
        ]
        return scores if len(scores) > 1 else None

    def trajectory_paths(self) -> list[Path]:
        """Where its trajectories lie, in terms of the current folder.

        Raises
        ------
        ValueError
            If ``config.toml`` does not say.
        FileNotFoundError
            If one has gone.
        """
        given = self.config.get("data", {}).get("trajectories")
        if not given:
            raise ValueError(
                f"{self.folder}: has no config.toml that names its trajectories; give them"
            )
        paths = [self.folder / str(name) for name in given]
        for path in paths:
            if not path.exists():
                raise FileNotFoundError(
                    f"{path}: a trajectory of the training in {self.folder} is not there (any "
                    "more); give the trajectories"
                )
        return paths

    def topology_path(self) -> Path | None:
        """The topology file of the training, in terms of the current folder."""
        name = self.config.get("data", {}).get("topology")
        return None if name is None else self.folder / str(name)


def read_run(folder: Path) -> RunRecord:
    """Read what ``kgdyn train`` or ``kgdyn demo`` left in a folder.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no model in it.
    ValueError
        If one of its files is damaged, or the training is not finished.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder")
    model = folder / "model.keras"
    record = folder / "training.json"
    if not model.is_file():
        raise FileNotFoundError(f"{folder}: holds no model.keras; is the training finished?")
    if not record.is_file():
        raise ValueError(f"{folder}: holds no training.json, so the training is not finished")
    try:
        training = json.loads(record.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{record}: is not JSON: {error}") from error
    if not isinstance(training, dict):
        raise ValueError(f"{record}: must hold a table, received {type(training).__name__}")
    config: dict[str, dict[str, Any]] = {}
    settings = folder / "config.toml"
    if settings.is_file():
        try:
            content = tomllib.loads(settings.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{settings}: is not TOML: {error}") from error
        config = {name: table for name, table in content.items() if isinstance(table, dict)}
    return RunRecord(folder, model, config, training, _history(folder / "history.csv"))


def _history(path: Path) -> dict[str, list[float]]:
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    try:
        return {
            name: [float(row[name]) if row[name] else float("nan") for row in rows]
            for name in (rows[0] if rows else {})
        }
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: holds something that is no number: {error}") from error
