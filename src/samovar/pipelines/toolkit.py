"""The registry toolkit: aliases, artifacts, models and trust, for commands and notebooks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from samovar.errors import NotFound
from samovar.pipelines import aliases, people, steps
from samovar.registry import toolkit
from samovar.registry.client import check_alias
from samovar.store import decisions, events
from samovar.store import trust as grants

if TYPE_CHECKING:
    from samovar.pipelines.context import Context
    from samovar.registry.client import Version

_LIST = "See `samovar models`."


def alias_set(ctx: Context, model: str, alias: str, version: int) -> dict[str, Any]:
    """Point an alias to a version; the decision is recorded with the name of the system's user.

    Raises:
        NotFound: the model or version does not exist.
        UsageError: MLflow does not accept the alias's name.
        Conflict: somebody else moved the alias at the same moment; theirs stands.
    """
    check_alias(alias)
    ctx.registry.version(model, version)
    return _move(ctx, model, alias, version)


def alias_delete(ctx: Context, model: str, alias: str) -> dict[str, Any]:
    """Delete an alias; its endpoint stops.

    Raises:
        NotFound: the alias does not exist.
    """
    if ctx.registry.by_alias(model, alias) is None:
        raise NotFound(f"Model {model} has no alias {alias}.", remedy="See `samovar alias list`.")
    return _move(ctx, model, alias, None)


def alias_list(ctx: Context, model: str | None = None) -> dict[str, Any]:
    """List every alias, or a model's."""
    found = [one for one in ctx.registry.aliases() if model in (None, one.model)]
    return {"aliases": [{"model": one.model, "alias": one.alias, "version": one.version} for one in found]}


def models(ctx: Context) -> dict[str, Any]:
    """List the registered models with their aliases."""
    return {
        "models": [
            {"model": one.name, "latest": one.latest, "aliases": dict(one.aliases), "description": one.description}
            for one in ctx.registry.models()
        ]
    }


def artifact_upload(ctx: Context, model: str, version: int | str, source: str | Path, folder: str = "") -> dict[str, Any]:
    """Upload a file or folder into the artifacts of a version's run."""
    one = _version(ctx, model, version)
    return {"model": model, "version": one.version, "written": toolkit.upload(ctx.registry, one, Path(source), folder)}


def artifact_download(ctx: Context, model: str, version: int | str, path: str, target: str | Path = ".") -> dict[str, Any]:
    """Download an artifact, or all below a folder, into a directory."""
    one = _version(ctx, model, version)
    written = toolkit.download(ctx.registry, one, path, Path(target))
    return {"model": model, "version": one.version, "written": [str(place) for place in written]}


def artifact_list(ctx: Context, model: str, version: int | str) -> dict[str, Any]:
    """List the artifacts of a version's run."""
    one = _version(ctx, model, version)
    return {"model": model, "version": one.version, "artifacts": toolkit.list_artifacts(ctx.registry, one)}


def trust(ctx: Context, model: str, version: int | None = None) -> dict[str, Any]:
    """Allow a version's files to run code when loaded; None allows every version of the model, those to come included.

    Raises:
        NotFound: the model or version does not exist.
    """
    if version is None:
        ctx.registry.model(model)
    else:
        ctx.registry.version(model, version)
    with ctx.db.begin() as connection:
        known = grants.is_trusted(connection, model, version or grants.EVERY_VERSION)
        if not known:
            grants.grant(connection, model, version or grants.EVERY_VERSION, people.actor())
            events.add(connection, "trust", model=model, detail={"version": version, "actor": people.actor()})
    return {"status": "unchanged" if known else "done", "model": model, "version": version}


def _version(ctx: Context, model: str, version: int | str) -> Version:
    """A version by number or by alias."""
    if isinstance(version, int) or str(version).isdecimal():
        return ctx.registry.version(model, int(version))
    found = ctx.registry.by_alias(model, str(version))
    if found is None:
        raise NotFound(f"Model {model} has no alias {version}.", remedy=_LIST)
    return found


def _move(ctx: Context, model: str, alias: str, version: int | None) -> dict[str, Any]:
    with ctx.db.lock(f"promote {model} {alias}"):
        standing = ctx.registry.by_alias(model, alias)
        now = standing.version if standing else None
        with ctx.db.read() as connection:
            history = decisions.history(connection, model, alias)
        half_done = aliases.unfinished(history, now, ("set", "delete"))
        if half_done is not None and half_done.to_version == version:
            decision = aliases.apply(ctx, half_done)
        elif now == version:
            return {"status": "unchanged", "model": model, "alias": alias, "version": version, "from_version": now}
        else:
            wanted = aliases.Move(
                key=steps.digest_of(["set", model, alias, now, version, history[-1].key if history else ""]),
                kind="set" if version is not None else "delete",
                model=model,
                alias=alias,
                to_version=version,
                reason=f"Set to version {version} by hand." if version is not None else "Deleted by hand.",
                actor=people.actor(),
            )
            decision = aliases.move(ctx, wanted)
    return {"status": "done", "model": model, "alias": alias, "version": version, "from_version": decision.from_version}
