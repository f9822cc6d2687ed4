"""Commands about Samovar itself: ``demo`` and ``version``."""

from __future__ import annotations

from typing import Annotated

import typer

from samovar.cli import output

_PANEL = "Samovar"


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(rich_help_panel=_PANEL)(demo)
    app.command(rich_help_panel=_PANEL)(version)


def demo(
    names: Annotated[
        list[str] | None, typer.Option("--project", help="A reference project to play; may be given twice. Both unless given.")
    ] = None,
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack running at the end.")] = False,
    as_json: output.Json = False,
) -> None:
    """Play the whole loop on real services, and let a black box judge whether it closed."""
    from samovar.demo import run

    chosen = tuple(names) if names else run.PROJECTS
    outcome = run.run(output.prepare(), keep=keep, projects=chosen, console=output.console(stderr=as_json))
    if as_json:
        output.document(outcome.as_json())
    if not outcome.passed:
        raise typer.Exit(1)


def version(*, as_json: output.Json = False) -> None:
    """Say which Samovar this is."""
    import samovar

    output.emit({"version": samovar.__version__}, lambda console: console.print(samovar.__version__), as_json=as_json)
