"""Commands about decisions and what they rest on: ``explain-decision``, ``ab``, ``replay`` and ``labels load``."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from samovar.cli import output

if TYPE_CHECKING:
    from rich.console import Console

_PANEL = "The loop"

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A registered model.", show_default=False)]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="WHEN", help="Only what is younger: 90s, 15m, 2h, 3d, or 2026-11-21[T14:00] (UTC)."),
]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command("explain-decision", rich_help_panel=_PANEL)(explain_decision)
    app.command(rich_help_panel=_PANEL)(ab)
    app.command(rich_help_panel=_PANEL)(replay)
    labels = typer.Typer(no_args_is_help=True, help="What came true, for rows that were predicted.")
    labels.command("load")(labels_load)
    app.add_typer(labels, name="labels", rich_help_panel=_PANEL)


def explain_decision(
    which: Annotated[
        str | None, typer.Argument(metavar="[ID|MODEL]", help="The beginning of a decision's key, or a model.")
    ] = None,
    *,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write it as a page too, with its intervals.")] = None,
    as_json: output.Json = False,
) -> None:
    """Say in plain words why an alias was moved or not: the bars, and by how much each was reached or missed."""
    from samovar.pipelines import api

    told = api.explain_decision(which, settings=output.prepare())
    if html is not None:
        from samovar.pipelines.decision_page import page

        _write(html, page(told))
    output.emit(told, lambda console: _show_decision(console, told), as_json=as_json)


def _write(file: Path, text: str) -> None:
    from samovar.errors import UsageError

    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}.", remedy="Name a file in a folder that exists.") from None


def _show_decision(console: Console, told: dict[str, Any]) -> None:
    colour = {"rejected": "yellow", "advised": "cyan"}.get(told["verdict"], "green")
    console.print(
        f"[bold cyan]{output.cell(told['model'])}@{output.cell(told['alias'])}[/]  [{colour}]{output.cell(told['verdict'])}[/]  "
        f"[dim]{told['key'][:12]}[/]"
    )
    for sentence in told["sentences"]:
        console.print(output.cell(sentence), soft_wrap=True)
    if not told["bars"]:
        return
    table = output.table("Bars", "=", "what", ">reached", ">asked", ">by")
    for bar in told["bars"]:
        mark = "[green]yes[/]" if bar["passed"] else "[red]no[/]"
        figures = ("" if bar[name] is None else f"{bar[name]:.4g}" for name in ("value", "limit", "by"))
        table.add_row(mark, output.cell(bar["what"]), *figures)
    console.print(table)


def ab(
    model: Model,
    *,
    alias: Annotated[str, typer.Option("--alias", help="The challenger's alias.")] = "Challenger",
    champion: Annotated[str, typer.Option("--champion", help="Whose traffic is shared.")] = "Production",
    metric: Annotated[
        str, typer.Option("--metric", help="accuracy, precision, recall or neg_log_loss: what decides.")
    ] = "accuracy",
    positive: Annotated[str | None, typer.Option("--positive", help="The positive class; the second of two if left out.")] = None,
    since: Since = None,
    as_json: output.Json = False,
) -> None:
    """Say who is better on live traffic, champion or challenger, with an interval that holds however often it is looked at."""
    from samovar.pipelines import api

    settings = output.prepare()
    with output.busy("Joining predictions with labels", as_json=as_json):
        found = api.ab(model, alias, alias=champion, metric=metric, positive=positive, since=since_(since), settings=settings)
    output.emit(found, lambda console: _show_ab(console, found), as_json=as_json)


def since_(text: str | None) -> Any:
    """Read ``--since``; None where it is left out."""
    import datetime as dt

    from samovar.cli.events import moment

    return None if text is None else moment(text, dt.datetime.now(dt.UTC))


def _show_ab(console: Console, found: dict[str, Any]) -> None:
    console.print(f"[bold cyan]{output.cell(found['model'])}[/]  {output.cell(found['sentence'])}", soft_wrap=True)
    table = output.table(
        f"{found['how']} since {found['since'][:16]}", "=metric", ">challenger", ">champion", "=difference", ">p", "verdict"
    )
    for name, one in found["metrics"].items():
        known = one["difference"] is not None
        words = f"{one['difference']:+.4f} [{one['low']:+.4f}, {one['high']:+.4f}]" if known else ""
        p = f"{one['p']:.2g}" if known else ""
        table.add_row(name, f"{one['challenger']:.4f}", f"{one['champion']:.4f}", words, p, output.cell(one["verdict"]))
    console.print(table)
    sides = {
        side: f"v{found[side]['version']}, {found['labelled'][side]:,} rows with labels" for side in ("champion", "challenger")
    }
    output.show_facts(console, sides)


def replay(
    model: Model,
    *,
    version: Annotated[int, typer.Option("--version", min=1, help="Who answers again.", show_default=False)],
    since: Since = "7d",
    alias: Annotated[str, typer.Option("--alias", help="Whose logged requests.")] = "Production",
    positive: Annotated[str | None, typer.Option("--positive", help="The positive class; the version's own if left out.")] = None,
    as_json: output.Json = False,
) -> None:
    """Let a version answer again what production was asked, and compare; killed and run again it goes on where it was."""
    from samovar.pipelines import api

    settings = output.prepare()
    with output.busy("Replaying", as_json=as_json) as shown:

        def advance(done: int, total: int) -> None:
            if shown is not None:
                shown.update(f"Replaying: {done:,} of {total:,} rows")

        found = api.replay(model, version, since=since_(since), alias=alias, positive=positive, progress=advance, settings=settings)
    output.emit(found, lambda console: _show_replay(console, found), as_json=as_json)


def _show_replay(console: Console, found: dict[str, Any]) -> None:
    apart = found["disagreement"]
    share, low, high = (100 * apart[name] for name in ("value", "low", "high"))
    words = f"{share:.2f} % of {found['rows']:,} rows get another label [{low:.2f}, {high:.2f}]"
    console.print(f"[bold cyan]{output.cell(found['model'])} v{found['version']}[/]  {words}", soft_wrap=True)
    if found["metrics"]:
        table = output.table(f"{found['labelled']:,} rows with labels", "=metric", ">then", ">this version", "=gain")
        for name, one in found["metrics"].items():
            value, low, high = (one["gain"][part] for part in ("value", "low", "high"))
            table.add_row(name, f"{one['then']:.4f}", f"{one['version']:.4f}", f"{value:+.4f} [{low:+.4f}, {high:+.4f}]")
        console.print(table)
    output.show_facts(console, {name: found[name] for name in ("scored", "known", "scorer", "score_difference")})
    for reason, count in found["skipped"].items():
        console.print(f"  [yellow]{count:>7,}[/] rows were left out: {output.cell(reason)}")


def labels_load(
    project: Annotated[str, typer.Argument(metavar="PROJECT", help="Whose rows; or a registered model.", show_default=False)],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV, Parquet or JSON lines: key, label, observed_at.", show_default=False)
    ],
    *,
    as_json: output.Json = False,
) -> None:
    """Store what came true, by row key or request id; what was stored before is left alone, and bad lines go to quarantine."""
    from samovar.pipelines import api

    settings = output.prepare()
    with output.busy(f"Reading {file.name}", as_json=as_json) as shown:

        def advance(lines: int) -> None:
            if shown is not None:
                shown.update(f"Reading {file.name}: {lines:,} lines")

        found = api.labels_load(project, file, progress=advance, settings=settings)

    def show(console: Console) -> None:
        words = f"{found['added']:,} labels added, {found['known']:,} known before, {found['rejected']:,} lines in quarantine"
        console.print(f"[bold cyan]{output.cell(project)}[/]  {words}", soft_wrap=True)
        for reason, count in found["reasons"].items():
            console.print(f"  [yellow]{count:>5}[/] {output.cell(reason)}")

    output.emit(found, show, as_json=as_json)
