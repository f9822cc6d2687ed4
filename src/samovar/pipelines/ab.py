"""A/B: who is better on live traffic, as far as labels are known. May be asked as often as one likes: no look costs anything."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.autoserve import wishes
from samovar.errors import NotFound, UsageError
from samovar.pipelines.infer import text
from samovar.store import logged
from samovar.training import sequential
from samovar.training.sequential import Sums

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator, Sequence

    from samovar.pipelines.context import Context
    from samovar.store.logged import Group, Judged

_SMALLEST = float(np.finfo(np.float64).eps)
_WORTH = {"accuracy": True, "precision": True, "recall": True, "neg_log_loss": False}
"""What is compared, and whether a row's value of it is 0 or 1."""


def ab(  # noqa: PLR0913 - the words of the command
    ctx: Context,
    model: str,
    challenger: str = "Challenger",
    *,
    alias: str = "Production",
    since: dt.datetime | None = None,
    metric: str = "accuracy",
    positive: str | None = None,
) -> dict[str, Any]:
    """Compare the versions behind two aliases on the rows that both answered while both were there.

    Of a split, rows of the one are set against rows of the other. Of a shadow, both answered the same rows, and each row's
    difference counts, which needs far fewer of them.

    Args:
        ctx: the world.
        model: registered model.
        challenger: alias of the challenger or shadow.
        alias: whose traffic is shared; its version is the champion.
        since: only rows from then on; None is since both were there.
        metric: ``accuracy``, ``precision``, ``recall`` or ``neg_log_loss``: the one that decides. All that are known are told.
        positive: positive class; None is the second of two.

    Returns:
        ``verdict`` (``challenger``, ``champion``, ``undecided`` or ``too early``) and ``sentence``; ``how`` (``split`` or
        ``shadow``); ``metrics`` by name (`samovar.training.sequential.Comparison`); ``champion`` and ``challenger`` (version and
        rows logged), ``labelled`` rows of each, ``since``, ``until``, ``alpha`` and ``comparisons``.

    Raises:
        NotFound: an alias does not exist, or nothing that it answered is logged.
        UsageError: the metric is none of these.
    """
    _check(metric)
    versions = [_version(ctx, model, name) for name in (alias, challenger)]
    with ctx.db.read() as connection:
        known = logged.groups(connection, model, alias, since=since)
        sides = _sides(known, versions[0], versions[1], model, challenger)
        first = max(side.first_at for side in sides)
        last = min(side.last_at for side in sides)
        start = first if since is None else max(first, since)
        who = [(side.role, side.version) for side in sides]
        rows = logged.judged(connection, model, alias, who, since=start, until=last)
        table = _Table.of(rows, sides[1].role, positive)
    shadow = sides[1].role == "shadow"
    comparisons = 1 if shadow else _challengers(ctx, model, alias)
    found = dict(table.paired() if shadow else table.split(comparisons))
    chosen = found.get(metric)
    verdict = chosen.verdict if chosen else "too early"
    return {
        "model": model,
        "alias": alias,
        "how": "shadow" if shadow else "split",
        "metric": metric,
        "verdict": verdict,
        "sentence": _sentence(verdict, metric, chosen, versions),
        "champion": {"alias": alias, "version": versions[0], "rows": sides[0].rows},
        "challenger": {"alias": challenger, "version": versions[1], "rows": sides[1].rows},
        "labelled": {"champion": int((~table.ours).sum()), "challenger": int(table.ours.sum())},
        "metrics": {name: one.as_dict() for name, one in found.items()},
        "alpha": sequential.ALPHA,
        "comparisons": comparisons,
        "since": start.isoformat(),
        "until": last.isoformat(),
    }


def _check(metric: str) -> None:
    if metric not in _WORTH:
        raise UsageError(f"{metric} cannot be compared online.", remedy=f"It is one of {', '.join(_WORTH)}.")


def _version(ctx: Context, model: str, alias: str) -> int:
    found = ctx.registry.by_alias(model, alias)
    if found is None:
        raise NotFound(f"Model {model} has no alias {alias}.", remedy="See `samovar alias list`.")
    return found.version


def _sides(known: Sequence[Group], champion: int, challenger: int, model: str, name: str) -> tuple[Group, Group]:
    """Return what the two answered: of the challenger its share of a split, else the copies it was shown."""
    by = {(one.role, one.version): one for one in known}
    ours = by.get(("challenger", challenger)) or by.get(("shadow", challenger))
    theirs = by.get(("champion", champion))
    if ours is None or theirs is None:
        who = f"version {challenger} (alias {name})" if ours is None else f"version {champion}"
        raise NotFound(
            f"Nothing that {who} of {model} answered is in the prediction log.",
            remedy="Share the traffic with `samovar traffic`, and let the log be shipped (`samovar spool ship`).",
        )
    return theirs, ours


def _challengers(ctx: Context, model: str, alias: str) -> int:
    """How many challengers share the traffic now: whoever tries more, is lucky more often."""
    for key, wish in wishes.read([ctx.registry.model(model)]).items():
        if key.alias == alias:
            return max(1, len(wish.tuning.split))
    return 1


@dataclasses.dataclass(frozen=True, slots=True)
class _Table:
    """Labelled rows as columns, n each.

    Attributes:
        ours: whether the challenger answered.
        entity: number of the row's key, or of the request where it has none.
        row: number of the request and the row in it.
        values: what a row is worth, by metric; NaN where it does not count.
    """

    ours: np.ndarray
    entity: np.ndarray
    row: np.ndarray
    values: dict[str, np.ndarray]

    @classmethod
    def of(cls, rows: Iterable[Judged], role: str, positive: str | None) -> _Table:
        """Read rows; texts become numbers, so that millions of them fit."""
        entities: dict[str, int] = {}
        places: dict[tuple[str, int], int] = {}
        found = [
            (
                one.role == role,
                entities.setdefault(f"k{one.key}" if one.key else f"r{one.request_id}", len(entities)),
                places.setdefault((one.request_id, one.row_index), len(places)),
                *_worth(one, positive),
            )
            for one in rows
        ]
        columns = np.array(found, dtype=float).reshape(-1, 3 + len(_WORTH)).T
        return cls(columns[0] > 0, columns[1].astype(int), columns[2].astype(int), dict(zip(_WORTH, columns[3:], strict=True)))

    def split(self, comparisons: int) -> Iterator[tuple[str, sequential.Comparison]]:
        """Compare the two groups in every metric that is known of both."""
        for name, binary in _WORTH.items():
            counts = ~np.isnan(self.values[name])
            ours, theirs = (_sums(self.values[name][side], self.entity[side]) for side in (counts & self.ours, counts & ~self.ours))
            if ours.rows and theirs.rows:
                yield name, sequential.compare(ours, theirs, comparisons=comparisons, binary=binary)

    def paired(self) -> Iterator[tuple[str, sequential.Comparison]]:
        """Compare what the two said of the same rows, in the metrics that are a mean over all of them."""
        _, ours, theirs = np.intersect1d(self.row[self.ours], self.row[~self.ours], return_indices=True)
        ours, theirs = np.flatnonzero(self.ours)[ours], np.flatnonzero(~self.ours)[theirs]
        for name in ("accuracy", "neg_log_loss"):
            pair = self.values[name][ours], self.values[name][theirs]
            counts = ~np.isnan(pair[0] - pair[1])
            if counts.any():
                sums = _sums((pair[0] - pair[1])[counts], self.entity[ours][counts])
                yield name, sequential.compare_paired(sums, float(pair[0][counts].mean()), float(pair[1][counts].mean()))


def _worth(row: Judged, positive: str | None) -> tuple[float, float, float, float]:
    """What a row counts in each metric, in the order of ``_WORTH``."""
    names = [text(name) for name in row.classes]
    right = float(row.label == row.truth)
    wanted = positive if positive is not None else names[1] if len(names) == 2 else None
    precision = float(row.truth == wanted) if wanted is not None and row.label == wanted else math.nan
    recall = float(row.label == wanted) if wanted is not None and row.truth == wanted else math.nan
    chance = math.nan
    if row.probabilities is not None and row.truth in names and len(row.probabilities) == len(names):
        chance = math.log(max(row.probabilities[names.index(row.truth)], _SMALLEST))
    return right, precision, recall, chance


def _sums(values: np.ndarray, entity: np.ndarray) -> Sums:
    _, places = np.unique(entity, return_inverse=True)
    totals, sizes = np.bincount(places, values), np.bincount(places).astype(float)
    squares, products = float(totals @ totals), float(totals @ sizes)
    return Sums(int(values.size), float(values.sum()), squares, products, float(sizes @ sizes), int(totals.size))


def _sentence(verdict: str, metric: str, found: sequential.Comparison | None, versions: Sequence[int]) -> str:
    champion, challenger = versions
    if found is None or found.difference is None:
        return f"It is too early to compare {metric}: too few rows have labels."
    difference = f"{metric} differs by {found.difference:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
    match verdict:
        case "challenger":
            return f"The challenger (version {challenger}) is better: {difference}."
        case "champion":
            return f"The champion (version {champion}) is better: {difference}."
        case _:
            return f"It is undecided between versions {champion} and {challenger}: {difference}."


__all__ = ["ab"]
