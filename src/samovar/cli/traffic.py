"""The command ``traffic``: splits and shadows of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from samovar.cli import output

if TYPE_CHECKING:
    from rich.console import Console

_PANEL = "The stack"


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command(rich_help_panel=_PANEL)(traffic)


def traffic(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A registered model.", show_default=False)],
    *,
    split: Annotated[
        list[str] | None, typer.Option("--split", metavar="ALIAS=PERCENT", help="Who answers a share; 0 ends it. May be repeated.")
    ] = None,
    shadow: Annotated[
        list[str] | None, typer.Option("--shadow", metavar="ALIAS", help="Who gets a copy of every row. May be repeated.")
    ] = None,
    alias: Annotated[str, typer.Option("--alias", help="Whose traffic is shared.")] = "Production",
    clear: Annotated[bool, typer.Option("--clear", help="End the split and the shadows.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Change nothing, and show what became of it so far.")] = False,
    as_json: output.Json = False,
) -> None:
    """Share a model's traffic with its other aliases: a split that they answer, or shadows that get copies. No restart, no loss."""
    from samovar.errors import UsageError
    from samovar.pipelines.context import open_context
    from samovar.pipelines.traffic import parse_split
    from samovar.pipelines.traffic import traffic as step

    if (split or shadow) and (clear or status):
        raise UsageError("--clear and --status stand alone.", remedy="Leave out --split and --shadow.")
    with open_context(output.prepare()) as ctx:
        found = step(
            ctx, model, split=parse_split(split) if split else None, shadow=_names(shadow), alias=alias, clear=clear and not status
        )
    output.emit(found, lambda console: _show(console, found), as_json=as_json)


def _names(given: list[str] | None) -> list[str] | None:
    return [name.strip() for one in given for name in one.split(",") if name.strip()] if given else None


def _show(console: Console, found: dict[str, Any]) -> None:
    whole = f"{output.cell(found['model'])}@{output.cell(found['alias'])}"
    seen = found["traffic"]
    if not found["split"] and not found["shadow"]:
        console.print(f"{whole} shares its traffic with nobody.")
    if found["split"]:
        _show_split(console, whole, seen)
    if found["shadow"]:
        _show_shadows(console, whole, seen)
    for warning in found["warnings"]:
        console.print(f"[yellow]warning:[/] {output.cell(warning)}", soft_wrap=True)


def _show_split(console: Console, whole: str, seen: dict[str, Any]) -> None:
    table = output.table(f"Split of {whole}", "=alias", ">set", ">rows", ">share", "as set?", "fallback")
    total = next((share["ratio"]["total"] for share in seen["shares"] if share["ratio"]), 0)
    others = sum(share["ratio"]["rows"] for share in seen["shares"] if share["ratio"])
    for share in seen["shares"]:
        ratio = share["ratio"]
        rows = ratio["rows"] if ratio else total - others
        table.add_row(
            f"{output.cell(share['target'])} {', '.join(f'v{version}' for version in share['versions'])}",
            f"{share['percent']} %",
            f"{rows:,}",
            f"{100 * rows / total:.2f} %" if total else "",
            "" if ratio is None else _verdict(ratio),
            _counts(share["fallback"]),
        )
    console.print(table)
    sticky = {
        True: "Sticky: all rows of an entity go to one version.",
        False: "Not sticky: the contract has no entity key, so requests are split by their id.",
        None: "Nothing was asked since the split is as it is.",
    }
    console.print(f"[dim]{sticky[seen['sticky']]}[/]")


def _verdict(ratio: dict[str, Any]) -> str:
    colour = {"mismatch": "red", "as set": "green"}.get(ratio["verdict"], "dim")
    return f"[{colour}]{ratio['verdict']}[/]" + ("" if ratio["p"] is None else f" (p {ratio['p']:.2g})")


def _show_shadows(console: Console, whole: str, seen: dict[str, Any]) -> None:
    table = output.table(
        f"Shadows of {whole}", "=alias", ">rows", ">disagree", "=95 % interval", ">score apart", ">failed", "dropped"
    )
    for one in seen["shadows"]:
        low, high = one["interval"]
        told = one["disagreement"] is not None
        table.add_row(
            f"{output.cell(one['target'])} {'v' + one['version'] + ' beside v' + one['champion'] if one['version'] else ''}",
            f"{one['rows']:,}",
            f"{100 * one['disagreement']:.2f} %" if told else "",
            f"{100 * low:.2f} to {100 * high:.2f} %" if told else "",
            "" if one["difference"] is None else f"{one['difference']:.4g}",
            f"{one['failed']:,}",
            _counts(one["dropped"]),
        )
    console.print(table)


def _counts(found: dict[str, int]) -> str:
    return ", ".join(f"{output.cell(name)} {count:,}" for name, count in found.items())
