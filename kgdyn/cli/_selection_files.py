"""Table, figure and record of a selection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from kgdyn.cli._files import save_figure, write_json

if TYPE_CHECKING:
    from kgdyn.selection import Selection

__all__ = ["print_selection", "write_figure", "write_record"]

_NORMAL_95 = 1.96


def print_selection(result: Selection, console: Console) -> None:
    """Scores of the numbers of states, then every candidate with the reason, then the verdict."""
    lag = result.train_lagtime * result.frame_interval
    held_out = "trajectories" if result.by_trajectory else "blocks of time"
    table = Table(
        title=f"Held-out {held_out}, {result.n_folds} folds, trained at {lag:g} ps; ± is 95%",
        title_justify="left",
    )
    for name in ("states", "VAMP-2", "of at most", "more than one row above", "all restarts"):
        table.add_column(name, justify="right")
    for item in result.scores:
        gain = "" if np.isnan(item.gain) else _with_error(item.gain, item.gain_error, "+.3f")
        spread = np.ravel(item.restart_scores)
        table.add_row(
            str(item.n_states),
            _with_error(item.score, item.score_error, ".3f"),
            str(item.n_states),
            gain,
            f"{np.nanmin(spread):.3f} to {np.nanmax(spread):.3f}",
        )
    console.print(table)
    table = Table(title="Candidates", title_justify="left")
    for name in ("states", "lag time (ps)", "timescales (ps)", "CK"):
        table.add_column(name, justify="right")
    table.add_column("why, or why not", overflow="fold")
    for index, (row, reason) in enumerate(zip(result.candidates, result.reasons, strict=True)):
        style = "bold green" if index == result.taken else None
        times = "\n".join(
            _with_error(value, error, ".3g")
            for value, error in zip(row.timescales, row.timescales_error, strict=True)
        )
        cells = (
            str(row.n_states),
            f"{row.lagtime_ps:g}",
            times,
            f"{row.ck_inside}/{row.ck_elements}",
        )
        table.add_row(*cells, reason, style=style)
    console.print(table)
    for note in result.notes:
        console.print(f"note: {note}", highlight=False)
    console.print(f"recommended: {result.verdict()}", highlight=False)


def write_figure(result: Selection, folder: Path) -> None:
    """``selection.png``."""
    from kgdyn.plots import plot_selection

    save_figure(folder / "selection.png", plot_selection(result))


def write_record(
    result: Selection,
    folder: Path,
    trajectories: list[Any],
    fractions: tuple[float, float],
    settings: Any,
) -> None:
    """``training.json``, as `kgdyn train` leaves it: `kgdyn validate` learns what was used."""
    import kgdyn

    write_json(
        folder / "training.json",
        {
            "kgdyn": kgdyn.__version__,
            "trajectories": [trajectory.source for trajectory in trajectories],
            "train_fraction": fractions[0],
            "validation_fraction": fractions[1],
            "test_start": sum(fractions),
            "settings": vars(settings),
            "n_states": result.n_states,
            "lagtime": result.lagtime,
            "trained_at_lagtime": result.train_lagtime,
        },
    )


def _with_error(value: float, error: float, form: str) -> str:
    if not np.isfinite(value):
        return "-"
    return f"{value:{form}} ± {_NORMAL_95 * error:{form.removeprefix('+')}}"
