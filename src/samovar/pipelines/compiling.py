"""What the compiler makes of a version: the question behind ``samovar compile``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from samovar.errors import NotFound
from samovar.registry.files import fetch_files
from samovar.scoring import builder
from samovar.scoring.request import BuildRequest
from samovar.store import trust

if TYPE_CHECKING:
    from samovar.pipelines.context import Context
    from samovar.registry.client import Version


def compile_version(ctx: Context, model: str, which: int | str) -> dict[str, Any]:
    """Build a version as its endpoint would and say what answers, why, and how fast.

    The model is loaded in a builder: a process of its own, without credentials.

    Args:
        ctx: where.
        model: registered model.
        which: version number or alias.

    Returns:
        model, version, engine, notes and ties; and ``explanation`` for a scikit-learn model
        (see `samovar.scoring.explanation.Explanation`), else None.

    Raises:
        NotFound: there is no such version.
        Untrusted: its files may run code and nobody trusted them.
        ModelError: it cannot be served.
    """
    version = _version(ctx, model, which)
    with ctx.db.read() as connection:
        trusted = trust.is_trusted(connection, model, version.version)
    request = BuildRequest(
        model=model,
        version=version.version,
        run_id=version.run_id,
        label=version.label,
        files=fetch_files(ctx.registry, version),
        trusted=trusted,
        compile=ctx.settings.compile == "on",
        explain=True,
    )
    built = builder.run(request, ctx.settings.build_seconds)
    plan = built.plan
    assert plan is not None
    return {
        "model": model,
        "version": version.version,
        "engine": plan.engine,
        "notes": plan.notes,
        "ties": plan.ties,
        "explanation": None if built.explanation is None else msgspec.to_builtins(built.explanation),
    }


def _version(ctx: Context, model: str, which: int | str) -> Version:
    if isinstance(which, int):
        return ctx.registry.version(model, which)
    found = ctx.registry.by_alias(model, which)
    if found is None:
        raise NotFound(f"Model {model} has no alias {which}.", remedy="See `samovar alias list`.")
    return found
