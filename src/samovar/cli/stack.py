"""Commands about what runs: ``up``, ``down``, ``status``, ``logs``, ``confirm``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from samovar.cli import output

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from samovar.settings import Settings
    from samovar.stack.status import StackStatus

_PANEL = "The stack"

_COLOURS = {
    "healthy": "green",
    "Ready": "green",
    "starting": "yellow",
    "Starting": "yellow",
    "restarting": "yellow",
    "Degraded": "yellow",
    "Untrusted": "yellow",
}


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    for command in (up, down, status, logs, confirm):
        app.command(rich_help_panel=_PANEL)(command)


def up(
    *,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return once everything is healthy.")] = False,
    as_json: output.Json = False,
) -> None:
    """Start MLflow, autoserve and the scheduler, and keep them alive; Ctrl-C stops them again."""
    from samovar.stack import api

    settings = _settings()
    started = _start(settings, as_json=as_json)
    output.emit(started, lambda console: _show(console, started), as_json=as_json)
    if detach or as_json:
        return
    output.console().print("\n[dim]Ctrl-C stops the stack; `samovar up --detach` would leave it running.[/]")
    try:
        api.hold(settings)
    finally:
        with output.busy("Stopping", as_json=as_json):
            api.down(settings)


def _start(settings: Settings, *, as_json: bool) -> StackStatus:
    """Bring the stack up, with a line per service for people."""
    from samovar.stack import api

    if as_json:
        return api.up(settings)
    with output.Bars(bar=False, transient=True) as bars:
        return api.up(settings, progress=lambda name, health: bars.set(name, int(health == "healthy"), 1, health))


def down(*, as_json: output.Json = False) -> None:
    """Stop everything that `samovar up` started; no process and no port is left."""
    from samovar.stack import api

    with output.busy("Stopping", as_json=as_json):
        stopped = api.down(_settings())
    words = "Stopped." if stopped else "Nothing was running."
    output.emit({"stopped": stopped}, lambda console: console.print(words), as_json=as_json)


def status(
    *,
    address: Annotated[
        str,
        typer.Option("--address", metavar="NAME", help="Print only the address of a service (mlflow) or endpoint (MODEL@ALIAS)."),
    ] = "",
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 when a service is not healthy.")] = False,
    as_json: output.Json = False,
) -> None:
    """Show what runs and what is served, as it is at this moment."""
    from samovar.stack import api

    found = api.status(_settings())
    if address:
        url = _address(found, address)
        output.emit({"address": url}, lambda console: console.print(url, soft_wrap=True), as_json=as_json)
        return
    output.emit(found, lambda console: _show(console, found), as_json=as_json)
    if check and not found.healthy:
        raise typer.Exit(1)


def _address(found: StackStatus, name: str) -> str:
    from samovar.errors import NotFound

    known = {f"{endpoint.model}@{endpoint.alias}": endpoint.address for endpoint in found.endpoints} | found.addresses
    if not known.get(name):
        names = ", ".join(sorted(known)) or "nothing: run `samovar up`"
        raise NotFound(f"Nothing called {name!r} has an address here.", remedy=f"There is {names}.")
    return str(known[name])


def _show(console: Console, found: StackStatus) -> None:
    if not found.services:
        console.print(f"Samovar is not running in {output.cell(found.home)}. Start it with [bold]samovar up[/].")
        return
    services = output.table("Services", "=name", "=health", "=address", ">up", ">restarts", ">memory", "last exit")
    for row in found.services:
        services.add_row(
            row.name,
            _coloured(row.health),
            output.cell(row.address),
            _age(row.uptime_seconds),
            str(row.restarts),
            f"{row.memory_mb:.0f} MB",
            output.cell(row.last_exit),
        )
    console.print(services)
    if found.endpoints:
        console.print(_endpoints(found.endpoints))
        _show_more(console, found)
    else:
        console.print("  Nothing is served yet: put an alias on a version, as in [bold]samovar alias set MODEL Production 1[/].")
    for note in found.notes:
        console.print(f"[yellow]![/] {output.cell(note)}")


def _show_more(console: Console, found: StackStatus) -> None:
    """Say where all models are found together, and what is wrong with those that serve all the same."""
    from samovar.addresses import GATEWAY

    if GATEWAY in found.addresses:
        console.print(f"  All of them: [bold]{output.cell(found.addresses[GATEWAY])}/models/MODEL/ALIAS[/]", soft_wrap=True)
    for row in found.endpoints:
        for warning in row.warnings:
            console.print(f"[yellow]![/] {output.cell(f'{row.model}@{row.alias}')}: {output.cell(warning)}")


def _endpoints(endpoints: Iterable[Any]) -> Any:
    table = output.table("Endpoints", "model@alias", "=condition", "version", "=address", "why")
    for row in endpoints:
        version = "-" if row.serving is None else f"v{row.serving} {row.engine}".strip()
        if row.wanted is not None and row.wanted != row.serving:
            version += f" (wanted v{row.wanted})"
        name = output.cell(f"{row.model}@{row.alias}")
        # A model that is not compiled is served all the same, more slowly: people want to know why.
        why = row.reason or (row.notes if row.engine != "compiled" else "")
        table.add_row(name, _coloured(row.condition), output.cell(version), output.cell(row.address), output.cell(why))
    return table


def _coloured(word: str) -> str:
    return f"[{_COLOURS.get(word, 'red')}]{output.cell(word)}[/]"


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s" if rest >= 60 else f"{rest} s"


def logs(
    service: Annotated[str | None, typer.Argument(metavar="[SERVICE]", help="One service; all of them if left out.")] = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many last lines of each log.")] = 50,
    as_json: output.Json = False,
) -> None:
    """Print what the services log."""
    from samovar.errors import UsageError
    from samovar.stack import api

    if follow and as_json:
        raise UsageError("--json is one document, and --follow has no end.", remedy="Leave one of them out.")
    found = api.logs(_settings(), service, follow=follow, lines=lines)
    if as_json:
        output.document({"lines": [{"service": line.service, "text": line.text} for line in found]})
        return
    for line in found:
        typer.echo(line.text if service else f"{line.service:<10} {line.text}")


def confirm(*, as_json: output.Json = False) -> None:
    """Let autoserve act on aliases that vanished all at once, which it holds back until a person says so."""
    from samovar.autoserve import client

    released = client.confirm(_settings())
    words = f"Confirmed: {output.cell(released)} may end." if released else "Nothing was held back."
    output.emit({"released": released}, lambda console: console.print(words), as_json=as_json)


def _settings() -> Settings:
    return output.prepare()
