"""What became of shared traffic, from the numbers that the workers of this host count."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import msgspec

from samovar.autoserve import ratio, wishes
from samovar.autoserve.naming import endpoint_name
from samovar.serving import numbers
from samovar.serving.exposition import DIFFERENCES
from samovar.serving.traffic import counts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from samovar.autoserve.ratio import Ratio
    from samovar.autoserve.tuning import Tuning

    Series = Mapping[tuple[str, tuple[tuple[str, str], ...]], Sequence[float]]


class Share(msgspec.Struct, frozen=True):
    """One alias of a split.

    Attributes:
        target: the alias.
        role: ``champion`` or ``challenger``.
        percent: what it is set to get.
        versions: rows that each of its versions answered, whatever the split was then.
        ratio: whether it answers what it is set to, since the split is as it is; None for the champion.
        fallback: rows that the champion answered in its place, by reason.
    """

    target: str
    role: str
    percent: int
    versions: dict[str, int]
    ratio: Ratio | None
    fallback: dict[str, int]


class Shadow(msgspec.Struct, frozen=True):
    """One version that answers copies.

    Attributes:
        target: its alias.
        version: its version; empty when none has answered yet.
        champion: version that it was compared with.
        rows: rows that it answered.
        failed: rows that it could not answer.
        compared: rows whose answers were compared.
        differing: compared rows whose labels differ.
        disagreement: their share; None when nothing was compared.
        interval: Wilson's 95 % interval of that share.
        difference: mean difference of the scores; None when there are none.
        dropped: rows that the alias did not get, by reason.
    """

    target: str
    version: str = ""
    champion: str = ""
    rows: int = 0
    failed: int = 0
    compared: int = 0
    differing: int = 0
    disagreement: float | None = None
    interval: tuple[float, float] = (0.0, 1.0)
    difference: float | None = None
    dropped: dict[str, int] = {}


class Traffic(msgspec.Struct, frozen=True):
    """The traffic of one endpoint.

    Attributes:
        model: registered model.
        alias: the alias that is asked.
        sticky: whether an entity stays with a version; None when nothing was split yet.
        shares: the split, the champion first; empty without one.
        shadows: versions that get copies.
    """

    model: str
    alias: str
    sticky: bool | None
    shares: tuple[Share, ...]
    shadows: tuple[Shadow, ...]


def observe(folder: Path, model: str, alias: str, tuning: Tuning) -> Traffic:
    """Read what the workers of this host counted.

    Args:
        folder: holds a folder of metrics for each endpoint.
        model: registered model.
        alias: the alias that is asked.
        tuning: how its traffic is shared now.
    """
    own = _read(folder, model, alias)
    text = wishes.split_text(dict(tuning.split))
    groups = {target: values for (target,), values in _sums(own, counts.GROUP_ROWS, ("target",), split=text, alias=alias).items()}
    sticky = {labels[0] for labels in _sums(own, counts.GROUP_ROWS, ("sticky",), split=text, alias=alias)}
    shares = tuple(_shares(own, alias, tuning, groups)) if tuning.split else ()
    shadows = tuple(found for target in tuning.shadow for found in _shadows(own, _read(folder, model, target), alias, target))
    return Traffic(model, alias, "no" not in sticky if sticky else None, shares, shadows)


def _shares(own: Series, alias: str, tuning: Tuning, groups: Mapping[str, list[float]]) -> Iterator[Share]:
    total = [sum(values) for values in zip(*groups.values(), strict=True)] or [0.0]
    rest = 100 - sum(percent for _, percent in tuning.split)
    yield Share(alias, "champion", rest, _versions(own, alias, alias), None, {})
    for target, percent in tuning.split:
        mine = groups.get(target, [0.0] * len(total))
        found = ratio.check(mine, total, percent / 100, len(tuning.split))
        yield Share(target, "challenger", percent, _versions(own, alias, target), found, _by_reason(own, counts.FALLBACK, target))


def _shadows(own: Series, theirs: Series, alias: str, target: str) -> Iterator[Shadow]:
    dropped = _by_reason(own, counts.DROPPED, target)
    seen = _sums(theirs, counts.SHADOWED, ("version", "champion"), alias=alias)
    for version, champion in sorted(seen, key=lambda pair: tuple(map(int, pair))):
        labels = {"alias": alias, "version": version, "champion": champion}
        compared, differing = (_total(theirs, name, **labels) for name in (counts.COMPARED, counts.DISAGREED))
        differences = next(iter(_sums(theirs, counts.DIFFERED, ("alias",), **labels).values()), [])
        scores = sum(differences[: len(DIFFERENCES) + 1])
        yield Shadow(
            target=target,
            version=version,
            champion=champion,
            rows=int(sum(seen[version, champion])),
            failed=_total(theirs, counts.FAILED, **labels),
            compared=compared,
            differing=differing,
            disagreement=differing / compared if compared else None,
            interval=ratio.wilson(differing, compared),
            difference=differences[-1] / scores if scores else None,
            dropped=dropped,
        )
    if not seen:
        yield Shadow(target=target, dropped=dropped)


def _read(folder: Path, model: str, alias: str) -> Series:
    try:
        return numbers.read(folder / endpoint_name(model, alias))
    except OSError:
        return {}


def _versions(own: Series, alias: str, target: str) -> dict[str, int]:
    found = _sums(own, counts.SPLIT_ROWS, ("version",), alias=alias, target=target)
    return {version: int(values[0]) for (version,), values in sorted(found.items())}


def _by_reason(own: Series, family: str, target: str) -> dict[str, int]:
    found = {reason: int(values[0]) for (reason,), values in _sums(own, family, ("reason",), target=target).items()}
    return {reason: count for reason, count in found.items() if count}


def _total(series: Series, family: str, **labels: str) -> int:
    return int(sum(values[0] for values in _sums(series, family, ("alias",), **labels).values()))


def _sums(series: Series, family: str, names: Iterable[str], **wanted: str) -> dict[tuple[str, ...], list[float]]:
    """Add up the series of a family that have all wanted labels, by some of their labels."""
    found: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for (name, pairs), values in series.items():
        labels: dict[str, Any] = dict(pairs)
        if name == family and all(labels.get(label) == value for label, value in wanted.items()):
            key = tuple(labels.get(label, "") for label in names)
            found[key] = [sum(both) for both in zip(found[key], values, strict=True)] if found[key] else list(values)
    return dict(found)
