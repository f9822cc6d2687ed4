"""Commands of the prediction log: ``spool ship``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from samovar.cli import output

if TYPE_CHECKING:
    from rich.console import Console


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    spool = typer.Typer(no_args_is_help=True, help="What endpoints answered, on its way to the database.")
    spool.command("ship")(ship)
    app.add_typer(spool, name="spool", rich_help_panel="The loop")


def ship(*, as_json: output.Json = False) -> None:
    """Put what endpoints logged into the database, each file once; the stack does it by itself every few seconds."""
    from samovar.pipelines import api

    settings = output.prepare()
    with output.busy("Shipping", as_json=as_json):
        result = api.ship(settings=settings)

    def show(console: Console) -> None:
        console.print(f"{result['rows']:,} rows of {result['requests']:,} requests shipped")
        output.show_facts(
            console, {name: count for name, count in result.items() if name in ("broken", "failed", "forgotten") and count}
        )

    output.emit(result, show, as_json=as_json)
    if result["broken"] or result["failed"]:
        raise typer.Exit(1)
