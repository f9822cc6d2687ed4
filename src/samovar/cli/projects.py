"""Commands about projects: ``init`` and ``projects``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from samovar.cli import output

if TYPE_CHECKING:
    from samovar.workspace import Entry

_PANEL = "Projects"


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(rich_help_panel=_PANEL)(init)
    app.command(rich_help_panel=_PANEL)(projects)


def init(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new project: a-z, 0-9 and _.", show_default=False)],
    folder: Annotated[Path, typer.Option("--folder", help="Where to write it.")] = Path(),
    *,
    as_json: output.Json = False,
) -> None:
    """Write a working project of one file, and add it to samovar.toml."""
    from samovar.pipelines import scaffold

    made = scaffold.init(name, folder)
    output.emit(
        made,
        lambda console: console.print(
            f"Wrote [bold]{output.cell(made['file'])}[/] and added [bold]{name}[/] to {output.cell(made['settings'])}.\n"
            f"It works as it is; replace its source by your own rows.\n\n"
            f"  samovar up --detach\n  samovar ingest {name} && samovar train {name} && samovar promote {name}"
        ),
        as_json=as_json,
    )


def projects(*, as_json: output.Json = False) -> None:
    """List the projects that Samovar finds from here."""
    from samovar import workspace

    found = [_described(entry) for entry in workspace.entries().values()]

    def show(console: Any) -> None:
        table = output.table("Projects", "name", "what", "metric", "where")
        for row in found:
            what = f"[red]{output.cell(row['error'])}[/]" if row["error"] else output.cell(row["description"])
            table.add_row(output.cell(row["name"]), what, output.cell(row["metric"]), output.cell(row["where"]))
        console.print(table)

    output.emit({"projects": found}, show, as_json=as_json)


def _described(entry: Entry) -> dict[str, Any]:
    """Describe one project; a broken one is listed with its error instead of hiding the others."""
    from samovar import workspace
    from samovar.errors import ProjectError

    row: dict[str, Any] = {"name": entry.name, "where": entry.where, "error": "", "description": "", "metric": ""}
    try:
        project = workspace.load(entry)
    except ProjectError as broken:
        return row | {"error": str(broken)}
    return row | {
        "description": project.description,
        "model": project.model,
        "target": project.target,
        "metric": project.metric,
        "candidates": [candidate.name for candidate in project.candidates],
        "alias": project.alias,
        "promotion": project.promotion,
    }
