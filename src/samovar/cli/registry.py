"""Commands about what is in the registry: ``alias``, ``artifact``, ``models``, ``trust``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from samovar.cli import output

if TYPE_CHECKING:
    from rich.console import Console

    from samovar.pipelines.context import Context

_PANEL = "The registry"

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A registered model.", show_default=False)]
Alias = Annotated[str, typer.Argument(metavar="ALIAS", help="An alias, such as Production.", show_default=False)]
Version = Annotated[
    str, typer.Argument(metavar="VERSION", help="A version, such as flowers/3 or flowers@Production.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command(rich_help_panel=_PANEL)(models)
    app.command(rich_help_panel=_PANEL)(trust)
    alias = typer.Typer(no_args_is_help=True, help="Set, delete and list aliases: an alias is a deployment.")
    alias.command("set")(alias_set)
    alias.command("delete")(alias_delete)
    alias.command("list")(alias_list)
    app.add_typer(alias, name="alias", rich_help_panel=_PANEL)
    artifact = typer.Typer(no_args_is_help=True, help="Upload, download and list the files of a version's run.")
    artifact.command("upload")(artifact_upload)
    artifact.command("download")(artifact_download)
    artifact.command("list")(artifact_list)
    app.add_typer(artifact, name="artifact", rich_help_panel=_PANEL)


def models(*, as_json: output.Json = False) -> None:
    """List the registered models, their versions and aliases."""
    from samovar.pipelines import toolkit

    with _context() as ctx:
        found = toolkit.models(ctx)

    def show(console: Console) -> None:
        table = output.table("Registered models", "model", ">latest", "aliases")
        for row in found["models"]:
            aliases = ", ".join(f"{alias} v{version}" for alias, version in sorted(row["aliases"].items()))
            table.add_row(output.cell(row["model"]), output.cell(row["latest"]), output.cell(aliases or None))
        console.print(table)

    output.emit(found, show, as_json=as_json)


def trust(
    what: Annotated[str, typer.Argument(metavar="MODEL[/VERSION]", help="One version, or all of a model.", show_default=False)],
    *,
    as_json: output.Json = False,
) -> None:
    """Trust a version whose files may run code when loaded, such as a pickle. Whoever logged it can run code on this machine."""
    model, version = _split(what) if "/" in what else (what, None)
    from samovar.pipelines import toolkit

    with _context() as ctx:
        done = toolkit.trust(ctx, model, version)
    which = f"version {version} of {model}" if version is not None else f"every version of {model}"
    output.emit(done, lambda console: console.print(f"Trusted: {output.cell(which)}."), as_json=as_json)


def alias_set(
    model: Model,
    alias: Alias,
    version: Annotated[int, typer.Argument(metavar="VERSION", min=1, help="Version number.", show_default=False)],
    *,
    as_json: output.Json = False,
) -> None:
    """Put an alias on a version; autoserve then serves it."""
    from samovar.pipelines import toolkit

    with _context() as ctx:
        done = toolkit.alias_set(ctx, model, alias, version)
    words = f"{output.cell(model)}@{output.cell(alias)} is version {version}."
    output.emit(done, lambda console: console.print(words), as_json=as_json)


def alias_delete(model: Model, alias: Alias, *, as_json: output.Json = False) -> None:
    """Delete an alias; autoserve then stops its endpoint."""
    from samovar.pipelines import toolkit

    with _context() as ctx:
        done = toolkit.alias_delete(ctx, model, alias)
    words = f"{output.cell(model)}@{output.cell(alias)} is gone."
    output.emit(done, lambda console: console.print(words), as_json=as_json)


def alias_list(
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="One model; all of them if left out.")] = None,
    *,
    as_json: output.Json = False,
) -> None:
    """List aliases and the versions they stand on."""
    from samovar.pipelines import toolkit

    with _context() as ctx:
        found = toolkit.alias_list(ctx, model)

    def show(console: Console) -> None:
        table = output.table("Aliases", "model", "alias", ">version")
        for row in found["aliases"]:
            table.add_row(output.cell(row["model"]), output.cell(row["alias"]), str(row["version"]))
        console.print(table)

    output.emit(found, show, as_json=as_json)


def artifact_upload(
    version: Version,
    file: Annotated[Path, typer.Argument(help="A file, or a folder.", show_default=False)],
    *,
    folder: Annotated[str, typer.Option("--to", metavar="FOLDER", help="Folder among the run's artifacts.")] = "",
    as_json: output.Json = False,
) -> None:
    """Add a file or a folder to the artifacts of a version's run."""
    model, number = named(version)
    from samovar.pipelines import toolkit

    with _context() as ctx:
        done = toolkit.artifact_upload(ctx, model, number, file, folder)
    output.emit(done, lambda console: console.print(f"Uploaded {output.cell(done['written'])}."), as_json=as_json)


def artifact_download(
    version: Version,
    path: Annotated[str, typer.Argument(metavar="PATH", help="Path, as `samovar artifact list` shows it.", show_default=False)],
    *,
    folder: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="Where to put it.")] = Path(),
    as_json: output.Json = False,
) -> None:
    """Fetch a file or a folder of a version's run; nothing is overwritten."""
    model, number = named(version)
    from samovar.pipelines import toolkit

    with _context() as ctx:
        done = toolkit.artifact_download(ctx, model, number, path, folder)
    output.emit(done, lambda console: console.print(f"Wrote {output.cell(done['written'])}."), as_json=as_json)


def artifact_list(version: Version, *, as_json: output.Json = False) -> None:
    """List the artifacts of a version's run."""
    model, number = named(version)
    from samovar.pipelines import toolkit

    with _context() as ctx:
        found: dict[str, Any] = toolkit.artifact_list(ctx, model, number)

    def show(console: Console) -> None:
        for path in found["artifacts"]:
            console.print(output.cell(path), soft_wrap=True)

    output.emit(found, show, as_json=as_json)


def named(text: str) -> tuple[str, int | str]:
    """Read ``MODEL/VERSION`` or ``MODEL@ALIAS``."""
    model, at, alias = text.partition("@")
    return (model, alias) if at and model and alias else _split(text)


def _split(text: str) -> tuple[str, int]:
    """Read ``MODEL/VERSION``; MLflow allows no slash in a model's name."""
    from samovar.errors import UsageError

    model, _, version = text.rpartition("/")
    if not model or not version.isdecimal() or int(version) < 1:
        raise UsageError(f"{text!r} names no version.", remedy="Write it as in flowers/3.")
    return model, int(version)


def _context() -> Context:
    settings = output.prepare()
    from samovar.pipelines.context import open_context

    return open_context(settings)
