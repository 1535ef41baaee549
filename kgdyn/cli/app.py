"""The commands of ``kgdyn``."""

from __future__ import annotations

import typer

from kgdyn.cli.assign import assign
from kgdyn.cli.convert import convert
from kgdyn.cli.demo import demo
from kgdyn.cli.export import export
from kgdyn.cli.follow import follow
from kgdyn.cli.inspect import inspect
from kgdyn.cli.launch import launch
from kgdyn.cli.monitor import monitor
from kgdyn.cli.report import report
from kgdyn.cli.select import select
from kgdyn.cli.train import train
from kgdyn.cli.validate import validate

app = typer.Typer(
    name="kgdyn",
    help="Learn what atoms do: states and their kinetics from molecular dynamics.",
    epilog="See it work: kgdyn demo --output demo. With a trajectory of your own: inspect, "
    "convert, train, validate, report, in this order. kgdyn COMMAND --help tells the options.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(show: bool) -> None:
    if show:
        import kgdyn

        typer.echo(f"kgdyn {kgdyn.__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Learn what atoms do: states and their kinetics from molecular dynamics."""


for _command in (
    demo,
    inspect,
    convert,
    train,
    select,
    assign,
    validate,
    report,
    export,
    monitor,
    follow,
    launch,
):
    app.command()(_command)
