"""``kgdyn launch``: a program as several workers on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kgdyn.cli._console import user_errors
from kgdyn.cli._local_workers import launch_local_workers

__all__ = ["launch"]


@user_errors
def launch(
    command: Annotated[
        list[str], typer.Argument(help="Program and its arguments, after two dashes.")
    ],
    workers: Annotated[int, typer.Option(help="Processes to start.")] = 2,
    log_folder: Annotated[
        Path | None, typer.Option(help="Keep the output of all but the first worker here.")
    ] = None,
) -> None:
    """Run a program as several workers: kgdyn launch --workers 2 -- python a.py.

    The program makes a tf.distribute.MultiWorkerMirroredStrategy. The first worker's output is
    shown; when one fails, all are ended.
    """
    code = launch_local_workers(command, workers, log_folder=log_folder)
    if code:
        raise typer.Exit(code)
