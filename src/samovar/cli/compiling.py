"""``samovar compile``: what answers for a version, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from samovar.cli import output
from samovar.cli.registry import named

if TYPE_CHECKING:
    from rich.console import Console

_PANEL = "The registry"


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command("compile", rich_help_panel=_PANEL)(compile_)


def compile_(
    version: Annotated[
        str, typer.Argument(metavar="VERSION", help="A version, such as flowers/3 or flowers@Production.", show_default=False)
    ],
    *,
    explain: Annotated[bool, typer.Option("--explain", help="Show the operations, and microseconds before and after.")] = False,
    as_json: output.Json = False,
) -> None:
    """Lower a version as its endpoint would: say what answers, the compiled model or the native one, and why."""
    model, which = named(version)
    settings = output.prepare()
    from samovar.pipelines.compiling import compile_version
    from samovar.pipelines.context import open_context

    with open_context(settings) as ctx, output.busy("Building ...", as_json=as_json):
        done = compile_version(ctx, model, which)

    def show(console: Console) -> None:
        console.print(f"{output.cell(model)} version {done['version']}: [bold]{done['engine']}[/]. {output.cell(done['notes'])}")
        if explain and done["explanation"] is not None:
            _explain(console, done["explanation"])

    output.emit(done, show, as_json=as_json)


def _explain(console: Console, said: dict[str, Any]) -> None:
    console.print("\n[bold]The model[/]")
    for line in said["steps"]:
        console.print(f"  {output.cell(line)}", highlight=False)
    if not said["nodes"]:
        return
    names = [column.partition(":")[0] for column in said["columns"]]
    table = output.table("The program", ">value", "operation", "reads", ">bytes")
    for node in said["nodes"]:
        reads = ", ".join(names[number] if number < len(names) else f"value {number}" for number in node["inputs"])
        table.add_row(str(node["number"]), node["operation"], output.cell(reads), output.cell(node["size"]))
    console.print(table)
    times = output.table("Microseconds a row", "asked", ">native", ">compiled", ">times faster")
    for name, before, after in (("one row", "native_row_us", "row_us"), ("1,000 rows", "native_many_us", "many_us")):
        times.add_row(name, output.cell(said[before]), output.cell(said[after]), f"{said[before] / max(said[after], 1e-3):,.0f}")
    console.print(times)
    console.print(f"Labels that differ at a tie: {said['ties']}.")
