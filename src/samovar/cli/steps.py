"""Commands of the loop: from ``ingest`` to ``rollback``, and ``drift inject``."""

from __future__ import annotations

import datetime as dt
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from samovar.cli import output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

_PANEL = "The loop"

Dataset = Annotated[
    str | None, typer.Option("--dataset", metavar="DIGEST", help="A dataset by (the start of) its digest; the latest if left out.")
]
Moment = Annotated[dt.datetime | None, typer.Option(help="Time in UTC, such as 2026-01-31 or 2026-01-31T12:00:00.")]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    for command in (ingest, train, select, promote, infer, monitor, retrain, reproduce, rollback):
        app.command(rich_help_panel=_PANEL)(command)
    drift = typer.Typer(no_args_is_help=True, help="Make a drifted batch, to see what happens.")
    drift.command("inject")(drift_inject)
    app.add_typer(drift, name="drift", rich_help_panel=_PANEL)


def ingest(project: output.ProjectName, *, start: Moment = None, end: Moment = None, as_json: output.Json = False) -> None:
    """Read the project's source: good rows become a dataset, bad ones go to quarantine."""
    from samovar.pipelines import api
    from samovar.project import Window

    settings = output.prepare()
    window = Window(_utc(start), _utc(end))
    with output.busy(f"Reading {project}", as_json=as_json):
        result = api.ingest(project, window, settings=settings)

    def show(console: Console) -> None:
        _headline(console, project, f"{result['rows']:,} rows accepted, {result['rejected']:,} in quarantine", result)
        pairs = {"dataset": result["dataset"][:12], "anomalies": [found["message"] for found in result["anomalies"]]}
        output.show_facts(console, pairs)
        for reason, count in result["reasons"].items():
            console.print(f"  [yellow]{count:>5}[/] {output.cell(reason)}")

    output.emit(result, show, as_json=as_json)


def train(
    project: output.ProjectName,
    *,
    dataset: Dataset = None,
    kind: Annotated[
        str | None, typer.Option("--kind", help="Train this candidate by itself, and register nothing; see `samovar select`.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Train the candidates, and register the best as a new version with the alias of challengers."""
    from samovar.pipelines import api

    settings = output.prepare()
    with _candidate_bars(as_json=as_json) as advance:
        result = api.train(project, dataset=dataset, kind=kind, progress=advance, settings=settings)
    shown = _trained if kind is None else _part
    output.emit(result, lambda console: shown(console, project, result), as_json=as_json)


def select(project: output.ProjectName, *, dataset: Dataset = None, as_json: output.Json = False) -> None:
    """Join what `train --kind` trained: the best becomes a new version with the alias of challengers."""
    from samovar.pipelines import api

    settings = output.prepare()
    with output.busy("Choosing the best", as_json=as_json):
        result = api.select(project, dataset=dataset, settings=settings)
    output.emit(result, lambda console: _trained(console, project, result), as_json=as_json)


def promote(
    project: output.ProjectName,
    *,
    version: Annotated[
        list[int] | None,
        typer.Option("--version", min=1, help="A version; the challenger if left out. May be repeated: all are judged together."),
    ] = None,
    require: Annotated[bool, typer.Option("--require", help="Exit with 1 when the gate says no.")] = False,
    as_json: output.Json = False,
) -> None:
    """Put a challenger before the gate; if it passes, it takes the champion's alias."""
    from samovar.pipelines import api

    settings = output.prepare()
    with output.busy("Comparing on the held-out rows", as_json=as_json):
        result = api.promote(project, version=version, settings=settings)
    passed = result["verdict"] != "rejected"

    def show(console: Console) -> None:
        colour = "green" if passed else "yellow"
        _headline(console, project, f"[{colour}]{output.cell(result['verdict'])}[/]: {output.cell(result['reason'])}", result)
        for one in result.get("judged", []):
            console.print(f"  v{one['version']} {output.cell(one['verdict'])}: {output.cell(one['reason'])}", soft_wrap=True)

    output.emit(result, show, as_json=as_json)
    if require and not passed:
        raise typer.Exit(1)


def infer(project: output.ProjectName, *, dataset: Dataset = None, as_json: output.Json = False) -> None:
    """Predict a whole dataset with the champion, and with the challenger in its shadow."""
    from samovar.pipelines import api

    settings = output.prepare()
    with output.busy("Predicting", as_json=as_json):
        result = api.infer(project, dataset=dataset, settings=settings)
    output.emit(result, lambda console: _plain(console, project, f"{result['rows']:,} rows predicted", result), as_json=as_json)


def monitor(project: output.ProjectName, *, dataset: Dataset = None, as_json: output.Json = False) -> None:
    """Compare a dataset with what the champion was trained on; an alarm asks for a retrain, once."""
    from samovar.pipelines import api

    settings = output.prepare()
    with output.busy("Comparing with the reference", as_json=as_json):
        result = api.monitor(project, dataset=dataset, settings=settings)

    def show(console: Console) -> None:
        colour = {"ok": "green", "alarm": "bold red"}.get(result["verdict"], "yellow")
        asked = "; a retrain is requested" if result["retrain_requested"] else ""
        _headline(console, project, f"[{colour}]{output.cell(result['verdict'])}[/]{asked}", result)
        pairs = {"why": result["sentence"], "worst feature": result["worst"], "its PSI": result["worst_psi"]}
        pairs |= {"shifted": result["shifted"], result["metric"]: result["score"]}
        output.show_facts(console, {**pairs, "report": f"{result['folder']}/drift_report.html"})

    output.emit(result, show, as_json=as_json)


def retrain(
    project: output.ProjectName,
    *,
    force: Annotated[bool, typer.Option("--force", help="Retrain although nobody asked for it.")] = False,
    as_json: output.Json = False,
) -> None:
    """Do what drift asked for: train again, and put the result before the gate."""
    from samovar.pipelines import api

    settings = output.prepare()
    with _candidate_bars(as_json=as_json) as advance:
        result = api.retrain(project, force=force, progress=advance, settings=settings)
    words = output.cell(result.get("reason", result["status"]))
    output.emit(result, lambda console: _plain(console, project, words, result), as_json=as_json)


def reproduce(
    run: Annotated[str, typer.Argument(metavar="RUN_ID", help="The MLflow run of one candidate.", show_default=False)],
    *,
    as_json: output.Json = False,
) -> None:
    """Fit a run's recorded parameters again, and see whether the same model comes out; 1 if it does not."""
    from samovar.pipelines import api

    settings = output.prepare()
    with _candidate_bars(as_json=as_json) as advance:
        result = api.reproduce(run, progress=advance, settings=settings)

    def show(console: Console) -> None:
        colour = "green" if result["reproduced"] else "yellow"
        _headline(console, result["project"], f"[{colour}]{output.cell(result['reason'])}[/]", result)
        facts = {"candidate": result["candidate"], "dataset": result["dataset"][:12], "recorded": result["recorded"][:12]}
        output.show_facts(console, facts | {"fitted": result["fitted"][:12], **result["differs"]})

    output.emit(result, show, as_json=as_json)
    if not result["reproduced"]:
        raise typer.Exit(1)


def rollback(
    target: Annotated[str, typer.Argument(metavar="PROJECT|MODEL", help="A project, or a registered model.", show_default=False)],
    *,
    alias: Annotated[str | None, typer.Option("--alias", help="The alias to move back; the champion's if left out.")] = None,
    to: Annotated[int | None, typer.Option("--to", min=1, help="A version; the one before the present one if left out.")] = None,
    as_json: output.Json = False,
) -> None:
    """Move an alias back to the version it stood on before."""
    from samovar.pipelines import api

    settings = output.prepare()
    result = api.rollback(target, alias=alias, to=to, settings=settings)
    output.emit(result, lambda console: _headline(console, target, output.cell(result["reason"]), result), as_json=as_json)


def drift_inject(
    project: output.ProjectName,
    *,
    kind: Annotated[str, typer.Option("--kind", help="shift, scale, swap or missing.")] = "shift",
    strength: Annotated[
        float | None, typer.Option("--strength", min=0.0, help="How much; the kind's own default if left out.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of what is random about it.")] = 0,
    as_json: output.Json = False,
) -> None:
    """Store a drifted copy of the latest dataset, which then is the latest."""
    from samovar.pipelines import api

    settings = output.prepare()
    result = api.drift_inject(project, kind, strength, seed, settings=settings)
    words = f"a drifted copy ({output.cell(kind)}) of the source's latest dataset is now the latest"
    output.emit(result, lambda console: _plain(console, project, words, result), as_json=as_json)


def _trained(console: Console, project: str, result: dict[str, Any]) -> None:
    words = f"registered [bold]{output.cell(result['model'])} v{result['version']}[/] ({output.cell(result['kind'])})"
    _headline(console, project, words, result)
    table = output.table("", "candidate", f">{result['metric']}", "95 % interval")
    for row in sorted(result["candidates"], key=lambda row: -row["value"]):
        low, high = row["interval"]
        table.add_row(output.cell(row["kind"]), f"{row['value']:.4f}", f"{low:.4f} to {high:.4f}")
    console.print(table)
    for row in result["failed"]:
        console.print(f"  [red]failed[/] {output.cell(row['kind'])}: {output.cell(row['reason'])}")
    facts = {"dataset": result["dataset"][:12], "run": result["run_id"], "not trained": ", ".join(result.get("missing", ()))}
    output.show_facts(console, {name: value for name, value in facts.items() if value})
    console.print(f"\n[dim]Next: samovar promote {project}[/]")


def _part(console: Console, project: str, result: dict[str, Any]) -> None:
    low, high = result["interval"]
    words = f"{output.cell(result['kind'])}: {result['metric']} {result['value']:.4f} ({low:.4f} to {high:.4f})"
    _headline(console, project, words, result)
    output.show_facts(console, {"dataset": result["dataset"][:12], "run": result["run_id"]})
    console.print(f"\n[dim]Next: samovar select {project}, when every kind is trained[/]")


def _headline(console: Console, name: str, words: str, result: dict[str, Any]) -> None:
    again = " [dim](unchanged: this was done before)[/]" if result.get("status") == "unchanged" else ""
    console.print(f"[bold cyan]{output.cell(name)}[/]  {words}{again}", soft_wrap=True)


def _plain(console: Console, name: str, words: str, result: dict[str, Any]) -> None:
    """Print a headline, and every simple value of the result under it."""
    _headline(console, name, words, result)
    simple = {
        key: value for key, value in result.items() if not isinstance(value, dict | list) and key not in ("status", "project")
    }
    output.show_facts(console, simple)


def _utc(moment: dt.datetime | None) -> dt.datetime | None:
    return None if moment is None else moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)


@contextmanager
def _candidate_bars(*, as_json: bool) -> Iterator[Callable[[str, int, int, float | None], None] | None]:
    """Show a bar per candidate; the steps of a bar are trials of its search."""
    if as_json:
        yield None
        return
    with output.Bars(bar=True, transient=False) as bars:

        def advance(kind: str, done: int, total: int, best: float | None) -> None:
            bars.set(kind, done, total, "" if best is None else f"best {best:.4f}")

        yield advance
