"""Commands about API keys of endpoints: ``keys add``, ``keys list``, ``keys remove``."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated

import typer

from samovar.cli import output

if TYPE_CHECKING:
    from rich.console import Console

_PANEL = "The stack"

Name = Annotated[str, typer.Argument(metavar="NAME", help="Whom the key is for.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    keys = typer.Typer(no_args_is_help=True, help="Give out and take back the API keys of endpoints.")
    keys.command("add")(add)
    keys.command("list")(list_)
    keys.command("remove")(remove)
    app.add_typer(keys, name="keys", rich_help_panel=_PANEL)


def add(name: Name, *, as_json: output.Json = False) -> None:
    """Make a key and print it; it is not kept and never shown again. Running endpoints know it within seconds."""
    from samovar import settings
    from samovar.autoserve import keyring

    key = keyring.add(settings.get().keys_file, name)
    output.emit({"name": name, "key": key}, lambda console: console.print(key, soft_wrap=True), as_json=as_json)


def list_(*, as_json: output.Json = False) -> None:
    """List who has a key."""
    from samovar import settings
    from samovar.autoserve import keyring

    known = keyring.entries(settings.get().keys_file)
    rows = [{"name": entry.name, "created": dt.datetime.fromtimestamp(entry.created, dt.UTC)} for entry in known or []]

    def show(console: Console) -> None:
        if known is None:
            console.print("Endpoints ask for no key. The first [bold]samovar keys add NAME[/] changes that.")
            return
        table = output.table("API keys", "name", "=since")
        for row in rows:
            table.add_row(output.cell(row["name"]), f"{row['created']:%Y-%m-%d %H:%M}")
        console.print(table)

    output.emit({"asked_for": known is not None, "keys": rows}, show, as_json=as_json)


def remove(name: Name, *, as_json: output.Json = False) -> None:
    """Take a key back; with the last one gone, endpoints let nobody in."""
    from samovar import settings
    from samovar.autoserve import keyring

    keyring.remove(settings.get().keys_file, name)
    output.emit({"removed": name}, lambda console: console.print("Taken back."), as_json=as_json)
