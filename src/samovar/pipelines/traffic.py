"""Sharing a model's traffic: what is set is a tag of the registered model, so that the registry says all that is served."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import msgspec

from samovar.autoserve import client, wishes
from samovar.autoserve import traffic as observed
from samovar.autoserve.plan import Key
from samovar.errors import NotFound, StackUnavailable, UsageError
from samovar.pipelines import people
from samovar.store import events

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from samovar.autoserve.tuning import Tuning
    from samovar.pipelines.context import Context
    from samovar.registry.client import Model


def traffic(  # noqa: PLR0913 - the words of the command
    ctx: Context,
    model: str,
    *,
    split: Mapping[str, int] | None = None,
    shadow: Sequence[str] | None = None,
    alias: str = "Production",
    clear: bool = False,
) -> dict[str, Any]:
    """Set who answers a share of an endpoint's rows and who gets copies of them, and tell what became of it so far.

    Args:
        ctx: the world.
        model: registered model.
        split: percent by alias; None leaves it as it is, an empty one ends it.
        shadow: aliases; None leaves them as they are, none at all ends it.
        alias: the alias whose traffic is shared.
        clear: end both.

    Returns:
        ``status`` (``done`` or ``unchanged``), ``split`` and ``shadow`` as they are set now, ``warnings``, and ``traffic``
        (`samovar.autoserve.traffic.Traffic`) as this host's workers counted it.

    Raises:
        NotFound: the model or an alias does not exist.
        UsageError: the shares are more than 100 percent, or an alias shares with itself.
    """
    known = ctx.registry.model(model)
    _check(known, alias, split or {}, shadow or ())
    before = _tags(known, alias)
    wanted = dict(before)
    if split is not None or clear:
        wanted["split"] = wishes.split_text({name: part for name, part in sorted((split or {}).items()) if part})
    if shadow is not None or clear:
        wanted["shadow"] = ",".join(sorted(set(shadow or ())))
    changed = {field: text for field, text in wanted.items() if text != before[field]}
    if changed:
        _write(ctx, model, alias, changed)
        known = ctx.registry.model(model)
        with ctx.db.begin() as connection:
            detail = {"from": before, "to": wanted, "actor": people.actor()}
            events.add(connection, "traffic", model=model, alias=alias, detail=detail)
        with contextlib.suppress(StackUnavailable):  # the next poll sees it too
            client.reconcile(ctx.settings)
    wish = wishes.read([known])[Key(model, alias)]
    return {
        "status": "done" if changed else "unchanged",
        "model": model,
        "alias": alias,
        "split": dict(wish.tuning.split),
        "shadow": list(wish.tuning.shadow),
        "warnings": [*wish.problems, *_warnings(wish.tuning)],
        "traffic": msgspec.to_builtins(observed.observe(ctx.settings.run_dir / "metrics", model, alias, wish.tuning)),
    }


def parse_split(texts: Sequence[str]) -> dict[str, int]:
    """Read ``Challenger=10`` or ``Challenger=10,Other=5``, once or several times; raises UsageError."""
    found: dict[str, int] = {}
    for part in ",".join(texts).split(","):
        name, sign, percent = (piece.strip() for piece in part.partition("="))
        if not sign or not name or not percent.isdecimal() or int(percent) > 100:
            raise UsageError("A split is ALIAS=PERCENT, with whole percents from 0 to 100.", remedy="As in --split Challenger=10.")
        if name in found:
            raise UsageError(f"{name} is named twice.", remedy="Give each alias one share.")
        found[name] = int(percent)
    return found


def _check(model: Model, alias: str, split: Mapping[str, int], shadow: Sequence[str]) -> None:
    for name in (alias, *split, *shadow):
        if name not in model.aliases:
            remedy = f"It has {', '.join(sorted(model.aliases)) or 'none'}."
            raise NotFound(f"Model {model.name} has no alias {name}.", remedy=remedy)
    if alias in (*split, *shadow):
        raise UsageError(f"{alias} cannot share its traffic with itself.", remedy="Name another alias of the model.")
    if any(not 0 <= percent <= 100 for percent in split.values()) or sum(split.values()) > 100:
        raise UsageError("The shares are more than 100 percent together.", remedy="Leave the rest to the champion.")


def _tags(model: Model, alias: str) -> dict[str, str]:
    return {field: model.tags.get(wishes.tag(field, alias), "") for field in ("split", "shadow")}


def _write(ctx: Context, model: str, alias: str, changed: Mapping[str, str]) -> None:
    for field, text in changed.items():
        if text:
            ctx.registry.set_model_tag(model, wishes.tag(field, alias), text)
        else:
            ctx.registry.delete_model_tag(model, wishes.tag(field, alias))


def _warnings(tuning: Tuning) -> list[str]:
    """Say what works and may not be meant."""
    both = sorted({name for name, _ in tuning.split} & set(tuning.shadow))
    return [f"{name} answers a share and gets copies of the rest: its shares may wait for its copies." for name in both]
