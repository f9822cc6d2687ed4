"""The command ``events``: who moved which alias when, and what came of it."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Annotated

import typer

from samovar.cli import output

if TYPE_CHECKING:
    from rich.console import Console

    from samovar.autoserve.happenings import Happening

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command(rich_help_panel="The stack")(events)


def events(
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Only what happened to one model.")] = None,
    *,
    same: Annotated[str | None, typer.Option("--model", hidden=True)] = None,
    alias: Annotated[str | None, typer.Option("--alias", "-a", help="Only what happened to one alias.")] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="WHEN", help="Only what is younger: 90s, 15m, 2h, 3d, or 2026-11-21[T14:00] (UTC)."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many of the newest.")] = 50,
    as_json: output.Json = False,
) -> None:
    """Show who moved which alias when, and what came of it; the newest last."""
    from samovar.autoserve import happenings
    from samovar.pipelines.context import open_context

    start = moment(since, dt.datetime.now(dt.UTC)) if since is not None else None
    with open_context(output.prepare()) as ctx:
        found = happenings.read(ctx.db, model or same, alias, start, limit)[::-1]
    output.emit({"events": found}, lambda console: _show(console, found), as_json=as_json)


def moment(text: str, now: dt.datetime) -> dt.datetime:
    """Read a time, or how long ago it was; raises UsageError."""
    from samovar.errors import UsageError

    ago = re.fullmatch(r"(\d{1,9})([smhd])", text.strip())
    try:
        if ago:
            return now - dt.timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        told = dt.datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        raise UsageError(
            "--since is no time.", remedy="Write how long ago (90s, 15m, 2h, 3d), or a date (2026-11-21, 2026-11-21T14:00)."
        ) from None
    return told if told.tzinfo is not None else told.replace(tzinfo=dt.UTC)


def _show(console: Console, found: list[Happening]) -> None:
    if not found:
        console.print("Nothing happened.")
        return
    table = output.table("Events", "=when (UTC)", "what", "model@alias", "who", "detail")
    for row in found:
        what = f"[red]{output.cell(row.kind)}[/]" if row.alarm else output.cell(row.kind)
        where = "@".join(part for part in (row.model, row.alias) if part)
        when = f"{row.at:%Y-%m-%d %H:%M:%S}"
        table.add_row(when, what, output.cell(where or None), output.cell(row.actor or None), _detail(row))
    console.print(table)


def _detail(row: Happening) -> str:
    """Say in words what a decision moved; everything else as it was noted."""
    if not row.actor:
        return output.cell(row.detail)
    before, after = (f"v{row.detail[end]}" if end in row.detail else "none" for end in ("from", "to"))
    verdict = f" ({row.detail['verdict']})" if "verdict" in row.detail else ""
    return output.cell(f"{before} to {after}{verdict}: {row.detail['reason']}")
