"""A decision in plain words: what was asked, what each bar was, and by how much it was reached or missed."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from samovar.errors import NotFound
from samovar.store import decisions

if TYPE_CHECKING:
    from samovar.pipelines.context import Context
    from samovar.store.decisions import Decision


def explain_decision(ctx: Context, which: str | None = None) -> dict[str, Any]:
    """Explain a decision.

    Args:
        ctx: the world.
        which: the beginning of a decision's key, at least six characters of it, or a model, whose last decision of the gate it is
            (else its last one at all); None is the last one of the gate.

    Returns:
        the decision's own fields, ``sentences`` for people, and ``bars``, each ``name``, ``what``, ``value``, ``low``, ``high``,
        ``limit``, ``rule``, ``passed``, ``by`` and ``sentence``.

    Raises:
        NotFound: there is no such decision.
    """
    decision = _find(ctx, which)
    told = dataclasses.asdict(decision)
    for name in ("created_at", "applied_at"):
        told[name] = told[name].isoformat() if told[name] is not None else None
    return told | {"sentences": sentences(decision), "bars": decision.evidence.get("bars", [])}


def _find(ctx: Context, which: str | None) -> Decision:
    with ctx.db.read() as connection:
        if which is None:
            found = [one for one in decisions.list_(connection, limit=1000) if one.kind == "promote"]
        else:
            found = decisions.find(connection, which, "promote") or decisions.find(connection, which)
    if not found:
        what = "no decision of the gate yet" if which is None else f"no decision {which}, and none about a model of that name"
        raise NotFound(f"There is {what}.", remedy="See `samovar events`, or run `samovar promote PROJECT`.")
    return found[0]


def sentences(decision: Decision) -> list[str]:
    """Tell a decision, a sentence or two for each part of its evidence."""
    evidence = decision.evidence
    parts = [_asked(decision), _outcome(decision), f"Why: {decision.reason}"]
    if "resampling" in evidence:
        parts.append(_measured(evidence))
    together = evidence.get("judged_together", [])
    if len(together) > 1:
        names = ", ".join(str(one) for one in together)
        parts.append(
            f"Versions {names} were judged together, so each had to prove more: its interval leaves {_level(evidence)} aside."
        )
    if "replay" in evidence:
        parts.append(_replayed(evidence["replay"]))
    parts += [_supporting(name, test) for name, test in evidence.get("supporting", {}).items()]
    return parts


def _asked(decision: Decision) -> str:
    where = f"{decision.model}@{decision.alias}"
    when = f"{decision.created_at:%Y-%m-%d %H:%M} UTC"
    if decision.kind != "promote":
        return f"{when}: {decision.actor} moved {where} from {_named(decision.from_version)} to {_named(decision.to_version)}."
    against = "no champion" if decision.from_version is None else f"version {decision.from_version}, the champion"
    return f"{when}: {decision.actor} put {_named(decision.to_version)} before the gate of {where}, against {against}."


def _named(version: int | None) -> str:
    return "nothing" if version is None else f"version {version}"


def _outcome(decision: Decision) -> str:
    match decision.verdict, decision.applied_at:
        case "rejected", _:
            return "It was rejected; the alias stayed where it was."
        case "advised", _:
            return "It passed; promotion is manual, so that a person moves the alias."
        case _, None:
            return "It was approved, and the alias was not seen there: the move was overtaken or cut short."
        case _:
            return f"It was approved, and the alias was seen there at {decision.applied_at:%Y-%m-%d %H:%M:%S} UTC."


def _measured(evidence: dict[str, Any]) -> str:
    drawn = evidence["resampling"]
    rows = "one by one" if drawn["block"] == 1 else f"in blocks of {drawn['block']} in the order of time"
    data = f" of dataset {evidence['dataset'][:12]}" if evidence.get("dataset") else ""
    how = f"{drawn['rounds']:,} resamples, rows drawn {rows}, seed {drawn['seed']}"
    return f"Measured on {evidence['rows']:,} held-out rows{data}; {how}."


def _replayed(found: dict[str, Any]) -> str:
    if not found.get("rows"):
        return f"Nothing was replayed: {found.get('reason', '')}"
    share = found["disagreement"]
    shares = f"{100 * share['value']:.2f} % [{100 * share['low']:.2f}, {100 * share['high']:.2f}]"
    return f"Of {found['rows']:,} logged rows that it answered again, {shares} got another label."


def _level(evidence: dict[str, Any]) -> str:
    return f"{200 * evidence.get('gain_level', 0.0):.2g} %"


def _supporting(name: str, test: dict[str, Any]) -> str:
    if name == "mcnemar":
        return (
            f"McNemar's test: {test['only_challenger']:,} rows only the challenger has right, {test['only_champion']:,} only the "
            f"champion (mid-p {test['mid_p']:.2g})."
        )
    spread = f"standard error {test['standard_error']:.4f}, p {test['p']:.2g}"
    return f"DeLong's test: the areas differ by {test['difference']:+.4f} ({spread})."


__all__ = ["explain_decision", "sentences"]
